"""A downgrade waits for the end of what is paid for: a schedule of ours makes it at Stripe."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.schedules import get_schedule
from mpanel_billing.subscriptions import repository, schedules
from mpanel_billing.subscriptions.change_plan import change_plan
from mpanel_billing.subscriptions.item_changes import PlanRequest
from mpanel_billing.subscriptions.lifecycle import ChangeRequest
from mpanel_billing.subscriptions.lookup import CustomerRef
from tests.commands import run_command
from tests.subscriptions.conftest import Backend, buy

PREMIUM = {"planId": "premium", "billingCycle": "monthly"}
STARTER = {"planId": "starter", "billingCycle": "monthly"}
TROUBLES = "SELECT trouble FROM billing_trouble"


@pytest.fixture
def order_a(order_a: dict[str, Any]) -> dict[str, Any]:
    """Premium, from which one can go down."""
    return order_a | PREMIUM


@pytest.fixture
async def bought(backend: Backend, order_a: dict[str, Any]) -> str:
    return await buy(backend, order_a)


def plans(shown: dict[str, Any]) -> list[str]:
    return [item["productId"] for item in shown["items"]]


async def end_term(backend: Backend, id_: str) -> None:
    shown = await backend.subscription(id_)
    end = datetime.fromisoformat(shown["currentPeriodEnd"]).timestamp()
    await backend.service.stripe.advance_time(int(end) + 2 * 3600)
    await backend.worker.catch_up()


async def schedule_at_stripe(backend: Backend, id_: str) -> Any:
    stripe_id, _ = await backend.stripe_ids(id_)
    v1 = backend.worker.gateway.client.v1
    held = await v1.subscriptions.retrieve_async(stripe_id, {"expand": ["schedule"]})
    return held.to_dict()["schedule"]


async def test_a_downgrade_is_previewed_planned_shown_and_made_at_the_end_to_the_cent(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}"
    preview = await backend.done(f"{path}/preview-change", STARTER)
    before = await backend.subscription(bought)
    assert preview["effectiveAt"] == before["currentPeriodEnd"]
    assert (preview["dueNow"], preview["credited"]) == (0, 0)
    token = {"previewToken": preview["previewToken"]}
    body = await backend.done(f"{path}/change-plan", token)
    planned = body["subscription"]["plannedChange"]
    assert (planned["planId"], planned["effectiveAt"]) == ("starter", preview["effectiveAt"])
    assert planned["recurring"] == preview["recurring"]
    assert plans(body["subscription"])[0] == "premium"
    assert body["subscription"]["nextCharge"]["amountDue"] == preview["nextCharge"]["amount"]
    assert await backend.service.pool.fetch(TROUBLES) == []
    overview = "SELECT planned_change FROM billing_overview WHERE subscription_id::text = $1"
    shown = await backend.service.pool.fetchval(overview, bought)
    assert shown == f"starter monthly from {preview['effectiveAt'][:10]}"

    await end_term(backend, bought)
    after = await backend.subscription(bought)
    assert (plans(after)[0], after["plannedChange"]) == ("starter", None)
    assert after["status"] == "active"
    newest = (await backend.invoices(bought))[0]
    assert newest["amountPaid"] == preview["nextCharge"]["amount"]
    assert await backend.service.pool.fetch(TROUBLES) == []
    assert await backend.service.pool.fetchval(overview, bought) is None
    resources = "SELECT resources FROM tenant_services WHERE product_type = 'hosting'"
    starter = "SELECT resources FROM products WHERE code = 'starter'"
    assert await backend.service.pool.fetchval(resources) == await backend.service.pool.fetchval(
        starter
    )


async def test_a_shorter_term_waits_and_then_costs_what_the_preview_says(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    order = await backend.service.buy(order_a | {"billingCycle": "annually"})
    await backend.worker.catch_up()
    id_ = str(order["subscriptionId"])
    preview = await backend.done(f"subscriptions/{id_}/preview-change", PREMIUM)
    end = (await backend.subscription(id_))["currentPeriodEnd"]
    assert {line["periodStart"] for line in preview["lines"]} == {end}
    assert (preview["dueNow"], preview["effectiveAt"]) == (0, end)
    await backend.done(f"subscriptions/{id_}/change-plan", PREMIUM)
    await end_term(backend, id_)
    shown = await backend.subscription(id_)
    assert shown["billingCycle"] == "monthly"
    assert (await backend.invoices(id_))[0]["amountPaid"] == preview["nextCharge"]["amount"]


async def test_an_upgrade_is_made_at_once_and_either_can_be_asked_for(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}"
    business = {"planId": "business", "billingCycle": "monthly"}
    assert (await backend.done(f"{path}/preview-change", business))["effectiveAt"] is None
    later = await backend.done(f"{path}/preview-change", business | {"when": "period_end"})
    assert later["effectiveAt"] is not None
    now = await backend.done(f"{path}/change-plan", STARTER | {"when": "now"})
    assert plans(now["subscription"])[0] == "starter"
    assert now["subscription"]["plannedChange"] is None


async def test_a_planned_change_carries_on_discounts_card_and_metadata(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    order = await backend.service.buy(order_a)
    await backend.worker.catch_up()
    id_ = str(order["subscriptionId"])
    stripe_id, customer = await backend.stripe_ids(id_)
    v1 = backend.worker.gateway.client.v1
    coupon = await v1.coupons.create_async({"percent_off": 50, "duration": "forever"})
    (method,) = (await v1.customers.payment_methods.list_async(customer)).data
    await v1.subscriptions.update_async(
        stripe_id,
        {
            "discounts": [{"coupon": coupon.id}],
            "default_payment_method": method.id,
            "metadata": {"note": "kept"},
        },
    )
    await backend.worker.catch_up()
    preview = await backend.done(f"subscriptions/{id_}/preview-change", STARTER)
    await backend.done(f"subscriptions/{id_}/change-plan", STARTER)
    await end_term(backend, id_)
    after = (await v1.subscriptions.retrieve_async(stripe_id)).to_dict()
    assert len(after["discounts"]) == 1
    assert after["default_payment_method"] == method.id
    assert after["metadata"]["note"] == "kept"
    assert after["metadata"]["planId"] == "starter"
    assert after["metadata"]["subscriptionId"] == id_
    paid = (await backend.invoices(id_))[0]["amountPaid"]
    assert paid == preview["nextCharge"]["amount"] == preview["recurring"] // 2


async def test_a_planned_change_is_undone_by_releasing_the_schedule(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}"
    await backend.done(f"{path}/change-plan", STARTER)
    body = await backend.done(f"{path}/undo-change", key="undo")
    assert body["subscription"]["plannedChange"] is None
    again = await backend.done(f"{path}/undo-change", key="undo")
    assert again["subscription"] == body["subscription"]
    refused = await backend.post(f"{path}/undo-change")
    assert (refused.status, refused.body["code"]) == (409, "no_change_planned")
    assert await schedule_at_stripe(backend, bought) is None
    await end_term(backend, bought)
    shown = await backend.subscription(bought)
    assert (plans(shown)[0], shown["status"]) == ("premium", "active")
    assert await backend.audit() == [
        ("subscription.change_plan", "done"),
        ("subscription.undo_change", "done"),
    ]


async def test_twice_is_once_and_another_change_is_refused_while_one_is_planned(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}"
    first = await backend.done(f"{path}/change-plan", STARTER, "down")
    again = await backend.done(f"{path}/change-plan", STARTER, "down")
    assert again["subscription"] == first["subscription"]
    without_key = await backend.done(f"{path}/change-plan", STARTER)
    assert not without_key["changed"]
    for other in ({"planId": "business", "billingCycle": "monthly"}, STARTER | {"when": "now"}):
        refused = await backend.post(f"{path}/change-plan", other)
        assert (refused.status, refused.body["code"]) == (409, "change_planned")
    assert len((await schedule_at_stripe(backend, bought))["phases"]) == 2


async def test_a_cancellation_takes_the_place_of_a_planned_change(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}"
    await backend.done(f"{path}/change-plan", STARTER)
    body = await backend.done(f"{path}/cancel")
    assert (body["subscription"]["willEnd"], body["subscription"]["plannedChange"]) == (True, None)
    refused = await backend.post(f"{path}/change-plan", STARTER | {"when": "period_end"})
    assert (refused.status, refused.body["code"]) == (409, "subscription_ending")


async def test_once_it_is_made_the_schedule_is_in_nobodys_way(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}"
    await backend.done(f"{path}/change-plan", STARTER)
    await end_term(backend, bought)
    up = await backend.done(f"{path}/change-plan", PREMIUM)
    assert plans(up["subscription"])[0] == "premium"
    await backend.done(f"{path}/change-plan", STARTER)
    assert (await backend.done(f"{path}/cancel"))["subscription"]["willEnd"]


PATHS = ("/v1/subscription_schedules", "/v1/subscription_schedules/")


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])
@pytest.mark.parametrize("step", [0, 1])
async def test_a_lost_response_is_made_up_for_by_the_same_request(
    backend: Backend, bought: str, step: int, fault: dict[str, Any]
) -> None:
    """Stripe has made the schedule, or given it its phases, and nobody has heard of it."""
    await backend.service.stripe.inject_fault(
        method="POST", path=PATHS[step], after_work=True, times=3, **fault
    )
    path = f"subscriptions/{bought}/change-plan"
    lost = await backend.post(path, STARTER, "down")
    assert lost.status in {502, 503}
    await backend.worker.catch_up()
    body = await backend.done(path, STARTER, "down")
    assert body["subscription"]["plannedChange"]["planId"] == "starter"
    assert len((await schedule_at_stripe(backend, bought))["phases"]) == 2
    assert await backend.service.pool.fetch(TROUBLES) == []
    await end_term(backend, bought)
    assert plans(await backend.subscription(bought))[0] == "starter"


@pytest.mark.parametrize("has_phases", [True, False])
async def test_a_change_that_was_being_planned_when_the_process_died_is_settled(
    backend: Backend, bought: str, monkeypatch: pytest.MonkeyPatch, has_phases: bool
) -> None:
    """Stripe has the phases and our row does not say so; or the schedule was only made."""

    async def die(*_: object) -> None:
        raise KeyboardInterrupt

    if has_phases:
        monkeypatch.setattr(repository.changes, "note_planned", die)
    else:
        monkeypatch.setattr(schedules, "update_schedule", die)
    request = ChangeRequest(Actor("cli:grace"), UUID(bought), CustomerRef())
    mirror = backend.worker.provisioning.mirror
    with pytest.raises(KeyboardInterrupt):
        await change_plan(
            mirror, backend.worker.provisioning.drivers, request, PlanRequest("starter", "monthly")
        )
    monkeypatch.undo()
    await backend.worker.catch_up()
    assert (await backend.subscription(bought))["plannedChange"] is None
    assert await schedules.finish_planned(mirror) == 0  # the process may still be at it
    pool = backend.service.pool
    await pool.execute("UPDATE billing_planned_changes SET created_at = now() - interval '1 hour'")
    await pool.execute(
        "UPDATE billing_changes SET leased_until = now() - interval '1 second'"
        " WHERE state = 'asking'"
    )
    assert await schedules.finish_planned(mirror) == has_phases
    await backend.worker.catch_up()
    planned = (await backend.subscription(bought))["plannedChange"]
    assert (planned is not None) == has_phases
    assert (await schedule_at_stripe(backend, bought) is not None) == has_phases
    assert await schedules.finish_planned(mirror) == 0


async def test_a_request_that_is_resumed_while_its_rest_is_settled_keeps_its_change(
    backend: Backend, bought: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has seen a schedule without phases; now it gets them."""

    async def die(*_: object) -> None:
        raise KeyboardInterrupt

    mirror, drivers = backend.worker.provisioning.mirror, backend.worker.provisioning.drivers
    request = ChangeRequest(Actor("cli:grace"), UUID(bought), CustomerRef())
    wanted = PlanRequest("starter", "monthly")
    monkeypatch.setattr(schedules, "update_schedule", die)
    with pytest.raises(KeyboardInterrupt):
        await change_plan(mirror, drivers, request, wanted)
    monkeypatch.undo()
    await backend.worker.catch_up()
    pool = backend.service.pool
    await pool.execute("UPDATE billing_planned_changes SET created_at = now() - interval '1 hour'")
    await pool.execute("UPDATE billing_changes SET leased_until = now() - interval '1 second'")

    async def resume_after(gateway: StripeGateway, schedule_id: str) -> Mapping[str, Any]:
        seen = await get_schedule(gateway, schedule_id)
        monkeypatch.undo()
        assert (await change_plan(mirror, drivers, request, wanted)).changed
        return seen

    monkeypatch.setattr(schedules, "get_schedule", resume_after)
    await schedules.finish_planned(mirror)
    await backend.worker.catch_up()
    assert (await backend.subscription(bought))["plannedChange"]["planId"] == "starter"
    assert len((await schedule_at_stripe(backend, bought))["phases"]) == 2


