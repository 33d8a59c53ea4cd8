"""The Stripe key, the account behind it, and the clock."""

from mpanel_billing.doctor.clock import judge_clock
from mpanel_billing.doctor.finding import Finding, failed, ok, warning
from mpanel_billing.settings import StripeSettings
from mpanel_billing.stripe_gateway.account import look_at_account, try_key
from mpanel_billing.stripe_gateway.gateway import StripeGateway


async def look_at_key(gateway: StripeGateway, settings: StripeSettings) -> list[Finding]:
    """Use the key, and compare its mode and Stripe's clock with ours."""
    use = await try_key(gateway)
    where = f" at {settings.stripe_api_base.host}" if settings.stripe_api_base else ""
    mode = "live" if use.livemode else "test"
    key = ok("stripe key", f"works{where}, {mode} mode")
    if use.livemode != settings.livemode:
        text = f"begins like the other mode's, and Stripe says: {mode} mode"
        key = failed("stripe key", text, "copy the key from Stripe again")
    return [key, judge_clock("clock", use.clock_ahead, "Stripe's")]


async def look_at_owner(gateway: StripeGateway) -> list[Finding]:
    """Look whose the key is, and whether the account can take money."""
    account = await look_at_account(gateway)
    name = "stripe account"
    if account is None:
        return [ok(name, "not told: a restricted key may not ask")]
    if not account.charges_enabled:
        advice = "complete the account's details in Stripe's dashboard"
        return [warning(name, f"{account.id} cannot take payments yet", advice)]
    return [ok(name, f"{account.id}, {account.country or 'no country'}, takes payments")]
