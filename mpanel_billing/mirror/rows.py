"""Facts as the parameters of the queries that write them."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from mpanel_billing.mirror.facts import (
    InvoiceFacts,
    SessionFacts,
    State,
    SubscriptionFacts,
    customer_state,
    invoice_payment_state,
    invoice_state,
    refund_state,
    session_state,
    subscription_state,
)
from mpanel_billing.mirror.ordering import Version
from mpanel_billing.mirror.repository import Question
from mpanel_billing.mirror.snapshot import Snapshot, kind_of
from mpanel_billing.money import to_decimal

_LONGEST_INVOICE_NUMBER = 50
_MPANEL_INVOICE_STATUS = {
    "draft": "draft",
    "open": "sent",
    "paid": "paid",
    "uncollectible": "cancelled",
    "void": "cancelled",
    "deleted": "cancelled",
}


def question_of(snapshot: Snapshot) -> Question:
    """Return what is needed to find what is stored of the object."""
    facts = snapshot.facts
    return Question(
        object_id=facts.object_id,
        since=snapshot.version.since,
        order_id=getattr(facts, "order_id", None),
        attempt=getattr(facts, "attempt", None),
        stripe_customer_id=getattr(facts, "stripe_customer_id", None),
    )


def stored_version(object_type: str, row: asyncpg.Record | None) -> Version | None:
    """Return the version of what is stored; None where the object is not mirrored yet.

    The event's content is there only where the incoming snapshot may be of the same second.
    """
    if row is None or row["as_of"] is None:
        return None
    state = _STORED_STATE[object_type](row)
    data = row["payload"]["data"] if row["payload"] is not None else {}
    return Version(
        since=row["since"],
        as_of=row["as_of"],
        event_id=row["event_id"],
        kind=kind_of(row["event_type"]) if row["event_type"] else None,
        final=state.final,
        progress=state.progress,
        content=data.get("object"),
        previous=data.get("previous_attributes"),
    )


def rows_of(
    snapshots: list[Snapshot], stored: Mapping[str, asyncpg.Record]
) -> list[dict[str, Any]]:
    """Return the rows to write for snapshots of one type, each in the place of what is stored."""
    new_customers: dict[str, UUID] = {}
    return [
        row_of(snapshot) | _place(snapshot, stored.get(snapshot.object_id), new_customers)
        for snapshot in snapshots
    ]


def row_of(snapshot: Snapshot) -> dict[str, Any]:
    """Return the row to write for a snapshot whose place is found when it is written."""
    facts = snapshot.facts
    row: dict[str, Any] = facts._asdict()
    row["event_id"] = snapshot.version.event_id
    row["since"] = snapshot.version.since
    row["as_of"] = snapshot.version.as_of
    if isinstance(facts, SubscriptionFacts):
        row["items"] = [item._asdict() for item in facts.items]
        row["price"] = to_decimal(facts.amount, facts.currency)
    elif isinstance(facts, InvoiceFacts):
        row |= _mpanel_invoice(facts)
    return row


def _place(
    snapshot: Snapshot, stored: asyncpg.Record | None, new_customers: dict[str, UUID]
) -> dict[str, Any]:
    facts = snapshot.facts
    since, as_of = _dates(snapshot.version, stored)
    place: dict[str, Any] = {"since": since, "as_of": as_of}
    if isinstance(facts, SubscriptionFacts):
        place["subscription_id"] = (stored and stored["subscription_id"]) or uuid4()
        place["customer_id"] = (stored and stored["customer_id"]) or new_customers.setdefault(
            facts.stripe_customer_id, uuid4()
        )
    elif isinstance(facts, SessionFacts) and stored is not None:
        place["subscription_id"] = stored["subscription_id"]
        place["attempt"] = stored["attempt"]
    return place


def _mpanel_invoice(facts: InvoiceFacts) -> dict[str, Any]:
    """Return mPanel's columns; its own numbers are INV-<year>-<number>, ours are Stripe's ids."""
    number = facts.object_id
    if len(number) > _LONGEST_INVOICE_NUMBER or not number.startswith("in_"):
        number = f"in_{hashlib.sha256(number.encode()).hexdigest()[:40]}"
    return {
        "invoice_number": number,
        "status": _MPANEL_INVOICE_STATUS[facts.stripe_status],
        "subtotal": to_decimal(facts.subtotal, facts.currency),
        "tax_amount": to_decimal(facts.tax, facts.currency),
        "total": to_decimal(facts.total, facts.currency),
    }


def _dates(version: Version, stored: asyncpg.Record | None) -> tuple[datetime, datetime]:
    """Never date a snapshot before what it replaces (a fetched one, by a slower clock)."""
    if stored is None or stored["as_of"] is None:
        return version.since, version.as_of
    return max(version.since, stored["as_of"]), max(version.as_of, stored["as_of"])


_STORED_STATE: Mapping[str, Callable[[asyncpg.Record], State]] = {
    "subscription": lambda row: subscription_state(row["stripe_status"]),
    "invoice": lambda row: invoice_state(
        row["stripe_status"], row["attempt_count"], row["amount_paid"]
    ),
    "invoice_payment": lambda row: invoice_payment_state(row["status"]),
    "refund": lambda row: refund_state(row["status"]),
    "checkout.session": lambda row: session_state(row["status"], row["payment_status"]),
    "customer": lambda row: customer_state(deleted=row["deleted"]),
}
