from uuid import uuid4

import pytest

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.repository import build_catalogue
from mpanel_billing.catalogue.rows import coupon_rows, price_rows, product_rows
from mpanel_billing.resources import DEFAULT_CATALOGUE


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The default catalogue, as the database would give it."""
    file = read_catalogue_file(DEFAULT_CATALOGUE)
    prices = [
        row | {"id": str(uuid4()), "stripe_price_id": f"price_{row['lookup_key']}"}
        for row in price_rows(file)
    ]
    products = [
        row
        | {
            "id": str(uuid4()),
            "currency": "usd",
            "stripe_product_id": None,
            "prices": [price for price in prices if price["code"] == row["code"]],
        }
        for row in product_rows(file)
    ]
    coupons = [row | {"stripe_coupon_id": row["code"]} for row in coupon_rows(file)]
    return build_catalogue(products, coupons)
