"""/api/admin/find: `mpanel-billing find` over HTTP."""

from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.schemas.search import FindQuery, FindResponse
from mpanel_billing.search import service

routes = Endpoints("admin")


@routes.endpoint("GET", "/api/admin/find", scope="admin:read", calls_stripe=True)
async def get_found(call: KeyedCall[None, FindQuery]) -> FindResponse:
    """Find customers by an id, an e-mail address, a domain or a name, with their subscriptions."""
    mirror = call.app[keys.MIRROR]
    found = await service.find(mirror.pool, call.query.q, call.query.limit, mirror.stripe)
    return FindResponse.of(found)
