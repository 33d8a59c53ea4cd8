"""Bodies of /api/billing/subscriptions and the portal. Amounts are in minor units, times in UTC."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Self
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator, Field, StringConstraints
from pydantic.alias_generators import to_camel

from mpanel_billing.access.signed import LONGEST_TOKEN
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.http.schemas.base import (
    Email,
    Id,
    Moment,
    OwnerRequest,
    Response,
    Schema,
)
from mpanel_billing.subscriptions import records
from mpanel_billing.subscriptions.change_plan import PlanChangePreview
from mpanel_billing.subscriptions.ending import Ending, GivenBack, UnusedTime
from mpanel_billing.subscriptions.item_changes import Proration
from mpanel_billing.subscriptions.lifecycle import Changed, Feedback
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.pausing import PausePreview, Way
from mpanel_billing.subscriptions.portal import Flow
from mpanel_billing.subscriptions.promise import SignedPromise
from mpanel_billing.subscriptions.timing import When
from mpanel_billing.subscriptions.trials import TrialPreview

MOST_ADDONS = 50

Cycle = Annotated[str, Field(min_length=1, max_length=40)]
Addons = Annotated[tuple[Id, ...], Field(max_length=MOST_ADDONS)]

Comment = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")


def _require_text(value: object) -> object:
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        return value
    msg = "must be a time with its zone, such as 2027-01-31T23:59:59Z"
    raise ValueError(msg)


Time = Annotated[AwareDatetime, BeforeValidator(_require_text)]


class PortalRequest(OwnerRequest):
    """The customer to sign in to Stripe's portal, and where they return to."""

    email: Email | None = None
    subscription_id: UUID | None = None
    currency: Annotated[str, Field(pattern="^[a-z]{3}$")] | None = None
    return_url: Annotated[str, Field(max_length=2000)] | None = None
    flow: Flow | None = Field(
        None,
        description="The one page that the portal shows, before it leads back; null: all of it.",
    )

    @property
    def named(self) -> CustomerRef:
        """The customer that the request names."""
        return CustomerRef(self.customer_id, self.user_id, self.email)


class PreviewRequest(OwnerRequest):
    """What to change a subscription to; without `addonIds` it keeps its add-ons."""

    plan_id: Id
    billing_cycle: Cycle
    addon_ids: Addons | None = None
    proration_behavior: Proration = "always_invoice"
    when: When | None = None


def _refuse_date(_: object) -> None:
    msg = "is no longer taken: preview the change, and send the previewToken of the response"
    raise ValueError(msg)


class ChangePlanRequest(OwnerRequest):
    """The token of a preview, or what to change a subscription to now, at the present prices.

    With `payFirst` what is unpaid of the running term is charged before.
    """

    preview_token: Annotated[str, Field(min_length=1, max_length=LONGEST_TOKEN)] | None = None
    plan_id: Id | None = None
    billing_cycle: Cycle | None = None
    addon_ids: Addons | None = None
    proration_behavior: Proration | None = None
    when: When | None = None
    pay_first: Annotated[bool, Field(strict=True)] = False
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
        pinned = {"plan_id", "billing_cycle", "addon_ids", "proration_behavior", "when"}
        if twice := sorted(pinned & self.model_fields_set):
            names = [to_camel(name) for name in twice]
            raise InvalidRequestError(
                f"The previewToken has the change: please leave out {', '.join(names)}.",
                fields=dict.fromkeys(names, "is in the previewToken"),
            )


class CancelRequest(OwnerRequest):
    """When a subscription ends, and why."""

    at_period_end: Annotated[bool, Field(strict=True)] = True
    reason: Comment | None = None
    feedback: Feedback | None = None


class PreviewEndRequest(OwnerRequest):
    """How unused time is given back: to where it was paid from, or to the customer's balance."""

    unused_time: UnusedTime = "refund"

    @property
    def ending(self) -> Ending:
        """How the subscription ends."""
        return Ending(self.unused_time)


