"""/api/admin/reconcile: `mpanel-billing reconcile`, run by a worker."""

from http import HTTPStatus

from mpanel_billing.errors import ConflictError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.schemas.admin import (
    ReconcileRequest,
    ReconcileRunResponse,
    ReconcileRunSchema,
    ReconcileStartedResponse,
)
from mpanel_billing.reconciliation import runs

routes = Endpoints("admin")


@routes.endpoint(
    "POST",
    "/api/admin/reconcile",
    scope="admin:operate",
    status=HTTPStatus.ACCEPTED,
    refusals={ConflictError: ()},
)
async def post_reconcile(
    call: KeyedCall[None, None, ReconcileRequest],
) -> ReconcileStartedResponse:
    """Start a reconcile in a worker; 202 with the run's id, 409 if one is in progress."""
    request = runs.RunRequest(
        "api",
        call.app[keys.SETTINGS].livemode,
        call.body.dry_run,
        call.body.since_days,
        call.body.restart,
    )
    run_id = await runs.request_run(call.app[keys.POOL], request, call.actor)
    return ReconcileStartedResponse(run_id=run_id)


@routes.endpoint("GET", "/api/admin/reconcile/latest", scope="admin:read")
async def get_latest(call: KeyedCall) -> ReconcileRunResponse:
    """Return the latest run, finished or not; null if there has been none."""
    run = await runs.show_latest_run(call.app[keys.POOL])
    return ReconcileRunResponse(run=None if run is None else ReconcileRunSchema.of_row(run))
