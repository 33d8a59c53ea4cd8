"""Another plan, term or set of add-ons: as previewed, at once, or not at all."""

import asyncio
from typing import Any

import pytest

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from tests.subscriptions.conftest import AUTHENTICATES, GOOD_CARD, NO_FUNDS_LATER, Backend

PREMIUM: dict[str, Any] = {"planId": "premium", "billingCycle": "monthly"}
TEN_DAYS = 10 * 86_400


async def test_an_upgrade_charges_the_difference_and_shows_at_once(
    backend: Backend, bought: str
) -> None:
    await backend.service.stripe.set_delivery(hold=True)
    before = await backend.subscription(bought)
    body = await backend.done(f"subscriptions/{bought}/change-plan", PREMIUM)
    after = body["subscription"]
    assert body["changed"]
    assert (before["planId"], after["planId"]) == ("starter", "premium")
    assert after["amount"] == before["amount"] + 100
    assert [item["productId"] for item in after["items"]] == ["premium", "addon-backups-daily"]
    assert after["currentPeriodEnd"] == before["currentPeriodEnd"]
    await backend.service.stripe.release()
    await backend.worker.catch_up()
    charged = await backend.charged(bought)
    assert charged["status"] == "paid"
    assert 0 < charged["amountPaid"] <= 100


async def test_provisioning_and_the_order_on_record_follow_the_plan(
    backend: Backend, bought: str
) -> None:
    change = {"planId": "business", "billingCycle": "annually", "addonIds": []}
    await backend.done(f"subscriptions/{bought}/change-plan", change)
    await backend.worker.catch_up()
    log = await backend.service.pool.fetch(
        "SELECT action, product_type FROM provisioning_log WHERE action = 'change'"
    )
    assert {row["product_type"] for row in log} >= {"hosting"}
    row = await backend.service.row(
        "SELECT s.metadata, s.billing_cycle, p.code FROM subscriptions AS s"
        " JOIN products AS p ON p.id = s.product_id"
    )
    assert (row["code"], row["billing_cycle"]) == ("business", "annually")
    assert (
        row["metadata"]
        | {
            "planId": "business",
            "billingCycle": "annually",
            "addonIds": [],
            "domainMode": "later",
        }
        == row["metadata"]
    )


async def test_what_the_preview_says_is_what_is_charged(backend: Backend, bought: str) -> None:
    started = await backend.service.stripe.now()
    await backend.service.stripe.advance_time(started + TEN_DAYS)
    shown = await backend.done(f"subscriptions/{bought}/preview-change", PREMIUM)
    await backend.service.stripe.advance_time(started + TEN_DAYS + 3600)
    change = {"previewToken": shown["previewToken"]}
    await backend.done(f"subscriptions/{bought}/change-plan", change)
    await backend.worker.catch_up()
    charged = await backend.charged(bought)
    assert shown["dueNow"] == charged["amountPaid"] > 0
    assert sum(line["amount"] for line in shown["lines"]) == shown["dueNow"]
    assert all(line["proration"] for line in shown["lines"])
    after = await backend.subscription(bought)
    assert shown["recurring"] == after["amount"] == shown["nextCharge"]["amount"]
    assert shown["nextCharge"]["at"] == after["currentPeriodEnd"]


@pytest.mark.parametrize("behavior", ["always_invoice", "create_prorations"])
async def test_the_preview_has_the_setup_fee_of_what_is_new(
    backend: Backend, bought: str, behavior: str
) -> None:
    await _ask_for_setup(backend, "premium", 2500)
    change = PREMIUM | {"prorationBehavior": behavior}
    shown = await backend.done(f"subscriptions/{bought}/preview-change", change)
    await backend.done(f"subscriptions/{bought}/change-plan", change)
    await backend.worker.catch_up()
    if behavior == "always_invoice":
        assert shown["dueNow"] == (await backend.charged(bought))["amountPaid"] > 2500
        assert shown["nextCharge"]["amount"] == shown["recurring"]
    else:
        assert shown["dueNow"] == 0
        assert shown["nextCharge"]["amount"] > shown["recurring"] + 2500


async def _ask_for_setup(backend: Backend, plan: str, fee: int) -> None:
    """Sell a plan with a setup fee from now on."""
    sold = read_catalogue_file(DEFAULT_CATALOGUE)
    plans = [
        one.model_copy(update={"setup_fee": fee}) if one.code == plan else one for one in sold.plans
    ]
    await apply_catalogue(backend.service.pool, sold.model_copy(update={"plans": tuple(plans)}))
    shop = StripeCatalogue(backend.worker.gateway.client)
    await push_catalogue(backend.service.pool, shop, livemode=False)


