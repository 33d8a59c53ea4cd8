"""`/v1/billing_portal/configurations`: what a customer may do in the portal."""

from stripe.params.billing_portal import (
    ConfigurationCreateParams,
    ConfigurationListParams,
    ConfigurationRetrieveParams,
    ConfigurationUpdateParams,
)

from stripe_sandbox.billing.periods import add_interval
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.operations import Call, Operation, listing, retrieve
from stripe_sandbox.supported import supports

KIND = "billing_portal.configuration"
LONGEST_PAUSE = add_interval(0, "year", 3)

BLANK_FEATURES: ReadOnly = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "options": []},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_pause": {
        "duration": {
            "interval_options": [{"interval": "month", "interval_count": 1}],
            "type": "interval_options",
        },
        "enabled": False,
    },
    "subscription_update": {
        "default_allowed_updates": [],
        "enabled": False,
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}

ANY_QUANTITY = {"enabled": True, "maximum": None, "minimum": 1}
"""What the sandbox's portal lets customers choose of a plan that it offers."""


def create(call: Call) -> Document:
    """Create a configuration; what it does not name is off."""
    world = call.world
    configuration_id = world.ids.next("bpc")
    configuration = world.add(
        {
            "id": configuration_id,
            "object": KIND,
            "active": True,
            "business_profile": call.get("business_profile", {}),
            "created": world.now(),
            "default_return_url": call.get("default_return_url"),
            "features": _features(BLANK_FEATURES, call),
            "is_default": False,
            "livemode": False,
            "login_page": _login_page(call, configuration_id),
            "metadata": call.get("metadata", {}),
            "name": call.get("name"),
            "updated": world.now(),
        }
    )
    world.announce(f"{KIND}.created", configuration)
    return configuration


def _login_page(call: Call, configuration_id: str) -> Document:
    """Return the page at which customers ask for a link to their portal."""
    enabled = bool(call.get("login_page", {}).get("enabled"))
    url = f"{call.world.base_url}/p/login/{configuration_id}" if enabled else None
    return {"enabled": enabled, "url": url}


def _features(current: ReadOnly, call: Call) -> Document:
    """Return the features after a request."""
    features = _merged(current, call.get("features", {}))
    pause, changes = features["subscription_pause"], features["subscription_update"]
    if changes.get("products"):
        offered = [{"adjustable_quantity": ANY_QUANTITY, **one} for one in changes["products"]]
        features["subscription_update"] = {**changes, "products": offered}
    return {**features, "subscription_pause": {**pause, "duration": _duration(pause["duration"])}}


def _duration(given: ReadOnly) -> Document:
    """Return how long customers may pause; raises ApiError for no time, or more than 3 years."""
    if given["type"] == "indefinite":
        return {"interval_options": [], "type": "indefinite"}
    path = "features[subscription_pause][duration][interval_options]"
    options = [{"interval_count": 1, **one} for one in given["interval_options"] or []]
    if not options:
        raise missing_param(path)
    for one in options:
        if not 0 < add_interval(0, one["interval"], one["interval_count"]) <= LONGEST_PAUSE:
            raise invalid("A pause takes up to three years.", param=path)
    return {"interval_options": options, "type": "interval_options"}


def _merged(current: ReadOnly, given: ReadOnly) -> Document:
    """Return the features after an update; each keeps what is not named."""
    merged: Document = dict(current)
    for name, value in given.items():
        nested = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if nested else value
    return merged


def update(call: Call) -> Document:
    """Update a configuration."""
    configuration = call.world.find(KIND, call.id)
    configuration |= call.pick("active", "default_return_url", "name")
    profile = _merged(configuration["business_profile"], call.get("business_profile", {}))
    configuration["business_profile"] = profile
    configuration["features"] = _features(configuration["features"], call)
    if "metadata" in call.params:
        given = call.params["metadata"]
        configuration["metadata"] = merge_metadata(configuration["metadata"], given)
    if call.get("login_page"):
        configuration["login_page"] = _login_page(call, configuration["id"])
    configuration["updated"] = call.world.now()
    return call.world.change(configuration)


PATH = "/billing_portal/configurations"
ENABLED = supports("enabled")
FEATURES = supports(
    customer_update=supports("allowed_updates", "enabled"),
    invoice_history=ENABLED,
    payment_method_update=ENABLED,
    subscription_cancel=supports(
        "enabled",
        "mode",
        "proration_behavior",
        cancellation_reason=supports("enabled", "options"),
    ),
    subscription_pause=supports(
        "enabled",
        duration=supports("type", interval_options=supports("interval", "interval_count")),
    ),
    subscription_update=supports(
        "default_allowed_updates",
        "enabled",
        "proration_behavior",
        products=supports("prices", "product"),
    ),
)
CREATE = supports(
    "default_return_url",
    "metadata",
    "name",
    business_profile=supports("headline", "privacy_policy_url", "terms_of_service_url"),
    features=FEATURES,
    login_page=ENABLED,
)

OPERATIONS = (
    Operation("POST", PATH, ConfigurationCreateParams, create, CREATE),
    Operation(
        "GET", PATH, ConfigurationListParams, listing(KIND), supports("active", "is_default")
    ),
    Operation("GET", f"{PATH}/{{id}}", ConfigurationRetrieveParams, retrieve(KIND)),
    Operation(
        "POST",
        f"{PATH}/{{id}}",
        ConfigurationUpdateParams,
        update,
        supports("active", base=CREATE),
    ),
)
