"""The service as it runs in production, with its database, its Stripe and its customers.

Web, worker and sandbox are processes; the customers and the rest of Stripe's traffic are tasks of
the test. They do as in life: whoever gets no good answer asks again.
"""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp
import stripe
from aiohttp.test_utils import unused_port

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import open_gateway
from stripe_sandbox.client import SandboxClient
from tests import stripe_objects as made
from tests.faults.journal import NO_ANSWER, OK, Journal, Kind
from tests.processes import (
    SERVICE,
    ServiceProcess,
    running,
    running_api,
    running_worker,
    service_environment,
)
from tests.service import CREATE_SESSION, WEBHOOK_SECRET, make_settings

STRIPE = ("-m", "tests.faults.stripe_process")
PAUSE_SECONDS = 0.05
"""Between an answer and the next question of the same client."""

_orders = itertools.count(1)


@dataclass
class Town:
    """Everybody, and how to start them. `urls` are the settings that name the database."""

    urls: Mapping[str, str]
    pool: Pool
    stripe: SandboxClient
    stripe_url: str
    stripe_client: stripe.StripeClient
    browser: aiohttp.ClientSession
    port: int
    stack: AsyncExitStack
    journal: Journal = field(default_factory=Journal)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of a command that is run once."""
        settings = service_environment(self.urls["DATABASE_URL"], self.stripe_url)
        return {"PATH": os.environ["PATH"], **settings, **self.urls}

    async def _start(self, process: AbstractAsyncContextManager[ServiceProcess]) -> ServiceProcess:
        """Start it, and have what it logged shown should the test fail."""
        service = await self.stack.enter_async_context(process)
        self.stack.callback(lambda: print("".join(service.lines)))
        return service

    async def start_web(self, **environment: str) -> ServiceProcess:
        """Start a web process; it shares the port with the others, as under PM2."""
        settings = {"RATE_LIMIT_ORDERS": "off", "RATE_LIMIT_LOOKUPS": "off", "NODE_CHANNEL_FD": "2"}
        return await self._start(
            running_api(
                stripe_url=self.stripe_url,
                port=self.port,
                **{**self._database(), **settings, **environment},
            )
        )

    async def start_worker(self, **environment: str) -> ServiceProcess:
        return await self._start(
            running_worker(stripe_url=self.stripe_url, **{**self._database(), **environment})
        )

    def _database(self) -> dict[str, str]:
        others = {name: url for name, url in self.urls.items() if name != "DATABASE_URL"}
        return {"database_url": self.urls["DATABASE_URL"], **others}

    async def ask(self, kind: Kind, method: str, path: str, **request: Any) -> tuple[int, Any]:
        """Ask once, note what the answer was, and return status and body."""
        started = time.monotonic()
        try:
            async with self.browser.request(method, self.url + path, **request) as answer:
                body = await answer.json()
        except (aiohttp.ClientError, TimeoutError):
            self.journal.note(kind, NO_ANSWER, started)
            return NO_ANSWER, None
        self.journal.note(kind, answer.status, started, answer.headers.get("Retry-After"))
        return answer.status, body

    async def insist(self, kind: Kind, method: str, path: str, **request: Any) -> Any:
        """Ask until the answer is good, and return it."""
        while True:
            status, body = await self.ask(kind, method, path, **request)
            if status == OK:
                return body
            await asyncio.sleep(PAUSE_SECONDS)

    async def try_to_order(self) -> int:
        """Order as somebody does who gives up at once, and return the status."""
        status, _ = await self.ask("order", "POST", CREATE_SESSION, **order_of(next(_orders)))
        return status

    async def buy(self) -> str:
        """Order, clicking again while it does not work, and pay; return the session's id."""
        answer = await self.insist("order", "POST", CREATE_SESSION, **order_of(next(_orders)))
        paid = await self.stripe.pay(answer["url"])
        assert paid.status == 303, paid
        return str(answer["sessionId"])

    async def follow(self, session_id: str) -> Any:
        """Look at the success page until the tenant is ready."""
        while True:
            page = await self.insist("page", "GET", f"/api/checkout/session/{session_id}?wait=5")
            if page["status"] == "active":
                return page

    async def tell(self, event: Mapping[str, Any]) -> None:
        """Send an event until it is acknowledged, as Stripe does."""
        body = made.encoded(event)
        headers = {"Stripe-Signature": made.sign(body, WEBHOOK_SECRET)}
        await self.insist("event", "POST", "/api/webhooks/stripe", data=body, headers=headers)

    async def wait_for_row(self, query: str, *args: object, seconds: float = 60) -> Any:
        """Return the first row of a query, as soon as there is one."""
        async for _ in looks(seconds):
            if (row := await self.pool.fetchrow(query, *args)) is not None:
                return row
        raise AssertionError(f"no row within {seconds} s: {query}")


async def looks(seconds: float) -> AsyncIterator[None]:
    """Come round to look again and again, for so long: where nobody tells what happens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        await asyncio.sleep(PAUSE_SECONDS)


def order_of(number: int) -> dict[str, Any]:
    """Return the request of a new buyer."""
    order = {
        "planId": "starter",
        "billingCycle": "monthly",
        "trialActive": False,
        "addonIds": ["addon-backups-daily"],
        "customer": {"name": "Ada Lovelace", "email": f"ada{number}@example.com"},
        "domain": {"mode": "later", "value": ""},
    }
    return {"json": order, "headers": {"Idempotency-Key": uuid4().hex}}


@asynccontextmanager
async def open_town(database_url: str, **urls: str) -> AsyncIterator[Town]:
    """Set up a town around a migrated database, with its catalogue on sale; no service yet.

    `urls` are further settings of the service that name the database (DATABASE_DIRECT_URL).
    """
    async with open_empty_town(database_url, **urls) as town:
        await apply_catalogue(town.pool, read_catalogue_file(DEFAULT_CATALOGUE))
        await push_catalogue(town.pool, StripeCatalogue(town.stripe_client), livemode=False)
        yield town


@asynccontextmanager
async def open_empty_town(database_url: str, **urls: str) -> AsyncIterator[Town]:
    """Do as `open_town`, with nothing on sale."""
    port, stripe_port = unused_port(), unused_port()
    stripe_url = f"http://127.0.0.1:{stripe_port}"
    direct = urls.get("DATABASE_DIRECT_URL", database_url)
    settings = make_settings(database_url=direct, stripe_api_base=stripe_url)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_stripe_process(stripe_port, port))
        pool = await stack.enter_async_context(await create_pool(settings))
        gateway = open_gateway(settings)
        stack.push_async_callback(gateway.close)
        timeout = aiohttp.ClientTimeout(total=40)
        yield Town(
            {"DATABASE_URL": database_url, **urls},
            pool,
            await stack.enter_async_context(SandboxClient(stripe_url)),
            stripe_url,
            gateway.client,
            await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout)),
            port,
            stack,
        )


@asynccontextmanager
async def _stripe_process(port: int, web_port: int) -> AsyncIterator[ServiceProcess]:
    webhooks = f"http://127.0.0.1:{web_port}/api/webhooks/stripe"
    command = [SERVICE[0], *STRIPE, str(port), webhooks]
    async with running(command, "listening on", {}) as process:
        yield process