async def test_a_preview_changes_nothing(backend: Backend, bought: str) -> None:
    before = await backend.subscription(bought)
    for behavior in ("always_invoice", "create_prorations", "none"):
        change = PREMIUM | {"prorationBehavior": behavior}
        assert (await backend.done(f"subscriptions/{bought}/preview-change", change))["changes"]
    await backend.worker.catch_up()
    assert await backend.subscription(bought) == before
    assert len(await backend.invoices(bought)) == 1
    assert await backend.audit() == []


async def test_another_term_begins_at_once_and_is_previewed_so(
    backend: Backend, bought: str
) -> None:
    change = {"planId": "starter", "billingCycle": "annually", "prorationBehavior": "none"}
    shown = await backend.done(f"subscriptions/{bought}/preview-change", change)
    body = await backend.done(f"subscriptions/{bought}/change-plan", change)
    await backend.worker.catch_up()
    charged = await backend.charged(bought)
    assert shown["dueNow"] == shown["recurring"] == charged["amountPaid"]
    assert body["subscription"]["billingCycle"] == "annually"
    assert body["subscription"]["amount"] == shown["recurring"]
    year_end = shown["nextCharge"]["at"]
    assert year_end[:10] == body["subscription"]["currentPeriodEnd"][:10]


async def test_a_downgrade_that_is_made_at_once_is_credited(backend: Backend, bought: str) -> None:
    change = {"planId": "starter", "billingCycle": "monthly", "addonIds": [], "when": "now"}
    shown = await backend.done(f"subscriptions/{bought}/preview-change", change)
    body = await backend.done(f"subscriptions/{bought}/change-plan", change)
    assert shown["dueNow"] == 0
    assert shown["credited"] > 0
    assert [item["productId"] for item in body["subscription"]["items"]] == ["starter"]
    renewal = shown["recurring"] - shown["credited"]
    assert shown["nextCharge"]["amount"] == max(renewal, 0)


async def test_the_difference_can_wait_for_the_next_invoice(backend: Backend, bought: str) -> None:
    change = PREMIUM | {"prorationBehavior": "create_prorations"}
    shown = await backend.done(f"subscriptions/{bought}/preview-change", change)
    await backend.done(f"subscriptions/{bought}/change-plan", change)
    await backend.worker.catch_up()
    assert shown["dueNow"] == 0
    assert shown["nextCharge"]["amount"] > shown["recurring"]
    assert len(await backend.invoices(bought)) == 1


async def test_a_change_of_what_is_going_to_end_can_be_previewed(
    backend: Backend, bought: str
) -> None:
    await backend.done(f"subscriptions/{bought}/cancel")
    for behavior in ("always_invoice", "create_prorations", "none"):
        change = PREMIUM | {"prorationBehavior": behavior}
        shown = await backend.done(f"subscriptions/{bought}/preview-change", change)
        assert (shown["nextCharge"] is not None) == (behavior == "create_prorations")
        assert (shown["dueNow"] > 0) == (behavior == "always_invoice")


@pytest.fixture
async def tried(backend: Backend, order_a: dict[str, Any]) -> str:
    """A subscription in its trial, with a domain that is charged after it."""
    domain = {"mode": "new-or-transfer", "value": "adalovelace.com"}
    change = order_a | {"trialActive": True, "addonIds": [], "domain": domain}
    order = await backend.service.buy(change)
    await backend.worker.catch_up()
    return str(order["subscriptionId"])


async def test_a_trial_goes_on_with_another_set_of_addons(backend: Backend, tried: str) -> None:
    change = {"planId": "starter", "billingCycle": "monthly", "addonIds": ["addon-backups-daily"]}
    before = await backend.subscription(tried)
    shown = await backend.done(f"subscriptions/{tried}/preview-change", change)
    body = await backend.done(f"subscriptions/{tried}/change-plan", change)
    assert shown["dueNow"] == 0
    assert shown["nextCharge"]["at"] == before["trialEnd"]
    assert shown["nextCharge"]["amount"] == shown["recurring"] + 1299
    assert body["subscription"]["stripeStatus"] == "trialing"
    assert body["subscription"]["trialEnd"] == before["trialEnd"]
    assert body["subscription"]["amount"] == shown["recurring"]


