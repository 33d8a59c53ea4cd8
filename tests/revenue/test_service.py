"""The revenue that is kept as a sum is the revenue, whatever happens to subscriptions and when."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.database.pool import Pool
from mpanel_billing.revenue import service
from mpanel_billing.revenue.service import fold_revenue
from tests.revenue import shown_and_true_revenue
from tests.revenue.examples import examples, running_pool

SUBSCRIPTIONS = [f"00000000-0000-4000-8000-00000000000{n}" for n in range(4)]
STATUSES = ["active", "past_due", "trialing", "canceled", None]
PUT = """
INSERT INTO subscriptions (id, status, billing_provider, livemode, stripe_status, currency, amount,
    price, auto_renew, stripe_as_of_since, stripe_as_of)
VALUES ($1, 'active', 'stripe', $3, $2, $4, 0, 0, FALSE,
    CASE WHEN $2::text IS NOT NULL THEN now() END, CASE WHEN $2::text IS NOT NULL THEN now() END)
ON CONFLICT (id) DO UPDATE SET stripe_status = excluded.stripe_status,
    livemode = excluded.livemode, currency = excluded.currency,
    stripe_as_of_since = excluded.stripe_as_of_since, stripe_as_of = excluded.stripe_as_of
"""
ITEM = """
INSERT INTO subscription_items (subscription_id, stripe_subscription_item_id, quantity, unit_amount,
    currency, recurring_interval, interval_count, stripe_product_id)
SELECT $1::uuid, 'si_' || $2::integer, $3, $4, $5, $6, $7, 'prod_' || $8::integer
WHERE EXISTS (SELECT FROM subscriptions WHERE id = $1::uuid)
ON CONFLICT (stripe_subscription_item_id) DO UPDATE SET
    subscription_id = excluded.subscription_id, quantity = excluded.quantity,
    unit_amount = excluded.unit_amount, currency = excluded.currency,
    recurring_interval = excluded.recurring_interval, interval_count = excluded.interval_count,
    stripe_product_id = excluded.stripe_product_id
"""
# a discount that is given to a subscription and to one of its items has the same terms for both
DISCOUNT = """
WITH other AS (
    UPDATE subscription_discounts
    SET percent_off = CASE WHEN $3::boolean THEN 25 END,
        amount_off = CASE WHEN NOT $3::boolean THEN 130 END, duration = $4,
        stripe_product_ids = $5, ends_at = now() + $6::integer * interval '1 second'
    WHERE subscription_id = $1::uuid AND stripe_discount_id = 'di_' || $2::integer
      AND stripe_subscription_item_id IS DISTINCT FROM $7
)
INSERT INTO subscription_discounts (subscription_id, stripe_discount_id, position, percent_off,
    amount_off, currency, duration, stripe_product_ids, ends_at, fetched,
    stripe_subscription_item_id, stripe_coupon_id)
SELECT $1::uuid, 'di_' || $2::integer, $2, CASE WHEN $3::boolean THEN 25 END,
    CASE WHEN NOT $3::boolean THEN 130 END, 'usd', $4, $5,
    now() + $6::integer * interval '1 second', TRUE, $7, 'coupon_' || $2 % 2
WHERE EXISTS (SELECT FROM subscriptions WHERE id = $1::uuid)
ON CONFLICT (subscription_id, stripe_discount_id, coalesce(stripe_subscription_item_id, ''))
DO UPDATE SET percent_off = excluded.percent_off, amount_off = excluded.amount_off,
    duration = excluded.duration, stripe_product_ids = excluded.stripe_product_ids,
    ends_at = excluded.ends_at
