"""Whether something is sold, and Stripe offers the same."""

from mpanel_billing.catalogue.drift import find_drift
from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.database.pool import Pool
from mpanel_billing.doctor.finding import Finding, failed, ok, some
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway

_MOST_NAMED = 3


async def look_at_catalogue(pool: Pool, *, livemode: bool) -> list[Finding]:
    """Count what the database sells."""
    catalogue = await read_catalogue(pool, livemode=livemode)
    prices = sum(len(product.prices) for product in catalogue.products)
    if not prices:
        return [failed("catalogue", "is empty", "run `mpanel-billing catalog apply`")]
    text = f"{len(catalogue.products)} products, {prices} prices, {len(catalogue.coupons)} coupons"
    return [ok("catalogue", text)]


async def look_at_offers(pool: Pool, gateway: StripeGateway, *, livemode: bool) -> list[Finding]:
    """Compare products, prices and coupons with what Stripe has."""
    drift = await find_drift(pool, StripeCatalogue(gateway.client), livemode)
    if drift:
        text = f"what differs: {some(drift, _MOST_NAMED)}"
        return [failed("stripe catalogue", text, "run `mpanel-billing catalog push`")]
    return [ok("stripe catalogue", "offers exactly what the database sells")]
