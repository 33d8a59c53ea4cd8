"""What mPanel's backend sends to /api/billing; keys that we do not know are ignored."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from mpanel_billing.checkout.request import Email, Id
from mpanel_billing.subscriptions.customers import Named
from mpanel_billing.subscriptions.plan_change import Proration
from mpanel_billing.subscriptions.refunds import Reason

MOST_ADDONS = 50
MOST_ROWS = 100
LARGEST_AMOUNT = 99_999_999
"""Stripe takes amounts of eight digits."""

Comment = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class _Request(BaseModel):
    """The names of the customer that the request is about: all that are given must agree."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)

    customer_id: UUID | None = None
    user_id: UUID | None = None

    @property
    def named(self) -> Named:
        """Whom the request is about."""
        return Named(self.customer_id, self.user_id)


class OwnerQuery(_Request):
    """`?customerId=` or `?userId=`: whose it has to be; else it is not found."""


class ListQuery(_Request):
    """What of a list: `?limit=` rows at most, from the `?cursor=` of the page before on."""

    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 25
    cursor: Annotated[str, Field(max_length=200)] | None = None


class InvoicesQuery(ListQuery):
    """Invoices of a customer, or of one subscription of his."""

    subscription_id: UUID | None = None


class PortalRequest(_Request):
    """Whom to let into Stripe's portal, and where he comes back to."""

    email: Email | None = None
    subscription_id: UUID | None = None
    return_url: Annotated[str, Field(max_length=2000)] | None = None

    @property
    def named(self) -> Named:
        """Whom the request is about."""
        return Named(self.customer_id, self.user_id, self.email)


class PreviewRequest(_Request):
    """What a subscription is to be; without `addonIds` its add-ons stay as they are."""

    plan_id: Id
    billing_cycle: Annotated[str, Field(min_length=1, max_length=40)]
    addon_ids: Annotated[tuple[Id, ...], Field(max_length=MOST_ADDONS)] | None = None
    proration_behavior: Proration = "always_invoice"


class ChangePlanRequest(PreviewRequest):
    """The same; `prorationDate` is that of a preview, whose sums are then charged."""

    proration_date: AwareDatetime | None = None


class CancelRequest(_Request):
    """When a subscription is to end, and why."""

    at_period_end: Annotated[bool, Field(strict=True)] = True
    reason: Comment | None = None


class ResumeRequest(_Request):
    """Nothing but whose the subscription is."""


class RefundRequest(_Request):
    """How much to give back: minor units of the invoice's currency, else all that is left."""

    amount: Annotated[int, Field(strict=True, ge=1, le=LARGEST_AMOUNT)] | None = None
    reason: Reason | None = None
