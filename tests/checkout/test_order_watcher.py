import asyncio
from typing import Any

import pytest
from aiohttp import ClientResponse

from mpanel_billing.checkout import order_watcher
from mpanel_billing.http.server import SHUTDOWN
from mpanel_billing.telemetry.counters import STRIPE_CALLS
from tests.service import Service


async def ask(service: Service, session_id: str, wait: int = 0) -> dict[str, Any]:
    response: ClientResponse = await service.client.get(
        f"/api/checkout/session/{session_id}", params={"wait": str(wait)}
    )
    assert response.status == 200, await response.text()
    content: dict[str, Any] = await response.json()
    return content


def questions() -> float:
    """Return how many objects this process has asked Stripe for."""
    samples = [s for metric in STRIPE_CALLS.collect() for s in metric.samples]
    return sum(s.value for s in samples if s.labels["method"] == "GET")


async def test_an_order_that_is_not_paid_says_so(service: Service, order_a: Any) -> None:
    order = await service.order(order_a | {"domain": {"mode": "register", "value": "bücher.com"}})
    progress = await ask(service, order["sessionId"])
    assert progress == {
        "success": True,
        "sessionId": order["sessionId"],
        "status": "provisional",
        "session": {"status": "open", "paymentStatus": "unpaid", "amountPaid": None},
        "subscription": {
            "id": order["subscriptionId"],
            "status": "provisional",
            "stripeStatus": None,
            "planId": "starter",
            "planName": "Starter",
            "billingCycle": "monthly",
            "currency": "usd",
            "amount": 1298,
            "currentPeriodEnd": None,
            "trialEnd": None,
            "cancelAtPeriodEnd": False,
        },
        "tenant": None,
        "provisioning": {"state": "awaiting_payment", "services": []},
        "domains": [
            {
                "name": "xn--bcher-kva.com",
                "unicodeName": "bücher.com",
                "mode": "register",
                "state": "ordered",
                "needs": [],
                "proof": None,
                "replaceable": False,
            }
        ],
        "loginUrl": "http://panel.test",
    }


async def test_the_session_is_refreshed_if_no_webhook_has_come(
    service: Service, order_a: Any
) -> None:
    await service.stripe.set_delivery(hold=True)
    order = await service.order(order_a)
    await service.stripe.pay(order["url"])
    progress = await ask(service, order["sessionId"])
    assert progress["status"] == "pending"
    assert progress["subscription"]["stripeStatus"] == "active"
    invoice = await service.row("SELECT stripe_status, stripe_payment_intent_id FROM invoices")
    assert invoice["stripe_status"] == "paid"
    assert invoice["stripe_payment_intent_id"] is not None


async def test_a_page_that_waits_asks_stripe_nothing_while_webhooks_come(
    service: Service, order_a: Any
) -> None:
    order = await service.order(order_a)
    before = questions()
    asked = asyncio.create_task(ask(service, order["sessionId"], wait=25))
    await service.stripe.pay(order["url"])
    assert (await asked)["status"] == "pending"
    assert questions() == before


async def test_a_page_that_waits_asks_stripe_itself_if_no_webhook_comes(
    service: Service, order_a: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_watcher, "WEBHOOK_SECONDS", 0.1)
    await service.stripe.set_delivery(hold=True)
    order = await service.order(order_a)
    await service.stripe.pay(order["url"])
    async with asyncio.timeout(20):
        assert (await ask(service, order["sessionId"], wait=25))["status"] == "pending"


async def test_a_failure_of_stripe_still_shows_what_we_know(service: Service, order_a: Any) -> None:
    order = await service.order(order_a)
    await service.stripe.inject_fault("status", status=500, times=3)
    assert (await ask(service, order["sessionId"]))["status"] == "provisional"


async def test_the_response_is_held_until_the_state_changes(service: Service, order_a: Any) -> None:
    order = await service.order(order_a)
    await ask(service, order["sessionId"])
    asked = asyncio.create_task(ask(service, order["sessionId"], wait=25))
    await service.stripe.pay(order["url"])
    assert (await asked)["status"] == "pending"


