"""The modes of Checkout sessions: which params each takes, and what they do to the session."""

from collections.abc import Mapping

from stripe_sandbox.billing.automatic_tax import check_prices
from stripe_sandbox.billing.cart import Cart
from stripe_sandbox.billing.cart_taxes import is_located, payer_known
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.money import check_currency
from stripe_sandbox.operations import Call
from stripe_sandbox.resources.intent_params import TYPES
from stripe_sandbox.supported import supports

MODES: Mapping[str, frozenset[str]] = {
    "allow_promotion_codes": frozenset({"payment", "subscription"}),
    "automatic_tax": frozenset({"payment", "subscription"}),
    "customer_creation": frozenset({"payment", "setup"}),
    "discounts": frozenset({"payment", "subscription"}),
    "invoice_creation": frozenset({"payment"}),
    "line_items": frozenset({"payment", "subscription"}),
    "payment_intent_data": frozenset({"payment"}),
    "payment_method_collection": frozenset({"subscription"}),
    "setup_intent_data": frozenset({"setup"}),
    "shipping_address_collection": frozenset({"payment", "subscription"}),
    "subscription_data": frozenset({"subscription"}),
}
"""Params that only some modes take. Source: API reference, Checkout sessions, create."""

COLLECTION = {"payment": "if_required", "setup": "always", "subscription": "always"}

OF_MODES = supports(
    "currency",
    "customer_creation",
    automatic_tax=supports("enabled"),
    customer_update=supports("address", "name", "shipping"),
    shipping_address_collection=supports("allowed_countries"),
    tax_id_collection=supports("enabled", "required"),
    invoice_creation=supports(
        "enabled", invoice_data=supports("description", "footer", "metadata")
    ),
    payment_intent_data=supports(
        "capture_method",
        "description",
        "metadata",
        "receipt_email",
        "setup_future_usage",
        "shipping",
        "statement_descriptor",
        "statement_descriptor_suffix",
    ),
    setup_intent_data=supports("description", "metadata"),
)


def check_params_of_mode(call: Call) -> None:
    """Raise ApiError for a param that the session's mode does not take, or needs."""
    mode = call.get("mode")
    for name, modes in MODES.items():
        if call.get(name) is not None and mode not in modes:
            raise invalid(f"You can not pass `{name}` in `{mode}` mode.", param=name)
    if mode == "setup" and not (call.get("currency") or call.get("allowed_payment_method_types")):
        raise missing_param("currency")
    if call.get("currency"):
        check_currency(call.get("currency"), "currency")
    customer = call.get("customer")
    if customer and call.get("customer_creation"):
        message = "You may only specify one of these parameters: customer, customer_creation."
        raise invalid(message)
    if call.get("customer_update") and not customer:
        message = "`customer_update` can only be used with `customer`."
        raise invalid(message, param="customer_update")


def check_taxes(call: Call, cart: Cart) -> None:
    """Raise ApiError for taxes that could not be computed, or a tax id that could not be kept."""
    customer_id, update = call.get("customer"), cart.customer_update
    collects = (call.get("tax_id_collection") or {}).get("enabled")
    if customer_id and collects and update.get("name") != "auto":
        raise invalid(
            "Tax ID collection requires updating business name on the customer. To enable tax ID "
            "collection for an existing customer, please set `customer_update[name]` to `auto`."
        )
    if not cart.automatic_tax:
        return
    if any(cart.rates_of(item) for item in cart.items):
        raise invalid("You cannot use tax rates together with automatic tax.")
    check_prices(call.world, [item.price for item in cart.items])
    saves = "auto" in {update.get("address"), update.get("shipping")}
    if (
        customer_id
        and not saves
        and not is_located(call.world, payer_known(call.world, customer_id))
    ):
        raise invalid(
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a "
            "valid address to the Customer or set either `customer_update[address]` to 'auto' or "
            "`customer_update[shipping]` to 'auto' to save the address entered in Checkout to the "
            "Customer.",
            code="customer_tax_location_invalid",
        )


def check_one_time(cart: Cart) -> None:
    """Raise ApiError for what a single payment cannot sell."""
    if cart.recurring():
        message = (
            "You specified `payment` mode but passed a recurring price. Either switch to "
            "`subscription` mode or use only one-time prices."
        )
        raise invalid(message, param="line_items")
    if len({item.price["currency"] for item in cart.items}) > 1:
        raise invalid("All prices must use the same currency.", param="line_items")


def fields_of_mode(call: Call) -> Document:
    """Return the fields of a session that depend on its mode."""
    mode = str(call.get("mode"))
    fields: Document = {
        "customer_creation": _creation(call),
        "mode": mode,
        "payment_method_collection": call.get("payment_method_collection", COLLECTION[mode]),
        "payment_method_types": _types(call),
        **call.pick("shipping_address_collection"),
    }
    if call.get("tax_id_collection"):
        fields["tax_id_collection"] = {"required": "never", **call.get("tax_id_collection")}
    if mode == "payment":
        given = call.get("invoice_creation", {"enabled": False})
        fields["invoice_creation"] = {"invoice_data": {"metadata": {}}, **given}
    if mode == "setup":
        fields["currency"] = call.get("currency")
    return fields


def _creation(call: Call) -> str | None:
    """Return when a customer is created; an invoice and a subscription need one."""
    if call.get("customer"):
        return None
    needed = call.get("mode") == "subscription" or call.get("invoice_creation", {}).get("enabled")
    return "always" if needed else call.get("customer_creation", "if_required")


def _types(call: Call) -> list[str]:
    """Return the types that the page takes: of those that are allowed the supported ones."""
    allowed = call.get("allowed_payment_method_types", [])
    supported = [one for one in allowed if TYPES.accepts(one)]
    return list(dict.fromkeys(supported or ["card"]))
