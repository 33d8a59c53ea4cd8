"""Invoices."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from mpanel_billing.mirror.differences import (
    IDENTITY,
    Difference,
    as_text,
    compared_fields,
    differing_fields,
)
from mpanel_billing.mirror.facts import State
from mpanel_billing.mirror.mirrored_type import Comparison, LockKey, MirroredType, Row
from mpanel_billing.mirror.reading import (
    Fields,
    UnreadableObjectError,
    currency_code,
    present,
    require,
)
from mpanel_billing.mirror.taxes import Taxes, read_taxes, sum_of_taxes
from mpanel_billing.money import LARGEST_IN_MPANEL, to_hundredths
from mpanel_billing.stripe_gateway.objects import Resource

if TYPE_CHECKING:  # loading the SDK takes longer than most commands
    from mpanel_billing.stripe_gateway.gateway import StripeGateway


class InvoiceFacts(NamedTuple):
    """An invoice; `period_start` and `period_end` are those of its subscription lines.

    One-time charges, which have none of their own, count if there is nothing else. Without
    `lines_complete` there are lines beyond those read.
    """

    object_id: str
    stripe_subscription_id: str | None
    stripe_customer_id: str | None
    livemode: bool
    stripe_number: str | None
    stripe_status: str
    billing_reason: str | None
    collection_method: str | None
    auto_advance: bool | None
    finalization_error: str | None
    finalized_at: datetime | None
    voided_at: datetime | None
    currency: str
    taxes: Taxes | None
    total: int
    amount_invoiced: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    period_start: datetime | None
    period_end: datetime | None
    attempt_count: int
    next_payment_attempt: datetime | None
    hosted_invoice_url: str | None
    invoice_pdf: str | None
    stripe_payment_intent_id: str | None
    due_date: datetime | None
    paid_at: datetime | None
    stripe_created: datetime
    lines_complete: bool

    @property
    def state(self) -> State:
        """How far it has come."""
        return _state(self.stripe_status, self.attempt_count, self.amount_paid)


_STATUS_RANK = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3, "deleted": 4}

_LONGEST_NUMBER = 50
_MPANEL_STATUS = {
    "draft": "draft",
    "open": "sent",
    "paid": "paid",
    "uncollectible": "cancelled",
    "void": "cancelled",
    "deleted": "cancelled",
}


def _state(stripe_status: str, attempt_count: int, amount_paid: int) -> State:
    """The status, the attempts and the amount paid only ever grow."""
    rank = _STATUS_RANK[stripe_status]
    return State(stripe_status in {"paid", "void", "deleted"}, (rank, attempt_count, amount_paid))


def _read(fields: Fields, livemode: bool) -> InvoiceFacts:
    start, end = _billed_period(fields)
    total = fields.whole("total") or 0
    transitions = fields.child("status_transitions")
    status = _status(fields)
    return InvoiceFacts(
        object_id=fields.require_id(),
        stripe_subscription_id=_invoice_subscription(fields),
        stripe_customer_id=fields.reference("customer"),
        livemode=livemode,
        stripe_number=fields.text("number"),
        stripe_status=status,
        billing_reason=fields.text("billing_reason"),
        collection_method=fields.text("collection_method"),
        auto_advance=fields.flag("auto_advance") if "auto_advance" in fields.values else None,
        finalization_error=_finalization_error(fields),
        finalized_at=transitions.moment("finalized_at"),
        voided_at=transitions.moment("voided_at"),
        currency=currency_code(fields.text("currency")),
        taxes=read_taxes(fields, total),
        total=total,
        amount_invoiced=total - (fields.whole("pre_payment_credit_notes_amount") or 0),
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
        paid_at=transitions.moment("paid_at"),
        stripe_created=require(fields.moment("created"), "created"),
        lines_complete=not fields.child("lines").flag("has_more"),
    )


def _finalization_error(fields: Fields) -> str | None:
    error = fields.child("last_finalization_error")
    return error.text("message") or error.text("code") or error.text("type")


def _status(fields: Fields) -> str:
    if fields.flag("deleted"):
        return "deleted"
    status = fields.text("status") or _status_before_2018(fields)
    if status not in _STATUS_RANK:
        raise UnreadableObjectError(f"status {status!r} is unknown")
    return status


def _status_before_2018(fields: Fields) -> str:
    """Invoices had flags instead of a status before 2018-11-08. Source: Stripe's API upgrades."""
    if fields.flag("paid"):
        return "paid"
    if fields.flag("forgiven"):
        return "uncollectible"
    if fields.flag("closed"):
        return "void"
    return "open" if fields.flag("attempted") else "draft"


