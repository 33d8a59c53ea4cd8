"""What pages say that will be charged, and what will come and go, is what happens."""

import re
from datetime import UTC, datetime
from typing import Any

from tests.console.conftest import Console, Ids, Shown
from tests.inline_worker import InlineWorker

DAY = 86_400


async def do(console: Console, path: str, query: str = "", **fields: str) -> Shown:
    """Open the page of an action, confirm it, and return what was shown."""
    shown = await console.open(f"{path}?{query}")
    done = await console.post(path, shown, **fields)
    assert done.status == 303, done.text
    return shown


async def test_what_a_trial_with_a_domain_charges_at_its_end_is_shown(
    console: Console, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    domain = {"mode": "new-or-transfer", "value": "graces.com"}
    customer = {"name": "Grace", "email": "grace@example.com"}
    bought = await console.service.buy(
        order_a | {"trialActive": True, "domain": domain, "customer": customer}
    )
    await worker.catch_up()
    page = f"/console/subscriptions/{bought['subscriptionId']}"
    foreseen = await console.open(f"{page}/next-invoice")
    due = re.findall(r'<span id="due">(\S+)', foreseen.html)[0]
    assert "graces.com" in foreseen.text
    assert f"Charged when it ends: {due}" in (await console.open(f"{page}/trial")).text
    stripe = console.service.stripe
    await stripe.advance_time(await stripe.now() + 40 * DAY)
    await worker.catch_up()
    paid = await console.service.pool.fetchval(
        "SELECT max(amount_paid) FROM invoices WHERE subscription_id::text = $1",
        bought["subscriptionId"],
    )
    assert due == f"${paid / 100:.2f}"
    assert "before taxes, one-off charges" in (await console.open("/console/trials")).text


async def test_one_off_charges_and_the_balance_are_in_the_next_invoice_and_nowhere_by_halves(
    console: Console, ids: Ids
) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    await do(console, f"{page}/charge", "description=Migration&amount=50")
    asked = "move=add&amount=5&currency=usd&reason=an+outage"
    await do(console, f"/console/customers/{ids.customer}/balance", asked)
    await console.service.stripe.wait_idle()
    shown = await console.open(page)
    assert "$12.98 before taxes, one-off charges and the balance" in shown.text
    assert f"{page}/next-invoice" in shown.links
    customer = await console.open(f"/console/customers/{ids.customer}")
    assert "then $12.98" in customer.text
    assert "before taxes, one-off charges and the balance" in customer.text
    foreseen = await console.open(f"{page}/next-invoice")
    assert "Migration" in foreseen.text
    for row in ("Total, with taxes $62.98", "The customer's balance -$5.00", "Due $57.98"):
        assert row in foreseen.text
    german = await console.open(f"{page}/next-invoice", **{"Accept-Language": "de"})
    assert "Das Guthaben des Kunden" in german.text
    again = await console.open(f"{page}/charge?description=Help&amount=1")
    assert "The next invoice comes to $58.98" in again.text
    assert "The customer's balance -$5.00" in again.text


async def test_nothing_is_said_to_be_charged_that_does_not_renew(
    console: Console, ids: Ids
) -> None:
    page, customer = (
        f"/console/subscriptions/{ids.subscription}",
        f"/console/customers/{ids.customer}",
    )
    assert "then $12.98" in (await console.open(customer)).text

    async def says_none() -> bool:
        charge = "SELECT next_charge FROM billing_overview WHERE subscription_id::text = $1"
        assert await console.service.pool.fetchval(charge, ids.subscription) is None
        return "then $" not in (await console.open(customer)).text

    await do(console, f"{page}/cancel", ends="period_end")
    assert await says_none()
    await do(console, f"{page}/resume")
    await do(console, f"{page}/pause")
    assert await says_none()
    await do(console, f"{page}/cancel", ends="now")
    assert await says_none()
    empty = await console.open(f"{page}/next-invoice")
    assert (empty.status, "None is to come." in empty.text) == (200, True)


async def test_a_change_of_plan_says_which_services_come_and_go_and_when(
    console: Console, ids: Ids, worker: InlineWorker
) -> None:
    page = f"/console/subscriptions/{ids.subscription}/plan"
    same = await console.open(f"{page}?plan=starter:monthly")
    assert "nothing changes" in same.text
    assert "at once" not in same.text
    shown = await do(console, page, "plan=business:monthly", plan="business:monthly")
    assert "These services come: email" in shown.text
    assert "Change it now" in shown.text
    assert "These services go" not in shown.text
    await worker.catch_up()
    less = await console.open(f"{page}?plan=starter:monthly")
    days = console.service.settings.retention_days
    assert f"These services go: email. They are suspended with the change, and deleted {days}" in (
        less.text
    )
    assert "Change it at the end of the term" in less.text
    assert "Change it now" not in less.text


async def test_a_planned_change_is_what_is_charged_next(console: Console, ids: Ids) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    await do(console, f"{page}/plan", "plan=business:monthly", plan="business:monthly")
    await do(console, f"{page}/plan", "plan=starter:monthly", plan="starter:monthly")
    assert "$12.98 before taxes" in (await console.open(page)).text
    assert "then $12.98" in (await console.open(f"/console/customers/{ids.customer}")).text


async def test_the_lines_of_a_preview_add_up_to_what_is_due(console: Console, ids: Ids) -> None:
    asked = "move=add&amount=5&currency=usd&reason=an+outage"
    await do(console, f"/console/customers/{ids.customer}/balance", asked)
    page = f"/console/subscriptions/{ids.subscription}/plan"
    shown = await console.open(f"{page}?plan=premium:annually")
    cells = re.findall(r'<td class="number">([^<]*)</td></tr>', shown.html)
    amounts = [round(float(re.sub("[$,]", "", one)) * 100) for one in cells]
    assert "The customer's balance -$5.00" in shown.text
    assert sum(amounts[:-1]) == amounts[-1]
    assert f"Charged now: ${amounts[-1] / 100:,.2f}" in shown.text


async def test_a_resumption_says_when_the_term_ends_that_begins_with_it(
    console: Console, ids: Ids
) -> None:
    page, stripe = f"/console/subscriptions/{ids.subscription}", console.service.stripe
    await do(console, f"{page}/pause")
    await stripe.advance_time(await stripe.now() + 3 * DAY)
    shown = await do(console, f"{page}/resume")
    await stripe.wait_idle()
    end = await console.service.pool.fetchval("SELECT current_period_end FROM subscriptions")
    assert f'datetime="{end.astimezone(UTC):%Y-%m-%dT%H:%M}' in shown.html
    assert end > datetime.fromtimestamp(await stripe.now(), UTC)


async def test_money_back_says_what_the_subscription_is_left_as(console: Console, ids: Ids) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    ways = [
        f"/console/invoices/{ids.invoice}/{one}" for one in ("refund?amount=1", "credit?amount=1")
    ]

    async def say(text: str) -> None:
        for way in ways:
            assert text in (await console.open(way)).text

    await say("The subscription goes on.")
    await do(console, f"{page}/cancel", ends="period_end")
    await say("The subscription ends as it would anyway:")
    await do(console, f"{page}/resume")
    await do(console, f"{page}/pause")
    await say("The subscription stays paused.")
    await do(console, f"{page}/cancel", ends="now")
    await say("The subscription has ended before.")
