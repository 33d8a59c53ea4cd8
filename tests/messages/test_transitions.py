"""Which changes are told, what is said of them, and which are not."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.messages.receivers import record_trial_endings
from mpanel_billing.messages.repository import record_expiring_cards
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.messages.conftest import Panel
from tests.stripe_objects import credit_note, dispute

NOW = int(time.time())
MONTH = 30 * 86_400


@pytest.fixture(autouse=True)
async def receiver(pool: Pool, panel: Panel) -> None:
    await panel.add(pool)


async def told(pool: Pool) -> list[str]:
    rows = await pool.fetch("SELECT type FROM billing_messages ORDER BY position")
    return [row["type"] for row in rows]


async def data(pool: Pool, type_: str) -> dict[str, Any]:
    content: dict[str, Any] = await pool.fetchval(
        "SELECT data FROM billing_messages WHERE type = $1", type_
    )
    return content


def subscription(**more: Any) -> dict[str, Any]:
    return made.subscription(**{"start": NOW, "end": NOW + MONTH} | more)


def invoice(status: str, **more: Any) -> dict[str, Any]:
    finalized = {"finalized_at": NOW, "paid_at": NOW if status == "paid" else None}
    return made.invoice(status=status, created=NOW, status_transitions=finalized, **more)


async def test_an_invoice_is_issued_fails_and_is_paid(pool: Pool, inbox: Inbox) -> None:
    await inbox.deliver("customer.subscription.created", subscription(), created=NOW)
    await inbox.deliver("invoice.created", invoice("draft"), created=NOW)
    assert await told(pool) == []
    failed = invoice("open", attempt_count=1)
    await inbox.deliver("invoice.payment_failed", failed, created=NOW + 1)
    await inbox.deliver("invoice.updated", failed, created=NOW + 2)
    await inbox.deliver("invoice.paid", invoice("paid", attempt_count=2), created=NOW + 3)
    assert await told(pool) == ["invoice.created", "invoice.failed", "invoice.paid"]
    paid = (await data(pool, "invoice.paid"))["invoice"]
    assert (paid["status"], paid["amountPaid"], paid["currency"]) == ("paid", 799, "usd")


async def test_an_invoice_that_is_first_seen_paid_was_issued_too(pool: Pool, inbox: Inbox) -> None:
    """Whatever order webhooks come in; a failure that is over is not told."""
    await inbox.deliver("invoice.paid", invoice("paid", attempt_count=2), created=NOW + 3)
    await inbox.deliver("invoice.payment_failed", invoice("open", attempt_count=1), created=NOW)
    await inbox.deliver("invoice.created", invoice("draft"), created=NOW)
    await inbox.deliver("customer.subscription.created", subscription(), created=NOW)
    assert sorted(await told(pool)) == ["invoice.created", "invoice.paid"]


async def test_an_invoice_is_told_once_it_is_known_of_which_subscription(
    pool: Pool, inbox: Inbox
) -> None:
    """Stripe tells of the first invoice before the subscription, and a message is sent at once."""
    await inbox.deliver("invoice.payment_failed", invoice("open", attempt_count=1), created=NOW)
    assert await told(pool) == []
    await inbox.deliver("customer.subscription.created", subscription(), created=NOW)
    await inbox.deliver("invoice.paid", invoice("paid", attempt_count=2), created=NOW + 3)
    assert sorted(await told(pool)) == ["invoice.created", "invoice.failed", "invoice.paid"]
    assert (
        await pool.fetchval("SELECT count(*) FROM billing_messages WHERE subscription_id IS NULL")
        == 0
    )
    await pool.execute("UPDATE invoices SET subscription_id = NULL")
    await pool.execute("UPDATE invoices SET subscription_id = (SELECT id FROM subscriptions)")
    assert len(await told(pool)) == 3, "what is linked again was told"


async def test_what_happened_long_ago_is_not_told(pool: Pool, inbox: Inbox) -> None:
    """As when an account is imported."""
    long_ago = NOW - 4 * 86_400
    old = made.invoice(
        status="paid",
        created=long_ago,
        status_transitions={"finalized_at": long_ago, "paid_at": long_ago},
    )
    await inbox.deliver("invoice.paid", old, created=NOW)
    assert await told(pool) == []


async def test_a_transaction_can_ask_for_silence(pool: Pool, inbox: Inbox) -> None:
    await inbox.deliver("customer.subscription.created", subscription(), created=NOW)
    await inbox.deliver("invoice.created", invoice("draft"), created=NOW)
    async with transaction(pool) as conn:
        await conn.execute("SELECT set_config('mpanel_billing.messages', 'off', TRUE)")
        await conn.execute("UPDATE invoices SET stripe_status = 'open'")
    assert await told(pool) == []
    await pool.execute("UPDATE invoices SET stripe_status = 'draft'")
    await pool.execute("UPDATE invoices SET stripe_status = 'open'")
    assert await told(pool) == ["invoice.created"]


async def test_nothing_is_recorded_while_nobody_receives(pool: Pool, inbox: Inbox) -> None:
    await pool.execute("DELETE FROM billing_receivers")
    await inbox.deliver("invoice.paid", invoice("paid"), created=NOW)
    assert await told(pool) == []


async def test_a_receiver_of_live_mode_gets_nothing_of_test_mode(pool: Pool, inbox: Inbox) -> None:
    await pool.execute("UPDATE billing_receivers SET livemode = TRUE")
    await inbox.deliver("invoice.paid", invoice("paid"), created=NOW)
    assert await told(pool) == []


async def begun(pool: Pool, inbox: Inbox) -> None:
    """A subscription that has been served for a while."""
    await inbox.deliver("customer.subscription.created", subscription(), created=NOW)
    await inbox.deliver("invoice.paid", invoice("paid"), created=NOW)
    await pool.execute("UPDATE subscriptions SET status = 'active'")
    await pool.execute("DELETE FROM billing_messages")


async def test_a_renewal_begins_a_term_once(pool: Pool, inbox: Inbox) -> None:
    await begun(pool, inbox)
    renewed = subscription(start=NOW + 10, end=NOW + MONTH)
    await inbox.deliver("customer.subscription.updated", renewed, created=NOW + 10)
    await inbox.deliver("customer.subscription.updated", renewed, created=NOW + 11)
    assert await told(pool) == ["subscription.renewed"]


def upcoming(**more: Any) -> dict[str, Any]:
    about = made.invoice(status="draft", created=NOW, period_end=NOW + 7 * 86_400, **more)
    del about["id"]
    return about


async def test_an_invoice_that_is_to_come_is_told_once_for_each_renewal(
    pool: Pool, inbox: Inbox
) -> None:
    """Stripe's event carries an invoice without an id, and may come twice."""
    await begun(pool, inbox)
    for second in range(2):
        await inbox.deliver("invoice.upcoming", upcoming(), created=NOW + second)
    assert await told(pool) == ["invoice.upcoming"]
    content = (await data(pool, "invoice.upcoming"))["upcomingInvoice"]
    assert (content["amountDue"], content["currency"]) == (799, "usd")
    later = upcoming() | {"period_end": NOW + 37 * 86_400}
    await inbox.deliver("invoice.upcoming", later, created=NOW + 2)
    assert await told(pool) == ["invoice.upcoming"] * 2


