"""The catalogue for the marketing site's older pages: prices in whole currency units.

A cycle that is not sold has no key, so every price is a number.
"""

from typing import Any

from mpanel_billing import money
from mpanel_billing.catalogue.cycles import BILLING_CYCLES
from mpanel_billing.catalogue.model import Catalogue, Price, Product
from mpanel_billing.catalogue.usage import describe_usage
from mpanel_billing.errors import NotFoundError

Body = dict[str, Any]
"""A JSON object."""

_BRIDGE_CYCLES = {
    "monthly": "monthly",
    "annual": "annually",
    "biennial": "biennially",
    "triennial": "triennially",
}
"""The bridge's name of each term that it has, and ours."""


def plans_body(catalogue: Catalogue, currency: str) -> Body:
    """Return the body of GET /api/public/plans: the plans that are sold in a currency."""
    sold = [plan for plan in catalogue.plans.values() if plan.cycles_in(currency)]
    plans = [_plan(plan, currency) for plan in sold]
    return {"plans": plans, **_currencies(catalogue, currency)}


def products_body(catalogue: Catalogue, currency: str, category: str | None = None) -> Body:
    """Return the body of GET /api/marketing-api/products/catalog: plans and add-ons."""
    listed = [
        _product(product, currency)
        for product in (*catalogue.plans.values(), *catalogue.addons.values())
        if category in {None, "", product.category} and product.cycles_in(currency)
    ]
    meta = {"total": len(listed), **_currencies(catalogue, currency)}
    return {"success": True, "data": listed, "meta": meta}


def product_body(catalogue: Catalogue, currency: str, code: str) -> Body:
    """Return the body of GET /api/marketing-api/products/:id.

    NotFoundError if it is not sold in the currency.
    """
    product = catalogue.plans.get(code) or catalogue.addons.get(code)
    if product is None or not product.cycles_in(currency):
        raise NotFoundError("Product not found.", code="product_not_found")
    meta = _currencies(catalogue, currency)
    return {"success": True, "data": _product(product, currency), "meta": meta}


def _currencies(catalogue: Catalogue, currency: str) -> Body:
    """Return the currency of all prices in a body, and those that it can be asked for in."""
    return {"currency": currency, "currencies": catalogue.currencies}


def _plan(plan: Product, currency: str) -> Body:
    return {
        "id": plan.code,
        "name": plan.name,
        "description": plan.description,
        "monthly_price": _price_in_units(plan, "monthly", currency),
        "annual_price": _price_in_units(plan, "annually", currency),
        "features": list(plan.features),
        "billing": [
            _billing(price)
            for price in plan.prices
            if price.billing_cycle and price.currency == currency
        ],
    }


def _billing(price: Price) -> Body:
    cycle = BILLING_CYCLES[str(price.billing_cycle)]
    return {
        "term": cycle.code,
        "label": cycle.label,
        "months": cycle.months,
        "priceId": price.stripe_price_id or price.lookup_key,
    }


def _product(product: Product, currency: str) -> Body:
    prices = {
        name: _price_in_units(product, cycle, currency) for name, cycle in _BRIDGE_CYCLES.items()
    }
    return {
        "id": product.code,
        "name": product.name,
        "category": product.category,
        "description": product.description,
        "billing_cycles": {name: price for name, price in prices.items() if price is not None},
        "features": list(product.features),
        "resources": dict(product.resources),
        "usage": _usage(product, currency),
        "is_active": True,
        "display_order": product.display_order,
    }


def _usage(product: Product, currency: str) -> Body | None:
    """Return what an add-on with usage costs by the unit; its `billing_cycles` are 0."""
    tiers = next((p.tiers for p in product.prices if p.tiers and p.currency == currency), ())
    if product.usage is None or not tiers:
        return None
    return {
        "unit": product.usage.unit,
        "included": product.usage.included,
        "tiers": [
            {
                "up_to": tier.up_to,
                "unit_price": float(money.to_decimal(1, currency) * tier.unit_amount),
            }
            for tier in tiers
        ],
        "text": describe_usage(product.usage, tiers, currency),
    }


def _price_in_units(product: Product, cycle: str, currency: str) -> float | None:
    """Return a price as a JSON number (7.99 dollars); None if not sold."""
    price = product.price_for(cycle, currency)
    return None if price is None else float(money.to_decimal(price.unit_amount, currency))
