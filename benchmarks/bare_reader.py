"""The bare limit of reads: an aiohttp handler that selects one row, and one that sends what it has.

Runs as its own process: `python -m benchmarks.bare_reader DATABASE_URL PORT BODY_FILE POOL_SIZE`.
"""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
from aiohttp import web

from mpanel_billing.database.queries import load_queries

SELECT_PATH = "/api/checkout/session/{session_id}"
SEND_PATH = "/api/public/plans"

_POOL = web.AppKey("pool", asyncpg.Pool)
_STATEMENT = load_queries("checkout").get_order_of_session.sql


def create_app(database_url: str, body: bytes, pool_size: int) -> web.Application:
    async def select(request: web.Request) -> web.Response:
        row = await request.app[_POOL].fetchrow(_STATEMENT, request.match_info["session_id"])
        return web.json_response(text=json.dumps(dict(row or {}), default=str))

    async def send(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    async def connect(app: web.Application) -> AsyncIterator[None]:
        async with asyncpg.create_pool(database_url, min_size=2, max_size=pool_size) as pool:
            app[_POOL] = pool
            yield

    app = web.Application()
    app.router.add_get(SELECT_PATH, select)
    app.router.add_get(SEND_PATH, send)
    app.cleanup_ctx.append(connect)
    return app


if __name__ == "__main__":
    url, port, body_file, pool_size = sys.argv[1:]
    web.run_app(
        create_app(url, Path(body_file).read_bytes(), int(pool_size)),
        host="127.0.0.1",
        port=int(port),
        access_log=None,
        print=lambda *_: None,
    )
