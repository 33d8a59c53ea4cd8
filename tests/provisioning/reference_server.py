"""A service that keeps the contract of docs/provisioning-service.yaml, and misbehaves on demand."""

import asyncio
import hmac
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from aiohttp import web
from aiohttp.test_utils import TestServer

from mpanel_billing.provisioning.drivers.http import SIGNATURE_HEADER, sign
from mpanel_billing.provisioning.drivers.protocol import Done, Order, Refused
from tests.provisioning.world import World

TOKEN = "token-of-the-tests"
SECRET = "secret-of-the-tests"

Misbehaviour = Literal["slow", "500", "hang_after", "500_after", "429", "422", "garbage", "cut"]


@dataclass
class ReferenceServer:
    """The server, its accounts, and what it is told to do wrong, once each."""

    world: World = field(default_factory=World)
    misbehaviours: deque[Misbehaviour] = field(default_factory=deque)
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    delay: float = 0.0
    ordered: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ReferenceServer"]:
        app = web.Application()
        app.router.add_post("/v1/orders", self._take_order)
        app.router.add_get("/v1/accounts/{product_type}/{subscription_id}", self._tell)
        async with TestServer(app) as server:
            self.url = str(server.make_url("/v1"))
            yield self

    def endpoint(self, **more: Any) -> dict[str, Any]:
        """Return what PROVISIONING_SERVICES says of it."""
        return {"url": self.url, "token": TOKEN, "secret": SECRET, **more}

    async def _take_order(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self._authenticate(request, body)
        content = json.loads(body)
        self.requests.append(content)
        self.ordered.set()
        await asyncio.sleep(self.delay)
        wrong = self.misbehaviours.popleft() if self.misbehaviours else None
        if wrong and (answer := await self._before(request, wrong)):
            return answer
        answer = self._carry_out(content, request.headers["Idempotency-Key"])
        if wrong == "hang_after":
            await asyncio.Event().wait()
        return web.Response(status=500) if wrong == "500_after" else answer

    async def _before(self, request: web.Request, wrong: Misbehaviour) -> web.Response | None:
        match wrong:
            case "500":
                return web.Response(status=500, text="<h1>oops</h1>")
            case "429":
                return web.Response(status=429, headers={"Retry-After": "120"})
            case "422":
                return web.json_response(
                    {"code": "bad_name", "message": "no such zone"}, status=422
                )
            case "garbage":
                return web.Response(text="fine!")
            case "cut":
                assert request.transport is not None
                request.transport.abort()
            case "slow":
                await asyncio.Event().wait()
        return None

    def _carry_out(self, content: dict[str, Any], key: str) -> web.Response:
        result = self.world.carry_out(
            Order(
                content["action"],
                key,
                UUID(content["subscriptionId"]),
                content["productType"],
                content["generation"],
                content["externalRef"],
                content["details"],
            )
        )
        if isinstance(result, Done):
            if result.already:
                answer = {"code": "already_done", "externalRef": result.external_ref}
                return web.json_response(answer, status=409)
            return web.json_response({"externalRef": result.external_ref})
        assert isinstance(result, Refused)
        return web.json_response({"code": "refused", "message": result.error}, status=409)

    async def _tell(self, request: web.Request) -> web.Response:
        self._authenticate(request, b"")
        for account in self.world.accounts:
            named = (account.product_type, str(account.subscription_id))
            if named == (request.match_info["product_type"], request.match_info["subscription_id"]):
                return web.json_response(
                    {
                        "externalRef": account.reference,
                        "state": account.actual,
                        "resources": account.resources,
                    }
                )
        return web.json_response({"code": "not_found"}, status=404)

    def _authenticate(self, request: web.Request, body: bytes) -> None:
        given = request.headers.get(SIGNATURE_HEADER, "")
        timestamp = int(given.partition(",")[0].removeprefix("t=") or 0)
        expected = sign(SECRET, timestamp, request.method, request.path, body)
        bearer = request.headers.get("Authorization")
        if bearer != f"Bearer {TOKEN}" or not hmac.compare_digest(given, expected):
            raise web.HTTPUnauthorized
