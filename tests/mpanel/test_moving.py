"""docs/moving-from-mpanel.md: its queries do what it says, on mPanel's own database."""

import re
from typing import Any

import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.resources import ROOT
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.mpanel.databases import columns_of, connected, roll_back_all, rows_of
from tests.mpanel.mpanel_code import DUE_TO_BILLER

TEXT = (ROOT / "docs" / "moving-from-mpanel.md").read_text()
LONG_OPEN, OVERVIEW, FORGET_TESTS, HAND_OVER, DROP_UNPAID = re.findall(
    r"```sql\n(.*?)```", TEXT, re.DOTALL
)


async def buy(pool: Pool, inbox: Inbox) -> None:
    """A subscription with its tenant, which Stripe will end; one that runs on; an unpaid order."""
    order = await inbox.order()
    metadata = {"subscriptionId": str(order)}
    ending = made.subscription(metadata=metadata, cancel_at_period_end=True, end=1_700_000_000)
    await inbox.deliver("customer.subscription.created", ending)
    await inbox.deliver(
        "customer.subscription.created", made.subscription("sub_2", customer="cus_2")
    )
    await inbox.deliver("invoice.paid", made.invoice())
    await pool.execute(
        "INSERT INTO tenants (name, domain, billing_subscription_id)"
        " VALUES ('Ada', 'ada.test', $1)",
        order,
    )
    await pool.execute(
        "UPDATE subscriptions SET status = 'active' WHERE stripe_subscription_id IS NOT NULL"
    )
    await inbox.order("cus_3", "cs_test_3")


@pytest.fixture
async def bought(pool: Pool, inbox: Inbox) -> None:
    await buy(pool, inbox)


async def go_live(pool: Pool) -> None:
    await pool.execute(
        "UPDATE subscriptions SET livemode = TRUE WHERE billing_provider IS NOT NULL"
    )


async def test_the_queries_that_only_look_can_be_run(pool: Pool, bought: None) -> None:
    await pool.fetch(LONG_OPEN)
    assert len(await pool.fetch(OVERVIEW)) == 3


async def test_the_orders_of_test_mode_go_without_a_trace(
    database_url: str, pool: Pool, inbox: Inbox
) -> None:
    async with connected(database_url) as connection:
        columns = await columns_of(connection)
        # the worker deletes what it has folded
        for kept in (
            "pgqueuer",
            "pgqueuer_log",
            "billing_revenue_changes",
            "billing_mrr_changes",
            "billing_cash_changes",
        ):
            columns.pop(kept)
        before = await rows_of(connection, columns)
        await buy(pool, inbox)
        await connection.execute(FORGET_TESTS)
        assert await rows_of(connection, columns) == before


async def test_live_rows_survive_that(pool: Pool, bought: None) -> None:
    await go_live(pool)
    await pool.execute(FORGET_TESTS)
    assert await pool.fetchval("SELECT count(*) FROM billing_overview") == 3


async def test_what_stripe_ends_is_handed_to_mpanels_biller_and_nothing_else(
    pool: Pool, bought: None
) -> None:
    await go_live(pool)
    await pool.execute(HAND_OVER)
    due = {row["id"] for row in await pool.fetch(DUE_TO_BILLER)}
    handed = await pool.fetchval(
        "SELECT id FROM subscriptions WHERE stripe_subscription_id = 'sub_1'"
    )
    assert len(due) == 2
    assert handed in due


async def test_unpaid_orders_are_deleted_and_the_others_stay(pool: Pool, bought: None) -> None:
    await pool.execute(DROP_UNPAID)
    left = await pool.fetch(
        "SELECT stripe_subscription_id FROM subscriptions WHERE billing_provider = 'stripe'"
    )
    assert {row["stripe_subscription_id"] for row in left} == {"sub_1", "sub_2"}


async def test_what_came_through_us_stays_as_plain_rows_that_nobody_bills(
    database_url: str, bought: None
) -> None:
    query = "SELECT id, status, price, auto_renew, next_billing_date FROM subscriptions ORDER BY id"
    async with connected(database_url) as connection:
        before: Any = await connection.fetch(query)
        due = await connection.fetch(DUE_TO_BILLER)
        await roll_back_all(database_url)
        assert await connection.fetch(query) == before
        assert await connection.fetch(DUE_TO_BILLER) == due
        assert "stripe_subscription_id" not in (await columns_of(connection))["subscriptions"]
