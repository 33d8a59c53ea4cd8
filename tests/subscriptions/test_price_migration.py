"""Another price for those who have one: each is told, and pays it from their own renewal on."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.doctor.finding import Status
from mpanel_billing.doctor.work import check_announced_prices
from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.messages import receivers
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.operations import list_timeline
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.subscriptions import price_announcements
from mpanel_billing.subscriptions.price_announcements import (
    PriceMigration,
    announce_migration,
    preview_migration,
    withdraw_migration,
)
from mpanel_billing.subscriptions.price_changes import make_price_changes
from tests.commands import run_command
from tests.subscriptions.conftest import Backend

OPERATOR = Actor("cli:grace@panel")
OLD, NEW = 799, 999
MRR = "SELECT mrr FROM billing_mrr"
STANDING = """
    SELECT count(*) FROM billing_price_changes WHERE made_at IS NULL AND withdrawn_at IS NULL
"""


@pytest.fixture
async def told(backend: Backend) -> None:
    await receivers.add(
        backend.service.pool,
        OPERATOR,
        name="panel",
        url="http://127.0.0.1:9/",
        types=("price.*",),
        livemode=False,
    )


async def raise_price(backend: Backend) -> tuple[str, str]:
    """Sell starter for more; return Stripe's ids of the prices before and after."""
    pool = backend.service.pool
    before = await pool.fetchrow(
        "UPDATE prices SET active = FALSE WHERE active AND billing_cycle = 'monthly'"
        " AND product_id = (SELECT id FROM products WHERE code = 'starter') RETURNING *"
    )
    assert before["unit_amount"] == OLD
    after = await pool.fetchval(
        "INSERT INTO prices (product_id, billing_cycle, currency, unit_amount, lookup_key)"
        " VALUES ($1, $2, $3, $4, $5) RETURNING id",
        *(before[name] for name in ("product_id", "billing_cycle", "currency")),
        NEW,
        before["lookup_key"],
    )
    await push_catalogue(pool, StripeCatalogue(backend.worker.gateway.client), livemode=False)
    new = await pool.fetchval("SELECT stripe_price_id FROM prices WHERE id = $1", after)
    return before["stripe_price_id"], new


async def migration(backend: Backend, notice: int = 14, on: datetime | None = None) -> Any:
    old, new = await raise_price(backend)
    return PriceMigration("starter", old, new, on or datetime.now(UTC), notice)


def mirror_of(backend: Backend) -> Mirror:
    return Mirror(backend.worker.provisioning.pool, backend.worker.gateway, livemode=False)


async def reach(backend: Backend, id_: str, before_end: timedelta) -> datetime:
    """Move Stripe's clock to some time before the end of the term (negative: after it)."""
    shown = await backend.subscription(id_)
    moment = datetime.fromisoformat(shown["currentPeriodEnd"]) - before_end
    await backend.service.stripe.advance_time(int(moment.timestamp()))
    await backend.worker.catch_up()
    return moment


async def plan_item(backend: Backend, id_: str) -> dict[str, Any]:
    shown = await backend.subscription(id_)
    (item,) = [one for one in shown["items"] if one["kind"] == "plan"]
    return item