async def test_what_stripe_refuses_leaves_no_schedule(backend: Backend, bought: str) -> None:
    await backend.service.stripe.inject_fault(
        method="POST", path=PATHS[1], kind="status", status=400, times=1
    )
    refused = await backend.post(f"subscriptions/{bought}/change-plan", STARTER)
    assert refused.status == 502
    assert await schedule_at_stripe(backend, bought) is None
    assert await backend.service.pool.fetch(TROUBLES) == []


async def test_the_catalogue_says_which_changes_are_allowed(backend: Backend, bought: str) -> None:
    await backend.service.pool.execute(
        "UPDATE products SET allowed_changes = ARRAY['business'] WHERE code = 'premium'"
    )
    refused = await backend.post(f"subscriptions/{bought}/change-plan", STARTER)
    assert (refused.status, refused.body["code"]) == (409, "change_not_allowed")
    business = {"planId": "business", "billingCycle": "monthly"}
    assert (await backend.done(f"subscriptions/{bought}/change-plan", business))["changed"]


async def test_a_limited_plan_is_planned_no_more_often_than_one_may_have_it(
    backend: Backend, bought: str, order_a: dict[str, Any]
) -> None:
    second = await backend.service.buy(order_a | {"planId": "business"})
    await backend.worker.catch_up()
    free = {"planId": "student", "billingCycle": "monthly", "addonIds": []}
    assert (await backend.done(f"subscriptions/{bought}/change-plan", free))["changed"]
    for more in ({}, {"when": "now"}):
        path = f"subscriptions/{second['subscriptionId']}/change-plan"
        refused = await backend.post(path, free | more)
        assert (refused.status, refused.body["code"]) == (409, "plan_limit_reached")


async def test_support_previews_plans_and_undoes_by_command(backend: Backend, bought: str) -> None:
    settings = backend.service.settings
    url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)

    async def run(*words: str) -> str:
        ended = await run_command(url, *words, stripe_url=stripe_url)
        assert ended.status == 0, ended.err
        return ended.out

    wanted = ("change", bought, "--plan", "starter", "--cycle", "monthly")
    assert "due now: $0.00" in await run(*wanted, "--preview")
    assert "starter monthly from" in await run(*wanted)
    assert await run(*wanted) == "nothing changed: it was like that already\n"
    assert "premium monthly\n" in await run("undo-change", bought)
