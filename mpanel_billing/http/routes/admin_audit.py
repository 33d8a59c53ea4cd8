"""/api/admin/audit: what `mpanel-billing audit list` shows, over HTTP, behind a key."""

from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from mpanel_billing.access import audit
from mpanel_billing.http import keys
from mpanel_billing.http.access import require_scope
from mpanel_billing.http.answers.operators import AuditAnswer, EntryPart
from mpanel_billing.http.json_answer import answer
from mpanel_billing.http.openapi.operation import Operation, described
from mpanel_billing.http.query_string import SearchedText, read_query

routes = web.RouteTableDef()

MOST_ENTRIES = 1000


class AuditQuery(BaseModel):
    """Which entries."""

    target: SearchedText | None = Field(None, description="Changes of what has that id.")
    actor: SearchedText | None = Field(None, description="Changes by that key or person.")
    limit: Annotated[int, Field(ge=1, le=MOST_ENTRIES, description="How many at most.")] = 50
    before: Annotated[
        int, Field(ge=1, le=audit.LAST_ID, description="The id of the last entry of a page.")
    ] = audit.LAST_ID


@routes.get("/api/admin/audit")
@described(Operation("admin", {HTTPStatus.OK: AuditAnswer}, scope="admin:read", query=AuditQuery))
async def get_audit(request: web.Request) -> web.Response:
    """Answer with the newest changes by keys and at command lines."""
    await require_scope(request, "admin:read")
    query = read_query(request, AuditQuery)
    entries = await audit.list_entries(
        request.app[keys.POOL],
        most=query.limit,
        target_id=query.target or None,
        actor=query.actor or None,
        before=query.before,
    )
    return answer(AuditAnswer(entries=tuple(EntryPart.of_row(entry) for entry in entries)))