@pytest.mark.parametrize(
    "odd",
    [{"period_end": "soon"}, {"period_end": 1e30}, {"parent": 1}, {"next_payment_attempt": []}],
)
async def test_an_odd_invoice_that_is_to_come_is_kept(
    pool: Pool, inbox: Inbox, odd: dict[str, Any]
) -> None:
    await begun(pool, inbox)
    await inbox.deliver("invoice.upcoming", upcoming() | odd, created=NOW)
    kept = "SELECT status FROM stripe_events WHERE type = 'invoice.upcoming'"
    assert await pool.fetchval(kept) == "ignored"


async def test_an_update_that_changes_nothing_is_not_told(pool: Pool, inbox: Inbox) -> None:
    await begun(pool, inbox)
    same = subscription(metadata={"note": "x"})
    await inbox.deliver("customer.subscription.updated", same, created=NOW + 10)
    assert await told(pool) == []


async def test_a_change_says_how_it_was(pool: Pool, inbox: Inbox) -> None:
    await begun(pool, inbox)
    larger = subscription(price="price_2", amount=1499)
    await inbox.deliver("customer.subscription.updated", larger, created=NOW + 10)
    assert await told(pool) == ["subscription.changed"]
    changed = await data(pool, "subscription.changed")
    assert (changed["before"]["amount"], changed["subscription"]["amount"]) == (799, 1499)


