"""An operator's actions on servers and moves: list, move an account, empty a server.

Each only records what is wanted, and triggers the worker, which alone calls servers. `by` is who
asked for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pages import FIRST_ID, PAGE
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.jobs.queue import enqueue_provisioning
from mpanel_billing.provisioning.placement import describe_full
from mpanel_billing.provisioning.repository import moves as repository
from mpanel_billing.provisioning.repository import operations, servers
from mpanel_billing.provisioning.repository.servers import ServerLoad


@dataclass
class Emptied:
    """What was begun to empty a server; `left`: how many accounts could not be, by the reason."""

    begun: int = 0
    left: dict[str, int] = field(default_factory=dict)


async def list_servers(pool: Pool) -> Sequence[ServerLoad]:
    """Return what each server has to carry."""
    async with acquired(pool) as conn:
        return await servers.list_servers(conn)


async def get_server(pool: Pool, server: str) -> Sequence[ServerLoad]:
    """Return what a server has to carry, for each of its product types; NotFoundError."""
    loads = [load for load in await list_servers(pool) if load.server == server]
    if not loads:
        raise _unknown(server)
    return loads


async def list_moves_of(pool: Pool, subscription_id: UUID) -> Sequence[asyncpg.Record]:
    """Return the moves of a subscription's accounts that are not over."""
    async with acquired(pool) as conn:
        return await repository.list_moves_of(conn, subscription_id)


async def list_moves(pool: Pool, server: str | None = None) -> Sequence[asyncpg.Record]:
    """Return the moves that are not over, read page by page."""
    rows: list[asyncpg.Record] = []
    last = 0
    while page := await list_page(pool, server, last, PAGE):
        rows += page
        last = page[-1]["id"]
    return rows


async def list_page(
    pool: Pool, server: str | None, after: int, most: int
) -> Sequence[asyncpg.Record]:
    """Return the next moves that are not over, from or to a server or any, after an id."""
    async with acquired(pool) as conn:
        return await repository.list_moves(conn, server, after, most)


async def move_account(
    pool: Pool, subscription_id: UUID, product_type: str, to_server: str | None, by: Actor
) -> str:
    """Begin to move an account to a server, None: the one that a new account would get.

    Returns the server. Repeated, it has no further effect. NotFoundError, ConflictError.
    """
    async with transaction(pool) as conn:
        await servers.lock_servers(conn, product_type)
        names = await _names(conn, product_type, to_server)
        chosen = await repository.begin_move(conn, subscription_id, product_type, names, by.name)
        if chosen is None:
            facts = await repository.get_movable(conn, subscription_id, product_type)
            if facts is not None and facts["to_server"] in names and facts["state"] != "cancelling":
                return str(facts["to_server"])
            loads = await servers.list_servers(conn, product_type)
            raise _why_not(facts, product_type, [each for each in loads if each.server in names])
        await _trigger(conn, subscription_id)
        details = {"service": product_type, "to": chosen}
        await audit.record(conn, by, "subscription.move", _target(subscription_id), details)
    return chosen


async def drain_server(
    pool: Pool,
    server: str,
    by: Actor,
    *,
    product_type: str | None = None,
    to_server: str | None = None,
) -> Emptied:
    """Let a server get no more accounts, and begin to move those that it has.

    In transactions of a page each: broken off, or with accounts that had no place to go, it is
    repeated. NotFoundError for an unknown server, ConflictError onto itself.
    """
    if server == to_server:
        raise ConflictError("A server cannot be emptied onto itself.")
    async with transaction(pool) as conn:
        types = await servers.mark_drained(conn, server, product_type, by.name)
        if not types:
            raise _unknown(server)
        for each in types:
            await _names(conn, each, to_server)
        details = {"server": server, "to": to_server, "types": types}
        await audit.record(conn, by, "server.drain", Target("server", server), details)
    emptied = Emptied()
    for each in types:
        await _Drain(server, each, to_server, by, emptied).run(pool)
    return emptied


async def stop_draining(
    pool: Pool, server: str, by: Actor, *, product_type: str | None = None
) -> None:
    """Let a server get accounts again; moves that have begun go on. NotFoundError."""
    async with transaction(pool) as conn:
        types = await servers.unmark_drained(conn, server, product_type)
        if not types:
            raise _unknown(server)
        details = {"server": server, "types": types}
        await audit.record(conn, by, "server.fill", Target("server", server), details)


async def confirm_move(
    pool: Pool,
    subscription_id: UUID,
    product_type: str,
    by: Actor,
    *,
    is_server_gone: bool = False,
) -> str:
    """Say that an account's data was moved: the new server gets it, the old account is terminated.

    `is_server_gone`: the old server is gone for good, and nothing is terminated there. Returns the
    new server. ConflictError if no account waits for it.
    """
    async with transaction(pool) as conn:
        server = await repository.confirm_move(
            conn, subscription_id, product_type, by.name, is_server_gone=is_server_gone
        )
        if server is None:
            raise ConflictError(
                f"No account for {product_type} waits for its data; see `provision moves`."
            )
        await _trigger(conn, subscription_id)
        details = {"service": product_type, "to": server, "isServerGone": is_server_gone}
        await audit.record(conn, by, "subscription.moved", _target(subscription_id), details)
    return server


