"""The webhook route over HTTP: its response, and what is on disk by then."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

import pytest

from mpanel_billing.database.pool import Pool
from tests import stripe_objects as made
from tests.postgres import MakeServer
from tests.service import SITE, WEBHOOK_SECRET, AppClient, make_app, make_settings

WEBHOOK = "/api/webhooks/stripe"
EVENT = made.event("customer.subscription.created", made.subscription(), id_="evt_1")

Clients = Callable[..., Awaitable[AppClient]]


@pytest.fixture
async def client(database_url: str, aiohttp_client: Clients) -> AppClient:
    return await aiohttp_client(make_app(make_settings(database_url=database_url)))


async def post(client: AppClient, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    """Post a body, signed unless a signature is given."""
    signed = {"Stripe-Signature": made.sign(body, WEBHOOK_SECRET)} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    answer = await client.post(WEBHOOK, data=BytesIO(body), headers=signed)
    return answer.status, await answer.json()


async def kept(pool: Pool) -> int:
    count: int = await pool.fetchval("SELECT count(*) FROM stripe_events")
    return count


async def test_a_signed_event_is_on_disk_when_it_is_acknowledged(
    client: AppClient, pool: Pool
) -> None:
    status, answer = await post(client, made.encoded(EVENT))
    assert (status, answer["outcome"]) == (200, "applied")
    assert await kept(pool) == 1
    status, answer = await post(client, made.encoded(EVENT))
    assert (status, answer["outcome"]) == (200, "duplicate")


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "", "application/json"])
async def test_any_content_type_will_do(client: AppClient, pool: Pool, content_type: str) -> None:
    status, _ = await post(client, made.encoded(EVENT), Content_Type=content_type)
    assert status == 200


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (lambda _: "", "signature_malformed"),
        (lambda _: "nonsense", "signature_malformed"),
        (lambda _: made.sign(b"another body", WEBHOOK_SECRET), "signature_invalid"),
        (lambda body: made.sign(body, "whsec_wrong"), "signature_invalid"),
        (lambda body: made.sign(body, WEBHOOK_SECRET, at=1_000_000), "signature_too_old"),
    ],
    ids=["empty", "nonsense", "another body", "another secret", "old"],
)
async def test_a_body_that_stripe_has_not_signed_is_refused_and_not_stored(
    client: AppClient, pool: Pool, header: Callable[[bytes], str], code: str
) -> None:
    body = made.encoded(EVENT)
    status, answer = await post(client, body, Stripe_Signature=header(body))
    assert (status, answer["code"]) == (400, code)
    assert answer["success"] is False
    assert await kept(pool) == 0


@pytest.mark.parametrize("body", [b"[]", b"7", b'"evt_1"', b"{}", b'{"id": 7}', b"not json"])
async def test_a_signed_body_that_is_not_an_event_is_refused_and_not_stored(
    client: AppClient, pool: Pool, body: bytes
) -> None:
    status, answer = await post(client, body)
    assert (status, answer["code"]) == (400, "not_an_event")
    assert await kept(pool) == 0


@pytest.mark.parametrize(
    "odd",
    [
        made.event("invoice.upcoming", {"object": "invoice"}),
        made.event("v1.odd", {}) | {"data": None},
        made.event("customer.subscription.updated", made.subscription(), account="acct_1"),
        {"id": "evt_thin", "object": "v2.core.event", "type": "v2.core.account.updated"},
    ],
    ids=["upcoming invoice", "no data", "connected account", "thin event"],
)
async def test_an_odd_event_is_stored_as_ignored_with_the_reason(
    client: AppClient, pool: Pool, odd: dict[str, Any]
) -> None:
    status, answer = await post(client, made.encoded(odd))
    assert (status, answer["outcome"]) == (200, "ignored")
    assert await pool.fetchval("SELECT reason IS NOT NULL FROM stripe_events")


async def test_an_event_of_the_other_mode_is_refused_and_not_stored(
    client: AppClient, pool: Pool
) -> None:
    status, answer = await post(client, made.encoded(EVENT | {"livemode": True}))
    assert (status, answer["code"]) == (400, "wrong_mode")
    assert await kept(pool) == 0


async def test_while_a_secret_is_rolled_events_signed_with_either_are_accepted(
    database_url: str, aiohttp_client: Clients
) -> None:
    settings = make_settings(
        database_url=database_url, stripe_webhook_secret=f"whsec_new,{WEBHOOK_SECRET}"
    )
    client = await aiohttp_client(make_app(settings))
    for number, secret in enumerate(("whsec_new", WEBHOOK_SECRET)):
        body = made.encoded(EVENT | {"id": f"evt_{number}"})
        status, _ = await post(client, body, Stripe_Signature=made.sign(body, secret))
        assert status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_only_posts_are_accepted(client: AppClient, method: str) -> None:
    answer = await client.request(method, WEBHOOK)
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"


async def test_a_body_over_two_mebibytes_is_refused(client: AppClient, pool: Pool) -> None:
    status, answer = await post(client, b" " * (2 * 1024 * 1024 + 1))
    assert (status, answer["code"]) == (413, "body_too_large")
    assert await kept(pool) == 0


async def test_a_large_event_is_accepted(client: AppClient, pool: Pool) -> None:
    large = EVENT | {"padding": "x" * 2_000_000}
    status, _ = await post(client, made.encoded(large))
    assert status == 200


async def test_a_compressed_body_is_refused(client: AppClient, pool: Pool) -> None:
    body = gzip.compress(made.encoded(EVENT))
    status, _ = await post(client, body, Content_Encoding="gzip")
    assert status == 415
    assert await kept(pool) == 0


async def test_browsers_have_no_business_with_the_webhook_route(client: AppClient) -> None:
    body = made.encoded(EVENT)
    answer = await client.post(
        WEBHOOK,
        data=body,
        headers={"Stripe-Signature": made.sign(body, WEBHOOK_SECRET), "Origin": SITE},
    )
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_without_a_database_the_response_is_503_and_later_it_works(
    aiohttp_client: Clients, run_dir: Any, worker_id: str, make_server: MakeServer
) -> None:
    """The service starts while its database is down, and recovers without a restart."""
    postgres = make_server(run_dir / f"outage-{worker_id}")
    postgres.start()
    postgres.create_database("outage")
    url = postgres.url("outage")
    postgres.stop()
    client = await aiohttp_client(make_app(make_settings(database_url=url)))
    body = made.encoded(made.event("charge.refunded", {"id": "ch_1"}, id_="evt_1"))
    status, answer = await post(client, body)
    assert (status, answer["code"]) == (503, "database_unavailable")
    await asyncio.to_thread(postgres.start)
    try:
        status, answer = await post(client, body)
        # there is a database again, though without our schema
        assert (status, answer["error"]) == (
            503,
            "The event could not be stored; please send it again.",
        )
    finally:
        await asyncio.to_thread(postgres.stop)
