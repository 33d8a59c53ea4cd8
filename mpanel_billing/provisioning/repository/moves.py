"""Moves of accounts from one server to another, as they are on record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.provisioning.drivers.protocol import Done, DriverCommand, Result
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.repository.accounts import outcome_of, service_of
from mpanel_billing.provisioning.service_state import Service
from mpanel_billing.telemetry.logs import redact_values
from mpanel_billing.telemetry.quoting import quote

_queries = load_queries("moves")

MoveState = Literal["creating", "copying", "terminating", "cancelling", "done", "cancelled"]


@dataclass(frozen=True, slots=True)
class Move:
    """A row of billing_moves: an account goes from one server to another.

    `external_ref` is the new server's name for it, `former_ref` the old one's once the new one has
    the account. `request` is that of a command of unknown outcome. `confirmed`: its data was moved.
    `cancelled`: an operator has called it off. `abandoned`: the old server is gone for good.
    """

    id: int
    product_type: str
    from_server: str
    to_server: str
    state: MoveState
    external_ref: str | None = None
    former_ref: str | None = None
    generation: int = 0
    request: Mapping[str, Any] | None = None
    stopped: bool = False
    last_error: str | None = None
    confirmed: bool = False
    cancelled: bool = False
    abandoned: bool = False


async def list_open(conn: Connection, lease: Lease) -> list[Move]:
    """Return the moves of a subscription's accounts that are not over."""
    rows = await _queries.list_open.fetch(
        conn, subscription_id=lease.subscription_id, token=lease.token
    )
    return [_move_of(row["move"]) for row in rows]


async def begin_command(
    conn: Connection, lease: Lease, move: Move, generation: int, request: Mapping[str, Any]
) -> bool:
    """Store a command before it is sent; False if the lease is lost."""
    begun = await _queries.begin_command.fetch_value(
        conn, id=move.id, token=lease.token, generation=generation, request=request
    )
    return begun is not None


async def store_step(
    conn: Connection, lease: Lease, move: Move, confirmed_by: str | None = None
) -> Move | None:
    """Store how a move stands; None if the lease is lost."""
    row = await _queries.store_step.fetch_value(
        conn,
        id=move.id,
        token=lease.token,
        state=move.state,
        external_ref=move.external_ref,
        request=move.request,
        stopped=move.stopped,
        error=move.last_error,
        confirmed_by=confirmed_by,
    )
    return None if row is None else _move_of(row)


async def switch_account(
    conn: Connection, lease: Lease, move: Move, driver: str
) -> tuple[Move, Service] | None:
    """Let the new server have the account; None without the lease, or if it was called off."""
    row = await _queries.switch_account.fetch_one(
        conn, id=move.id, token=lease.token, driver=driver
    )
    return None if row is None else (_move_of(row["move"]), service_of(row["service"]))


async def is_of_another(conn: Connection, move: Move, driver: str, external_ref: str) -> bool:
    """Return whether another subscription has the account that the new server names."""
    found: bool = await _queries.is_of_another.fetch_value(
        conn, id=move.id, driver=driver, external_ref=external_ref
    )
    return found


async def log_call(
    conn: Connection,
    lease: Lease,
    command: DriverCommand,
    result: Result,
    *,
    driver: str,
    server: str,
    duration_ms: int,
) -> None:
    """Log a driver call that a move has made."""
    await _queries.log_call.execute(
        conn,
        subscription_id=lease.subscription_id,
        product_type=command.product_type,
        driver=driver,
        server=server,
        action=command.action,
        idempotency_key=command.idempotency_key,
        request=redact_values(command.details),
        response=redact_values(result.response),
        outcome=outcome_of(result),
        error=None if isinstance(result, Done) else quote(result.error),
        duration_ms=duration_ms,
    )


async def begin_move(
    conn: Connection, subscription_id: UUID, product_type: str, names: Sequence[str], begun_by: str
) -> str | None:
    """Begin to move an account to one of some servers; return which, None if it cannot be moved."""
    row = await _queries.begin_move.fetch_one(
        conn,
        subscription_id=subscription_id,
        product_type=product_type,
        names=list(names),
        begun_by=begun_by,
    )
    return None if row is None else row["to_server"]


async def get_movable(
    conn: Connection, subscription_id: UUID, product_type: str
) -> asyncpg.Record | None:
    """Return what decides whether an account can be moved, and its open move."""
    return await _queries.get_movable.fetch_one(
        conn, subscription_id=subscription_id, product_type=product_type
    )


async def list_moves_of(conn: Connection, subscription_id: UUID) -> Sequence[asyncpg.Record]:
    """Return the moves of a subscription's accounts that are not over."""
    return await _queries.list_moves_of.fetch(conn, subscription_id=subscription_id)


async def list_moves(
    conn: Connection, server: str | None, after: int, most: int
) -> Sequence[asyncpg.Record]:
    """Return the next moves that are not over, from or to a server or any, by id."""
    return await _queries.list_moves.fetch(conn, server=server, after=after, most=most)


async def confirm_move(
    conn: Connection, subscription_id: UUID, product_type: str, by: str, *, is_server_gone: bool
) -> str | None:
    """Record that the data was moved; return the new server, None if no account waits for it."""
    server: str | None = await _queries.confirm_move.fetch_value(
        conn,
        subscription_id=subscription_id,
        product_type=product_type,
        confirmed_by=by,
        is_server_gone=is_server_gone,
    )
    return server


async def confirm_moves_from(
    conn: Connection,
    server: str,
    product_type: str | None,
    by: str,
    most: int,
    *,
    is_server_gone: bool,
) -> list[UUID]:
    """Record that the data of a page of a server's accounts was moved; return whose they are."""
    rows = await _queries.confirm_moves_from.fetch(
        conn,
        server=server,
        product_type=product_type,
        confirmed_by=by,
        is_server_gone=is_server_gone,
        most=most,
    )
    return [row["subscription_id"] for row in rows]


async def cancel_move(
    conn: Connection, subscription_id: UUID, product_type: str, by: str
) -> str | None:
    """Call a move off; return the old server, None if it is too late or there is none."""
    server: str | None = await _queries.cancel_move.fetch_value(
        conn, subscription_id=subscription_id, product_type=product_type, cancelled_by=by
    )
    return server


async def release_moves(conn: Connection, subscription_id: UUID) -> None:
    """Retry what a server has refused."""
    await _queries.release_moves.execute(conn, subscription_id=subscription_id)


def _move_of(row: Mapping[str, Any]) -> Move:
    return Move(
        id=row["id"],
        product_type=row["product_type"],
        from_server=row["from_server"],
        to_server=row["to_server"],
        state=row["state"],
        external_ref=row["external_ref"],
        former_ref=row["former_ref"],
        generation=row["generation"],
        request=row["request"],
        stopped=row["stopped"],
        last_error=row["last_error"],
        confirmed=row["confirmed_by"] is not None,
        cancelled=row["cancelled_by"] is not None,
        abandoned=row["abandoned_by"] is not None,
    )
