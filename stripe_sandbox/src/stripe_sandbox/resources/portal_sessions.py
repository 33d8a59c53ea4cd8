"""`/v1/billing_portal/sessions`."""

from stripe.params.billing_portal import SessionCreateParams

from stripe_sandbox.documents import Document
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.operations import Call, Operation
from stripe_sandbox.resources.portal_configurations import KIND as CONFIGURATION
from stripe_sandbox.supported import supports

CONFIGURATION_ID = "bpc_1SandboxSandboxSandbox00"


def create(call: Call) -> Document:
    """Create a portal session for a customer."""
    world = call.world
    if call.get("customer") is None:
        raise missing_param("customer")
    customer = world.find("customer", call.get("customer"), "customer")
    return_url = call.get("return_url")
    if return_url and not return_url.startswith(("http://", "https://")):
        raise invalid("Not a valid URL", param="return_url", code="url_invalid")
    configuration = call.get("configuration")
    if configuration and not world.find(CONFIGURATION, configuration, "configuration")["active"]:
        raise invalid("This configuration is not active.", param="configuration")
    session_id = world.ids.next("bps")
    return world.add(
        {
            "id": session_id,
            "object": "billing_portal.session",
            "configuration": configuration or CONFIGURATION_ID,
            "created": world.now(),
            "customer": customer["id"],
            "livemode": False,
            "locale": call.get("locale"),
            "return_url": return_url,
            "url": f"{world.base_url}/p/session/{session_id}",
        }
    )


CREATE = supports("configuration", "customer", "locale", "return_url")

OPERATIONS = (Operation("POST", "/billing_portal/sessions", SessionCreateParams, create, CREATE),)
