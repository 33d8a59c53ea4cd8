"""A registrar that keeps the contract of docs/provisioning-service.yaml, with bad habits.

It charges for what it carries out, however the answer gets lost: its ledger says what the host has
to pay.
"""

import hmac
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestServer

from mpanel_billing.provisioning.drivers.signed_client import SIGNATURE_HEADER, sign

TOKEN = "token-of-the-registrar"
SECRET = "secret-of-the-registrar"
YEAR = timedelta(days=365)

Habit = Literal["503", "422", "429", "cut", "503_after", "cut_after", "garbage_after", "forget"]
"""What goes wrong before an order is carried out, or after it was (forget: the key, too)."""


class Charge(NamedTuple):
    """What the registrar charges the host for."""

    action: str
    name: str
    years: int


@dataclass
class HeldName:
    """A name in the host's account."""

    name: str
    domain_id: str
    status: str
    expires_at: datetime
    registrant: dict[str, Any]
    name_servers: list[str]
    auto_renew: bool = False
    generation: int = 0
    problem: dict[str, Any] | None = None


@dataclass
class ReferenceRegistrar:
    """The registrar. `taken`: names that others have, each with its auth code.

    `is_slow`: the registry takes days, until `settle`. `keeps_renewing`: its own renewal is on for
    whatever is new. `habits` go wrong once each, with the next orders.
    """

    taken: dict[str, str] = field(default_factory=dict)
    held: dict[str, HeldName] = field(default_factory=dict)
    ledger: list[Charge] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    habits: deque[Habit] = field(default_factory=deque)
    is_slow: bool = False
    is_down: bool = False
    keeps_renewing: bool = False
    wants: str | None = None
    """A field of the registrant that it does not accept as it is."""
    url: str = ""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _answers: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    _generations: dict[str, int] = field(default_factory=dict)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ReferenceRegistrar"]:
        app = web.Application()
        app.router.add_post("/v1/orders", self._order)
        app.router.add_get("/v1/domains/{name}", self._inspect)
        app.router.add_get("/v1/domains/{name}/availability", self._check)
        async with TestServer(app, host="127.0.0.1") as server:
            self.url = str(server.make_url("/v1"))
            yield self

    def endpoint(self, **more: Any) -> dict[str, Any]:
        """Return what PROVISIONING_SERVICES says of it."""
        servers = ["ns1.host.test", "ns2.host.test"]
        return {
            "url": self.url, "token": TOKEN, "secret": SECRET, "nameservers": servers,
            "timeout_seconds": 5, **more,
        }  # fmt: skip

    def settle(self, *, refused: dict[str, Any] | None = None) -> None:
        """Have the registry decide what is pending."""
        for domain in self.held.values():
            if domain.status == "pending":
                domain.status = "failed" if refused else "active"
                domain.problem = refused

    def ordered(self, action: str) -> list[dict[str, Any]]:
        return [order for order in self.orders if order["action"] == action]

    async def _order(self, request: web.Request) -> web.Response:
        body = await _authentic(request)
        order = json.loads(body)
        self.orders.append(order)
        habit = self.habits.popleft() if self.habits else None
        if self.is_down or habit == "503":
            return web.json_response({"message": "registry down"}, status=503)
        if habit in {"422", "429"}:
            return web.json_response({"message": "not today"}, status=int(habit))
        if habit == "cut":
            _cut(request)
        key = request.headers["Idempotency-Key"]
        if key not in self._answers:
            self._answers[key] = self._carry_out(order)
        status, answer = self._answers[key]
        if habit == "forget":
            del self._answers[key]
            habit = "503_after"
        if habit == "cut_after":
            _cut(request)
        if habit == "503_after":
            return web.json_response({"message": "try later"}, status=503)
        if habit == "garbage_after":
            return web.Response(text="<html>")
        return web.json_response(answer, status=status)

    def _carry_out(self, order: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        id_, generation = order["domainId"], order["generation"]
        if generation < self._generations.get(id_, 0):
            return 409, {"code": "out_of_date"}
        self._generations[id_] = generation
        name, details = order["domain"], order["details"]
        if order["action"] in {"register", "transfer"}:
            if problem := self._refusal(order["action"], name, details):
                return 422, problem
            return self._obtain(order)
        domain = self.held.get(name)
        if domain is None or domain.status in {"pending", "failed", "transferred_out"}:
            return 404, {"code": "unknown_domain", "message": "not in this account"}
        domain.generation = generation
        return self._change(domain, order["action"], details)

    def _change(
        self, domain: HeldName, action: str, details: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        name = domain.name
        match action:
            case "renew":
                if datetime.fromisoformat(details["expiresAt"]) != domain.expires_at:
                    return 409, {"code": "already_done", "externalRef": f"ref-{name}"}
                domain.expires_at += details["years"] * YEAR
                domain.status = "active"
                self.ledger.append(Charge("renew", name, details["years"]))
            case "set_nameservers":
                domain.name_servers = details["nameservers"]
            case "set_auto_renew":
                domain.auto_renew = details["autoRenew"]
            case "release":
                return 200, {"externalRef": f"ref-{name}", "authCode": f"leaving-{name}"}
        return 200, {"externalRef": f"ref-{name}"}

    def _refusal(self, action: str, name: str, details: dict[str, Any]) -> dict[str, Any] | None:
        if self.wants and action == "register":
            return {"code": "registrant_incomplete", "fields": [self.wants], "message": "no"}
        if action == "register" and (name in self.taken or name in self.held):
            return {"code": "domain_unavailable", "message": "already registered"}
        if action == "transfer" and name not in self.taken:
            return {"code": "domain_unavailable", "message": "not registered"}
        if action == "transfer" and details["authCode"] != self.taken[name]:
            return {"code": "auth_code_wrong", "message": "invalid authorization information"}
        return None

    def _obtain(self, order: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name, details = order["domain"], order["details"]
        assert details["registrant"]["phone"].startswith("+")
        self.ledger.append(Charge(order["action"], name, 1))
        self.taken.pop(name, None)
        self.held[name] = HeldName(
            name,
            order["domainId"],
            "pending" if self.is_slow else "active",
            self.clock() + YEAR,
            details["registrant"],
            details["nameservers"] if order["action"] == "register" else ["ns.elsewhere.test"],
            self.keeps_renewing or details["autoRenew"],
            order["generation"],
        )
        return 200, {"externalRef": f"ref-{name}"}

    async def _inspect(self, request: web.Request) -> web.Response:
        await _authentic(request)
        if self.is_down:
            return web.json_response({}, status=503)
        domain = self.held.get(request.match_info["name"])
        if domain is None:
            return web.json_response({"code": "unknown_domain"}, status=404)
        return web.json_response(
            {
                "externalRef": f"ref-{domain.name}",
                "domainId": domain.domain_id,
                "status": domain.status,
                "expiresAt": domain.expires_at.isoformat(),
                "autoRenew": domain.auto_renew,
                "nameservers": domain.name_servers,
                "generation": domain.generation,
                "problem": domain.problem,
            }
        )

    async def _check(self, request: web.Request) -> web.Response:
        await _authentic(request)
        if self.is_down:
            return web.json_response({}, status=503)
        name = request.match_info["name"]
        return web.json_response({"available": name not in self.taken and name not in self.held})


async def _authentic(request: web.Request) -> bytes:
    """Return the body of a request that is signed as the contract says."""
    body = await request.read()
    given = request.headers[SIGNATURE_HEADER]
    timestamp = int(given.split(",", 1)[0].removeprefix("t="))
    expected = sign(SECRET, timestamp, request.method, request.path, body)
    assert hmac.compare_digest(given, expected)
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    return body


def _cut(request: web.Request) -> None:
    """Drop the connection, as a proxy does that has waited long enough."""
    assert request.transport is not None
    request.transport.abort()
    raise web.HTTPServiceUnavailable
