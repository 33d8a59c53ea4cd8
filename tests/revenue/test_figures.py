"""Figures as they are printed: whole amounts that add up, and CSV."""

import csv
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.resources import ROOT
from mpanel_billing.revenue.movements import KINDS, movements_of
from mpanel_billing.revenue.periods import Period, begin_of, midnight, periods_of, shift
from tests import stripe_objects as made
from tests.commands import run_command
from tests.inbox import Inbox
from tests.revenue.histories import DAY, START

MONTHS = [date(2026, month, 1) for month in range(1, 7)]
MOVED = st.dictionaries(
    st.tuples(st.none() | st.sampled_from(MONTHS), st.sampled_from(KINDS)),
    st.tuples(st.integers(1, 5), st.integers(1, 50_000)),
    max_size=20,
)


@given(moved=MOVED)
def test_what_is_shown_adds_up_and_is_no_unit_off(moved: Any) -> None:
    rows: list[Any] = [
        {
            "currency": "usd",
            "starts_on": None,
            "kind": "new",
            "customers": 0,
            "amount": Decimal(10_000),
        }
    ]
    for (starts_on, kind), (customers, amount) in moved.items():
        exact = round(Decimal(amount) / 12, 10) * (-1 if kind in {"contraction", "churn"} else 1)
        if (starts_on, kind) != (None, "new"):
            rows.append(
                {"currency": "usd", "starts_on": starts_on, "kind": kind, "customers": customers,
                 "amount": exact}
            )  # fmt: skip
    shown = list(movements_of(rows, MONTHS[0], date(2026, 7, 1), "month"))
    assert [one.starts_on for one in shown] == MONTHS
    for one in shown:
        assert one.opening + sum(one.amounts.values()) == one.closing
        exact_of = {row["kind"]: row["amount"] for row in rows if row["starts_on"] == one.starts_on}
        for kind, amount in one.amounts.items():
            assert abs(amount - exact_of.get(kind, 0)) < 1
    assert all(one.closing == other.opening for one, other in pairwise(shown))
    assert all(
        one.customers_at_closing == other.customers_at_opening for one, other in pairwise(shown)
    )
    total = sum((row["amount"] for row in rows), Decimal(0))
    assert shown[-1].closing == int(total.to_integral_value(ROUND_HALF_UP))


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_periods_follow_each_other(period: Period) -> None:
    days = list(periods_of(begin_of(date(2024, 12, 20), period), date(2026, 1, 10), period))
    assert all(shift(one, period, 1) == other for one, other in pairwise(days))
    assert all(shift(other, period, -1) == one for one, other in pairwise(days))
    assert {begin_of(day, period) for day in days} == set(days)


async def sell(inbox: Inbox) -> None:
    """A plan of a month, one of a year, which is cancelled after two months, and a trial."""
    monthly = made.subscription("sub_1", start=START, amount=1000)
    yearly = made.subscription("sub_2", customer="cus_2", start=START, amount=5990)
    yearly["items"]["data"][0]["price"]["recurring"] = {"interval": "year", "interval_count": 1}
    trial = made.subscription("sub_3", customer="cus_3", start=START, status="trialing")
    trial["trial_end"] = START + 14 * DAY
    for about in (monthly, yearly, trial):
        await inbox.deliver("customer.subscription.created", about, created=START)
    ended = {"status": "canceled", "ended_at": START + 60 * DAY}
    await inbox.deliver("customer.subscription.deleted", yearly | ended, created=START + 60 * DAY)
    paid = trial | {"status": "active"}
    await inbox.deliver("customer.subscription.updated", paid, created=START + 14 * DAY)


async def figures(database_url: str, *words: str) -> list[dict[str, str]]:
    ended = await run_command(database_url, "figures", *words)
    assert ended.status == 0, ended.err
    return list(csv.DictReader(ended.out.splitlines()))


async def test_movements_and_cohorts_are_printed_as_csv(inbox: Inbox, database_url: str) -> None:
    await sell(inbox)
    span = ("--from", "2026-05", "--to", "2026-07")
    may, june, july = await figures(database_url, "movements", *span)
    assert may == {
        "period": "2026-05-01", "currency": "usd", "opening": "0.00", "new": "14.99",
        "expansion": "0.00", "reactivation": "0.00", "contraction": "0.00", "churn": "0.00",
        "closing": "14.99", "customers": "2", "arpu": "7.50", "churn_of_customers": "",
        "churn_of_revenue": "",
    }  # fmt: skip
    assert (june["opening"], june["new"], june["closing"]) == ("14.99", "7.99", "22.98")
    assert (july["churn"], july["closing"]) == ("-4.99", "17.99")
    assert (july["churn_of_customers"], july["churn_of_revenue"]) == ("33.3", "21.7")
    weeks = await figures(database_url, "movements", *span, "--by", "week")
    assert sum(Decimal(week["new"]) for week in weeks) == Decimal("22.98")
    cohort = await figures(database_url, "cohorts", "--from", "2026-05", "--to", "2026-05")
    assert [row["customers"] for row in cohort[:3]] == ["2", "2", "1"]
    assert [row["amount"] for row in cohort[:3]] == ["14.99", "14.99", "10.00"]
    (trials,) = await figures(database_url, "trials", *span)
    assert trials == {"month": "2026-06-01", "trials": "1", "converted": "1"}


