"""Orders that are never paid: what they free, and how they are resumed."""

from typing import Any

import pytest

from tests.checkout.test_paid_twice import take_up
from tests.inline_worker import InlineWorker
from tests.service import CREATE_SESSION, Service

HOUR = 3600
TRIAL = {
    "trialActive": True,
    "domain": {"mode": "register", "value": "ada.com"},
    "couponCode": "WELCOME10",
}


async def abandon(service: Service, body: dict[str, Any]) -> dict[str, Any]:
    """Order, and let the day pass for which the payment page is open."""
    order = await service.order(body)
    await service.stripe.advance_time(await service.stripe.now() + 24 * HOUR)
    await service.stripe.wait_idle()
    return order


async def test_an_order_that_nobody_pays_expires_and_carries_its_recovery_link(
    service: Service, order_a: dict[str, Any]
) -> None:
    order = await abandon(service, order_a)
    row = await service.row(
        "SELECT s.status, x.status AS session, x.recovery_url FROM subscriptions AS s"
        " JOIN checkout_sessions AS x ON x.subscription_id = s.id"
    )
    assert (row["status"], row["session"]) == ("expired", "expired")
    assert row["recovery_url"].endswith(f"/c/recover/{order['sessionId']}")
    assert (await service.stripe.pay(order["url"])).status != 303


async def test_an_expired_order_frees_the_trial_and_the_domain_that_it_named(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    first = await abandon(service, order_a | TRIAL)
    second = await service.buy(order_a | TRIAL)
    assert second["subscriptionId"] != first["subscriptionId"]
    await worker.catch_up()
    tenant = await service.row("SELECT domain FROM tenants")
    assert tenant["domain"] == "ada.com"
    assert await service.pool.fetch("SELECT * FROM billing_trouble") == []


@pytest.mark.parametrize("known", [True, False], ids=["webhooks in time", "webhooks come late"])
async def test_an_order_resumed_by_its_recovery_link_is_honoured(
    service: Service, worker: InlineWorker, order_a: dict[str, Any], *, known: bool
) -> None:
    order = await abandon(service, order_a | TRIAL)
    page = await take_up(service, order["sessionId"])
    await service.stripe.set_delivery(hold=not known)
    paid = await service.stripe.pay(page)
    assert paid.status == 303
    assert paid.location is not None
    session_id = paid.location.rpartition("=")[2]
    response = await service.client.get(f"/api/checkout/session/{session_id}")
    assert (await response.json())["subscription"]["id"] == order["subscriptionId"]
    await service.stripe.release()
    await worker.catch_up()
    row = await service.row("SELECT * FROM subscriptions")
    assert (str(row["id"]), row["status"]) == (order["subscriptionId"], "active")
    assert row["checkout_session_id"] == session_id
    recovered = await service.row(
        "SELECT recovered_from FROM checkout_sessions WHERE stripe_session_id = $1", session_id
    )
    assert recovered["recovered_from"] == order["sessionId"]

    await service.stripe.advance_time(int(row["trial_end"].timestamp()) + 2 * HOUR)
    await worker.catch_up()
    charged = await service.pool.fetchval("SELECT sum(amount_paid) FROM invoices")
    assert charged == round((799 + 499 + 1299) * 0.9)


async def test_a_trial_that_was_resumed_is_the_only_one(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    order = await abandon(service, order_a | TRIAL)
    await service.stripe.pay(await take_up(service, order["sessionId"]))
    await worker.catch_up()
    elsewhere = order_a | TRIAL | {"domain": {"mode": "register", "value": "ada.org"}}
    response = await service.client.post(CREATE_SESSION, json=elsewhere)
    assert (await response.json())["code"] == "offer_unavailable"
