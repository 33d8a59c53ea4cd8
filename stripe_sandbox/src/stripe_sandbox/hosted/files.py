"""The contents of uploaded files, with a key or by a link."""

from aiohttp import web

from stripe_sandbox.api import authenticate
from stripe_sandbox.billing.files import KIND, LINK, content_of, has_expired
from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.errors import ApiError
from stripe_sandbox.hosted.checkout import HEADERS, html_response
from stripe_sandbox.hosted.html import not_found
from stripe_sandbox.hosted.language import Language, language_of
from stripe_sandbox.world import World

TYPES = {"jpg": "image/jpeg", "pdf": "application/pdf", "png": "image/png"}


class FilePages:
    """Serves `/v1/files/{id}/contents` and `/links/{id}`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/v1/files/{id}/contents", self.download)
        app.router.add_get("/links/{id}", self.follow)

    async def download(self, request: web.Request) -> web.Response:
        """Return a file's content to a client with a key."""
        try:
            authenticate(request)
        except ApiError as error:
            return web.json_response(error.body, status=error.status)
        file = self._world.store.peek(KIND, request.match_info["id"])
        return self._send(file, language_of(request))

    async def follow(self, request: web.Request) -> web.Response:
        """Return the content of the file that a link points at, until the link expires."""
        link = self._world.store.peek(LINK, request.match_info["id"])
        if link is None or has_expired(self._world, link):
            return html_response(404, not_found(language_of(request)))
        return self._send(self._world.store.peek(KIND, link["file"]), language_of(request))

    def _send(self, file: ReadOnly | None, language: Language) -> web.Response:
        content = content_of(self._world, file["id"]) if file else None
        if file is None or content is None:
            return html_response(404, not_found(language))
        kind = TYPES.get(file["type"], "application/octet-stream")
        headers = {**HEADERS, "Content-Disposition": "attachment"}
        return web.Response(body=content, content_type=kind, headers=headers)
