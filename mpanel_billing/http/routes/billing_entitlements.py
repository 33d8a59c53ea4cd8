"""/api/billing/.../entitlements: what tenants and customers may have now."""

from mpanel_billing.errors import NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.base import OwnerQuery, PageQuery
from mpanel_billing.http.schemas.entitlements import (
    EntitlementResponse,
    EntitlementSchema,
    EntitlementsResponse,
)
from mpanel_billing.subscriptions.paging import Place, Span, cut_page, read_cursor

routes = Endpoints("billing")


@routes.endpoint(
    "GET",
    "/api/billing/tenants/{id}/entitlements",
    scope="billing:read",
    cached=True,
    refusals={NotFoundError: ("unknown_tenant",)},
)
async def get_of_tenant(call: KeyedCall[IdPath, OwnerQuery]) -> EntitlementResponse:
    """Return what a tenant may have now, why, and until when."""
    granted = await call.app[keys.ENTITLEMENTS].of_tenant(call.path.id, call.query.named)
    return EntitlementResponse(entitlement=EntitlementSchema.of(granted))


@routes.endpoint(
    "GET",
    "/api/billing/customers/{id}/entitlements",
    scope="billing:read",
    cached=True,
    refusals={NotFoundError: ("unknown_customer",)},
)
async def get_of_customer(call: KeyedCall[IdPath, PageQuery]) -> EntitlementsResponse:
    """Return what each of a customer's subscriptions entitles to now, newest first, in pages."""
    query = call.query
    span = Span(query.limit + 1, read_cursor(query.cursor))
    rows = await call.app[keys.ENTITLEMENTS].of_customer(call.path.id, span, query.named)
    page, cursor = cut_page(
        rows, query.limit, lambda one: Place(one.held.created_at, one.held.subscription_id)
    )
    return EntitlementsResponse.of(page, cursor)
