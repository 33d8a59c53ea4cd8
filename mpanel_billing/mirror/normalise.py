"""Stripe's objects to facts, for both generations of shapes.

The API version's label does not tell the shape (payloads mix both), so every reader decides by
the keys that are there: first where current versions put a fact, then where it was before
2025-03-31 (basil). Source: Stripe's API changelog.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mpanel_billing.catalogue.cycles import cycle_of_interval
from mpanel_billing.mirror.facts import (
    CustomerFacts,
    Facts,
    InvoiceFacts,
    InvoicePaymentFacts,
    ItemFacts,
    RefundFacts,
    SessionFacts,
    SubscriptionFacts,
)
from mpanel_billing.mirror.reading import Fields, UnreadableObjectError, as_uuid, require

ORDER_METADATA_KEY = "subscriptionId"
"""Metadata on sessions and subscriptions that names the row of ours they were made for."""
ATTEMPT_METADATA_KEY = "checkoutAttempt"


def normalise(stripe_object: Mapping[str, Any], *, livemode: bool) -> Facts:
    """Return the facts of a Stripe object; UnreadableObjectError says what is wrong with it.

    `livemode` is used where the object itself does not say (deleted stubs).
    """
    fields = Fields(stripe_object)
    read = _READERS.get(fields.text("object") or "")
    if read is None:
        raise UnreadableObjectError(f"object {fields.text('object')!r} is not mirrored")
    mode = fields.values.get("livemode")
    return read(fields, mode if isinstance(mode, bool) else livemode)


def _subscription(fields: Fields, livemode: bool) -> SubscriptionFacts:
    item_fields = fields.children("items")
    items = tuple(_item(item, fields) for item in item_fields)
    starts = _present(item.current_period_start for item in items)
    ends = _present(item.current_period_end for item in items)
    first = items[0] if items else None
    return SubscriptionFacts(
        object_id=fields.require_id(),
        stripe_customer_id=require(fields.reference("customer"), "customer"),
        livemode=livemode,
        stripe_status=_one_of(fields, "status", _SUBSCRIPTION_STATUSES),
        order_id=fields.metadata_uuid(ORDER_METADATA_KEY),
        currency=_currency(fields.text("currency") or (first.currency if first else None)),
        amount=sum((item.unit_amount or 0) * (item.quantity or 0) for item in items),
        billing_cycle=_cycle(first),
        current_period_start=min(starts) if starts else fields.moment("current_period_start"),
        current_period_end=min(ends) if ends else fields.moment("current_period_end"),
        trial_end=fields.moment("trial_end"),
        cancel_at_period_end=fields.flag("cancel_at_period_end"),
        cancel_at=fields.moment("cancel_at"),
        canceled_at=fields.moment("canceled_at"),
        ended_at=fields.moment("ended_at"),
        collection_paused=bool(fields.child("pause_collection").values),
        items=items,
        items_complete=not fields.child("items").flag("has_more"),
    )


def _item(item: Fields, subscription: Fields) -> ItemFacts:
    price = item.child("price")
    price = price if price.values else item.child("plan")
    recurring = price.child("recurring")
    recurring = recurring if recurring.values else price
    return ItemFacts(
        stripe_subscription_item_id=item.require_id(),
        stripe_price_id=item.reference("price") or item.reference("plan"),
        quantity=item.whole("quantity"),
        unit_amount=price.whole("unit_amount" if "unit_amount" in price.values else "amount"),
        currency=_currency(price.text("currency") or subscription.text("currency")),
        recurring_interval=recurring.text("interval"),
        interval_count=recurring.whole("interval_count"),
        current_period_start=item.moment("current_period_start")
        or subscription.moment("current_period_start"),
        current_period_end=item.moment("current_period_end")
        or subscription.moment("current_period_end"),
    )


def _cycle(item: ItemFacts | None) -> str | None:
    if item is None or item.recurring_interval is None or item.interval_count is None:
        return None
    return cycle_of_interval(item.recurring_interval, item.interval_count)


def _invoice(fields: Fields, livemode: bool) -> InvoiceFacts:
    start, end = _billed_period(fields)
    subtotal = fields.whole("subtotal") or 0
    total = fields.whole("total") or 0
    status = "deleted" if fields.flag("deleted") else fields.text("status") or "draft"
    if status not in _INVOICE_STATUSES:
        raise UnreadableObjectError(f"status {status!r} is unknown")
    return InvoiceFacts(
        object_id=fields.require_id(),
        stripe_subscription_id=_invoice_subscription(fields),
        stripe_customer_id=fields.reference("customer"),
        livemode=livemode,
        stripe_number=fields.text("number"),
        stripe_status=status,
        billing_reason=fields.text("billing_reason"),
        currency=_currency(fields.text("currency")),
        subtotal=subtotal,
        tax=_taxes(fields),
        total=total,
        amount_due=fields.whole("amount_due") or 0,
        amount_paid=fields.whole("amount_paid") or 0,
        amount_remaining=fields.whole("amount_remaining") or 0,
        period_start=start,
        period_end=end,
        attempt_count=fields.whole("attempt_count") or 0,
        next_payment_attempt=fields.moment("next_payment_attempt"),
        hosted_invoice_url=fields.text("hosted_invoice_url"),
        invoice_pdf=fields.text("invoice_pdf"),
        stripe_payment_intent_id=_invoice_payment_intent(fields),
        due_date=fields.moment("due_date"),
        paid_at=fields.child("status_transitions").moment("paid_at"),
        stripe_created=require(fields.moment("created"), "created"),
    )


def invoice_payments_of(stripe_invoice: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the payments of an invoice that was fetched with `expand=["payments"]`."""
    return [payment.values for payment in Fields(stripe_invoice).children("payments")]


