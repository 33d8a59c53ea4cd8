"""Stripe customers, deleted on request."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.errors import StripeObjectMissingError
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway

if TYPE_CHECKING:
    from stripe.params import CustomerCreateBalanceTransactionParams


async def delete_customer(gateway: StripeGateway, customer_id: str) -> None:
    """Delete a customer for good: their cards, and any running subscription. Twice does no harm."""
    try:
        async with translated():
            await gateway.client.v1.customers.delete_async(customer_id)
    except StripeObjectMissingError:
        return


async def add_to_balance(
    gateway: StripeGateway, customer_id: str, params: Mapping[str, Any], key: str
) -> str:
    """Change what the customer's next invoices take off or add; return the transaction's id.

    `amount` in minor units: negative is a credit, positive is owed.
    """
    async with translated():
        made = await gateway.client.v1.customers.balance_transactions.create_async(
            customer_id,
            cast("CustomerCreateBalanceTransactionParams", dict(params)),
            {"idempotency_key": key},
        )
    return made.id
