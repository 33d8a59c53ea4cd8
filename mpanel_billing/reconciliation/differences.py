"""In what the mirror's row of an object differs from what Stripe says; values in, no I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mpanel_billing.mirror.facts import (
    CustomerFacts,
    Facts,
    InvoiceFacts,
    InvoicePaymentFacts,
    ItemFacts,
    RefundFacts,
    SubscriptionFacts,
)
from mpanel_billing.telemetry.logs import redact

OBJECT = "object"
"""The field of a difference that is about the whole: one of the two does not have it at all."""

_SUBSCRIPTION = (
    "stripe_customer_id",
    "stripe_status",
    "currency",
    "amount",
    "current_period_start",
    "current_period_end",
    "trial_end",
    "cancel_at_period_end",
    "cancel_at",
    "canceled_at",
    "ended_at",
    "collection_paused",
)
_ITEM = (
    "stripe_price_id",
    "quantity",
    "unit_amount",
    "current_period_start",
    "current_period_end",
)
_INVOICE = (
    "stripe_number",
    "stripe_status",
    "billing_reason",
    "currency",
    "amount_due",
    "amount_paid",
    "amount_remaining",
    "period_start",
    "period_end",
    "attempt_count",
    "next_payment_attempt",
)
_INVOICE_LINKS = ("stripe_subscription_id", "stripe_customer_id")
"""What the mirror keeps once it knows it, though a later snapshot may not name it."""

_PAYMENT = (
    "stripe_invoice_id",
    "stripe_payment_intent_id",
    "stripe_charge_id",
    "amount_paid",
    "status",
)
_REFUND = ("stripe_payment_intent_id", "stripe_charge_id", "amount", "currency", "status", "reason")
_CUSTOMER = ("email", "name", "deleted")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field; values as text for people, e-mail addresses masked. None: there is none."""

    field: str
    ours: str | None
    found: str | None


def differences(facts: Facts, row: Mapping[str, Any] | None) -> Sequence[Difference]:
    """Compare what Stripe says with our row; none where the mirror has it right.

    What Stripe may word anew in each answer (addresses of documents) is left out.
    """
    if row is None:
        return [Difference(OBJECT, None, summary(facts))]
    match facts:
        case SubscriptionFacts():
            return [*_fields(facts, row, _SUBSCRIPTION), *_items(facts, row["items"] or [])]
        case InvoiceFacts():
            links = [name for name in _INVOICE_LINKS if getattr(facts, name) is not None]
            return [*_fields(facts, row, _INVOICE), *_fields(facts, row, links)]
        case InvoicePaymentFacts():
            return [*_fields(facts, row, _PAYMENT)]
        case RefundFacts():
            return [*_fields(facts, row, _REFUND)]
        case CustomerFacts():
            return [*_fields(facts, row, ["deleted"] if facts.deleted else _CUSTOMER)]
    raise TypeError(type(facts))


def summary(facts: Facts) -> str:
    """Say in a word how the object is at Stripe."""
    match facts:
        case SubscriptionFacts() | InvoiceFacts():
            return facts.stripe_status
        case CustomerFacts():
            return "deleted" if facts.deleted else "present"
        case _:
            return facts.status


def summary_of_row(row: Mapping[str, Any]) -> str:
    """Say in a word how the object is in the mirror."""
    word: str = row.get("stripe_status") or row.get("status") or "present"
    return word


def _fields(facts: object, row: Mapping[str, Any], names: Sequence[str]) -> Iterator[Difference]:
    for name in names:
        ours, found = row[name], getattr(facts, name)
        if ours != found:
            yield Difference(name, _text(ours), _text(found))


def _items(facts: SubscriptionFacts, rows: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    ours = {row["stripe_subscription_item_id"]: row for row in rows}
    for item in facts.items:
        place = f"items.{item.stripe_subscription_item_id}"
        row = ours.pop(item.stripe_subscription_item_id, None)
        if row is None:
            yield Difference(place, None, item.stripe_price_id)
        else:
            yield from _item_fields(place, item, row)
    if facts.items_complete:
        for id_, row in ours.items():
            yield Difference(f"items.{id_ or 'ordered'}", row["stripe_price_id"], None)


def _item_fields(place: str, item: ItemFacts, row: Mapping[str, Any]) -> Iterator[Difference]:
    for name in _ITEM:
        ours, found = row[name], getattr(item, name)
        if ours != (int(found.timestamp()) if isinstance(found, datetime) else found):
            yield Difference(f"{place}.{name}", _text(_as_moment(name, ours)), _text(found))


def _as_moment(name: str, value: Any) -> Any:
    """Read the Unix seconds in which an item's row has its period."""
    is_moment = name.startswith("current_period") and value is not None
    return datetime.fromtimestamp(value, UTC) if is_moment else value


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return str(value).lower() if isinstance(value, bool) else redact(str(value))
