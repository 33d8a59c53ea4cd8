"""/api/billing/.../access-data: what the owner of a new account logs in with, handed out once."""

from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import OwnServicePath
from mpanel_billing.http.schemas.access_data import AccessDataRequest, AccessDataResponse
from mpanel_billing.subscriptions.access_data import AccessRequest, hand_out

routes = Endpoints("billing")


@routes.endpoint(
    "POST",
    "/api/billing/subscriptions/{id}/services/{product_type}/access-data",
    scope="billing:access-data",
    body_optional=True,
    refusals={
        NotFoundError: ("unknown_subscription", "no_access_data"),
        ConflictError: ("unreadable",),
    },
)
async def post_hand_out(
    call: KeyedCall[OwnServicePath, None, AccessDataRequest],
) -> AccessDataResponse:
    """Return the access data of a new account, and forget it: it is handed out once."""
    request = AccessRequest(call.actor, call.path.id, call.path.product_type, call.body.named)
    data = await hand_out(call.app[keys.MIRROR], call.app[keys.VAULT], request)
    return AccessDataResponse.of(data)
