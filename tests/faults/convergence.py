"""The service has converged: no work is left, the mirror equals Stripe, tenants are right."""

from collections.abc import Mapping
from typing import Any

from tests.faults.deployment import Deployment, polling
from tests.faults.load import Load

SETTLE_SECONDS = 60
REFETCH_SECONDS = 130

# A refetch whose trigger got lost is done by the sweep within two minutes. It does not count as
# unfinished: the mirror is compared with Stripe anyway.
UNFINISHED = """
SELECT 'job ' || entrypoint AS what, count(*) FROM pgqueuer GROUP BY entrypoint
UNION ALL
SELECT 'refetch ' || object_id, 1 FROM stripe_refetches
WHERE last_error IS NOT NULL
UNION ALL
SELECT 'event ' || id || ' ' || status, 1 FROM stripe_events WHERE status IN ('received', 'failed')
UNION ALL
SELECT 'work ' || subscription_id, 1 FROM provisioning_work WHERE version > done_version
"""

WRONG_TENANTS = """
SELECT s.id, s.status, count(t.id) AS tenants
FROM subscriptions AS s
LEFT JOIN tenants AS t ON t.billing_subscription_id = s.id
WHERE s.checkout_session_id = ANY($1::text[])
GROUP BY s.id
HAVING s.status <> 'active' OR count(t.id) <> 1 OR bool_or(t.status <> 'active')
"""

CREATED_TWICE = """
SELECT subscription_id, product_type, count(*)
FROM provisioning_log WHERE action = 'create' AND outcome = 'done'
GROUP BY subscription_id, product_type HAVING count(*) > 1
"""


async def check_converged(
    deployment: Deployment, load: Load | None = None, *, created_twice: str = CREATED_TWICE
) -> None:
    """Wait until no work is left, and compare everything with Stripe.

    `created_twice` finds the accounts for which the service was asked too often.
    """
    await deployment.stripe.wait_idle(SETTLE_SECONDS)
    await _wait_until_idle(deployment)
    assert await deployment.pool.fetch("SELECT * FROM billing_trouble") == []
    await _check_deliveries(deployment)
    await _check_mirror(deployment)
    assert await deployment.pool.fetch(created_twice) == []
    if load:
        await _check_load(deployment, load)


async def _wait_until_idle(deployment: Deployment) -> None:
    left: Any = None
    async for _ in polling(SETTLE_SECONDS):
        if not (left := await deployment.pool.fetch(UNFINISHED)):
            return
    raise AssertionError(f"unfinished: {left}")


async def _check_deliveries(deployment: Deployment) -> None:
    """Every event of the sandbox was acknowledged, and every acknowledged event is stored."""
    deliveries = await deployment.stripe.deliveries()
    assert {delivery["state"] for delivery in deliveries} <= {"delivered", "dropped"}
    acknowledged = {one["event"] for one in deliveries if one["state"] == "delivered"}
    assert await _missing(deployment, acknowledged) == set()


async def _check_load(deployment: Deployment, load: Load) -> None:
    assert load.bought
    assert await deployment.pool.fetch(WRONG_TENANTS, load.bought) == []
    orders = "SELECT count(*) FROM subscriptions WHERE checkout_session_id = ANY($1::text[])"
    assert await deployment.pool.fetchval(orders, load.bought) == len(set(load.bought))
    assert await _missing(deployment, load.acknowledged) == set()
    rows = await deployment.pool.fetch(
        "SELECT stripe_subscription_id, amount FROM subscriptions "
        "WHERE stripe_subscription_id = ANY($1::text[])",
        list(load.amounts),
    )
    assert dict(map(tuple, rows)) == load.amounts


async def _missing(deployment: Deployment, events: set[str]) -> set[str]:
    rows = await deployment.pool.fetch(
        "SELECT id FROM stripe_events WHERE id = ANY($1::text[])", list(events)
    )
    return events - {row["id"] for row in rows}


async def _check_mirror(deployment: Deployment) -> None:
    expected = await _true_subscriptions(deployment), await _true_invoices(deployment)
    async for _ in polling(REFETCH_SECONDS):
        mirrored = await _mirrored_subscriptions(deployment), await _mirrored_invoices(deployment)
        if mirrored == expected:
            return
    assert mirrored == expected


async def _true_subscriptions(deployment: Deployment) -> Mapping[str, Any]:
    page = await deployment.stripe_client.v1.subscriptions.list_async(
        {"status": "all", "limit": 100}
    )
    return {
        one.id: (
            one.status,
            one.cancel_at_period_end,
            {(item.id, item.price.id, item.quantity) for item in one["items"].data},
        )
        async for one in page.auto_paging_iter()
    }


async def _mirrored_subscriptions(deployment: Deployment) -> Mapping[str, Any]:
    rows = await deployment.pool.fetch(
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


async def _true_invoices(deployment: Deployment) -> Mapping[str, Any]:
    page = await deployment.stripe_client.v1.invoices.list_async({"limit": 100})
    return {
        one.id: (one.status, one.amount_due, one.amount_paid, one.amount_remaining)
        async for one in page.auto_paging_iter()
    }


async def _mirrored_invoices(deployment: Deployment) -> Mapping[str, Any]:
    rows = await deployment.pool.fetch(
        "SELECT stripe_invoice_id, stripe_status, amount_due, amount_paid, amount_remaining "
        "FROM invoices"
    )
    return {id_: tuple(state) for id_, *state in rows}
