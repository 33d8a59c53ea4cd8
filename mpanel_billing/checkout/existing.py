"""The Stripe customer on which an order runs that mPanel's backend places for a customer."""

import logging
from collections.abc import Sequence
from uuid import UUID

from mpanel_billing.checkout.buyer import ExistingCustomer
from mpanel_billing.checkout.repository import orders
from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import InvalidRequestError, StripeObjectMissingError
from mpanel_billing.mirror.mirror import Mirror

logger = logging.getLogger(__name__)


async def find_existing_customer(
    mirror: Mirror, customer_id: UUID, currency: str, *, ask: bool = False
) -> ExistingCustomer:
    """Return a customer by our id, with the Stripe customer on which this order may run.

    Stripe allows the subscriptions of one of its customers one currency, so they may have several.
    `ask` Stripe whether it has them: on a deleted customer an order would fail every time.
    InvalidRequestError for an unknown id; StripeError.
    """
    async with acquired(mirror.pool) as conn:
        found = await orders.get_customer(conn, customer_id)
        if found is None:
            raise _unknown_customer()
        vouched = await orders.list_vouched_stripe_customers(
            conn, found.id, currency, livemode=mirror.livemode
        )
    fitting = [id_ for id_, fits in vouched.items() if fits]
    chosen = await _first_that_exists(mirror, fitting) if ask else next(iter(fitting), None)
    keeps_principal = vouched.get(found.principal or "") is False  # it is for another currency
    return ExistingCustomer(found.id, chosen, found.principal, keeps_principal)


def _unknown_customer() -> InvalidRequestError:
    return InvalidRequestError(
        "Customer not found.", code="unknown_customer", fields={"customerId": "not found"}
    )


async def _first_that_exists(mirror: Mirror, stripe_customer_ids: Sequence[str]) -> str | None:
    for id_ in stripe_customer_ids:
        if await _exists(mirror, id_):
            return id_
    return None


async def _exists(mirror: Mirror, stripe_customer_id: str) -> bool:
    try:
        customer = await mirror.refresh("customer", stripe_customer_id)
    except StripeObjectMissingError:
        logger.warning("Stripe has no such customer", extra={"objectId": stripe_customer_id})
        return False
    return not customer.get("deleted")