async def test_a_customer_is_told_and_pays_the_new_price_from_their_renewal_on(
    backend: Backend, bought: str, told: None
) -> None:
    pool = backend.service.pool
    before = await backend.subscription(bought)
    mrr = await pool.fetchval(MRR)
    done = await announce_migration(pool, await migration(backend), OPERATOR)
    assert done.subscriptions == 1
    message = await pool.fetchrow("SELECT type, data FROM billing_messages")
    assert message["type"] == "price.changing"
    price = message["data"]["price"]
    assert (price["unitAmountBefore"], price["unitAmount"]) == (OLD, NEW)
    end = datetime.fromisoformat(before["currentPeriodEnd"])
    assert datetime.fromisoformat(price["effectiveAt"]) == end
    shown = await backend.subscription(bought)
    item = await plan_item(backend, bought)
    assert (item["unitAmount"], item["comingUnitAmount"]) == (OLD, NEW)
    assert item["comingAt"] == before["currentPeriodEnd"]
    assert shown["nextCharge"]["amount"] == before["nextCharge"]["amount"] + NEW - OLD
    [entry] = [one for one in await list_timeline(pool, UUID(bought)) if one.kind == "price"]
    assert entry.detail == f"from {end:%Y-%m-%d}; $9.99; instead of $7.99"
    assert await pool.fetchval(MRR) == mrr
    overview = "SELECT next_charge FROM billing_overview"
    assert await pool.fetchval(overview) == shown["nextCharge"]["amount"]

    mirror = mirror_of(backend)
    assert await make_price_changes(mirror) == 0  # it is too early
    near = await reach(backend, bought, timedelta(days=1))
    assert await make_price_changes(mirror, near) == 1
    assert await make_price_changes(mirror, near) == 0
    await backend.worker.catch_up()
    assert len(await backend.invoices(bought)) == 1
    after = await backend.subscription(bought)
    assert after["nextCharge"] == shown["nextCharge"]
    assert after["currentPeriodEnd"] == before["currentPeriodEnd"]
    await reach(backend, bought, timedelta(hours=-2))
    newest = (await backend.invoices(bought))[0]
    assert newest["amountPaid"] == shown["nextCharge"]["amount"]
    item = await plan_item(backend, bought)
    assert (item["unitAmount"], item["comingUnitAmount"]) == (NEW, None)
    assert await pool.fetchval(MRR) == mrr + NEW - OLD
    assert await pool.fetchval(STANDING) == 0


async def test_who_has_several_has_as_many_at_the_new_price(
    backend: Backend, bought: str, told: None
) -> None:
    """Stripe sets the quantity to 1 with a price, unless it is told."""
    pool = backend.service.pool
    await pool.execute("UPDATE products SET max_quantity = 5 WHERE code = 'starter'")
    three = {"planId": "starter", "billingCycle": "monthly", "quantities": {"starter": 3}}
    await backend.done(f"subscriptions/{bought}/change-plan", three)
    await announce_migration(pool, await migration(backend), OPERATOR)
    near = await reach(backend, bought, timedelta(days=1))
    assert await make_price_changes(mirror_of(backend), near) == 1
    item = await plan_item(backend, bought)
    assert (item["unitAmount"], item["quantity"]) == (NEW, 3)


async def test_who_renews_within_the_notice_keeps_the_price_for_one_term_more(
    backend: Backend, bought: str, told: None
) -> None:
    before = await backend.subscription(bought)
    end = datetime.fromisoformat(before["currentPeriodEnd"])
    days = (end - datetime.now(UTC)).days + 5
    await announce_migration(backend.service.pool, await migration(backend, days), OPERATOR)
    coming_at = datetime.fromisoformat((await plan_item(backend, bought))["comingAt"])
    assert end + timedelta(days=27) < coming_at < end + timedelta(days=32)
    shown = await backend.subscription(bought)
    assert shown["nextCharge"] == before["nextCharge"]

    mirror = mirror_of(backend)
    near = await reach(backend, bought, timedelta(days=1))
    assert await make_price_changes(mirror, near) == 0
    await reach(backend, bought, timedelta(hours=-2))
    assert (await backend.invoices(bought))[0]["amountPaid"] == before["nextCharge"]["amount"]
    shown = await backend.subscription(bought)
    assert datetime.fromisoformat(shown["currentPeriodEnd"]) == coming_at
    near = await reach(backend, bought, timedelta(days=1))
    assert await make_price_changes(mirror, near) == 1


async def test_a_day_far_away_counts_like_a_notice(
    backend: Backend, bought: str, told: None
) -> None:
    day = datetime.now(UTC) + timedelta(days=200)
    done = await announce_migration(
        backend.service.pool, await migration(backend, 14, day), OPERATOR
    )
    assert done.first_at is not None
    assert day <= done.first_at < day + timedelta(days=32)


