"""A seller in New York, who collects taxes in Germany, France and Texas."""

from collections.abc import Mapping
from typing import Any

import pytest

from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import Pool
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.inline_worker import InlineWorker
from tests.postgres import Stocked
from tests.service import ORDER
from tests.stocks import Stocks

CATALOGUE = """
currency = "usd"
{said}

[[plans]]
code = "starter"
name = "Starter"
description = "A plan"
category = "hosting"
product_types = ["hosting"]
prices = {{ monthly = 1000 }}
prices_in = {{ eur = {{ monthly = 1000 }} }}
setup_fee = 500
setup_fee_in = {{ eur = 500 }}
"""
MORE = """
[[plans]]
code = "business"
name = "Business"
description = "More of it"
category = "hosting"
product_types = ["hosting"]
prices = {{ monthly = 2345 }}
prices_in = {{ eur = {{ monthly = 2345 }} }}

[[plans]]
code = "small"
name = "Small"
description = "Less of it"
category = "hosting"
product_types = ["hosting"]
prices = {{ monthly = 777 }}
prices_in = {{ eur = {{ monthly = 777 }} }}

[[addons]]
code = "backups"
name = "Backups"
description = "Of each day"
category = "addons"
product_types = ["backup"]
prices = {{ monthly = 333 }}
prices_in = {{ eur = {{ monthly = 333 }} }}
max_quantity = 5
"""
SAID = """
tax_behavior = "exclusive"
tax_behavior_in = { eur = "inclusive" }
tax_code = "txcd_10701100"
"""
GERMANY = {"country": "DE", "postcode": "10115"}
FRANCE = {"country": "FR", "postcode": "75001"}
TEXAS = {"country": "US", "state": "TX", "postcode": "78701"}
PLAIN: dict[str, Any] = {
    "place": TEXAS,
    **{key: ORDER[key] for key in ("planId", "billingCycle", "domain")},
}
"""In dollars its buyer has to have seen the taxes; the payment page may still say another place."""


async def sell(pool: Pool, gateway: StripeGateway, said: str = SAID, more: str = "") -> None:
    """Sell the catalogue above, which says of taxes what is `said`."""
    await apply_catalogue(pool, parse_catalogue((CATALOGUE + more).format(said=said)))
    await push_catalogue(pool, StripeCatalogue(gateway.client), livemode=False)


@pytest.fixture(scope="session")
def taxed_shop(stocks: Stocks, stocked: Stocked) -> Stocked:
    """All of the catalogue above on sale, and Stripe Tax set up: a stock."""
    return stocks.filled("taxed", stocked, _open)[0]


async def _open(worker: InlineWorker) -> None:
    await sell(worker.service.pool, worker.gateway, more=MORE)
    await collect_taxes(worker.gateway)


async def collect_taxes(gateway: StripeGateway) -> None:
    """Set up Stripe Tax."""
    tax = gateway.client.v1.tax
    await tax.settings.update_async({"defaults": {"tax_behavior": "exclusive"}})
    texas = {"state": "TX", "type": "state_sales_tax"}
    for country, options in (("DE", {}), ("FR", {}), ("US", texas)):
        await tax.registrations.create_async(
            {
                "active_from": "now",
                "country": country,
                "country_options": {country.lower(): options or {"type": "standard"}},  # type: ignore[misc]
            }
        )


def typed(place: Mapping[str, str]) -> dict[str, str]:
    """The address as it is typed into the payment page."""
    return {
        "billingAddressLine1": "Street 1",
        "billingLocality": "Town",
        "billingPostalCode": place["postcode"],
        "billingCountry": place["country"],
        **({"billingAdministrativeArea": place["state"]} if "state" in place else {}),
    }
