"""Invoices, their payments and attempts, and what was given back of them."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.subscriptions.invoice_records import (
    Attempt,
    CreditNote,
    Invoice,
    Payment,
    Refund,
    Tax,
)
from mpanel_billing.subscriptions.paging import Span

_queries = load_queries("customer_records")


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


async def find_draft(conn: Connection, subscription_id: UUID) -> str | None:
    """Return the Stripe id of the latest invoice for a term that is a draft or open."""
    found: str | None = await _queries.find_draft.fetch_value(conn, subscription_id=subscription_id)
    return found


async def list_taxes(conn: Connection, invoice_id: UUID) -> list[Tax]:
    """Return the taxes of an invoice, by rate."""
    rows = await _queries.list_taxes.fetch(conn, invoice_id=invoice_id)
    return [Tax(**row) for row in rows]


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


async def find_invoice(conn: Connection, name: str, *, livemode: bool) -> UUID | None:
    """Return the invoice's id, given our id or Stripe's."""
    found: UUID | None = await _queries.find_invoice.fetch_value(conn, name=name, livemode=livemode)
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
