"""`/v1/checkout/sessions`."""

from typing import Any

from stripe.params.checkout import (
    SessionCreateParams,
    SessionExpireParams,
    SessionLineItemListParams,
    SessionListParams,
    SessionRetrieveParams,
    SessionUpdateParams,
)

from stripe_sandbox.billing.cart import Cart, line_items_of
from stripe_sandbox.billing.cart_changes import MOST
from stripe_sandbox.billing.checkout import expire_session, open_session
from stripe_sandbox.billing.currencies import priced_in
from stripe_sandbox.billing.lines import check_currency_of
from stripe_sandbox.billing.periods import DAY, HOUR
from stripe_sandbox.billing.subscriptions import PricedItem, refuse_repeated
from stripe_sandbox.billing.taxes import check_behavior, find_rates
from stripe_sandbox.billing.usage import is_metered
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.operations import (
    Call,
    Listing,
    Operation,
    listing,
    retrieve,
)
from stripe_sandbox.resources import prices
from stripe_sandbox.resources.checkout_modes import (
    OF_MODES,
    check_one_time,
    check_params_of_mode,
    check_taxes,
    fields_of_mode,
)
from stripe_sandbox.supported import one_of, supports
from stripe_sandbox.world import World

SHOWN = (
    "adaptive_pricing",
    "after_expiration",
    "allow_promotion_codes",
    "allowed_payment_method_types",
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "custom_text",
    "customer",
    "customer_email",
    "expires_at",
    "locale",
    "metadata",
    "payment_method_collection",
    "submit_type",
    "success_url",
)
"""Params that become fields of the session unchanged."""

SHORTEST_LIFE, LONGEST_LIFE = HOUR // 2, 24 * HOUR
SHORTEST_TRIAL_END = 2 * DAY
LONGEST_TRIAL = 730
MAX_LINES = 20


def create(call: Call) -> Document:
    """Create a session."""
    _check_mode(call)
    check_params_of_mode(call)
    _check_buyer(call)
    _check_expiry(call)
    return open_session(call.world, _cart(call), _values(call))


def _cart(call: Call) -> Cart:
    data = call.get("subscription_data", {})
    path = "subscription_data[default_tax_rates]"
    defaults = find_rates(call.world, data.get("default_tax_rates"), path)
    cart = Cart(
        _items(call),
        data,
        _discounts(call),
        tuple(defaults),
        call.get("payment_intent_data", {}),
        call.get("setup_intent_data", {}),
        call.get("customer_update", {}),
        automatic_tax=bool(call.get("automatic_tax", {}).get("enabled")),
    )
    check_taxes(call, cart)
    if call.get("mode") == "setup":
        return cart
    if call.get("mode") == "payment":
        check_one_time(cart)
    else:
        _check_cart(call.world, cart)
    if call.get("customer"):
        check_currency_of(call.world, call.get("customer"), cart.currency)
    _check_trial(call, cart.subscription_data)
    return cart


def _values(call: Call) -> Document:
    """Return the fields of the session that follow from the params."""
    values = {name: value for name, value in call.pick(*SHOWN).items() if value is not None}
    values.setdefault("customer", None)
    values |= fields_of_mode(call)
    email = call.get("customer_email")
    values["customer_details"] = {"email": email, "tax_exempt": "none"} if email else None
    if "after_expiration" in values:
        values["after_expiration"] = _after_expiration(values["after_expiration"])
    return values


def _check_mode(call: Call) -> None:
    if call.get("mode") is None:
        raise missing_param("mode")
    if call.get("success_url") is None:
        raise missing_param("success_url")
    for name in ("success_url", "cancel_url"):
        url = call.get(name)
        if url and not url.startswith(("http://", "https://")):
            message = "Not a valid URL. URLs must begin with http:// or https://."
            raise invalid(message, param=name, code="url_invalid")


def _check_buyer(call: Call) -> None:
    customer = call.get("customer")
    if customer and call.get("customer_email"):
        raise invalid("You may only specify one of these parameters: customer, customer_email.")
    if customer:
        call.world.find("customer", customer, "customer")


def _check_expiry(call: Call) -> None:
    expires_at = call.get("expires_at")
    if expires_at is None:
        return
    life = expires_at - call.world.time_of(call.params)
    if life < SHORTEST_LIFE:
        message = (
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation."
        )
        raise invalid(message, param="expires_at")
    if life > LONGEST_LIFE:
        message = (
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation."
        )
        raise invalid(message, param="expires_at")


def _items(call: Call) -> list[PricedItem]:
    given = call.get("line_items")
    if call.get("mode") == "setup":
        return []
    if not given:
        raise missing_param("line_items")
    return [_item(call, line, f"line_items[{index}]") for index, line in enumerate(given)]


def _item(call: Call, line: ReadOnly, path: str) -> PricedItem:
    price = _price(call, line, path)
    quantity = line.get("quantity")
    if is_metered(price):
        _refuse_quantity(line, path)
        quantity = 0
    elif quantity is None:
        raise missing_param(f"{path}[quantity]")
    elif quantity < 1:
        raise invalid("Invalid quantity: must be at least 1.", param=f"{path}[quantity]")
    rates = find_rates(call.world, line.get("tax_rates"), f"{path}[tax_rates]")
    adjustable = _adjustable(line, quantity, path)
    return PricedItem(price, quantity, line.get("metadata") or {}, adjustable, tuple(rates))


def _refuse_quantity(line: ReadOnly, path: str) -> None:
    for name in ("quantity", "adjustable_quantity"):
        if line.get(name) is not None:
            message = (
                "Quantity should not be specified where usage_type is `metered`. Remove quantity "
                f"from `{path}`"
            )
            raise invalid(message, param=f"{path}[{name}]")


