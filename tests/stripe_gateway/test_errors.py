"""Stripe's errors in our words, each provoked over HTTP."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mpanel_billing.errors import (
    StripeBrokeError,
    StripeBusyError,
    StripeError,
    StripeObjectMissingError,
    StripeUnavailableError,
)
from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from mpanel_billing.stripe_gateway.hosted_pages import create_customer, expire_checkout_session
from stripe_sandbox import Sandbox
from stripe_sandbox.client import SandboxClient
from tests.service import make_settings

ADA = {"email": "ada@example.com"}
TRIES = 3


async def test_a_5xx_is_not_definite_and_spends_the_key(
    gateway: StripeGateway, stripe: SandboxClient
) -> None:
    await stripe.inject_fault("status", status=500, times=TRIES)
    with pytest.raises(StripeBrokeError) as raised:
        await create_customer(gateway, ADA, "key-1")
    assert not raised.value.definite


async def test_a_cut_connection_is_not_definite(
    gateway: StripeGateway, stripe: SandboxClient
) -> None:
    await stripe.inject_fault("reset", times=TRIES)
    with pytest.raises(StripeUnavailableError) as raised:
        await create_customer(gateway, ADA, "key-1")
    assert type(raised.value) is StripeUnavailableError


async def test_a_rate_limit_says_when_to_retry(
    gateway: StripeGateway, stripe: SandboxClient
) -> None:
    await stripe.inject_fault("status", status=429, retry_after=7, times=TRIES)
    with pytest.raises(StripeUnavailableError) as raised:
        await create_customer(gateway, ADA, "key-1")
    assert raised.value.retry_after == 7


async def test_a_key_in_use_is_distinguished(gateway: StripeGateway, stripe: SandboxClient) -> None:
    await stripe.inject_fault("hang", seconds=5)
    outcomes = await asyncio.gather(
        *(create_customer(gateway, ADA, "key-1") for _ in range(2)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {StripeBusyError, str}


async def test_another_request_under_the_key_is_refused(gateway: StripeGateway) -> None:
    await create_customer(gateway, ADA, "key-1")
    with pytest.raises(StripeError) as raised:
        await create_customer(gateway, {"email": "grace@example.com"}, "key-1")
    assert raised.value.definite
    assert raised.value.code == "stripe_idempotency_mismatch"


async def test_an_unknown_object_is_missing(gateway: StripeGateway) -> None:
    with pytest.raises(StripeObjectMissingError):
        await expire_checkout_session(gateway, "cs_test_unknown")


async def test_a_refused_param_is_named_without_its_value(gateway: StripeGateway) -> None:
    with pytest.raises(StripeError) as raised:
        await create_customer(gateway, ADA | {"unknown": "secret-value"}, "key-1")
    assert "param unknown" in raised.value.message
    assert "secret-value" not in raised.value.message


async def test_a_refused_key_has_a_code_of_its_own(sandbox: Sandbox) -> None:
    settings = make_settings(stripe_api_base=sandbox.url, stripe_secret_key="sk_live_x")
    gateway = open_gateway(settings)
    with pytest.raises(StripeError) as raised:
        await create_customer(gateway, ADA, "key-1")
    await gateway.close()
    assert raised.value.code == "stripe_key_refused"
    assert "sk_live" not in raised.value.message


async def test_an_unreadable_success_is_not_definite(aiohttp_server) -> None:  # type: ignore[no-untyped-def]
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<html>a proxy's page</html>")

    app = web.Application()
    app.router.add_post("/v1/customers", answer)
    server: TestServer = await aiohttp_server(app)
    gateway = open_gateway(make_settings(stripe_api_base=str(server.make_url("/"))))
    with pytest.raises(StripeUnavailableError):
        await create_customer(gateway, ADA, "key-1")
    await gateway.close()
