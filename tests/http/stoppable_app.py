"""A process for test_server.py: an app that delays its responses, on the port of argv[1]."""

import asyncio
import sys

from aiohttp import web

from mpanel_billing.errors import BillingError
from mpanel_billing.http.server import SHUTDOWN, serve


async def answer_slowly(request: web.Request) -> web.Response:
    await asyncio.sleep(float(request.query["seconds"]))
    return web.Response(text="finished")


async def answer_on_shutdown(request: web.Request) -> web.Response:
    await request.app[SHUTDOWN].wait()
    return web.Response(text="stopping")


def make_app() -> web.Application:
    app = web.Application()
    app.router.add_get("/slow", answer_slowly)
    app.router.add_get("/wait", answer_on_shutdown)
    return app


if __name__ == "__main__":
    try:
        serve(make_app, "127.0.0.1", int(sys.argv[1]))
    except BillingError as error:
        sys.exit(str(error))
