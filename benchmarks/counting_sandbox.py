"""The Stripe sandbox as a process that counts its API requests: on the port of argv[1], webhooks to
argv[2].

`GET /requests` returns the counts by secret key, method and resource; a process is told from
another by its key.
"""

import asyncio
import logging
import sys
from collections import Counter

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from mpanel_billing.stripe_gateway.transport import resource_of
from stripe_sandbox import SandboxConfig, WebhookTarget
from stripe_sandbox.app import create_sandbox_app
from tests.service import WEBHOOK_SECRET


def named(path: str) -> str:
    """Return the path with `:id` for what follows the resource."""
    resource = resource_of(f"http://stripe{path}")
    return resource if path == f"/v1/{resource}" else f"{resource}/:id"


def counting(counts: Counter[str]) -> Middleware:
    """Return the middleware that counts the API requests."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/requests":
            return web.json_response(counts)
        if request.path.startswith("/v1/"):
            key = request.headers.get("Authorization", "").removeprefix("Bearer ")
            counts[f"{key} {request.method} {named(request.path)}"] += 1
        return await handler(request)

    return count


async def main(port: int, webhook_url: str) -> None:
    app = create_sandbox_app(
        SandboxConfig(port=port, webhooks=(WebhookTarget(webhook_url, WEBHOOK_SECRET),))
    )
    app.middlewares.insert(0, counting(Counter()))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    logging.getLogger("sandbox").warning("listening on %d", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig()
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
