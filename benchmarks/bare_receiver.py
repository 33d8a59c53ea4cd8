"""The bare limit: verify the signature, insert the body, commit; nothing else.

The least that any receiver which stores every event has to do. Runs as its own process:
`python -m benchmarks.bare_receiver DATABASE_URL PORT SECRET POOL_SIZE`.
"""

import sys
import time
from collections.abc import AsyncIterator

import asyncpg
from aiohttp import web

from mpanel_billing.webhooks.signature import verify_signature

_TABLE = "CREATE TABLE IF NOT EXISTS bare_events (id text PRIMARY KEY, payload jsonb NOT NULL)"
_INSERT = "INSERT INTO bare_events (id, payload) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING"
_POOL = web.AppKey("pool", asyncpg.Pool)
_ID_LENGTH = 28


def create_app(database_url: str, secret: bytes, pool_size: int) -> web.Application:
    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        header = request.headers.get("Stripe-Signature")
        verify_signature(body, header, [secret], now=time.time())
        at = body.index(b'"evt_') + 1
        await request.app[_POOL].execute(
            _INSERT, body[at : at + _ID_LENGTH].decode(), body.decode()
        )
        return web.json_response({"received": True})

    async def connect(app: web.Application) -> AsyncIterator[None]:
        async with asyncpg.create_pool(database_url, min_size=2, max_size=pool_size) as pool:
            await pool.execute(_TABLE)
            app[_POOL] = pool
            yield

    app = web.Application()
    app.router.add_post("/api/webhooks/stripe", receive)
    app.cleanup_ctx.append(connect)
    return app


if __name__ == "__main__":
    url, port, secret, pool_size = sys.argv[1:]
    web.run_app(
        create_app(url, secret.encode(), int(pool_size)),
        host="127.0.0.1",
        port=int(port),
        access_log=None,
        print=lambda *_: None,
    )
