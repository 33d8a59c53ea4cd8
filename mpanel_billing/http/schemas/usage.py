"""Bodies for usage that is billed."""

from collections.abc import Sequence
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from mpanel_billing.catalogue.usage import Aggregation, AtLimit
from mpanel_billing.http.schemas.base import (
    ONLY_NUMBERS,
    GivenMoment,
    Id,
    Moment,
    OwnerRequest,
    Reason,
    Response,
    Schema,
    StrictRequest,
)
from mpanel_billing.usage.current import CurrentUsage
from mpanel_billing.usage.model import Record
from mpanel_billing.usage.records import MOST_RECORDS, Outcome

LARGEST_QUANTITY = 10**12


class UsageRecordRequest(StrictRequest):
    """How much a subscription has used of a meter, and when."""

    id: Id = Field(
        description="Yours: the same record again is not counted again.",
        examples=["web3-2027-01-31T14-7f0c"],
    )
    subscription_id: UUID
    meter: Annotated[str, Field(min_length=1, max_length=60)] = Field(
        description="As the catalogue names it.", examples=["traffic_gb"]
    )
    quantity: Annotated[int, Field(ge=-LARGEST_QUANTITY, le=LARGEST_QUANTITY), ONLY_NUMBERS] = (
        Field(description="In the unit of the add-on; negative takes back what was too much.")
    )
    timestamp: GivenMoment = Field(
        description="When it was used: at most 35 days ago, and 5 minutes ahead.",
        examples=["2027-01-31T14:00:00Z"],
    )

    def to_record(self) -> Record:
        """Return the record."""
        return Record(self.id, self.subscription_id, self.meter, self.quantity, self.timestamp)


class UsageRequest(OwnerRequest):
    """Usage to be billed; with a customer, only of that one's subscriptions."""

    records: Annotated[tuple[UsageRecordRequest, ...], Field(min_length=1, max_length=MOST_RECORDS)]


class UsageResultSchema(Schema):
    """What became of a record: `stored` or `duplicate`, or why it is not counted."""

    id: str
    status: Outcome


class UsageResponse(Response):
    """What became of each record, in the order of the request; `stored` counts the new ones."""

    stored: int
    results: tuple[UsageResultSchema, ...]

    @classmethod
    def of(cls, records: Sequence[UsageRecordRequest], outcomes: Sequence[Outcome]) -> Self:
        """Build the response from the records and what became of them."""
        results = [
            UsageResultSchema(id=record.id, status=outcome)
            for record, outcome in zip(records, outcomes, strict=True)
        ]
        return cls(stored=outcomes.count("stored"), results=tuple(results))


class UsageLimitSchema(Schema):
    """The limit of a term; `suspends`: the services are suspended for it now.

    `liftedAt`: when an operator let it go on for the rest of the term.
    """

    quantity: int
    action: AtLimit
    is_reached: bool
    suspends: bool
    lifted_at: Moment | None

    @classmethod
    def of(cls, used: CurrentUsage) -> Self | None:
        """Build the object from what was used; None if that has no limit."""
        if used.most is None or used.action is None:
            return None
        return cls(
            quantity=used.most,
            action=used.action,
            is_reached=used.is_limit_reached,
            suspends=used.suspends,
            lifted_at=used.lifted_at,
        )


class CurrentUsageSchema(Schema):
    """What was used of a meter in the present term, in units of the add-on.

    The costs are in minor units, before discounts and taxes.
    """

    meter: str
    aggregation: Aggregation
    product_id: str
    name: str
    unit: str
    included: int
    term_start: Moment
    term_end: Moment
    quantity: int = Field(description="What was reported and will be billed.")
    cost: int
    forecast: int = Field(description="What it comes to if it goes on like that.")
    forecast_cost: int
    currency: str
    waiting: int = Field(description="Meter events that Stripe was not told yet.")
    unbilled: int = Field(description="Meter events that Stripe will not bill.")
    limit: UsageLimitSchema | None

    @classmethod
    def of(cls, used: CurrentUsage) -> Self:
        """Build the object from what was used."""
        return cls(
            meter=used.meter,
            aggregation=used.aggregation,
            product_id=used.product_code,
            name=used.product_name,
            unit=used.unit,
            included=used.included,
            term_start=used.term_start,
            term_end=used.term_end,
            quantity=used.quantity,
            cost=used.cost,
            forecast=used.forecast,
            forecast_cost=used.forecast_cost,
            currency=used.currency,
            waiting=used.waiting,
            unbilled=used.unbilled,
            limit=UsageLimitSchema.of(used),
        )


class CurrentUsageResponse(Response):
    """What a subscription has used in its present term, one for each meter."""

    usage: tuple[CurrentUsageSchema, ...]


class LiftLimitRequest(OwnerRequest):
    """Why a subscription may go on, for the record."""

    reason: Reason


class LiftedLimitResponse(Response):
    """The meters whose limit does not suspend the subscription until its next term."""

    meters: tuple[str, ...] = Field(
        description="As the catalogue names them.", examples=[["traffic_gb"]]
    )
