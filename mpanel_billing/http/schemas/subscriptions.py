"""Bodies of /api/billing/subscriptions and the portal. Amounts are in minor units, times in UTC."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from mpanel_billing.http.request import CURRENCY
from mpanel_billing.http.schemas.base import Email, Moment, OwnerRequest, Response, Schema
from mpanel_billing.subscriptions import records
from mpanel_billing.subscriptions.lifecycle import Changed
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.portal import Flow


class PortalRequest(OwnerRequest):
    """The customer to sign in to Stripe's portal, and where they return to."""

    email: Email | None = None
    subscription_id: UUID | None = None
    currency: Annotated[str, Field(pattern=CURRENCY)] | None = None
    return_url: Annotated[str, Field(max_length=2000)] | None = None
    flow: Flow | None = Field(
        None,
        description="The one page that the portal shows, before it leads back; null: all of it.",
    )

    @property
    def named(self) -> CustomerRef:
        """The customer that the request names."""
        return CustomerRef(self.customer_id, self.user_id, self.email)


class ItemSchema(Schema):
    """What a subscription charges each term; `productId` is null if it is not in the catalogue.

    From `comingAt` on it costs `comingUnitAmount`, as was announced; null: the price stays.
    """

    id: UUID
    product_id: str | None
    kind: str | None
    name: str | None
    quantity: int | None
    unit_amount: int | None
    currency: str
    billing_cycle: str | None
    current_period_end: Moment | None
    coming_unit_amount: int | None
    coming_at: Moment | None

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
            coming_unit_amount=item.coming_unit_amount,
            coming_at=item.coming_at,
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
        """Build the object from a discount, without Stripe's ids."""
        return cls.model_validate(asdict(discount))


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

    `recurring` is the price of each term from then on, before discounts, `quantities` what there is
    more than one of, by its id.
    """

    plan_id: str
    plan_name: str | None
    billing_cycle: str
    addon_ids: tuple[str, ...]
    quantities: dict[str, int]
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
            quantities=dict(planned.quantities),
            effective_at=planned.effective_at,
            recurring=planned.subtotal,
            currency=currency,
        )


class DunningSchema(Schema):
    """The attempts to collect the oldest unpaid invoice: `attemptCount` have failed.

    `nextAttemptAt` is null if Stripe plans no further one; `lastReason` says why the last failed.
    """

    invoice_id: UUID
    amount_remaining: int
    currency: str
    attempt_count: int
    next_attempt_at: Moment | None
    last_reason: str | None

    @classmethod
    def of(cls, dunning: records.Dunning) -> Self:
        """Build the object from the attempts."""
        return cls(**asdict(dunning))


class PendingUpdateSchema(Schema):
    """A change that waits until `expiresAt` for the customer to pay its `amount` at `url`.

    Both are null for the moment until the webhook of its invoice has come.
    """

    expires_at: Moment
    url: str | None
    amount: int | None

    @classmethod
    def of(cls, waits: records.WaitingUpdate) -> Self:
        """Build the object from what waits."""
        return cls(**asdict(waits))


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
    pending_update: PendingUpdateSchema | None
    dunning: DunningSchema | None
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
            pending_update=PendingUpdateSchema.of(held.pending_update)
            if held.pending_update
            else None,
            dunning=DunningSchema.of(held.dunning) if held.dunning else None,
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
