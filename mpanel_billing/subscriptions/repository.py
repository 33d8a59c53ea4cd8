"""Customers' subscriptions and invoices, and the changes requested of Stripe, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.subscriptions.paging import Span
from mpanel_billing.subscriptions.records import (
    Attempt,
    Balance,
    CreditNote,
    Invoice,
    Payment,
    Refund,
    Subscription,
)

Kind = Literal[
    "change_plan",
    "undo_change",
    "pause",
    "trial",
    "cancel",
    "resume",
    "revive",
    "refund",
    "credit_note",
    "finalize_invoice",
    "pay_invoice",
    "mark_paid",
    "void_invoice",
    "mark_uncollectible",
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
    }
)
"""The kinds of changes whose subject is an invoice."""

_queries = load_queries("customer_records")
_changes = load_queries("changes")
_disputes = load_queries("disputes")
_takeovers = load_queries("takeovers")
_joining = load_queries("joining")
_limits = load_queries("limits")
_pauses = load_queries("pauses")


async def count_plans(
    conn: Connection, held: Subscription, product_id: UUID, code: str, *, livemode: bool
) -> int:
    """Count the customer's other subscriptions with a plan; locks other orders of it out.

    The lock is held until the transaction ends.
    """
    await _limits.lock_plan.execute(conn, product_id=product_id)
    count: int = await _limits.count_plans.fetch_value(
        conn,
        subscription_id=held.id,
        customer_id=held.customer_id,
        livemode=livemode,
        product_id=product_id,
        code=code,
    )
    return count


@dataclass(frozen=True, slots=True)
class Change:
    """A change requested of Stripe; `params` are frozen for the attempt.

    `end_service`: how the subscription of a refunded invoice is to end; None: it stays.
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

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Read a row of `billing_changes`."""
        return cls(**{name: row[name] for name in cls.__slots__})

    @property
    def idempotency_key(self) -> str:
        """The idempotency key of this attempt."""
        return f"{self.kind}-{self.id}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Joinable:
    """A customer record without an account, and the account whose verified address it names.

    `account_id` is the account's own record; None if mPanel has made none. A record that has joined
    already has no `user_id`, and its id as `buyer`.
    """

    id: UUID
    buyer: str
    user_id: UUID | None
    account_id: UUID | None


async def list_joinable(conn: Connection, most: int) -> list[Joinable]:
    """Return records that can join their account, oldest first."""
    rows = await _joining.list_joinable.fetch(conn, most=most)
    return [Joinable(*row.values()) for row in rows]


async def list_lock_keys(conn: Connection, customer_id: UUID) -> list[str]:
    """Return what events of the customer lock, in the global order."""
    row = await _joining.list_stripe_objects.fetch_one(conn, customer_id=customer_id)
    assert row  # noqa: S101 - a query without FROM returns a row
    subscriptions = [f"sub:{id_}" for id_ in row["subscriptions"]]
    return [*subscriptions, *(f"cus:{id_}" for id_ in row["customers"])]


async def give_to_account(conn: Connection, record: Joinable) -> bool:
    """Make the record that of the account; False if that is no longer right."""
    given = await _joining.give_to_account.fetch_value(
        conn, customer_id=record.id, user_id=record.user_id
    )
    return given is not None


async def join_account(conn: Connection, record_id: UUID, account_id: UUID) -> bool:
    """Move everything of a record to that of an account; False if that is no longer right."""
    had = await _joining.join_account.fetch_one(conn, customer_id=record_id, account_id=account_id)
    if had is None:
        return False
    await _joining.move_records.execute(conn, customer_id=record_id, account_id=account_id)
    if had["stripe_customer_id"] is not None:
        await _joining.inherit_principal.execute(
            conn,
            account_id=account_id,
            stripe_customer_id=had["stripe_customer_id"],
            paid_at=had["stripe_customer_paid_at"],
        )
    return True


async def find_customer(
    conn: Connection, customer_id: UUID | None, user_id: UUID | None, email: str | None
) -> UUID | None:
    """Return the customer who matches all the given references."""
    found: UUID | None = await _queries.find_customer.fetch_value(
        conn, customer_id=customer_id, user_id=user_id, email=email
    )
    return found


async def list_stripe_customers(
    conn: Connection,
    customer_id: UUID,
    subscription_id: UUID | None,
    currency: str | None,
    *,
    livemode: bool,
) -> list[str]:
    """Return a customer's Stripe customers, the most likely first.

    Only that of the subscription, or those with subscriptions in the currency, if given.
    """
    rows = await _queries.list_stripe_customers.fetch(
        conn,
        customer_id=customer_id,
        subscription_id=subscription_id,
        currency=currency,
        livemode=livemode,
    )
    return [row["id"] for row in rows]


async def list_subscriptions(
    conn: Connection, customer_id: UUID, span: Span, *, livemode: bool
) -> list[Subscription]:
    """Return a customer's subscriptions, newest first."""
    rows = await _queries.list_subscription_ids.fetch(
        conn, customer_id=customer_id, livemode=livemode, **_bounds(span)
    )
    return await load_subscriptions(conn, [row["id"] for row in rows], livemode=livemode)


