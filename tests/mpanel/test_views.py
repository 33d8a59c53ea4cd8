"""The three views over many subscriptions: right, and by index where one is due.

What they cost at a million subscriptions is measured by `python -m benchmarks reads`.
"""

from collections import Counter

import asyncpg
import pytest

from tests.mpanel.databases import HERE, Connection, connected

SUBSCRIPTIONS = 2_000
TROUBLED = SUBSCRIPTIONS // 200


@pytest.fixture
async def busy_url(database_url: str) -> str:
    async with connected(database_url) as connection:
        await connection.execute(f"SET billing.subscriptions = {SUBSCRIPTIONS}")
        await connection.execute((HERE / "many_rows.sql").read_text())
    return database_url


async def plan_of(connection: Connection, query: str) -> str:
    """How it would be run if reading a table from end to end were out of the question."""
    await connection.execute("SET enable_seqscan = off")
    return "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}"))


async def test_billing_trouble_names_every_trouble(busy_url: str) -> None:
    async with connected(busy_url) as connection:
        rows = await connection.fetch("SELECT trouble, detail FROM billing_trouble")
    assert Counter(row["trouble"] for row in rows) == {
        "not_provisioned": TROUBLED,
        "provisioning_failed": 2 * TROUBLED,
        "work_failed": TROUBLED,
        "event_failed": TROUBLED,
        "overdue": TROUBLED,
    }
    assert all(row["detail"] for row in rows)


OF_TROUBLE = (
    "billing_subscriptions_attention_idx",
    "billing_invoices_attention_idx",
    "billing_checkout_sessions_paid_again_idx",
    "billing_orders_left_open_idx",
    "billing_domains_troubled_idx",
    "billing_domains_not_refunded_idx",
    "tenant_services_troubled_idx",
    "provisioning_work_troubled_idx",
    "billing_domain_proofs_unproven_idx",
    "unhandled_idx",
    "billing_items_unknown_price_idx",
    "provisioning_work_debt_unconfirmed_idx",
    "billing_audit_unsettled_pkey",
    "provisioning_work_owed_idx",
    "provisioning_work_paid_after_end_idx",
    "provisioning_work_undone_idx",
    "provisioning_work_due_idx",
    "billing_services_idle_idx",
    "billing_services_unsettled_idx",
    "billing_trials_second_idx",
    "billing_deliveries_unfinished_idx",
    "stripe_disputes_unanswered_idx",
    "stripe_fraud_warnings_actionable_idx",
    "billing_domain_renewals_troubled_idx",
    "stripe_tax_ids_unverified_idx",
    "billing_meter_events_unbilled_idx",
    "billing_meter_events_failing_idx",
)
WATCHED = (
    "provisioning_work_owed_idx",
    "provisioning_work_payable_after_end_idx",
    "tenant_services_troubled_idx",
    "provisioning_work_debt_unconfirmed_idx",
    "unhandled_idx",
    "billing_refetches_failing_idx",
    "stripe_disputes_under_review_idx",
)


async def test_billing_trouble_reads_only_the_troubled_rows(busy_url: str) -> None:
    async with connected(busy_url) as connection:
        plan = await plan_of(connection, "SELECT * FROM billing_trouble")
    assert [index for index in OF_TROUBLE if f"{index} " not in plan] == []


async def test_billing_watch_reads_only_what_is_watched(busy_url: str) -> None:
    async with connected(busy_url) as connection:
        plan = await plan_of(connection, "SELECT * FROM billing_watch")
    assert [index for index in WATCHED if f"{index} " not in plan] == []


async def test_billing_overview_has_one_line_for_each_subscription(busy_url: str) -> None:
    async with connected(busy_url) as connection:
        rows = await connection.fetch("SELECT * FROM billing_overview")
    assert len(rows) == SUBSCRIPTIONS
    pending = next(row for row in rows if row["status"] == "pending")
    assert _told(pending) == {
        "plan": "starter",
        "services": "email=absent->active hosting=absent->active",
        "latest_invoice": "paid $7.99 of $7.99",
        "trouble": "not_provisioned provisioning_failed work_failed",
    }
    overdue = next(row for row in rows if row["stripe_status"] == "past_due")
    assert (overdue["latest_invoice"], overdue["trouble"]) == ("open $0.00 of $7.99", "overdue")


def _told(row: asyncpg.Record) -> dict[str, str]:
    return {name: row[name] for name in ("plan", "services", "latest_invoice", "trouble")}


async def test_billing_mrr_leaves_trials_and_ended_subscriptions_out(busy_url: str) -> None:
    async with connected(busy_url) as connection:
        rows = await connection.fetch("SELECT * FROM billing_mrr")
    counted = SUBSCRIPTIONS - 2 * TROUBLED
    assert [tuple(row) for row in rows] == [(True, "usd", counted, counted * 2 * 799)]


@pytest.mark.parametrize(
    ("interval", "count", "amount", "monthly"),
    [
        ("month", 1, 799, 799),
        ("year", 1, 9588, 799),
        ("month", 6, 4794, 799),
        ("week", 1, 300, 1300),
    ],
)
async def test_every_term_counts_by_the_month(
    database_url: str, interval: str, count: int, amount: int, monthly: int
) -> None:
    async with connected(database_url) as connection:
        await connection.execute("SET billing.subscriptions = 5")
        await connection.execute((HERE / "many_rows.sql").read_text())
        await connection.execute(
            "DELETE FROM subscription_items WHERE stripe_subscription_item_id <> 'si_5_1'"
        )
        await connection.execute(
            "UPDATE subscription_items SET recurring_interval = $1, interval_count = $2,"
            " unit_amount = $3",
            interval,
            count,
            amount,
        )
        assert await connection.fetchval("SELECT mrr FROM billing_mrr") == monthly
