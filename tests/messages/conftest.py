"""mPanel's side of messages: a receiver over HTTP that verifies what it gets."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook, WebhookVerificationError

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.messages import receivers
from mpanel_billing.messages.sending import Sender, open_sender
from tests.inline_worker import InlineWorker
from tests.roles import RUNTIME_ROLE, settings_under
from tests.service import Service, make_settings

OPERATOR = Actor("cli:grace@panel")
LINKS = {
    "subscription": "https://panel.test/subscriptions/{id}",
    "invoice": "https://panel.test/invoices/{id}",
}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]] | web.Response


@dataclass
class Panel:
    """Keeps what it got, once each of its secrets has verified it.

    Answers 204, unless `answers` has something else.
    """

    url: str = ""
    secrets: list[str] = field(default_factory=list)
    got: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    answers: deque[Answer] = field(default_factory=deque)

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.got]

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        for secret in self.secrets:
            verified = Webhook(secret).verify(body, dict(request.headers))
        self.got.append(verified)
        self.ids.append(request.headers["webhook-id"])
        if not self.answers:
            return web.Response(status=204)
        answer = self.answers.popleft()
        return answer if isinstance(answer, web.Response) else await answer(request)

    async def add(self, pool: Pool, *types: str, name: str = "panel") -> str:
        secret = await receivers.add(
            pool, OPERATOR, name=name, url=self.url, types=types, livemode=False
        )
        self.secrets.append(secret)
        return secret


@asynccontextmanager
async def running_panel() -> AsyncIterator[Panel]:
    panel, app = Panel(), web.Application()
    app.router.add_post("/billing", panel.take)
    async with TestServer(app) as server:
        panel.url = str(server.make_url("/billing"))
        yield panel


@pytest.fixture
async def panel() -> AsyncIterator[Panel]:
    async with running_panel() as panel:
        yield panel


@pytest.fixture
async def sender(database_url: str) -> AsyncIterator[Sender]:
    """The worker's sender, with the worker's role."""
    settings = settings_under(make_settings(database_url=database_url), RUNTIME_ROLE)
    async with await create_pool(settings) as pool, open_sender(pool, LINKS) as sender:
        yield sender


async def send_due(sender: Sender) -> None:
    """Send until nothing is due any more."""
    while due := [id_ for id_, seconds in (await sender.address()).items() if seconds <= 0]:
        for receiver_id in due:
            await sender.send_due(receiver_id)


def is_verified(secret: str, body: str, headers: dict[str, str]) -> bool:
    """Whether Standard Webhooks' own library accepts it."""
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


@dataclass
class Life:
    """A customer of the running service, and the worker."""

    service: Service
    worker: InlineWorker
    sender: Sender
    order: dict[str, Any]

    @property
    def pool(self) -> Pool:
        return self.service.pool

    async def buy(self) -> None:
        await self.service.buy(self.order)
        await self.worker.catch_up()


@pytest.fixture
async def life(
    service: Service, worker: InlineWorker, sender: Sender, order_a: dict[str, Any]
) -> Life:
    return Life(service, worker, sender, order_a)
