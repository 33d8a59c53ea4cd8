"""The catalogue that a file describes, as it would be on sale. Pure."""

from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.repository import build_catalogue
from mpanel_billing.catalogue.rows import Row, coupon_rows, price_rows, product_rows
from mpanel_billing.catalogue.schema import CatalogueFile


def catalogue_of(file: CatalogueFile, now: datetime) -> Catalogue:
    """Return what the database would sell after applying a file; its ids are made up."""
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
    offered = (one.code for one in file.coupons if not one.expires_at or one.expires_at > now)
    codes = {*offered}
    coupons = [row | {"stripe_coupon_id": None} for row in coupon_rows(file)]
    return build_catalogue(products, [row for row in coupons if row["code"] in codes])


def _price(row: Row) -> Row:
    return row | {"id": _id_of(row["lookup_key"]), "stripe_price_id": None}


def _id_of(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))
