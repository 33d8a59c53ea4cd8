"""Services follow what was bought and what is truly owed, however Stripe says it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mpanel_billing.database.pool import acquired
from mpanel_billing.provisioning import operations
from mpanel_billing.provisioning.leasing import take_lease
from mpanel_billing.provisioning.repository import runs
from tests import stripe_objects as made
from tests.provisioning.conftest import GRACE, ProvisioningSystem, items
from tests.provisioning.times import DAY, ago, finalized

[PLAN] = items("starter_monthly_usd")

CHANGES: Mapping[str, Mapping[str, Any]] = {
    "stripeStatus": {"status": "trialing"},
    "pausedBy": {
        "status": "paused",
        "status_details": {"paused": {"subscription": {"type": "pause_requested"}}},
    },
    "collectionPaused": {"pause_collection": {"behavior": "void"}},
    "ending": {"cancel_at_period_end": True},
    "trialEnd": {"trial_end": 1_791_000_000},
    "endedAt": {"status": "canceled", "ended_at": 1_790_000_500},
    "termStart": {"status": "past_due"},
    "items.item": {"items": [{**PLAN, "id": "si_another"}]},
    "items.price": {"items": [{**PLAN, "price": {**PLAN["price"], "id": "price_another"}}]},
    "items.product": {"items": [{**PLAN, "price": {**PLAN["price"], "product": "prod_1"}}]},
    "items.quantity": {"items": [{**PLAN, "quantity": 3}]},
}
"""One change at Stripe for each field that the desired state reads from its subscription."""


def fields(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a work's inputs, those of its one item by themselves."""
    [item] = inputs["items"]
    of_item = {f"items.{name}": value for name, value in item.items()}
    return {**{name: value for name, value in inputs.items() if name != "items"}, **of_item}


async def test_whatever_the_desired_state_reads_is_changed_by_an_event_and_triggers_work(
    system: ProvisioningSystem,
) -> None:
    await system.sell()
    read = fields((await system.work())["inputs"])
    of_invoices = {"settled", "orderPaid", "owedSince", "paidAfterEnd", "payableAfterEnd"}
    assert CHANGES.keys() | of_invoices == read.keys()
    for name, change in CHANGES.items():
        await system.deliver_subscription("active")
        before = await system.work()
        changed = made.subscription("sub_1", **{"items": items("starter_monthly_usd"), **change})
        await system.inbox.deliver(
            "customer.subscription.updated", changed, created=system.stripe.next_second()
        )
        after = await system.work()
        assert fields(after["inputs"])[name] != fields(before["inputs"])[name], name
        assert after["version"] > before["version"], name


async def test_an_open_invoice_of_a_past_due_subscription_triggers_work(
    system: ProvisioningSystem,
) -> None:
    await system.sell()
    await system.deliver_subscription("past_due")
    before = await system.work()
    await system.deliver_invoice("open", "in_2", attempt_count=1, **finalized(ago(1)))
    after = await system.work()
    assert before["inputs"]["owedSince"] is None
    assert after["inputs"]["owedSince"] is not None
    assert after["version"] > before["version"]


async def test_a_paid_larger_quantity_is_delivered(system: ProvisioningSystem) -> None:
    bought = ("starter_monthly_usd", "addon-storage-100gb_monthly_usd")
    await system.sell(*bought)
    one = (await system.service("storage"))["resources"]["storage_gb"]
    plan, addon = items(*bought)
    await system.deliver_items(plan, {**addon, "quantity": 3})
    assert (await system.run()).done
    assert (await system.service("storage"))["resources"]["storage_gb"] == 3 * one


def other_price(product: str | None, **more: Any) -> dict[str, Any]:
    """Return the starter plan's item at a price that the catalogue does not have."""
    item = items("starter_monthly_usd")[0]
    price = {**item["price"], "id": "price_negotiated", "product": product, **more}
    return {**item, "price": price}


