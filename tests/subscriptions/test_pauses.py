"""A paused subscription is not billed, and what is not paid for is not served."""

from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.provisioning.operations import list_timeline
from mpanel_billing.subscriptions.pauses import place_pause, turn_pauses
from mpanel_billing.worker.sweep import sweep
from stripe_sandbox import Choices
from tests.commands import run_command
from tests.subscriptions.conftest import GOOD_CARD, NO_FUNDS_LATER, Backend

DAY = 86_400
TROUBLES = "SELECT trouble FROM billing_trouble"


async def go_on(backend: Backend, to: int) -> None:
    """Move Stripe's clock, and do everything that is due."""
    await backend.service.stripe.advance_time(to)
    await backend.worker.catch_up()
    await sweep(backend.service.pool)
    await backend.worker.catch_up()


async def services(backend: Backend) -> set[str]:
    rows = await backend.service.pool.fetch("SELECT actual FROM tenant_services")
    return {row["actual"] for row in rows}


def unix(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())


async def test_a_pause_credits_the_rest_of_the_term_and_a_resumption_charges_a_new_one(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}"
    now = await backend.service.stripe.now()
    used = await backend.worth(15, (await backend.subscription(bought))["amount"])
    await backend.service.stripe.advance_time(now + 15 * DAY)
    preview = await backend.done(f"{path}/preview-pause")
    assert (preview["way"], preview["creditsUnusedTime"]) == ("subscription", True)
    for verb in ("preview-pause", "pause"):  # nobody would resume it then
        until = datetime.fromtimestamp(now + 90 * DAY, UTC).isoformat()
        refused = await backend.post(f"{path}/{verb}", {"until": until})
        assert (refused.status, refused.body["code"]) == (409, "pause_takes_no_date")
    body = await backend.done(f"{path}/pause", {"reason": "no season"}, "pause")
    assert body["subscription"]["stripeStatus"] == "paused"
    assert body["subscription"]["nextCharge"] is None
    await backend.worker.catch_up()
    assert await services(backend) == {"suspended"}
    again = await backend.done(f"{path}/pause", {"reason": "no season"}, "pause")
    assert again["subscription"]["stripeStatus"] == "paused"
    assert not (await backend.done(f"{path}/pause"))["changed"]
    other = {"planId": "premium", "billingCycle": "monthly"}
    refused = await backend.post(f"{path}/preview-change", other)
    assert (refused.status, refused.body["code"]) == (409, "subscription_paused")

    await go_on(backend, now + 90 * DAY)
    assert len(await backend.invoices(bought)) == 1
    costs = await backend.done(f"{path}/preview-resume")
    assert sum(line["amount"] for line in costs["lines"]) == costs["dueNow"]
    back = await backend.done(f"{path}/resume", key="back")
    await backend.worker.catch_up()
    assert (await backend.invoices(bought))[0]["amountPaid"] == costs["dueNow"]
    refused = await backend.post(f"{path}/preview-resume")
    assert (refused.status, refused.body["code"]) == (409, "not_cancelled")
    assert back["subscription"]["stripeStatus"] == "active"
    assert await services(backend) == {"active"}
    newest = (await backend.invoices(bought))[0]
    assert used - 30 < newest["amountPaid"] < used + 30
    assert await backend.service.pool.fetch(TROUBLES) == []
    assert await backend.audit() == [
        ("subscription.pause", "done"),
        ("subscription.resume", "done"),
    ]
    details = "SELECT details #>> '{params,reason}' FROM billing_audit_log ORDER BY id DESC LIMIT 2"
    assert [row[0] for row in await backend.service.pool.fetch(details)] == [None, "no season"]


@pytest.mark.parametrize("choices", [Choices(plain_resume="waits")], ids=["waits"])
@pytest.mark.parametrize(
    ("card", "status"), [(GOOD_CARD, "active"), (NO_FUNDS_LATER, "past_due")], ids=["good", "bad"]
)
async def test_where_stripe_waits_for_an_attempt_to_collect_a_resumption_it_is_made(
    backend: Backend, bought: str, card: str, status: str
) -> None:
    path = f"subscriptions/{bought}"
    await backend.service.stripe.advance_time(await backend.service.stripe.now() + 15 * DAY)
    await backend.done(f"{path}/pause")
    _, customer = await backend.stripe_ids(bought)
    await backend.service.stripe.replace_card(customer, card)
    assert (await backend.done(f"{path}/resume", key="back"))["changed"]
    await backend.worker.catch_up()
    assert (await backend.subscription(bought))["stripeStatus"] == status
    again = await backend.done(f"{path}/resume", key="back")
    assert again["subscription"]["stripeStatus"] == status
    paid = [bool(one["amountPaid"]) for one in await backend.invoices(bought)]
    assert paid == [status == "active", True]


