"""The operators' routes need a key; the inbox over HTTP."""

import pytest
from yarl import URL

from mpanel_billing.database.pool import Pool
from tests import stripe_objects as made
from tests.http.conftest import HEADERS, KEY, Clients
from tests.inbox import Inbox
from tests.service import AppClient, make_app, make_settings


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/admin/events"),
        ("GET", "/api/admin/events/evt_1"),
        ("POST", "/api/admin/events/evt_1/replay"),
        ("POST", "/api/admin/events/replay-failed"),
        ("POST", "/api/admin/events/replay-ignored?type=x"),
        ("GET", "/api/admin/provisioning"),
        ("POST", "/api/admin/provisioning/retry"),
        ("GET", "/api/admin/subscriptions/sub_1/timeline"),
        ("POST", "/api/admin/subscriptions/sub_1/retry"),
        ("POST", "/api/admin/subscriptions/sub_1/suspend"),
        ("POST", "/api/admin/subscriptions/sub_1/lift"),
        ("POST", "/api/admin/subscriptions/sub_1/services/hosting/skip"),
    ],
)
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}, {"X-Key": KEY}],
    ids=["no key", "wrong key", "other scheme", "other header"],
)
async def test_without_a_key_nothing_is_shown(
    client: AppClient, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = await client.request(method, path, headers=headers)
    assert answer.status == 401
    assert (await answer.json())["code"] == "unauthenticated"


async def test_without_configured_keys_nobody_gets_in(
    database_url: str, aiohttp_client: Clients
) -> None:
    client = await aiohttp_client(make_app(make_settings(database_url=database_url)))
    answer = await client.get("/api/admin/events", headers={"Authorization": "Bearer "})
    assert answer.status == 401


async def test_failed_events_are_listed_shown_and_replayed(
    client: AppClient, inbox: Inbox, pool: Pool
) -> None:
    await pool.execute("ALTER TABLE subscriptions ADD CONSTRAINT fault CHECK (amount <> 666)")
    for number in range(3):
        subscription = made.subscription(f"sub_{number}", amount=666)
        await inbox.deliver("customer.subscription.created", subscription, id_=f"evt_{number}")
    answer = await client.get("/api/admin/events?status=failed&limit=2", headers=HEADERS)
    listed = (await answer.json())["events"]
    assert [event["id"] for event in listed] == ["evt_2", "evt_1"]
    for before, left in (("evt_1", ["evt_0"]), ("evt_0", []), ("evt_unknown", [])):
        answer = await client.get(
            f"/api/admin/events?status=failed&limit=2&before={before}", headers=HEADERS
        )
        assert [event["id"] for event in (await answer.json())["events"]] == left
    shown = await (await client.get("/api/admin/events/evt_1", headers=HEADERS)).json()
    assert "CheckViolationError" in shown["event"]["lastError"]
    assert shown["event"]["payload"]["id"] == "evt_1"

    await pool.execute("ALTER TABLE subscriptions DROP CONSTRAINT fault")
    one = await client.post("/api/admin/events/evt_1/replay", headers=HEADERS)
    assert (await one.json())["outcome"] == "applied"
    rest = await client.post("/api/admin/events/replay-failed", headers=HEADERS)
    assert (await rest.json())["outcomes"] == {"applied": 2}
    again = await client.post("/api/admin/events/evt_1/replay", headers=HEADERS)
    assert again.status == 409


@pytest.mark.parametrize("query", ["status=odd", "limit=0", "limit=x", "limit=1001", "limit=٣"])
async def test_an_invalid_query_is_refused(client: AppClient, query: str) -> None:
    answer = await client.get(f"/api/admin/events?{query}", headers=HEADERS)
    assert answer.status == 422
    assert (await answer.json())["fields"].keys() == {query.partition("=")[0]}


async def test_an_unknown_event_is_not_found(client: AppClient) -> None:
    for method, path in (("GET", "evt_none"), ("POST", "evt_none/replay")):
        answer = await client.request(method, f"/api/admin/events/{path}", headers=HEADERS)
        assert answer.status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "admin/events/{name}"),
        ("POST", "admin/events/{name}/replay"),
        ("GET", "admin/subscriptions/{name}/timeline"),
        ("POST", "admin/subscriptions/{name}/retry"),
        ("POST", "admin/subscriptions/{name}/suspend"),
        ("POST", "admin/subscriptions/{name}/lift"),
        ("POST", "admin/subscriptions/{name}/services/hosting/skip"),
        ("GET", "marketing-api/products/{name}"),
    ],
)
@pytest.mark.parametrize("name", ["%00", "evt_%00", "sub_1%00"])
async def test_an_id_that_postgresql_cannot_hold_is_not_found(
    client: AppClient, method: str, path: str, name: str
) -> None:
    url = URL(f"/api/{path.format(name=name)}", encoded=True)
    answer = await client.request(method, url, headers=HEADERS, json={"reason": "abuse"})
    assert (answer.status, (await answer.json())["success"]) == (404, False)


async def test_events_and_refusals_are_counted(client: AppClient) -> None:
    await client.post("/api/webhooks/stripe", data=b"{}")
    text = await (await client.get("/metrics")).text()
    assert 'mpanel_billing_webhooks_refused_total{reason="signature_missing"}' in text
