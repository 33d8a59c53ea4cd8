"""A shop that sells in dollars, in yen (no decimals) and in Kuwaiti dinars (three decimals)."""

import pytest

from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import Pool
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.inline_worker import InlineWorker
from tests.postgres import Stocked
from tests.stocks import Stocks

SHOP = """\
currency = "usd"

[[plans]]
code = "starter"
name = "Starter"
description = "One site."
category = "hosting"
product_types = ["hosting"]
prices = { monthly = 799, annually = 2988 }
prices_in = { jpy = { monthly = 1215, annually = 4480 }, kwd = { monthly = 2450, annually = 9190 } }
setup_fee = 500
setup_fee_in = { jpy = 755, kwd = 1510 }

[[plans]]
code = "premium"
name = "Premium"
description = "Many sites."
category = "hosting"
product_types = ["hosting", "email"]
prices = { monthly = 1299 }
prices_in = { jpy = { monthly = 1985 }, kwd = { monthly = 3990 } }

[[plans]]
code = "tried"
name = "Tried"
description = "With a trial."
category = "hosting"
product_types = ["hosting"]
trial_days = 14
prices = { monthly = 999 }
prices_in = { jpy = { monthly = 1500 } }

[[plans]]
code = "local"
name = "Local"
description = "For dollars only."
category = "hosting"
product_types = ["hosting"]
prices = { monthly = 499 }

[[addons]]
code = "addon-backups-daily"
name = "Daily backups"
description = "Every night."
category = "addons"
product_types = ["backup"]
prices = { monthly = 499 }
prices_in = { jpy = { monthly = 747 }, kwd = { monthly = 1530 } }

[[domains]]
tld = "com"
name = ".com domain"
description = "A year of it."
price = 1299
price_in = { jpy = 1945, kwd = 3990 }
renewal_price = 1599
renewal_price_in = { jpy = 2395, kwd = 4890 }

[[domains]]
tld = "net"
name = ".net domain"
description = "A year of it."
price = 1499
price_in = { jpy = 2245 }

[[coupons]]
code = "TEN"
name = "Ten percent"
percent_off = 10
duration = "forever"

[[coupons]]
code = "FIVE"
name = "Five dollars, or about as much"
amount_off = 500
amount_off_in = { jpy = 750, kwd = 1500 }
minimum_amount = 600
minimum_amount_in = { jpy = 900, kwd = 1800 }

[[coupons]]
code = "STAY"
name = "Please stay"
retention = true
amount_off = 200
amount_off_in = { jpy = 310, kwd = 620 }

[[coupons]]
code = "BUCK"
name = "For dollars only"
amount_off = 100
"""


def shop() -> CatalogueFile:
    """Return the shop's catalogue."""
    return parse_catalogue(SHOP)


@pytest.fixture(scope="session")
def shop_in_currencies(stocks: Stocks, stocked: Stocked) -> Stocked:
    """Exactly the shop on sale: a stock."""
    return stocks.filled("in_currencies", stocked, _open)[0]


async def _open(worker: InlineWorker) -> None:
    await sell_in_currencies(worker.service.pool, worker.gateway)


async def sell_in_currencies(pool: Pool, gateway: StripeGateway) -> None:
    """Put exactly the shop on sale, and push it to Stripe."""
    await apply_catalogue(pool, shop())
    await push_catalogue(pool, StripeCatalogue(gateway.client), livemode=False)