async def test_what_was_given_back_is_not_credited_by_a_pause(
    backend: Backend, bought: str
) -> None:
    (invoice,) = await backend.invoices(bought)
    await backend.done(f"invoices/{invoice['id']}/refund", {"amount": 100})
    path = f"subscriptions/{bought}"
    assert not (await backend.done(f"{path}/preview-pause"))["creditsUnusedTime"]
    await backend.done(f"{path}/pause")
    back = await backend.done(f"{path}/resume")
    await backend.worker.catch_up()
    assert (await backend.invoices(bought))[0]["amountPaid"] == back["subscription"]["amount"]


@pytest.fixture
async def on_trial(backend: Backend, order_a: dict[str, Any]) -> str:
    order = await backend.service.buy(order_a | {"trialActive": True})
    await backend.worker.catch_up()
    return str(order["subscriptionId"])


async def test_a_trial_is_paused_to_a_date_and_the_unpaid_terms_are_not_served(
    backend: Backend, on_trial: str
) -> None:
    path = f"subscriptions/{on_trial}"
    refused = await backend.post(f"{path}/pause")
    assert (refused.status, refused.body["code"]) == (409, "pause_needs_date")
    end = unix((await backend.subscription(on_trial))["trialEnd"])
    until = datetime.fromtimestamp(end + 40 * DAY, UTC).isoformat()
    preview = await backend.done(f"{path}/preview-pause", {"until": until})
    assert (preview["way"], unix(preview["servedUntil"])) == ("collection", end)
    body = await backend.done(f"{path}/pause", {"until": until})
    assert unix(body["subscription"]["heldUntil"]) == end + 40 * DAY
    history = await list_timeline(backend.service.pool, UUID(on_trial))
    [held] = [entry for entry in history if entry.kind == "pause"]
    assert held.what == "a pause was set"
    assert until[:10] in (held.detail or "")
    await go_on(backend, end - DAY)
    assert await services(backend) == {"active"}
    await go_on(backend, end + 2 * 3600)
    assert await services(backend) == {"suspended"}
    await go_on(backend, end + 35 * DAY)
    assert await services(backend) == {"suspended"}
    assert {one["amountPaid"] for one in await backend.invoices(on_trial)} == {0}
    await go_on(backend, end + 45 * DAY)
    assert await services(backend) == {"suspended"}
    await go_on(backend, end + 63 * DAY)
    shown = await backend.subscription(on_trial)
    assert await services(backend) == {"active"}
    assert (shown["heldUntil"], shown["collectionPaused"]) == (None, False)
    assert (await backend.invoices(on_trial))[0]["amountPaid"] == shown["amount"]


async def test_a_resumed_collection_is_served_again_with_the_next_paid_term(
    backend: Backend, on_trial: str
) -> None:
    path = f"subscriptions/{on_trial}"
    end = unix((await backend.subscription(on_trial))["trialEnd"])
    until = datetime.fromtimestamp(end + 400 * DAY, UTC).isoformat()
    await backend.done(f"{path}/pause", {"until": until})
    await go_on(backend, end + 5 * DAY)
    body = await backend.done(f"{path}/resume")
    assert not body["subscription"]["collectionPaused"]
    assert body["subscription"]["heldUntil"] == body["subscription"]["currentPeriodEnd"]
    await go_on(backend, end + 6 * DAY)
    assert await services(backend) == {"suspended"}
    await go_on(backend, end + 33 * DAY)
    assert await services(backend) == {"active"}