async def test_a_plan_without_a_trial_ends_the_one_that_runs(backend: Backend, tried: str) -> None:
    shown = await backend.done(f"subscriptions/{tried}/preview-change", PREMIUM)
    body = await backend.done(f"subscriptions/{tried}/change-plan", PREMIUM)
    await backend.worker.catch_up()
    assert shown["dueNow"] == 899 + 1299
    assert body["subscription"]["stripeStatus"] == "active"
    assert (await backend.charged(tried))["amountPaid"] == shown["dueNow"]
    month_end = body["subscription"]["currentPeriodEnd"]
    assert shown["nextCharge"]["amount"] == 899
    assert shown["nextCharge"]["at"][:10] == month_end[:10]


@pytest.mark.parametrize(
    ("card", "code"),
    [(NO_FUNDS_LATER, "card_declined"), (AUTHENTICATES, "authentication_required")],
)
async def test_an_upgrade_that_cannot_be_paid_changes_nothing(
    backend: Backend, bought: str, card: str, code: str
) -> None:
    before = await backend.subscription(bought)
    await backend.give_card(bought, card)
    response = await backend.post(f"subscriptions/{bought}/change-plan", PREMIUM)
    assert (response.status, response.body["code"]) == (402, code)
    await backend.worker.catch_up()
    assert await backend.subscription(bought) == before
    assert len(await backend.invoices(bought)) == 1
    await backend.give_card(bought, GOOD_CARD)
    again = await backend.done(f"subscriptions/{bought}/change-plan", PREMIUM)
    assert again["subscription"]["planId"] == "premium"
    assert await backend.audit() == [
        ("subscription.change_plan", "failed"),
        ("subscription.change_plan", "done"),
    ]


REFUSED = [
    ({"planId": "nonsense", "billingCycle": "monthly"}, "unknown_plan", "planId"),
    ({"planId": "starter", "billingCycle": "weekly"}, "unknown_cycle", "billingCycle"),
    (PREMIUM | {"addonIds": ["addon-nothing"]}, "unknown_addon", "addonIds"),
    ({"planId": "premium"}, "invalid_request", "billingCycle"),
    (PREMIUM | {"prorationBehavior": "sometimes"}, "invalid_request", "prorationBehavior"),
    (PREMIUM | {"customerId": "x"}, "invalid_request", "customerId"),
]


async def test_what_is_not_sold_is_refused_with_its_field(backend: Backend, bought: str) -> None:
    before = await backend.subscription(bought)
    for change, code, field in REFUSED:
        response = await backend.post(f"subscriptions/{bought}/change-plan", change)
        assert (response.status, response.body["code"]) == (422, code), response.body
        assert field in response.body["fields"]
    assert await backend.subscription(bought) == before
    assert await backend.audit() == []


async def test_the_same_change_again_changes_nothing(backend: Backend, bought: str) -> None:
    path = f"subscriptions/{bought}/change-plan"
    first = await backend.done(path, PREMIUM)
    second = await backend.done(path, PREMIUM)
    assert (first["changed"], second["changed"]) == (True, False)
    assert first["subscription"] == second["subscription"]
    assert await backend.audit() == [("subscription.change_plan", "done")]


async def test_of_two_concurrent_changes_one_is_made(backend: Backend, bought: str) -> None:
    path = f"subscriptions/{bought}/change-plan"
    changes = [PREMIUM, {"planId": "business", "billingCycle": "monthly"}]
    await backend.service.stripe.inject_fault(
        "hang", method="POST", path="/v1/subscriptions", seconds=1
    )
    responses = await asyncio.gather(*(backend.post(path, change) for change in changes))
    made, refused = sorted(responses, key=lambda response: response.status)
    assert (made.status, refused.status) == (200, 409)
    assert refused.body["code"] == "change_in_progress"
    assert int(refused.headers["Retry-After"]) > 0
    await backend.worker.catch_up()
    assert (await backend.subscription(bought))["planId"] == made.body["subscription"]["planId"]
    assert len(await backend.invoices(bought)) == 2


async def test_a_key_belongs_to_one_request(backend: Backend, bought: str) -> None:
    path = f"subscriptions/{bought}/change-plan"
    first = await backend.done(path, PREMIUM, "key-1")
    assert await backend.done(path, PREMIUM, "key-1") == first
    other = await backend.post(path, PREMIUM | {"planId": "business"}, "key-1")
    assert (other.status, other.body["code"]) == (409, "idempotency_key_reused")
    elsewhere = await backend.post(f"subscriptions/{bought}/cancel", {}, "key-1")
    assert elsewhere.status == 409
    assert (await backend.post(path, PREMIUM, "a key")).status == 400


