"""Query and response of GET /api/admin/find."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from mpanel_billing.http.schemas.base import Moment, Response, Schema, SearchText, StrictRequest
from mpanel_billing.search.repository import Match
from mpanel_billing.search.service import MOST_SUBSCRIPTIONS, Found, FoundCustomer
from mpanel_billing.search.terms import SHORTEST

MOST_CUSTOMERS = 100


class FindQuery(StrictRequest):
    """What to find."""

    q: Annotated[
        SearchText,
        Field(
            min_length=SHORTEST,
            description=(
                "Any id, ours or Stripe's, an e-mail address, a domain, or the beginnings of "
                "words of a name, a company or an e-mail address."
            ),
            examples=["jane@example.com", "in_1MtHbELkdIwHu7ixl4OzzPMv", "jane doe"],
        ),
    ]
    limit: Annotated[
        int, Field(ge=1, le=MOST_CUSTOMERS, description="The most customers to return.")
    ] = 25


class MatchSchema(Schema):
    """An object that was found."""

    type: str = Field(
        description=(
            "Stripe's word for it; or email, name, account, tenant, domain, order, message; "
            "object if only events name it."
        )
    )
    id: str = Field(description="Its id, or the text that matched.")
    subscription_id: UUID | None

    @classmethod
    def of(cls, match: Match) -> "MatchSchema":
        """Make it from what was found."""
        return cls(
            type=match.object_type, id=match.object_id, subscription_id=match.subscription_id
        )


class FoundSubscriptionSchema(Schema):
    """A subscription of a customer who was found."""

    id: UUID
    stripe_subscription_id: str | None
    plan_id: str | None
    billing_cycle: str | None
    status: str
    stripe_status: str | None
    current_period_end: Moment | None
    domain: str | None
    dunning: str | None = Field(
        description="How many attempts to collect it failed, why the last, when the next is."
    )


class FoundCustomerSchema(Schema):
    """A customer record that was found."""

    id: UUID
    user_id: UUID | None = Field(description="Their account in mPanel.")
    name: str | None
    company_name: str | None
    email: str | None
    joined_id: UUID | None = Field(description="The record that this one has joined.")
    stripe_customer_ids: tuple[str, ...] = Field(description="The principal one first.")
    matches: tuple[MatchSchema, ...]
    subscription_count: int
    subscriptions: tuple[FoundSubscriptionSchema, ...] = Field(
        description=f"Those that were found, then the latest: {MOST_SUBSCRIPTIONS} at most."
    )

    @classmethod
    def of(cls, found: FoundCustomer) -> "FoundCustomerSchema":
        """Make it from what was found."""
        return cls(
            **found.customer,
            matches=tuple(MatchSchema.of(each) for each in found.matches),
            subscriptions=tuple(
                FoundSubscriptionSchema.model_validate(
                    {name: value for name, value in each.items() if name != "customer_id"}
                )
                for each in found.subscriptions
            ),
        )


class FindResponse(Response):
    """The customers who were found, latest first, and objects without a customer record."""

    customers: tuple[FoundCustomerSchema, ...]
    objects: tuple[MatchSchema, ...]
    has_more: bool = Field(description="Whether there are more customers.")

    @classmethod
    def of(cls, found: Found) -> "FindResponse":
        """Make it from what was found."""
        return cls(
            customers=tuple(FoundCustomerSchema.of(each) for each in found.customers),
            objects=tuple(MatchSchema.of(each) for each in found.strays),
            has_more=found.is_cut,
        )
