"""How often an event goes to the database: once, unless something has to be decided in Python."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.database.queries import load_queries, name_of
from mpanel_billing.mirror.reading import ORDER_METADATA_KEY
from mpanel_billing.webhooks.batching import EventBatcher
from mpanel_billing.webhooks.event import Event
from mpanel_billing.webhooks.prepared import prepare_event
from mpanel_billing.webhooks.recent import RecentInvoices
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.webhooks.pair import LATER, NOW, Pair, bill, event_of, renewal

load_queries("inbox")
ONE = ["inbox.receive_events"]
NEXT_TRANSACTION = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


@asynccontextmanager
async def statements(pool: Pool) -> AsyncIterator[list[str]]:
    """Yield the statements that the pool's connections send from now on, by name."""
    sent: list[str] = []

    def note(query: Any) -> None:
        sent.append(name_of(query.query))

    async with AsyncExitStack() as held:
        conns: list[Any] = [
            await held.enter_async_context(pool.acquire()) for _ in range(pool.get_max_size())
        ]
        for conn in conns:
            conn.add_query_logger(note)
    yield sent


def created(number: int, **more: Any) -> Event:
    about = made.subscription(f"sub_{number}", customer=f"cus_{number}", **more)
    return event_of("customer.subscription.created", about)


FIRST_SIGHTS = {
    "a subscription": created(9),
    "a subscription that is first seen changed": renewal("sub_9"),
    "a subscription with a discount": created(9, discounts=["di_9"]),
    "an invoice of an unknown subscription": bill("in_9", subscription="sub_9"),
    "an invoice of no subscription": bill("in_9", subscription=None),
    "a customer": event_of(
        "customer.created", {"id": "cus_9", "object": "customer", "email": "nine@example.com"}
    ),
    "a payment": event_of("invoice_payment.paid", made.invoice_payment("inpay_9")),
    "a refund": event_of("refund.created", made.refund("re_9")),
}
CHANGES = {
    "a renewal": renewal(),
    "the invoice of a renewal": bill(),
    "another plan": renewal(price="price_2"),
    "a failed payment": renewal(status="past_due"),
    "an end": event_of("customer.subscription.deleted", made.subscription(status="canceled")),
}


@pytest.mark.parametrize("event", (FIRST_SIGHTS | CHANGES).values(), ids=FIRST_SIGHTS | CHANGES)
async def test_an_event_takes_one_round_trip_with_all_that_follows(
    pair: Pair, event: Event
) -> None:
    assert await _sent_for(pair.inbox.pool, [event]) == ONE


DECIDED = {
    "a tie": (renewal(created=NOW, amount=999), "applied"),
    "an older one": (renewal(created=NOW - 60), "stale"),
    "an older invoice": (bill("in_first_1", created=NOW - 1), "stale"),
    "an order that is not here": (
        created(9, metadata={ORDER_METADATA_KEY: str(UUID(int=9))}),
        "applied",
    ),
    "a session of somebody else's": (
        event_of("checkout.session.completed", made.session()),
        "ignored",
    ),
    "a test clock": (renewal(test_clock="clock_1"), "applied"),
    "a first sight on a test clock": (created(9, test_clock="clock_1"), "applied"),
}


@pytest.mark.parametrize(("event", "outcome"), DECIDED.values(), ids=DECIDED)
async def test_what_is_decided_in_python_takes_two_round_trips(
    pair: Pair, event: Event, outcome: str
) -> None:
    assert await _sent_for(pair.inbox.pool, [event], outcome=outcome) == ONE * 2


async def test_a_tie_with_a_fetched_row_takes_three_round_trips(pair: Pair) -> None:
    await pair.inbox.pool.execute("UPDATE subscriptions SET stripe_event_id = NULL")
    sent = await _sent_for(pair.inbox.pool, [renewal(created=NOW, amount=999)])
    assert sent == [*ONE, "subscriptions.list_compared", *ONE]


async def test_a_second_delivery_takes_one_round_trip(pair: Pair) -> None:
    event = renewal()
    assert await _sent_for(pair.inbox.pool, [event]) == ONE
    assert await _sent_for(pair.inbox.pool, [event], outcome="duplicate") == ONE


async def test_an_ignored_event_takes_one_round_trip(pair: Pair) -> None:
    ignored = event_of("product.created", {"id": "prod_1", "object": "product"})
    sent = await _sent_for(pair.inbox.pool, [ignored], outcome="ignored")
    assert sent == ["inbox.insert_events"]


