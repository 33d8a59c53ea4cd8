"""Customers and Checkout sessions in Stripe, as an order needs them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from stripe.params import CustomerCreateParams
from stripe.params.checkout import SessionCreateParams

from mpanel_billing.errors import StripeError
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A Checkout session that can be paid at `url` until `expires_at`.

    `payment_status` is `unpaid`, or `no_payment_required` where nothing is due today.
    """

    id: str
    url: str
    payment_status: str
    expires_at: datetime


async def create_customer(gateway: StripeGateway, params: Mapping[str, Any], key: str) -> str:
    """Make a customer under an idempotency key, and return its id (cus_...)."""
    async with translated():
        customer = await gateway.client.v1.customers.create_async(
            cast("CustomerCreateParams", dict(params)), {"idempotency_key": key}
        )
    return customer.id


async def create_checkout_session(
    gateway: StripeGateway, params: Mapping[str, Any], key: str
) -> OpenedSession:
    """Open a session under an idempotency key."""
    async with translated():
        session = await gateway.client.v1.checkout.sessions.create_async(
            cast("SessionCreateParams", dict(params)), {"idempotency_key": key}
        )
    if session.url is None:
        raise StripeError("Stripe made a Checkout session without an address.")
    return OpenedSession(
        id=session.id,
        url=session.url,
        payment_status=session.payment_status,
        expires_at=datetime.fromtimestamp(session.expires_at, UTC),
    )


async def expire_checkout_session(gateway: StripeGateway, session_id: str) -> None:
    """Close an open session, so that nobody can pay it; StripeError when it is not open."""
    async with translated():
        await gateway.client.v1.checkout.sessions.expire_async(session_id)
