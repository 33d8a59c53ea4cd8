"""Credit notes."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from mpanel_billing.mirror.differences import (
    IDENTITY,
    Difference,
    compared_fields,
    differing_fields,
)
from mpanel_billing.mirror.facts import State
from mpanel_billing.mirror.mirrored_type import Comparison, LockKey, MirroredType, Person, Row
from mpanel_billing.mirror.reading import Fields, currency_code, one_of, require
from mpanel_billing.mirror.taxes import Taxes, read_taxes
from mpanel_billing.stripe_gateway.objects import Resource


class CreditNoteFacts(NamedTuple):
    """What was taken off an invoice, in minor units of `currency`.

    `amount` is the sum of the other amounts: what lowered an invoice before its payment, and what
    was given back after it, by refunds, to the customer's balance, or outside of Stripe.
    """

    object_id: str
    livemode: bool
    stripe_invoice_id: str
    stripe_customer_id: str | None
    stripe_number: str | None
    status: str
    amount: int
    amount_before_payment: int
    amount_refunded: int
    amount_to_balance: int
    amount_out_of_band: int
    refunds: list[dict[str, Any]] | None
    taxes: Taxes | None
    voided_at: datetime | None
    currency: str
    reason: str | None
    memo: str | None
    pdf: str | None
    stripe_created: datetime

    @property
    def state(self) -> State:
        """How far it has come."""
        return _state(self.status)


_STATUS_RANK = {"issued": 0, "void": 1}


def _state(status: str) -> State:
    return State(status == "void", (_STATUS_RANK[status],))


def _read(fields: Fields, livemode: bool) -> CreditNoteFacts:
    total = fields.whole("total")
    total = require(fields.whole("amount") if total is None else total, "total")
    after = _after_payment(fields, total)
    out_of_band = fields.whole("out_of_band_amount") or 0
    refunded = _refunded(fields, after - out_of_band)
    return CreditNoteFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        stripe_invoice_id=require(fields.reference("invoice"), "invoice"),
        stripe_customer_id=fields.reference("customer"),
        stripe_number=fields.text("number"),
        status=one_of(fields, "status", frozenset(_STATUS_RANK)),
        amount=total,
        amount_before_payment=total - after,
        amount_refunded=refunded,
        amount_to_balance=max(after - out_of_band - refunded, 0),
        amount_out_of_band=out_of_band,
        refunds=_refunds(fields, refunded),
        taxes=read_taxes(fields, total),
        voided_at=fields.moment("voided_at"),
        currency=currency_code(fields.text("currency")),
        reason=fields.text("reason"),
        memo=fields.text("memo"),
        pdf=fields.text("pdf"),
        stripe_created=require(fields.moment("created"), "created"),
    )


def _after_payment(fields: Fields, total: int) -> int:
    """Return what was given back; older API versions name only the type of the note."""
    after = fields.whole("post_payment_amount")
    if after is None:
        return total if fields.text("type") == "post_payment" else 0
    return after


def _refunded(fields: Fields, given_back: int) -> int:
    """Return what its refunds give back; older API versions have one, of all that is left."""
    if fields.values.get("refunds") is None and fields.reference("refund") is not None:
        return given_back
    return sum(one.whole("amount_refunded") or 0 for one in fields.children("refunds"))


def _refunds(fields: Fields, refunded: int) -> list[dict[str, Any]] | None:
    """Return which refunds give it back, each with its part."""
    if fields.values.get("refunds") is None and (one := fields.reference("refund")) is not None:
        return [{"refund": one, "amount": refunded}]
    listed = [
        {"refund": each.reference("refund"), "amount": each.whole("amount_refunded") or 0}
        for each in fields.children("refunds")
    ]
    return listed or None


def _lock_keys(facts: CreditNoteFacts) -> Iterable[LockKey]:
    yield ("cn", facts.object_id)
    yield ("in", facts.stripe_invoice_id)


def _person(facts: CreditNoteFacts) -> Person | None:
    if facts.stripe_customer_id is None or facts.memo is None:
        return None
    return Person(facts.stripe_customer_id)


def _anonymous(facts: CreditNoteFacts) -> CreditNoteFacts:
    return facts._replace(memo=None)


_LEFT_OUT = IDENTITY | {
    "stripe_created": "never changes",
    "pdf": "Stripe words it differently in each response",
}
_COMPARED = compared_fields(CreditNoteFacts, _LEFT_OUT)


def _differences(facts: CreditNoteFacts, row: Row) -> Iterable[Difference]:
    """What was erased is no difference."""
    known = facts if row["memo"] is not None else _anonymous(facts)
    return differing_fields(known, row, _COMPARED)


CREDIT_NOTE = MirroredType(
    object_type="credit_note",
    id_prefixes=("cn",),
    event_types=frozenset({"credit_note.created", "credit_note.updated", "credit_note.voided"}),
    read=_read,
    stored_state=lambda row: _state(row["status"]),
    lock_keys=_lock_keys,
    query_file="credit_notes",
    resource=Resource("/v1/credit_notes"),
    comparison=Comparison(
        table="stripe_credit_notes",
        left_out=_LEFT_OUT,
        differences=_differences,
        summary=lambda facts: facts.status,
    ),
    person=_person,
    anonymous=_anonymous,
)
