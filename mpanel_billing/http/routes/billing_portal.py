"""/api/billing/portal-session: sign a customer in to Stripe's customer portal."""

from mpanel_billing.checkout.return_urls import allowed_address, app_address
from mpanel_billing.errors import InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.schemas.subscriptions import PortalRequest, PortalSessionResponse
from mpanel_billing.settings import Settings
from mpanel_billing.subscriptions.portal import PortalLook, PortalOf, open_portal_session

routes = Endpoints("billing")


@routes.endpoint(
    "POST",
    "/api/billing/portal-session",
    scope="billing:portal",
    calls_stripe=True,
    refusals={
        NotFoundError: ("no_stripe_customer", "unknown_customer", "unknown_subscription"),
        InvalidRequestError: ("invalid_request", "return_url_not_allowed"),
    },
)
async def post_portal_session(call: KeyedCall[None, None, PortalRequest]) -> PortalSessionResponse:
    """Return a URL that signs the customer in to Stripe's customer portal."""
    settings = call.app[keys.SETTINGS]
    url = await open_portal_session(
        call.app[keys.MIRROR],
        call.actor,
        call.body.require_named("email"),
        PortalOf(call.body.subscription_id, call.body.currency),
        PortalLook(
            _return_url(settings, call.body.return_url),
            settings.stripe_portal_configuration,
            call.body.flow,
        ),
    )
    return PortalSessionResponse(url=url)


def _return_url(settings: Settings, requested: str | None) -> str:
    """Return where the portal links back to: the requested address, if it is on our site."""
    if requested is None:
        return app_address(settings.app_url)
    allowed = allowed_address(requested, settings.allowed_origins)
    if allowed is None:
        raise InvalidRequestError(
            "The return address is not on this site.",
            code="return_url_not_allowed",
            fields={"returnUrl": "must be on an origin of APP_URL or CORS_ORIGIN"},
        )
    return allowed
