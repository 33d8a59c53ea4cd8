"""The catalogue as a table for the terminal, and as JSON for scripts."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, get_args

from mpanel_billing import money
from mpanel_billing.catalogue.coupon_texts import discount_text, duration_text, limit_texts
from mpanel_billing.catalogue.cycles import BILLING_CYCLES
from mpanel_billing.catalogue.model import Catalogue, PricePurpose, Product
from mpanel_billing.catalogue.usage import tier_rows


def catalogue_table(catalogue: Catalogue) -> str:
    """Format what is sold as a table: a line per product and currency, and per coupon."""
    cycles = [
        cycle
        for cycle in BILLING_CYCLES
        if any(cycle == price.billing_cycle for p in catalogue.products for price in p.prices)
    ]
    purposes = [
        purpose
        for purpose in get_args(PricePurpose)
        if any(purpose == price.purpose for p in catalogue.products for price in p.prices)
    ]
    rows = [
        ["kind", "code", "name", "trial", *cycles, "once", *purposes, "in stripe"],
        *(
            _product_cells(product, currency, [*cycles, None, *purposes])
            for product in catalogue.products
            for currency in dict.fromkeys(price.currency for price in product.prices)
        ),
    ]
    coupons = [
        ", ".join(
            [
                f"coupon {coupon.code}: {discount_text(coupon)}",
                duration_text(coupon),
                *limit_texts(coupon),
                "in stripe" if coupon.stripe_coupon_id else "not in stripe",
            ]
        )
        for coupon in catalogue.coupons
    ]
    return "\n".join([*_aligned(rows), *coupons])


def catalogue_json(catalogue: Catalogue) -> dict[str, Any]:
    """Return what is sold as a JSON object, amounts in minor units."""
    return {
        "currency": catalogue.currency,
        "currencies": catalogue.currencies,
        "products": [_product_json(product) for product in catalogue.products],
        "coupons": [
            {
                "code": coupon.code,
                "name": coupon.name,
                "percent_off": coupon.percent_off and float(coupon.percent_off),
                "amount_off": coupon.amount_off,
                "currency": coupon.currency,
                "duration": coupon.duration,
                "duration_in_months": coupon.duration_in_months,
                "max_redemptions": coupon.max_redemptions,
                "max_per_customer": coupon.max_per_customer,
                "expires_at": coupon.expires_at and coupon.expires_at.isoformat(),
                "products": coupon.products,
                "first_order_only": coupon.first_order_only,
                "retention": coupon.retention,
                "minimum_amount": coupon.minimum_amount,
                "amount_off_in": coupon.amount_off_in,
                "minimum_amount_in": coupon.minimum_amount_in,
                "stripe_coupon_id": coupon.stripe_coupon_id,
            }
            for coupon in catalogue.coupons
        ],
    }


def _product_json(product: Product) -> dict[str, Any]:
    return {
        "code": product.code,
        "kind": product.kind,
        "name": product.name,
        "product_types": product.product_types,
        "trial_days": product.trial_days,
        "max_per_customer": product.max_per_customer,
        "max_quantity": product.max_quantity,
        "card_required": product.card_required,
        "free_domain": product.free_domain,
        "allowed_changes": product.allowed_changes,
        "usage": product.usage and asdict(product.usage),
        "stripe_product_id": product.stripe_product_id,
        "prices": [
            {
                "lookup_key": price.lookup_key,
                "billing_cycle": price.billing_cycle,
                "purpose": price.purpose,
                "currency": price.currency,
                "unit_amount": price.unit_amount,
                "tiers": tier_rows(price.tiers),
                "stripe_price_id": price.stripe_price_id,
            }
            for price in product.prices
        ],
    }


def _product_cells(product: Product, currency: str, words: Sequence[str | None]) -> list[str]:
    prices = [price for price in product.prices if price.currency == currency]
    pushed = sum(price.stripe_price_id is not None for price in prices)
    amounts = {
        price.billing_cycle or price.purpose: "by usage"
        if price.tiers
        else money.format_money(price.unit_amount, currency)
        for price in prices
    }
    return [
        product.kind,
        product.code,
        product.name,
        f"{product.trial_days} days" if product.trial_days else "",
        *(amounts.get(word, "") for word in words),
        f"{pushed} of {len(prices)}",
    ]


def _aligned(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