async def load_subscriptions(
    conn: Connection, ids: Sequence[UUID], *, livemode: bool
) -> list[Subscription]:
    """Return the subscriptions that Stripe bills in that mode, newest first."""
    rows = await _queries.list_subscriptions.fetch(conn, subscription_ids=ids, livemode=livemode)
    return [Subscription.of(row) for row in rows]


async def list_balances(conn: Connection, customer_id: UUID, *, livemode: bool) -> list[Balance]:
    """Return the balances of a customer's Stripe customers that are not zero."""
    rows = await _queries.list_balances.fetch(conn, customer_id=customer_id, livemode=livemode)
    return [Balance(*row.values()) for row in rows]


async def list_invoices_of_subscription(
    conn: Connection, subscription_id: UUID, span: Span, *, livemode: bool, status: str | None
) -> list[Invoice]:
    """Return a subscription's invoices, newest first."""
    rows = await _queries.list_invoice_ids_of_subscription.fetch(
        conn, subscription_id=subscription_id, livemode=livemode, status=status, **_bounds(span)
    )
    return await load_invoices(conn, [row["id"] for row in rows], livemode=livemode)


async def list_invoices_of_customer(
    conn: Connection, customer_id: UUID, span: Span, *, livemode: bool, status: str | None
) -> list[Invoice]:
    """Return a customer's invoices, newest first."""
    rows = await _queries.list_invoice_ids_of_customer.fetch(
        conn, customer_id=customer_id, livemode=livemode, status=status, **_bounds(span)
    )
    return await load_invoices(conn, [row["id"] for row in rows], livemode=livemode)


async def load_invoices(conn: Connection, ids: Sequence[UUID], *, livemode: bool) -> list[Invoice]:
    """Return the invoices that are Stripe's in that mode, newest first."""
    rows = await _queries.list_invoices.fetch(conn, invoice_ids=ids, livemode=livemode)
    return [Invoice.of(row) for row in rows]


def _bounds(span: Span) -> dict[str, object]:
    return {
        "most": span.most,
        "before_at": span.after.at if span.after else None,
        "before_id": span.after.id if span.after else None,
    }


async def find_invoices(conn: Connection, name: str, *, livemode: bool) -> list[UUID]:
    """Return the invoices with this id, ours or Stripe's, or this number."""
    rows = await _queries.find_invoices.fetch(conn, name=name, livemode=livemode)
    return [row["id"] for row in rows]


async def find_draft(conn: Connection, subscription_id: UUID) -> str | None:
    """Return the Stripe id of the latest invoice for a term that is a draft or open."""
    found: str | None = await _queries.find_draft.fetch_value(conn, subscription_id=subscription_id)
    return found


async def list_payments(conn: Connection, stripe_invoice_id: str) -> list[Payment]:
    """Return the payments of an invoice, oldest first."""
    rows = await _queries.list_payments.fetch(conn, stripe_invoice_id=stripe_invoice_id)
    return [
        Payment(
            row["stripe_payment_intent_id"],
            row["amount_paid"],
            row["amount_refunded"],
            row["is_refundable"],
        )
        for row in rows
    ]


