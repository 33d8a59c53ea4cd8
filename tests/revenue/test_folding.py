"""The movements that are kept are those of the whole ledger, whatever happens and when."""

import asyncio
import random
import re
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.database.pool import Pool
from mpanel_billing.database.queries import load_queries
from mpanel_billing.revenue import folding
from mpanel_billing.revenue.folding import find_differences, fold_movements
from tests.commands import run_command
from tests.revenue.examples import examples, running_pool

IDS = [f"00000000-0000-4000-8000-00000000000{n}" for n in range(6)]
SUBSCRIPTIONS, CUSTOMERS = IDS[:4], IDS[4:]
CUSTOMERS_MADE = """
INSERT INTO customers (id, email) SELECT id, id || '@example.com' FROM unnest($1::uuid[]) AS id
"""
PUT = """
INSERT INTO subscriptions (id, customer_id, status, billing_provider, livemode,
    stripe_subscription_id, currency, amount, price, auto_renew)
VALUES ($1::uuid, $2::uuid, 'active', 'stripe', FALSE, 'sub_' || right($1::text, 1), 'usd', 0, 0,
    FALSE)
ON CONFLICT (id) DO UPDATE SET customer_id = excluded.customer_id
"""
ENTRY = """
INSERT INTO billing_mrr_ledger AS l
    (subscription_id, currency, at, livemode, amount, change)
VALUES ($1::uuid, $4, date_trunc('day', now()) + $2::integer * interval '8 hours', $5, 0, $3)
ON CONFLICT (subscription_id, currency, at) DO UPDATE
SET change = excluded.change, livemode = excluded.livemode
"""
FADE = """
DELETE FROM billing_mrr_ledger
WHERE ctid IN (
    SELECT ctid FROM billing_mrr_ledger WHERE subscription_id = $1::uuid ORDER BY at DESC LIMIT 1
)
"""
# what comes with time passes for another: no trigger tells of it
COME = """
UPDATE billing_mrr_ledger SET at = now()
WHERE ctid IN (SELECT ctid FROM billing_mrr_ledger WHERE at > now() ORDER BY at LIMIT 1)
"""
EMPTY = (
    "DELETE FROM subscriptions; DELETE FROM billing_deleted_subscriptions;"
    " DELETE FROM billing_mrr_ledger; DELETE FROM customers"
)


def step(statement: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(statement), st.sampled_from(SUBSCRIPTIONS), *arguments)


# eight-hour steps of four months, with this day and some of the future
TIMES = st.integers(-350, -1) | st.integers(-2, 8)
ENTRIES = step(
    ENTRY,
    TIMES,
    st.sampled_from([-500, -100, 100, 500, 599]),
    st.sampled_from(["usd", "usd", "eur"]),
    st.booleans(),
)
STEPS = st.one_of(
    ENTRIES,
    ENTRIES,
    step(PUT, st.none() | st.sampled_from(CUSTOMERS)),
    step(FADE),
    step("DELETE FROM subscriptions WHERE id = $1::uuid"),
    step("DELETE FROM billing_deleted_subscriptions WHERE subscription_id = $1::uuid"),
    st.just((COME,)),
    st.just(("fold",)),
)