@pytest.mark.parametrize("resumed", ["before its term", "in its term"])
async def test_a_term_that_is_paid_for_again_is_served_though_nobody_saw_it_begin(
    backend: Backend, on_trial: str, resumed: str
) -> None:
    """Resumed in Stripe's Dashboard while no worker ran; it was held until the term after."""
    end = unix((await backend.subscription(on_trial))["trialEnd"])
    until = datetime.fromtimestamp(end + 400 * DAY, UTC).isoformat()
    await backend.done(f"subscriptions/{on_trial}/pause", {"until": until})
    await go_on(backend, end + 5 * DAY)
    assert await services(backend) == {"suspended"}
    pool, stripe = backend.service.pool, backend.service.stripe
    await pool.execute("UPDATE billing_pauses SET created_at = now() - interval '1 hour'")
    if resumed == "in its term":
        await stripe.advance_time(end + 33 * DAY)
    stripe_id, _ = await backend.stripe_ids(on_trial)
    await backend.worker.gateway.client.v1.subscriptions.update_async(
        stripe_id, {"pause_collection": ""}
    )
    await go_on(backend, end + 34 * DAY)
    served = {"before its term": "active", "in its term": "suspended"}
    assert await services(backend) == {served[resumed]}
    paid = (await backend.invoices(on_trial))[0]["status"] == "paid"
    assert paid is (resumed == "before its term")
    await go_on(backend, end + 64 * DAY)
    assert await services(backend) == {"active"}


async def test_a_pause_that_is_taken_back_in_the_paid_term_changes_nothing(
    backend: Backend, on_trial: str
) -> None:
    path = f"subscriptions/{on_trial}"
    end = unix((await backend.subscription(on_trial))["trialEnd"])
    until = datetime.fromtimestamp(end + 40 * DAY, UTC).isoformat()
    await backend.done(f"{path}/pause", {"until": until})
    body = await backend.done(f"{path}/resume")
    assert body["subscription"]["heldUntil"] is None
    await go_on(backend, end + 2 * 3600)
    assert await services(backend) == {"active"}


async def test_who_resumes_at_the_first_moment_of_an_unpaid_term_is_not_served_for_nothing(
    backend: Backend, on_trial: str
) -> None:
    """The worker has not noticed yet that the term has begun, whose invoice is void."""
    path = f"subscriptions/{on_trial}"
    end = unix((await backend.subscription(on_trial))["trialEnd"])
    until = datetime.fromtimestamp(end + 40 * DAY, UTC).isoformat()
    await backend.done(f"{path}/pause", {"until": until})
    await backend.service.stripe.advance_time(end + 2 * 3600)
    await backend.service.stripe.wait_idle()
    body = await backend.done(f"{path}/resume")
    assert body["subscription"]["heldUntil"] == body["subscription"]["currentPeriodEnd"]
    await go_on(backend, end + 3 * 3600)
    assert await services(backend) == {"suspended"}
    await go_on(backend, end + 33 * DAY)
    assert await services(backend) == {"active"}


async def test_a_pause_waits_for_nothing_that_is_planned_or_owed(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}"
    less = {"planId": "starter", "billingCycle": "monthly", "addonIds": []}
    await backend.done(f"{path}/change-plan", less)
    refused = await backend.post(f"{path}/pause")
    assert (refused.status, refused.body["code"]) == (409, "change_planned")
    await backend.done(f"{path}/undo-change")
    await backend.give_card(bought, "4000000000000341")
    now = await backend.service.stripe.now()
    await go_on(backend, now + 32 * DAY)
    refused = await backend.post(f"{path}/pause")
    assert (refused.status, refused.body["code"]) == (409, "unpaid_invoice")


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])
async def test_a_pause_whose_response_is_lost_is_one_pause(
    backend: Backend, bought: str, fault: dict[str, Any]
) -> None:
    stripe_id, _ = await backend.stripe_ids(bought)
    await backend.service.stripe.inject_fault(
        method="POST", path=f"/v1/subscriptions/{stripe_id}", after_work=True, times=3, **fault
    )
    path = f"subscriptions/{bought}/pause"
    assert (await backend.post(path, {}, "pause")).status in {502, 503}
    body = await backend.done(path, {}, "pause")
    assert body["subscription"]["stripeStatus"] == "paused"
    await backend.worker.catch_up()
    assert await services(backend) == {"suspended"}


async def test_holds_that_are_not_due_do_not_keep_others_waiting(
    backend: Backend, bought: str, order_a: dict[str, Any]
) -> None:
    later = await backend.service.buy(order_a)
    await backend.worker.catch_up()
    hold = "INSERT INTO billing_pauses (subscription_id, since, until) VALUES ($1, $2, $3)"
    long_ago, far = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    pool = backend.service.pool
    await pool.execute(hold, UUID(bought), far, far)
    await pool.execute(hold, UUID(later["subscriptionId"]), long_ago, far)
    assert [await turn_pauses(pool, 1), await turn_pauses(pool, 1)] == [1, 0]


