"""Payments of invoices."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from mpanel_billing.mirror.differences import IDENTITY, compared_fields, differing_fields
from mpanel_billing.mirror.facts import State
from mpanel_billing.mirror.mirrored_type import Comparison, LockKey, MirroredType
from mpanel_billing.mirror.reading import (
    Fields,
    one_of,
    require,
)
from mpanel_billing.stripe_gateway.objects import Resource


class InvoicePaymentFacts(NamedTuple):
    """One payment of one invoice."""

    object_id: str
    stripe_invoice_id: str
    livemode: bool
    stripe_payment_intent_id: str | None
    stripe_charge_id: str | None
    amount_paid: int | None
    currency: str | None
    status: str
    stripe_created: datetime

    @property
    def state(self) -> State:
        """How far it has come."""
        return State(final=self.status != "open")


_STATUSES = frozenset({"open", "paid", "canceled"})


def _read(fields: Fields, livemode: bool) -> InvoicePaymentFacts:
    payment = fields.child("payment")
    return InvoicePaymentFacts(
        object_id=fields.require_id(),
        stripe_invoice_id=require(fields.reference("invoice"), "invoice"),
        livemode=livemode,
        stripe_payment_intent_id=payment.reference("payment_intent"),
        stripe_charge_id=payment.reference("charge"),
        amount_paid=fields.whole("amount_paid"),
        currency=fields.text("currency"),
        status=one_of(fields, "status", _STATUSES),
        stripe_created=require(fields.moment("created"), "created"),
    )


def _lock_keys(facts: InvoicePaymentFacts) -> Iterable[LockKey]:
    yield ("in", facts.stripe_invoice_id)
    if facts.stripe_payment_intent_id is not None:
        yield ("pi", facts.stripe_payment_intent_id)


_LEFT_OUT = IDENTITY | {"stripe_created": "never changes"}
_COMPARED = compared_fields(InvoicePaymentFacts, _LEFT_OUT)

INVOICE_PAYMENT = MirroredType(
    object_type="invoice_payment",
    id_prefixes=("inpay",),
    event_types=frozenset({"invoice_payment.paid"}),
    read=_read,
    stored_state=lambda row: State(final=row["status"] != "open"),
    lock_keys=_lock_keys,
    query_file="invoice_payments",
    # events are sent for paid ones only, so only these are compared
    resource=Resource("/v1/invoice_payments", list_params={"status": "paid"}),
    comparison=Comparison(
        table="invoice_payments",
        left_out=_LEFT_OUT,
        differences=lambda facts, row: differing_fields(facts, row, _COMPARED),
        summary=lambda facts: facts.status,
    ),
)
