"""No statement of the webhook path reads a whole table to look up a few rows.

Connections keep its plans: what pays off while a table is small would stay when it has grown.
"""

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mpanel_billing.webhooks.event import Event
from mpanel_billing.webhooks.fast_path import receive
from mpanel_billing.webhooks.full_path import LeftEvent, receive_decided
from mpanel_billing.webhooks.prepared import prepare_event
from mpanel_billing.webhooks.recent import RecentInvoices
from tests import stripe_objects as made
from tests.webhooks.pair import NOW, Pair, event_of, renewal
from tests.webhooks.test_round_trips import CHANGES, DECIDED, FIRST_SIGHTS

# statistics of tables that were emptied say that they are empty; those of new ones say nothing yet
pytestmark = pytest.mark.own_database

CUSTOMER = {"id": "cus_1", "object": "customer", "email": "one@example.com", "balance": 0}
CHARGE = {
    "id": "ch_1",
    "object": "charge",
    "amount": 799,
    "currency": "usd",
    "status": "succeeded",
    "created": NOW,
    "customer": "cus_1",
    "payment_intent": "pi_1",
}
WAITING = {"stripe_refetches", "provisioning_work", "pgqueuer", "billing_messages"}
"""What a burst fills before statistics know of it: the plans made while they are empty stay."""

EVENTS = [
    *FIRST_SIGHTS.values(),
    *CHANGES.values(),
    *(event for event, _ in DECIDED.values()),
    renewal(discounts=["di_1"]),
    event_of("customer.updated", CUSTOMER),
    event_of("charge.succeeded", CHARGE),
    event_of(
        "checkout.session.completed",
        made.session("cs_test_9", subscription="sub_9", customer="cus_9"),
    ),
]
EXPLAIN = """
    LOAD 'auto_explain';
    SET auto_explain.log_min_duration = 0;
    SET auto_explain.log_nested_statements = on;
    SET auto_explain.log_verbose = on;
    SET client_min_messages = log"""


@contextmanager
def plans(conn: Any) -> Iterator[list[str]]:
    """Yield the plans of the statements that a connection runs, in functions too."""
    found: list[str] = []

    def note(_: Any, message: Any) -> None:
        found.append(str(message.message))

    conn.add_log_listener(note)
    yield found
    conn.remove_log_listener(note)


async def receive_and_undo(conn: Any, event: Event) -> None:
    """Receive an event, by a decision if its order is not clear."""
    prepared = prepare_event(event)
    assert prepared
    transaction = conn.transaction()
    await transaction.start()
    received = await receive(conn, [prepared], waits=False)
    if event.id in received.left:
        left = LeftEvent(prepared, received.left[event.id], seen=True)
        await receive_decided(conn, [left], RecentInvoices())
    await transaction.rollback()


def hashed(plan: str) -> Iterator[str]:
    """Yield what is hashed as a whole for a subquery, unless it is of the statement itself."""
    for number in set(re.findall(r"hashed SubPlan (\d+)", plan)):
        subplan = re.search(rf"SubPlan {number}\n\s+->\s+(.*)\n", plan)
        assert subplan, plan
        if not subplan[1].startswith("CTE Scan"):
            yield subplan[1]


def read_whole(plan: str) -> Iterator[str]:
    """Yield each scan of a table that no condition on an index limits."""
    lines = plan.splitlines()
    for number, line in enumerate(lines):
        scan = re.match(r"\s*(?:->\s+)?((?:Seq|Index(?: Only)?) Scan .*?)\s+\(cost", line)
        if not scan:
            continue
        details = itertools.takewhile(lambda detail: "(cost" not in detail, lines[number + 1 :])
        if not any("Index Cond:" in detail for detail in details):
            yield scan[1]


async def test_no_whole_table_is_hashed_and_no_queue_read(pair: Pair) -> None:
    await pair.inbox.order("cus_9", "cs_test_9")
    async with pair.inbox.pool.acquire() as conn:
        await conn.execute(EXPLAIN)
        with plans(conn) as found:
            for event in EVENTS:
                await receive_and_undo(conn, event)
    assert len(found) > len(EVENTS)
    assert [table for plan in found for table in hashed(plan)] == []
    scanned = {scan for plan in found for scan in read_whole(plan)}
    assert [scan for scan in scanned if scan.split(" on public.")[1].split()[0] in WAITING] == []
