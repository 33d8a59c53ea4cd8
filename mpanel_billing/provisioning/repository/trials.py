"""Trials that have begun, and the earlier ones of the same person."""

from dataclasses import dataclass
from uuid import UUID

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("limits")


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial that was ordered here.

    Once it is `recorded`: `earlier_subscription_id` had a trial of the same plan, and was
    recognised by customer, address or card (`matched_by`); both are None for a first trial.
    """

    subscription_id: UUID
    product_id: UUID
    recorded: bool
    earlier_subscription_id: UUID | None
    matched_by: str | None
    to_end: bool


async def get_trial(conn: Connection, subscription_id: UUID) -> Trial | None:
    """Return the trial that a subscription was ordered with; None if there was none."""
    row = await _queries.get_trial.fetch_one(conn, subscription_id=subscription_id)
    return Trial(**row) if row else None


async def lock_plan(conn: Connection, product_id: UUID) -> None:
    """Lock out other trials of a plan until the transaction ends."""
    await _queries.lock_plan.execute(conn, product_id=product_id)


async def record_trial(
    conn: Connection, subscription_id: UUID, card_hash: bytes | None, *, to_end: bool
) -> None:
    """Record a trial, as a second one if the person had one before; it is recorded once.

    `to_end`: the subscription of a second one is to be ended.
    """
    await _queries.record_trial.execute(
        conn, subscription_id=subscription_id, card_hash=card_hash, to_end=to_end
    )
