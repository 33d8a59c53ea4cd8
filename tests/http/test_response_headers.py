"""Headers of every response, whatever its status."""

import pytest

from mpanel_billing.http.app import create_app
from tests.http.conftest import HEADERS, Clients
from tests.service import AppClient, make_settings

HSTS = "Strict-Transport-Security"
PATHS = ("/api/admin/events", "/api/billing/invoices", "/api/marketing-api/plans", "/x", "/docs")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("keyed", [True, False])
async def test_browsers_neither_guess_types_nor_tell_others_and_no_version_is_named(
    client: AppClient, path: str, keyed: bool
) -> None:
    answer = await client.get(path, headers=HEADERS if keyed else {})
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Server"] == "mpanel-billing"
    public = not keyed and path in PATHS[2:] and answer.status == 200
    assert (answer.headers["Cache-Control"] == "no-store") != public


@pytest.mark.parametrize(
    ("trusted", "proto", "expected"),
    [
        ("127.0.0.1", "https", True),
        ("127.0.0.1", "http, https", True),
        ("127.0.0.1", "https, http", False),
        ("127.0.0.1", "", False),
        ("192.0.2.1", "https", False),
    ],
)
async def test_a_browser_that_came_by_https_is_told_to_stay_there(
    aiohttp_client: Clients, trusted: str, proto: str, expected: bool
) -> None:
    client = await aiohttp_client(create_app(make_settings(trusted_proxies=trusted)))
    answer = await client.get("/x", headers={"X-Forwarded-Proto": proto} if proto else {})
    assert (HSTS in answer.headers) == expected