async def test_a_dry_run_shows_whom_it_concerns_and_its_effect_and_changes_nothing(
    backend: Backend, bought: str, order_a: dict[str, Any]
) -> None:
    second = await backend.service.buy(order_a)
    await backend.worker.catch_up()
    await backend.done(f"subscriptions/{second['subscriptionId']}/cancel")
    stripe_id, _ = await backend.stripe_ids(bought)
    v1 = backend.worker.gateway.client.v1
    coupon = await v1.coupons.create_async({"percent_off": 50, "duration": "forever"})
    await v1.subscriptions.update_async(stripe_id, {"discounts": [{"coupon": coupon.id}]})
    await backend.worker.catch_up()
    wanted = await migration(backend)
    found = await preview_migration(backend.service.pool, wanted)
    assert found.subscriptions == 1
    assert found.left == {"set to end": 1}
    assert found.revenue is not None
    before, after = found.revenue
    assert after - before == (NEW - OLD) / 2
    for table in ("billing_price_changes", "billing_messages"):
        assert await backend.service.pool.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert (await plan_item(backend, bought))["comingUnitAmount"] is None


async def test_others_are_left_alone(
    backend: Backend, bought: str, told: None, order_a: dict[str, Any]
) -> None:
    """A negotiated price, a planned change, and one that comes between."""
    less = {"planId": "student", "billingCycle": "monthly", "addonIds": [], "when": "period_end"}
    await backend.done(f"subscriptions/{bought}/change-plan", less)
    wanted = await migration(backend)
    v1 = backend.worker.gateway.client.v1
    order = await backend.service.buy(order_a | {"addonIds": []})
    await backend.worker.catch_up()
    stripe_id, _ = await backend.stripe_ids(str(order["subscriptionId"]))
    held = (await v1.subscriptions.retrieve_async(stripe_id)).to_dict()
    (plan,) = held["items"]["data"]
    product = await backend.service.pool.fetchval(
        "SELECT stripe_product_id FROM products WHERE code = 'starter'"
    )
    terms = {"currency": "usd", "product": product, "recurring": {"interval": "month"}}
    negotiated = await v1.prices.create_async({**terms, "unit_amount": 500})  # type: ignore[typeddict-item]
    await v1.subscriptions.update_async(
        stripe_id, {"items": [{"id": plan["id"], "price": negotiated.id}]}
    )
    await backend.worker.catch_up()
    done = await announce_migration(backend.service.pool, wanted, OPERATOR)
    assert done.subscriptions == 0
    assert done.left == {"at another price": 1, "with a change planned": 1}

    await backend.done(f"subscriptions/{bought}/undo-change")
    again = await announce_migration(backend.service.pool, wanted, OPERATOR)
    assert again.subscriptions == 1
    await backend.done(f"subscriptions/{bought}/cancel")
    near = await reach(backend, bought, timedelta(days=1))
    assert await make_price_changes(mirror_of(backend), near) == 0
    await backend.done(f"subscriptions/{bought}/resume")
    assert await make_price_changes(mirror_of(backend), near + timedelta(minutes=1)) == 0
    waits = "UPDATE subscriptions SET pending_update_expires_at = $1 WHERE id::text = $2"
    await backend.service.pool.execute(waits, near, bought)
    assert await make_price_changes(mirror_of(backend), near + timedelta(minutes=10)) == 0
    await backend.service.pool.execute(waits, None, bought)
    assert await make_price_changes(mirror_of(backend), near + timedelta(minutes=20)) == 1


async def test_it_goes_on_where_it_was_killed_and_tells_nobody_twice(
    backend: Backend,
    bought: str,
    told: None,
    order_a: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(2):
        await backend.service.buy(order_a)
    monkeypatch.setattr(price_announcements, "PAGE", 1)
    pool, wanted = backend.service.pool, await migration(backend)

    def die(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await announce_migration(pool, wanted, OPERATOR, show=die)
    assert await pool.fetchval(STANDING) == 1
    assert (await announce_migration(pool, wanted, OPERATOR)).subscriptions == 2
    assert (await announce_migration(pool, wanted, OPERATOR)).subscriptions == 0
    messages = await pool.fetch(
        "SELECT object_id FROM billing_messages WHERE type = 'price.changing'"
    )
    assert len(messages) == len({row["object_id"] for row in messages}) == 3


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])
async def test_a_lost_response_is_made_up_for(
    backend: Backend, bought: str, told: None, fault: dict[str, Any]
) -> None:
    """Stripe has the new price, and the worker has not heard of it."""
    await announce_migration(backend.service.pool, await migration(backend), OPERATOR)
    near = await reach(backend, bought, timedelta(days=1))
    await backend.service.stripe.inject_fault(
        method="POST", path="/v1/subscriptions/", after_work=True, times=3, **fault
    )
    mirror = mirror_of(backend)
    await make_price_changes(mirror, near)
    await backend.worker.catch_up()
    await make_price_changes(mirror, near + timedelta(hours=1))
    assert await backend.service.pool.fetchval(STANDING) == 0
    made = "SELECT count(*) FROM billing_price_changes WHERE made_at IS NOT NULL"
    assert await backend.service.pool.fetchval(made) == 1
    assert (await plan_item(backend, bought))["unitAmount"] == NEW