async def test_a_cancellation_and_the_end(pool: Pool, inbox: Inbox) -> None:
    await begun(pool, inbox)
    wished = {"reason": "cancellation_requested", "feedback": "unused", "comment": "Bye, Ada"}
    ending = subscription(
        cancel_at_period_end=True, canceled_at=NOW + 10, cancellation_details=wished
    )
    await inbox.deliver("customer.subscription.updated", ending, created=NOW + 10)
    assert await told(pool) == ["subscription.cancelled"]
    cancelled = await data(pool, "subscription.cancelled")
    assert cancelled["cancellation"] == {"reason": wished["reason"], "feedback": "unused"}
    kept = subscription()
    await inbox.deliver("customer.subscription.updated", kept, created=NOW + 11)
    assert await told(pool) == ["subscription.cancelled", "subscription.kept"]
    ended = subscription(
        status="canceled",
        ended_at=NOW + 12,
        canceled_at=NOW + 12,
        cancellation_details={"reason": "payment_failed"},
    )
    await inbox.deliver("customer.subscription.deleted", ended, created=NOW + 12)
    assert (await told(pool))[2:] == ["subscription.ended"]
    cancellation = (await data(pool, "subscription.ended"))["cancellation"]
    assert cancellation == {"reason": "payment_failed", "feedback": None}


async def test_what_a_subscription_is_when_it_is_first_seen_is_told(
    pool: Pool, inbox: Inbox
) -> None:
    """As if its first events had come first; not of one that has long been so."""
    for number, begun in enumerate((NOW, NOW - 9 * 86_400), 1):
        about = {
            "customer": f"cus_{number}",
            "status": "past_due",
            "start": begun,
            "cancel_at_period_end": True,
            "canceled_at": begun,
        }
        late = subscription(id_=f"sub_{number}", **about)
        await inbox.deliver("customer.subscription.updated", late, created=NOW + 1)
        paid = invoice("paid", id_=f"in_{number}", subscription=f"sub_{number}")
        await inbox.deliver("invoice.paid", paid, created=NOW + 1)
    assert [one for one in await told(pool) if one.startswith("subscription.")] == [
        "subscription.past_due",
        "subscription.cancelled",
    ]


async def test_a_failed_payment_for_a_term_is_told_once(pool: Pool, inbox: Inbox) -> None:
    await begun(pool, inbox)
    for second, status in enumerate(("past_due", "unpaid", "past_due")):
        late = subscription(status=status)
        await inbox.deliver("customer.subscription.updated", late, created=NOW + 10 + second)
    assert await told(pool) == ["subscription.past_due"]


async def test_suspension_and_resumption(pool: Pool, inbox: Inbox) -> None:
    await begun(pool, inbox)
    for status in ("suspended", "active", "suspended"):
        await pool.execute("UPDATE subscriptions SET status = $1", status)
    assert await told(pool) == [
        "subscription.suspended",
        "subscription.resumed",
        "subscription.suspended",
    ]
    by_mpanel = {"reason": None, "keptUntil": None}
    assert (await data(pool, "subscription.suspended"))["suspension"] == by_mpanel


async def test_two_writes_of_a_transaction_are_one_message(pool: Pool, inbox: Inbox) -> None:
    await begun(pool, inbox)
    async with transaction(pool) as conn:
        await conn.execute("UPDATE subscriptions SET amount = 900, billing_cycle = 'monthly'")
        await conn.execute("UPDATE subscriptions SET billing_cycle = 'annually'")
    assert await told(pool) == ["subscription.changed"]
    told_of = await data(pool, "subscription.changed")
    changed, before = told_of["subscription"], told_of["before"]
    assert (changed["amount"], changed["billingCycle"]) == (900, "annually")
    assert (before["amount"], before["billingCycle"]) == (799, "monthly")


