"""A Stripe whose events a test delivers itself."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from stripe_sandbox import Choices, SandboxConfig, WebhookTarget, running_sandbox
from stripe_sandbox.client import SandboxClient
from tests.service import make_settings


@dataclass
class ClockedStripe:
    """A Stripe, and the events that it has sent since they were last taken."""

    gateway: StripeGateway
    control: SandboxClient
    received: list[Mapping[str, Any]]

    async def take_events(self) -> list[Mapping[str, Any]]:
        await self.control.wait_idle(60)
        taken, self.received[:] = [*self.received], []
        return taken


@asynccontextmanager
async def clocked_stripe(choices: Choices) -> AsyncIterator[ClockedStripe]:
    """Yield a Stripe that behaves as the choices say."""
    received: list[Mapping[str, Any]] = []

    async def receive(incoming: web.Request) -> web.Response:
        received.append(await incoming.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", receive)
    async with TestServer(app) as hook:
        target = WebhookTarget(str(hook.make_url("/hook")), "whsec_test")
        config = SandboxConfig(webhooks=(target,), choices=choices, seed=1)
        async with (
            running_sandbox(config) as sandbox,
            open_gateway(make_settings(stripe_api_base=sandbox.url)) as gateway,
            SandboxClient(sandbox.url) as control,
        ):
            yield ClockedStripe(gateway, control, received)
