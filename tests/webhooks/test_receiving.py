"""An event whose application fails is kept, retried and replayed; it never blocks others."""

import asyncio
import json

import asyncpg
import pytest

from mpanel_billing.database.pool import create_pool
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.settings import DatabaseSettings
from mpanel_billing.webhooks.event import parse_body, parse_event
from mpanel_billing.webhooks.inbox import (
    MAX_ATTEMPTS,
    receive_event,
    retry_delay,
    retry_event,
)
from mpanel_billing.webhooks.jsonb import Body
from tests import stripe_objects as made
from tests.commands import run_command
from tests.inbox import Inbox
from tests.waiting import until_blocking

FAULT = "ALTER TABLE subscriptions ADD CONSTRAINT fault CHECK (amount <> 666)"
MENDED = "ALTER TABLE subscriptions DROP CONSTRAINT fault"
POISON = made.event("customer.subscription.created", made.subscription(amount=666), id_="evt_bad")


async def test_an_event_that_cannot_be_applied_is_kept_with_its_traceback(inbox: Inbox) -> None:
    await inbox.pool.execute(FAULT)
    assert await inbox.receive(POISON) == "failed"
    row = await inbox.row("SELECT * FROM stripe_events")
    assert (row["status"], row["attempts"]) == ("failed", 1)
    assert "CheckViolationError" in row["last_error"]
    assert row["next_attempt_at"] > row["received_at"]
    assert await inbox.pool.fetchval("SELECT count(*) FROM subscriptions") == 0


async def test_an_event_that_cannot_be_applied_does_not_block_others(inbox: Inbox) -> None:
    await inbox.pool.execute(FAULT)
    await inbox.receive(POISON)
    other = made.subscription("sub_2")
    assert await inbox.deliver("customer.subscription.created", other) == "applied"


async def test_a_failed_event_is_applied_once_its_cause_is_fixed(inbox: Inbox) -> None:
    await inbox.pool.execute(FAULT)
    await inbox.receive(POISON)
    outcome = await retry_event(inbox.mirror, "evt_bad")
    assert outcome is not None
    assert outcome.status == "failed"
    assert (await inbox.row("SELECT attempts FROM stripe_events"))["attempts"] == 2
    await inbox.pool.execute(MENDED)
    outcome = await retry_event(inbox.mirror, "evt_bad")
    assert outcome is not None
    assert outcome.status == "applied"
    assert (await inbox.subscription())["amount"] == 666
    row = await inbox.row("SELECT * FROM stripe_events")
    assert (row["status"], row["last_error"], row["next_attempt_at"]) == ("applied", None, None)


async def test_an_applied_event_is_not_tried_again(inbox: Inbox) -> None:
    await inbox.receive(POISON)
    assert await retry_event(inbox.mirror, "evt_bad") is None


async def test_a_failed_event_is_stale_if_a_newer_one_was_applied_meanwhile(inbox: Inbox) -> None:
    await inbox.pool.execute(FAULT)
    await inbox.receive(POISON)
    newer = made.subscription(amount=700)
    await inbox.deliver("customer.subscription.updated", newer, created=POISON["created"] + 1)
    await inbox.pool.execute(MENDED)
    outcome = await retry_event(inbox.mirror, "evt_bad")
    assert outcome is not None
    assert outcome.status == "stale"
    assert (await inbox.subscription())["amount"] == 700


async def test_a_redelivery_of_a_failed_event_is_acknowledged_and_kept_once(inbox: Inbox) -> None:
    await inbox.pool.execute(FAULT)
    await inbox.receive(POISON)
    assert await inbox.receive(POISON) in {"failed", "duplicate"}
    assert await inbox.pool.fetchval("SELECT count(*) FROM stripe_events") == 1


def test_retries_back_off_from_a_minute_to_six_hours_and_end() -> None:
    delays = [retry_delay(attempts) for attempts in range(1, MAX_ATTEMPTS + 1)]
    assert delays[0] == 60
    assert delays[-2] == 6 * 3600
    assert delays[-1] is None
    assert [d for d in delays if d] == sorted(d for d in delays if d)


async def test_an_event_that_cannot_even_be_kept_is_refused_for_stripe_to_retry(
    inbox: Inbox,
) -> None:
    await inbox.pool.execute("ALTER TABLE stripe_events ADD CONSTRAINT full_disk CHECK (FALSE)")
    with pytest.raises(DatabaseUnavailableError) as caught:
        await inbox.receive(POISON)
    assert (caught.value.status, caught.value.retry_after) == (503, 60)


async def test_without_a_database_an_event_is_refused_for_stripe_to_retry() -> None:
    settings = DatabaseSettings(
        _env_file=None,  # type: ignore[call-arg]
        database_url="postgresql://nobody@127.0.0.1:1/none",
    )
    async with await create_pool(settings) as pool:
        with pytest.raises(DatabaseUnavailableError):
            await receive_event(pool, parse_event(Body.of(POISON), livemode=False))


async def test_a_failed_event_is_retried_by_one_at_a_time(inbox: Inbox) -> None:
    await inbox.pool.execute(FAULT)
    await inbox.receive(POISON)
    await inbox.pool.execute(MENDED)
    outcomes = await asyncio.gather(*(retry_event(inbox.mirror, "evt_bad") for _ in range(5)))
    assert [o.status for o in outcomes if o] == ["applied"]


