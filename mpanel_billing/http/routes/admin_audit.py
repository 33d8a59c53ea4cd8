"""/api/admin/audit: `mpanel-billing audit` over HTTP."""

from mpanel_billing.access import audit
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import AuditEntryPath
from mpanel_billing.http.schemas.admin import (
    AuditEntrySchema,
    AuditQuery,
    AuditResponse,
    SettleAuditRequest,
    SettledAuditResponse,
)

routes = Endpoints("admin")


@routes.endpoint("GET", "/api/admin/audit", scope="admin:read")
async def get_audit(call: KeyedCall[None, AuditQuery]) -> AuditResponse:
    """Return the latest changes made with keys and on the command line."""
    entries = await audit.list_entries(
        call.app[keys.POOL],
        most=call.query.limit,
        target_id=call.query.target or None,
        actor=call.query.actor or None,
        before=call.query.before,
    )
    return AuditResponse(entries=tuple(AuditEntrySchema.of_row(entry) for entry in entries))


@routes.endpoint(
    "POST",
    "/api/admin/audit/{id}/settle",
    scope="admin:operate",
    refusals={NotFoundError: (), ConflictError: ()},
)
async def post_settle(
    call: KeyedCall[AuditEntryPath, None, SettleAuditRequest],
) -> SettledAuditResponse:
    """Record whether a change took effect that stayed `attempted`."""
    await audit.settle(
        call.app[keys.POOL], call.path.id, call.body.outcome, call.body.reason, call.actor
    )
    return SettledAuditResponse(id=call.path.id, outcome=call.body.outcome)