async def test_a_key_used_for_two_changes_at_once_belongs_to_one_of_them(
    backend: Backend, bought: str, order_a: dict[str, Any]
) -> None:
    order = await backend.service.buy(order_a | {"planId": "premium"})
    await backend.worker.catch_up()
    ids = (bought, order["subscriptionId"])
    responses = await asyncio.gather(
        *(backend.post(f"subscriptions/{id_}/cancel", {}, "key-1") for id_ in ids)
    )
    assert sorted(response.status for response in responses) == [200, 409]


async def test_a_change_whose_response_was_lost_is_made_once(backend: Backend, bought: str) -> None:
    """Stripe has acted, but its response was lost: the same request finds that out."""
    path = f"subscriptions/{bought}/change-plan"
    await backend.service.stripe.inject_fault(
        "reset", method="POST", path="/v1/subscriptions", after_work=True, times=3
    )
    lost = await backend.post(path, PREMIUM)
    assert lost.status == 503
    assert int(lost.headers["Retry-After"]) > 0
    again = await backend.done(path, PREMIUM)
    assert again["changed"]
    assert again["subscription"]["planId"] == "premium"
    await backend.worker.catch_up()
    assert len(await backend.invoices(bought)) == 2
    assert await backend.audit() == [
        ("subscription.change_plan", "attempted"),
        ("subscription.change_plan", "done"),
    ]


async def test_a_crash_between_stripes_response_and_ours_is_healed_by_the_webhook(
    backend: Backend, bought: str
) -> None:
    await backend.service.stripe.inject_fault(
        "reset", method="POST", path="/v1/subscriptions", after_work=True, times=3
    )
    assert (await backend.post(f"subscriptions/{bought}/change-plan", PREMIUM)).status == 503
    await backend.worker.catch_up()
    assert (await backend.subscription(bought))["planId"] == "premium"
    metadata = await backend.service.pool.fetchval("SELECT metadata FROM subscriptions")
    assert metadata["planId"] == "premium"


async def test_a_process_that_crashed_during_the_call_does_not_block_others_for_long(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}/change-plan"
    await backend.service.stripe.inject_fault(
        "reset", method="POST", path="/v1/subscriptions", after_work=True, times=3
    )
    assert (await backend.post(path, PREMIUM)).status == 503
    asking = "UPDATE billing_changes SET state = 'asking', leased_until = now() + $1::interval"
    await backend.service.pool.execute(f"{asking.replace('$1', repr('1 minute'))}")
    assert (await backend.post(path, PREMIUM)).body["code"] == "change_in_progress"
    await backend.service.pool.execute(f"{asking.replace('$1', repr('-1 second'))}")
    assert (await backend.done(path, PREMIUM))["changed"]


async def test_a_change_that_failed_at_stripe_is_retried(backend: Backend, bought: str) -> None:
    path = f"subscriptions/{bought}/change-plan"
    await backend.service.stripe.inject_fault(
        "status", method="POST", path="/v1/subscriptions", status=500, times=3
    )
    assert (await backend.post(path, PREMIUM)).status == 503
    assert (await backend.done(path, PREMIUM))["subscription"]["planId"] == "premium"
    attempts = await backend.service.pool.fetch("SELECT attempt, state FROM billing_changes")
    assert [tuple(row) for row in attempts] == [(2, "done")]


async def test_a_customer_changes_to_a_free_plan_once(
    backend: Backend, bought: str, order_a: dict[str, Any]
) -> None:
    second = await backend.service.buy(order_a | {"planId": "business"})
    await backend.worker.catch_up()
    ids = [bought, str(second["subscriptionId"])]
    free = {"planId": "student", "billingCycle": "monthly", "addonIds": [], "when": "now"}
    responses = await asyncio.gather(
        *(backend.post(f"subscriptions/{id_}/change-plan", free) for id_ in ids)
    )
    assert sorted(response.status for response in responses) == [200, 409]
    (refused,) = [response for response in responses if response.status == 409]
    assert refused.body["code"] == "plan_limit_reached"
    (other,) = [id_ for id_, response in zip(ids, responses, strict=True) if response is refused]
    preview = await backend.post(f"subscriptions/{other}/preview-change", free)
    assert (preview.status, preview.body["code"]) == (409, "plan_limit_reached")
    (changed,) = set(ids) - {other}
    yearly = free | {"billingCycle": "annually"}
    await backend.done(f"subscriptions/{changed}/change-plan", yearly)