async def confirm_moves_from(
    pool: Pool,
    server: str,
    by: Actor,
    *,
    product_type: str | None = None,
    is_server_gone: bool = False,
) -> int:
    """Say of all accounts that have been made elsewhere that their data was moved; return how many.

    In transactions of a page each. NotFoundError for an unknown server.
    """
    await get_server(pool, server)
    confirmed = 0
    while True:
        async with transaction(pool) as conn:
            page = await repository.confirm_moves_from(
                conn, server, product_type, by.name, PAGE, is_server_gone=is_server_gone
            )
            for subscription_id in page:
                await _trigger(conn, subscription_id)
            if page:
                details = {"server": server, "accounts": len(page), "isServerGone": is_server_gone}
                await audit.record(conn, by, "server.moved", Target("server", server), details)
        if not page:
            return confirmed
        confirmed += len(page)


async def cancel_move(pool: Pool, subscription_id: UUID, product_type: str, by: Actor) -> str:
    """Call a move off: the account stays where it is, the one at the new server is terminated.

    Returns the server that keeps it. ConflictError if there is no move, or it is too late.
    """
    async with transaction(pool) as conn:
        server = await repository.cancel_move(conn, subscription_id, product_type, by.name)
        if server is None:
            raise ConflictError(
                f"No move of the account for {product_type} can be called off: there is none, or"
                " the new server has the account already."
            )
        await _trigger(conn, subscription_id)
        details = {"service": product_type, "on": server}
        await audit.record(conn, by, "subscription.stay", _target(subscription_id), details)
    return server


@dataclass(frozen=True, slots=True)
class _Drain:
    """Begins to move the accounts of one product type away from a server."""

    server: str
    product_type: str
    to_server: str | None
    by: Actor
    emptied: Emptied

    async def run(self, pool: Pool) -> None:
        """Begin the moves, in transactions of a page each."""
        last = FIRST_ID
        while True:
            async with transaction(pool) as conn:
                page = await self._begin_page(conn, last)
            if not page:
                return
            last = page[-1]

    async def _begin_page(self, conn: Connection, after: UUID) -> Sequence[UUID]:
        await servers.lock_servers(conn, self.product_type)
        page = await servers.list_movable(conn, self.product_type, self.server, after, PAGE)
        names = await _names(conn, self.product_type, self.to_server)
        for subscription_id in page:
            await self._begin(conn, subscription_id, names)
        return page

    async def _begin(self, conn: Connection, subscription_id: UUID, names: Sequence[str]) -> None:
        type_, by = self.product_type, self.by.name
        if await repository.begin_move(conn, subscription_id, type_, names, by):
            await _trigger(conn, subscription_id)
            self.emptied.begun += 1
            return
        facts = await repository.get_movable(conn, subscription_id, type_)
        loads = await servers.list_servers(conn, type_)
        reason = str(_why_not(facts, type_, [each for each in loads if each.server in names]))
        self.emptied.left[reason] = self.emptied.left.get(reason, 0) + 1


def _unknown(server: str) -> NotFoundError:
    return NotFoundError(f"No server {server} is on record; see `provision servers`.")


async def _names(conn: Connection, product_type: str, to_server: str | None) -> list[str]:
    """Return the servers that an account may go to; NotFoundError for an unknown one."""
    known = [each.server for each in await servers.list_servers(conn, product_type)]
    if to_server is None:
        return known
    if to_server not in known:
        raise NotFoundError(
            f"No server {to_server} for {product_type} is on record: name it in"
            " PROVISIONING_SERVICES, and restart the workers."
        )
    return [to_server]


def _why_not(
    facts: asyncpg.Record | None, product_type: str, loads: Sequence[ServerLoad]
) -> ConflictError | NotFoundError:
    """Return the error that says why an account does not move."""
    if facts is None:
        return NotFoundError(f"This subscription has no account for {product_type}.")
    if facts["to_server"] is not None:
        return ConflictError(
            f"The account is being moved already, from {facts['from_server']}"
            f" to {facts['to_server']} ({facts['state']})."
        )
    if facts["actual"] not in {"active", "suspended"} or facts["desired"] == "terminated":
        return ConflictError("The account is not there, or is about to go: it is not moved.")
    if facts["server"] is None:
        return ConflictError(
            "The server of the account has no name: mark it with `unnamed` in"
            " PROVISIONING_SERVICES, and restart the workers."
        )
    if facts["suspended_by_service"] is not None:
        return ConflictError(
            "Its server itself has suspended the account, which would not be so elsewhere: settle"
            " that first."
        )
    others = [each for each in loads if each.server != facts["server"]]
    return ConflictError(describe_full(product_type, others, str(facts["tags"]).split()))


async def _trigger(conn: Connection, subscription_id: UUID) -> None:
    version = await operations.renew_work(conn, subscription_id)
    if version is not None:
        await enqueue_provisioning(conn, [(subscription_id, version)])


def _target(subscription_id: UUID) -> Target:
    return Target("subscription", str(subscription_id))