class EndRequest(PreviewEndRequest):
    """How unused time is given back, and why the subscription ends.

    `at` is that of a preview of the last fifteen minutes: then its amounts are given back.
    """

    at: Time | None = None
    reason: Comment | None = None
    feedback: Feedback | None = None

    @property
    def ending(self) -> Ending:
        """How the subscription ends."""
        return Ending(self.unused_time, self.at, self.reason, self.feedback)


class PreviewTrialRequest(OwnerRequest):
    """When the trial ends; without `endsAt` now."""

    ends_at: Time | None = None


class TrialRequest(PreviewTrialRequest):
    """When the trial ends, and why that is changed."""

    reason: Comment


class ResumeRequest(OwnerRequest):
    """The subscription's owner."""


class PreviewPauseRequest(OwnerRequest):
    """Until when to pause; see docs/billing-api.md for which subscriptions need it."""

    until: Time | None = None


class PauseRequest(PreviewPauseRequest):
    """Until when to pause a subscription, and why."""

    reason: Comment | None = None


class UndoChangeRequest(OwnerRequest):
    """The subscription's owner."""


class ItemSchema(Schema):
    """What a subscription charges each term; `productId` is null if it is not in the catalogue."""

    id: UUID
    product_id: str | None
    kind: str | None
    name: str | None
    quantity: int | None
    unit_amount: int | None
    currency: str
    billing_cycle: str | None
    current_period_end: Moment | None

    @classmethod
    def of(cls, item: records.Item) -> Self:
        """Build the object from an item."""
        return cls(
            id=item.id,
            product_id=item.code,
            kind=item.kind,
            name=item.name,
            quantity=item.quantity,
            unit_amount=item.unit_amount,
            currency=item.currency,
            billing_cycle=item.billing_cycle,
            current_period_end=item.current_period_end,
        )


class DiscountSchema(Schema):
    """A discount: of the item `itemId`, or of the whole subscription.

    `duration` is Stripe's: `once` (one invoice), `repeating` (until `endsAt`) or `forever`.
    """

    coupon: str | None
    name: str | None
    percent_off: float | None
    amount_off: int | None
    currency: str | None
    duration: str | None
    ends_at: Moment | None
    item_id: UUID | None

    @classmethod
    def of(cls, discount: records.Discount) -> Self:
        """Build the object from a discount."""
        return cls(**asdict(discount))


class TenantSchema(Schema):
    """The tenant that was provisioned for a subscription."""

    id: UUID
    domain: str
    status: str | None


class ChargeSchema(Schema):
    """An amount and when it is charged, before discounts and credit unless stated otherwise."""

    amount: int
    currency: str
    at: Moment | None


class NextChargeSchema(ChargeSchema):
    """The next charge, before taxes: `amount` is `subtotal` less `discount`.

    `balance` is what the customer's balance at Stripe adds (negative: takes off), and `amountDue`
    what is charged then.
    """

    subtotal: int
    discount: int
    balance: int
    amount_due: int

    @classmethod
    def of(cls, charge: records.NextCharge, currency: str) -> Self:
        """Build the object from a charge."""
        return cls(
            amount=charge.amount,
            currency=currency,
            at=charge.at,
            subtotal=charge.subtotal,
            discount=charge.discount,
            balance=charge.balance,
            amount_due=charge.amount_due,
        )


class PlannedChangeSchema(Schema):
    """A change at the end of the term: what the subscription has from `effectiveAt` on.

    `recurring` is the price of each term from then on, before discounts.
    """

    plan_id: str
    plan_name: str | None
    billing_cycle: str
    addon_ids: tuple[str, ...]
    effective_at: Moment
    recurring: int
    currency: str

    @classmethod
    def of(cls, planned: records.Planned, currency: str) -> Self:
        """Build the object from a planned change."""
        return cls(
            plan_id=planned.plan_code,
            plan_name=planned.plan_name,
            billing_cycle=planned.billing_cycle,
            addon_ids=planned.addon_codes,
            effective_at=planned.effective_at,
            recurring=planned.subtotal,
            currency=currency,
        )


