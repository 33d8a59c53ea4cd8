"""Bodies of /api/billing/balance. Amounts are in minor units, times in UTC."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field

from mpanel_billing.http.request import CURRENCY
from mpanel_billing.http.schemas.base import Line, Moment, OwnerRequest, Response, Schema
from mpanel_billing.http.schemas.invoices import Amount
from mpanel_billing.http.schemas.subscriptions import BalanceSchema
from mpanel_billing.stripe_gateway.balances import Movement
from mpanel_billing.subscriptions.balances import BalancePreview, History, Moved
from mpanel_billing.subscriptions.payers import PayerOf

Currency = Annotated[str, Field(pattern=CURRENCY, examples=["usd"])]


class PayerRequest(OwnerRequest):
    """The customer, and which of their Stripe customers, one that pays in `currency`.

    That of a subscription, if one is named, else the principal one.
    """

    subscription_id: UUID | None = None
    currency: Currency

    @property
    def payer(self) -> PayerOf:
        """The Stripe customer that the request is about; InvalidRequestError if it names none."""
        named = self.named if self.subscription_id else self.require_named("subscriptionId")
        return PayerOf(named, self.currency, self.subscription_id)


class BalanceChangeRequest(PayerRequest):
    """How much credit to `add`, or to `take` away: at most what is left.

    The customer can read the `reason` on Stripe's pages.
    """

    move: Literal["add", "take"]
    amount: Amount
    reason: Annotated[Line, Field(min_length=1, max_length=350)]


class MovementSchema(Schema):
    """What has changed a balance: `amount` is negative for a credit, `type` is Stripe's word."""

    id: str
    stripe_customer_id: str
    amount: int
    currency: str
    balance_after: int
    type: str
    reason: str | None
    stripe_invoice_id: str | None
    created_at: Moment

    @classmethod
    def of(cls, movement: Movement) -> Self:
        """Build the object from a transaction of a balance."""
        return cls(
            id=movement.id,
            stripe_customer_id=movement.stripe_customer_id,
            amount=movement.amount,
            currency=movement.currency,
            balance_after=movement.balance_after,
            type=movement.type,
            reason=movement.description,
            stripe_invoice_id=movement.stripe_invoice_id,
            created_at=movement.created,
        )


class BalanceHistoryResponse(Response):
    """A customer's balances, and what has changed them, the newest first."""

    balances: tuple[BalanceSchema, ...]
    movements: tuple[MovementSchema, ...]

    @classmethod
    def of(cls, history: History) -> Self:
        """Build the response from balances and their history."""
        return cls(
            balances=tuple(BalanceSchema.of(one) for one in history.balances),
            movements=tuple(MovementSchema.of(one) for one in history.movements),
        )


class BalancePreviewResponse(Response):
    """A balance as it is, and as the request would make it."""

    before: BalanceSchema
    after: BalanceSchema

    @classmethod
    def of(cls, preview: BalancePreview) -> Self:
        """Build the response from a preview."""
        return cls(before=BalanceSchema.of(preview.before), after=BalanceSchema.of(preview.after))


class BalanceChangeResponse(Response):
    """A balance as it is after the request, and Stripe's id of what changed it."""

    balance: BalanceSchema
    movement_id: str

    @classmethod
    def of(cls, moved: Moved) -> Self:
        """Build the response from the result of a request."""
        return cls(balance=BalanceSchema.of(moved.balance), movement_id=moved.movement_id)