@pytest.mark.parametrize("how", ["in order", "badly", "killed"])
async def test_rows_and_news_depend_on_no_webhook_and_on_no_worker_that_dies(
    backend: Backend, bought: str, told: None, how: str
) -> None:
    """The worker is killed after Stripe has the price, and before it hears of it."""
    pool, stripe = backend.service.pool, backend.service.stripe
    await receivers.change(pool, OPERATOR, "panel", url=None, types=("*",))
    await announce_migration(pool, await migration(backend), OPERATOR)
    if how == "badly":
        await stripe.set_delivery(reorder=True, duplicate=True, delay=0.02, seed=1)
    near = await reach(backend, bought, timedelta(days=1))
    if how == "killed":
        await kill_after_stripe(backend, bought, near)
    await make_price_changes(mirror_of(backend), near)
    await reach(backend, bought, timedelta(hours=-2))
    assert (await plan_item(backend, bought))["unitAmount"] == NEW
    made = "SELECT count(*) FROM billing_price_changes WHERE made_at IS NOT NULL"
    assert (await pool.fetchval(made), await pool.fetchval(STANDING)) == (1, 0)
    news = await pool.fetch(
        "SELECT type FROM billing_messages WHERE type ~ '^(price|invoice|subscription)' ORDER BY 1"
    )
    assert [row["type"] for row in news if row["type"] != "invoice.upcoming"] == [
        "invoice.created",
        "invoice.paid",
        "price.changing",
        "subscription.changed",
        "subscription.renewed",
    ]


async def kill_after_stripe(backend: Backend, bought: str, near: datetime) -> None:
    """Let a worker die while it waits for Stripe, which has the price; its lease is over then."""
    pool = backend.service.pool
    await backend.service.stripe.inject_fault(
        "hang", method="POST", path="/v1/subscriptions/", after_work=True, seconds=30
    )
    worker = asyncio.create_task(make_price_changes(mirror_of(backend), near))
    async with asyncio.timeout(30):
        while (await plan_item(backend, bought))["unitAmount"] != NEW:
            await backend.worker.catch_up()  # its event may say too little: then Stripe is asked
    worker.cancel()
    await asyncio.wait([worker])
    assert await pool.fetchval("SELECT state FROM billing_changes") == "asking"
    await pool.execute("UPDATE billing_changes SET leased_until = now() - interval '1 second'")


async def test_another_plan_in_the_meantime_is_at_the_price_on_sale(
    backend: Backend, bought: str, told: None
) -> None:
    await announce_migration(backend.service.pool, await migration(backend), OPERATOR)
    premium = {"planId": "premium", "billingCycle": "monthly"}
    await backend.done(f"subscriptions/{bought}/change-plan", premium)
    await backend.service.pool.execute("UPDATE billing_price_changes SET next_attempt_at = now()")
    assert await make_price_changes(mirror_of(backend)) == 0
    assert await backend.service.pool.fetchval(STANDING) == 0
    assert (await plan_item(backend, bought))["comingUnitAmount"] is None


async def test_an_unknown_price_is_refused_with_those_that_there_are(
    backend: Backend, bought: str
) -> None:
    pool, wanted = backend.service.pool, await migration(backend)
    with pytest.raises(NotFoundError, match=f"{wanted.old} monthly .* 1 subscriptions"):
        await preview_migration(
            pool, PriceMigration("starter", "799", wanted.new, wanted.starts_at, 1)
        )
    yearly = await pool.fetchval(
        "SELECT p.stripe_price_id FROM prices AS p JOIN products ON products.id = p.product_id"
        " WHERE products.code = 'starter' AND p.billing_cycle = 'annually'"
    )
    with pytest.raises(InvalidRequestError, match="differ in more"):
        await preview_migration(
            pool, PriceMigration("starter", wanted.old, yearly, wanted.starts_at, 1)
        )
    with pytest.raises(InvalidRequestError, match="not on sale"):
        await preview_migration(
            pool, PriceMigration("starter", wanted.new, wanted.old, wanted.starts_at, 1)
        )
    with pytest.raises(ConflictError, match="no customer would be told"):
        await announce_migration(pool, wanted, OPERATOR)