async def test_a_trial_whose_charge_fails_is_not_converted_before_it_is_paid(
    inbox: Inbox, database_url: str
) -> None:
    await sell(inbox)
    span, ended = ("--from", "2026-06", "--to", "2026-06"), START + 14 * DAY
    owed = made.invoice(subscription="sub_3", customer="cus_3", status="open", created=ended)
    await inbox.deliver("invoice.payment_failed", owed, created=ended)
    (trials,) = await figures(database_url, "trials", *span)
    assert (trials["trials"], trials["converted"]) == ("1", "0")
    paid = made.invoice(subscription="sub_3", customer="cus_3", status="paid", created=ended)
    await inbox.deliver("invoice.paid", paid, created=ended + DAY)
    (trials,) = await figures(database_url, "trials", *span)
    assert (trials["trials"], trials["converted"]) == ("1", "1")


async def test_cash_and_failed_payments_are_printed_as_csv(inbox: Inbox, database_url: str) -> None:
    for id_, status, at in (("ch_1", "failed", START), ("ch_2", "succeeded", START + DAY)):
        charge = {
            "id": id_, "object": "charge", "livemode": False, "amount": 1000, "currency": "usd",
            "created": at, "customer": "cus_1", "payment_intent": "pi_1", "status": status,
            "amount_captured": 1000 if status == "succeeded" else 0,
        }  # fmt: skip
        await inbox.deliver(f"charge.{status}", charge, created=at)
    refund = made.refund("re_1", payment_intent="pi_1", amount=300) | {"created": START + 40 * DAY}
    await inbox.deliver("refund.created", refund, created=START)
    span = ("--from", "2026-05", "--to", "2026-07")
    rows = await figures(database_url, "cash", *span)
    assert [(row["month"], row["collected"], row["refunded"]) for row in rows] == [
        ("2026-05-01", "10.00", "0.00"),
        ("2026-07-01", "0.00", "3.00"),
    ]
    (failed,) = await figures(database_url, "failed", *span)
    assert (failed["payments"], failed["amount"], failed["recovered"]) == ("1", "10.00", "1")


async def test_wrong_months_are_told(database_url: str) -> None:
    for words, said in (
        (("--from", "2026-13"), "must be a month"),
        (("--from", "2026-05", "--to", "2026-04"), "must not be before"),
    ):
        ended = await run_command(database_url, "figures", "cash", *words)
        assert (ended.status, said in ended.err) == (2, True)


# of a table that is as good as empty, another index is read from end to end
MANY_CHARGES = """
INSERT INTO stripe_charges (stripe_charge_id, livemode, stripe_payment_intent_id, amount,
    amount_captured, amount_refunded, currency, status, stripe_created, stripe_as_of_since,
    stripe_as_of)
SELECT 'ch_' || n, FALSE, 'pi_' || n, 1, 1, 0, 'usd',
    CASE WHEN n % 10 = 0 THEN 'failed' ELSE 'succeeded' END, at, at, at
FROM generate_series(1, 10000) AS n
CROSS JOIN LATERAL (SELECT timestamptz '2020-01-01' + n * interval '6 hours') AS created (at);
ANALYZE stripe_charges;
SET LOCAL enable_seqscan = off
"""


async def plan_of(conn: Connection, sql: str, *given: object) -> str:
    plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {sql}", *given))
    return plan.replace("Seq Scan on stripe_tax_rates", "")


async def test_trials_and_the_payments_of_a_day_are_read_by_index(inbox: Inbox) -> None:
    trials = load_queries("figures").by_name["list_trials"].sql
    month = (midnight(date(2026, 10, 1)), midnight(date(2026, 11, 1)), False)
    of_days = (ROOT / "sql/routines/billing_cash_of_days_v1.sql").read_text().split("$$")[1]
    async with inbox.pool.acquire() as conn, conn.transaction():
        await conn.execute(MANY_CHARGES)
        ended = await plan_of(conn, trials, *month)
        for name, value in (("begins_on", "2026-10-01"), ("ends_on", "2026-10-02")):
            of_days = of_days.replace(name, f"date '{value}'")
        paid = await plan_of(conn, of_days)
    assert "billing_subscriptions_trialed_idx" in ended
    assert paid.count("stripe_charges_created_idx") >= 2
    assert "Seq Scan" not in ended + paid


def test_a_month_begins_at_midnight() -> None:
    assert midnight(date(2026, 10, 1)) == datetime(2026, 10, 1, tzinfo=UTC)


async def test_days_that_are_not_kept_are_read_at_once(inbox: Inbox) -> None:
    today = datetime.now(UTC).date()
    async with inbox.pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL track_functions = 'all'")
        await conn.execute("INSERT INTO billing_cash_folds (day) VALUES ($1)", today)
        days = (today - timedelta(days=2), today + timedelta(days=31))
        await conn.fetch("SELECT * FROM billing_cash_by_day_v1($1, $2)", *days)
        reads = await conn.fetchval(
            "SELECT pg_stat_get_xact_function_calls("
            "'billing_cash_of_days_v1(date, date)'::regprocedure)"
        )
    assert reads == 2  # before the day that is kept, and after it
