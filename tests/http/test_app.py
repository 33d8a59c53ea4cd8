"""The edge around every route, seen from outside."""

import json
import logging
from collections.abc import Awaitable, Callable

import pytest

from mpanel_billing.http.middleware import access_logger
from tests.service import CREATE_SESSION, SITE, AppClient, make_app, make_settings

PREFLIGHT = {
    "Origin": SITE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
}


@pytest.fixture
async def client(aiohttp_client: Callable[..., Awaitable[AppClient]]) -> AppClient:
    """An app whose database is away."""
    return await aiohttp_client(make_app(make_settings()))


async def test_it_starts_and_lives_without_a_database(client: AppClient) -> None:
    live = await client.get("/api/health/live")
    assert live.status == 200
    ready = await client.get("/api/health/ready")
    assert ready.status == 503
    assert (await ready.json())["reason"] == "the database does not respond"
    health = await client.get("/api/health")
    assert health.status == 503
    assert (await health.json())["status"] == "unavailable"


async def test_without_a_database_a_route_answers_503(client: AppClient) -> None:
    answer = await client.get("/api/public/plans", headers={"Origin": SITE})
    content = await answer.json()
    assert answer.status == 503
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert answer.headers["Vary"] == "Origin"
    assert int(answer.headers["Retry-After"]) > 0
    assert content["code"] == "database_unavailable"
    assert content["requestId"] == answer.headers["X-Request-Id"]


async def test_a_preflight_of_an_allowed_origin_succeeds(client: AppClient) -> None:
    answer = await client.options(CREATE_SESSION, headers=PREFLIGHT)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "content-type" in answer.headers["Access-Control-Allow-Headers"].lower()
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://evil.test", "null", f"{SITE}.evil.test"])
async def test_another_origin_gets_no_cors_headers(client: AppClient, origin: str) -> None:
    for answer in (
        await client.options(CREATE_SESSION, headers=PREFLIGHT | {"Origin": origin}),
        await client.post(CREATE_SESSION, json={}, headers={"Origin": origin}),
    ):
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "code"),
    [
        ("POST", CREATE_SESSION, b"{", "application/json", 400, "malformed_request"),
        ("POST", CREATE_SESSION, b"[" * 50_000, "application/json", 400, "malformed_request"),
        ("POST", CREATE_SESSION, b"NaN", "application/json", 400, "malformed_request"),
        ("POST", CREATE_SESSION, b'{"a": "\xff"}', "application/json", 400, "malformed_request"),
        ("GET", "/api/nothing", b"", "text/plain", 404, "not_found"),
        ("GET", CREATE_SESSION, b"", "text/plain", 405, "method_not_allowed"),
        ("POST", CREATE_SESSION, b" " * 65_537, "application/json", 413, "body_too_large"),
        ("POST", CREATE_SESSION, b"{}", "text/plain", 415, "unsupported_media_type"),
        ("POST", CREATE_SESSION, b"[]", "application/json", 422, "invalid_request"),
        ("POST", CREATE_SESSION, b"{}", "application/json", 422, "invalid_request"),
    ],
)
async def test_every_error_has_one_shape_and_can_be_read_across_origins(
    *, client: AppClient, method: str, path: str, body: bytes, kind: str, status: int, code: str
) -> None:
    headers = {"Origin": SITE, "Content-Type": kind, "X-Request-Id": "req-1"}
    answer = await client.request(method, path, data=body, headers=headers)
    content = await answer.json()
    assert (answer.status, content["code"]) == (status, code)
    assert content["success"] is False
    assert isinstance(content["error"], str)
    assert content["requestId"] == "req-1"
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


async def test_a_body_without_a_length_is_cut_off_too(client: AppClient) -> None:
    async def endless():  # type: ignore[no-untyped-def]
        for _ in range(100):
            yield b" " * 1024

    headers = {"Content-Type": "application/json"}
    answer = await client.post(CREATE_SESSION, data=endless(), headers=headers)
    assert answer.status == 413


async def test_a_wrong_method_names_the_right_ones(client: AppClient) -> None:
    answer = await client.get(CREATE_SESSION)
    assert answer.headers["Allow"] == "POST"


async def test_the_webhook_route_has_no_cors(client: AppClient) -> None:
    answer = await client.post("/api/webhooks/stripe", data=b"{}", headers={"Origin": SITE})
    assert answer.status == 400
    assert "Access-Control-Allow-Origin" not in answer.headers
    preflight = await client.options("/api/webhooks/stripe", headers=PREFLIGHT)
    assert preflight.status == 405


async def test_a_request_id_that_could_forge_a_log_line_is_replaced(client: AppClient) -> None:
    answer = await client.get("/api/health/live", headers={"X-Request-Id": 'a" b'})
    assert answer.headers["X-Request-Id"] != 'a" b'
    assert len(answer.headers["X-Request-Id"]) == 32


async def test_what_is_unexpected_shows_in_the_log_only(
    aiohttp_client: Callable[..., Awaitable[AppClient]], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(make_settings())

    async def fail(_: object) -> None:
        raise RuntimeError("what nobody must see")

    app.router.add_get("/fail", fail)  # type: ignore[arg-type]
    answer = await (await aiohttp_client(app)).get("/fail", headers={"Origin": SITE})
    text = await answer.text()
    assert answer.status == 500
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert json.loads(text)["code"] == "internal_error"
    assert "what nobody must see" not in text
    assert "what nobody must see" in caplog.text


async def test_each_request_is_one_line_that_names_the_route(
    client: AppClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, access_logger.name):
        await client.get("/api/checkout/session/cs_test_secret?wait=99")
    [record] = [record for record in caplog.records if record.name == access_logger.name]
    assert vars(record)["route"] == "/api/checkout/session/{session_id}"
    assert vars(record)["method"] == "GET"
    assert vars(record)["status"] == 422
    assert vars(record)["durationMs"] >= 0
    assert "cs_test_secret" not in record.getMessage()
