"""Disputes: chargebacks, and the inquiries that may precede one."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from mpanel_billing.mirror.differences import IDENTITY, compared_fields, differing_fields
from mpanel_billing.mirror.facts import State
from mpanel_billing.mirror.mirrored_type import Comparison, LockKey, MirroredType
from mpanel_billing.mirror.reading import Fields, currency_code, one_of, require
from mpanel_billing.stripe_gateway.objects import Resource


class DisputeFacts(NamedTuple):
    """A dispute in minor units of `currency`; the fee is in that of the account."""

    object_id: str
    livemode: bool
    stripe_charge_id: str
    stripe_payment_intent_id: str | None
    status: str
    reason: str
    amount: int
    currency: str
    fee: int
    fee_currency: str | None
    movements: int
    is_charge_refundable: bool
    evidence_due_at: datetime | None
    has_evidence: bool
    submissions: int
    stripe_created: datetime

    @property
    def state(self) -> State:
        """How far it has come."""
        return _state(self.status, self.movements, self.submissions)


_STATUS_RANK = {
    "warning_needs_response": 0,
    "warning_under_review": 1,
    "needs_response": 2,
    "under_review": 3,
    # an appeal follows a dispute that was lost, and may be lost too: then Stripe is asked
    "lost": 4,
    "appeal_needs_response": 4,
    "appeal_under_review": 4,
    "won": 5,
    "warning_closed": 5,
    "prevented": 5,
}
_FINAL = frozenset({"won", "warning_closed", "prevented"})


def _state(status: str, movements: int, submissions: int) -> State:
    return State(status in _FINAL, (_STATUS_RANK[status], movements, submissions))


def _read(fields: Fields, livemode: bool) -> DisputeFacts:
    details = fields.child("evidence_details")
    moved = fields.children("balance_transactions")
    return DisputeFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        stripe_charge_id=require(fields.reference("charge"), "charge"),
        stripe_payment_intent_id=fields.reference("payment_intent"),
        status=one_of(fields, "status", frozenset(_STATUS_RANK)),
        reason=require(fields.text("reason"), "reason"),
        amount=require(fields.whole("amount"), "amount"),
        currency=currency_code(fields.text("currency")),
        fee=sum(one.whole("fee") or 0 for one in moved),
        fee_currency=_fee_currency(moved),
        movements=len(moved),
        is_charge_refundable=fields.flag("is_charge_refundable"),
        evidence_due_at=details.moment("due_by"),
        has_evidence=details.flag("has_evidence"),
        submissions=details.whole("submission_count") or 0,
        stripe_created=require(fields.moment("created"), "created"),
    )


def _fee_currency(moved: Sequence[Fields]) -> str | None:
    return currency_code(moved[0].text("currency")) if moved else None


def _lock_keys(facts: DisputeFacts) -> Iterable[LockKey]:
    yield ("du", facts.object_id)
    if facts.stripe_payment_intent_id is not None:
        yield ("pi", facts.stripe_payment_intent_id)


_LEFT_OUT = IDENTITY | {"stripe_created": "never changes"}
_COMPARED = compared_fields(DisputeFacts, _LEFT_OUT)

DISPUTE = MirroredType(
    object_type="dispute",
    id_prefixes=("du", "dp"),
    event_types=frozenset(
        {
            "charge.dispute.closed",
            "charge.dispute.created",
            "charge.dispute.funds_reinstated",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.updated",
        }
    ),
    read=_read,
    stored_state=lambda row: _state(row["status"], row["movements"], row["submissions"]),
    lock_keys=_lock_keys,
    query_file="disputes",
    resource=Resource("/v1/disputes"),
    comparison=Comparison(
        table="stripe_disputes",
        left_out=_LEFT_OUT,
        differences=lambda facts, row: differing_fields(facts, row, _COMPARED),
        summary=lambda facts: facts.status,
    ),
)