async def test_a_receiver_that_is_disabled_tells_nobody(
    backend: Backend, bought: str, told: None
) -> None:
    """Messages wait for it: the customers would hear of the price when it counts already."""
    pool, wanted = backend.service.pool, await migration(backend)
    await receivers.disable(pool, OPERATOR, "panel")
    with pytest.raises(ConflictError, match="no customer would be told"):
        await announce_migration(pool, wanted, OPERATOR)
    await receivers.enable(pool, OPERATOR, "panel")
    assert (await announce_migration(pool, wanted, OPERATOR)).subscriptions == 1


async def test_what_was_held_up_after_a_failure_is_made_once_nothing_holds_it_up(
    backend: Backend, bought: str, told: None
) -> None:
    """It counted as made, for Stripe had failed before: the old price stayed for ever."""
    mirror = mirror_of(backend)
    await announce_migration(backend.service.pool, await migration(backend), OPERATOR)
    near = await reach(backend, bought, timedelta(days=1))
    stripe, subscriptions = backend.service.stripe, backend.worker.gateway.client.v1.subscriptions
    await stripe.inject_fault(method="POST", path="/v1/subscriptions/", times=3, status=500)
    assert await make_price_changes(mirror, near) == 0
    stripe_id, _ = await backend.stripe_ids(bought)
    await stripe.set_delivery(hold=True)
    await subscriptions.update_async(stripe_id, {"cancel_at_period_end": True})
    assert await make_price_changes(mirror, near + timedelta(hours=1)) == 0
    await stripe.set_delivery(hold=False)
    await subscriptions.update_async(stripe_id, {"cancel_at_period_end": False})
    await backend.worker.catch_up()
    assert await make_price_changes(mirror, near + timedelta(hours=2)) == 1
    assert (await plan_item(backend, bought))["unitAmount"] == NEW


ONE_LESS = {"planId": "starter", "billingCycle": "monthly", "quantities": {"starter": 1}}


@pytest.fixture
async def two(backend: Backend, bought: str) -> str:
    """Two of the plan, of which one can be given up at the end of the term."""
    sold = "UPDATE products SET max_quantity = 5 WHERE code = 'starter'"
    await backend.service.pool.execute(sold)
    more = {**ONE_LESS, "quantities": {"starter": 2}}
    await backend.done(f"subscriptions/{bought}/change-plan", more)
    return bought


async def test_a_change_at_the_end_of_a_term_has_the_price_announced_for_then(
    backend: Backend, two: str, told: None
) -> None:
    """To give something up was a way to keep the old price for one term more."""
    pool, mirror = backend.service.pool, mirror_of(backend)
    wanted = await migration(backend)
    await announce_migration(pool, wanted, OPERATOR)
    preview = await backend.done(f"subscriptions/{two}/preview-change", ONE_LESS)
    token = {"previewToken": preview["previewToken"]}
    planned = await backend.done(f"subscriptions/{two}/change-plan", token)
    next_charge = planned["subscription"]["nextCharge"]
    assert next_charge["amountDue"] == preview["nextCharge"]["amount"]
    assert await withdraw_migration(pool, wanted, OPERATOR) == (0, 1)  # Stripe has it
    near = await reach(backend, two, timedelta(days=1))
    assert await make_price_changes(mirror, near) == 0  # the schedule makes it
    after = await reach(backend, two, timedelta(hours=-2))
    item = await plan_item(backend, two)
    assert (item["unitAmount"], item["quantity"], item["comingUnitAmount"]) == (NEW, 1, None)
    assert (await backend.invoices(two))[0]["amountPaid"] == preview["nextCharge"]["amount"]
    await pool.execute("UPDATE billing_price_changes SET next_attempt_at = '2020-01-01'")
    assert await make_price_changes(mirror, after) == 0
    made = "SELECT count(*) FROM billing_price_changes WHERE made_at IS NOT NULL"
    assert (await pool.fetchval(made), await pool.fetchval(STANDING)) == (1, 0)