async def test_a_hold_that_is_asked_for_again_stands_until_stripe_has_heard_of_it(
    backend: Backend, bought: str
) -> None:
    """The first pause was resumed within its hold, which still stands."""
    pool, far = backend.service.pool, datetime(2100, 1, 1, tzinfo=UTC)
    await pool.execute(
        "INSERT INTO billing_pauses (subscription_id, since, until, created_at, begun_at)"
        " SELECT id, current_period_start, current_period_end, now() - interval '1 day', now()"
        " FROM subscriptions WHERE id::text = $1",
        bought,
    )
    span = {"since": unix("2026-01-01T00:00:00+00:00"), "until": int(far.timestamp())}
    await place_pause(pool, UUID(bought), span)
    await turn_pauses(pool, 10)
    assert await pool.fetchval("SELECT until FROM billing_pauses") == far


async def test_a_collection_that_stripe_does_not_pause_is_not_held(
    backend: Backend, on_trial: str
) -> None:
    stripe_id, _ = await backend.stripe_ids(on_trial)
    await backend.service.stripe.inject_fault(
        method="POST", path=f"/v1/subscriptions/{stripe_id}", kind="status", status=400, times=1
    )
    end = unix((await backend.subscription(on_trial))["trialEnd"])
    until = datetime.fromtimestamp(end + 40 * DAY, UTC).isoformat()
    assert (await backend.post(f"subscriptions/{on_trial}/pause", {"until": until})).status == 502
    assert (await backend.subscription(on_trial))["heldUntil"] is None


async def test_support_pauses_and_resumes_by_command(backend: Backend, bought: str) -> None:
    settings = backend.service.settings
    url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)

    async def run(*words: str) -> str:
        ended = await run_command(url, *words, stripe_url=stripe_url)
        assert ended.status == 0, ended.err
        return ended.out

    wanted = ("pause", bought, "--reason", "no season")
    assert await run(*wanted, "--preview") == "pauses the subscription; served until now\n"
    assert "is paused" in await run(*wanted)
    assert "reason: no season" in await run("timeline", bought)
    assert "is active" in await run("resume", bought)


@pytest.fixture
async def classic(backend: Backend, bought: str) -> str:
    """Starter, monthly, in Stripe's classic billing mode, in which only collection is paused."""
    pool, api = backend.service.pool, backend.worker.gateway.client.v1
    _, customer = await backend.stripe_ids(bought)
    card = await api.payment_methods.attach_async("pm_card_visa", {"customer": customer})
    await api.customers.update_async(
        customer, {"invoice_settings": {"default_payment_method": card.id}}
    )
    price = await pool.fetchval(
        "SELECT stripe_price_id FROM prices WHERE lookup_key = 'starter_monthly_usd'"
    )
    made = await api.subscriptions.create_async(
        {"customer": customer, "items": [{"price": price}], "billing_mode": {"type": "classic"}}
    )
    await backend.worker.catch_up()
    return str(
        await pool.fetchval(
            "SELECT id FROM subscriptions WHERE stripe_subscription_id = $1", made.id
        )
    )


@pytest.mark.parametrize("plan", [("premium", "monthly"), ("starter", "annually")])
async def test_nothing_is_changed_while_nobody_is_charged_for_it(
    backend: Backend, classic: str, plan: tuple[str, str]
) -> None:
    """Stripe voids the invoice of a change while collection is paused: it would be a gift."""
    path = f"subscriptions/{classic}"
    end = unix((await backend.subscription(classic))["currentPeriodEnd"])
    until = datetime.fromtimestamp(end + 40 * DAY, UTC).isoformat()
    await backend.done(f"{path}/pause", {"until": until})
    wanted = {"planId": plan[0], "billingCycle": plan[1]}
    for verb in ("preview-change", "change-plan"):
        refused = await backend.post(f"{path}/{verb}", wanted)
        assert (refused.status, refused.body["code"]) == (409, "subscription_paused")
    await go_on(backend, end + 5 * DAY)
    await backend.done(f"{path}/resume")
    refused = await backend.post(f"{path}/change-plan", wanted)
    assert (refused.status, refused.body["code"]) == (409, "subscription_paused")
    assert "once the next term has begun" in refused.body["error"]
    await go_on(backend, end + 33 * DAY)
    await backend.done(f"{path}/change-plan", wanted)


