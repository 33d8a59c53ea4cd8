"""Compare the catalogue in Stripe with the database, read-only."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TypeAlias

from mpanel_billing.catalogue import repository
from mpanel_billing.catalogue.offers import (
    CatalogueGateway,
    PriceTerms,
    StripeCoupon,
    StripeProduct,
)
from mpanel_billing.catalogue.push import (
    Offered,
    known_product,
    known_terms,
    stripe_ids,
    wanted_coupons,
    wanted_product,
    wanted_terms,
)
from mpanel_billing.catalogue.repository import CouponToPush, PriceToPush, ProductToPush
from mpanel_billing.database.pool import Pool, acquired

Offer: TypeAlias = StripeProduct | PriceTerms | StripeCoupon


async def find_drift(pool: Pool, gateway: CatalogueGateway, livemode: bool) -> list[str]:
    """Return a sentence for each change that a push would make.

    Raises StripeError.
    """
    async with acquired(pool) as conn:
        products = await repository.list_products_to_push(conn, livemode)
        prices = await repository.list_prices_to_push(conn, livemode)
        coupons = await repository.list_coupons_to_push(conn)
    return [
        *await _drift_of_products(gateway, products),
        *await _drift_of_prices(gateway, products, prices),
        *await _drift_of_coupons(gateway, coupons, stripe_ids(products)),
    ]


async def _drift_of_products(
    gateway: CatalogueGateway, products: Sequence[ProductToPush]
) -> list[str]:
    wanted = [wanted_product(product) for product in products]
    found = {p.id: p for p in await gateway.list_products([product.id for product in wanted])}
    known = {ours.id: known_product(found[ours.id], ours) for ours in wanted if ours.id in found}
    return [
        sentence
        for product, ours in zip(products, wanted, strict=True)
        for sentence in _compare(f"product {product.code}", ours, known.get(ours.id))
    ]


async def _drift_of_prices(
    gateway: CatalogueGateway, products: Sequence[ProductToPush], prices: Sequence[PriceToPush]
) -> list[str]:
    offered = Offered(await gateway.list_active_prices(), prices)
    product_ids = {product.id: wanted_product(product).id for product in products}
    return [
        sentence
        for price in prices
        for sentence in _drift_of_price(price, offered, product_ids[price.product_id])
    ]


def _drift_of_price(price: PriceToPush, offered: Offered, product_id: str) -> list[str]:
    name = f"price {price.lookup_key}"
    if not price.active:
        still = price.stripe_price_id in offered.retirable
        return [f"{name} ({price.stripe_price_id}) is still on sale"] if still else []
    theirs = offered.for_row(price)
    ours = wanted_terms(price, product_id)
    found = _compare(name, ours, known_terms(theirs.terms, ours) if theirs else None)
    if not found and theirs and theirs.id != price.stripe_price_id:
        return [f"{name} is {theirs.id} in Stripe, which is not stored in the database yet"]
    return found


async def _drift_of_coupons(
    gateway: CatalogueGateway, coupons: Sequence[CouponToPush], product_ids: Mapping[str, str]
) -> list[str]:
    return [
        sentence
        for coupon in coupons
        for wanted in wanted_coupons(coupon, product_ids)
        for sentence in _compare(
            f"coupon {wanted.id}", wanted, await gateway.find_coupon(wanted.id)
        )
    ]


def _compare(name: str, ours: Offer, theirs: Offer | None) -> list[str]:
    if theirs is None:
        return [f"{name} is missing"]
    return [
        f"{name}: {field.name} is {_shown(getattr(theirs, field.name))}, "
        f"not {_shown(getattr(ours, field.name))}"
        for field in fields(ours)
        if getattr(theirs, field.name) != getattr(ours, field.name)
    ]


def _shown(value: object) -> str:
    return "nothing" if value in (None, ()) else str(value)
