"""Early fraud warnings: a bank reports a charge as fraud, before anyone disputes it."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from mpanel_billing.mirror.differences import IDENTITY, compared_fields, differing_fields
from mpanel_billing.mirror.facts import State
from mpanel_billing.mirror.mirrored_type import Comparison, LockKey, MirroredType
from mpanel_billing.mirror.reading import Fields, require
from mpanel_billing.stripe_gateway.objects import Resource


class FraudWarningFacts(NamedTuple):
    """A report of fraud; `actionable` until the charge is refunded in full or disputed."""

    object_id: str
    livemode: bool
    stripe_charge_id: str
    stripe_payment_intent_id: str | None
    fraud_type: str
    actionable: bool
    stripe_created: datetime

    @property
    def state(self) -> State:
        """How far it has come."""
        return _state(self.actionable)


def _state(actionable: bool) -> State:
    return State(not actionable, (int(not actionable),))


def _read(fields: Fields, livemode: bool) -> FraudWarningFacts:
    return FraudWarningFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        stripe_charge_id=require(fields.reference("charge"), "charge"),
        stripe_payment_intent_id=fields.reference("payment_intent"),
        fraud_type=require(fields.text("fraud_type"), "fraud_type"),
        actionable=fields.flag("actionable"),
        stripe_created=require(fields.moment("created"), "created"),
    )


def _lock_keys(facts: FraudWarningFacts) -> Iterable[LockKey]:
    yield ("issfr", facts.object_id)


_LEFT_OUT = IDENTITY | {"stripe_created": "never changes"}
_COMPARED = compared_fields(FraudWarningFacts, _LEFT_OUT)

FRAUD_WARNING = MirroredType(
    object_type="radar.early_fraud_warning",
    id_prefixes=("issfr",),
    event_types=frozenset(
        {"radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"}
    ),
    read=_read,
    stored_state=lambda row: _state(row["actionable"]),
    lock_keys=_lock_keys,
    query_file="fraud_warnings",
    resource=Resource("/v1/radar/early_fraud_warnings"),
    comparison=Comparison(
        table="stripe_fraud_warnings",
        left_out=_LEFT_OUT,
        differences=lambda facts, row: differing_fields(facts, row, _COMPARED),
        summary=lambda facts: facts.fraud_type,
    ),
)
