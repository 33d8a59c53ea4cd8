"""What the success page follows an order by: GET /api/checkout/session/:id."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field

from mpanel_billing.checkout.order_watcher import LONGEST_WAIT_SECONDS
from mpanel_billing.checkout.repository.order_states import OrderState
from mpanel_billing.http.schemas.base import Moment, Request, Response, Schema
from mpanel_billing.http.schemas.domain_proofs import DomainProofSchema
from mpanel_billing.provisioning.registrar.registration import DomainState


class OrderQuery(Request):
    """How long the client is willing to wait."""

    wait: Annotated[
        int,
        Field(
            ge=0,
            le=LONGEST_WAIT_SECONDS,
            description="Seconds to hold the response until the order changes.",
        ),
    ] = 0


class SessionSchema(Schema):
    """The payment page: Stripe's `status` and `payment_status`.

    `amount_paid`: what was paid with the order, in minor units of the subscription's currency; null
    until it is.
    """

    status: str | None
    payment_status: str | None
    amount_paid: int | None


class OrderedSubscriptionSchema(Schema):
    """What was ordered; `amount` is in minor units, per term."""

    id: str
    status: str
    stripe_status: str | None
    plan_id: str | None
    plan_name: str | None
    billing_cycle: str | None
    currency: str
    amount: int
    current_period_end: Moment | None
    trial_end: Moment | None
    cancel_at_period_end: bool

    @classmethod
    def of(cls, state: OrderState) -> Self:
        """Build the object from the order's state."""
        return cls(
            id=str(state.subscription_id),
            status=state.status,
            stripe_status=state.stripe_status,
            plan_id=state.plan_code,
            plan_name=state.plan_name,
            billing_cycle=state.billing_cycle,
            currency=state.currency,
            amount=state.amount,
            current_period_end=state.current_period_end,
            trial_end=state.trial_end,
            cancel_at_period_end=state.cancel_at_period_end,
        )


class OrderTenantSchema(Schema):
    """The tenant that was provisioned for the order."""

    id: str
    domain: str
    status: str | None


class OrderServiceSchema(Schema):
    """A service of the order."""

    product_type: str
    state: str


class OrderDomainSchema(Schema):
    """A domain of the order (docs/domains.md); `failed`: it could not be obtained.

    `needs`: what its registrar needs and nobody has told: `auth_code`, or fields of the customer.
    `verifying`: its buyer has to do what `proof` says. `replaceable`: it could not be obtained, and
    its buyer may choose another one, in the panel of their account.
    """

    name: str
    unicode_name: str
    mode: str
    state: DomainState
    needs: tuple[str, ...]
    replaceable: bool
    proof: DomainProofSchema | None


class OrderProvisioningSchema(Schema):
    """The progress of provisioning."""

    state: Literal["awaiting_payment", "in_progress", "ready", "suspended", "ended", "not_ordered"]
    services: tuple[OrderServiceSchema, ...]

    @classmethod
    def of(cls, state: OrderState) -> Self:
        """Build the object from the order's state."""
        services = tuple(
            OrderServiceSchema(
                product_type=service["productType"],
                state=_SERVICE_STATES.get(service["state"], service["state"]),
            )
            for service in state.services
        )
        return cls(state=_PROVISIONING_STATES[state.status], services=services)


_PROVISIONING_STATES: Mapping[
    str,
    Literal["awaiting_payment", "in_progress", "ready", "suspended", "ended", "not_ordered"],
] = {
    "provisional": "awaiting_payment",
    "pending": "in_progress",
    "active": "ready",
    "suspended": "suspended",
    "cancelled": "ended",
    "expired": "not_ordered",
}
"""By the subscription's status."""

_SERVICE_STATES = {"absent": "in_progress"}


class OrderResponse(Response):
    """The state of an order.

    Anyone with the session's id may read it, so it has no name, address or email.
    """

    session_id: str
    status: str
    session: SessionSchema
    subscription: OrderedSubscriptionSchema
    tenant: OrderTenantSchema | None
    provisioning: OrderProvisioningSchema
    domains: tuple[OrderDomainSchema, ...]
    login_url: str = Field(description="Where customers log in: `MPANEL_LOGIN_URL`.")

    @classmethod
    def of(cls, state: OrderState, session_id: str, login_url: str) -> Self:
        """Build the response from the order's state."""
        tenant = state.tenant
        return cls(
            session_id=session_id,
            status=state.status,
            session=SessionSchema(
                status=state.session_status,
                payment_status=state.payment_status,
                amount_paid=state.amount_paid,
            ),
            subscription=OrderedSubscriptionSchema.of(state),
            tenant=OrderTenantSchema(id=str(tenant.id), domain=tenant.domain, status=tenant.status)
            if tenant
            else None,
            provisioning=OrderProvisioningSchema.of(state),
            domains=tuple(map(OrderDomainSchema.model_validate, state.domains)),
            login_url=login_url,
        )
