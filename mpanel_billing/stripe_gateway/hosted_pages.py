"""Customers, and the pages that Stripe hosts for them: Checkout and the customer portal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.errors import StripeError
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway

if TYPE_CHECKING:
    from stripe.params.billing_portal import SessionCreateParams


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A Checkout session that can be paid at `url` until `expires_at`.

    `payment_status` is `unpaid`, or `no_payment_required` if nothing is due today.
    """

    id: str
    url: str
    payment_status: str
    expires_at: datetime


async def create_customer(gateway: StripeGateway, params: Mapping[str, Any], key: str) -> str:
    """Create a customer under an idempotency key, and return its id (cus_...)."""
    customer = await gateway.create("/v1/customers", params, key)
    id_: str = customer["id"]
    return id_


async def create_checkout_session(
    gateway: StripeGateway, params: Mapping[str, Any], key: str
) -> OpenedSession:
    """Create a session under an idempotency key."""
    session = await gateway.create("/v1/checkout/sessions", params, key)
    if not session.get("url"):
        raise StripeError("Stripe created a Checkout session without a URL.")
    return OpenedSession(
        id=session["id"],
        url=session["url"],
        payment_status=session["payment_status"],
        expires_at=datetime.fromtimestamp(session["expires_at"], UTC),
    )


async def expire_checkout_session(gateway: StripeGateway, session_id: str) -> None:
    """Expire an open session, so that it can no longer be paid; StripeError if it is not open."""
    async with translated():
        await gateway.client.v1.checkout.sessions.expire_async(session_id)


async def create_portal_session(gateway: StripeGateway, params: Mapping[str, Any]) -> str:
    """Return a URL that signs the customer in to the portal once; it expires within minutes.

    We store nothing about the session, so the SDK's random idempotency key is enough.
    StripeObjectMissingError if Stripe does not have the customer or the configuration.
    """
    async with translated():
        session = await gateway.client.v1.billing_portal.sessions.create_async(
            cast("SessionCreateParams", params)
        )
    return session.url
