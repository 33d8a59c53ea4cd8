"""/api/admin/customers/{id}/notes: what operators note about customers."""

from http import HTTPStatus

from mpanel_billing.errors import NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.notes import NotedResponse, NoteRequest, NotesResponse
from mpanel_billing.search.notes import add_note, list_notes

routes = Endpoints("admin")

_NOTES = "/api/admin/customers/{id}/notes"


@routes.endpoint("GET", _NOTES, scope="admin:read")
async def get_notes(call: KeyedCall[IdPath]) -> NotesResponse:
    """Return the latest notes about a customer, and about records that have joined theirs."""
    return NotesResponse.of(await list_notes(call.app[keys.POOL], call.path.id))


@routes.endpoint(
    "POST",
    _NOTES,
    scope="admin:operate",
    status=HTTPStatus.CREATED,
    refusals={NotFoundError: ("unknown_customer",)},
)
async def post_note(call: KeyedCall[IdPath, None, NoteRequest]) -> NotedResponse:
    """Note something about a customer; erased with them."""
    id_ = await add_note(call.app[keys.POOL], call.path.id, call.body.body, call.actor)
    return NotedResponse(id=id_)
