"""Bodies of the routes that cancel, end, pause or resume a subscription, or change its trial.

Amounts are in minor units, times in UTC.
"""

from typing import Annotated, Self

from pydantic import Field, StringConstraints

from mpanel_billing.http.schemas.base import GivenMoment, Moment, OwnerRequest, Response, Schema
from mpanel_billing.http.schemas.plan_changes import PreviewLineSchema
from mpanel_billing.money import LARGEST_AMOUNT
from mpanel_billing.subscriptions.ending import Ending, GivenBack, UnusedTime
from mpanel_billing.subscriptions.lifecycle import Feedback
from mpanel_billing.subscriptions.pausing import PausePreview, ResumePreview, Way
from mpanel_billing.subscriptions.retention_offers import RetentionOffer
from mpanel_billing.subscriptions.trials import TrialPreview

Comment = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]

Expected = Annotated[int, Field(strict=True, ge=0, le=LARGEST_AMOUNT)]
"""What a preview has shown, in minor units."""


class CancelRequest(OwnerRequest):
    """When a subscription ends, and why."""

    at_period_end: Annotated[bool, Field(strict=True)] = True
    reason: Comment | None = None
    feedback: Feedback | None = None


class TakeOfferRequest(OwnerRequest):
    """Why the customer stays, for the record."""

    reason: Comment | None = None


class RetentionOfferSchema(Schema):
    """A coupon for a customer who stays: `duration` is Stripe's, amounts are in minor units.

    `nextCharge` is what they are charged next with it, before taxes and the balance.
    """

    coupon: str
    name: str
    percent_off: float | None
    amount_off: int | None
    currency: str
    duration: str
    duration_in_months: int | None
    next_charge: int


class RetentionOfferResponse(Response):
    """What a customer who wants to cancel is offered; null: nothing."""

    offer: RetentionOfferSchema | None

    @classmethod
    def of(cls, offer: RetentionOffer | None) -> Self:
        """Build the response from an offer."""
        if offer is None:
            return cls(offer=None)
        coupon = offer.coupon
        return cls(
            offer=RetentionOfferSchema(
                coupon=coupon.code,
                name=coupon.name,
                percent_off=None if coupon.percent_off is None else float(coupon.percent_off),
                amount_off=coupon.amount_off,
                currency=offer.currency,
                duration=coupon.duration,
                duration_in_months=coupon.duration_in_months,
                next_charge=offer.amount,
            )
        )


class PreviewEndRequest(OwnerRequest):
    """How unused time is given back: to where it was paid from, or to the customer's balance."""

    unused_time: UnusedTime = "refund"

    @property
    def ending(self) -> Ending:
        """How the subscription ends."""
        return Ending(self.unused_time)


class EndRequest(PreviewEndRequest):
    """How unused time is given back, and why the subscription ends.

    `at`, `refunded` and `credited` are those of a preview of the last fifteen minutes: exactly
    these amounts are given back, or nothing.
    """

    at: GivenMoment | None = None
    refunded: Expected | None = None
    credited: Expected | None = None
    reason: Comment | None = None
    feedback: Feedback | None = None

    @property
    def ending(self) -> Ending:
        """How the subscription ends."""
        return Ending(
            self.unused_time, self.at, self.reason, self.feedback, self.refunded, self.credited
        )


class PreviewTrialRequest(OwnerRequest):
    """When the trial ends; without `endsAt` now."""

    ends_at: GivenMoment | None = None


class TrialRequest(PreviewTrialRequest):
    """When the trial ends, and why that is changed."""

    reason: Comment


class ResumeRequest(OwnerRequest):
    """The subscription's owner."""


class ResumePreviewResponse(Response):
    """What a resumption charges now; see docs/billing-api.md.

    `dueNow` is the `total` after the customer's `balance`, which is negative for a credit.
    """

    currency: str
    due_now: int
    total_excluding_tax: int
    total_tax: int
    total: int
    balance: int
    lines: tuple[PreviewLineSchema, ...]

    @classmethod
    def of(cls, preview: ResumePreview) -> Self:
        """Build the response from a preview."""
        return cls(
            currency=preview.currency,
            due_now=preview.due_now,
            total_excluding_tax=preview.total - preview.tax,
            total_tax=preview.tax,
            total=preview.total,
            balance=preview.balance,
            lines=tuple(PreviewLineSchema.of(line) for line in preview.lines),
        )


class PreviewPauseRequest(OwnerRequest):
    """Until when to pause; see docs/billing-api.md for which subscriptions need it."""

    until: GivenMoment | None = None


class PauseRequest(PreviewPauseRequest):
    """Until when to pause a subscription, and why."""

    reason: Comment | None = None


class PausePreviewResponse(Response):
    """What a pause does: with the way `subscription`, services stop at once.

    With `collection`, they are there until `servedUntil`, and come back with the first term that
    begins after `until`. `creditsUnusedTime`: the rest of the term is taken off the next invoice.
    """

    way: Way
    served_until: Moment | None
    until: Moment | None
    credits_unused_time: bool

    @classmethod
    def of(cls, preview: PausePreview) -> Self:
        """Build the response from a preview."""
        return cls(
            way=preview.way,
            served_until=preview.served_until,
            until=preview.until,
            credits_unused_time=preview.credits,
        )


class EndPreviewResponse(Response):
    """What is given back if the subscription ends at `at`, in minor units of `currency`."""

    currency: str
    at: Moment
    refunded: int
    credited: int

    @classmethod
    def of(cls, given: GivenBack) -> Self:
        """Build the response from a preview."""
        return cls(
            currency=given.currency, at=given.at, refunded=given.refunded, credited=given.credited
        )


class TrialPreviewResponse(Response):
    """What is charged now, and when the trial ends then; null: now."""

    currency: str
    due_now: int
    ends_at: Moment | None

    @classmethod
    def of(cls, preview: TrialPreview) -> Self:
        """Build the response from a preview."""
        return cls(currency=preview.currency, due_now=preview.due_now, ends_at=preview.ends_at)
