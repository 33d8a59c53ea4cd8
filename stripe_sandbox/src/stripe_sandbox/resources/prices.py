"""`/v1/prices`."""

from stripe.params import (
    PriceCreateParams,
    PriceListParams,
    PriceRetrieveParams,
    PriceUpdateParams,
)

from stripe_sandbox.billing.currencies import keep_options, priced_in
from stripe_sandbox.billing.usage import METER
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.money import check_currency, check_step
from stripe_sandbox.operations import (
    Call,
    Filter,
    Operation,
    listing,
    retrieve,
)
from stripe_sandbox.resources import products
from stripe_sandbox.resources.price_schemes import amount_fields, scheme_of
from stripe_sandbox.supported import entries, supports
from stripe_sandbox.world import World

MAX_INTERVALS = {"day": 1095, "week": 156, "month": 36, "year": 3}
"""At most three years."""


def create(call: Call) -> Document:
    """Create a price; raises ApiError if the lookup key is in use and not to be transferred."""
    world = call.world
    product_id = _product(call)
    scheme = scheme_of(call)
    check_step(scheme.get("unit_amount"), _currency(call), "unit_amount")
    lookup_key = _take_lookup_key(call, None)
    recurring = _recurring(world, call.get("recurring"))
    price = world.add(
        {
            "id": world.ids.next("price"),
            "object": "price",
            "active": call.get("active", True),
            "created": world.now(),
            "currency": _currency(call),
            "livemode": False,
            "lookup_key": lookup_key,
            "metadata": call.get("metadata", {}),
            "nickname": call.get("nickname"),
            "product": product_id,
            "recurring": recurring,
            "tax_behavior": call.get("tax_behavior", "unspecified"),
            "type": "recurring" if recurring else "one_time",
            **scheme,
        }
    )
    keep_options(world, price, _currency_options(call))
    world.announce("price.created", price)
    return price


def _currency_options(call: Call) -> Document:
    """Return the amounts in other currencies that the params have."""
    options = {}
    for currency, given in call.get("currency_options", {}).items():
        path = f"currency_options[{currency}]"
        check_currency(currency.lower(), path)
        amounts = amount_fields(given, "unit_amount", path)
        if amounts["unit_amount_decimal"] is None:
            raise missing_param(f"{path}[unit_amount]")
        behavior = given.get("tax_behavior") or "unspecified"
        options[currency.lower()] = {**amounts, "tax_behavior": behavior}
    return options


def _product(call: Call) -> str:
    given = call.get("product_data")
    if given:
        return str(products.create(Call(call.world, {}, dict(given)))["id"])
    if call.get("product") is None:
        raise missing_param("product")
    return str(call.world.find("product", call.get("product"), "product")["id"])


def _currency(call: Call) -> str:
    currency = str(call.get("currency")).lower()
    check_currency(currency, "currency")
    return currency


def _recurring(world: World, given: ReadOnly | None) -> Document | None:
    if given is None:
        return None
    count = given.get("interval_count") or 1
    if not 1 <= count <= MAX_INTERVALS[given["interval"]]:
        message = "Invalid interval_count: the interval must be between one unit and three years."
        raise invalid(message, param="recurring[interval_count]")
    return {
        "interval": given["interval"],
        "interval_count": count,
        "meter": _meter(world, given),
        "trial_period_days": given.get("trial_period_days"),
        "usage_type": given.get("usage_type") or "licensed",
    }


def _meter(world: World, given: ReadOnly) -> str | None:
    """Return the id of the meter that a metered price, and no other, has."""
    param, meter_id = "recurring[meter]", given.get("meter")
    if given.get("usage_type") != "metered":
        if meter_id is not None:
            raise invalid("Only prices with `usage_type=metered` can have a meter.", param=param)
        return None
    if meter_id is None:
        raise missing_param(param)
    if world.find(METER, meter_id, param)["status"] != "active":
        raise invalid(f"The meter `{meter_id}` is inactive.", param=param)
    return str(meter_id)


