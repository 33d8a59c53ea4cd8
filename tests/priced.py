"""The default catalogue in our rows alone: the ids that Stripe would have given are made up."""

import pytest

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import Pool
from mpanel_billing.resources import DEFAULT_CATALOGUE
from tests.postgres import Stocked
from tests.stocks import Stocks

IS_PRICED = "SELECT EXISTS (SELECT FROM prices WHERE stripe_price_id = 'price_' || lookup_key)"


async def price(pool: Pool) -> None:
    """Write the default catalogue, with `price_` and the lookup key as ids."""
    await apply_catalogue(pool, read_catalogue_file(DEFAULT_CATALOGUE))
    await pool.execute(
        "UPDATE prices SET stripe_price_id = 'price_' || lookup_key, livemode = FALSE"
    )


@pytest.fixture(scope="session")
def priced(stocks: Stocks, template: str) -> Stocked:
    """What `price` writes: a stock."""
    return stocks.written("priced", template, price)
