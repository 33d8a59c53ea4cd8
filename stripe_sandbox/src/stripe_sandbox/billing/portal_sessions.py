"""Sessions of the customer portal, and the single flows that they may lead into."""

from stripe_sandbox.billing.subscriptions import FINAL_STATUSES
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.world import World

KIND = "billing_portal.session"
CONFIGURATION = "billing_portal.configuration"
DEFAULT_CONFIGURATION = "bpc_1SandboxSandboxSandbox00"

FEATURES = {
    "customer_update": "customer_update",
    "payment_method_update": "payment_method_update",
    "subscription_cancel": "subscription_cancel",
    "subscription_pause": "subscription_pause",
    "subscription_update": "subscription_update",
    "subscription_update_confirm": "subscription_update",
}
"""The feature of a configuration that each type of flow needs."""

OF_CUSTOMER = frozenset({"customer_update", "payment_method_update"})
"""Flows that are not about a subscription."""

VERBS = {
    "subscription_cancel": "canceled",
    "subscription_pause": "paused",
    "subscription_update": "updated",
}
NOT_BY_DEFAULT = frozenset({"subscription_pause"})
"""What the default configuration does not offer: pauses are only in the redesigned portal."""


def open_portal(
    world: World,
    customer: ReadOnly,
    *,
    configuration: str | None = None,
    return_url: str | None = None,
    locale: str | None = None,
    flow: ReadOnly | None = None,
) -> Document:
    """Store a new session; raises ApiError for a flow that the configuration does not offer."""
    session_id = world.ids.next("bps")
    configuration = configuration or DEFAULT_CONFIGURATION
    return world.add(
        {
            "id": session_id,
            "object": KIND,
            "configuration": configuration,
            "created": world.now(),
            "customer": customer["id"],
            "flow": _flow(world, customer, configuration, flow) if flow else None,
            "livemode": False,
            "locale": locale,
            "return_url": return_url,
            "url": f"{world.base_url}/p/session/{session_id}",
        }
    )


def features_of(world: World, configuration: str) -> ReadOnly | None:
    """Return what a configuration allows; None for the default one: all but `NOT_BY_DEFAULT`."""
    found = world.store.peek(CONFIGURATION, configuration)
    return found["features"] if found else None


def allows(features: ReadOnly | None, name: str) -> bool:
    """Return whether a feature is there."""
    return name not in NOT_BY_DEFAULT if features is None else bool(features[name]["enabled"])


def can_change_plan(subscription: ReadOnly) -> bool:
    """Return whether the portal offers another plan: not for a subscription of several items."""
    return len(subscription["items"]["data"]) == 1


def _flow(world: World, customer: ReadOnly, configuration: str, given: ReadOnly) -> Document:
    kind = str(given["type"])
    feature = FEATURES[kind]
    if not allows(features_of(world, configuration), feature):
        noun = feature.replace("_", " ")
        message = (
            f"This subscription cannot be {VERBS[feature]} because the {noun} feature in the "
            "portal configuration is disabled."
            if feature in VERBS
            else f"The {noun} feature in the portal configuration is disabled."
        )
        raise invalid(message, param="flow_data[type]")
    completion = given.get("after_completion") or {"type": "portal_homepage"}
    flow: Document = {"after_completion": dict(completion), "type": kind}
    if kind in OF_CUSTOMER:
        return flow
    details = given.get(kind)
    if details is None:
        raise missing_param(f"flow_data[{kind}]")
    _check_subscription(world, customer, details["subscription"], kind)
    _check_items(details)
    return {**flow, kind: dict(details)}


def _check_subscription(world: World, customer: ReadOnly, subscription_id: str, kind: str) -> None:
    param = f"flow_data[{kind}][subscription]"
    subscription = world.find("subscription", subscription_id, param)
    if subscription["customer"] != customer["id"]:
        message = f"The subscription `{subscription_id}` does not belong to this customer."
        raise invalid(message, param=param)
    if subscription["status"] in FINAL_STATUSES:
        message = f"The subscription `{subscription_id}` is already canceled."
        raise invalid(message, param=param)
    if FEATURES[kind] == "subscription_update" and not can_change_plan(subscription):
        message = "This subscription cannot be updated because it has more than one item."
        raise invalid(message, param=param)


def _check_items(details: ReadOnly) -> None:
    """Raise ApiError for a confirmation of more than one item."""
    if len(details.get("items") or ()) > 1:
        message = "You may only specify one subscription item to update."
        raise invalid(message, param="flow_data[subscription_update_confirm][items]")
