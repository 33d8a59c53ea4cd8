"""`/v1/billing_portal/sessions`."""

from stripe.params.billing_portal import SessionCreateParams

from stripe_sandbox.billing.portal_sessions import CONFIGURATION, open_portal
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.operations import Call, Operation
from stripe_sandbox.supported import supports


def create(call: Call) -> Document:
    """Create a portal session for a customer, for all of the portal or for one flow."""
    world = call.world
    if call.get("customer") is None:
        raise missing_param("customer")
    customer = world.find("customer", call.get("customer"), "customer")
    _check_url(call.get("return_url"), "return_url")
    configuration = call.get("configuration")
    if configuration and not world.find(CONFIGURATION, configuration, "configuration")["active"]:
        raise invalid("This configuration is not active.", param="configuration")
    flow = call.get("flow_data")
    if flow:
        _check_references(call, flow)
    session = open_portal(
        world,
        customer,
        configuration=configuration,
        return_url=call.get("return_url"),
        locale=call.get("locale"),
        flow=flow,
    )
    world.announce("billing_portal.session.created", session)
    return session


def _check_url(url: str | None, param: str) -> None:
    if url and not url.startswith(("http://", "https://")):
        raise invalid("Not a valid URL", param=param, code="url_invalid")


def _check_references(call: Call, flow: ReadOnly) -> None:
    """Raise ApiError for a URL, a price or a coupon of a flow that cannot be."""
    completion = flow.get("after_completion") or {}
    kind = completion.get("type")
    if kind == "redirect" and not completion.get("redirect"):
        raise missing_param("flow_data[after_completion][redirect]")
    if completion.get("redirect"):
        param = "flow_data[after_completion][redirect][return_url]"
        _check_url(completion["redirect"]["return_url"], param)
    retention = (flow.get("subscription_cancel") or {}).get("retention") or {}
    if retention:
        param = "flow_data[subscription_cancel][retention][coupon_offer][coupon]"
        call.world.find("coupon", retention["coupon_offer"]["coupon"], param)
    for item in (flow.get("subscription_update_confirm") or {}).get("items") or []:
        if item.get("price"):
            param = "flow_data[subscription_update_confirm][items][price]"
            call.world.find("price", item["price"], param)


FLOW = supports(
    "type",
    after_completion=supports(
        "type",
        hosted_confirmation=supports("custom_message"),
        redirect=supports("return_url"),
    ),
    subscription_cancel=supports(
        "subscription", retention=supports("type", coupon_offer=supports("coupon"))
    ),
    subscription_pause=supports("subscription"),
    subscription_update=supports("subscription"),
    subscription_update_confirm=supports(
        "subscription",
        discounts=supports("coupon", "promotion_code"),
        items=supports("id", "price", "quantity"),
    ),
)
CREATE = supports("configuration", "customer", "locale", "return_url", flow_data=FLOW)

OPERATIONS = (Operation("POST", "/billing_portal/sessions", SessionCreateParams, create, CREATE),)
