"""Which of several servers has an account: the servers on record, and the choice for a new one.

PROVISIONING_SERVICES names the servers; a worker records them when it starts, and what comes of its
commands since. The choice is a statement under a lock for the product type
(`billing_choose_server_v1`): two accounts that are placed at once see each other.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mpanel_billing.database.pages import FIRST_ID
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.provisioning.drivers.protocol import Result, Unsettled
from mpanel_billing.provisioning.drivers.registry import Drivers, Server
from mpanel_billing.provisioning.lease import Lease, LeaseLostError
from mpanel_billing.provisioning.repository import servers
from mpanel_billing.provisioning.repository.servers import ServerLoad
from mpanel_billing.provisioning.service_state import Service, tags_of
from mpanel_billing.telemetry.quoting import quote

_PAGE = 500
"""Accounts whose server is recorded in one transaction."""


async def record_servers(pool: Pool, drivers: Drivers) -> None:
    """Record the servers that this process calls, and the accounts of those without a name.

    Nothing is written if nothing has changed: a worker also starts while the database is read-only.
    """
    named = [
        (product_type, name, server)
        for product_type, of_type in drivers.pools.items()
        for name, server in of_type.items()
    ]
    described = [_described(*each) for each in named]
    async with acquired(pool) as conn:
        recorded = await servers.list_recorded(conn)
    if sorted(recorded, key=_place) != sorted(described, key=_place):
        async with transaction(pool) as conn:
            await servers.record_servers(conn, described)
    for product_type, name, server in named:
        if server.unnamed:
            await _name_accounts(pool, product_type, name, server.limited.driver.name)


def _place(server: Mapping[str, Any]) -> tuple[str, str]:
    return server["product_type"], server["name"]


def _described(product_type: str, name: str, server: Server) -> dict[str, Any]:
    return {
        "product_type": product_type,
        "name": name,
        "driver": server.limited.driver.name,
        "weight": server.weight,
        "capacity": server.capacity,
        "tags": list(server.tags),
    }


async def _name_accounts(pool: Pool, product_type: str, server: str, driver: str) -> None:
    async with acquired(pool) as conn:
        if not await servers.has_nameless(conn, product_type, driver):
            return
    last = FIRST_ID
    while True:
        async with transaction(pool) as conn:
            page = await servers.name_accounts(
                conn, product_type, server, driver, after=last, most=_PAGE
            )
        if page is None:
            return
        last = page


async def place_account(
    pool: Pool, drivers: Drivers, lease: Lease, service: Service
) -> tuple[Service, bool]:
    """Give an account that is about to be made its server; return it, and whether it has one.

    Of a product type with one service there is nothing to choose. If no server has room the service
    waits, and its error names each server.
    """
    product_type, tags = service.product_type, tags_of(service)
    pool_of_type = drivers.pools.get(product_type)
    if not pool_of_type:
        return service, True
    async with transaction(pool) as conn:
        await servers.lock_servers(conn, product_type)
        placed = await servers.place_account(conn, lease, product_type, list(pool_of_type), tags)
        if placed is not None:
            return placed, True
        loads = await servers.list_servers(conn, product_type)
        unplaced = await servers.note_unplaced(
            conn,
            lease,
            product_type,
            describe_full(product_type, loads, tags),
            retry_seconds(service.attempts + 1),
        )
    if unplaced is None:
        raise LeaseLostError
    return unplaced, False


async def note_answer(pool: Pool, product_type: str, server: str | None, result: Result) -> None:
    """Record whether a server responded: after three unknown outcomes in a row it is failing."""
    if server is None:
        return
    error = quote(result.error) if isinstance(result, Unsettled) else None
    async with acquired(pool) as conn:
        await servers.note_answer(conn, product_type, server, error)


def describe_full(product_type: str, loads: Iterable[ServerLoad], tags: Sequence[str]) -> str:
    """Say of each server why it cannot get an account."""
    reasons = [f"{load.server} {_why_not(load, tags)}" for load in loads]
    listed = ", ".join(reasons) or "none is on record"
    return f"No server for {product_type} can get the account: {listed}."


def _why_not(load: ServerLoad, tags: Sequence[str]) -> str:
    missing = [tag for tag in tags if tag not in load.tags]
    if load.left_at is not None:
        return "is not in PROVISIONING_SERVICES"
    if load.drained_at is not None:
        return "is being emptied"
    if missing:
        return f"has no tag {' '.join(missing)}"
    if load.capacity is not None and load.accounts >= load.capacity:
        return f"has {load.accounts} of {load.capacity} accounts"
    if load.is_failing:
        return "is failing"
    return "is its own, or is not known to this worker"