async def test_odd_events_of_a_batch_keep_no_other_from_one_round_trip(pair: Pair) -> None:
    """A duplicate, a tie and one whose lock is taken leave the rest of their batch alone."""
    pool = pair.inbox.pool
    twice, plain = bill(), created(9)
    assert await pair.receive_on_fast_path(twice) == {twice.id}
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('sub:sub_1', 0))")
        odd = [twice, renewal("sub_2", created=NOW), renewal()]
        assert await pair.receive_on_fast_path(*odd, plain) == {plain.id}


async def test_a_batch_of_all_types_takes_one_round_trip(pair: Pair) -> None:
    events = [*FIRST_SIGHTS.values(), *CHANGES.values()]
    distinct = list({event.batch_key: event for event in events}.values())
    assert await pair.receive_on_fast_path(*distinct) == {event.id for event in distinct}


async def test_what_a_purchase_sends_takes_one_round_trip_each(inbox: Inbox) -> None:
    order = await inbox.order()
    metadata = {ORDER_METADATA_KEY: str(order)}
    session = made.session(order=str(order))
    told = [
        event_of("checkout.session.completed", session),
        event_of("customer.subscription.created", made.subscription(metadata=metadata)),
        event_of("invoice.paid", made.invoice(), created=LATER + 1),
        event_of("invoice_payment.paid", made.invoice_payment(), created=LATER + 1),
        renewal(created=LATER + 2, metadata=metadata),
    ]
    assert await _sent_for(inbox.pool, told) == ONE * len(told)
    assert (await inbox.subscription())["status"] == "pending"


MADE_AND_PAID = [
    event_of("invoice.created", made.invoice("in_2", status="draft")),
    event_of("invoice.finalized", made.invoice("in_2", status="open")),
    bill(),
    event_of("invoice.payment_succeeded", made.invoice("in_2")),
]
"""What an invoice sends that is made, finalized and paid in one second."""


async def test_an_invoice_of_one_second_takes_one_round_trip_for_each_event(pair: Pair) -> None:
    batcher = EventBatcher(pair.inbox.pool)
    async with statements(pair.inbox.pool) as sent:
        sent.clear()
        outcomes = [(await batcher.receive(event)).status for event in MADE_AND_PAID]
    assert outcomes == ["applied", "applied", "applied", "stale"]
    assert sent == ONE * 4
    row = await pair.inbox.row("SELECT * FROM invoices WHERE stripe_invoice_id = 'in_2'")
    assert (row["stripe_status"], row["stripe_event_id"]) == ("paid", MADE_AND_PAID[2].id)


async def test_what_is_remembered_counts_only_while_it_is_stored(pair: Pair) -> None:
    """Another process has written the invoice since: the older event decides nothing."""
    first, second, last, _ = MADE_AND_PAID
    pool = pair.inbox.pool
    here = EventBatcher(pool)
    await here.receive(first)
    await EventBatcher(pool).receive(last)
    async with statements(pool) as sent:
        sent.clear()
        assert (await here.receive(second)).status == "stale"
    assert sent == ONE * 2
    row = await pair.inbox.row("SELECT * FROM invoices WHERE stripe_invoice_id = 'in_2'")
    assert row["stripe_status"] == "paid"


async def test_few_invoices_are_remembered(pair: Pair) -> None:
    recent = RecentInvoices()
    events = [
        prepared
        for number in range(100)
        if (prepared := prepare_event(bill(f"in_{number}"))) is not None
    ]
    recent.note_all(events, {each.event.id: "then" for each in events})
    found = [recent.find(each) is not None for each in events]
    assert found == [False] * 36 + [True] * 64


async def test_an_attempt_that_does_nothing_leaves_nothing_to_commit(pair: Pair) -> None:
    """Without a transaction id there is no record of a commit to flush.

    Ids are the server's, so other tests take some too: but not between all of these attempts.
    """
    older = [renewal(created=LATER - 600), bill("in_first_1", created=LATER - 600)]
    taken = [await _ids_taken(pair, older) for _ in range(20)]
    assert 0 in taken


async def _ids_taken(pair: Pair, events: Sequence[Event]) -> int:
    """Return how many transaction ids the server has given while events were tried."""
    before: int = await pair.inbox.pool.fetchval(NEXT_TRANSACTION)
    for event in events:
        assert await pair.receive_on_fast_path(event) == set()
    after: int = await pair.inbox.pool.fetchval(NEXT_TRANSACTION)
    return after - before


async def _sent_for(pool: Pool, events: Sequence[Event], *, outcome: str = "applied") -> list[str]:
    batcher = EventBatcher(pool)
    async with statements(pool) as sent:
        sent.clear()
        for event in events:
            assert (await batcher.receive(event)).status == outcome
        return list(sent)
