"""What is unpaid of the running term is paid before a change, or the change is refused."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from tests.subscriptions.conftest import NO_FUNDS_LATER, Backend

PREMIUM: dict[str, Any] = {"planId": "premium", "billingCycle": "monthly"}
LESS: dict[str, Any] = {
    "planId": "starter",
    "billingCycle": "monthly",
    "addonIds": [],
    "when": "now",
}
MONTH = 1298
"""A month of what was bought."""


async def renew(backend: Backend, id_: str, *, hours: float) -> None:
    """Let the next term begin, and time pass in it: in the first hour its invoice is a draft."""
    end = datetime.fromisoformat((await backend.subscription(id_))["currentPeriodEnd"])
    await backend.service.stripe.advance_time(int(end.timestamp() + hours * 3600))
    await backend.service.stripe.wait_idle()
    await backend.worker.catch_up()


@pytest.fixture
async def renewed(backend: Backend, bought: str) -> str:
    """A subscription in the first hour of its second term."""
    await renew(backend, bought, hours=0.2)
    return bought


@pytest.fixture
async def owing(backend: Backend, bought: str) -> str:
    """A subscription whose second term was declined."""
    await backend.give_card(bought, NO_FUNDS_LATER)
    await renew(backend, bought, hours=2)
    assert (await backend.subscription(bought))["stripeStatus"] == "past_due"
    return bought


async def refused(backend: Backend, id_: str, change: dict[str, Any], code: str) -> str:
    before = await backend.subscription(id_)
    response = await backend.post(f"subscriptions/{id_}/change-plan", change)
    assert (response.status, response.body["code"]) == (409, code), response.body
    assert await backend.subscription(id_) == before
    return str(response.body["error"])


@pytest.mark.parametrize("behavior", ["always_invoice", "create_prorations", "none"])
async def test_a_draft_of_the_first_hour_gives_no_credit(
    backend: Backend, renewed: str, behavior: str
) -> None:
    """7.97 were credited for a month that was never paid."""
    change = LESS | {"prorationBehavior": behavior}
    shown = await backend.done(f"subscriptions/{renewed}/preview-change", change)
    assert shown["unpaid"] == {"amount": MONTH, "currency": "usd", "processing": False}
    assert "12.98" in await refused(backend, renewed, change, "unpaid_invoice")
    token = {"previewToken": shown["previewToken"]}
    await refused(backend, renewed, token, "unpaid_invoice")
    assert await backend.audit() == []


async def test_a_debt_gives_no_credit_and_an_upgrade_does_not_hide_it(
    backend: Backend, owing: str
) -> None:
    """Paid for an upgrade, the subscription was active, with the debt open and no trouble."""
    await backend.give_card(owing, "4242424242424242")
    for change in (PREMIUM, LESS):
        await refused(backend, owing, change, "unpaid_invoice")
    assert (await backend.subscription(owing))["stripeStatus"] == "past_due"


async def test_leaving_without_credit_is_always_possible(backend: Backend, owing: str) -> None:
    left = await backend.done(f"subscriptions/{owing}/cancel")
    assert left["subscription"]["willEnd"]
    left = await backend.done(f"subscriptions/{owing}/cancel", {"atPeriodEnd": False})
    assert left["subscription"]["stripeStatus"] == "canceled"
    _, customer = await backend.stripe_ids(owing)
    api = backend.worker.gateway.client.v1.customers
    assert (await api.retrieve_async(customer)).balance == 0


async def test_what_is_unpaid_is_charged_first_and_the_change_as_previewed(
    backend: Backend, renewed: str
) -> None:
    shown = await backend.done(f"subscriptions/{renewed}/preview-change", PREMIUM)
    change = {"previewToken": shown["previewToken"], "payFirst": True}
    body = await backend.done(f"subscriptions/{renewed}/change-plan", change)
    assert body["subscription"]["planId"] == "premium"
    await backend.worker.catch_up()
    upgrade, renewal, _ = await backend.invoices(renewed)
    assert (renewal["status"], renewal["amountPaid"]) == ("paid", MONTH)
    assert (upgrade["status"], upgrade["amountPaid"]) == ("paid", shown["dueNow"])
    assert await backend.audit() == [
        ("subscription.pay_invoice", "done"),
        ("subscription.change_plan", "done"),
    ]


async def test_a_debt_that_is_paid_first_is_paid_and_the_subscription_active(
    backend: Backend, owing: str
) -> None:
    await backend.give_card(owing, "4242424242424242")
    body = await backend.done(f"subscriptions/{owing}/change-plan", LESS | {"payFirst": True})
    assert body["subscription"]["stripeStatus"] == "active"
    await backend.worker.catch_up()
    assert {one["status"] for one in await backend.invoices(owing)} == {"paid"}


@pytest.mark.parametrize("state", ["renewed", "owing"])
async def test_a_declined_payment_changes_nothing_and_is_tried_again_by_stripe(
    backend: Backend, request: pytest.FixtureRequest, bought: str, state: str
) -> None:
    await backend.give_card(bought, NO_FUNDS_LATER)
    await renew(backend, bought, hours=0.2 if state == "renewed" else 2)
    before = await backend.subscription(bought)
    path = f"subscriptions/{bought}/change-plan"
    response = await backend.post(path, PREMIUM | {"payFirst": True})
    assert (response.status, response.body["code"]) == (402, "card_declined")
    await backend.worker.catch_up()
    after = await backend.subscription(bought)
    assert (after["planId"], after["items"]) == (before["planId"], before["items"])
    owed = (await backend.invoices(bought))[0]
    assert owed["status"] == "open"
    assert owed["nextPaymentAttempt"] is not None
    assert await backend.audit() == [("subscription.pay_invoice", "failed")]


async def test_what_is_unpaid_is_charged_once_by_concurrent_requests(
    backend: Backend, renewed: str
) -> None:
    change = PREMIUM | {"payFirst": True}
    path = f"subscriptions/{renewed}/change-plan"
    responses = await asyncio.gather(*(backend.post(path, change) for _ in range(3)))
    assert {response.status for response in responses} <= {200, 409}
    assert 200 in {response.status for response in responses}
    await backend.worker.catch_up()
    invoices = await backend.invoices(renewed)
    assert [one["amountPaid"] for one in invoices][1:] == [MONTH, MONTH]
    assert len(invoices) == 3


async def test_nothing_is_charged_first_for_a_change_that_cannot_be_made(
    backend: Backend, renewed: str
) -> None:
    path = f"subscriptions/{renewed}/change-plan"
    for change, status in (({"planId": "x", "billingCycle": "monthly"}, 422), ({}, 422)):
        assert (await backend.post(path, change | {"payFirst": True})).status == status
    shown = await backend.done(f"subscriptions/{renewed}/preview-change", PREMIUM)
    await backend.done(f"subscriptions/{renewed}/cancel")
    token = {"previewToken": shown["previewToken"], "payFirst": True}
    await refused(backend, renewed, token, "preview_outdated")
    assert [one["amountPaid"] for one in await backend.invoices(renewed)] == [MONTH]


async def test_a_change_that_is_not_paid_is_owed_although_stripe_does_not_collect_it(
    backend: Backend, bought: str
) -> None:
    """It was taken for one that waits for its confirmation, and its time was credited."""
    stripe_id, _ = await backend.stripe_ids(bought)
    api = backend.worker.gateway.client.v1.subscriptions
    await api.update_async(stripe_id, {"collection_method": "send_invoice", "days_until_due": 30})
    await backend.done(f"subscriptions/{bought}/change-plan", PREMIUM)
    await backend.worker.catch_up()
    owed = (await backend.invoices(bought))[0]
    assert (owed["status"], owed["nextPaymentAttempt"]) == ("open", None)
    shown = await backend.done(f"subscriptions/{bought}/preview-change", LESS)
    assert shown["unpaid"]["amount"] == owed["amountRemaining"] > 0
    await refused(backend, bought, LESS, "unpaid_invoice")


async def test_a_payment_that_is_under_way_is_waited_for(backend: Backend, owing: str) -> None:
    world = backend.service.sandbox.world
    with world.store.transaction():
        (intent,) = [
            dict(one)
            for one in world.store.all("payment_intent")
            if one["status"] == "requires_payment_method"
        ]
        world.save({**intent, "status": "processing"})
    for pay_first in (False, True):
        change = PREMIUM | {"payFirst": pay_first}
        await refused(backend, owing, change, "payment_processing")
    shown = await backend.done(f"subscriptions/{owing}/preview-change", PREMIUM)
    assert shown["unpaid"]["processing"]
