"""What follows a refund, whatever is written at the same time and however its order was found."""

import asyncio

import pytest

from mpanel_billing.database.pool import transaction
from mpanel_billing.mirror.service import apply_snapshots
from mpanel_billing.webhooks.batching import EventBatcher
from mpanel_billing.webhooks.event import Event
from mpanel_billing.webhooks.fast_path import receive
from mpanel_billing.webhooks.prepared import prepare_event
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.webhooks.pair import LATER, event_of

WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database
    WHERE d.datname = current_database() AND locktype = 'advisory' AND NOT granted"""


def refund(type_: str, status: str, *, created: int = LATER) -> Event:
    about = made.refund("re_1", payment_intent="pi_1", status=status)
    return event_of(type_, {**about, "charge": "ch_1"}, created=created)


@pytest.mark.parametrize("seconds", [1, 0], ids=["later", "within the second"])
async def test_a_refund_that_fails_has_its_charge_fetched(inbox: Inbox, seconds: int) -> None:
    batcher = EventBatcher(inbox.pool)
    await batcher.receive(refund("refund.updated", "succeeded"))
    await batcher.receive(refund("refund.failed", "failed", created=LATER + seconds))
    row = await inbox.row("SELECT object_id, reason FROM stripe_refetches")
    assert tuple(row) == ("ch_1", "a refund of it failed")


async def test_a_refund_counts_that_waits_for_the_first_invoice_of_an_order(inbox: Inbox) -> None:
    """Nothing of the invoice can be seen before its lock is held: not whose it is either."""
    await inbox.deliver("customer.subscription.created", made.subscription())
    paid = made.invoice_payment("inpay_1", invoice="in_1", payment_intent="pi_1")
    await inbox.deliver("invoice_payment.paid", paid)
    bill = event_of("invoice.paid", made.invoice("in_1"))
    back = prepare_event(refund("refund.created", "succeeded"))
    assert bill.snapshot
    assert back
    async with transaction(inbox.pool) as conn, inbox.pool.acquire() as other:
        await apply_snapshots(conn, [bill.snapshot])
        receiving = asyncio.create_task(receive(other, [back], waits=True))
        while not await conn.fetchval(WAITING):
            assert not receiving.done()
            await asyncio.sleep(0.01)
    assert (await inbox.subscription())["order_paid"]
    await receiving
    assert not (await inbox.subscription())["order_paid"]


async def test_a_refund_locks_its_invoice_before_the_subscription(inbox: Inbox) -> None:
    """As all transactions do: else it and an event of the invoice wait for each other."""
    await inbox.deliver("customer.subscription.created", made.subscription())
    await inbox.deliver("invoice.paid", made.invoice("in_1"))
    paid = made.invoice_payment("inpay_1", invoice="in_1", payment_intent="pi_1")
    await inbox.deliver("invoice_payment.paid", paid)
    back = prepare_event(refund("refund.created", "succeeded"))
    assert back
    lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
    async with inbox.pool.acquire() as other:
        async with transaction(inbox.pool) as conn:
            await conn.execute(lock, "in:in_1")
            receiving = asyncio.create_task(receive(other, [back], waits=True))
            while not await conn.fetchval(WAITING):
                assert not receiving.done()
                await asyncio.sleep(0.01)
            await conn.execute(lock, "sub:sub_1")
        received = await receiving
    assert set(received.outcomes) == {back.event.id}
