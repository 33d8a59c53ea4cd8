"""Stripe: the key, the account, and the catalogue there."""

from mpanel_billing.catalogue.drift import find_drift
from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.database.pool import Pool
from mpanel_billing.doctor.finding import Finding, failed, ok, some, warning
from mpanel_billing.doctor.host import judge_clock
from mpanel_billing.settings import StripeSettings
from mpanel_billing.stripe_gateway.account import get_account, probe_key
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway

_MOST_NAMED = 3


async def check_key(gateway: StripeGateway, settings: StripeSettings) -> list[Finding]:
    """Check that the key works; compare its mode with its prefix, and Stripe's clock with ours."""
    probe = await probe_key(gateway)
    where = f" at {settings.stripe_api_base.host}" if settings.stripe_api_base else ""
    mode = "live" if probe.livemode else "test"
    key = ok("stripe key", f"works{where}, {mode} mode")
    if probe.livemode != settings.livemode:
        text = f"has the prefix of the other mode, but Stripe says it is in {mode} mode"
        key = failed("stripe key", text, "copy the key from Stripe again")
    return [key, judge_clock("clock", probe.clock_ahead, "Stripe's")]


async def check_account(gateway: StripeGateway) -> list[Finding]:
    """Check which account the key belongs to, and whether it can take payments."""
    account = await get_account(gateway)
    name = "stripe account"
    if account is None:
        return [ok(name, "unknown: a restricted key cannot read it")]
    if not account.charges_enabled:
        advice = "complete the account's details in Stripe's dashboard"
        return [warning(name, f"{account.id} cannot take payments yet", advice)]
    return [ok(name, f"{account.id}, {account.country or 'no country'}, takes payments")]


async def check_catalogue(pool: Pool, *, livemode: bool) -> list[Finding]:
    """Check that the database has prices on sale."""
    catalogue = await read_catalogue(pool, livemode=livemode)
    prices = sum(len(product.prices) for product in catalogue.products)
    if not prices:
        return [failed("catalogue", "is empty", "run `mpanel-billing catalog apply`")]
    text = f"{len(catalogue.products)} products, {prices} prices, {len(catalogue.coupons)} coupons"
    return [ok("catalogue", text)]


async def check_offers(pool: Pool, gateway: StripeGateway, *, livemode: bool) -> list[Finding]:
    """Compare products, prices and coupons with Stripe's."""
    drift = await find_drift(pool, StripeCatalogue(gateway.client), livemode)
    if drift:
        text = f"differs: {some(drift, _MOST_NAMED)}"
        return [failed("stripe catalogue", text, "run `mpanel-billing catalog push`")]
    return [ok("stripe catalogue", "matches the database")]