async def test_a_change_of_the_tenant_ends_the_wait(service: Service, order_a: Any) -> None:
    order = await service.buy(order_a)
    asked = asyncio.create_task(ask(service, order["sessionId"], wait=25))
    await service.pool.execute(
        """WITH t AS (INSERT INTO tenants (name, domain) VALUES ('Ada', 'ada.test') RETURNING id),
                s AS (UPDATE subscriptions SET tenant_id = t.id, status = 'active' FROM t
                      RETURNING subscriptions.id)
           SELECT pg_notify('billing_subscription', s.id::text) FROM s"""
    )
    progress = await asked
    assert progress["status"] == "active"
    assert progress["provisioning"]["state"] == "ready"
    assert progress["tenant"]["domain"] == "ada.test"


async def test_a_final_order_is_not_held(service: Service, order_a: Any) -> None:
    order = await service.buy(order_a)
    await service.pool.execute("UPDATE subscriptions SET status = 'active'")
    async with asyncio.timeout(20):
        await ask(service, order["sessionId"], wait=25)


async def test_the_response_is_returned_at_once_when_the_process_stops(
    service: Service, order_a: Any
) -> None:
    order = await service.order(order_a)
    asked = asyncio.create_task(ask(service, order["sessionId"], wait=25))
    await service.client.get("/api/health/live")
    assert service.client.app is not None
    service.client.app[SHUTDOWN].set()
    async with asyncio.timeout(20):
        assert (await asked)["status"] == "provisional"


async def test_changes_are_heard_after_the_database_cut_the_connections(
    service: Service, order_a: Any
) -> None:
    order = await service.order(order_a)
    await ask(service, order["sessionId"])
    await service.pool.execute(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE application_name = 'mpanel-billing listener' AND datname = current_database()"""
    )
    asked = asyncio.create_task(ask(service, order["sessionId"], wait=25))
    await service.stripe.pay(order["url"])
    async with asyncio.timeout(20):
        assert (await asked)["status"] == "pending"


async def test_any_session_of_the_order_finds_it(service: Service, order_a: Any) -> None:
    order = await service.order(order_a)
    await service.pool.execute("UPDATE checkout_sessions SET status = 'failed', last_error = 'x'")
    later = await service.order(order_a)
    assert later["sessionId"] != order["sessionId"]
    for session_id in (order["sessionId"], later["sessionId"]):
        progress = await ask(service, session_id)
        assert progress["subscription"]["id"] == order["subscriptionId"]


async def test_an_order_resumed_by_its_recovery_link_is_followed(
    service: Service, order_a: Any
) -> None:
    order = await service.order(order_a)
    await service.order(order_a | {"planId": "premium"})
    await service.stripe.wait_idle()
    await service.stripe.set_delivery(hold=True)
    expired = await service.row(
        "SELECT recovery_url FROM checkout_sessions WHERE stripe_session_id = $1",
        order["sessionId"],
    )
    link = expired["recovery_url"]
    async with service.client.session.get(link, allow_redirects=False) as recovered:
        page = recovered.headers["Location"]
    paid = await service.stripe.pay(page)
    assert paid.location is not None
    session_id = paid.location.rpartition("=")[2]
    assert session_id != order["sessionId"]
    progress = await ask(service, session_id)
    assert progress["subscription"]["id"] == order["subscriptionId"]
    assert progress["status"] == "pending"


async def test_an_unknown_session_is_not_found(service: Service) -> None:
    for session_id in ("cs_test_unknown", "%00", "a" * 300):
        response = await service.client.get(f"/api/checkout/session/{session_id}")
        assert response.status == 404
        assert (await response.json())["code"] == "not_found"


async def test_a_wait_that_is_too_long_is_refused(service: Service) -> None:
    for wait in ("26", "-1", "1.5", "soon", "٣"):
        response = await service.client.get("/api/checkout/session/cs_1", params={"wait": wait})
        assert response.status == 422
        assert "wait" in (await response.json())["fields"]
