"""Changes requested of Stripe, in `billing_changes`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

Kind = Literal[
    "change_plan",
    "undo_change",
    "change_price",
    "take_offer",
    "apply_coupon",
    "remove_coupon",
    "enable_tax",
    "pause",
    "trial",
    "cancel",
    "resume",
    "revive",
    "charge",
    "withdraw_charge",
    "replace_domain",
    "refund",
    "credit_note",
    "finalize_invoice",
    "pay_invoice",
    "mark_paid",
    "void_invoice",
    "mark_uncollectible",
    "delete_invoice",
    "balance",
    "invoice",
]
ServiceEnd = Literal["now", "period_end"]
State = Literal["asking", "unanswered", "done", "failed"]

OF_INVOICES: frozenset[Kind] = frozenset(
    {
        "refund",
        "credit_note",
        "finalize_invoice",
        "pay_invoice",
        "mark_paid",
        "void_invoice",
        "mark_uncollectible",
        "delete_invoice",
    }
)
"""The kinds of changes whose subject is an invoice."""

OF_CUSTOMERS: frozenset[Kind] = frozenset({"balance", "invoice"})
"""The kinds whose subject is a customer record."""

_SUBJECTS = ("subscription_id", "invoice_id", "customer_id")

_changes = load_queries("changes")


@dataclass(frozen=True, slots=True)
class Change:
    """A change requested of Stripe; `params` are frozen for the attempt.

    `end_service`: how the subscription of a refunded invoice is to end; None: it stays.
    `may_be_made`: Stripe may have made it, although it failed as far as we know.
    """

    id: UUID
    subject_id: UUID
    kind: Kind
    request_hash: bytes
    params: Mapping[str, Any]
    attempt: int
    state: State
    stripe_id: str | None
    end_service: ServiceEnd | None
    may_be_made: bool

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Read a row of `billing_changes`."""
        return cls(**{name: row[name] for name in cls.__slots__})

    @property
    def idempotency_key(self) -> str:
        """The idempotency key of this attempt."""
        return f"{self.kind}-{self.id}-{self.attempt}"


async def lock_subject(conn: Connection, subject_id: UUID) -> None:
    """Lock out other changes of a subscription or invoice until the transaction ends.

    A change whose process has crashed no longer counts as running then.
    """
    await _changes.lock_subject.execute(conn, subject_id=subject_id)
    await _changes.release_expired.execute(conn, subject_id=subject_id)


async def find_by_key(
    conn: Connection, request_key: str, *, resumable_seconds: float
) -> Change | None:
    """Return the change requested under a client's key."""
    row = await _changes.find_by_key.fetch_one(
        conn, request_key=request_key, resumable_seconds=resumable_seconds
    )
    return Change.of(row) if row else None


class SumGivenBack(NamedTuple):
    """What was refunded, and what was credited to the balance, in minor units."""

    refunded: int
    credited: int


async def sum_given_back(conn: Connection, change_id: UUID, subscription_id: UUID) -> SumGivenBack:
    """Return what the attempts of a change have given back of a subscription's invoices."""
    row = await _changes.sum_given_back.fetch_one(
        conn, change_id=change_id, subscription_id=subscription_id
    )
    assert row  # noqa: S101 - it is a sum
    return SumGivenBack(*row)


async def find_repeated(
    conn: Connection,
    subject_id: UUID,
    request_hash: bytes,
    *,
    repeatable_seconds: float,
    resumable_seconds: float,
) -> Change | None:
    """Return the change that the same request, without a key, repeats."""
    row = await _changes.find_repeated.fetch_one(
        conn,
        subject_id=subject_id,
        request_hash=request_hash,
        repeatable_seconds=repeatable_seconds,
        resumable_seconds=resumable_seconds,
    )
    return Change.of(row) if row else None


async def get_running_seconds(conn: Connection, subject_id: UUID) -> float | None:
    """Return how long the running change may still take, in seconds; None: none is running."""
    seconds: float | None = await _changes.get_running_seconds.fetch_value(
        conn, subject_id=subject_id
    )
    return seconds


async def insert_change(
    conn: Connection,
    kind: Kind,
    subject_id: UUID,
    *,
    request_key: str | None,
    request_hash: bytes,
    params: Mapping[str, Any],
    lease_seconds: float,
    end_service: ServiceEnd | None = None,
) -> Change | None:
    """Record a change before Stripe is called; None: the key is taken."""
    row = await _changes.insert_change.fetch_one(
        conn,
        **{name: subject_id if name == subject_of(kind) else None for name in _SUBJECTS},
        kind=kind,
        request_key=request_key,
        request_hash=request_hash,
        params=params,
        lease_seconds=lease_seconds,
        end_service=end_service,
    )
    return Change.of(row) if row else None


