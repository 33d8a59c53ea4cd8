"""Charges: what was taken, or declined, with the card."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from mpanel_billing.mirror.differences import (
    IDENTITY,
    Difference,
    compared_fields,
    differing_fields,
)
from mpanel_billing.mirror.facts import State
from mpanel_billing.mirror.mirrored_type import Comparison, LockKey, MirroredType, Person, Row
from mpanel_billing.mirror.reading import Fields, currency_code, one_of, require
from mpanel_billing.mirror.types.declines import reason_in_words
from mpanel_billing.stripe_gateway.objects import Resource


class ChargeFacts(NamedTuple):
    """A charge in minor units of `currency`; without a card, the fields of the card are None."""

    object_id: str
    livemode: bool
    stripe_payment_intent_id: str | None
    stripe_customer_id: str | None
    amount: int
    amount_captured: int
    amount_refunded: int
    currency: str
    status: str
    failure_code: str | None
    decline_code: str | None
    decline_reason: str | None
    card_brand: str | None
    card_last4: str | None
    card_exp_month: int | None
    card_exp_year: int | None
    stripe_created: datetime

    @property
    def state(self) -> State:
        """How far it has come."""
        return _state(self.status, self.amount_captured)


_STATUS_RANK = {"pending": 0, "succeeded": 1, "failed": 1}


def _state(status: str, captured: int) -> State:
    """What was refunded is no progress: it falls again if a refund fails."""
    return State(status == "failed", (_STATUS_RANK[status], captured))


def _read(fields: Fields, livemode: bool) -> ChargeFacts:
    card = fields.child("payment_method_details", "card")
    failure = fields.text("failure_code")
    decline = _decline_code(fields)
    amount = require(fields.whole("amount"), "amount")
    captured = fields.whole("amount_captured")
    return ChargeFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        stripe_payment_intent_id=fields.reference("payment_intent"),
        stripe_customer_id=fields.reference("customer"),
        amount=amount,
        amount_captured=(amount if fields.flag("captured") else 0)
        if captured is None
        else captured,
        amount_refunded=fields.whole("amount_refunded") or 0,
        currency=currency_code(fields.text("currency")),
        status=one_of(fields, "status", frozenset(_STATUS_RANK)),
        failure_code=failure,
        decline_code=decline,
        decline_reason=reason_in_words(failure, decline, fields.text("failure_message")),
        card_brand=card.text("brand"),
        card_last4=card.text("last4"),
        card_exp_month=card.whole("exp_month"),
        card_exp_year=card.whole("exp_year"),
        stripe_created=require(fields.moment("created"), "created"),
    )


def _decline_code(fields: Fields) -> str | None:
    """Return the bank's or Radar's reason; that of a charge that succeeded is no decline."""
    return fields.child("outcome").text("reason") if fields.text("failure_code") else None


def _lock_keys(facts: ChargeFacts) -> Iterable[LockKey]:
    yield ("ch", facts.object_id)


def _person(facts: ChargeFacts) -> Person | None:
    if facts.stripe_customer_id is None or facts.card_last4 is None:
        return None
    return Person(facts.stripe_customer_id)


def _anonymous(facts: ChargeFacts) -> ChargeFacts:
    return facts._replace(card_last4=None)


_LEFT_OUT = IDENTITY | {"stripe_created": "never changes"}
_COMPARED = compared_fields(ChargeFacts, _LEFT_OUT)


def _differences(facts: ChargeFacts, row: Row) -> Iterable[Difference]:
    """What was erased is no difference."""
    known = facts if row["card_last4"] is not None else _anonymous(facts)
    return differing_fields(known, row, _COMPARED)


CHARGE = MirroredType(
    object_type="charge",
    id_prefixes=("ch", "py"),
    # not charge.updated, which Stripe sends for each: it changes nothing that is mirrored, but
    # after a failed refund, whose event has the charge fetched
    event_types=frozenset(
        {
            "charge.captured",
            "charge.expired",
            "charge.failed",
            "charge.pending",
            "charge.refunded",
            "charge.succeeded",
        }
    ),
    read=_read,
    stored_state=lambda row: _state(row["status"], row["amount_captured"]),
    lock_keys=_lock_keys,
    query_file="stripe_charges",
    resource=Resource("/v1/charges"),
    comparison=Comparison(
        table="stripe_charges",
        left_out=_LEFT_OUT,
        differences=_differences,
        summary=lambda facts: facts.status,
    ),
    person=_person,
    anonymous=_anonymous,
)
