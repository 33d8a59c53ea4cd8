"""Most events take one round trip; everything else is left to the full path."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from mpanel_billing.mirror.reading import ORDER_METADATA_KEY
from mpanel_billing.webhooks.batching import EventBatcher
from mpanel_billing.webhooks.event import Event
from mpanel_billing.webhooks.inbox import receive_event
from mpanel_billing.webhooks.prepared import prepare_event
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.webhooks.pair import LATER, MONTH, NOW, Pair, bill, event_of, renewal


async def test_a_renewal_is_written_and_kept_as_applied(pair: Pair) -> None:
    event = renewal()
    assert await pair.receive_on_fast_path(event) == {event.id}
    row = await pair.inbox.subscription()
    assert row["stripe_event_id"] == event.id
    assert row["current_period_start"].timestamp() == LATER
    item = await pair.inbox.row(
        "SELECT current_period_end FROM subscription_items WHERE subscription_id = $1", row["id"]
    )
    assert item["current_period_end"].timestamp() == LATER + MONTH
    kept = await pair.inbox.row("SELECT * FROM stripe_events WHERE id = $1", event.id)
    assert (kept["status"], kept["reason"], kept["attempts"]) == ("applied", None, 0)
    assert kept["applied_at"] is not None


async def test_an_invoice_of_a_paid_subscription_is_written_linked_and_its_payment_awaited(
    pair: Pair,
) -> None:
    event = bill()
    assert await pair.receive_on_fast_path(event) == {event.id}
    linked = await pair.inbox.row(
        "SELECT s.stripe_subscription_id FROM invoices AS i"
        " JOIN subscriptions AS s ON s.id = i.subscription_id WHERE i.stripe_invoice_id = 'in_2'"
    )
    assert linked["stripe_subscription_id"] == "sub_1"
    request = await pair.inbox.row("SELECT reason FROM stripe_refetches WHERE object_id = 'in_2'")
    assert request["reason"] == "awaited"


async def test_a_later_snapshot_of_a_known_invoice_takes_the_fast_path_too(
    pair: Pair,
) -> None:
    opened = event_of("invoice.finalized", made.invoice("in_2", status="open"))
    paid = bill(created=LATER + 1)
    assert await pair.receive_on_fast_path(opened) == {opened.id}
    assert await pair.receive_on_fast_path(paid) == {paid.id}
    row = await pair.inbox.row("SELECT status FROM invoices WHERE stripe_invoice_id = 'in_2'")
    assert row["status"] == "paid"


async def test_an_event_for_the_full_path_is_left_out_of_its_batch(
    pair: Pair,
) -> None:
    tie = renewal("sub_2", status="past_due", created=NOW)
    events = [renewal(), tie, bill()]
    assert await pair.receive_on_fast_path(*events) == {events[0].id, events[2].id}
    assert (await pair.inbox.subscription("sub_2"))["stripe_status"] == "active"
    kept = await pair.inbox.pool.fetchval("SELECT count(*) FROM stripe_events")
    assert kept == 4 + 2


DECLINED = {
    "on a test clock": renewal(test_clock="clock_1"),
    "an invoice on a test clock": bill(test_clock="clock_1"),
    "of the same second as the row": renewal(created=NOW, cancel_at=None),
    "older than the row": renewal(created=NOW - 60),
    "an order that is not here": renewal("sub_9", metadata={ORDER_METADATA_KEY: str(uuid4())}),
    "a session without an order": event_of("checkout.session.completed", made.session()),
    "an invoice older than the row": bill("in_first_1", created=NOW - 1),
    "an invoice of the same second as the row": bill("in_first_1", created=NOW),
}


@pytest.mark.parametrize("event", DECLINED.values(), ids=DECLINED)
async def test_declined_and_untouched(pair: Pair, event: Event) -> None:
    before = await pair.rows()
    assert await pair.receive_on_fast_path(event) == set()
    assert await pair.rows() == before


def rich_renewal(number: int, second: int) -> Event:
    """A renewal that changes all that takes the fast path: terms, amounts, and a distant end."""
    return renewal(
        f"sub_{number}",
        created=LATER + second,
        amount=1_250,
        cancel_at=LATER + 40 * MONTH,
        canceled_at=LATER + 7,
        ended_at=LATER + 8,
        cancellation_details={"reason": "cancellation_requested", "feedback": "other"},
    )


def rich_bill(number: int, second: int, *, paid: bool) -> Event:
    """An invoice with every field that is written."""
    about = made.invoice(
        f"in_new_{number}",
        subscription=f"sub_{number}",
        customer=f"cus_{number}",
        status="paid" if paid else "open",
        number=f"R-{second}",
        billing_reason="subscription_cycle",
        subtotal=700,
        total_taxes=[{"amount": 99}],
        amount_remaining=0 if paid else 799,
        attempt_count=1 + second if paid else 0,
        next_payment_attempt=None if paid else LATER + 900,
        due_date=LATER + 86_400,
        hosted_invoice_url=f"https://invoice.stripe.test/{second}",
        invoice_pdf=f"https://invoice.stripe.test/{second}.pdf",
        status_transitions={"paid_at": LATER + 2 if paid else None},
    )
    type_ = "invoice.paid" if paid else "invoice.updated"
    return event_of(type_, about, created=LATER + second)


def story(number: int) -> list[Event]:
    """Renewals of a subscription, and an invoice that is opened, changed and paid."""
    return [
        renewal(f"sub_{number}"),
        rich_bill(number, 0, paid=False),
        rich_renewal(number, 1),
        rich_bill(number, 1, paid=False),
        rich_bill(number, 2, paid=True),
    ]


def _as_of_either(value: object) -> object:
    """Make the values of sub_1 and sub_2 alike: ours have their number at the end."""
    if isinstance(value, str):
        return re.sub(r"_[12]\b", "_N", value)
    if isinstance(value, Mapping):
        return {key: _as_of_either(item) for key, item in value.items()}
    return [_as_of_either(item) for item in value] if isinstance(value, list) else value


async def _written_of(pair: Pair, number: int) -> Mapping[str, list[Mapping[str, Any]]]:
    """Return all rows of one of the subscriptions, without what is ours alone."""
    ours = {"id", "customer_id", "subscription_id", "tenant_id", "stripe_event_id", "version"}
    ours |= {"created_at", "updated_at", "received_at", "applied_at"}
    ours |= {"requested_at", "next_attempt_at"}
    mine = re.compile(rf"(sub|cus|si|in|in_first|in_new)_{number}")
    return {
        table: sorted(
            (
                {key: _as_of_either(value) for key, value in row.items() if key not in ours}
                for row in rows
                if any(isinstance(value, str) and mine.fullmatch(value) for value in row.values())
            ),
            key=str,
        )
        for table, rows in (await pair.rows()).items()
    }


async def test_both_paths_write_the_same_rows(pair: Pair) -> None:
    for event in story(1):
        assert await pair.receive_on_fast_path(event) == {event.id}
    for event in story(2):
        assert (await receive_event(pair.inbox.pool, event)).status == "applied"
    first, second = [await _written_of(pair, number) for number in (1, 2)]
    assert all(first.values())
    for event in (*first["stripe_events"], *second["stripe_events"]):
        del event["payload"]["id"]
    assert first == second


_OTHER_ITEM = made.subscription()["items"]["data"][0] | {"id": "si_other"}

AFFECTING = {
    "another status": renewal(status="past_due"),
    "another price": renewal(price="price_2"),
    "another quantity": renewal(quantity=3),
    "another end of its trial": renewal(trial_end=LATER + 5),
    "to be ended": renewal(cancel_at_period_end=True),
    "to be ended by a date": renewal(cancel_at=LATER + 5),
    "collection paused": renewal(pause_collection={"behavior": "void"}),
    "an item that replaces another one": renewal(items=[_OTHER_ITEM]),
    "an additional item": renewal(items=[*made.subscription()["items"]["data"], _OTHER_ITEM]),
    "an invoice whose payment has failed": bill(status="open", attempt_count=1),
    "an invoice that was sent": bill(status="open", collection_method="send_invoice"),
}
"""Events that change what provisioning goes by."""


@pytest.mark.parametrize("event", AFFECTING.values(), ids=AFFECTING)
async def test_what_follows_is_triggered_in_the_same_round_trip(pair: Pair, event: Event) -> None:
    before = await work_of(pair)
    assert await pair.receive_on_fast_path(event) == {event.id}
    after = await work_of(pair)
    assert after["inputs"] != before["inputs"]
    assert after["version"] == before["version"] + 1
    trigger = f"provision:{after['subscription_id']}:{after['version']}"
    assert await pair.inbox.pool.fetchval(
        "SELECT count(*) FROM pgqueuer WHERE dedupe_key = $1", trigger
    )


async def work_of(pair: Pair) -> asyncpg.Record:
    return await pair.inbox.row(
        "SELECT w.* FROM provisioning_work AS w JOIN subscriptions AS s"
        " ON s.id = w.subscription_id WHERE s.stripe_subscription_id = 'sub_1'"
    )


async def test_a_first_invoice_settles_the_subscription_in_the_same_round_trip(
    inbox: Inbox,
) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription())
    first = bill("in_1")
    async with notified(inbox) as told:
        assert await Pair(inbox).receive_on_fast_path(first) == {first.id}
        row = await inbox.subscription()
        assert row["status"] == "pending"
        assert await told.get() == str(row["id"])


@asynccontextmanager
async def notified(inbox: Inbox) -> AsyncIterator["asyncio.Queue[str]"]:
    """Yield a queue of the subscriptions whose waiters are notified."""
    told: asyncio.Queue[str] = asyncio.Queue()

    def note(_: object, __: int, ___: str, payload: object) -> None:
        told.put_nowait(str(payload))

    async with inbox.pool.acquire() as conn:
        await conn.add_listener("billing_subscription", note)
        yield told
        await conn.remove_listener("billing_subscription", note)


async def test_an_invoice_whose_payment_came_first_is_linked_to_it(pair: Pair) -> None:
    payment = made.invoice_payment(invoice="in_2", payment_intent="pi_2")
    paid = event_of("invoice_payment.paid", payment)
    assert await pair.receive_on_fast_path(paid) == {paid.id}
    event = bill()
    assert await pair.receive_on_fast_path(event) == {event.id}
    row = await pair.inbox.row("SELECT * FROM invoices WHERE stripe_invoice_id = 'in_2'")
    assert row["stripe_payment_intent_id"] == "pi_2"


def test_declined_without_the_database() -> None:
    ignored = event_of("product.created", {"id": "prod_1", "object": "product"})
    assert prepare_event(ignored) is None


async def test_a_second_delivery_takes_no_effect(pair: Pair) -> None:
    event = renewal()
    assert await pair.receive_on_fast_path(event) == {event.id}
    before = await pair.rows()
    assert await pair.receive_on_fast_path(event) == set()
    assert (await receive_event(pair.inbox.pool, event)).status == "duplicate"
    assert await pair.rows() == before


async def test_an_event_already_kept_as_failed_does_not_keep_others_from_the_fast_path(
    pair: Pair,
) -> None:
    pool, event = pair.inbox.pool, renewal()
    await pool.execute(
        "INSERT INTO stripe_events (id, type, livemode, payload, status, last_error)"
        " VALUES ($1, $2, FALSE, '{}', 'failed', 'x')",
        event.id,
        event.type,
    )
    before = await pair.inbox.subscription()
    other = bill()
    assert await pair.receive_on_fast_path(other, event) == {other.id}
    assert await pair.inbox.subscription() == before


async def test_an_item_that_stripe_does_not_have_is_removed(pair: Pair) -> None:
    await pair.inbox.pool.execute(
        "INSERT INTO subscription_items (subscription_id, stripe_price_id, quantity, currency)"
        " SELECT id, 'price_9', 1, 'usd' FROM subscriptions"
        " WHERE stripe_subscription_id = 'sub_1'"
    )
    events = [renewal(), renewal("sub_2")]
    assert await pair.receive_on_fast_path(*events) == {event.id for event in events}
    assert await pair.inbox.pool.fetchval("SELECT count(*) FROM subscription_items") == 2


async def test_an_item_is_linked_to_its_price_once_that_is_known(pair: Pair) -> None:
    pool = pair.inbox.pool
    price = await pool.fetchval(
        "INSERT INTO prices (product_id, billing_cycle, currency, unit_amount, lookup_key,"
        " stripe_price_id, livemode)"
        " VALUES ($1, 'monthly', 'usd', 799, 'web', 'price_1', FALSE) RETURNING id",
        await pool.fetchval(
            "INSERT INTO products (name, type, price) VALUES ('Web', 'hosting', 7.99) RETURNING id"
        ),
    )
    await pool.execute("UPDATE subscription_items SET price_id = NULL")
    await pair.receive_on_fast_path(renewal())
    item = "SELECT price_id FROM subscription_items WHERE stripe_subscription_item_id = 'si_1'"
    assert await pool.fetchval(item) == price


async def test_a_lock_held_by_another_transaction_is_not_waited_for(pair: Pair) -> None:
    async with pair.inbox.pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('sub:sub_1', 0))")
        free = renewal("sub_2")
        assert await pair.receive_on_fast_path(renewal(), free) == {free.id}
    assert await pair.receive_on_fast_path(renewal()) != set()


async def test_both_paths_at_once_end_with_the_latest(pair: Pair) -> None:
    pool = pair.inbox.pool

    async def fast(second: int) -> None:
        event = renewal(created=LATER + second)
        if not await pair.receive_on_fast_path(event):
            await receive_event(pool, event)

    async def full(second: int) -> None:
        await receive_event(pool, renewal(created=LATER + second, status="past_due"))

    paths = [fast(n) if n % 2 else full(n) for n in range(40)]
    await asyncio.gather(*reversed(paths[1::3]), *paths[::3], *paths[2::3])
    row = await pair.inbox.subscription()
    assert row["stripe_as_of"].timestamp() == LATER + 39
    assert row["stripe_status"] == "active"
    assert await pool.fetchval("SELECT count(*) FROM stripe_events") == 4 + 40
    inputs = await pool.fetchval(
        "SELECT inputs ->> 'stripeStatus' FROM provisioning_work WHERE subscription_id = $1",
        row["id"],
    )
    assert inputs == "active"


async def test_the_batcher_writes_each_event_on_the_path_that_it_needs(pair: Pair) -> None:
    batcher = EventBatcher(pair.inbox.pool)
    events = [renewal(), renewal("sub_2", status="past_due"), bill(), renewal("sub_3"), renewal()]
    outcomes = await asyncio.gather(*(batcher.receive(event) for event in events))
    assert [outcome.status for outcome in outcomes[:4]] == ["applied"] * 4
    assert outcomes[4].status == "stale"
    assert batcher.fast_path_events == 4
    assert (await pair.inbox.subscription("sub_2"))["stripe_status"] == "past_due"


async def test_an_event_that_cannot_be_written_does_not_keep_others_from_the_fast_path(
    pair: Pair,
) -> None:
    pool = pair.inbox.pool
    await pool.execute("ALTER TABLE subscriptions ADD CONSTRAINT fault CHECK (amount <> 666)")
    good = [renewal("sub_2"), bill()]
    taken = await pair.receive_on_fast_path(good[0], renewal(amount=666), good[1])
    assert taken == {event.id for event in good}


async def test_of_rows_that_are_locked_for_long_few_are_waited_for(pair: Pair) -> None:
    events = [renewal(), renewal("sub_2"), bill()]
    async with pair.inbox.pool.acquire() as mpanel, mpanel.transaction():
        await mpanel.execute("SELECT id FROM subscriptions FOR UPDATE")
        began = time.monotonic()
        assert await pair.receive_on_fast_path(*events) <= {events[2].id}
        assert time.monotonic() - began < 2


async def test_an_event_whose_write_fails_is_kept_by_the_full_path(
    pair: Pair,
) -> None:
    pool = pair.inbox.pool
    await pool.execute("ALTER TABLE subscriptions ADD CONSTRAINT fault CHECK (amount <> 666)")
    batcher = EventBatcher(pool)
    bad = renewal(amount=666)
    outcomes = await asyncio.gather(
        batcher.receive(renewal("sub_2")), batcher.receive(bad), batcher.receive(bill())
    )
    assert [outcome.status for outcome in outcomes] == ["applied", "failed", "applied"]


@pytest.mark.parametrize(
    "event",
    [
        renewal(amount=2**62, quantity=4),
        event_of("invoice.paid", made.invoice(total_taxes=[{"amount": 2**62}] * 4)),
    ],
    ids=["amount", "tax"],
)
async def test_a_sum_beyond_64_bits_is_kept_as_failed(inbox: Inbox, event: Event) -> None:
    assert (await EventBatcher(inbox.pool).receive(event)).status == "failed"


async def test_an_end_that_is_only_written_differently_takes_the_fast_path(
    pair: Pair,
) -> None:
    ending = renewal(cancel_at_period_end=True)
    await receive_event(pair.inbox.pool, ending)
    dated = renewal(created=LATER + 1, cancel_at=LATER + 2)
    assert await pair.receive_on_fast_path(dated) == {dated.id}
    assert (await pair.inbox.subscription())["cancel_at_period_end"] is False


async def test_a_fetched_row_counts_as_of_its_end(pair: Pair) -> None:
    await pair.inbox.pool.execute(
        "UPDATE subscriptions SET stripe_as_of = to_timestamp($1), stripe_as_of_since ="
        " to_timestamp($2)",
        LATER + 1,
        LATER - 5,
    )
    assert await pair.receive_on_fast_path(renewal()) == set()


@pytest.mark.parametrize(
    ("more", "awaited"),
    [({}, True), ({"status": "open", "paid": 1}, False), ({"total": 0}, False)],
    ids=["paid", "partly paid", "free"],
)
async def test_the_payment_of_a_paid_invoice_alone_is_awaited(
    pair: Pair, more: dict[str, object], awaited: bool
) -> None:
    await pair.inbox.pool.execute("DELETE FROM stripe_refetches")
    for second in (0, 1):
        event = bill(created=LATER + second, **more)
        assert await pair.receive_on_fast_path(event) == {event.id}
    delays = await pair.inbox.pool.fetch(
        "SELECT extract(epoch FROM next_attempt_at - requested_at)::int FROM stripe_refetches"
    )
    assert [delay for (delay,) in delays] == ([60] if awaited else [])


async def test_an_invoice_belongs_to_the_tenant_of_its_subscription(
    pair: Pair,
) -> None:
    tenant = await pair.inbox.pool.fetchval(
        "INSERT INTO tenants (name, domain) VALUES ('Ada', 'ada.test') RETURNING id"
    )
    await pair.inbox.pool.execute("UPDATE subscriptions SET tenant_id = $1", tenant)
    await pair.receive_on_fast_path(bill())
    row = await pair.inbox.row("SELECT tenant_id FROM invoices WHERE stripe_invoice_id = 'in_2'")
    assert row["tenant_id"] == tenant


async def test_a_row_that_is_being_changed_delays_only_its_own_event(
    pair: Pair,
) -> None:
    """Another client, such as mPanel, that takes none of our locks."""
    batcher = EventBatcher(pair.inbox.pool)
    changed, other = renewal(), renewal("sub_2")
    async with pair.inbox.pool.acquire() as somebody, somebody.transaction():
        await somebody.execute(
            "UPDATE subscriptions SET price = 1 WHERE stripe_subscription_id = 'sub_1'"
        )
        waiting = asyncio.create_task(batcher.receive(changed))
        assert (await batcher.receive(other)).status == "applied"
        assert not waiting.done()
    assert (await waiting).status == "applied"
    assert (await pair.inbox.subscription())["stripe_event_id"] == changed.id