async def test_fifty_concurrent_deliveries_of_one_event_apply_it_once(inbox: Inbox) -> None:
    outcomes = await asyncio.gather(*(inbox.receive(POISON) for _ in range(50)))
    assert sorted(outcomes) == ["applied"] + ["duplicate"] * 49


async def test_concurrent_invoices_and_subscription_are_always_linked(
    inbox: Inbox,
) -> None:
    """Each transaction alone would not see the other's row; the locks make one wait."""
    for number in range(20):
        sub, inv, pay = f"sub_{number}", f"in_{number}", f"inpay_{number}"
        await asyncio.gather(
            inbox.deliver("invoice_payment.paid", made.invoice_payment(pay, invoice=inv)),
            inbox.deliver("invoice.paid", made.invoice(inv, subscription=sub)),
            inbox.deliver("customer.subscription.created", made.subscription(sub)),
        )
    unlinked = "SELECT count(*) FROM invoices WHERE subscription_id IS NULL"
    assert await inbox.pool.fetchval(unlinked) == 0
    unpaid = "SELECT count(*) FROM subscriptions WHERE stripe_payment_intent_id IS NULL"
    assert await inbox.pool.fetchval(unpaid) == 0


async def test_an_event_that_waited_for_its_lock_sees_what_was_written_meanwhile(
    inbox: Inbox,
) -> None:
    await inbox.deliver(
        "customer.subscription.created", made.subscription(amount=700), created=1000
    )
    later = made.event("customer.subscription.updated", made.subscription(amount=800), created=1001)
    async with inbox.pool.acquire() as other:
        async with other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('sub:sub_1', 0))")
            taken = asyncio.create_task(inbox.receive(later))
            await until_blocking(other, inbox.pool)
            await other.execute(_NEWER)
        assert await taken == "stale"
    assert (await inbox.subscription())["amount"] == 700


async def test_a_session_that_names_no_subscription_waits_for_the_one_of_its_order(
    inbox: Inbox,
) -> None:
    """It must not derive from a row that another transaction is about to replace."""
    order = str(await inbox.order())
    bought = made.subscription(metadata={"subscriptionId": order})
    await inbox.deliver("customer.subscription.created", bought)
    recovered = made.session("cs_test_2", order=order, recovered_from="cs_test_1")
    await inbox.deliver("checkout.session.completed", recovered)
    expired = made.event(
        "checkout.session.expired",
        made.session(status="expired", payment_status="unpaid", subscription=None, order=order),
    )
    async with inbox.pool.acquire() as other:
        async with other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('sub:sub_1', 0))")
            await other.execute(
                "UPDATE subscriptions SET stripe_status = 'canceled',"
                """ entitlement = entitlement || '{"stripeStatus": "canceled"}'"""
            )
            taken = asyncio.create_task(inbox.receive(expired))
            await until_blocking(other, inbox.pool)
        assert await taken == "applied"
    inputs = (await inbox.row("SELECT inputs FROM provisioning_work"))["inputs"]
    assert inputs["stripeStatus"] == "canceled"


_NEWER = """
    UPDATE subscriptions
    SET stripe_as_of_since = to_timestamp(1002), stripe_as_of = to_timestamp(1002)
"""


async def test_an_error_of_the_database_is_not_hidden_from_the_inbox(inbox: Inbox) -> None:
    await inbox.pool.execute("ALTER TABLE subscriptions RENAME COLUMN amount TO amounts")
    assert await inbox.receive(POISON) == "failed"
    row = await inbox.row("SELECT last_error FROM stripe_events")
    assert asyncpg.UndefinedColumnError.__name__ in row["last_error"]


@pytest.mark.parametrize(
    "odd",
    [
        "[" * 480 + "]" * 480,
        r'"a\u0000b\ud800c"',
        "1" * 4000,
        "-1e400",
        '{"same": 1, "same": 2}',
        json.dumps("é" * 100_000),
    ],
    ids=["deep", "NUL and surrogate", "long number", "infinite", "duplicate keys", "long text"],
)
async def test_an_event_with_odd_values_in_it_is_kept_and_applied(inbox: Inbox, odd: str) -> None:
    text = json.dumps(POISON).replace('"livemode"', f'"odd": {odd}, "livemode"', 1)
    event = parse_event(parse_body(text.encode()), livemode=False)
    assert (await receive_event(inbox.pool, event)).status == "applied"
    assert await inbox.pool.fetchval("SELECT payload ? 'odd' FROM stripe_events")


async def test_of_a_failed_event_the_sentence_is_shown_and_never_the_row(
    inbox: Inbox, database_url: str
) -> None:
    await inbox.pool.execute("ALTER TABLE stripe_customers ADD CHECK (name <> 'Ada Lovelace')")
    ada = {"id": "cus_1", "object": "customer", "email": "ada@example.com", "name": "Ada Lovelace"}
    assert await inbox.deliver("customer.created", ada, id_="evt_ada") == "failed"
    sentence = "CheckViolationError: new row for relation"
    listed = await run_command(database_url, "events", "list", "--status", "failed")
    shown = await run_command(database_url, "events", "show", "evt_ada")
    trouble = await inbox.row("SELECT detail FROM billing_trouble WHERE object_id = 'evt_ada'")
    assert sentence in listed.out
    assert trouble["detail"].startswith(f"customer.created: {sentence}")
    for text in (listed.out, trouble["detail"], shown.out.partition("\n{\n")[0]):
        assert "Lovelace" not in text
        assert "ada@" not in text
