"""The ledger is written once for a transaction, whatever has changed in it and by whom."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mpanel_billing.database.pool import Pool
from mpanel_billing.mirror.snapshot import snapshot_of_answer
from tests import stripe_objects as made
from tests.inbox import Inbox

DAY = 86_400
START = 1_790_000_000 - 400 * DAY

STATES = """
SELECT s.stripe_subscription_id, r.at, r.livemode, r.billed, r.began_at, r.state::text AS state
FROM billing_revenue_states AS r
JOIN subscriptions AS s ON s.id = r.subscription_id
ORDER BY 1, 2
"""
LEDGER = """
SELECT s.stripe_subscription_id, l.currency, l.at, l.livemode, l.amount, l.change
FROM billing_mrr_ledger AS l
JOIN subscriptions AS s ON s.id = l.subscription_id
ORDER BY 1, 2, 3
"""
FORGOTTEN = """
DELETE FROM stripe_events; DELETE FROM subscriptions; DELETE FROM stripe_refetches;
DELETE FROM billing_deleted_subscriptions; DELETE FROM customers; DELETE FROM stripe_customers;
DELETE FROM billing_revenue_states; DELETE FROM billing_discount_terms;
DELETE FROM billing_mrr_ledger; DELETE FROM billing_mrr_changes
"""
TWICE = "UPDATE subscription_items SET quantity = 2 * quantity"
AMOUNT = "SELECT round(sum(change))::integer FROM billing_mrr_ledger"


def sold(id_: str, **more: Any) -> dict[str, Any]:
    about = made.subscription(id_, customer=f"cus_{id_[4:]}", start=START)
    return {**about, "start_date": START, "created": START, **more}


def of_kinds() -> Sequence[Mapping[str, Any]]:
    """Return subscriptions as they are seen for the first time, of each kind."""
    source = {"type": "coupon", "coupon": {"id": "half", "percent_off": 50, "duration": "forever"}}
    discount = {"id": "di_1", "object": "discount", "start": START, "end": None, "source": source}
    ended = {"status": "canceled", "ended_at": START + 90 * DAY}
    yearly = sold("sub_yearly", status="past_due")
    yearly["items"]["data"][0]["price"]["recurring"] = {"interval": "year", "interval_count": 1}
    free = sold("sub_free")
    free["items"]["data"][0]["price"]["unit_amount"] = 0
    return [
        sold("sub_plain"),
        yearly,
        free,
        sold("sub_trial", status="trialing", trial_end=START + 500 * DAY),
        sold("sub_tried", trial_end=START + 14 * DAY),
        sold("sub_waits", status="incomplete"),
        sold("sub_discounted", discounts=[discount]),
        sold("sub_ended", **ended),
        sold("sub_ended_trial", **ended, trial_end=START + 91 * DAY),
    ]


async def fetch(inbox: Inbox, abouts: Sequence[Mapping[str, Any]], at: int) -> None:
    """Apply subscriptions as Stripe answers at a time, in one transaction."""
    now = datetime.fromtimestamp(at, UTC)
    seen = {"since": now, "as_of": now, "livemode": False, "read_after": None}
    await inbox.mirror.apply([snapshot_of_answer(about, **seen) for about in abouts])


async def kept(pool: Pool) -> tuple[list[Any], list[Any]]:
    return (
        [tuple(row) for row in await pool.fetch(STATES)],
        [tuple(row) for row in await pool.fetch(LEDGER)],
    )


def changed(about: Mapping[str, Any]) -> dict[str, Any]:
    item = {**about["items"]["data"][0], "quantity": 3}
    return {**about, "items": {**about["items"], "data": [item]}}


async def test_together_they_leave_what_each_leaves_alone(inbox: Inbox) -> None:
    first = of_kinds()
    # some of the second time are known, some are new
    again = [changed(about) for about in first[::2]]
    more = [{**about, "id": f"{about['id']}_2"} for about in map(changed, first)]
    for about in more:
        about["items"] = {
            **about["items"],
            "data": [{**each, "id": f"{each['id']}_2"} for each in about["items"]["data"]],
        }
    for about in first:
        await fetch(inbox, [about], START + 400 * DAY)
    for about in [*again, *more]:
        await fetch(inbox, [about], START + 401 * DAY)
    alone = await kept(inbox.pool)
    await inbox.pool.execute(FORGOTTEN)
    await fetch(inbox, first, START + 400 * DAY)
    await fetch(inbox, [*again, *more], START + 401 * DAY)
    assert await kept(inbox.pool) == alone
    assert len({row[0] for row in alone[0]}) == 2 * len(first)
    noted = "SELECT count(DISTINCT noted_id) FROM billing_mrr_changes"
    entered = "SELECT count(DISTINCT subscription_id) FROM billing_mrr_ledger"
    assert await inbox.pool.fetchval(noted) == await inbox.pool.fetchval(entered)


async def test_the_ledger_is_written_once_for_a_transaction(inbox: Inbox) -> None:
    calls = """
    SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'billing_record_revenue'
    """
    await fetch(inbox, of_kinds(), START + 400 * DAY)
    async with inbox.pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL track_functions = 'all'")
        await conn.execute(TWICE)
        await conn.execute("UPDATE subscriptions SET stripe_status = 'unpaid'")
        await conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert await conn.fetchval(calls) == 1
    assert await inbox.pool.fetchval(AMOUNT) == 0


async def test_what_a_savepoint_takes_back_does_not_keep_the_rest_from_the_ledger(
    inbox: Inbox,
) -> None:
    await fetch(inbox, [sold("sub_1"), sold("sub_2")], START + 400 * DAY)
    async with inbox.pool.acquire() as conn, conn.transaction():
        taken_back = conn.transaction()
        await taken_back.start()
        await conn.execute(TWICE)
        await taken_back.rollback()
        async with conn.transaction():
            await conn.execute(TWICE)
    assert await inbox.pool.fetchval(AMOUNT) == 2 * 2 * 799


async def test_with_immediate_constraints_each_change_is_in_the_ledger(inbox: Inbox) -> None:
    await fetch(inbox, [sold("sub_1"), sold("sub_2")], START + 400 * DAY)
    async with inbox.pool.acquire() as conn, conn.transaction():
        await conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for times in (2, 4):
            await conn.execute(TWICE)
            assert await conn.fetchval(AMOUNT) == times * 2 * 799
