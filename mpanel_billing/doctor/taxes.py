"""Taxes: whether Stripe can compute them as TAX says, and what includes them."""

from collections.abc import Iterator

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.doctor.finding import Finding, failed, ok, some, warning
from mpanel_billing.doctor.repository import count_overdue_tax_notices
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.account import TaxSettings, get_tax_settings
from mpanel_billing.stripe_gateway.gateway import StripeGateway

_NAME = "taxes"


async def check_taxes(pool: Pool, gateway: StripeGateway, settings: Settings) -> list[Finding]:
    """Check the catalogue and Stripe Tax, if taxes are computed."""
    if settings.tax == "off":
        return [ok(_NAME, "TAX is off: Stripe computes none for new orders")]
    catalogue = await read_catalogue(pool, livemode=settings.livemode)
    async with acquired(pool) as conn:
        overdue = await count_overdue_tax_notices(conn, livemode=settings.livemode)
    return [judge_taxes(catalogue, await get_tax_settings(gateway)), *_judge_notices(overdue)]


def _judge_notices(overdue: int) -> Iterator[Finding]:
    if overdue:
        text = f"the notice of {overdue} subscriptions is over, and they are not taxed"
        advice = "`mpanel-billing tax enable --all --dry-run` says why; or `tax withdraw`"
        yield warning(_NAME, text, advice)


def judge_taxes(catalogue: Catalogue, found: TaxSettings | None) -> Finding:
    """Judge the prices on sale, and the account's settings; None: the key may not read them."""
    silent = [
        price.lookup_key
        for product in catalogue.products
        for price in product.prices
        if price.tax_behavior is None
    ]
    if silent:
        text = f"nobody has said whether they are in {some(silent, 3)}, which cannot be ordered"
        advice = "say tax_behavior in the catalogue, run `catalog apply` and `catalog push`"
        return failed(_NAME, text, advice)
    if found is None:
        return ok(_NAME, "the catalogue says what contains them; the key cannot read Stripe Tax")
    if not found.is_active:
        return failed(_NAME, "Stripe Tax is not set up", "complete it in Stripe's dashboard")
    if found.behavior is None:
        text = "Stripe Tax has no default tax behavior: it refuses charges without a price"
        return warning(_NAME, text, "set the default in Stripe's dashboard, as in the catalogue")
    return ok(_NAME, "the catalogue says what contains them, and Stripe Tax is set up")
