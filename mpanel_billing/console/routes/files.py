"""The console's style and scripts, which anyone may see."""

from pathlib import Path

from aiohttp import hdrs, web

from mpanel_billing.console.render import FILES

routes = web.RouteTableDef()

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_READ = {path.name: path.read_bytes() for path in FILES.iterdir() if path.suffix in _KINDS}

FOREVER = "public, max-age=31536000, immutable"
"""Pages name a file with the hash of what is in it."""


@routes.get("/console/files/{name}")
async def get_file(request: web.Request) -> web.Response:
    """Return one of the files."""
    name = request.match_info["name"]
    if name not in _READ:
        raise web.HTTPNotFound
    return web.Response(
        body=_READ[name],
        content_type=_KINDS[Path(name).suffix],
        charset="utf-8",
        headers={hdrs.CACHE_CONTROL: FOREVER if "v" in request.query else "no-cache"},
    )