class SubscriptionSchema(Schema):
    """A subscription: `status` is mPanel's, `stripeStatus` Stripe's."""

    id: UUID
    customer_id: UUID | None
    status: str
    stripe_status: str | None
    plan_id: str | None
    plan_name: str | None
    billing_cycle: str | None
    currency: str
    amount: int
    items: tuple[ItemSchema, ...]
    discounts: tuple[DiscountSchema, ...]
    current_period_start: Moment | None
    current_period_end: Moment | None
    trial_end: Moment | None
    will_end: bool
    cancel_at_period_end: bool
    cancel_at: Moment | None
    canceled_at: Moment | None
    ended_at: Moment | None
    collection_paused: bool
    held_from: Moment | None
    held_until: Moment | None
    next_charge: NextChargeSchema | None
    planned_change: PlannedChangeSchema | None
    tenant: TenantSchema | None
    created_at: Moment

    @classmethod
    def of(cls, held: records.Subscription) -> Self:
        """Build the object from a subscription."""
        tenant, following = held.tenant, held.next_charge
        return cls(
            id=held.id,
            customer_id=held.customer_id,
            status=held.status,
            stripe_status=held.stripe_status,
            plan_id=held.plan.code if held.plan else None,
            plan_name=held.plan.name if held.plan else None,
            billing_cycle=held.billing_cycle,
            currency=held.currency,
            amount=held.amount,
            items=tuple(ItemSchema.of(item) for item in held.items),
            discounts=tuple(DiscountSchema.of(each) for each in held.discounts),
            current_period_start=held.current_period_start,
            current_period_end=held.current_period_end,
            trial_end=held.trial_end,
            will_end=held.will_end,
            cancel_at_period_end=held.cancel_at_period_end,
            cancel_at=held.cancel_at,
            canceled_at=held.canceled_at,
            ended_at=held.ended_at,
            collection_paused=held.collection_paused,
            held_from=held.held_from,
            held_until=held.held_until,
            next_charge=NextChargeSchema.of(following, held.currency) if following else None,
            planned_change=PlannedChangeSchema.of(held.to_come, held.currency)
            if held.to_come
            else None,
            tenant=TenantSchema(id=tenant.id, domain=tenant.domain, status=tenant.status)
            if tenant
            else None,
            created_at=held.created_at,
        )


class BalanceSchema(Schema):
    """What Stripe applies to a customer's next invoice in a currency.

    Negative is a credit that is taken off, positive is owed and added.
    """

    stripe_customer_id: str
    currency: str
    balance: int

    @classmethod
    def of(cls, held: records.Balance) -> Self:
        """Build the object from a balance."""
        return cls(**asdict(held))


class PreviewLineSchema(Schema):
    """A line of the upcoming invoice; credits are negative."""

    description: str
    amount: int
    proration: bool
    period_start: Moment
    period_end: Moment


class PortalSessionResponse(Response):
    """Where to send the customer; the address is valid for a few minutes."""

    url: str


class SubscriptionResponse(Response):
    """One subscription."""

    subscription: SubscriptionSchema


class SubscriptionsResponse(Response):
    """A page of subscriptions; `nextCursor` is null on the last page."""

    subscriptions: tuple[SubscriptionSchema, ...]
    balances: tuple[BalanceSchema, ...]
    next_cursor: str | None

    @classmethod
    def of(
        cls,
        page: Sequence[records.Subscription],
        balances: Sequence[records.Balance],
        next_cursor: str | None,
    ) -> Self:
        """Build the response from a page of a list."""
        return cls(
            subscriptions=tuple(SubscriptionSchema.of(one) for one in page),
            balances=tuple(BalanceSchema.of(one) for one in balances),
            next_cursor=next_cursor,
        )


class SubscriptionChangeResponse(SubscriptionResponse):
    """A subscription after a change; `changed` is false if it was like that already."""

    changed: bool

    @classmethod
    def of(cls, result: Changed) -> Self:
        """Build the response from the result of a change."""
        return cls(subscription=SubscriptionSchema.of(result.subscription), changed=result.changed)


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
                PreviewLineSchema(
                    description=line.description,
                    amount=line.amount,
                    proration=line.proration,
                    period_start=line.period_start,
                    period_end=line.period_end,
                )
                for line in (preview.invoice.lines if preview.invoice else ())
            ),
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