async def find_invoice(conn: Connection, name: str) -> UUID | None:
    """Return the invoice's id, given our id or Stripe's."""
    found: UUID | None = await _queries.find_invoice.fetch_value(conn, name=name)
    return found


async def list_attempts(conn: Connection, payment_intents: Sequence[str]) -> list[Attempt]:
    """Return what was charged or declined by payment intents, the oldest first."""
    rows = await _queries.list_attempts.fetch(conn, payment_intents=list(payment_intents))
    return [Attempt(*row.values()) for row in rows]


async def list_ids_of_invoices(conn: Connection, stripe_ids: Sequence[str]) -> dict[str, UUID]:
    """Return our ids of invoices, by Stripe's."""
    rows = await _queries.list_ids_of_invoices.fetch(conn, stripe_invoice_ids=stripe_ids)
    return {row["stripe_invoice_id"]: row["id"] for row in rows}


async def get_refund(conn: Connection, stripe_refund_id: str) -> Refund | None:
    """Return a mirrored refund."""
    row = await _queries.get_refund.fetch_one(conn, stripe_refund_id=stripe_refund_id)
    return Refund(*row.values()) if row else None


async def list_refunds(conn: Connection, stripe_invoice_id: str) -> list[Refund]:
    """Return the mirrored refunds of an invoice, newest first."""
    rows = await _queries.list_refunds.fetch(conn, stripe_invoice_id=stripe_invoice_id)
    return [Refund(*row.values()) for row in rows]


async def list_credit_notes(
    conn: Connection, stripe_invoice_id: str, stripe_credit_note_id: str | None = None
) -> list[CreditNote]:
    """Return the mirrored credit notes of an invoice, newest first; or the one with that id."""
    rows = await _queries.list_credit_notes.fetch(
        conn,
        stripe_invoice_id=stripe_invoice_id,
        stripe_credit_note_id=stripe_credit_note_id,
    )
    return [CreditNote(*row.values()) for row in rows]


async def list_dispute_statuses(conn: Connection, stripe_invoice_id: str) -> Mapping[str, str]:
    """Return the Stripe status of an invoice's mirrored disputes, by id."""
    rows = await _queries.list_dispute_statuses.fetch(conn, stripe_invoice_id=stripe_invoice_id)
    return {row["stripe_dispute_id"]: row["status"] for row in rows}


async def list_refund_statuses(conn: Connection, stripe_invoice_id: str) -> Mapping[str, str]:
    """Return the Stripe status of an invoice's mirrored refunds, by id."""
    rows = await _queries.list_refund_statuses.fetch(conn, stripe_invoice_id=stripe_invoice_id)
    return {row["stripe_refund_id"]: row["status"] for row in rows}


async def get_revival(
    conn: Connection, subscription_id: UUID, successor_id: UUID
) -> asyncpg.Record:
    """Return what a revival of an ended subscription depends on."""
    row = await _takeovers.get_revival.fetch_one(
        conn, subscription_id=subscription_id, successor_id=successor_id
    )
    assert row  # noqa: S101 - the caller has read the subscription
    return row


async def plan_revival(conn: Connection, subscription_id: UUID, successor_id: UUID) -> bool:
    """Insert the successor, unless it is there, which takes over once it is alive.

    False if another has taken over.
    """
    await _takeovers.insert_successor.execute(
        conn, subscription_id=subscription_id, successor_id=successor_id
    )
    planned = await _takeovers.plan_takeover.fetch_value(
        conn, subscription_id=successor_id, predecessor_id=subscription_id, reason="revived"
    )
    return planned is not None


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
    of_invoice = kind in OF_INVOICES
    row = await _changes.insert_change.fetch_one(
        conn,
        subscription_id=None if of_invoice else subject_id,
        invoice_id=subject_id if of_invoice else None,
        kind=kind,
        request_key=request_key,
        request_hash=request_hash,
        params=params,
        lease_seconds=lease_seconds,
        end_service=end_service,
    )
    return Change.of(row) if row else None


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


