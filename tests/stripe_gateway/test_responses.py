"""A 200 that is not what was asked for, and a Stripe that takes too long."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from stripe import StripeResponse

from mpanel_billing.errors import StripeUnavailableError
from mpanel_billing.http import middleware
from mpanel_billing.mirror.types import MIRRORED
from mpanel_billing.stripe_gateway.budget import StripeBudget
from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from mpanel_billing.stripe_gateway.hosted_pages import create_checkout_session, create_customer
from mpanel_billing.stripe_gateway.objects import EVENTS, Resource
from mpanel_billing.stripe_gateway.responses import check_response
from mpanel_billing.stripe_gateway.transport import resource_of
from tests.service import CREATE_SESSION, Service, make_settings

Says = Callable[[bytes | str], Awaitable[StripeGateway]]


@pytest.fixture
async def says() -> AsyncIterator[Says]:
    """Makes a gateway to a Stripe that says the same to everything."""
    opened: list[Any] = []

    async def start(body: bytes | str) -> StripeGateway:
        async def handler(_: web.Request) -> web.Response:
            return web.Response(body=body, content_type="application/json")

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        server = TestServer(app)
        await server.start_server()
        gateway = open_gateway(make_settings(stripe_api_base=str(server.make_url("/"))))
        opened.extend([server, gateway])
        return gateway

    yield start
    for each in opened:
        await each.close()


ODD = {
    "HTML": "<html>Welcome to the hotel's network</html>",
    "nothing": "",
    "no UTF-8": b"\xff\xfe{}",
    "a list": "[]",
    "null": "null",
    "no object": "{}",
    "a number as object": '{"object": 7}',
    "another object": '{"object": "list", "data": []}',
    "without an id": '{"object": "customer"}',
    "another customer": '{"object": "customer", "id": "cus_2"}',
}


async def test_a_page_is_parsed_once(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    class SeenResponse(StripeResponse):
        def __init__(self, body: str, code: int, headers: Mapping[str, str]) -> None:
            parsed.append(body)
            super().__init__(body, code, headers)

    monkeypatch.setattr("stripe._api_requestor.StripeResponse", SeenResponse)
    customer = '{"object": "customer", "id": "cus_1"}'
    gateway = await says(f'{{"object": "list", "data": [{customer}], "has_more": false}}')
    page = await gateway.list_page(Resource("/v1/customers"), {})
    assert page.objects == [{"object": "customer", "id": "cus_1"}]
    assert parsed == ["{}"]  # all that the SDK gets to see


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
async def test_an_odd_200_leaves_open_what_stripe_has_done(says: Says, body: bytes | str) -> None:
    gateway = await says(body)
    with pytest.raises(StripeUnavailableError):
        await gateway.fetch(Resource("/v1/customers"), "cus_1")
    with pytest.raises(StripeUnavailableError):
        await create_checkout_session(gateway, {}, "key")
    with pytest.raises(StripeUnavailableError):
        await gateway.list_page(Resource("/v1/coupons/x/y"), {})
    if "cus_2" not in str(body):
        with pytest.raises(StripeUnavailableError):
            await create_customer(gateway, {}, "key")


EMPTY = '{"object": "list", "data": [], "has_more": false}'


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/v1/customers/cus_1", '{"object": "customer", "id": "cus_1", "deleted": true}'),
        ("post", "/v1/invoices/in_1/pay", '{"object": "invoice", "id": "in_1"}'),
        ("post", "/v1/invoices/create_preview", '{"object": "invoice", "id": "upcoming_in_1"}'),
        ("get", "/v1/invoices/in_1/lines", EMPTY),
        ("get", "/v1/events", EMPTY),
        ("get", "/v1/balance", '{"object": "balance"}'),
        ("get", "/v1/account", '{"object": "account", "id": "acct_1"}'),
        ("delete", "/v1/customers/cus_1/discount", '{"object": "discount"}'),
        (
            "post",
            "/v1/checkout/sessions/cs_1/expire",
            '{"object": "checkout.session", "id": "cs_1"}',
        ),
        (
            "get",
            "/v1/checkout/sessions/cs_1/line_items",
            EMPTY,
        ),
        (
            "post",
            "/v1/customers/cus_1/balance_transactions",
            '{"object": "customer_balance_transaction", "id": "cbtxn_1"}',
        ),
        ("get", "/v1/something/new_1", '{"object": "something.new", "id": "new_1"}'),
    ],
)
def test_what_was_asked_for_passes(method: str, path: str, body: str) -> None:
    url = f"https://api.stripe.com{path}"
    check_response(method, url, resource_of(url), body.encode())


def test_each_mirrored_type_is_known_to_be_returned_by_its_path() -> None:
    for mirrored in MIRRORED:
        url = f"https://api.stripe.com{mirrored.resource.path}/x_1"
        with pytest.raises(Exception, match="is not a "):
            check_response("get", url, resource_of(url), b'{"object": "unicorn", "id": "x_1"}')


async def test_the_calls_of_one_request_wait_no_longer_than_its_budget(service: Service) -> None:
    await service.stripe.inject_fault("hang", path="/v1/", seconds=30, times=9)
    gateway = open_gateway(service.settings)
    started = time.monotonic()
    with StripeBudget(0.2):
        for _ in range(3):
            with pytest.raises(StripeUnavailableError):
                await gateway.list_page(EVENTS, {})
    assert time.monotonic() - started < 5
    await gateway.close()


async def test_a_buyer_is_told_to_try_again_when_stripe_takes_too_long(
    service: Service, order_a: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert middleware.STRIPE_SECONDS == 25
    monkeypatch.setattr(middleware, "STRIPE_SECONDS", 0.3)
    await service.stripe.inject_fault("hang", path="/v1/", seconds=30, times=9)
    answer = await service.client.post(CREATE_SESSION, json=order_a)
    assert (answer.status, (await answer.json())["code"]) == (503, "stripe_unavailable")
    assert answer.headers["Retry-After"]