@pytest.mark.parametrize("more", [{}, {"currency": "eur"}, {"unit_amount": None}])
async def test_another_price_of_a_product_that_we_sell_entitles_to_the_product(
    system: ProvisioningSystem, more: dict[str, Any]
) -> None:
    id_ = await system.sell()
    accounts = dict(system.world.of(id_))
    await system.pool.execute(
        "UPDATE products SET stripe_product_id = 'prod_starter', livemode = FALSE "
        "WHERE code = 'starter'"
    )
    await system.deliver_items(other_price("prod_starter", **more))
    assert (await system.run()).done
    assert system.world.of(id_) == accounts
    service = await system.service()
    assert (service["desired"], service["removed_at"]) == ("active", None)


async def test_an_item_that_cannot_be_placed_takes_nothing_and_is_trouble(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell()
    accounts = dict(system.world.of(id_))
    await system.deliver_items(other_price("prod_unknown"))
    assert (await system.run()).done
    assert system.world.of(id_) == accounts
    trouble = await system.trouble()
    assert [row["trouble"] for row in trouble] == ["item_unplaced"]
    for name in ("price_negotiated", "prod_unknown", "si_starter_monthly_usd"):
        assert name in trouble[0]["detail"]

    await system.pool.execute(
        "INSERT INTO billing_ignored_prices (stripe_price_id, reason, set_by) "
        "VALUES ('price_negotiated', 'support hours', 'test')"
    )
    assert await system.trouble() == []


async def test_a_debt_suspends_only_once_stripe_has_confirmed_it(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell()
    await system.deliver_invoice("open", "in_2", attempt_count=4, **finalized(ago(30)))
    await system.deliver_subscription("past_due")
    known, system.stripe.objects = system.stripe.objects, {}
    outcome = await system.run()
    assert (outcome.done, system.world.of(id_)) == (False, {"hosting": "active"})
    assert "debt_unconfirmed" not in await system.troubles(), "Stripe is asked again first"
    await system.pool.execute(
        "UPDATE provisioning_work SET debt_unconfirmed_since = now() - interval '25 hours'"
    )
    assert "debt_unconfirmed" in await system.troubles()

    system.stripe.objects = known
    system.stripe.asked.clear()
    await system.make_due()
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "suspended"}
    assert system.stripe.asked == ["in_2", "sub_1"]
    assert "debt_unconfirmed" not in await system.troubles()


async def test_who_has_paid_is_not_suspended_though_the_webhooks_were_lost(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell()
    await system.deliver_invoice("open", "in_2", attempt_count=1, **finalized(ago(30)))
    await system.deliver_subscription("past_due")
    system.stripe.next_second()
    system.stripe.objects["in_2"] = made.invoice("in_2", status="paid", **finalized(ago(30)))
    system.stripe.objects["sub_1"] = made.subscription(
        "sub_1", status="active", items=items("starter_monthly_usd")
    )
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active"}
    assert (await system.inbox.subscription())["stripe_status"] == "active"


SENT = {"collection_method": "send_invoice", "attempt_count": 0}
CHARGED = {"collection_method": "charge_automatically"}


@pytest.mark.parametrize(
    ("invoices", "owed_days_ago"),
    [
        pytest.param([("open", 40, {**SENT, "due_days_ago": 10})], 10, id="net-30: the due date"),
        pytest.param([("open", 1, {**SENT, "due_days_ago": -29})], -29, id="not yet due"),
        pytest.param([("open", 3, {**CHARGED, "attempt_count": 1})], 3, id="a failed attempt"),
        pytest.param([("open", 3, {**CHARGED, "attempt_count": 0})], None, id="not tried yet"),
        pytest.param([("draft", 3, CHARGED)], None, id="a draft"),
        pytest.param([("void", 3, {**CHARGED, "attempt_count": 1})], None, id="void"),
        pytest.param(
            [("open", 30, {**SENT, "due_days_ago": 20, "billing_reason": "manual"})],
            None,
            id="a one-off invoice",
        ),
        pytest.param(
            [("uncollectible", 30, {**CHARGED, "attempt_count": 4})], 30, id="written off"
        ),
        pytest.param(
            [
                ("uncollectible", 200, {**CHARGED, "attempt_count": 4}),
                ("paid", 100, CHARGED),
                ("open", 1, {**CHARGED, "attempt_count": 1}),
            ],
            1,
            id="written off before a later payment",
        ),
    ],
)
async def test_owed_is_what_is_due_and_was_not_paid(
    system: ProvisioningSystem,
    invoices: list[tuple[str, int, dict[str, Any]]],
    owed_days_ago: int | None,
) -> None:
    await system.deliver_subscription("past_due")
    for number, (status, days, more) in enumerate(invoices):
        values = {"billing_reason": "subscription_cycle", **finalized(ago(days)), **more}
        if (due_days_ago := values.pop("due_days_ago", None)) is not None:
            values["due_date"] = ago(due_days_ago)
        await system.deliver_invoice(status, f"in_{number}", **values)
    await system.deliver_subscription("past_due", latest_invoice="in_0")
    owed_since = (await system.work())["inputs"]["owedSince"]
    if owed_days_ago is None:
        assert owed_since is None
    else:
        off = datetime.fromisoformat(owed_since) - (datetime.now(UTC) - owed_days_ago * DAY)
        assert abs(off) < timedelta(minutes=1)


async def test_past_due_with_nothing_owed_is_suspended_after_grace_from_its_term(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell()
    await system.deliver_subscription("past_due", current_period_start=0)
    wake_at = (await system.work())["inputs"]["termStart"]
    assert datetime.fromisoformat(wake_at) + GRACE < datetime.now(UTC)
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "suspended"}
    assert await system.troubles() == ["nothing_owed"]


async def test_a_new_term_does_not_restart_the_grace_of_one_that_owes_nothing(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell()
    [item] = items("starter_monthly_usd")
    await system.deliver_items({**item, "current_period_start": ago(1)}, status="past_due")
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active"}
    await system.pool.execute(
        "UPDATE provisioning_work SET contradicted_since = contradicted_since - $1::interval", GRACE
    )
    await system.deliver_items({**item, "current_period_start": ago(0)}, status="past_due")
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "suspended"}
    await system.deliver_subscription("active")
    assert (await system.run()).done
    assert (await system.work())["contradicted_since"] is None


async def test_paused_after_a_first_failure_with_nothing_owed_is_trouble(
    system: ProvisioningSystem,
) -> None:
    await system.sell()
    for reason, troubles in (("first_payment_failure", ["nothing_owed"]), ("pause_requested", [])):
        details = {"paused": {"subscription": {"type": reason}}}
        await system.deliver_subscription("paused", status_details=details)
        assert await system.troubles() == troubles, reason


_MIRRORED = {
    "timestamp with time zone": "now() + interval '400 days'",
    "boolean": "{0} IS NOT TRUE",
    "bigint": "coalesce({0}, 0) + 1",
}
_OURS = {"auto_renew", "livemode"}


async def test_the_decision_reads_of_the_mirror_what_triggers_work_and_nothing_else(
    system: ProvisioningSystem,
) -> None:
    await operations.retry(system.pool, await system.sell())
    lease = await take_lease(system.pool, await system.id_of())
    assert lease is not None
    async with acquired(system.pool) as conn:
        before = await runs.get_work(conn, lease)
    columns = await system.pool.fetch(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_name = 'subscriptions'"
    )
    changes = [
        f"{name} = {_MIRRORED[type_].format(name)}"
        for name, type_ in columns
        if type_ in _MIRRORED and name not in _OURS
    ]
    assert {"cancel_at", "initial_payment_settled", "amount"} <= {c.split()[0] for c in changes}
    await system.pool.execute(
        f"UPDATE subscriptions SET {', '.join(changes)}, stripe_status = 'canceled', "
        "currency = 'eur', billing_cycle = 'yearly', entitlement = '{}'"
    )
    await system.pool.execute("DELETE FROM subscription_items")
    await system.pool.execute("DELETE FROM invoices")
    async with acquired(system.pool) as conn:
        after = await runs.get_work(conn, lease)
    assert before is not None
    assert after is not None
    assert after.entitlement == before.entitlement
    assert (after.ending, after.trial_end) == (before.ending, before.trial_end)
