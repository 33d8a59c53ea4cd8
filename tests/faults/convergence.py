"""Whether all is well again: nothing left to do, the mirror is the truth, tenants are right."""

from collections.abc import Mapping
from typing import Any

from tests.faults.load import Load
from tests.faults.town import Town, looks

SETTLE_SECONDS = 60
ASKED_SECONDS = 130

# A question to Stripe whose trigger got lost is asked by the sweep, within two minutes: what that
# could change is compared with the truth, which has to be reached.
LEFT_TO_DO = """
SELECT 'job ' || entrypoint AS what, count(*) FROM pgqueuer GROUP BY entrypoint
UNION ALL
SELECT 'refetch ' || object_id, 1 FROM stripe_refetches
WHERE last_error IS NOT NULL
UNION ALL
SELECT 'event ' || id || ' ' || status, 1 FROM stripe_events WHERE status IN ('received', 'failed')
UNION ALL
SELECT 'work ' || subscription_id, 1 FROM provisioning_work WHERE version > done_version
"""

TENANTS_AMISS = """
SELECT s.id, s.status, count(t.id) AS tenants
FROM subscriptions AS s
LEFT JOIN tenants AS t ON t.billing_subscription_id = s.id
WHERE s.checkout_session_id = ANY($1::text[])
GROUP BY s.id
HAVING s.status <> 'active' OR count(t.id) <> 1 OR bool_or(t.status <> 'active')
"""

MADE_TWICE = """
SELECT subscription_id, product_type, count(*)
FROM provisioning_log WHERE action = 'create' AND outcome = 'done'
GROUP BY subscription_id, product_type HAVING count(*) > 1
"""


async def check_converged(town: Town, load: Load | None = None) -> None:
    """Wait until nothing is left to do, and compare everything with the truth."""
    await town.stripe.wait_idle(SETTLE_SECONDS)
    await _come_to_rest(town)
    assert await town.pool.fetch("SELECT * FROM billing_trouble") == []
    await _check_deliveries(town)
    await _check_mirror(town)
    assert await town.pool.fetch(MADE_TWICE) == []
    if load:
        await _check_load(town, load)


async def _come_to_rest(town: Town) -> None:
    left: Any = None
    async for _ in looks(SETTLE_SECONDS):
        if not (left := await town.pool.fetch(LEFT_TO_DO)):
            return
    raise AssertionError(f"left to do: {left}")


async def _check_deliveries(town: Town) -> None:
    """Each event of the sandbox was acknowledged, and what is acknowledged is kept."""
    deliveries = await town.stripe.deliveries()
    assert {delivery["state"] for delivery in deliveries} <= {"delivered", "dropped"}
    taken = {one["event"] for one in deliveries if one["state"] == "delivered"}
    assert await _missing(town, taken) == set()


async def _check_load(town: Town, load: Load) -> None:
    assert load.bought
    assert await town.pool.fetch(TENANTS_AMISS, load.bought) == []
    orders = "SELECT count(*) FROM subscriptions WHERE checkout_session_id = ANY($1::text[])"
    assert await town.pool.fetchval(orders, load.bought) == len(set(load.bought))
    assert await _missing(town, load.acknowledged) == set()
    rows = await town.pool.fetch(
        "SELECT stripe_subscription_id, amount FROM subscriptions "
        "WHERE stripe_subscription_id = ANY($1::text[])",
        list(load.amounts),
    )
    assert dict(map(tuple, rows)) == load.amounts


async def _missing(town: Town, events: set[str]) -> set[str]:
    rows = await town.pool.fetch(
        "SELECT id FROM stripe_events WHERE id = ANY($1::text[])", list(events)
    )
    return events - {row["id"] for row in rows}


async def _check_mirror(town: Town) -> None:
    truth = await _true_subscriptions(town), await _true_invoices(town)
    async for _ in looks(ASKED_SECONDS):
        ours = await _our_subscriptions(town), await _our_invoices(town)
        if ours == truth:
            return
    assert ours == truth


async def _true_subscriptions(town: Town) -> Mapping[str, Any]:
    page = await town.stripe_client.v1.subscriptions.list_async({"status": "all", "limit": 100})
    return {
        one.id: (
            one.status,
            one.cancel_at_period_end,
            {(item.id, item.price.id, item.quantity) for item in one["items"].data},
        )
        async for one in page.auto_paging_iter()
    }


async def _our_subscriptions(town: Town) -> Mapping[str, Any]:
    rows = await town.pool.fetch(
        """
        SELECT s.stripe_subscription_id, s.stripe_status, s.cancel_at_period_end,
            i.stripe_subscription_item_id,
            i.stripe_price_id, i.quantity
        FROM subscriptions AS s
        JOIN subscription_items AS i ON i.subscription_id = s.id
        WHERE s.stripe_subscription_id NOT LIKE 'sub_made_in_dashboard_%'
          AND i.stripe_subscription_item_id IS NOT NULL
        """
    )
    ours: dict[str, tuple[str, bool, set[Any]]] = {}
    for id_, status, ends, *item in rows:
        ours.setdefault(id_, (status, ends, set()))[2].add(tuple(item))
    return ours


async def _true_invoices(town: Town) -> Mapping[str, Any]:
    page = await town.stripe_client.v1.invoices.list_async({"limit": 100})
    return {
        one.id: (one.status, one.amount_due, one.amount_paid, one.amount_remaining)
        async for one in page.auto_paging_iter()
    }


async def _our_invoices(town: Town) -> Mapping[str, Any]:
    rows = await town.pool.fetch(
        "SELECT stripe_invoice_id, stripe_status, amount_due, amount_paid, amount_remaining "
        "FROM invoices"
    )
    return {id_: tuple(state) for id_, *state in rows}