async def test_a_planned_change_that_is_undone_leaves_the_price_to_its_renewal(
    backend: Backend, two: str, told: None
) -> None:
    pool, wanted = backend.service.pool, await migration(backend)
    await announce_migration(pool, wanted, OPERATOR)
    preview = await backend.done(f"subscriptions/{two}/preview-change", ONE_LESS)
    assert await withdraw_migration(pool, wanted, OPERATOR) == (1, 0)
    token = {"previewToken": preview["previewToken"]}
    refused = await backend.post(f"subscriptions/{two}/change-plan", token)
    assert (refused.status, refused.body["code"]) == (409, "preview_outdated")
    await announce_migration(pool, wanted, OPERATOR)
    await backend.done(f"subscriptions/{two}/change-plan", ONE_LESS)
    await backend.done(f"subscriptions/{two}/undo-change")
    near = await reach(backend, two, timedelta(days=1))
    assert await make_price_changes(mirror_of(backend), near) == 1
    item = await plan_item(backend, two)
    assert (item["unitAmount"], item["quantity"]) == (NEW, 2)


async def test_a_planned_change_before_the_announced_renewal_holds_the_price_up_no_longer(
    backend: Backend, two: str, told: None
) -> None:
    """The schedule of the change stays for the term that it has begun, and held the price up."""
    pool, mirror = backend.service.pool, mirror_of(backend)
    end = datetime.fromisoformat((await backend.subscription(two))["currentPeriodEnd"])
    days = (end - datetime.now(UTC)).days + 5
    await announce_migration(pool, await migration(backend, days), OPERATOR)
    await backend.done(f"subscriptions/{two}/change-plan", ONE_LESS)
    await reach(backend, two, timedelta(hours=-2))
    item = await plan_item(backend, two)
    assert (item["unitAmount"], item["quantity"]) == (OLD, 1)
    near = await reach(backend, two, timedelta(days=1))
    await pool.execute("UPDATE billing_price_changes SET next_attempt_at = '2020-01-01'")
    assert await make_price_changes(mirror, near) == 1
    await reach(backend, two, timedelta(hours=-2))
    item = await plan_item(backend, two)
    assert (item["unitAmount"], item["quantity"]) == (NEW, 1)
    assert (await backend.invoices(two))[0]["amountPaid"] >= NEW


async def test_it_can_be_called_off(backend: Backend, bought: str, told: None) -> None:
    pool, wanted = backend.service.pool, await migration(backend)
    await announce_migration(pool, wanted, OPERATOR)
    await pool.execute("UPDATE prices SET active = FALSE WHERE stripe_price_id = $1", wanted.new)
    [finding] = await check_announced_prices(pool)
    assert finding.status is Status.WARNING
    assert f"{wanted.new} to 1 subscriptions" in finding.detail
    assert await withdraw_migration(pool, wanted, OPERATOR) == (1, 0)
    [finding] = await check_announced_prices(pool)
    assert finding.status is Status.OK
    assert (await plan_item(backend, bought))["comingUnitAmount"] is None
    actions = await pool.fetch(
        "SELECT action FROM billing_audit_log WHERE action LIKE 'catalogue.%prices' ORDER BY id"
    )
    assert [row["action"] for row in actions] == [
        "catalogue.migrate_prices",
        "catalogue.withdraw_prices",
    ]


@pytest.mark.parametrize(
    ("outcome", "left"),
    [
        (("unanswered", False), 1),
        (("done", False), 1),
        (("failed", False), 0),
        (("failed", True), 1),  # with a 5xx
    ],
)
async def test_what_stripe_may_have_is_not_called_off(
    backend: Backend, bought: str, told: None, outcome: tuple[str, bool], left: int
) -> None:
    pool, wanted = backend.service.pool, await migration(backend)
    await announce_migration(pool, wanted, OPERATOR)
    await pool.execute(
        "INSERT INTO billing_changes"
        " (subscription_id, kind, request_key, request_hash, params, state, may_be_made)"
        " SELECT subscription_id, 'change_price', 'price-change-' || id, '', '{}', $1, $2"
        " FROM billing_price_changes",
        *outcome,
    )
    assert await withdraw_migration(pool, wanted, OPERATOR) == (1 - left, left)
    assert await pool.fetchval(STANDING) == left