async def come(pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute(COME)


async def play(pool: Pool, steps: Sequence[Any]) -> None:
    await pool.execute(EMPTY)
    await pool.execute(CUSTOMERS_MADE, CUSTOMERS)
    for statement, *arguments in steps:
        if statement == "fold":
            await fold_movements(pool)
        elif statement == COME:
            await come(pool)
        else:
            await pool.execute(statement, *arguments)
        assert await find_differences(pool) == [], statement
    await fold_movements(pool)
    assert await find_differences(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM billing_mrr_unfolded") == 0


def test_after_any_changes_they_are_those_of_the_whole_ledger(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "PAGE", 2)
    with running_pool(database_url) as (runner, pool):

        @examples(15)
        @given(steps=st.lists(STEPS, min_size=5, max_size=30))
        def they_are(steps: Sequence[Any]) -> None:
            runner.run(play(pool, steps))

        they_are()


async def sell(pool: Pool) -> None:
    await pool.execute(CUSTOMERS_MADE, CUSTOMERS)
    for number, id_ in enumerate(SUBSCRIPTIONS):
        await pool.execute(PUT, id_, CUSTOMERS[number % 2])
        await pool.execute(ENTRY, id_, -100 * number, 799, "usd", False)


async def test_a_move_that_is_not_committed_is_folded_later(pool: Pool, database_url: str) -> None:
    """A change of the ledger, and a change of whose it is: whichever comes first."""
    await sell(pool)
    for number in range(2):
        slow = await asyncpg.connect(database_url)
        moving = slow.transaction()
        await moving.start()
        await slow.execute(PUT, SUBSCRIPTIONS[0], CUSTOMERS[1 - number])
        await pool.execute(ENTRY, SUBSCRIPTIONS[0], -30 - number, 100, "usd", False)
        await fold_movements(pool)
        assert await find_differences(pool) == []
        await moving.commit()
        await slow.close()
        for _ in range(2):
            assert await find_differences(pool) == []
            await fold_movements(pool)


async def test_several_workers_and_writers_at_once_count_nothing_twice(pool: Pool) -> None:
    await sell(pool)
    chance = random.Random(1)

    async def write() -> None:
        for _ in range(40):
            at, change = chance.randint(-300, 3), chance.choice([100, -100])
            await pool.execute(ENTRY, chance.choice(SUBSCRIPTIONS), at, change, "usd", False)
            await pool.execute(PUT, chance.choice(SUBSCRIPTIONS), chance.choice(CUSTOMERS))

    async def fold() -> None:
        for _ in range(20):
            await fold_movements(pool)

    await asyncio.gather(write(), write(), fold(), fold(), folding.rebuild_movements(pool))
    for _ in range(2):
        assert await find_differences(pool) == []
        await fold_movements(pool)


async def test_what_differs_is_named_and_repaired(pool: Pool, database_url: str) -> None:
    await sell(pool)
    await fold_movements(pool)
    assert (await run_command(database_url, "figures", "check")).status == 0
    await pool.execute("UPDATE billing_mrr_periods SET amount = amount + 1 WHERE period = 'month'")
    await pool.execute("UPDATE billing_mrr_cohorts SET customers = customers + 1")
    told = await run_command(database_url, "figures", "check")
    assert told.status == 1
    assert "figures rebuild" in told.err
    assert {line.split(",")[2] for line in told.out.splitlines()[1:]} == {"month", "cohort"}
    rebuilt = await run_command(database_url, "figures", "rebuild")
    assert (rebuilt.status, rebuilt.out.strip()) == (0, "customers: 2")
    assert (await run_command(database_url, "figures", "check")).status == 0


MANY = """
INSERT INTO customers (id, email)
SELECT md5('customer' || n)::uuid, n || '@example.com' FROM generate_series(1, 5000) AS n;
INSERT INTO subscriptions (id, customer_id, status, billing_provider, livemode,
    stripe_subscription_id, currency, amount, price, auto_renew, trial_end)
SELECT md5('subscription' || n)::uuid, md5('customer' || n)::uuid, 'active', 'stripe', FALSE,
    'sub_' || n, 'usd', 0, 0, FALSE, now() - n * interval '1 day'
FROM generate_series(1, 5000) AS n;
INSERT INTO billing_mrr_ledger (subscription_id, currency, at, livemode, amount, change)
SELECT md5('subscription' || n)::uuid, 'usd', now() - n * interval '2 hours', FALSE, 799, 799
FROM generate_series(1, 5000) AS n;
"""
GROWING = "Seq Scan on (?:subscriptions|billing_mrr_ledger|billing_mrr_days|stripe_charges)"
WHAT_IS_READ = {
    "movements": ("fold_movements", "list_totals"),
    "figures": ("list_movements", "list_cohorts", "list_trials"),
}


async def test_figures_do_not_read_the_whole_ledger(pool: Pool) -> None:
    await pool.execute(MANY)
    await fold_movements(pool)
    await pool.execute("ANALYZE")
    async with pool.acquire() as conn:
        for file, names in WHAT_IS_READ.items():
            for name in names:
                query = load_queries(file).by_name[name]
                nothing = ", ".join(["NULL"] * len(query.parameters))
                given = f"({nothing})" if nothing else ""
                await conn.execute(f"PREPARE asked AS {query.sql}")
                rows = await conn.fetch(f"EXPLAIN EXECUTE asked{given}")
                await conn.execute("DEALLOCATE asked")
                plan = "\n".join(row[0] for row in rows)
                assert not re.search(GROWING, plan), plan
