"""The shipped catalogue, as a value and in a database."""

from collections.abc import AsyncIterator, Callable
from uuid import NAMESPACE_URL, uuid5

import pytest

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.repository import build_catalogue
from mpanel_billing.catalogue.rows import Row, coupon_rows, price_rows, product_rows
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.settings import DatabaseSettings


@pytest.fixture(scope="session")
def shipped() -> CatalogueFile:
    """The catalogue file that is shipped."""
    return read_catalogue_file(DEFAULT_CATALOGUE)


@pytest.fixture(scope="session")
def make_catalogue() -> Callable[[CatalogueFile], Catalogue]:
    """Make the catalogue that the database would have after applying a file, without one."""
    return catalogue_of


@pytest.fixture(scope="session")
def catalogue(shipped: CatalogueFile) -> Catalogue:
    """The shipped catalogue as it is on sale, before any push."""
    return catalogue_of(shipped)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to a migrated database without rows."""
    settings = DatabaseSettings(database_url=database_url)
    async with await create_pool(settings) as opened:
        yield opened


def catalogue_of(file: CatalogueFile) -> Catalogue:
    """Make the catalogue that the database would have after applying a file, without one."""
    prices = price_rows(file)
    products = [
        row
        | {
            "id": _id_of(row["code"]),
            "currency": file.currency,
            "stripe_product_id": None,
            "prices": [_price(price) for price in prices if price["code"] == row["code"]],
        }
        for row in product_rows(file)
    ]
    coupons = [row | {"stripe_coupon_id": None} for row in coupon_rows(file)]
    return build_catalogue(products, coupons)


def _price(row: Row) -> Row:
    return row | {"id": _id_of(row["lookup_key"]), "stripe_price_id": None}


def _id_of(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))
