"""Records of usage: each is stored once, however often it is reported."""

from collections.abc import Sequence
from typing import Literal, get_args
from uuid import UUID

from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.subscriptions.lookup import CustomerRef, require_customer
from mpanel_billing.telemetry.counters import begin_counting_records, count_records
from mpanel_billing.usage import repository
from mpanel_billing.usage.limits import follow_limits
from mpanel_billing.usage.model import Record

MOST_RECORDS = 1000

Outcome = Literal[
    "stored",
    "duplicate",
    "id_reused",
    "second_taken",
    "unknown_subscription",
    "not_metered",
    "negative_quantity",
    "too_old",
    "in_future",
    "subscription_ended",
]
"""What became of a record; docs/usage.md says what each means."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

begin_counting_records(OUTCOMES)


async def take_records(
    pool: Pool, records: Sequence[Record], named: CustomerRef, *, livemode: bool
) -> Sequence[Outcome]:
    """Store what can be stored, and return what became of each record, in their order.

    With a customer named, only records of that customer's subscriptions. NotFoundError if there is
    no such customer.
    """
    async with transaction(pool) as conn:
        owner = None if named.is_empty else await require_customer(conn, named)
        stored = await repository.store_records(conn, records, owner, livemode=livemode)
        found = [outcome for outcome, _ in stored]
        if limited := _limited(records, stored):
            await follow_limits(conn, limited)
        known = [place for place, outcome in enumerate(found) if outcome == "known"]
        # asked after the insert, which has waited for calls with the same records
        why = await repository.list_known(conn, records, known) if known else {}
    told = [_outcome(why.get(place, outcome)) for place, outcome in enumerate(found)]
    count_records(told)
    return told


def _limited(records: Sequence[Record], stored: Sequence[tuple[str, bool]]) -> set[UUID]:
    return {
        record.subscription_id
        for record, (outcome, is_limited) in zip(records, stored, strict=True)
        if outcome == "stored" and is_limited
    }


def _outcome(found: str) -> Outcome:
    return next(outcome for outcome in OUTCOMES if outcome == found)
