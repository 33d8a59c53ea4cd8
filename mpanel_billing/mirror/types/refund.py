"""Refunds."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from mpanel_billing.mirror.differences import IDENTITY, compared_fields, differing_fields
from mpanel_billing.mirror.facts import State
from mpanel_billing.mirror.mirrored_type import Comparison, LockKey, MirroredType
from mpanel_billing.mirror.reading import (
    Fields,
    currency_code,
    one_of,
    require,
)
from mpanel_billing.stripe_gateway.objects import Resource


class RefundFacts(NamedTuple):
    """Money given back of one payment."""

    object_id: str
    livemode: bool
    stripe_payment_intent_id: str | None
    stripe_charge_id: str | None
    amount: int
    currency: str
    status: str
    reason: str | None
    failure_reason: str | None
    stripe_created: datetime

    @property
    def state(self) -> State:
        """How far it has come."""
        return _state(self.status)


NOTHING_GIVEN = frozenset({"failed", "canceled"})
"""The final statuses of a refund that gave nothing back."""

_STATUS_RANK = {"pending": 0, "requires_action": 0, "succeeded": 1, "failed": 2, "canceled": 2}

_STATUSES = frozenset(_STATUS_RANK)


def _state(status: str) -> State:
    """Even a refund that has succeeded may be returned by the bank."""
    return State(status in NOTHING_GIVEN, (_STATUS_RANK[status],))


def _read(fields: Fields, livemode: bool) -> RefundFacts:
    return RefundFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        stripe_payment_intent_id=fields.reference("payment_intent"),
        stripe_charge_id=fields.reference("charge"),
        amount=require(fields.whole("amount"), "amount"),
        currency=currency_code(fields.text("currency")),
        status=one_of(fields, "status", _STATUSES),
        reason=fields.text("reason"),
        failure_reason=fields.text("failure_reason"),
        stripe_created=require(fields.moment("created"), "created"),
    )


def _lock_keys(facts: RefundFacts) -> Iterable[LockKey]:
    yield ("re", facts.object_id)
    if facts.stripe_payment_intent_id is not None:
        yield ("pi", facts.stripe_payment_intent_id)


_LEFT_OUT = IDENTITY | {"stripe_created": "never changes"}
_COMPARED = compared_fields(RefundFacts, _LEFT_OUT)

REFUND = MirroredType(
    object_type="refund",
    id_prefixes=("re",),
    event_types=frozenset({"refund.created", "refund.updated", "refund.failed"}),
    read=_read,
    stored_state=lambda row: _state(row["status"]),
    lock_keys=_lock_keys,
    query_file="refunds",
    resource=Resource("/v1/refunds"),
    comparison=Comparison(
        table="stripe_refunds",
        left_out=_LEFT_OUT,
        differences=lambda facts, row: differing_fields(facts, row, _COMPARED),
        summary=lambda facts: facts.status,
    ),
)
