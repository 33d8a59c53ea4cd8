"""Bodies of the routes that change a plan. Amounts are in minor units, times in UTC."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import BeforeValidator, Field
from pydantic.alias_generators import to_camel

from mpanel_billing.access.signed import LONGEST_TOKEN
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.http.schemas.base import Id, Moment, OwnerRequest, Response, Schema
from mpanel_billing.http.schemas.subscriptions import (
    ChargeSchema,
    SubscriptionChangeResponse,
    SubscriptionSchema,
)
from mpanel_billing.stripe_gateway.subscriptions import PreviewLine
from mpanel_billing.subscriptions.change_plan import PlanChangePreview
from mpanel_billing.subscriptions.item_changes import Proration
from mpanel_billing.subscriptions.lifecycle import Changed
from mpanel_billing.subscriptions.promise import SignedPromise
from mpanel_billing.subscriptions.timing import When

MOST_ADDONS = 50

Cycle = Annotated[str, Field(min_length=1, max_length=40)]
Addons = Annotated[tuple[Id, ...], Field(max_length=MOST_ADDONS)]
Quantities = Annotated[
    dict[Id, int],
    Field(
        max_length=MOST_ADDONS + 1,
        description="How many of the plan or of an add-on, by its id; others keep their number.",
    ),
]


class PreviewRequest(OwnerRequest):
    """What to change a subscription to; without `addonIds` it keeps its add-ons."""

    plan_id: Id
    billing_cycle: Cycle
    addon_ids: Addons | None = None
    quantities: Quantities = Field(default_factory=dict)
    proration_behavior: Proration = "always_invoice"
    when: When | None = None


def _refuse_date(_: object) -> None:
    msg = "is no longer taken: preview the change, and send the previewToken of the response"
    raise ValueError(msg)


class ChangePlanRequest(OwnerRequest):
    """The token of a preview, or what to change a subscription to now, at the present prices.

    With `payFirst` what is unpaid of the running term is charged before. With `awaitConfirmation` a
    change whose payment fails or needs the customer waits for them; else it is refused (402).
    """

    preview_token: Annotated[str, Field(min_length=1, max_length=LONGEST_TOKEN)] | None = None
    plan_id: Id | None = None
    billing_cycle: Cycle | None = None
    addon_ids: Addons | None = None
    quantities: Quantities | None = None
    proration_behavior: Proration | None = None
    when: When | None = None
    pay_first: Annotated[bool, Field(strict=True)] = False
    await_confirmation: Annotated[bool, Field(strict=True)] = False
    proration_date: Annotated[
        None,
        BeforeValidator(_refuse_date),
        Field(deprecated=True, description="No longer taken: send `previewToken`."),
    ] = None

    def require_plan(self) -> tuple[str, str]:
        """Return plan and term of a request without a token; InvalidRequestError if one lacks."""
        if self.plan_id and self.billing_cycle:
            return self.plan_id, self.billing_cycle
        missing = "billingCycle" if self.plan_id else "planId"
        raise InvalidRequestError(
            f"Please send previewToken, or {missing}.", fields={missing: "is missing"}
        )

    def require_only_token(self) -> None:
        """Refuse anything that the token has already; InvalidRequestError."""
        pinned = {
            "plan_id",
            "billing_cycle",
            "addon_ids",
            "quantities",
            "proration_behavior",
            "when",
        }
        if twice := sorted(pinned & self.model_fields_set):
            names = [to_camel(name) for name in twice]
            raise InvalidRequestError(
                f"The previewToken has the change: please leave out {', '.join(names)}.",
                fields=dict.fromkeys(names, "is in the previewToken"),
            )


class ConfirmationSchema(Schema):
    """Where the customer pays a change that waits for them, until `expiresAt`."""

    url: str
    amount: int
    currency: str
    expires_at: Moment


class PlanChangeResponse(SubscriptionChangeResponse):
    """A subscription after a change of plan; while that waits for `confirmation`, as it was."""

    confirmation: ConfirmationSchema | None

    @classmethod
    def of(cls, result: Changed) -> Self:
        """Build the response from the result of a change."""
        waits = result.confirmation
        return cls(
            subscription=SubscriptionSchema.of(result.subscription),
            changed=result.changed,
            confirmation=ConfirmationSchema(
                url=waits.url,
                amount=waits.amount,
                currency=waits.currency,
                expires_at=waits.expires_at,
            )
            if waits
            else None,
        )


class UndoChangeRequest(OwnerRequest):
    """The subscription's owner."""


class PreviewLineSchema(Schema):
    """A line of the upcoming invoice; credits are negative.

    `amount` is before its `discount`. `gross` is `net` and `tax`, whether the price contains that
    or not; those of all lines are the total of the invoice.
    """

    description: str
    amount: int
    discount: int
    net: int
    tax: int
    gross: int
    proration: bool
    period_start: Moment
    period_end: Moment

    @classmethod
    def of(cls, line: PreviewLine) -> Self:
        """Build the object from a line of a preview."""
        return cls(
            description=line.description,
            amount=line.amount,
            discount=line.discount,
            net=line.net,
            tax=line.tax,
            gross=line.gross,
            proration=line.proration,
            period_start=line.period_start,
            period_end=line.period_end,
        )


class UnpaidSchema(Schema):
    """What is unpaid of the running term, and whether a payment for it is under way."""

    amount: int
    currency: str
    processing: bool


class PlanChangePreviewResponse(Response):
    """What a change would cost; see docs/billing-api.md.

    `previewToken` makes the change as it was previewed, until `validUntil`, or not at all.
    """

    subscription_id: UUID
    changes: bool
    currency: str
    due_now: int
    credited: int
    lines: tuple[PreviewLineSchema, ...]
    tax: int
    next_charge: ChargeSchema | None
    recurring: int
    proration_behavior: Proration
    proration_date: Moment | None
    effective_at: Moment | None
    unpaid: UnpaidSchema | None
    preview_token: str
    valid_until: Moment

    @classmethod
    def of(cls, previewed: PlanChangePreview, signed: SignedPromise) -> Self:
        """Build the response from a preview and its signed promise."""
        preview, promise, unpaid = previewed.preview, previewed.promise, previewed.unpaid
        following = preview.next
        return cls(
            subscription_id=promise.subscription_id,
            changes=preview.changes,
            currency=preview.currency,
            due_now=preview.due_now,
            credited=preview.credited,
            lines=tuple(
                PreviewLineSchema.of(line)
                for line in (preview.invoice.lines if preview.invoice else ())
            ),
            tax=preview.invoice.added_tax if preview.invoice else 0,
            next_charge=ChargeSchema(
                amount=following.amount, currency=preview.currency, at=following.at
            )
            if following
            else None,
            recurring=preview.recurring,
            proration_behavior=promise.plan.proration,
            proration_date=preview.at,
            effective_at=preview.effective_at,
            unpaid=UnpaidSchema(
                amount=unpaid.amount, currency=unpaid.currency, processing=unpaid.is_processing
            )
            if unpaid
            else None,
            preview_token=signed.token,
            valid_until=signed.valid_until,
        )
