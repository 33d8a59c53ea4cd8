"""Bodies of /api/admin/provisioning, /subscriptions and /prices."""

from typing import Annotated
from uuid import UUID

from pydantic import Field, StrictBool

from mpanel_billing.http.schemas.base import (
    ONLY_NUMBERS,
    GivenMoment,
    Moment,
    Reason,
    Response,
    Schema,
    StrictRequest,
)
from mpanel_billing.provisioning.leniency import MOST_GRACE_DAYS
from mpanel_billing.provisioning.timeline import TimelineEntry


class SuspendRequest(StrictRequest):
    """Why all services of a subscription are suspended."""

    reason: Reason


class LeniencyRequest(StrictRequest):
    """What is agreed about suspension for a debt: `graceDays`, `notBefore` or both, and why.

    `wholeCustomer`: for all subscriptions of the customer.
    """

    reason: Reason
    grace_days: Annotated[int, Field(ge=0, le=MOST_GRACE_DAYS), ONLY_NUMBERS] | None = None
    not_before: GivenMoment | None = None
    whole_customer: StrictBool = False


class IgnorePriceRequest(StrictRequest):
    """Why items at the price give nothing."""

    reason: Reason


class EndLeniencyRequest(StrictRequest):
    """Which agreement ends: the subscription's own, or its whole customer's."""

    whole_customer: StrictBool = False


class AdoptRequest(StrictRequest):
    """The ended tenant whose accounts the subscription is to have."""

    tenant_id: UUID


class ReviveRequest(StrictRequest):
    """Whether the customer gets no discount any more, such as one that cannot be copied."""

    without_discounts: StrictBool = False


class KeepPaymentRequest(StrictRequest):
    """What was agreed about a payment that was made after the end."""

    reason: Reason


class StuckSubscriptionSchema(Schema):
    """A subscription whose services are not in their desired state."""

    subscription_id: UUID
    stripe_subscription_id: str | None
    status: str
    stripe_status: str | None
    domain: str | None
    attempts: int
    error: str
    wake_at: Moment | None
    hold_reason: str | None
    unfinished: bool


class HoldSchema(Schema):
    """A suspension by an operator."""

    subscription_id: UUID
    reason: str
    placed_by: str
    placed_at: Moment


class LeniencySchema(Schema):
    """What was agreed with the subscription, or with its customer, about suspension for a debt."""

    whole_customer: bool
    grace_days: int | None
    not_before: Moment | None
    reason: str
    set_by: str
    set_at: Moment


class ServiceSchema(Schema):
    """A service of a subscription: its desired and its actual state."""

    product_type: str
    desired: str
    actual: str
    driver: str
    server: str | None
    external_ref: str | None
    pending_action: str | None
    stopped: str | None
    suspended_by_service: str | None
    attempts: int
    last_error: str | None
    next_attempt_at: Moment | None


class TimelineEntrySchema(Schema):
    """An entry of the timeline."""

    at: Moment
    kind: str
    what: str
    detail: str | None

    @classmethod
    def of(cls, entry: TimelineEntry) -> "TimelineEntrySchema":
        """Make it from an entry."""
        return cls(at=entry.at, kind=entry.kind, what=entry.what, detail=entry.detail)


class StuckResponse(Response):
    """Stuck subscriptions, and suspensions by operators that are in force."""

    stuck: tuple[StuckSubscriptionSchema, ...]
    holds: tuple[HoldSchema, ...]


class RetriedResponse(Response):
    """How many subscriptions will be retried."""

    retried: int


class TimelineResponse(Response):
    """A subscription's history, oldest first, its services, and the agreements about suspension."""

    subscription_id: UUID
    services: tuple[ServiceSchema, ...]
    leniency: tuple[LeniencySchema, ...]
    timeline: tuple[TimelineEntrySchema, ...]


class SubscriptionDoneResponse(Response):
    """The subscription that was changed."""

    subscription_id: UUID


class KeptPaymentSchema(Schema):
    """What is kept of an invoice; `amount` is in minor units of `currency`."""

    invoice_id: str
    amount: int
    currency: str


class KeptPaymentsResponse(Response):
    """The payments after the end that are settled now."""

    subscription_id: UUID
    payments: tuple[KeptPaymentSchema, ...]


class RevivedResponse(Response):
    """The subscription that takes over; `changed` is false if it was there before."""

    subscription_id: UUID
    stripe_subscription_id: str
    changed: bool


class CollectedDraftResponse(Response):
    """The invoice that was a draft: its id and its status at Stripe."""

    subscription_id: UUID
    invoice_id: str
    status: str


class PriceDoneResponse(Response):
    """How many subscriptions are checked again because of the price."""

    checked: int
