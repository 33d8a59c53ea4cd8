"""/api/admin/reconcile: what `mpanel-billing reconcile` does, done by a worker."""

from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel

from mpanel_billing.errors import ConflictError
from mpanel_billing.http import keys
from mpanel_billing.http.access import require_scope
from mpanel_billing.http.answers.operators import RunAnswer, RunPart, StartedAnswer
from mpanel_billing.http.json_answer import answer
from mpanel_billing.http.json_body import parse_body, read_json
from mpanel_billing.http.openapi.operation import Operation, described
from mpanel_billing.reconciliation.service import Wish, request_run, show_latest_run

routes = web.RouteTableDef()


class ReconcileRequest(BaseModel):
    """What to reconcile: everything, or what was made in the last `sinceDays` days.

    `dryRun` only reports. A stopped run of the same kind goes on, unless it is to `restart`.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True
    )

    since_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    dry_run: StrictBool = False
    restart: StrictBool = False


@routes.post("/api/admin/reconcile")
@described(
    Operation(
        "admin",
        {HTTPStatus.ACCEPTED: StartedAnswer},
        scope="admin",
        body=ReconcileRequest,
        refusals={ConflictError: ()},
    )
)
async def post_reconcile(request: web.Request) -> web.Response:
    """Have a worker reconcile: 202 with the run's id; 409 while one is running."""
    by = await require_scope(request, "admin")
    wanted = parse_body(ReconcileRequest, await read_json(request))
    wish = Wish(
        "api",
        request.app[keys.SETTINGS].livemode,
        wanted.dry_run,
        wanted.since_days,
        wanted.restart,
    )
    run_id = await request_run(request.app[keys.POOL], wish, by)
    return answer(StartedAnswer(run_id=run_id), HTTPStatus.ACCEPTED)


@routes.get("/api/admin/reconcile/latest")
@described(Operation("admin", {HTTPStatus.OK: RunAnswer}, scope="admin:read"))
async def get_latest(request: web.Request) -> web.Response:
    """Answer with the figures of the latest run, finished or not; null when there was none."""
    await require_scope(request, "admin:read")
    run = await show_latest_run(request.app[keys.POOL])
    return answer(RunAnswer(run=None if run is None else RunPart.of_row(run)))
