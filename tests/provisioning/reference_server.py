"""A service that keeps the contract of docs/provisioning-service.yaml, and misbehaves on demand."""

import asyncio
import hmac
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from aiohttp import web
from aiohttp.test_utils import TestServer

from mpanel_billing.provisioning.drivers.protocol import Done, DriverCommand, Refused
from mpanel_billing.provisioning.drivers.signed_client import SIGNATURE_HEADER, sign
from tests.provisioning.world import HostedAccount, World

TOKEN = "token-of-the-tests"
SECRET = "secret-of-the-tests"

NEED_HOSTING = {"email", "backup"}
DOMAIN_MODES = {"register", "transfer", "new-or-transfer", "existing", "subdomain", "later"}

Misbehaviour = Literal[
    "slow",
    "park",
    "500",
    "429",
    "422",
    "garbage",
    "cut",
    "hang_after",
    "500_after",
    "cut_after",
    "forget",
]
"""What goes wrong before an order is carried out (parked: for as long as the test likes), or after
it was: the answer gets lost, with the record of the order (forget) or without."""


@dataclass
class ReferenceServer:
    """The server, its accounts, and what it is to do wrong, once each.

    `refused` are the (subscription, product type) whose latest order got a 422, numbered; an order
    for one of the `unwilling` always gets it. `watch`
    is called when an order has come, and when it was carried out. `early` are accounts that were
    ordered before the hosting account that they need; the subscriptions of one of the `owners` use
    each other's. `breaks`: it cannot check changes now. `is_old`: it tells only what the contract
    requires. `fetches_from`: where it gets the data of an account that moves here by itself.
    `access`: what it answers of a new account.
    """

    world: World = field(default_factory=World)
    misbehaviours: deque[Misbehaviour] = field(default_factory=deque)
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    delay: float = 0.0
    is_old: bool = False
    fetches_from: World | None = None
    access: Any = None
    breaks: bool = False
    ordered: asyncio.Event = field(default_factory=asyncio.Event)
    parked: list[asyncio.Event] = field(default_factory=list)
    refused: dict[tuple[UUID, str], int] = field(default_factory=dict)
    unwilling: set[tuple[UUID, str]] = field(default_factory=set)
    early: list[DriverCommand] = field(default_factory=list)
    owners: dict[UUID, str] = field(default_factory=dict)
    _refusals: int = 0
    watch: Callable[[], None] = lambda: None
    at_once: int = 0
    most_at_once: int = 0

    def application(self) -> web.Application:
        """Return its routes."""
        app = web.Application()
        app.router.add_post("/v1/orders", self._receive_command)
        app.router.add_get("/v1/accounts/{product_type}/{subscription_id}", self._describe)
        app.router.add_post(
            "/v1/accounts/{product_type}/{subscription_id}/check-change", self._check_change
        )
        app.router.add_get("/v1/refusals", self._list_refusals)
        return app

    @asynccontextmanager
    async def running(self, host: str = "127.0.0.1") -> AsyncIterator["ReferenceServer"]:
        async with TestServer(self.application(), host=host) as server:
            self.url = str(server.make_url("/v1"))
            yield self

    def endpoint(self, **more: Any) -> dict[str, Any]:
        """Return what PROVISIONING_SERVICES says of it."""
        return {"url": self.url, "token": TOKEN, "secret": SECRET, **more}

    def start_anew(self, world: World) -> None:
        """Forget everything, for another world."""
        self.world = world
        for forgotten in (
            self.misbehaviours,
            self.requests,
            self.checks,
            self.refused,
            self.early,
            self.owners,
        ):
            forgotten.clear()

    def note_refusal(self, subscription_id: UUID, product_type: str) -> None:
        """Note that an order was refused, or that an operator does without the service."""
        self._refusals += 1
        self.refused[subscription_id, product_type] = self._refusals

    def release(self) -> None:
        """Let the parked orders be carried out, late as they are."""
        while self.parked:
            self.parked.pop().set()

    async def park(self, run: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Start something, and park its first order; answer it, as it hangs there or has ended."""
        self.ordered.clear()
        self.misbehaviours.appendleft("park")
        task = asyncio.create_task(run)
        ordered = asyncio.create_task(self.ordered.wait())
        await asyncio.wait({task, ordered}, return_when=asyncio.FIRST_COMPLETED)
        if not ordered.done():
            ordered.cancel()
            self.misbehaviours.popleft()
        return task

    async def _receive_command(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer_order(request)
        finally:
            self.at_once -= 1

    async def _check_change(self, request: web.Request) -> web.Response:
        body = await request.read()
        self._authenticate(request, body)
        self.checks.append(json.loads(body))
        if self.breaks:
            return web.Response(status=500)
        if self.is_old:
            return web.Response(status=404)
        why = self.world.unfit.get(request.match_info["product_type"])
        return web.json_response({"fits": why is None, "message": why})

    async def _answer_order(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self._authenticate(request, body)
        content = json.loads(body)
        self.requests.append(content)
        self.ordered.set()
        self.watch()
        await asyncio.sleep(self.delay)
        wrong = self.misbehaviours.popleft() if self.misbehaviours else None
        order = _order_of(content, request.headers["Idempotency-Key"])
        if (order.subscription_id, order.product_type) in self.unwilling:
            wrong = "422"
        if order.action == "create" and not _is_complete(order):
            return web.json_response({"code": "incomplete"}, status=400)
        self.refused.pop((order.subscription_id, order.product_type), None)
        if wrong == "422":
            self.note_refusal(order.subscription_id, order.product_type)
        if wrong and (answer := await self._before(request, wrong)):
            return answer
        if self._is_early(order):
            self.early.append(order)
        answer = self.carry_out(order)
        self.watch()
        return await self._after(request, order, answer, wrong)

    def _is_early(self, order: DriverCommand) -> bool:
        if order.action != "create" or order.product_type not in NEED_HOSTING:
            return False
        own = order.subscription_id
        owner = self.owners.get(own)
        family = {own, *(id_ for id_, other in self.owners.items() if owner and other == owner)}
        return not any(
            "hosting" in self.world.of(id_) or (id_, "hosting") in self.refused for id_ in family
        )

    async def _after(
        self,
        request: web.Request,
        order: DriverCommand,
        answer: web.Response,
        wrong: Misbehaviour | None,
    ) -> web.Response:
        match wrong:
            case "hang_after":
                await asyncio.Event().wait()
            case "cut_after":
                assert request.transport is not None
                request.transport.abort()
            case "forget":
                self.world.forget(order)
                return web.Response(status=500)
            case "500_after":
                return web.Response(status=500)
        return answer

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
            case "park":
                released = asyncio.Event()
                self.parked.append(released)
                await released.wait()
        return None

    def carry_out(self, order: DriverCommand) -> web.Response:
        """Do what an order says, and answer it."""
        result = self.world.carry_out(order)
        if isinstance(result, Done):
            if self.fetches_from is not None and "movedFrom" in order.details:
                self._fetch_data(order, self.fetches_from)
                return web.json_response({"externalRef": result.external_ref, "dataMoved": True})
            if result.already:
                answer = {"code": "already_done", "externalRef": result.external_ref}
                return web.json_response(answer, status=409)
            of_new = {"access": self.access} if self.access and order.action == "create" else {}
            return web.json_response({"externalRef": result.external_ref, **of_new})
        assert isinstance(result, Refused)
        code = "out_of_date" if "out of date" in result.error else "refused"
        return web.json_response({"code": code, "message": result.error}, status=409)

    def _fetch_data(self, order: DriverCommand, origin: World) -> None:
        [new] = [each for each in self.world.accounts if each.made_by == order.idempotency_key]
        reference = order.details["movedFrom"]["externalRef"]
        [old] = [each for each in origin.accounts if each.reference == reference]
        new.files |= old.files

    async def _describe(self, request: web.Request) -> web.Response:
        self._authenticate(request, b"")
        for account in self.world.accounts:
            named = (account.product_type, str(account.subscription_id))
            if named == (request.match_info["product_type"], request.match_info["subscription_id"]):
                return web.json_response(self._description(account))
        return web.json_response({"code": "not_found"}, status=404)

    async def _list_refusals(self, request: web.Request) -> web.Response:
        self._authenticate(request, b"")
        return web.json_response([[str(owner), type_] for owner, type_ in self.refused])

    def _description(self, account: HostedAccount) -> dict[str, Any]:
        described: dict[str, Any] = {
            "externalRef": account.reference,
            "state": account.actual,
            "resources": account.resources,
        }
        if self.is_old:
            return described
        described["generation"] = account.generation
        described["domains"] = sorted(account.domains)
        if account.actual == "suspended":
            described["suspendedBy"] = "service" if account.abuse else "billing"
        if account.abuse:
            described["suspensionReason"] = account.abuse
        return described

    def _authenticate(self, request: web.Request, body: bytes) -> None:
        given = request.headers.get(SIGNATURE_HEADER, "")
        timestamp = int(given.partition(",")[0].removeprefix("t=") or 0)
        expected = sign(SECRET, timestamp, request.method, request.path, body)
        bearer = request.headers.get("Authorization")
        if bearer != f"Bearer {TOKEN}" or not hmac.compare_digest(given, expected):
            raise web.HTTPUnauthorized


def _order_of(content: dict[str, Any], key: str) -> DriverCommand:
    return DriverCommand(
        content["action"],
        key,
        UUID(content["subscriptionId"]),
        content["productType"],
        content["generation"],
        content["externalRef"],
        content["details"],
    )


def _is_complete(order: DriverCommand) -> bool:
    """Return whether the command has what the contract requires to create the account."""
    if order.product_type == "hosting" and order.details.get("domainMode") not in DOMAIN_MODES:
        return False
    return "resources" in order.details
