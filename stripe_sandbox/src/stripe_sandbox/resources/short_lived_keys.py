"""`/v1/ephemeral_keys` and `/v1/customer_sessions`: what a page or an app is given for an hour."""

from stripe.params import (
    CustomerSessionCreateParams,
    EphemeralKeyCreateParams,
    EphemeralKeyDeleteParams,
)

from stripe_sandbox import shapes
from stripe_sandbox.billing.periods import HOUR
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import missing_param
from stripe_sandbox.operations import Call, Operation
from stripe_sandbox.supported import supports

KEY = "ephemeral_key"
PLAIN = ("buy_button", "pricing_table")
"""The components that only are enabled or not."""

COMPONENTS = (
    "active_entitlements",
    *PLAIN,
    "customer_portal",
    "customer_sheet",
    "mobile_payment_element",
    "payment_element",
)


def _customer(call: Call) -> str:
    if call.get("customer") is None:
        raise missing_param("customer")
    return str(call.world.find("customer", call.get("customer"), "customer")["id"])


def create_key(call: Call) -> Document:
    """Create a key for an app to act for a customer."""
    world, now = call.world, call.world.now()
    _customer(call)
    return world.add(
        {
            "id": world.ids.next("ephkey"),
            "object": KEY,
            "created": now,
            "expires": now + HOUR,
            "livemode": False,
            "secret": f"ek_test_{world.ids.letters(60)}",
        }
    )


def delete_key(call: Call) -> Document:
    """Let a key expire now."""
    key = call.world.find(KEY, call.id)
    call.world.store.delete(KEY, call.id)
    return {**key, "expires": call.world.now()}


def create_session(call: Call) -> Document:
    """Create a session of a customer, with the components that it enables."""
    now, given = call.world.now(), call.get("components")
    enabled = {name: {"enabled": given.get(name, {}).get("enabled", False)} for name in COMPONENTS}
    return shapes.complete(
        {
            "object": "customer_session",
            "client_secret": f"cuss_secret_{call.world.ids.letters(60)}",
            "components": enabled,
            "created": now,
            "customer": _customer(call),
            "expires_at": now + HOUR,
            "livemode": False,
        }
    )


OPERATIONS = (
    Operation(
        "POST", "/ephemeral_keys", EphemeralKeyCreateParams, create_key, supports("customer")
    ),
    Operation("DELETE", "/ephemeral_keys/{id}", EphemeralKeyDeleteParams, delete_key),
    Operation(
        "POST",
        "/customer_sessions",
        CustomerSessionCreateParams,
        create_session,
        supports(
            "customer",
            components=supports(**{name: supports("enabled") for name in PLAIN}),
        ),
    ),
)
