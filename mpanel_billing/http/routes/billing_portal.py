"""/api/billing/portal-session: let a customer of mPanel's into Stripe's portal."""

from http import HTTPStatus

from aiohttp import web

from mpanel_billing.checkout.return_urls import allowed_address, app_address
from mpanel_billing.errors import InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.access import require_scope
from mpanel_billing.http.json_answer import answer
from mpanel_billing.http.openapi.operation import Operation, described
from mpanel_billing.http.service_desk import (
    read_body,
    require_customer_named,
    service_desk,
)
from mpanel_billing.subscriptions.answers import PortalAnswer
from mpanel_billing.subscriptions.portal import open_portal_session
from mpanel_billing.subscriptions.requests import PortalRequest

routes = web.RouteTableDef()


@routes.post("/api/billing/portal-session")
@described(
    Operation(
        "billing",
        {HTTPStatus.OK: PortalAnswer},
        scope="billing",
        body=PortalRequest,
        asks_stripe=True,
        refusals={
            NotFoundError: ("no_stripe_customer", "unknown_customer", "unknown_subscription"),
            InvalidRequestError: ("invalid_request", "return_url_not_allowed"),
        },
    )
)
async def post_portal_session(request: web.Request) -> web.Response:
    """Answer with an address that lets the customer in without a further question."""
    by = await require_scope(request, "billing")
    body = await read_body(request, PortalRequest)
    require_customer_named(body.named, "email")
    url = await open_portal_session(
        service_desk(request),
        by,
        body.named,
        body.subscription_id,
        _return_url(request, body.return_url),
    )
    return answer(PortalAnswer(url=url))


def _return_url(request: web.Request, wished: str | None) -> str:
    """Return where the portal's way back leads: the wished address, if it is one of ours."""
    settings = request.app[keys.SETTINGS]
    if wished is None:
        return app_address(settings.app_url)
    allowed = allowed_address(wished, settings.allowed_origins)
    if allowed is None:
        raise InvalidRequestError(
            "The return address is not on our site.",
            code="return_url_not_allowed",
            fields={"returnUrl": "must lie on an origin of APP_URL or CORS_ORIGIN"},
        )
    return allowed
