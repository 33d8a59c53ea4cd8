"""Promotion codes that were made at Stripe: the catalogue does not have them."""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from uuid import UUID

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.promotion_codes import choose
from mpanel_billing.checkout.checkout import Checkout
from mpanel_billing.checkout.repository import orders
from mpanel_billing.database.pool import acquired
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.promotion_codes import list_promotion_codes


async def with_codes(
    checkout: Checkout, catalogue: Catalogue, code: str | None, customer_id: UUID | None
) -> Catalogue:
    """Return the catalogue with the coupon of an order's code, if Stripe knows it; StripeError.

    A code for one customer is only known if the caller vouches for that customer (`customer_id`).
    """
    if not checkout.promotion_codes or code is None:
        return catalogue
    own: frozenset[str] = frozenset()
    if customer_id is not None:
        async with acquired(checkout.mirror.pool) as conn:
            vouched = await orders.list_vouched_stripe_customers(
                conn, customer_id, catalogue.currency, livemode=checkout.mirror.livemode
            )
        own = frozenset(vouched)
    return await with_promotion_code(checkout.mirror.stripe, catalogue, code, own)


async def with_promotion_code(
    gateway: StripeGateway,
    catalogue: Catalogue,
    code: str | None,
    customers: AbstractSet[str] = frozenset(),
) -> Catalogue:
    """Return the catalogue with the coupon that a code redeems at Stripe, if it has none itself.

    `customers` are the ids at Stripe of who redeems it, as far as that is proven: some codes are
    for one customer only. StripeError.
    """
    written = (code or "").strip()
    if not written or catalogue.find_coupon(written):
        return catalogue
    coupon = choose(await list_promotion_codes(gateway, written), catalogue, customers)
    return replace(catalogue, coupons=(*catalogue.coupons, coupon)) if coupon else catalogue