def subject_of(kind: Kind) -> str:
    """Return the column that names the subject of a kind of changes."""
    if kind in OF_INVOICES:
        return "invoice_id"
    return "customer_id" if kind in OF_CUSTOMERS else "subscription_id"


async def resume_change(
    conn: Connection, change: Change, attempt: int, params: Mapping[str, Any], lease_seconds: float
) -> Change:
    """Resume a change: with the same attempt and params, or with the next attempt's."""
    row = await _changes.take_up.fetch_one(
        conn, id=change.id, attempt=attempt, params=params, lease_seconds=lease_seconds
    )
    assert row  # noqa: S101 - it is locked by its subject
    return Change.of(row)


async def note_done(conn: Connection, change: Change) -> None:
    """Store that the result of a failed change is there."""
    await _changes.note_done.execute(conn, id=change.id)


async def note_schedule(
    conn: Connection, stripe_schedule_id: str, subscription_id: UUID, **planned: object
) -> None:
    """Store that a schedule is ours, and what it is made for."""
    await _changes.note_schedule.execute(
        conn, stripe_schedule_id=stripe_schedule_id, subscription_id=subscription_id, **planned
    )


async def note_planned(conn: Connection, stripe_schedule_id: str) -> None:
    """Store that our schedule has its phases."""
    await _changes.note_planned.execute(conn, stripe_schedule_id=stripe_schedule_id)


class Unplanned(NamedTuple):
    """A schedule of ours of which it is not known whether Stripe took the change."""

    stripe_schedule_id: str
    subscription_id: UUID
    stripe_subscription_id: str


async def list_unplanned(conn: Connection, most: int, *, livemode: bool) -> list[Unplanned]:
    """Return our schedules of which it is not known whether Stripe took the change."""
    rows = await _changes.list_unplanned.fetch(conn, livemode=livemode, most=most)
    return [Unplanned(*row) for row in rows]


async def has_taken_offer(
    conn: Connection, subscription_id: UUID, request_key: str | None, request_hash: bytes | None
) -> bool:
    """Return whether a subscription has had a retention offer, or may have.

    An attempt of the request with this key and hash counts only if it is known to be done.
    """
    taken = await _changes.has_taken_offer.fetch_value(
        conn, subscription_id=subscription_id, request_key=request_key, request_hash=request_hash
    )
    return bool(taken)


async def knows_charge(conn: Connection, subscription_id: UUID, stripe_id: str) -> bool:
    """Return whether changes of a subscription have made a one-off charge, or withdrawn it."""
    known = await _changes.knows_charge.fetch_value(
        conn, subscription_id=subscription_id, stripe_id=stripe_id
    )
    return bool(known)


async def close_change(
    conn: Connection,
    change: Change,
    state: State,
    *,
    stripe_id: str | None = None,
    error: str | None = None,
    may_be_made: bool = False,
) -> None:
    """Store the outcome of a change; a failed one `may_be_made` at Stripe nevertheless."""
    await _changes.close_change.execute(
        conn,
        id=change.id,
        attempt=change.attempt,
        state=state,
        stripe_id=stripe_id,
        error=error,
        may_be_made=may_be_made,
    )


async def note_made(conn: Connection, change: Change, stripe_id: str) -> bool:
    """Store what was found at Stripe of a change without a response; False if that is known."""
    noted = await _changes.note_made.fetch_value(conn, id=change.id, stripe_id=stripe_id)
    return noted is not None


async def set_end_service(conn: Connection, change: Change, end_service: ServiceEnd | None) -> None:
    """Have the subscription end otherwise with a refund than it was first requested to."""
    await _changes.set_end_service.execute(conn, id=change.id, end_service=end_service)


async def mark_service_ended(conn: Connection, change_id: UUID) -> None:
    """Record that the subscription has been ended, or set to end."""
    await _changes.mark_service_ended.execute(conn, id=change_id)


async def list_unended(conn: Connection, most: int, *, livemode: bool) -> list[Change]:
    """Return refunds and credit notes whose subscription is still to be ended."""
    rows = await _changes.list_unended.fetch(conn, livemode=livemode, most=most)
    return [Change.of(row) for row in rows]


async def find_subscription_of(conn: Connection, invoice_id: UUID) -> UUID | None:
    """Return the subscription that an invoice is for, if any."""
    found: UUID | None = await _changes.find_subscription_of.fetch_value(
        conn, invoice_id=invoice_id
    )
    return found