async def test_nobody_pays_it_before_the_day_that_they_were_told(
    backend: Backend, bought: str, told: None
) -> None:
    """Their terms have moved since, or a trial ends before."""
    pool = backend.service.pool
    end = datetime.fromisoformat((await backend.subscription(bought))["currentPeriodEnd"])
    days = (end - datetime.now(UTC)).days + 2
    await announce_migration(pool, await migration(backend, days), OPERATOR)
    bound = "SELECT effective_at - not_before FROM billing_price_changes"
    assert await pool.fetchval(bound) <= timedelta(days=3)
    stripe_id, _ = await backend.stripe_ids(bought)
    trial_end = end + timedelta(days=10)
    await backend.worker.gateway.client.v1.subscriptions.update_async(
        stripe_id, {"trial_end": int(trial_end.timestamp()), "proration_behavior": "none"}
    )
    await backend.worker.catch_up()
    told_day = await pool.fetchval("SELECT effective_at FROM billing_price_changes")
    assert told_day > trial_end
    await pool.execute("UPDATE billing_price_changes SET next_attempt_at = '2020-01-01'")
    assert await make_price_changes(mirror_of(backend), trial_end - timedelta(days=1)) == 0
    await pool.execute(
        "UPDATE billing_price_changes SET next_attempt_at = '2020-01-01', not_before = '2020-01-01'"
    )
    assert await make_price_changes(mirror_of(backend), trial_end - timedelta(days=1)) == 0
    moved = await pool.fetchval("SELECT effective_at FROM billing_price_changes")
    assert moved > trial_end + timedelta(days=27)


async def test_an_operator_migrates_by_command(backend: Backend, bought: str) -> None:
    wanted = await migration(backend)
    settings = backend.service.settings
    url = settings.database_url.get_secret_value()
    prices = ("--product", "starter", "--from", wanted.old, "--to", wanted.new)
    words = ("catalog", "migrate-prices", *prices, "--on", "2026-01-01", "--notice", "14")
    dry = await run_command(url, *words, "--dry-run")
    assert dry.status == 0, dry.err
    assert "starter monthly: $7.99 -> $9.99" in dry.out
    assert "1 subscriptions would change, from" in dry.out
    assert "their monthly recurring revenue: " in dry.out
    assert (await run_command(url, *words)).status == 1
    ended = await run_command(url, *words, "--untold")
    assert (ended.status, "1 subscriptions told" in ended.out) == (0, True), ended.err
    off = await run_command(url, *words, "--withdraw")
    assert off.out == "called off for 1 subscriptions\n"


async def test_a_pause_shortly_before_the_renewal_does_not_bring_the_price_forward(
    backend: Backend, bought: str, told: None
) -> None:
    """A resumption begins a term at once, before the renewal that the customer was told."""
    path, pool, mirror = f"subscriptions/{bought}", backend.service.pool, mirror_of(backend)
    await announce_migration(pool, await migration(backend), OPERATOR)
    near = await reach(backend, bought, timedelta(days=2))
    assert await make_price_changes(mirror, near) == 1
    await backend.done(f"{path}/pause", {"reason": "no season"}, "pause")
    await backend.service.stripe.advance_time(int(near.timestamp()) + 86_400)
    back = await backend.done(f"{path}/resume", key="back")
    await backend.worker.catch_up()
    item = await plan_item(backend, bought)
    assert (item["unitAmount"], item["comingUnitAmount"]) == (OLD, NEW)
    assert back["subscription"]["nextCharge"]["amount"] > back["subscription"]["amount"]
    newest = (await backend.invoices(bought))[0]
    assert newest["amountPaid"] <= back["subscription"]["amount"]

    near = await reach(backend, bought, timedelta(days=2))
    assert await make_price_changes(mirror, near) == 1
    await reach(backend, bought, timedelta(hours=-2))
    assert (await plan_item(backend, bought))["unitAmount"] == NEW
    assert await pool.fetchval(STANDING) == 0