async def test_a_trial_whose_collection_is_paused_is_neither_ended_nor_extended(
    backend: Backend, on_trial: str
) -> None:
    """Ended now, it would have a term whose invoice is void, before the hold begins."""
    path = f"subscriptions/{on_trial}"
    end = unix((await backend.subscription(on_trial))["trialEnd"])
    until = datetime.fromtimestamp(end + 40 * DAY, UTC).isoformat()
    await backend.done(f"{path}/pause", {"until": until})
    later = datetime.fromtimestamp(end + DAY, UTC).isoformat()
    for verb, ends_at in product(("preview-trial", "trial"), ({}, {"endsAt": later})):
        reason = {"reason": "asked"} if verb == "trial" else {}
        refused = await backend.post(f"{path}/{verb}", {**ends_at, **reason})
        assert (refused.status, refused.body["code"]) == (409, "subscription_paused")


async def test_what_was_ordered_with_a_trial_is_charged_with_the_first_term_after_a_pause(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    """Stripe voids the invoice at the end of the trial; a domain would be lost with it."""
    domain = {"mode": "register", "value": "ada-in-winter.com"}
    order = await backend.service.buy(order_a | {"trialActive": True, "domain": domain})
    await backend.worker.catch_up()
    id_ = str(order["subscriptionId"])
    end = unix((await backend.subscription(id_))["trialEnd"])
    until = datetime.fromtimestamp(end + 40 * DAY, UTC).isoformat()
    await backend.done(f"subscriptions/{id_}/pause", {"until": until})
    await backend.worker.catch_up()
    for later in (DAY, 45 * DAY, 63 * DAY):
        await go_on(backend, end + later)
    pool, shown = backend.service.pool, await backend.subscription(id_)
    charged = "SELECT sum(amount) FROM subscription_charges WHERE kind = 'one_time'"
    ordered = await pool.fetchval(charged)
    assert ordered > 0
    newest = (await backend.invoices(id_))[0]
    assert newest["amountPaid"] == shown["amount"] + ordered


async def test_a_collection_is_not_paused_while_a_charge_waits_for_its_next_invoice(
    backend: Backend, classic: str
) -> None:
    path = f"subscriptions/{classic}"
    added = await backend.done(
        f"{path}/charges", {"description": "Migration", "unitAmount": 4900}, "charge"
    )
    end = unix((await backend.subscription(classic))["currentPeriodEnd"])
    until = {"until": datetime.fromtimestamp(end + 40 * DAY, UTC).isoformat()}
    for verb in ("preview-pause", "pause"):
        refused = await backend.post(f"{path}/{verb}", until)
        assert (refused.status, refused.body["code"]) == (409, "charges_waiting")
    await backend.done(f"{path}/charges/{added['charge']['id']}/withdraw")
    assert (await backend.done(f"{path}/pause", until))["changed"]


WAITING = {"planId": "premium", "billingCycle": "monthly", "prorationBehavior": "create_prorations"}


async def sum_at_stripe(backend: Backend, id_: str) -> tuple[int, int]:
    """Return what was paid for a subscription, and its customer's balance, as Stripe says."""
    stripe_id, customer = await backend.stripe_ids(id_)
    v1 = backend.worker.gateway.client.v1
    paid = await v1.invoices.list_async({"subscription": stripe_id, "limit": 100})
    balance = (await v1.customers.retrieve_async(customer)).balance
    return sum(invoice.amount_paid for invoice in paid.data), int(balance or 0)


async def test_a_collection_is_not_paused_while_prorations_wait_for_its_next_invoice(
    backend: Backend, classic: str
) -> None:
    path, stripe = f"subscriptions/{classic}", backend.service.stripe
    await stripe.advance_time(await stripe.now() + 10 * DAY)
    await backend.done(f"{path}/change-plan", WAITING)
    await backend.worker.catch_up()
    end = unix((await backend.subscription(classic))["currentPeriodEnd"])
    until = {"until": datetime.fromtimestamp(end + 40 * DAY, UTC).isoformat()}
    for verb in ("preview-pause", "pause"):
        refused = await backend.post(f"{path}/{verb}", until)
        assert (refused.status, refused.body["code"]) == (409, "charges_waiting")
        assert "Pause after an invoice has billed what waits" in refused.body["error"]
    upcoming = (await backend.get(f"{path}/upcoming-invoice")).body["upcomingInvoice"]
    assert sum(line["proration"] for line in upcoming["lines"]) == 2
    await go_on(backend, end + 2 * 3600)
    billed = (await backend.invoices(classic))[0]
    assert billed["amountPaid"] == upcoming["amountDue"] > 0
    end = unix((await backend.subscription(classic))["currentPeriodEnd"])
    until = {"until": datetime.fromtimestamp(end + 10 * DAY, UTC).isoformat()}
    assert (await backend.done(f"{path}/pause", until))["changed"]
    before = await sum_at_stripe(backend, classic)
    await go_on(backend, end + 2 * DAY)
    assert await sum_at_stripe(backend, classic) == before, "nothing is charged of it"
    await backend.done(f"{path}/resume")
    await go_on(backend, end + 33 * DAY)
    amount = (await backend.subscription(classic))["amount"]
    assert await sum_at_stripe(backend, classic) == (before[0] + amount, before[1])


@pytest.mark.parametrize("made", ["of it", "of nothing"])
async def test_what_was_added_in_the_dashboard_waits_too(
    backend: Backend, classic: str, made: str
) -> None:
    stripe_id, customer = await backend.stripe_ids(classic)
    item: dict[str, Any] = {"customer": customer, "amount": 700, "currency": "usd"}
    of_it = {"subscription": stripe_id} if made == "of it" else {}
    await backend.worker.gateway.client.v1.invoice_items.create_async({**item, **of_it})
    end = unix((await backend.subscription(classic))["currentPeriodEnd"])
    until = {"until": datetime.fromtimestamp(end + 40 * DAY, UTC).isoformat()}
    refused = await backend.post(f"subscriptions/{classic}/pause", until)
    assert (refused.status, refused.body["code"]) == (409, "charges_waiting")
    assert "$7.00" in refused.body["error"]


@pytest.mark.parametrize("plan", ["premium", "starter"])
async def test_prorations_wait_through_a_pause_for_the_invoice_of_the_resumption(
    backend: Backend, order_a: dict[str, Any], plan: str
) -> None:
    """What is charged and credited of the term adds up to what was used of it."""
    small = plan == "premium"
    order = await backend.service.buy(order_a | {"planId": "starter" if small else "premium"})
    await backend.worker.catch_up()
    id_ = str(order["subscriptionId"])
    path, stripe = f"subscriptions/{id_}", backend.service.stripe
    bought = await backend.subscription(id_)
    first, start = bought["amount"], unix(bought["currentPeriodStart"])
    days = (unix(bought["currentPeriodEnd"]) - start) / DAY
    await stripe.advance_time(start + 10 * DAY)
    await backend.done(f"{path}/change-plan", WAITING | {"planId": plan, "when": "now"})
    await stripe.advance_time(start + 20 * DAY)
    await backend.worker.catch_up()
    assert (await backend.done(f"{path}/preview-pause"))["creditsUnusedTime"]
    await backend.done(f"{path}/pause")
    await go_on(backend, start + 50 * DAY)
    costs = await backend.done(f"{path}/preview-resume")
    assert sum(line["proration"] for line in costs["lines"]) >= 3
    assert sum(line["gross"] for line in costs["lines"]) == costs["total"]
    await backend.done(f"{path}/resume")
    await backend.worker.catch_up()
    then = (await backend.subscription(id_))["amount"]
    resumed = (await backend.invoices(id_))[0]
    assert (resumed["total"], resumed["amountPaid"]) == (costs["total"], costs["dueNow"])
    paid, balance = await sum_at_stripe(backend, id_)
    assert sum(one["amountPaid"] for one in await backend.invoices(id_)) == paid
    used = first * 10 / days + then * 10 / days + then
    assert abs(paid + balance - used) <= 5, (paid, balance, used)
    assert await backend.service.pool.fetch(TROUBLES) == []


async def test_a_collection_is_not_paused_while_the_running_term_is_unpaid(
    backend: Backend, classic: str
) -> None:
    path = f"subscriptions/{classic}"
    await backend.give_card(classic, NO_FUNDS_LATER)
    end = unix((await backend.subscription(classic))["currentPeriodEnd"])
    await go_on(backend, end + 2 * 3600)
    until = {"until": datetime.fromtimestamp(end + 60 * DAY, UTC).isoformat()}
    for verb in ("preview-pause", "pause"):
        refused = await backend.post(f"{path}/{verb}", until)
        assert (refused.status, refused.body["code"]) == (409, "unpaid_invoice")
