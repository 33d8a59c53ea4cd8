"""The ledger of the revenue says what a history says, in whatever order it was told."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.database.pool import Pool
from mpanel_billing.doctor.finding import Status
from mpanel_billing.doctor.work import check_movements
from mpanel_billing.mirror.snapshot import snapshot_of_answer
from mpanel_billing.revenue.folding import (
    find_differences,
    find_wrong_totals,
    fold_movements,
    rebuild_movements,
)
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.revenue.examples import examples, running_pool
from tests.revenue.histories import DAY, HISTORIES, START, Moment, event_of, ledger, live

STATES = """
SELECT r.at, r.billed, CASE WHEN r.billed THEN r.state END AS state
FROM billing_revenue_states AS r
JOIN subscriptions AS s ON s.id = r.subscription_id
WHERE s.stripe_subscription_id = $1
ORDER BY r.at
"""
LEDGER = """
SELECT l.at, l.currency, l.amount, l.change
FROM billing_mrr_ledger AS l
JOIN subscriptions AS s ON s.id = l.subscription_id
WHERE s.stripe_subscription_id = $1
ORDER BY l.at
"""
FORGOTTEN = """
DELETE FROM stripe_events; DELETE FROM subscriptions; DELETE FROM stripe_refetches;
DELETE FROM billing_deleted_subscriptions;
DELETE FROM billing_revenue_states; DELETE FROM billing_discount_terms;
DELETE FROM billing_mrr_ledger
"""


MOVED = """
WITH another AS (
    INSERT INTO customers (email) VALUES (gen_random_uuid() || '@example.com') RETURNING id
)
UPDATE subscriptions SET customer_id = another.id FROM another WHERE stripe_subscription_id = $1
"""


async def fetch(inbox: Inbox, about: Mapping[str, Any], at: int) -> None:
    """Apply a subscription as Stripe answers at a time."""
    moment = datetime.fromtimestamp(at, UTC)
    await inbox.mirror.apply(
        [snapshot_of_answer(about, since=moment, as_of=moment, livemode=False, read_after=None)]
    )


async def rows(pool: Pool, stripe_id: str) -> tuple[list[Any], list[Any]]:
    """Return what is kept of a subscription, without its name."""
    states = [
        (row["at"], row["billed"], str(row["state"]).replace(stripe_id[4:], "*"))
        for row in await pool.fetch(STATES, stripe_id)
    ]
    return states, [tuple(row) for row in await pool.fetch(LEDGER, stripe_id)]


def said(entries: Sequence[tuple[datetime, str, Decimal, Decimal]]) -> list[tuple[int, Fraction]]:
    """Return when entries change the amount to what, to a ten-thousandth of a minor unit."""
    return [(int(at.timestamp()), rounded(Fraction(amount))) for at, _, amount, _ in entries]


def rounded(amount: Fraction) -> Fraction:
    return round(amount, 4)


def check_chain(entries: Sequence[tuple[datetime, str, Decimal, Decimal]]) -> None:
    """Each entry changes what the one before has left."""
    before = Decimal(0)
    for _, _, amount, change in entries:
        assert before + change == amount
        before = amount


SUMS = """
SELECT period, sum(amount) AS amount FROM billing_mrr_movements GROUP BY period
"""


async def check_sums(pool: Pool) -> None:
    """All movements of any period are the revenue, to the last digit."""
    total = await pool.fetchval("SELECT sum(change) FROM billing_mrr_ledger WHERE at <= now()")
    for row in await pool.fetch(SUMS):
        assert row["amount"] == total, row["period"]
    for _ in range(2):
        assert await find_differences(pool) == []
        assert await find_wrong_totals(pool) == []
        await fold_movements(pool)
    assert await pool.fetchval("SELECT count(*) FROM billing_mrr_unfolded") == 0


async def tell(inbox: Inbox, moments: Sequence[Moment], chance: Any) -> None:
    """Deliver all events in any order, some twice, with answers of Stripe's in between."""
    told = [(moment.at, event_of(moment, number)) for number, moment in enumerate(moments)]
    told += chance.sample(told, len(told) // 3)
    chance.shuffle(told)
    for _, event in told:
        assert await inbox.receive(event) in {"applied", "stale", "duplicate"}
        if chance.random() < 0.3:
            seen = chance.choice(moments)
            await fetch(inbox, seen.about, seen.at + 1)
        if chance.random() < 0.3:
            await inbox.pool.execute(MOVED, str(chance.choice(moments).about["id"]))
        if chance.random() < 0.3:
            await fold_movements(inbox.pool)


async def compare(inbox: Inbox, history: Mapping[str, Any], chance: Any) -> None:
    await inbox.pool.execute(FORGOTTEN)
    calm, wild = live(history, "calm"), live(history, "wild")
    for number, moment in enumerate(calm):
        assert await inbox.receive(event_of(moment, number)) == "applied"
    await tell(inbox, wild, chance)
    states, entries = await rows(inbox.pool, "sub_calm")
    assert await rows(inbox.pool, "sub_wild") == (states, entries)
    check_chain(entries)
    await check_sums(inbox.pool)
    assert said(entries) == [(at, rounded(amount)) for at, amount in ledger(calm)]


def test_any_order_leaves_the_ledger_that_the_history_says(database_url: str) -> None:
    with running_pool(database_url) as (runner, pool):

        @examples(10)
        @given(history=HISTORIES, chance=st.randoms(use_true_random=False))
        def it_is(history: Mapping[str, Any], chance: Any) -> None:
            runner.run(compare(Inbox(pool), history, chance))

        it_is()


def sold(id_: str = "sub_1", **more: Any) -> dict[str, Any]:
    return {**made.subscription(id_, start=START), "start_date": START, "created": START, **more}


async def entries_of(pool: Pool, stripe_id: str = "sub_1") -> list[tuple[int, int]]:
    return [
        (int(row["at"].timestamp()), round(row["amount"]))
        for row in await pool.fetch(LEDGER, stripe_id)
    ]


async def test_what_is_imported_is_not_new_today(inbox: Inbox) -> None:
    now = START + 500 * DAY
    await fetch(inbox, sold(), now)
    await fetch(inbox, sold("sub_2", trial_end=START + 14 * DAY), now)
    ended = {"status": "canceled", "ended_at": START + 90 * DAY}
    await fetch(inbox, sold("sub_3", **ended), now)
    await fetch(inbox, sold("sub_4", **ended, trial_end=START + 91 * DAY), now)
    await fetch(inbox, sold("sub_5", status="unpaid"), now)
    assert await entries_of(inbox.pool) == [(START, 799)]
    assert await entries_of(inbox.pool, "sub_2") == [(START + 14 * DAY, 799)]
    assert await entries_of(inbox.pool, "sub_3") == [(START, 799), (START + 90 * DAY, 0)]
    assert await entries_of(inbox.pool, "sub_4") == []
    assert await entries_of(inbox.pool, "sub_5") == []


async def test_a_discount_counts_from_the_event_that_named_it(inbox: Inbox) -> None:
    """Events carry its id; what it takes off is fetched, days later if Stripe is down."""
    await inbox.deliver("customer.subscription.created", sold(discounts=["di_1"]), created=START)
    changed = sold(discounts=["di_1"])
    changed["items"]["data"][0]["quantity"] = 2
    await inbox.deliver("customer.subscription.updated", changed, created=START + DAY)
    assert await entries_of(inbox.pool) == [(START, 799), (START + DAY, 1598)]
    source = {"type": "coupon", "coupon": {"id": "half", "percent_off": 50, "duration": "forever"}}
    discount = {"id": "di_1", "object": "discount", "start": START, "end": None, "source": source}
    await fetch(inbox, {**changed, "discounts": [discount]}, START + 5 * DAY)
    assert await entries_of(inbox.pool) == [(START, 399), (START + DAY, 799)]


async def test_an_end_whose_event_was_lost_is_dated_by_stripe(inbox: Inbox) -> None:
    await inbox.deliver("customer.subscription.created", sold(), created=START)
    ended = sold(status="canceled", ended_at=START + 20 * DAY)
    await fetch(inbox, ended, START + 60 * DAY)
    assert await entries_of(inbox.pool) == [(START, 799), (START + 20 * DAY, 0)]


async def test_a_change_whose_event_was_lost_counts_from_when_it_was_seen(inbox: Inbox) -> None:
    await inbox.deliver("customer.subscription.created", sold(), created=START)
    changed = sold()
    changed["items"]["data"][0]["quantity"] = 2
    await fetch(inbox, changed, START + 9 * DAY)
    assert await entries_of(inbox.pool) == [(START, 799), (START + 9 * DAY, 1598)]
    # and it does come, days late
    await inbox.deliver("customer.subscription.updated", changed, created=START + 4 * DAY)
    assert await entries_of(inbox.pool) == [(START, 799), (START + 4 * DAY, 1598)]


async def test_a_subscription_whose_row_is_deleted_here_adds_nothing_from_then_on(
    inbox: Inbox,
) -> None:
    await inbox.deliver("customer.subscription.created", sold(), created=START)
    await inbox.pool.execute("DELETE FROM subscriptions")
    rows = await inbox.pool.fetch("SELECT at, amount FROM billing_mrr_ledger ORDER BY at")
    assert [row["amount"] for row in rows] == [799, 0]
    assert (datetime.now(UTC) - rows[1]["at"]).total_seconds() < DAY


async def test_a_renewal_writes_nothing_to_the_ledger(inbox: Inbox) -> None:
    await inbox.deliver("customer.subscription.created", sold(), created=START)
    written = "SELECT xmin::text, ctid::text FROM billing_revenue_states"
    before = await inbox.row(written)
    renewed = {**sold(), **made.subscription(start=START + 30 * DAY)}
    assert await inbox.deliver("customer.subscription.updated", renewed, created=START + 30 * DAY)
    assert await inbox.row(written) == before
    assert await inbox.pool.fetchval("SELECT count(*) FROM billing_mrr_ledger") == 1


MOVEMENTS = """
SELECT period, starts_on, kind, customers, amount FROM billing_mrr_movements
WHERE NOT livemode AND currency = 'usd'
ORDER BY period, starts_on, kind
"""


async def test_movements_are_told_by_customer(inbox: Inbox) -> None:
    """A second subscription is an expansion, the end of one of two a contraction."""
    one, two = sold(), sold("sub_2")
    ended = {"status": "canceled"}
    story = [
        (0, "created", one),
        (1, "created", {**two, "start_date": START + DAY}),
        (2, "deleted", {**two, **ended, "ended_at": START + 2 * DAY}),
        (3, "updated", {**one, "status": "unpaid"}),
        (4, "updated", one),
        (5, "deleted", {**one, **ended, "ended_at": START + 5 * DAY}),
    ]
    for days, kind, about in story:
        at = START + days * DAY
        await inbox.deliver(f"customer.subscription.{kind}", about, created=at)
    found = [tuple(row) for row in await inbox.pool.fetch(MOVEMENTS) if row["period"] == "day"]
    assert [(row[2], row[3], int(row[4])) for row in found] == [
        ("new", 1, 799),
        ("expansion", 1, 799),
        ("contraction", 1, -799),
        ("churn", 1, -799),
        ("reactivation", 1, 799),
        ("churn", 1, -799),
    ]


async def test_sums_that_do_not_add_up_to_the_revenue_are_found_by_the_doctor(
    inbox: Inbox,
) -> None:
    await inbox.deliver("customer.subscription.created", sold(), created=START)
    await fold_movements(inbox.pool)
    assert (await check_movements(inbox.pool))[0].status is Status.OK
    await inbox.pool.execute("UPDATE billing_mrr_periods SET amount = 800 WHERE period = 'week'")
    (found,) = await check_movements(inbox.pool)
    assert found.status is Status.FAILED
    assert "$8.00 by week, of $7.99" in found.detail
    await rebuild_movements(inbox.pool)
    assert (await check_movements(inbox.pool))[0].status is Status.OK
    await inbox.pool.execute("DELETE FROM billing_revenue_changes")  # the revenue is not counted
    assert {row["of"] for row in await find_wrong_totals(inbox.pool)} == {
        *("day", "week", "month", "cohort")
    }


async def test_what_is_seen_ahead_of_our_clock_is_no_difference(inbox: Inbox) -> None:
    """A test clock is; then the ledger has it in the future, and the revenue at once."""
    ahead = int(datetime.now(UTC).timestamp()) + 5 * DAY
    await fetch(inbox, {**sold(), "start_date": ahead - DAY}, ahead)
    assert await inbox.pool.fetchval("SELECT mrr FROM billing_mrr") == 799
    assert await find_wrong_totals(inbox.pool) == []
