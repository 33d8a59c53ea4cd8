"""Handing in the auth code that a domain's transfer needs, by its buyer."""

from mpanel_billing.checkout.auth_codes import hand_in
from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Call, Endpoints
from mpanel_billing.http.operation import Refusals
from mpanel_billing.http.routes.checkout import SessionPath
from mpanel_billing.http.schemas.domains import (
    HandedInResponse,
    OrderedAuthCodeRequest,
)

routes = Endpoints("checkout")

_NOT_HANDED_IN: Refusals = {
    InvalidRequestError: ("invalid_auth_code", "invalid_domain", "invalid_request"),
    ConflictError: ("no_transfer",),
}


@routes.endpoint(
    "POST",
    "/api/checkout/session/{session_id}/auth-code",
    limit="orders",
    refusals={**_NOT_HANDED_IN, NotFoundError: ()},
)
async def post_by_buyer(
    call: Call[SessionPath, None, OrderedAuthCodeRequest],
) -> HandedInResponse:
    """Hand in the auth code of a domain of an order, for its transfer."""
    state = await call.app[keys.ORDER_WATCHER].follow(call.path.session_id, 0.0)
    name = await hand_in(
        call.app[keys.CHECKOUT],
        call.body.domain,
        call.body.auth_code,
        subscription_id=state.subscription_id,
    )
    return HandedInResponse(domain=name)