def _payments(stripe_invoice: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the payments of an invoice that was fetched with `expand=["payments"]`, each once."""
    payments = Fields(stripe_invoice).children("payments")
    return list({payment.require_id(): payment.values for payment in payments}.values())


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
    lines = fields.children("lines")
    of_terms = [line for line in lines if not _is_one_time(line)]
    periods = [line.child("period") for line in of_terms or lines]
    starts = present(period.moment("start") for period in periods)
    ends = present(period.moment("end") for period in periods)
    if not starts or not ends:
        return fields.moment("period_start"), fields.moment("period_end")
    return min(starts), max(ends)


def _is_one_time(line: Fields) -> bool:
    item = line.child("parent", "invoice_item_details")
    return bool(item.values) and not item.flag("proration")


async def _with_whole_lists(
    stripe: "StripeGateway", stripe_object: Mapping[str, Any]
) -> Mapping[str, Any]:
    """A response carries ten lines and ten payments at most."""
    whole = {**stripe_object}
    fetch = {"lines": stripe.list_invoice_lines, "payments": stripe.list_invoice_payments}
    for name, fetch_all in fetch.items():
        included = Fields(stripe_object).child(name)
        if included.flag("has_more"):
            found = await fetch_all(stripe_object["id"])
            whole[name] = {**included.values, "data": found, "has_more": False}
    return whole


def _invoice_payment_intent(fields: Fields) -> str | None:
    """Return the payment intent that paid the invoice, or with which it is to be paid."""
    payments = fields.children("payments")
    for status in ("paid", "open"):
        for payment in payments:
            if payment.text("status") == status:
                return payment.child("payment").reference("payment_intent")
    return fields.reference("payment_intent") or _confirmed_payment_intent(fields)


def _confirmed_payment_intent(fields: Fields) -> str | None:
    """Return the payment intent whose client secret is given: `pi_..._secret_...`."""
    secret = fields.child("confirmation_secret").text("client_secret") or ""
    payment_intent, found, _ = secret.partition("_secret_")
    return payment_intent if found and payment_intent.startswith("pi_") else None


def _lock_keys(facts: InvoiceFacts) -> Iterable[LockKey]:
    yield ("in", facts.object_id)
    if facts.stripe_subscription_id:
        yield ("sub", facts.stripe_subscription_id)


def _columns(facts: InvoiceFacts) -> Mapping[str, Any]:
    """Return mPanel's columns; its own numbers are INV-<year>-<number>, ours are Stripe's ids.

    Its subtotal is the total without tax, after discounts. Stripe's is before discounts, and
    contains the taxes that are part of the prices.
    """
    number = facts.object_id
    if len(number) > _LONGEST_NUMBER or not number.startswith("in_"):
        number = f"in_{hashlib.sha256(number.encode()).hexdigest()[:40]}"
    total = to_hundredths(facts.total, facts.currency)
    tax = to_hundredths(sum_of_taxes(facts.taxes), facts.currency)
    return {
        "invoice_number": number,
        "status": _MPANEL_STATUS[facts.stripe_status],
        "subtotal": total - tax,
        "tax_rate": _effective_rate(total - tax, tax),
        "tax_amount": tax,
        "total": total,
    }


_RATE = Decimal("0.0001")
_LARGEST_RATE = Decimal("9.9999")


def _effective_rate(subtotal: Decimal, tax: Decimal) -> Decimal:
    """Return what was taxed of the subtotal; several rates, and what is exempt, make it one."""
    if subtotal <= 0 or tax <= 0:
        return Decimal(0)
    return min((tax / subtotal).quantize(_RATE, ROUND_HALF_UP), _LARGEST_RATE)


_LINKS = ("stripe_subscription_id", "stripe_customer_id")
"""What the mirror keeps, though a later snapshot may not name it."""

_LEFT_OUT = IDENTITY | {
    "hosted_invoice_url": "Stripe words it differently in each response",
    "invoice_pdf": "Stripe words it differently in each response",
    "stripe_payment_intent_id": "comes from the invoice's payments, which are compared",
    "stripe_created": "never changes",
    "lines_complete": "says whether lines can be missing here",
}
_COMPARED = compared_fields(InvoiceFacts, _LEFT_OUT | dict.fromkeys((*_LINKS, "total"), ""))
_MPANEL = ("status", "subtotal", "tax_rate", "tax_amount", "total")


def _differences(facts: InvoiceFacts, row: Row) -> Iterable[Difference]:
    links = [name for name in _LINKS if getattr(facts, name) is not None]
    yield from differing_fields(facts, row, [*_COMPARED, *links])
    columns = {**_columns(facts), "status": _expected_status(facts, row)}
    for name in _MPANEL:
        found = columns[name] if name == "status" else min(columns[name], LARGEST_IN_MPANEL)
        if row[name] != found:
            yield Difference(name, as_text(row[name]), as_text(found))


def _expected_status(facts: InvoiceFacts, row: Row) -> str:
    """Return mPanel's status: `refunded` if all of a paid invoice was given back."""
    status = _MPANEL_STATUS[facts.stripe_status]
    given_back = row["amount_refunded"] + row["amount_credited"]
    is_all = 0 < facts.amount_invoiced <= given_back
    return "refunded" if status == "paid" and is_all else status


def _buried(row: Row) -> Mapping[str, Any] | None:
    """Only drafts can be deleted; the event that said so was lost."""
    if row["stripe_status"] != "draft":
        return None
    return {
        "object": "invoice",
        "id": row["object_id"],
        "deleted": True,
        "currency": row["currency"],
        "customer": row["stripe_customer_id"],
        "created": int(row["stripe_created"].timestamp()),
        "subscription": row["stripe_subscription_id"],
    }


INVOICE = MirroredType(
    object_type="invoice",
    id_prefixes=("in",),
    event_types=frozenset(
        {
            "invoice.created",
            "invoice.deleted",
            "invoice.finalized",
            "invoice.finalization_failed",
            "invoice.updated",
            "invoice.paid",
            "invoice.payment_succeeded",
            "invoice.payment_failed",
            "invoice.payment_action_required",
            "invoice.voided",
            "invoice.marked_uncollectible",
        }
    ),
    read=_read,
    stored_state=lambda row: _state(row["stripe_status"], row["attempt_count"], row["amount_paid"]),
    lock_keys=_lock_keys,
    query_file="invoices",
    resource=Resource("/v1/invoices", expand=("payments",)),
    comparison=Comparison(
        table="invoices",
        left_out=_LEFT_OUT,
        differences=_differences,
        summary=lambda facts: facts.stripe_status,
        buried=_buried,
    ),
    columns=_columns,
    contained=_payments,
    complete=_with_whole_lists,
)
