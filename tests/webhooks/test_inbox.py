"""A broken connection, what the inbox says, an invoice's decimals, a second delivery."""

import asyncio

import pytest

from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.webhooks.batching import EventBatcher
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.mirror.test_refetch import VICTIM_ONCE
from tests.waiting import until_blocking
from tests.webhooks.test_batching import update
from tests.webhooks.test_receiving import FAULT, MENDED, POISON

T = 1_790_000_000
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_an_event_whose_connection_breaks_is_refused_and_comes_again(inbox: Inbox) -> None:
    batcher = EventBatcher(inbox.pool)
    async with inbox.pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('sub:sub_1', 0))")
        taken = asyncio.create_task(batcher.receive(update(1)))
        await until_blocking(other, inbox.pool)
        await inbox.pool.execute(CUT)
        with pytest.raises(DatabaseUnavailableError):
            await taken
    assert (await batcher.receive(update(1))).status == "applied"


async def test_the_inbox_has_the_outcome_of_each_event(inbox: Inbox) -> None:
    told = (("evt_new", T + 5, 1299), ("evt_old", T, 799), ("evt_tie", T + 5, 999))
    for id_, created, amount in told:
        about = made.subscription(amount=amount)
        await inbox.deliver("customer.subscription.updated", about, id_=id_, created=created)
    rows = await inbox.pool.fetch("SELECT id, status, reason FROM stripe_events ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("evt_new", "applied", None),
        ("evt_old", "stale", None),
        ("evt_tie", "applied", "order within the second is undecided: refetching"),
    ]


@pytest.mark.parametrize(
    ("currency", "amounts"),
    [("usd", "7.00 0.99 7.99"), ("jpy", "700.00 99.00 799.00"), ("kwd", "0.70 0.10 0.80")],
)
async def test_an_invoices_decimals_are_those_of_its_currency(
    inbox: Inbox, currency: str, amounts: str
) -> None:
    tax = 100 if currency == "kwd" else 99
    about = made.invoice(
        subtotal=700, total=700 + tax, total_taxes=[{"amount": tax}], currency=currency
    )
    assert await inbox.deliver("invoice.paid", about) == "applied"
    row = await inbox.row("SELECT subtotal, tax_amount, total FROM invoices")
    assert " ".join(str(value) for value in row) == amounts


async def test_a_second_delivery_of_a_failed_event_leaves_it_to_its_retries(inbox: Inbox) -> None:
    await inbox.pool.execute(FAULT)
    await inbox.receive(POISON)
    kept = await inbox.row("SELECT * FROM stripe_events")
    assert await inbox.receive(POISON) == "duplicate"
    await inbox.pool.execute(MENDED)
    assert await inbox.receive(POISON) == "duplicate"
    assert await inbox.row("SELECT * FROM stripe_events") == kept


async def test_a_session_of_another_customer_takes_no_order(inbox: Inbox) -> None:
    order = await inbox.order(customer="cus_owner")
    foreign = made.session("cs_other", customer="cus_thief", order=str(order))
    assert await inbox.deliver("checkout.session.completed", foreign) == "ignored"
    row = await inbox.row("SELECT * FROM subscriptions WHERE id = $1", order)
    assert (row["status"], row["stripe_subscription_id"]) == ("provisional", None)
    assert row["checkout_session_id"] == "cs_test_1"


async def test_an_event_whose_transaction_fell_victim_to_a_deadlock_is_applied_at_once(
    inbox: Inbox,
) -> None:
    await inbox.pool.execute(VICTIM_ONCE)
    assert await inbox.deliver("customer.subscription.created", made.subscription()) == "applied"