async def close_change(
    conn: Connection,
    change: Change,
    state: State,
    *,
    stripe_id: str | None = None,
    error: str | None = None,
) -> None:
    """Store the outcome of a change."""
    await _changes.close_change.execute(
        conn, id=change.id, attempt=change.attempt, state=state, stripe_id=stripe_id, error=error
    )


async def note_made(conn: Connection, change: Change, stripe_id: str) -> None:
    """Store what was found at Stripe of a change that got no response."""
    await _changes.note_made.execute(conn, id=change.id, stripe_id=stripe_id)


async def set_end_service(conn: Connection, change: Change, end_service: ServiceEnd) -> None:
    """Have the subscription end with a refund that was requested without that."""
    await _changes.set_end_service.execute(conn, id=change.id, end_service=end_service)


async def mark_service_ended(conn: Connection, change_id: UUID) -> None:
    """Record that the subscription has been ended, or set to end."""
    await _changes.mark_service_ended.execute(conn, id=change_id)


async def list_unended(conn: Connection, most: int) -> list[Change]:
    """Return refunds and credit notes whose subscription is still to be ended."""
    return [Change.of(row) for row in await _changes.list_unended.fetch(conn, most=most)]


async def find_subscription_of(conn: Connection, invoice_id: UUID) -> UUID | None:
    """Return the subscription that an invoice is for, if any."""
    found: UUID | None = await _changes.find_subscription_of.fetch_value(
        conn, invoice_id=invoice_id
    )
    return found


async def list_disputes(
    conn: Connection, *, only_open: bool, livemode: bool, most: int
) -> Sequence[asyncpg.Record]:
    """Return the latest disputes; with `only_open` those to be answered, the most urgent first."""
    return await _disputes.list_disputes.fetch(
        conn, only_open=only_open, livemode=livemode, most=most
    )


async def get_evidence(
    conn: Connection, stripe_dispute_id: str, *, livemode: bool
) -> asyncpg.Record | None:
    """Return what our records say about a disputed payment; None for an unknown dispute."""
    return await _disputes.get_evidence.fetch_one(
        conn, stripe_dispute_id=stripe_dispute_id, livemode=livemode
    )


async def waive_dispute(
    conn: Connection, stripe_dispute_id: str, by: str, reason: str
) -> str | None:
    """Record that the subscription goes on; return the payment, None for an unknown dispute."""
    intent: str | None = await _disputes.waive.fetch_value(
        conn, stripe_dispute_id=stripe_dispute_id, waived_by=by, waived_reason=reason
    )
    return intent


async def list_disputed_to_end(
    conn: Connection, *, livemode: bool, most: int
) -> list[tuple[UUID, str]]:
    """Return subscriptions that go on although they are disputed, each with its dispute."""
    rows = await _disputes.list_to_end.fetch(conn, livemode=livemode, most=most)
    return [(row["subscription_id"], row["stripe_dispute_id"]) for row in rows]


async def place_pause(
    conn: Connection, subscription_id: UUID, since: datetime, until: datetime
) -> None:
    """Insert the hold of a pause, or give a standing one another end."""
    await _pauses.place_pause.execute(
        conn, subscription_id=subscription_id, since=since, until=until
    )


async def withdraw_pause(conn: Connection, subscription_id: UUID) -> None:
    """Delete a hold that has not begun."""
    await _pauses.withdraw_pause.execute(conn, subscription_id=subscription_id)


async def end_pause(conn: Connection, subscription_id: UUID, until: datetime) -> None:
    """End a hold that has not begun, or give it an earlier end."""
    await _pauses.end_pause.execute(conn, subscription_id=subscription_id, until=until)


async def turn_pauses(conn: Connection, most: int) -> list[UUID]:
    """Begin and end holds; return the subscriptions whose work that changes."""
    rows = await _pauses.turn_pauses.fetch(conn, most=most)
    return [row["subscription_id"] for row in rows]