async def test_a_refund_is_made_and_succeeds_or_fails(pool: Pool, inbox: Inbox) -> None:
    pending = made.refund(status="pending", created=NOW)
    await inbox.deliver("refund.created", pending, created=NOW)
    await inbox.deliver("refund.updated", {**pending, "status": "succeeded"}, created=NOW + 1)
    failed = {**pending, "status": "failed", "failure_reason": "lost_or_stolen_card"}
    await inbox.deliver("refund.failed", failed, created=NOW + 2)
    assert await told(pool) == ["refund.created", "refund.succeeded", "refund.failed"]
    refund = (await data(pool, "refund.failed"))["refund"]
    assert refund["failureReason"] == "lost_or_stolen_card"


async def test_a_credit_note_is_issued_and_voided(pool: Pool, inbox: Inbox) -> None:
    note = credit_note("cn_1", "in_1", created=NOW)
    await inbox.deliver("credit_note.created", note, created=NOW)
    await inbox.deliver("credit_note.updated", note | {"memo": "Sorry."}, created=NOW + 1)
    await inbox.deliver("credit_note.voided", note | {"status": "void"}, created=NOW + 2)
    assert await told(pool) == ["credit_note.created", "credit_note.voided"]
    said = (await data(pool, "credit_note.created"))["creditNote"]
    assert (said["amount"], said["amountToBalance"], said["stripeInvoiceId"]) == (100, 100, "in_1")


async def test_a_dispute_is_told_from_the_first_question_to_its_end(
    pool: Pool, inbox: Inbox
) -> None:
    life = ("warning_needs_response", "needs_response", "under_review", "lost", "won")
    for later, status in enumerate(life):
        about = dispute("du_1", "pi_1", status=status, created=NOW)
        type_ = "charge.dispute.updated" if later else "charge.dispute.created"
        await inbox.deliver(type_, about, created=NOW + later)
    ends = ["dispute.escalated", "dispute.answered", "dispute.lost", "dispute.won"]
    assert await told(pool) == ["dispute.created", *ends]
    said = (await data(pool, "dispute.created"))["dispute"]
    assert (said["amount"], said["status"]) == (799, "warning_needs_response")


async def test_a_card_that_expires_is_told_once_unless_another_has_paid_since(
    pool: Pool, inbox: Inbox
) -> None:
    await inbox.deliver("customer.subscription.created", subscription(), created=NOW)
    today = datetime.now(UTC)
    card = {"brand": "visa", "last4": "4242", "exp_month": today.month, "exp_year": today.year}
    later = card | {"exp_year": today.year + 3}
    for number, (charged, expected) in enumerate(
        ((later, []), (card, ["card.expiring"]), (later, ["card.expiring"]))
    ):
        about = {
            "id": f"ch_{number}",
            "object": "charge",
            "amount": 799,
            "currency": "usd",
            "customer": "cus_1",
            "status": "succeeded",
            "captured": True,
            "created": NOW + number,
            "payment_method_details": {"card": charged},
        }
        await inbox.deliver("charge.succeeded", about, created=NOW + number)
        for _ in range(2):
            async with acquired(pool) as conn:  # a month that has just begun may have 31 days
                await record_expiring_cards(conn, 31)
        assert [one for one in await told(pool) if one == "card.expiring"] == expected


async def test_the_end_of_a_trial_is_announced_once(pool: Pool, inbox: Inbox) -> None:
    soon = subscription(status="trialing", trial_end=NOW + 2 * 86_400, end=NOW + 2 * 86_400)
    late = subscription(id_="sub_2", status="trialing", trial_end=NOW + 9 * 86_400)
    for trial in (soon, late):
        await inbox.deliver("customer.subscription.created", trial, created=NOW)
    for _ in range(2):
        await record_trial_endings(pool)
    assert await told(pool) == ["trial.ending"]
    assert (await data(pool, "trial.ending"))["subscription"]["stripeSubscriptionId"] == "sub_1"


async def test_the_same_transition_has_the_same_id_after_a_restore(
    pool: Pool, inbox: Inbox
) -> None:
    await inbox.deliver("invoice.paid", invoice("paid"), created=NOW)
    ids = {row["id"] for row in await pool.fetch("SELECT id FROM billing_messages")}
    for table in ("billing_messages", "invoices", "stripe_events"):
        await pool.execute(f"DELETE FROM {table}")
    await inbox.deliver("invoice.paid", invoice("paid"), created=NOW)
    assert {row["id"] for row in await pool.fetch("SELECT id FROM billing_messages")} == ids
