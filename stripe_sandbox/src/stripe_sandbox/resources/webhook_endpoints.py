"""`/v1/webhook_endpoints`."""

from stripe.params import (
    WebhookEndpointCreateParams,
    WebhookEndpointDeleteParams,
    WebhookEndpointListParams,
    WebhookEndpointRetrieveParams,
    WebhookEndpointUpdateParams,
)

from stripe_sandbox.documents import Document, merge_metadata
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call, Operation, listing, retrieve
from stripe_sandbox.outbox import SECRET
from stripe_sandbox.supported import one_of, supports
from stripe_sandbox.world import API_VERSION

SECRET_LENGTH = 32


def create(call: Call) -> Document:
    """Create an endpoint; only this response includes its secret.

    The sandbox has one API version, so an endpoint with another one is refused.
    """
    world = call.world
    _check_url(call)
    endpoint = world.add(
        {
            "id": world.ids.next("we"),
            "object": "webhook_endpoint",
            "api_version": call.get("api_version"),
            "created": world.now(),
            "description": call.get("description"),
            "enabled_events": call.get("enabled_events"),
            "livemode": False,
            "metadata": call.get("metadata", {}),
            "status": "enabled",
            "url": call.get("url"),
        }
    )
    secret = f"whsec_{world.ids.letters(SECRET_LENGTH)}"
    world.store.put(SECRET, {"id": endpoint["id"], "secret": secret})
    return endpoint | {"secret": secret}


def _check_url(call: Call) -> None:
    url = call.get("url")
    if url is not None and not url.startswith(("http://", "https://")):
        message = "Invalid URL: An explicit scheme (such as https) must be provided."
        raise invalid(message, param="url", code="url_invalid")


def update(call: Call) -> Document:
    """Update an endpoint."""
    _check_url(call)
    endpoint = call.world.find("webhook_endpoint", call.id)
    endpoint |= {
        name: value
        for name, value in call.pick("description", "enabled_events", "url").items()
        if value is not None or name == "description"
    }
    if "disabled" in call.params:
        endpoint["status"] = "disabled" if call.params["disabled"] else "enabled"
    if "metadata" in call.params:
        endpoint["metadata"] = merge_metadata(endpoint["metadata"], call.params["metadata"])
    return call.world.save(endpoint)


def delete(call: Call) -> Document:
    """Delete an endpoint and drop its pending deliveries."""
    call.world.find("webhook_endpoint", call.id)
    call.world.store.delete("webhook_endpoint", call.id)
    call.world.store.delete(SECRET, call.id)
    return {"id": call.id, "object": "webhook_endpoint", "deleted": True}


PATH = "/webhook_endpoints"
UPDATE = supports("description", "disabled", "enabled_events", "metadata", "url")
CREATE = supports(base=UPDATE.without("disabled"), api_version=one_of(API_VERSION))

OPERATIONS = (
    Operation("POST", PATH, WebhookEndpointCreateParams, create, CREATE),
    Operation("GET", PATH, WebhookEndpointListParams, listing("webhook_endpoint")),
    Operation("GET", f"{PATH}/{{id}}", WebhookEndpointRetrieveParams, retrieve("webhook_endpoint")),
    Operation("POST", f"{PATH}/{{id}}", WebhookEndpointUpdateParams, update, UPDATE),
    Operation("DELETE", f"{PATH}/{{id}}", WebhookEndpointDeleteParams, delete),
)