def _invoice_subscription(fields: Fields) -> str | None:
    current = fields.child("parent", "subscription_details").reference("subscription")
    if current or (before_basil := fields.reference("subscription")) is None:
        return current or _subscription_of_lines(fields)
    return before_basil


def _subscription_of_lines(fields: Fields) -> str | None:
    for line in fields.children("lines"):
        details = line.child("parent", "subscription_item_details")
        if found := details.reference("subscription") or line.reference("subscription"):
            return found
    return None


def _billed_period(fields: Fields) -> tuple[datetime | None, datetime | None]:
    """An invoice's own period is the time in which its items were collected, not what it bills."""
    periods = [line.child("period") for line in fields.children("lines")]
    starts = _present(period.moment("start") for period in periods)
    ends = _present(period.moment("end") for period in periods)
    if not starts or not ends:
        return fields.moment("period_start"), fields.moment("period_end")
    return min(starts), max(ends)


def _taxes(fields: Fields) -> int:
    if "total_taxes" in fields.values:
        return sum(tax.whole("amount") or 0 for tax in fields.children("total_taxes"))
    return fields.whole("tax") or 0


def _invoice_payment_intent(fields: Fields) -> str | None:
    for payment in fields.children("payments"):
        if payment.text("status") == "paid":
            return payment.child("payment").reference("payment_intent")
    return fields.reference("payment_intent")


def _invoice_payment(fields: Fields, livemode: bool) -> InvoicePaymentFacts:
    payment = fields.child("payment")
    return InvoicePaymentFacts(
        object_id=fields.require_id(),
        stripe_invoice_id=require(fields.reference("invoice"), "invoice"),
        livemode=livemode,
        stripe_payment_intent_id=payment.reference("payment_intent"),
        stripe_charge_id=payment.reference("charge"),
        amount_paid=fields.whole("amount_paid"),
        currency=fields.text("currency"),
        status=_one_of(fields, "status", _INVOICE_PAYMENT_STATUSES),
        stripe_created=require(fields.moment("created"), "created"),
    )


def _refund(fields: Fields, livemode: bool) -> RefundFacts:
    return RefundFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        stripe_payment_intent_id=fields.reference("payment_intent"),
        stripe_charge_id=fields.reference("charge"),
        amount=require(fields.whole("amount"), "amount"),
        currency=_currency(fields.text("currency")),
        status=_one_of(fields, "status", _REFUND_STATUSES),
        reason=fields.text("reason"),
        stripe_created=require(fields.moment("created"), "created"),
    )


def _session(fields: Fields, livemode: bool) -> SessionFacts:
    reference = as_uuid(fields.text("client_reference_id"))
    recovery = fields.child("after_expiration", "recovery")
    return SessionFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        mode=fields.text("mode") or "payment",
        status=_one_of(fields, "status", _SESSION_STATUSES),
        payment_status=fields.text("payment_status"),
        stripe_subscription_id=fields.reference("subscription"),
        stripe_customer_id=fields.reference("customer"),
        order_id=fields.metadata_uuid(ORDER_METADATA_KEY) or reference,
        attempt=_small_number(fields.child("metadata").values.get(ATTEMPT_METADATA_KEY)),
        url=fields.text("url"),
        recovery_url=recovery.text("url"),
        recovered_from=fields.reference("recovered_from"),
        expires_at=fields.moment("expires_at"),
    )


def _customer(fields: Fields, livemode: bool) -> CustomerFacts:
    return CustomerFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        email=fields.text("email"),
        name=fields.text("name"),
        deleted=fields.flag("deleted"),
    )


def _currency(text: str | None) -> str:
    currency = require(text, "currency").lower()
    if not _CURRENCY.fullmatch(currency):
        raise UnreadableObjectError(f"currency {currency!r} is no ISO 4217 code")
    return currency


def _one_of(fields: Fields, key: str, known: frozenset[str]) -> str:
    value = require(fields.text(key), key)
    if value not in known:
        raise UnreadableObjectError(f"{key} {value!r} is unknown")
    return value


def _small_number(text: object) -> int | None:
    return int(text) if isinstance(text, str) and _SMALL_NUMBER.fullmatch(text) else None


def _present(moments: Iterable[datetime | None]) -> list[datetime]:
    return [moment for moment in moments if moment is not None]


_CURRENCY = re.compile(r"[a-z]{3}")
_SMALL_NUMBER = re.compile(r"[0-9]{1,5}")
_SUBSCRIPTION_STATUSES = frozenset(
    [
        "incomplete",
        "incomplete_expired",
        "trialing",
        "active",
        "past_due",
        "unpaid",
        "paused",
        "canceled",
    ]
)
_INVOICE_STATUSES = frozenset(["draft", "open", "paid", "uncollectible", "void", "deleted"])
_INVOICE_PAYMENT_STATUSES = frozenset(["open", "paid", "canceled"])
_REFUND_STATUSES = frozenset(["pending", "requires_action", "succeeded", "failed", "canceled"])
_SESSION_STATUSES = frozenset(["open", "complete", "expired"])

_READERS: Mapping[str, Callable[[Fields, bool], Facts]] = {
    "subscription": _subscription,
    "invoice": _invoice,
    "invoice_payment": _invoice_payment,
    "refund": _refund,
    "checkout.session": _session,
    "customer": _customer,
}
