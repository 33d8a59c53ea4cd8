"""Serves `/v2/core/events/:id`: a thin event with its data."""

from aiohttp import web

from stripe_sandbox.api import authenticate
from stripe_sandbox.errors import ApiError
from stripe_sandbox.outbox import THIN
from stripe_sandbox.world import World


class ThinEvents:
    """Serves `/v2/core/events/:id`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_get("/v2/core/events/{id}", self._retrieve)

    async def _retrieve(self, request: web.Request) -> web.Response:
        try:
            authenticate(request)
        except ApiError as error:
            return web.json_response(error.body, status=error.status)
        event = self._world.store.peek(THIN, request.match_info["id"])
        if event is None:
            message = "No such event, or it is older than 30 days."
            error_body = {"code": "not_found", "message": message}
            return web.json_response({"error": error_body}, status=404)
        return web.json_response(event)
