"""Tax rates: created by hand, or made by Stripe Tax for the invoices that name them."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from mpanel_billing.mirror.differences import IDENTITY, compared_fields, differing_fields
from mpanel_billing.mirror.facts import State
from mpanel_billing.mirror.mirrored_type import Comparison, LockKey, MirroredType
from mpanel_billing.mirror.reading import Fields, require
from mpanel_billing.stripe_gateway.objects import Resource


class TaxRateFacts(NamedTuple):
    """What a tax is, whose it is, and how many percent; Stripe never changes the percentage."""

    object_id: str
    livemode: bool
    display_name: str
    tax_type: str | None
    percentage: Decimal
    inclusive: bool
    country: str | None
    state_code: str | None
    jurisdiction: str | None
    jurisdiction_level: str | None
    active: bool
    stripe_created: datetime

    @property
    def state(self) -> State:
        """Whatever changes of it may change back."""
        return State(final=False)


def _read(fields: Fields, livemode: bool) -> TaxRateFacts:
    """Read a rate; of one that a place modifies, the percentage that is charged there."""
    charged = fields.percentage("effective_percentage")
    named = fields.percentage("percentage")
    return TaxRateFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        display_name=require(fields.text("display_name"), "display_name"),
        tax_type=fields.text("tax_type"),
        percentage=require(named if charged is None else charged, "percentage"),
        inclusive=fields.flag("inclusive"),
        country=fields.text("country"),
        state_code=fields.text("state"),
        jurisdiction=fields.text("jurisdiction"),
        jurisdiction_level=fields.text("jurisdiction_level"),
        active=fields.flag("active"),
        stripe_created=require(fields.moment("created"), "created"),
    )


def _lock_keys(facts: TaxRateFacts) -> Iterable[LockKey]:
    yield ("txr", facts.object_id)


_LEFT_OUT = IDENTITY | {"stripe_created": "never changes"}
_COMPARED = compared_fields(TaxRateFacts, _LEFT_OUT)

TAX_RATE = MirroredType(
    object_type="tax_rate",
    id_prefixes=("txr",),
    event_types=frozenset({"tax_rate.created", "tax_rate.updated"}),
    read=_read,
    stored_state=lambda _: State(final=False),
    lock_keys=_lock_keys,
    query_file="tax_rates",
    resource=Resource("/v1/tax_rates"),
    comparison=Comparison(
        table="stripe_tax_rates",
        left_out=_LEFT_OUT,
        differences=lambda facts, row: differing_fields(facts, row, _COMPARED),
        summary=lambda facts: facts.display_name,
    ),
)
