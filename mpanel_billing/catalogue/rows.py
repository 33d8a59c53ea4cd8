"""The catalogue file as rows of products, prices and coupons."""

from typing import Any

from mpanel_billing import money
from mpanel_billing.catalogue.cycles import BILLING_CYCLES
from mpanel_billing.catalogue.model import ProductKind
from mpanel_billing.catalogue.schema import (
    AddonEntry,
    AnyProductEntry,
    CatalogueFile,
    EntryAmount,
    PlanEntry,
    RecurringEntry,
)
from mpanel_billing.catalogue.usage import tier_rows

Row = dict[str, Any]
"""One row as JSON: columns by name."""


def product_rows(file: CatalogueFile) -> list[Row]:
    """Return each product as a row of `products`, including mPanel's own columns."""
    return [
        _product_row(kind, entry, file.currency) | {"tax_code": entry.tax_code or file.tax_code}
        for kind, _, entry in file.products()
    ]


def price_rows(file: CatalogueFile) -> list[Row]:
    """Return each amount as a row of `prices`, with its product's `code`."""
    return [
        {
            "code": entry.product_code,
            "billing_cycle": amount.billing_cycle,
            "purpose": amount.purpose,
            "currency": amount.currency,
            "unit_amount": amount.amount,
            "meter": _meter(entry) if amount.tiers else None,
            "tiers": tier_rows(amount.tiers),
            "lookup_key": f"{entry.product_code}_{amount.word}_{amount.currency}",
            "tax_behavior": file.tax_behavior_in.get(amount.currency, file.tax_behavior),
        }
        for _, _, entry in file.products()
        for amount in entry.amounts(file.currency)
    ]


def meter_rows(file: CatalogueFile) -> list[Row]:
    """Return each meter as a row of `billing_meters`."""
    return [
        {"event_name": addon.usage.meter, "aggregation": addon.usage.aggregation}
        for addon in file.addons
        if addon.usage
    ]


def _meter(entry: AnyProductEntry) -> str | None:
    return entry.usage.meter if isinstance(entry, AddonEntry) and entry.usage else None


def _usage(entry: AnyProductEntry) -> Row | None:
    """Return what `products.usage` says."""
    if not isinstance(entry, AddonEntry) or entry.usage is None:
        return None
    usage = entry.usage
    return usage.model_dump(include={"meter", "aggregation", "unit", "included", "notify_at"}) | {
        "limit": usage.limit,
        "at_limit": usage.limit and (usage.at_limit or "tell"),
    }


def coupon_rows(file: CatalogueFile) -> list[Row]:
    """Return each coupon as a row of `coupons`; percentages are exact text."""
    return [
        {
            "code": coupon.code,
            "name": coupon.name,
            "percent_off": None if coupon.percent_off is None else f"{coupon.percent_off:.2f}",
            "amount_off": coupon.amount_off,
            "currency": file.currency if coupon.has_amount else None,
            "duration": coupon.duration,
            "duration_in_months": coupon.duration_in_months,
            "max_redemptions": coupon.max_redemptions,
            "max_per_customer": coupon.max_per_customer,
            "expires_at": coupon.expires_at.isoformat() if coupon.expires_at else None,
            "products": coupon.products,
            "first_order_only": coupon.first_order_only,
            "retention": coupon.retention,
            "minimum_amount": coupon.minimum_amount,
            "amount_off_in": coupon.amount_off_in,
            "minimum_amount_in": coupon.minimum_amount_in,
        }
        for coupon in file.coupons
    ]


def _product_row(kind: ProductKind, entry: AnyProductEntry, currency: str) -> Row:
    recurring = entry if isinstance(entry, RecurringEntry) else None
    plan = entry if isinstance(entry, PlanEntry) else None
    return {
        "code": entry.product_code,
        "kind": kind,
        "name": entry.name,
        "description": entry.description,
        "product_types": recurring.product_types if recurring else (),
        "trial_days": plan.trial_days if plan else 0,
        "max_per_customer": plan.max_per_customer if plan else None,
        "max_quantity": recurring.max_quantity if recurring else 1,
        "card_required": plan.card_required if plan else False,
        "free_domain": plan.free_domain if plan else False,
        "allowed_changes": plan.allowed_changes if plan else None,
        "category": recurring.category if recurring else kind,
        "features": recurring.features if recurring else (),
        "resources": recurring.resources if recurring else {},
        "display_order": entry.display_order,
        "usage": _usage(entry),
        **_mpanel_columns(kind, entry, currency),
    }


def _mpanel_columns(kind: ProductKind, entry: AnyProductEntry, currency: str) -> Row:
    """Return the columns in which mPanel keeps one price per product: that of the shortest term."""
    amounts = [amount for amount in entry.amounts(currency) if amount.currency == currency]
    terms = (amount for amount in amounts if amount.word != "setup" and not amount.purpose)
    price = min(terms, key=_months)
    fee = next((amount.amount for amount in amounts if amount.word == "setup"), 0)
    return {
        "type": entry.product_types[0] if isinstance(entry, RecurringEntry) else kind,
        "billing_cycle": price.billing_cycle,
        "price": str(money.to_decimal(price.amount, currency)),
        "setup_fee": str(money.to_decimal(fee, currency)),
        "currency": currency.upper(),
    }


def _months(amount: EntryAmount) -> int:
    return BILLING_CYCLES[amount.billing_cycle].months if amount.billing_cycle else 0
