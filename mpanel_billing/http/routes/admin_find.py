"""/api/admin/find: `mpanel-billing find` over HTTP."""

from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.schemas.search import FindQuery, FindResponse
from mpanel_billing.search import service

routes = Endpoints("admin")


@routes.endpoint("GET", "/api/admin/find", scope="admin:read")
async def get_found(call: KeyedCall[None, FindQuery]) -> FindResponse:
    """Find customers by an id, an e-mail address, a domain or a name, with their subscriptions."""
    return FindResponse.of(await service.find(call.app[keys.POOL], call.query.q, call.query.limit))