"""
# what changes a subscription is as new as the change
SEEN = """
UPDATE subscriptions SET stripe_as_of_since = now(), stripe_as_of = now()
WHERE stripe_as_of IS NOT NULL
"""
MOVE = """
WITH made AS (
    INSERT INTO customers (id, email) SELECT $2::uuid, 'ada@example.com' WHERE $2::uuid IS NOT NULL
    ON CONFLICT DO NOTHING
)
UPDATE subscriptions SET customer_id = $2::uuid WHERE id = $1::uuid
"""
# what ends one time passes for another
EXPIRE = """
WITH ended AS (
    UPDATE subscription_discounts SET ends_at = now() WHERE subscription_id = $1::uuid
)
UPDATE billing_revenue SET changes_at = now() WHERE subscription_id = $1::uuid
"""


REMOVE = (
    "DELETE FROM subscription_items WHERE subscription_id = $1::uuid",
    "DELETE FROM subscription_discounts WHERE subscription_id = $1::uuid",
    "DELETE FROM subscriptions WHERE id = $1::uuid",
)


def step(statement: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(statement), st.sampled_from(SUBSCRIPTIONS), *arguments)


CURRENCIES = st.sampled_from(["usd", "usd", "usd", "eur"])
ITEMS = step(
    ITEM,
    st.integers(0, 5),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(1, 2000),
    CURRENCIES,
    st.sampled_from(["day", "week", "month", "year"]),
    st.integers(1, 6),
    st.integers(0, 2),
)
DISCOUNTS = step(
    DISCOUNT,
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from(["once", "repeating", "forever"]),
    st.none() | st.just(["prod_1"]),
    st.none() | st.just(3600),
    st.none() | st.none() | st.sampled_from(["si_0", "si_1"]),
)
STEPS = st.one_of(
    step(PUT, st.sampled_from(STATUSES), st.just(True), CURRENCIES),
    ITEMS,
    ITEMS,
    DISCOUNTS,
    DISCOUNTS,
    step(MOVE, st.none() | st.sampled_from(SUBSCRIPTIONS[:2])),
    step(EXPIRE),
    st.tuples(st.sampled_from(REMOVE), st.sampled_from(SUBSCRIPTIONS)),
    st.just(("fold",)),
    st.just(("fold",)),
)


async def play(pool: Pool, steps: Sequence[Any]) -> None:
    await pool.execute("DELETE FROM subscriptions")
    await sell(pool, SUBSCRIPTIONS)
    for statement, *arguments in steps:
        if statement == "fold":
            await fold_revenue(pool)
        else:
            async with pool.acquire() as conn, conn.transaction():
                await conn.execute(SEEN)
                await conn.execute(statement, *arguments)
        shown, true = await shown_and_true_revenue(pool)
        assert shown == true, statement
    await fold_revenue(pool)
    shown, true = await shown_and_true_revenue(pool)
    assert shown == true
    assert await pool.fetchval("SELECT count(*) FROM billing_revenue_changes") == 0


def test_after_any_changes_it_is_what_it_is_from_scratch(database_url: str) -> None:
    with running_pool(database_url) as (runner, pool):

        @examples(20)
        @given(steps=st.lists(STEPS, min_size=5, max_size=25))
        def it_is(steps: Sequence[Any]) -> None:
            runner.run(play(pool, steps))

        it_is()


async def sell(pool: Pool, subscriptions: Sequence[str]) -> None:
    for number, id_ in enumerate(subscriptions):
        await pool.execute(PUT, id_, "active", True, "usd")
        await pool.execute(ITEM, id_, number, 1, 799, "usd", "month", 1, 1)


async def test_a_change_that_is_not_committed_is_folded_later(
    pool: Pool, database_url: str
) -> None:
    await sell(pool, SUBSCRIPTIONS[:2])
    slow = await asyncpg.connect(database_url)
    changing = slow.transaction()
    await changing.start()
    await slow.execute(ITEM, SUBSCRIPTIONS[0], 0, 2, 799, "usd", "month", 1, 1)
    assert await fold_revenue(pool) == 2
    assert (await shown_and_true_revenue(pool))[0] == [(True, "usd", 2, 1598)]
    await changing.commit()
    await slow.close()
    for _ in range(2):
        assert (await shown_and_true_revenue(pool))[0] == [(True, "usd", 2, 2397)]
        await fold_revenue(pool)


async def test_what_is_noted_several_times_does_not_end_a_fold(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PAGE", 2)
    for _ in range(2):
        await sell(pool, SUBSCRIPTIONS[:2])
        await pool.execute("UPDATE subscription_items SET quantity = quantity + 1")
    assert await pool.fetchval("SELECT count(*) FROM billing_revenue_changes") > 2
    await fold_revenue(pool)
    assert await pool.fetchval("SELECT count(*) FROM billing_revenue_changes") == 0


async def test_several_workers_and_writers_at_once_count_nothing_twice(pool: Pool) -> None:
    await sell(pool, SUBSCRIPTIONS)
    chance = random.Random(1)

    async def write() -> None:
        for _ in range(40):
            status = chance.choice(STATUSES)
            await pool.execute(PUT, chance.choice(SUBSCRIPTIONS), status, True, "usd")

    async def fold() -> None:
        for _ in range(20):
            await fold_revenue(pool)

    await asyncio.gather(write(), write(), fold(), fold())
    for _ in range(2):
        shown, true = await shown_and_true_revenue(pool)
        assert shown == true
        await fold_revenue(pool)


async def test_a_renewal_notes_nothing(pool: Pool) -> None:
    await sell(pool, SUBSCRIPTIONS)
    await fold_revenue(pool)
    await pool.execute(
        "UPDATE subscriptions SET stripe_as_of = now(), current_period_end = now(), amount = 1"
    )
    await pool.execute("UPDATE subscription_items SET current_period_end = now()")
    assert await pool.fetchval("SELECT count(*) FROM billing_revenue_changes") == 0
