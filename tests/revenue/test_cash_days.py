"""What is kept of each day is what its rows say, whatever comes late."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.database.pool import Pool
from mpanel_billing.revenue.figures import Span, read_payments
from mpanel_billing.revenue.folding import fold_cash
from mpanel_billing.revenue.periods import begin_of, shift
from tests.revenue.examples import examples, running_pool

AT = "now() - $2::integer * interval '8 hours'"
CHARGE = f"""
INSERT INTO stripe_charges (stripe_charge_id, livemode, stripe_payment_intent_id, amount,
    amount_captured, amount_refunded, currency, status, stripe_created, stripe_as_of_since,
    stripe_as_of)
VALUES ('ch_' || $1::integer, FALSE, 'pi_' || $1::integer / 3, 1000 + $1::integer, 900, 0, $3, $4,
    {AT}, now(), now())
ON CONFLICT (stripe_charge_id) DO UPDATE
SET currency = excluded.currency, status = excluded.status, stripe_created = excluded.stripe_created
"""
REFUND = f"""
INSERT INTO stripe_refunds (stripe_refund_id, livemode, stripe_payment_intent_id, amount, currency,
    status, stripe_created, stripe_as_of_since, stripe_as_of)
VALUES ('re_' || $1::integer, FALSE, 'pi_' || $1::integer / 3, 100, $3, $4, {AT}, now(), now())
ON CONFLICT (stripe_refund_id) DO UPDATE SET status = excluded.status
"""
DISPUTE = f"""
INSERT INTO stripe_disputes (stripe_dispute_id, livemode, stripe_charge_id, status, reason, amount,
    currency, stripe_created, stripe_as_of_since, stripe_as_of, movements, is_charge_refundable,
    fee, has_evidence, submissions)
VALUES ('du_' || $1::integer, FALSE, 'ch_' || $1::integer, $4, 'fraudulent', 700, $3, {AT}, now(),
    now(), 1, FALSE, 0, FALSE, 0)
ON CONFLICT (stripe_dispute_id) DO UPDATE SET status = excluded.status
"""
EMPTY = """
DELETE FROM stripe_charges; DELETE FROM stripe_refunds; DELETE FROM stripe_disputes
"""
CASH = """
SELECT date_trunc('month', l.at AT TIME ZONE 'UTC')::date AS month, l.currency,
    coalesce(sum(l.amount) FILTER (WHERE l.kind = 'collected'), 0)::bigint AS collected,
    coalesce(sum(l.amount) FILTER (WHERE l.kind = 'refunded'), 0)::bigint AS refunded,
    coalesce(sum(l.amount) FILTER (WHERE l.kind = 'disputed'), 0)::bigint AS disputed,
    coalesce(sum(l.amount) FILTER (WHERE l.kind = 'tax'), 0)::bigint AS tax
FROM billing_cash_lines AS l
GROUP BY 1, 2 ORDER BY 1, 2
"""
SHOWN = "SELECT month, currency, collected, refunded, disputed, tax FROM billing_cash ORDER BY 1, 2"
FAILED = """
SELECT date_trunc('month', f.stripe_created AT TIME ZONE 'UTC')::date AS month, f.currency,
    count(*) AS payments, sum(f.amount)::bigint AS amount, count(f.paid) AS recovered,
    coalesce(sum(f.amount) FILTER (WHERE f.paid), 0)::bigint AS amount_recovered
FROM (
    SELECT DISTINCT ON (c.stripe_payment_intent_id) c.*, later.paid
    FROM stripe_charges AS c
    LEFT JOIN (
        SELECT DISTINCT stripe_payment_intent_id, TRUE AS paid
        FROM stripe_charges WHERE status = 'succeeded'
    ) AS later USING (stripe_payment_intent_id)
    WHERE c.status = 'failed'
    ORDER BY c.stripe_payment_intent_id, c.stripe_created
) AS f
GROUP BY 1, 2 ORDER BY 1, 2
"""

# of the latest days, which are not kept, of the months before, and of those before what is kept
TIMES = st.integers(1, 15) | st.integers(16, 600) | st.integers(1300, 1500)


def step(statement: str, *statuses: str) -> st.SearchStrategy[Any]:
    numbers, currencies = st.integers(0, 8), st.sampled_from(["usd", "eur"])
    return st.tuples(st.just(statement), numbers, TIMES, currencies, st.sampled_from(statuses))


CHARGES = step(CHARGE, "succeeded", "failed", "pending")
STEPS = st.one_of(
    CHARGES,
    CHARGES,
    step(REFUND, "succeeded", "failed", "pending"),
    step(DISPUTE, "needs_response", "won", "lost"),
    st.just(("DELETE FROM stripe_charges WHERE stripe_charge_id = 'ch_1'",)),
    st.just(("fold",)),
)


def year() -> Span:
    now = begin_of(datetime.now(UTC).date(), "month")
    return Span(shift(now, "month", -11), shift(now, "month", 1))


async def check(pool: Pool) -> None:
    asked = year()
    cash, failed = await read_payments(pool, asked, livemode=False)
    true_cash = [dict(row) for row in await pool.fetch(CASH)]
    assert [dict(row) for row in await pool.fetch(SHOWN)] == true_cash
    assert list(cash) == [row for row in true_cash if row["month"] >= asked.begins_on]
    assert list(failed) == [
        dict(row) for row in await pool.fetch(FAILED) if row["month"] >= asked.begins_on
    ]


async def play(pool: Pool, steps: Sequence[Any]) -> None:
    await pool.execute(EMPTY)
    await fold_cash(pool)
    for statement, *arguments in steps:
        if statement == "fold":
            await fold_cash(pool)
        else:
            await pool.execute(statement, *arguments)
        await check(pool)


def test_what_is_kept_is_what_the_rows_say(database_url: str) -> None:
    with running_pool(database_url) as (runner, pool):

        @examples(8)
        @given(steps=st.lists(STEPS, min_size=5, max_size=20))
        def it_is(steps: Sequence[Any]) -> None:
            runner.run(play(pool, steps))

        it_is()


async def test_a_day_that_has_passed_is_not_read_again(pool: Pool) -> None:
    await pool.execute(CHARGE, 1, 30, "usd", "succeeded")
    await fold_cash(pool)
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute("UPDATE stripe_charges SET amount_captured = 1")
    cash, _ = await read_payments(pool, year(), livemode=False)
    assert [row["collected"] for row in cash] == [900]
    assert [row["collected"] for row in await pool.fetch(SHOWN)] == [900]
    await pool.execute("DELETE FROM billing_cash_folds")
    cash, _ = await read_payments(pool, year(), livemode=False)
    assert [row["collected"] for row in cash] == [1]
