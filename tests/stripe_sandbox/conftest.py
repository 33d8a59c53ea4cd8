"""A running sandbox, the real SDK pointed at it, and a receiver of its webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe
from aiohttp import web

from stripe_sandbox import Choices, Sandbox, SandboxConfig, WebhookTarget, running_sandbox
from stripe_sandbox.client import SandboxClient
from tests.stripe_sandbox.shape_check import shape_problems

SECRET = "whsec_test"
START = 1_767_225_600  # 2026-01-01 00:00 UTC
DAY = 86_400


@dataclass
class Receiver:
    """Receives webhooks as a service would, and keeps the events with a valid signature.

    `answers` are the statuses of the next answers, `refusals` those for the events of an object.
    """

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    refusals: dict[str, list[int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def last(self, event_type: str) -> dict[str, Any]:
        found = [event for event in self.events if event["type"] == event_type]
        assert found, f"no {event_type} among {self.types()}"
        return found[-1]

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        stripe.Webhook.construct_event(body, request.headers["Stripe-Signature"], SECRET)
        event = json.loads(body)
        self.problems += shape_problems(event)
        self.events.append(event)
        self.headers.append(dict(request.headers))
        self.arrived.set()
        answers = self.refusals.get(event["data"]["object"].get("id")) or self.answers
        return web.Response(status=answers.pop(0) if answers else 200)


@pytest.fixture
async def receiver(aiohttp_server) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.receive)
    server = await aiohttp_server(app)
    receiver.url = str(server.make_url("/hook"))
    yield receiver
    assert receiver.problems == []


@pytest.fixture
def config(receiver: Receiver) -> SandboxConfig:
    return SandboxConfig(
        webhooks=(WebhookTarget(receiver.url, SECRET),),
        retry_delays=(0.01, 0.02),
        seed=1,
        choices=Choices(event_time="clock"),
    )


@pytest.fixture
async def sandbox(config: SandboxConfig) -> AsyncIterator[Sandbox]:
    async with running_sandbox(config) as sandbox:
        yield sandbox


@pytest.fixture
async def driver(sandbox: Sandbox) -> AsyncIterator[SandboxClient]:
    async with SandboxClient(sandbox.url) as driver:
        yield driver


async def connect(url: str, key: str = "sk_test_x", retries: int = 0) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        http_client=stripe.AIOHTTPClient(),
        base_addresses={"api": url},
        max_network_retries=retries,
    )


async def disconnect(client: stripe.StripeClient) -> None:
    await client._requestor._client.close_async()


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[stripe.StripeClient]:
    client = await connect(sandbox.url)
    yield client
    await disconnect(client)


PENDING: Any = {"pending_invoice_items_behavior": "include"}
"""A new draft takes the customer's pending invoice items."""


@dataclass
class Shop:
    """A catalogue to buy from, and the steps that tests repeat."""

    api: stripe.StripeClient
    driver: SandboxClient
    receiver: Receiver
    prices: dict[str, str] = field(default_factory=dict)
    product: str = ""

    async def stock(self) -> None:
        product = await self.api.v1.products.create_async({"name": "Starter"})
        self.product = product.id
        await self.add_price("monthly", 1000, {"interval": "month"})
        await self.add_price("yearly", 10000, {"interval": "year"})
        await self.add_price("bigger", 3000, {"interval": "month"})
        await self.add_price("domain", 1299, None)

    async def add_price(self, name: str, amount: int, recurring: Any, currency="usd") -> str:
        params: Any = {
            "currency": currency,
            "product": self.product,
            "unit_amount": amount,
            "lookup_key": name,
        }
        if recurring:
            params["recurring"] = recurring
        price = await self.api.v1.prices.create_async(params)
        self.prices[name] = price.id
        return price.id

    def lines(self, *names: str) -> list[Any]:
        return [{"price": self.prices[name], "quantity": 1} for name in names]

    async def open(self, *names: str, **params: Any) -> stripe.checkout.Session:
        order: Any = {
            "mode": "subscription",
            "success_url": "https://shop.example/success?session_id={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://shop.example/pricing",
            "line_items": self.lines(*(names or ("monthly",))),
        }
        return await self.api.v1.checkout.sessions.create_async(order | params)

    async def buy(self, *names: str, card: str = "4242424242424242", **params: Any):
        """Open a session, pay it, and return its subscription."""
        session = await self.open(*names, **params)
        result = await self.driver.pay(session.id, card)
        assert result.status == 303, result
        paid = await self.api.v1.checkout.sessions.retrieve_async(
            session.id, {"expand": ["subscription"]}
        )
        return paid.subscription

    async def clocked_customer(self, at: int = START) -> tuple[str, str]:
        clock = await self.api.v1.test_helpers.test_clocks.create_async({"frozen_time": at})
        customer = await self.api.v1.customers.create_async(
            {"email": "ada@example.com", "name": "Ada", "test_clock": clock.id}
        )
        return clock.id, customer.id

    async def invoices(self, subscription: str) -> list[stripe.Invoice]:
        """Return the subscription's invoices, oldest first."""
        page = await self.api.v1.invoices.list_async({"subscription": subscription, "limit": 100})
        return list(reversed(page.data))

    async def fetch(self, subscription: str) -> stripe.Subscription:
        return await self.api.v1.subscriptions.retrieve_async(subscription)


@pytest.fixture
async def shop(api: stripe.StripeClient, driver: SandboxClient, receiver: Receiver) -> Shop:
    shop = Shop(api, driver, receiver)
    await shop.stock()
    return shop
