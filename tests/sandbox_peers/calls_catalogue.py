"""What is sold: products, prices, discounts, taxes, shipping, features."""

from tests.sandbox_peers.calls import call, crud

MONTHLY = {"currency": "usd", "unit_amount": 1000, "recurring": {"interval": "month"}}
SHIPPING = {
    "display_name": "Ground",
    "type": "fixed_amount",
    "fixed_amount": {"amount": 500, "currency": "usd"},
    "delivery_estimate": {"minimum": {"unit": "business_day", "value": 2}},
}

CATALOGUE = [
    *crud("products", "product", {"name": "Gold"}, {"description": "The best"}, deletes=True),
    call("products.search", {"query": "name:'Gold'"}),
    call("prices.create", {**MONTHLY, "product": "$product"}, monthly="id"),
    call("prices.create", {**MONTHLY, "product": "$product", "unit_amount": 3000}, bigger="id"),
    call(
        "prices.create", {"currency": "usd", "product": "$product", "unit_amount": 600}, once="id"
    ),
    call("prices.retrieve", "$monthly"),
    call("prices.update", "$monthly", {"nickname": "Monthly"}),
    call("prices.list", {"product": "$product"}),
    call("prices.search", {"query": "active:'true'"}),
    *crud(
        "plans",
        "plan",
        {"amount": 900, "currency": "usd", "interval": "month", "product": "$product"},
        {"nickname": "Old"},
        deletes=True,
    ),
    *crud(
        "coupons",
        "coupon",
        {"percent_off": 25, "duration": "forever"},
        {"name": "Quarter"},
        deletes=True,
    ),
    *crud(
        "promotion_codes",
        "promotion_code",
        {"promotion": {"type": "coupon", "coupon": "$coupon"}},
        {"metadata": {"by": "radio"}},
    ),
    *crud(
        "tax_rates",
        "tax_rate",
        {"display_name": "VAT", "percentage": 20, "inclusive": False},
        {"jurisdiction": "DE"},
    ),
    *crud("shipping_rates", "shipping_rate", SHIPPING, {"metadata": {"fast": "no"}}),
    *crud(
        "entitlements.features",
        "feature",
        {"name": "Backups", "lookup_key": "backups"},
        {"name": "Daily backups"},
    ),
    call(
        "products.features.create",
        "$product",
        {"entitlement_feature": "$feature"},
        product_feature="id",
    ),
    call("products.features.retrieve", "$product", "$product_feature"),
    call("products.features.list", "$product"),
    call("products.features.create", "$product", {"entitlement_feature": "$feature"}, extra="id"),
    call("products.features.delete", "$product", "$extra"),
    call("tax_codes.list", {"limit": 3}, tax_code="data.0.id"),
    call("tax_codes.retrieve", "$tax_code"),
]
