"""The currency of an order that names none."""

from uuid import UUID

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.checkout.checkout import Checkout
from mpanel_billing.checkout.repository import orders
from mpanel_billing.database.pool import acquired


async def find_usual_currency(
    checkout: Checkout, catalogue: Catalogue, customer_id: UUID | None
) -> str:
    """Return the currency in which a customer pays, if plans are sold in it; else the default.

    Stripe bills one of its customers in one currency at a time.
    """
    if customer_id is None or len(catalogue.currencies) == 1:
        return catalogue.currency
    async with acquired(checkout.mirror.pool) as conn:
        found = await orders.get_currency_of_customer(
            conn, customer_id, livemode=checkout.mirror.livemode
        )
    return found if found in catalogue.currencies else catalogue.currency