def _take_lookup_key(call: Call, price_id: str | None) -> str | None:
    lookup_key = call.get("lookup_key")
    if lookup_key is None:
        return None
    holder = _holder(call.world, lookup_key)
    if holder and holder["id"] != price_id:
        if not call.get("transfer_lookup_key"):
            message = f"A price (`{holder['id']}`) already uses that lookup key."
            raise invalid(message, param="lookup_key", code="resource_already_exists")
        holder["lookup_key"] = None
        call.world.change(holder)
    return str(lookup_key)


def _holder(world: World, lookup_key: str) -> Document | None:
    holder = next(world.store.where("price", "lookup_key", lookup_key), None)
    return dict(holder) if holder else None


def update(call: Call) -> Document:
    """Update a price; its amount cannot change."""
    price = call.world.find("price", call.id)
    if call.get("active") is False and _is_default(call.world, price):
        message = "This price cannot be archived because it is the default price of its product."
        raise invalid(message, param="active")
    price |= call.pick("active", "nickname", "tax_behavior")
    if "lookup_key" in call.params:
        price["lookup_key"] = _take_lookup_key(call, price["id"])
    if "metadata" in call.params:
        price["metadata"] = merge_metadata(price["metadata"], call.params["metadata"])
    keep_options(call.world, price, _currency_options(call))
    return call.world.change(price)


def named_price(
    call: Call, given: ReadOnly, param: str, currency: str | None = None
) -> Document | None:
    """Return the price of an item's `price` or `price_data`, if given; by default in its currency.

    Raises ApiError for one that has no amount in the given currency.
    """
    if given.get("price_data"):
        return create(Call(call.world, {}, dict(given["price_data"])))
    price_id = given.get("price") or given.get("plan")
    if not price_id:
        return None
    return priced_in(call.world, find_active_price(call.world, price_id, param), currency, param)


def find_active_price(world: World, price_id: str, param: str) -> Document:
    """Return the price; raises ApiError if it does not exist or is inactive."""
    price = world.find("price", price_id, param)
    if not price["active"]:
        message = "The price specified is inactive. This field only accepts active prices."
        raise invalid(message, param=param)
    return price


def _is_default(world: World, price: ReadOnly) -> bool:
    product = world.store.peek("product", price["product"])
    return bool(product and product["default_price"] == price["id"])


def _matches_recurring(price: ReadOnly, wanted: ReadOnly) -> bool:
    recurring = price["recurring"] or {}
    return all(recurring.get(name) == value for name, value in wanted.items())


def _has_lookup_key(price: ReadOnly, keys: list[str]) -> bool:
    return price["lookup_key"] in keys


FILTERS: dict[str, Filter] = {"lookup_keys": _has_lookup_key, "recurring": _matches_recurring}

UPDATE = supports(
    "active",
    "lookup_key",
    "metadata",
    "nickname",
    "tax_behavior",
    "transfer_lookup_key",
    currency_options=entries(supports("tax_behavior", "unit_amount", "unit_amount_decimal")),
)
AMOUNT = supports("currency", "product", "tax_behavior", "unit_amount", "unit_amount_decimal")
"""What `price_data` has in every operation."""

RECURRING_AMOUNT = supports("recurring", base=AMOUNT)
"""What `price_data` has where the price is, or may be, recurring."""

CREATE = supports(
    "billing_scheme",
    "tiers",
    "tiers_mode",
    "transform_quantity",
    base=supports(base=AMOUNT, **UPDATE.parts),
    product_data=supports(
        "active", "id", "metadata", "name", "statement_descriptor", "tax_code", "unit_label"
    ),
    recurring=supports("interval", "interval_count", "meter", "trial_period_days", "usage_type"),
)

OPERATIONS = (
    Operation("POST", "/prices", PriceCreateParams, create, CREATE),
    Operation(
        "GET",
        "/prices",
        PriceListParams,
        listing("price", **FILTERS),
        supports("active", "created", "currency", "lookup_keys", "product", "recurring", "type"),
    ),
    Operation("GET", "/prices/{id}", PriceRetrieveParams, retrieve("price")),
    Operation("POST", "/prices/{id}", PriceUpdateParams, update, UPDATE),
)