def _adjustable(line: ReadOnly, quantity: int, path: str) -> Document | None:
    given = line.get("adjustable_quantity")
    if given is None:
        return None
    least, most = given.get("minimum") or 0, given.get("maximum") or MOST
    if given["enabled"] and not least <= quantity <= most:
        message = f"The quantity must be between the minimum ({least}) and the maximum ({most})."
        raise invalid(message, param=f"{path}[adjustable_quantity]")
    return {"enabled": given["enabled"], "maximum": most, "minimum": least}


def _price(call: Call, line: ReadOnly, path: str) -> Document:
    if line.get("price_data"):
        return prices.create(Call(call.world, {}, dict(line["price_data"]) | {"active": True}))
    if line.get("price") is None:
        raise missing_param(f"{path}[price]")
    price = prices.find_active_price(call.world, line["price"], f"{path}[price]")
    return priced_in(call.world, price, call.get("currency"), f"{path}[price]")


def _discounts(call: Call) -> list[ReadOnly]:
    given: list[ReadOnly] = call.get("discounts", [])
    if len(given) > 1:
        raise invalid("You may only specify one discount.", param="discounts")
    if given and call.get("allow_promotion_codes") is not None:
        message = "You may only specify one of these parameters: allow_promotion_codes, discounts."
        raise invalid(message)
    return given


def _check_cart(world: World, cart: Cart) -> None:
    recurring = cart.recurring()
    if not recurring:
        message = "You must provide at least one recurring price in `subscription` mode."
        raise invalid(message, param="line_items")
    if world.choices.repeated_prices == "refuse":
        refuse_repeated([item.price["id"] for item in recurring])
    for item in cart.items:
        check_behavior(item.price, cart.rates_of(item))
    if max(len(recurring), len(cart.one_time())) > MAX_LINES:
        raise invalid(f"At most {MAX_LINES} line items of a kind are allowed.", param="line_items")
    terms = {(i.price["recurring"]["interval"], i.price["recurring"]["interval_count"])
             for i in recurring}  # fmt: skip
    if len(terms) > 1:
        message = "Checkout does not support multiple prices with different billing intervals."
        raise invalid(message, param="line_items")
    if len({item.price["currency"] for item in cart.items}) > 1:
        raise invalid("All prices must use the same currency.", param="line_items")


def _check_trial(call: Call, data: ReadOnly) -> None:
    days, end = data.get("trial_period_days"), data.get("trial_end")
    path = "subscription_data"
    if days is not None and end is not None:
        message = "You may only specify one of these parameters: trial_end, trial_period_days."
        raise invalid(message, param=f"{path}[trial_end]")
    if days is not None and not 1 <= days <= LONGEST_TRIAL:
        message = f"The trial must be between 1 and {LONGEST_TRIAL} days long."
        raise invalid(message, param=f"{path}[trial_period_days]")
    if end is not None and end < call.world.time_of(call.params) + SHORTEST_TRIAL_END:
        message = "The `trial_end` date has to be at least 2 days in the future."
        raise invalid(message, param=f"{path}[trial_end]")


def _after_expiration(given: ReadOnly) -> Document:
    recovery: Any = given.get("recovery")
    return {"recovery": {"allow_promotion_codes": False, **recovery} if recovery else None}


def expire(call: Call) -> Document:
    """Expire an open session."""
    return expire_session(call.world, call.world.find("checkout.session", call.id))


def update(call: Call) -> Document:
    """Update a session's metadata."""
    session = call.world.find("checkout.session", call.id)
    session["metadata"] = merge_metadata(session["metadata"], call.params.get("metadata"))
    return call.world.save(session)


def list_line_items(call: Call) -> Listing:
    """List the session's line items, in the order given."""
    call.world.find("checkout.session", call.id)
    return Listing(line_items_of(call.world, call.id))


def _has_email(session: ReadOnly, wanted: ReadOnly) -> bool:
    details = session["customer_details"] or {}
    return bool(details.get("email") == wanted["email"])


PATH = "/checkout/sessions"
PRODUCT = supports("description", "images", "metadata", "name", "tax_code", "unit_label")
CREATE = supports(
    *SHOWN,
    discounts=supports("coupon", "promotion_code"),
    line_items=supports(
        "adjustable_quantity",
        "metadata",
        "price",
        "quantity",
        "tax_rates",
        price_data=supports(base=prices.RECURRING_AMOUNT, product_data=PRODUCT),
    ),
    mode=one_of("payment", "setup", "subscription"),
    base=OF_MODES,
    subscription_data=supports(
        "default_tax_rates",
        "description",
        "metadata",
        "trial_end",
        "trial_period_days",
        billing_mode=supports("type"),
        trial_settings=supports(end_behavior=supports("missing_payment_method")),
    ),
)

OPERATIONS = (
    Operation("POST", PATH, SessionCreateParams, create, CREATE),
    Operation(
        "GET",
        PATH,
        SessionListParams,
        listing("checkout.session", customer_details=_has_email),
        supports(
            "created", "customer", "customer_details", "payment_intent", "status", "subscription"
        ),
    ),
    Operation("GET", f"{PATH}/{{id}}", SessionRetrieveParams, retrieve("checkout.session")),
    Operation("POST", f"{PATH}/{{id}}", SessionUpdateParams, update, supports("metadata")),
    Operation("POST", f"{PATH}/{{id}}/expire", SessionExpireParams, expire),
    Operation("GET", f"{PATH}/{{id}}/line_items", SessionLineItemListParams, list_line_items),
)
