"""/api/admin/servers, /moves and a service's move: `mpanel-billing provision` over HTTP."""

from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.operation import Refusals
from mpanel_billing.http.paths import ServerPath, ServicePath
from mpanel_billing.http.schemas.servers import (
    DrainedRequest,
    DrainedResponse,
    DrainRequest,
    DrainResponse,
    FilledResponse,
    FillRequest,
    MoveAccountRequest,
    MovedRequest,
    MoveSchema,
    MovesQuery,
    MovesResponse,
    NotMovedSchema,
    PlacedResponse,
    ServerSchema,
    ServersResponse,
)
from mpanel_billing.http.subscriptions import subscription_of
from mpanel_billing.provisioning import moves

routes = Endpoints("admin")

_SERVER = "/api/admin/servers/{name}"
_SERVICE = "/api/admin/subscriptions/{id}/services/{product_type}"

_UNKNOWN: Refusals = {NotFoundError: ()}
_UNKNOWN_OR_IN_CONFLICT: Refusals = {NotFoundError: (), ConflictError: ()}


@routes.endpoint("GET", "/api/admin/servers", scope="admin:read")
async def get_servers(call: KeyedCall) -> ServersResponse:
    """Return what each server has to carry, and whether it gets new accounts."""
    loads = await moves.list_servers(call.app[keys.POOL])
    return ServersResponse(servers=tuple(ServerSchema.of(load) for load in loads))


@routes.endpoint("GET", "/api/admin/moves", scope="admin:read")
async def get_moves(call: KeyedCall[None, MovesQuery]) -> MovesResponse:
    """Return a page of the moves that are not over, and what they wait for."""
    query = call.query
    rows = await moves.list_page(call.app[keys.POOL], query.server, query.after, query.limit)
    return MovesResponse(moves=tuple(MoveSchema.of_row(row) for row in rows))


@routes.endpoint(
    "POST",
    f"{_SERVICE}/move",
    scope="admin:operate",
    body_optional=True,
    refusals=_UNKNOWN_OR_IN_CONFLICT,
)
async def post_move(call: KeyedCall[ServicePath, None, MoveAccountRequest]) -> PlacedResponse:
    """Move an account to another server, which makes it; its data has to be moved there.

    Repeated, it has no further effect.
    """
    subscription_id = await subscription_of(call)
    server = await moves.move_account(
        call.app[keys.POOL],
        subscription_id,
        call.path.product_type,
        call.body.to_server,
        call.actor,
    )
    return PlacedResponse(subscription_id=subscription_id, server=server)


@routes.endpoint(
    "POST",
    f"{_SERVICE}/moved",
    scope="admin:operate",
    body_optional=True,
    refusals=_UNKNOWN_OR_IN_CONFLICT,
)
async def post_moved(call: KeyedCall[ServicePath, None, MovedRequest]) -> PlacedResponse:
    """Confirm that an account's data was moved: the old account is deleted."""
    subscription_id = await subscription_of(call)
    server = await moves.confirm_move(
        call.app[keys.POOL],
        subscription_id,
        call.path.product_type,
        call.actor,
        is_server_gone=call.body.server_is_gone,
    )
    return PlacedResponse(subscription_id=subscription_id, server=server)


@routes.endpoint(
    "POST", f"{_SERVICE}/stay", scope="admin:operate", refusals=_UNKNOWN_OR_IN_CONFLICT
)
async def post_stay(call: KeyedCall[ServicePath]) -> PlacedResponse:
    """Cancel a move: the account stays, and what was made at the new server is deleted."""
    subscription_id = await subscription_of(call)
    server = await moves.cancel_move(
        call.app[keys.POOL], subscription_id, call.path.product_type, call.actor
    )
    return PlacedResponse(subscription_id=subscription_id, server=server)


@routes.endpoint(
    "POST",
    f"{_SERVER}/drain",
    scope="admin:operate",
    body_optional=True,
    refusals=_UNKNOWN_OR_IN_CONFLICT,
)
async def post_drain(call: KeyedCall[ServerPath, None, DrainRequest]) -> DrainResponse:
    """Empty a server: it gets no more accounts, and those that it has begin to move.

    Repeated, it goes on with those that could not move before.
    """
    emptied = await moves.drain_server(
        call.app[keys.POOL],
        call.path.name,
        call.actor,
        product_type=call.body.product_type,
        to_server=call.body.to_server,
    )
    left = emptied.left.items()
    return DrainResponse(
        begun=emptied.begun,
        not_moved=tuple(NotMovedSchema(reason=reason, accounts=count) for reason, count in left),
    )


@routes.endpoint(
    "POST", f"{_SERVER}/drained", scope="admin:operate", body_optional=True, refusals=_UNKNOWN
)
async def post_drained(call: KeyedCall[ServerPath, None, DrainedRequest]) -> DrainedResponse:
    """Confirm for all accounts that were made elsewhere that their data was moved."""
    confirmed = await moves.confirm_moves_from(
        call.app[keys.POOL],
        call.path.name,
        call.actor,
        product_type=call.body.product_type,
        is_server_gone=call.body.server_is_gone,
    )
    return DrainedResponse(confirmed=confirmed)


@routes.endpoint(
    "POST", f"{_SERVER}/fill", scope="admin:operate", body_optional=True, refusals=_UNKNOWN
)
async def post_fill(call: KeyedCall[ServerPath, None, FillRequest]) -> FilledResponse:
    """Let a server get accounts again after `drain`; moves that have begun go on."""
    await moves.stop_draining(
        call.app[keys.POOL], call.path.name, call.actor, product_type=call.body.product_type
    )
    return FilledResponse(server=call.path.name)
