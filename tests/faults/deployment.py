"""The service as deployed in production, with its database, Stripe and customers.

Web, worker and sandbox are processes; the customers and the rest of Stripe's traffic are tasks of
the test. As in production, a client that gets no 200 tries again.
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

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import open_gateway
from stripe_sandbox.client import SandboxClient
from tests import stripe_objects as made
from tests.commands import run_command
from tests.faults.response_log import NO_RESPONSE, OK, Kind, ResponseLog
from tests.ports import unused_port
from tests.processes import (
    SERVICE,
    ServiceProcess,
    running,
    running_api,
    running_worker,
    service_environment,
)
from tests.service import CREATE_SESSION, WEBHOOK_SECRET, make_settings

STRIPE = ("-m", "tests.faults.sandbox_process")
PAUSE_SECONDS = 0.05
"""Between a response and the next request of the same client."""

_orders = itertools.count(1)


@dataclass
class Deployment:
    """All parts, and how to start them. `urls` are the settings that name the database."""

    urls: Mapping[str, str]
    pool: Pool
    stripe: SandboxClient
    stripe_url: str
    stripe_client: stripe.StripeClient
    browser: aiohttp.ClientSession
    port: int
    stack: AsyncExitStack
    responses: ResponseLog = field(default_factory=ResponseLog)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of a command."""
        settings = service_environment(self.urls["DATABASE_URL"], self.stripe_url)
        return {"PATH": os.environ["PATH"], **settings, **self.urls}

    async def _start(self, process: AbstractAsyncContextManager[ServiceProcess]) -> ServiceProcess:
        """Start a process; print its log at the end, which pytest shows if the test fails."""
        service = await self.stack.enter_async_context(process)
        self.stack.callback(lambda: print("".join(service.lines)))
        return service

    async def start_web(self, **environment: str) -> ServiceProcess:
        """Start a web process; all of them share a port, as under PM2."""
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
        return {"database_url": self.urls["DATABASE_URL"], **self._others}

    @property
    def _others(self) -> dict[str, str]:
        return {name: url for name, url in self.urls.items() if name != "DATABASE_URL"}

    async def request(self, kind: Kind, method: str, path: str, **request: Any) -> tuple[int, Any]:
        """Send one request, record the response, and return its status and body."""
        started = time.monotonic()
        try:
            async with self.browser.request(method, self.url + path, **request) as response:
                body = await response.json()
        except (aiohttp.ClientError, TimeoutError):
            self.responses.record(kind, NO_RESPONSE, started)
            return NO_RESPONSE, None
        self.responses.record(kind, response.status, started, response.headers.get("Retry-After"))
        return response.status, body

    async def request_until_ok(self, kind: Kind, method: str, path: str, **request: Any) -> Any:
        """Repeat a request until its response is 200, and return the body."""
        while True:
            status, body = await self.request(kind, method, path, **request)
            if status == OK:
                return body
            await asyncio.sleep(PAUSE_SECONDS)

    async def order_once(self) -> int:
        """Order without trying again, and return the status."""
        status, _ = await self.request("order", "POST", CREATE_SESSION, **order_of(next(_orders)))
        return status

    async def buy(self) -> str:
        """Order, trying again until it works, and pay; return the session's id."""
        order = await self.request_until_ok(
            "order", "POST", CREATE_SESSION, **order_of(next(_orders))
        )
        paid = await self.stripe.pay(order["url"])
        assert paid.status == 303, paid
        return str(order["sessionId"])

    async def wait_until_active(self, session_id: str) -> Any:
        """Poll the success page until the tenant is ready."""
        while True:
            page = await self.request_until_ok(
                "page", "GET", f"/api/checkout/session/{session_id}?wait=5"
            )
            if page["status"] == "active":
                return page

    async def send_event(self, event: Mapping[str, Any]) -> None:
        """Send an event until it is acknowledged, as Stripe does."""
        body = made.encoded(event)
        headers = {"Stripe-Signature": made.sign(body, WEBHOOK_SECRET)}
        await self.request_until_ok(
            "event", "POST", "/api/webhooks/stripe", data=body, headers=headers
        )

    async def run_command(
        self, *arguments: str, status: int = 0, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run a command, check its exit status, and return what it printed."""
        if environment is None:
            ended = await run_command(
                self.urls["DATABASE_URL"], *arguments, stripe_url=self.stripe_url, **self._others
            )
            assert ended.status == status, ended
            return ended.out + ended.err
        process = await asyncio.create_subprocess_exec(
            *SERVICE,
            *arguments,
            env={**self.environment, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == status, output.decode()
        return output.decode()

    async def wait_for_row(self, query: str, *args: object, seconds: float = 60) -> Any:
        """Return the first row of a query, waiting for it."""
        async for _ in polling(seconds):
            if (row := await self.pool.fetchrow(query, *args)) is not None:
                return row
        raise AssertionError(f"no row within {seconds} s: {query}")


async def polling(seconds: float) -> AsyncIterator[None]:
    """Yield every PAUSE_SECONDS until the time is up: to poll what cannot be awaited."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        await asyncio.sleep(PAUSE_SECONDS)


def order_of(number: int) -> dict[str, Any]:
    """Return the order request of a new buyer."""
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
async def open_deployment(
    database_url: str, *, sandbox: tuple[str, str] = STRIPE, **urls: str
) -> AsyncIterator[Deployment]:
    """Open a deployment on a migrated database, with the catalogue on sale; nothing runs yet.

    `urls` are further settings of the service that name the database (DATABASE_DIRECT_URL).
    """
    async with open_empty_deployment(database_url, sandbox=sandbox, **urls) as deployment:
        await apply_catalogue(deployment.pool, read_catalogue_file(DEFAULT_CATALOGUE))
        await push_catalogue(
            deployment.pool, StripeCatalogue(deployment.stripe_client), livemode=False
        )
        yield deployment


@asynccontextmanager
async def open_empty_deployment(
    database_url: str, *, sandbox: tuple[str, str] = STRIPE, **urls: str
) -> AsyncIterator[Deployment]:
    """Like `open_deployment`, but with nothing on sale."""
    port, stripe_port = unused_port(), unused_port()
    stripe_url = f"http://127.0.0.1:{stripe_port}"
    direct = urls.get("DATABASE_DIRECT_URL", database_url)
    settings = make_settings(database_url=direct, stripe_api_base=stripe_url)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_stripe_process(sandbox, stripe_port, port))
        pool = await stack.enter_async_context(await create_pool(settings))
        gateway = open_gateway(settings)
        stack.push_async_callback(gateway.close)
        timeout = aiohttp.ClientTimeout(total=40)
        yield Deployment(
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
async def _stripe_process(
    program: tuple[str, str], port: int, web_port: int
) -> AsyncIterator[ServiceProcess]:
    webhooks = f"http://127.0.0.1:{web_port}/api/webhooks/stripe"
    command = [SERVICE[0], *program, str(port), webhooks]
    # not tests.service, which has the secret: to load it costs more than the sandbox
    secret = {"STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET}
    async with running(command, "listening on", secret) as process:
        yield process
