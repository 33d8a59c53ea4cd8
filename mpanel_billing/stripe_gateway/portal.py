"""Stripe's customer portal, where a customer looks after cards, addresses and invoices."""

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway


async def open_portal(gateway: StripeGateway, stripe_customer_id: str, return_url: str) -> str:
    """Return a fresh address at which the customer is let in, once and for some minutes.

    Nothing of ours hangs on it, so the SDK's own idempotency key (one a call) will do.
    StripeObjectMissingError when Stripe has no such customer.
    """
    async with translated():
        session = await gateway.client.v1.billing_portal.sessions.create_async(
            {"customer": stripe_customer_id, "return_url": return_url}
        )
    return session.url
