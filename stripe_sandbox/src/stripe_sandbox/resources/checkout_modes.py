"""The modes of Checkout sessions: which params each takes, and what they do to the session."""

from collections.abc import Mapping

from stripe_sandbox.billing.cart import Cart
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.money import check_currency
from stripe_sandbox.operations import Call
from stripe_sandbox.resources.payment_intents import TYPES
from stripe_sandbox.supported import supports

MODES: Mapping[str, frozenset[str]] = {
    "allow_promotion_codes": frozenset({"payment", "subscription"}),
    "customer_creation": frozenset({"payment", "setup"}),
    "discounts": frozenset({"payment", "subscription"}),
    "invoice_creation": frozenset({"payment"}),
    "line_items": frozenset({"payment", "subscription"}),
    "payment_intent_data": frozenset({"payment"}),
    "payment_method_collection": frozenset({"subscription"}),
    "setup_intent_data": frozenset({"setup"}),
    "subscription_data": frozenset({"subscription"}),
}
"""Params that only some modes take. Source: API reference, Checkout sessions, create."""

COLLECTION = {"payment": "if_required", "setup": "always", "subscription": "always"}

OF_MODES = supports(
    "currency",
    "customer_creation",
    customer_update=supports("address", "name"),
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
    }
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
