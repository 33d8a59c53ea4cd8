"""Stripe customers, deleted on request."""

from mpanel_billing.errors import StripeObjectMissingError
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway


async def delete_customer(gateway: StripeGateway, customer_id: str) -> None:
    """Delete a customer for good: their cards, and any running subscription. Twice does no harm."""
    try:
        async with translated():
            await gateway.client.v1.customers.delete_async(customer_id)
    except StripeObjectMissingError:
        return
