"""`/_sandbox`: what is put into the sandbox and kept of it: fixtures, recorded requests."""

from typing import Annotated

from aiohttp import web
from pydantic import Field, ValidationError

from stripe_sandbox.control import Body
from stripe_sandbox.errors import ApiError, invalid
from stripe_sandbox.fixtures import FixtureError, load, read_fixtures
from stripe_sandbox.request_log import KEPT, RequestLog


class RequestFilter(Body):
    """`GET /_sandbox/requests`: which of the recorded API requests to return."""

    method: str | None = None
    path: str = ""
    limit: Annotated[int, Field(ge=1, le=KEPT)] = KEPT


class Records:
    """Serves fixtures and recorded requests."""

    def __init__(self, log: RequestLog) -> None:
        self._log = log

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/_sandbox/requests", self.list_requests)
        app.router.add_delete("/_sandbox/requests", self.clear_requests)
        app.router.add_post("/_sandbox/fixtures", self.load_fixtures)

    async def list_requests(self, request: web.Request) -> web.Response:
        """List the latest API requests, newest first."""
        try:
            wanted = RequestFilter.model_validate(dict(request.query))
        except ValidationError as error:
            first = error.errors()[0]
            raise invalid(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        found = list(self._log.newest_first(method=wanted.method, path=wanted.path))
        return web.json_response({"data": found[: wanted.limit]})

    async def clear_requests(self, _: web.Request) -> web.Response:
        """Forget the recorded requests."""
        self._log.clear()
        return web.json_response({})

    async def load_fixtures(self, request: web.Request) -> web.Response:
        """Send the requests of a fixtures file to this sandbox; return their objects by name."""
        try:
            content = read_fixtures(await request.read())
            return web.json_response(await load(_own_address(request), content))
        except FixtureError as error:
            raise _refusal(error) from None


def _own_address(request: web.Request) -> str:
    """Return the base URL at which the sandbox reaches itself."""
    if request.transport is None:
        raise web.HTTPServiceUnavailable
    host, port = request.transport.get_extra_info("sockname")[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _refusal(error: FixtureError) -> ApiError:
    return invalid(f"Fixtures: {error}", param="fixtures")
