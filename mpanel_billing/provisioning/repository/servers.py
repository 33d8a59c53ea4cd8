"""The servers of product types that have several, and which accounts are placed on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.repository.accounts import service_of
from mpanel_billing.provisioning.service_state import Service

_queries = load_queries("servers")


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """What a server has to carry.

    `accounts` counts the places that are taken; `coming` of these move here, `leaving` move away.
    `left_at`: since when the setting does not name it any more.
    """

    product_type: str
    server: str
    driver: str
    accounts: int
    coming: int
    leaving: int
    capacity: int | None
    weight: int
    tags: Sequence[str]
    is_failing: bool
    failing_since: datetime | None
    last_error: str | None
    drained_by: str | None
    drained_at: datetime | None
    left_at: datetime | None


async def list_recorded(conn: Connection) -> list[dict[str, Any]]:
    """Return the servers as the setting had them when a worker last started."""
    return [dict(row) for row in await _queries.list_recorded.fetch(conn)]


async def has_nameless(conn: Connection, product_type: str, driver: str) -> bool:
    """Return whether there are accounts that were made before their server had a name."""
    found: bool = await _queries.has_nameless.fetch_value(
        conn, product_type=product_type, driver=driver
    )
    return found


async def record_servers(conn: Connection, servers: Sequence[Mapping[str, object]]) -> None:
    """Record the servers as the setting has them: product type, name, driver and what they take."""
    await _queries.record_servers.execute(
        conn,
        servers=servers,
        product_types=[each["product_type"] for each in servers],
        names=[each["name"] for each in servers],
    )


async def name_accounts(
    conn: Connection, product_type: str, server: str, driver: str, *, after: UUID, most: int
) -> UUID | None:
    """Record the server of a page of the accounts that have none; return the last one looked at."""
    last: UUID | None = await _queries.name_accounts.fetch_value(
        conn, product_type=product_type, server=server, driver=driver, after=after, most=most
    )
    return last


async def lock_servers(conn: Connection, product_type: str) -> None:
    """Keep others from placing accounts of that type until the transaction ends."""
    await _queries.lock_servers.execute(conn, product_type=product_type)
    await _queries.add_up_places.execute(conn, product_type=product_type)


async def place_account(
    conn: Connection,
    lease: Lease,
    product_type: str,
    names: Sequence[str],
    tags: Sequence[str],
) -> Service | None:
    """Record the server that the account gets, of some; None: none can be chosen."""
    row = await _queries.place_account.fetch_value(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=product_type,
        names=list(names),
        tags=list(tags),
    )
    return None if row is None else service_of(row)


async def note_unplaced(
    conn: Connection, lease: Lease, product_type: str, error: str, retry_seconds: float
) -> Service | None:
    """Record that no server has room; None: the lease is lost."""
    row = await _queries.note_unplaced.fetch_value(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=product_type,
        error=error,
        retry_seconds=retry_seconds,
        now=lease.clock(),
    )
    return None if row is None else service_of(row)


async def note_answer(conn: Connection, product_type: str, server: str, error: str | None) -> None:
    """Record whether a server has responded to a command; `error`: its outcome is unknown."""
    await _queries.note_answer.execute(conn, product_type=product_type, server=server, error=error)


async def list_servers(conn: Connection, product_type: str | None = None) -> list[ServerLoad]:
    """Return the servers, of one product type or of all."""
    rows = await _queries.list_servers.fetch(conn, product_type=product_type)
    return [ServerLoad(**dict(row)) for row in rows]


async def mark_drained(
    conn: Connection, server: str, product_type: str | None, drained_by: str
) -> list[str]:
    """Let the server get no more accounts; return its product types."""
    rows = await _queries.mark_drained.fetch(
        conn, server=server, product_type=product_type, drained_by=drained_by
    )
    return [row["product_type"] for row in rows]


async def unmark_drained(conn: Connection, server: str, product_type: str | None) -> list[str]:
    """Let the server get accounts again; return its product types."""
    rows = await _queries.unmark_drained.fetch(conn, server=server, product_type=product_type)
    return [row["product_type"] for row in rows]


async def list_movable(
    conn: Connection, product_type: str, server: str, after: UUID, most: int
) -> list[UUID]:
    """Return the next subscriptions with an account on the server that no move takes away yet."""
    rows = await _queries.list_movable.fetch(
        conn, product_type=product_type, server=server, after=after, most=most
    )
    return [row["subscription_id"] for row in rows]
