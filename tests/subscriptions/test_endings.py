"""How subscriptions end with their unused time given back, and how trials are changed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.key import Limits
from mpanel_billing.access.keys import create_key
from tests.access.conftest import bearer
from tests.commands import run_command
from tests.subscriptions.conftest import GOOD_CARD, NO_FUNDS_LATER, Backend

DAY = 86_400


async def after_days(backend: Backend, days: int) -> None:
    now = await backend.service.stripe.now()
    await backend.service.stripe.advance_time(now + days * DAY)


async def balance(backend: Backend, id_: str) -> int:
    _, customer = await backend.stripe_ids(id_)
    return int((await backend.worker.gateway.client.v1.customers.retrieve_async(customer)).balance)


async def test_unused_time_is_refunded_as_previewed_and_the_subscription_ends(
    backend: Backend, bought: str
) -> None:
    await after_days(backend, 15)
    path = f"subscriptions/{bought}"
    preview = await backend.done(f"{path}/preview-end")
    (invoice,) = await backend.invoices(bought)
    unused = invoice["amountPaid"] - await backend.worth(15, invoice["amountPaid"])
    assert unused - 30 < preview["refunded"] < unused + 30
    assert preview["credited"] == 0
    wanted = {"at": preview["at"], "reason": "moves away", "feedback": "switched_service"}
    body = await backend.done(f"{path}/end", wanted, "end")
    assert body["subscription"]["status"] == "cancelled"
    again = await backend.done(f"{path}/end", wanted, "end")
    assert again["subscription"]["status"] == "cancelled"
    await backend.worker.catch_up()
    (after,) = await backend.invoices(bought)
    assert after["amountRefunded"] == preview["refunded"]
    assert await balance(backend, bought) == 0
    stripe_id, _ = await backend.stripe_ids(bought)
    v1 = backend.worker.gateway.client.v1
    details = (await v1.subscriptions.retrieve_async(stripe_id)).cancellation_details
    assert details is not None
    assert (details.comment, details.feedback) == ("moves away", "switched_service")
    assert await backend.audit() == [
        ("subscription.cancel", "done"),
        ("invoice.refund", "done"),
    ]


async def test_unused_time_is_credited_to_the_balance(backend: Backend, bought: str) -> None:
    await after_days(backend, 15)
    path = f"subscriptions/{bought}"
    preview = await backend.done(f"{path}/preview-end", {"unusedTime": "credit"})
    assert (preview["refunded"], preview["credited"] > 0) == (0, True)
    await backend.done(f"{path}/end", {"unusedTime": "credit", "at": preview["at"]})
    assert await balance(backend, bought) == -preview["credited"]


async def test_what_was_credited_cannot_be_refunded_too(backend: Backend, bought: str) -> None:
    await after_days(backend, 15)
    (invoice,) = await backend.invoices(bought)
    await backend.done(f"subscriptions/{bought}/end", {"unusedTime": "credit"})
    await backend.done(f"invoices/{invoice['id']}/refund", {})
    await backend.worker.catch_up()
    (after,) = await backend.invoices(bought)
    assert after["amountCredited"] == -await balance(backend, bought) > 0
    assert after["amountRefunded"] + after["amountCredited"] == invoice["amountPaid"]


@pytest.mark.parametrize("key", ["end", None, "other"])
async def test_a_repeat_after_a_failed_cancellation_credits_once(
    backend: Backend, bought: str, key: str | None
) -> None:
    await after_days(backend, 15)
    path = f"subscriptions/{bought}"
    preview = await backend.done(f"{path}/preview-end", {"unusedTime": "credit"})
    await backend.service.stripe.inject_fault(
        method="DELETE", path="/v1/subscriptions", kind="status", status=500, times=3
    )
    wanted = {"unusedTime": "credit", "at": preview["at"]}
    assert (await backend.post(f"{path}/end", wanted, "end")).status == 503
    await backend.done(f"{path}/end", wanted, key)
    assert await balance(backend, bought) == -preview["credited"]


async def test_what_a_pause_credits_is_not_given_back_too(backend: Backend, bought: str) -> None:
    await after_days(backend, 10)
    await backend.done(f"subscriptions/{bought}/pause")
    for verb in ("preview-end", "end"):
        refused = await backend.post(f"subscriptions/{bought}/{verb}")
        assert (refused.status, refused.body["code"]) == (409, "subscription_paused")


async def test_an_order_that_is_not_paid_is_neither_ended_nor_paused(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    order = await backend.service.order(order_a)
    for verb in ("preview-end", "end", "preview-pause", "pause"):
        refused = await backend.post(f"subscriptions/{order['subscriptionId']}/{verb}")
        assert (refused.status, refused.body["code"]) == (409, "not_paid")


async def test_what_was_given_back_is_not_given_back_again(backend: Backend, bought: str) -> None:
    (invoice,) = await backend.invoices(bought)
    await backend.done(f"invoices/{invoice['id']}/refund", {})
    path = f"subscriptions/{bought}"
    preview = await backend.done(f"{path}/preview-end")
    assert (preview["refunded"], preview["credited"]) == (0, 0)
    body = await backend.done(f"{path}/end")
    assert body["subscription"]["status"] == "cancelled"


async def test_the_amounts_of_a_preview_hold_for_a_quarter_of_an_hour(
    backend: Backend, bought: str
) -> None:
    await after_days(backend, 1)
    now = datetime.fromtimestamp(await backend.service.stripe.now(), UTC)
    for at in (now - timedelta(hours=1), now + timedelta(hours=1)):
        refused = await backend.post(f"subscriptions/{bought}/end", {"at": at.isoformat()})
        assert (refused.status, refused.body["code"]) == (409, "preview_outdated")


async def test_what_is_owed_is_settled_before(backend: Backend, bought: str) -> None:
    await backend.give_card(bought, NO_FUNDS_LATER)
    await after_days(backend, 32)
    await backend.worker.catch_up()
    for verb in ("preview-end", "end"):
        refused = await backend.post(f"subscriptions/{bought}/{verb}")
        assert (refused.status, refused.body["code"]) == (409, "unpaid_invoice")


async def test_a_refund_that_is_refused_ends_nothing(backend: Backend, bought: str) -> None:
    await backend.service.stripe.inject_fault(
        method="POST", path="/v1/refunds", kind="status", status=400, times=1
    )
    assert (await backend.post(f"subscriptions/{bought}/end", {}, "end")).status == 502
    assert (await backend.subscription(bought))["status"] == "active"
    assert (await backend.done(f"subscriptions/{bought}/end", {}, "end"))["changed"]


@pytest.mark.parametrize("since", ["refund", "dispute"])
async def test_what_was_taken_back_since_a_preview_ends_nothing(
    backend: Backend, bought: str, since: str
) -> None:
    path = f"subscriptions/{bought}"
    (invoice,) = await backend.invoices(bought)
    shown = await shown_by(backend, path)
    if since == "refund":
        await backend.done(f"invoices/{invoice['id']}/refund", {"amount": 500})
    else:
        charge = await backend.service.pool.fetchval("SELECT stripe_charge_id FROM stripe_charges")
        await backend.service.stripe.dispute(charge)
    before = await refunded_of(backend, bought)
    for wanted in (shown, {"refunded": shown["refunded"]}, shown | {"refunded": 0, "credited": 1}):
        refused = await backend.post(f"{path}/end", wanted)
        assert (refused.status, refused.body["code"]) == (409, "preview_outdated")
    assert await refunded_of(backend, bought) == before
    assert (await backend.subscription(bought))["status"] == "active"


async def shown_by(backend: Backend, path: str) -> dict[str, Any]:
    preview = await backend.done(f"{path}/preview-end")
    return {name: preview[name] for name in ("at", "refunded", "credited")}


@pytest.fixture
async def twice_paid(backend: Backend, bought: str) -> str:
    """A subscription whose running term has two paid invoices."""
    wanted = {"planId": "business", "billingCycle": "monthly"}
    await backend.done(f"subscriptions/{bought}/change-plan", wanted)
    await backend.worker.catch_up()
    return bought


async def refunded_of(backend: Backend, id_: str) -> int:
    await backend.worker.catch_up()
    return sum(one["amountRefunded"] for one in await backend.invoices(id_))


async def test_a_part_that_stripe_refuses_is_given_back_by_a_repeat(
    backend: Backend, twice_paid: str
) -> None:
    path = f"subscriptions/{twice_paid}"
    shown = await shown_by(backend, path)
    first = await backend.service.pool.fetchval(
        "SELECT stripe_invoice_id FROM invoices ORDER BY stripe_created, amount_due DESC LIMIT 1"
    )
    await backend.service.stripe.inject_fault(
        method="GET", path=f"/v1/invoices/{first}", kind="status", status=400, times=1
    )
    refused = await backend.post(f"{path}/end", shown, "end")
    assert refused.status == 502
    assert "$2.00 were refunded and $0.00 credited" in refused.body["error"]
    assert await refunded_of(backend, twice_paid) == 200
    assert (await backend.subscription(twice_paid))["status"] == "active"
    other = await backend.post(f"{path}/end", shown, "other")
    assert (other.status, other.body["code"]) == (409, "preview_outdated")
    await backend.done(f"{path}/end", shown, "end")
    assert await refunded_of(backend, twice_paid) == shown["refunded"]


async def test_a_preview_after_a_part_promises_the_rest(backend: Backend, twice_paid: str) -> None:
    path = f"subscriptions/{twice_paid}"
    await backend.service.stripe.inject_fault(
        method="DELETE", path="/v1/subscriptions", kind="status", status=400, times=1
    )
    shown = await shown_by(backend, path)
    refused = await backend.post(f"{path}/end", shown)
    assert (refused.status, "goes on with the rest" in refused.body["error"]) == (502, True)
    rest = await shown_by(backend, path)
    assert rest["refunded"] == 0
    await backend.done(f"{path}/end", rest)
    assert await refunded_of(backend, twice_paid) == shown["refunded"]


async def test_what_a_key_may_not_refund_in_all_is_not_refunded_in_part(
    backend: Backend, twice_paid: str
) -> None:
    made = await create_key(
        backend.service.pool,
        Actor("test"),
        name="desk",
        scopes=("billing",),
        limits=Limits(refunds_per_day=300),
    )
    async with backend.service.client.post(
        f"/api/billing/subscriptions/{twice_paid}/end", headers=bearer(made.text)
    ) as response:
        assert (response.status, (await response.json())["code"]) == (429, "refund_ceiling_reached")
    assert await refunded_of(backend, twice_paid) == 0
    used = await backend.service.pool.fetchval(
        "SELECT sum(used) FROM billing_key_usage WHERE measure = 'refunds:usd'"
    )
    assert not used
    assert (await backend.subscription(twice_paid))["status"] == "active"


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/refunds"), ("DELETE", "/v1/sub")])
async def test_a_lost_response_gives_back_once(
    backend: Backend, bought: str, method: str, path: str, fault: dict[str, Any]
) -> None:
    await after_days(backend, 15)
    await backend.service.stripe.inject_fault(
        method=method, path=path, after_work=True, times=3, **fault
    )
    lost = await backend.post(f"subscriptions/{bought}/end", {}, "end")
    body = lost.body
    if lost.status != 200:
        body = await backend.done(f"subscriptions/{bought}/end", {}, "end")
    assert body["subscription"]["status"] == "cancelled"
    await backend.worker.catch_up()
    (invoice,) = await backend.invoices(bought)
    assert 0 < invoice["amountRefunded"] < invoice["amountPaid"] // 2 + 30
    refunds = "SELECT count(*) FROM stripe_refunds"
    assert await backend.service.pool.fetchval(refunds) == 1


async def test_a_cancellation_keeps_feedback(backend: Backend, bought: str) -> None:
    await backend.done(f"subscriptions/{bought}/cancel", {"feedback": "too_complex"})
    stripe_id, _ = await backend.stripe_ids(bought)
    v1 = backend.worker.gateway.client.v1
    details = (await v1.subscriptions.retrieve_async(stripe_id)).cancellation_details
    assert details is not None
    assert details.feedback == "too_complex"
    refused = await backend.post(f"subscriptions/{bought}/cancel", {"feedback": "dull"})
    assert refused.status == 422


@pytest.fixture
async def on_trial(backend: Backend, order_a: dict[str, Any]) -> str:
    order = await backend.service.buy(order_a | {"trialActive": True})
    await backend.worker.catch_up()
    return str(order["subscriptionId"])


async def test_a_trial_is_extended(backend: Backend, on_trial: str) -> None:
    path = f"subscriptions/{on_trial}"
    end = datetime.fromisoformat((await backend.subscription(on_trial))["trialEnd"])
    wanted = {"endsAt": (end + timedelta(days=10)).isoformat(), "reason": "it was agreed"}
    preview = await backend.done(f"{path}/preview-trial", {"endsAt": wanted["endsAt"]})
    assert preview["dueNow"] == 0
    body = await backend.done(f"{path}/trial", wanted)
    assert datetime.fromisoformat(body["subscription"]["trialEnd"]) == end + timedelta(days=10)
    assert not (await backend.done(f"{path}/trial", wanted))["changed"]
    earlier = {"endsAt": end.isoformat(), "reason": "it was agreed"}
    refused = await backend.post(f"{path}/trial", earlier)
    assert (refused.status, refused.body["code"]) == (409, "trial_only_extended")
    assert await backend.audit() == [("subscription.trial", "done")]


async def test_a_trial_is_ended_and_charged_as_previewed(backend: Backend, on_trial: str) -> None:
    path = f"subscriptions/{on_trial}"
    preview = await backend.done(f"{path}/preview-trial")
    body = await backend.done(f"{path}/trial", {"reason": "starts now"}, "now")
    assert body["subscription"]["stripeStatus"] == "active"
    await backend.done(f"{path}/trial", {"reason": "starts now"}, "now")
    await backend.worker.catch_up()
    # the invoice of the trial is of the same second here, so either may be the newer one
    paid = sorted(each["amountPaid"] for each in await backend.invoices(on_trial))
    assert paid == [0, preview["dueNow"]]
    assert preview["dueNow"] > 0
    refused = await backend.post(f"{path}/trial", {"reason": "again"})
    assert (refused.status, refused.body["code"]) == (409, "not_in_trial")


async def test_a_trial_whose_charge_fails_goes_on(backend: Backend, on_trial: str) -> None:
    await backend.give_card(on_trial, NO_FUNDS_LATER)
    refused = await backend.post(f"subscriptions/{on_trial}/trial", {"reason": "starts now"})
    assert refused.status == 402
    assert (await backend.subscription(on_trial))["stripeStatus"] == "trialing"


async def test_a_refused_end_of_a_trial_is_not_done_when_the_trial_is_over(
    backend: Backend, on_trial: str
) -> None:
    path = f"subscriptions/{on_trial}/trial"
    await backend.give_card(on_trial, NO_FUNDS_LATER)
    assert (await backend.post(path, {"reason": "starts now"}, "refused")).status == 402
    await backend.give_card(on_trial, GOOD_CARD)
    await backend.done(path, {"reason": "has a new card"}, "new-card")
    again = await backend.post(path, {"reason": "starts now"}, "refused")
    assert (again.status, again.body["code"]) == (409, "not_in_trial")


async def test_support_ends_subscriptions_and_trials_by_command(
    backend: Backend, bought: str
) -> None:
    settings = backend.service.settings
    url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)

    async def run(*words: str) -> str:
        ended = await run_command(url, *words, stripe_url=stripe_url)
        assert ended.status == 0, ended.err
        return ended.out

    assert "is active" in await run("cancel", bought, "--reason", "asked by phone")
    assert (await backend.subscription(bought))["willEnd"]
    assert "refunded: $" in await run("end", bought, "--reason", "asked", "--preview")
    assert "is canceled" in await run("end", bought, "--reason", "asked by phone")
    failed = await run_command(url, "trial", bought, "--reason", "x", stripe_url=stripe_url)
    assert failed.err == "mpanel-billing: This subscription has ended.\n"
