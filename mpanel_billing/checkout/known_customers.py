"""Buyers for whom mPanel's backend vouches: their orders run on their own Stripe customer."""

import logging
from dataclasses import replace
from uuid import UUID

from mpanel_billing.checkout import repository
from mpanel_billing.checkout.purchase import KnownCustomer
from mpanel_billing.checkout.service import Desk
from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import InvalidRequestError, StripeObjectMissingError

logger = logging.getLogger(__name__)


async def find_known_customer(desk: Desk, customer_id: UUID) -> KnownCustomer:
    """Return the customer by her id in our books, with a Stripe customer that exists.

    Stripe is asked, for an order on a customer that was deleted there would fail for ever.
    InvalidRequestError for an id that we do not know; StripeError when Stripe cannot be asked.
    """
    async with acquired(desk.pool) as conn:
        customer = await repository.find_principal_customer(
            conn, customer_id, livemode=desk.shop.livemode
        )
    if customer is None:
        raise InvalidRequestError(
            "We know no customer by this number.",
            code="unknown_customer",
            fields={"customerId": "is no customer's"},
        )
    if customer.stripe_customer_id and not await _exists(desk, customer.stripe_customer_id):
        return replace(customer, stripe_customer_id=None)
    return customer


async def _exists(desk: Desk, stripe_customer_id: str) -> bool:
    try:
        answer = await desk.mirror.refresh("customer", stripe_customer_id)
    except StripeObjectMissingError:
        logger.warning("Stripe has no such customer", extra={"objectId": stripe_customer_id})
        return False
    return not answer.get("deleted")
