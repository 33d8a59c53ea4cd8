"""A change whose payment needs the customer waits for them, and the old plan runs on."""

from typing import Any

import pytest

from tests.commands import run_command
from tests.subscriptions.conftest import AUTHENTICATES, GOOD_CARD, NO_FUNDS_LATER, Backend

PREMIUM = {"planId": "premium", "billingCycle": "monthly"}
WAITING = PREMIUM | {"awaitConfirmation": True}
HOUR = 3600


def plan(shown: dict[str, Any]) -> str:
    return str(shown["planId"])


@pytest.mark.parametrize("card", [AUTHENTICATES, NO_FUNDS_LATER])
async def test_a_change_waits_and_is_made_once_it_is_paid(
    backend: Backend, bought: str, card: str
) -> None:
    path = f"subscriptions/{bought}"
    await backend.give_card(bought, card)
    refused = await backend.post(f"{path}/change-plan", PREMIUM)
    assert refused.status == 402
    preview = await backend.done(f"{path}/preview-change", PREMIUM)
    body = await backend.done(f"{path}/change-plan", WAITING, "up")
    waits = body["confirmation"]
    assert (body["changed"], plan(body["subscription"])) == (False, "starter")
    assert waits["amount"] == preview["dueNow"]
    assert waits["url"].startswith("http")
    await backend.worker.catch_up()
    shown = await backend.subscription(bought)
    assert (plan(shown), shown["stripeStatus"], shown["status"]) == ("starter", "active", "active")
    assert await backend.service.pool.fetch("SELECT * FROM billing_trouble") == []
    assert shown["pendingUpdate"] == {name: waits[name] for name in ("expiresAt", "url", "amount")}
    again = await backend.done(f"{path}/change-plan", WAITING, "up")
    assert again["confirmation"] == waits

    invoice = await backend.service.pool.fetchval(
        "SELECT stripe_invoice_id FROM invoices WHERE stripe_status = 'open'"
    )
    await backend.give_card(bought, GOOD_CARD)
    await backend.worker.gateway.client.v1.invoices.pay_async(invoice)
    await backend.worker.catch_up()
    shown = await backend.subscription(bought)
    assert (plan(shown), shown["status"]) == ("premium", "active")
    assert shown["pendingUpdate"] is None
    made = await backend.done(f"{path}/change-plan", WAITING, "up")
    assert (made["confirmation"], plan(made["subscription"])) == (None, "premium")
    assert made["changed"]


async def test_one_that_nobody_confirms_is_dropped_and_bars_no_other(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}"
    await backend.give_card(bought, AUTHENTICATES)
    await backend.done(f"{path}/change-plan", WAITING, "up")
    await backend.give_card(bought, GOOD_CARD)
    business = {"planId": "business", "billingCycle": "monthly"}
    preview = await backend.done(f"{path}/preview-change", business)
    assert preview["unpaid"] is None
    await backend.give_card(bought, AUTHENTICATES)
    now = await backend.service.stripe.now()
    await backend.service.stripe.advance_time(now + 24 * HOUR)
    await backend.worker.catch_up()
    assert plan(await backend.subscription(bought)) == "starter"
    assert all(one["status"] in {"paid", "void"} for one in await backend.invoices(bought))
    again = await backend.done(f"{path}/change-plan", WAITING, "up")
    assert (again["changed"], again["confirmation"]) == (False, None)
    await backend.give_card(bought, GOOD_CARD)
    assert plan((await backend.done(f"{path}/change-plan", PREMIUM))["subscription"]) == "premium"


@pytest.mark.parametrize("paid", [True, False])
async def test_what_became_of_it_shows_by_its_webhooks_in_any_order(
    backend: Backend, bought: str, paid: bool
) -> None:
    await backend.give_card(bought, AUTHENTICATES)
    stripe, v1 = backend.service.stripe, backend.worker.gateway.client.v1
    stripe_id, _ = await backend.stripe_ids(bought)
    await stripe.set_delivery(reorder=True)
    await backend.done(f"subscriptions/{bought}/change-plan", WAITING, "up")
    assert (await backend.subscription(bought))["pendingUpdate"]["expiresAt"]
    if paid:
        await backend.give_card(bought, GOOD_CARD)
        waiting = (await v1.subscriptions.retrieve_async(stripe_id)).latest_invoice
        await v1.invoices.pay_async(str(waiting))
    else:
        await stripe.advance_time(await stripe.now() + 24 * HOUR)
    await stripe.set_delivery(reorder=False)
    await backend.worker.catch_up()
    shown = await backend.subscription(bought)
    assert (plan(shown), shown["pendingUpdate"]) == ("premium" if paid else "starter", None)


async def test_what_can_be_paid_does_not_wait(backend: Backend, bought: str) -> None:
    body = await backend.done(f"subscriptions/{bought}/change-plan", WAITING)
    assert (body["changed"], body["confirmation"]) == (True, None)
    assert plan(body["subscription"]) == "premium"


async def test_support_gets_the_link_by_command(backend: Backend, bought: str) -> None:
    await backend.give_card(bought, AUTHENTICATES)
    settings = backend.service.settings
    ended = await run_command(
        settings.database_url.get_secret_value(),
        *("change", bought, "--plan", "premium", "--cycle", "monthly", "--await-confirmation"),
        stripe_url=str(settings.stripe_api_base),
    )
    assert (ended.status, "waits until" in ended.out) == (0, True), ended.err
    assert "http" in ended.out
