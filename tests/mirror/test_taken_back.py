"""An invoice knows what was taken back of it, in whatever order the events arrive."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import asyncpg
import pytest

from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.stripe_objects import credit_note, dispute

T = 1_790_000_000
Told = tuple[str, dict[str, Any], int]


def sale(name: str, subscription: str | None = None) -> list[Told]:
    """What Stripe tells of an invoice that is paid and taken back in every way."""
    invoice, intent = f"in_{name}", f"pi_{name}"
    bill = made.invoice(invoice, subscription=subscription)
    paid = made.invoice_payment(f"inpay_{name}", invoice=invoice, payment_intent=intent)
    refund = made.refund(f"re_{name}", payment_intent=intent, amount=699)
    return [
        ("invoice.paid", bill, T),
        ("invoice_payment.paid", paid, T),
        ("refund.created", refund, T + 2),
        ("credit_note.created", credit_note(f"cn_{name}", invoice), T + 3),
        ("charge.dispute.created", dispute(f"du_{name}", intent), T + 5),
    ]


async def told(inbox: Inbox, events: Sequence[Told]) -> None:
    for type_, about, created in events:
        assert await inbox.deliver(type_, about, created=created) == "applied"


async def money_of(inbox: Inbox, name: str) -> asyncpg.Record:
    return await inbox.row(
        "SELECT status, amount_refunded, amount_credited, amount_disputed FROM invoices"
        " WHERE stripe_invoice_id = $1",
        f"in_{name}",
    )


@pytest.mark.parametrize("subscription", [None, "sub_1"], ids=["alone", "of a subscription"])
async def test_what_was_taken_back_is_the_same_in_any_order(
    inbox: Inbox, subscription: str | None
) -> None:
    for number, events in enumerate(permutations(range(5))):
        sold = sale(str(number), subscription)
        await told(inbox, [sold[place] for place in events])
        assert tuple(await money_of(inbox, str(number))) == ("refunded", 699, 100, 799), events


async def refunded(inbox: Inbox, name: str, status: str, at: int) -> Mapping[str, Any]:
    refund = made.refund(f"re_{name}", payment_intent=f"pi_{name}", status=status)
    await inbox.deliver("refund.updated", refund, created=at)
    return await money_of(inbox, name)


async def test_an_invoice_is_refunded_once_all_is_back_and_paid_again_if_the_refund_fails(
    inbox: Inbox,
) -> None:
    await told(inbox, sale("1")[:2])
    assert tuple(await money_of(inbox, "1"))[:2] == ("paid", 0)
    assert tuple(await refunded(inbox, "1", "pending", T + 2))[:2] == ("refunded", 799)
    assert tuple(await refunded(inbox, "1", "failed", T + 9))[:2] == ("paid", 0)
    await inbox.deliver("invoice.updated", made.invoice("in_1", subscription=None), created=T + 99)
    assert tuple(await money_of(inbox, "1"))[:2] == ("paid", 0)


async def test_a_part_that_is_back_stands_beside_the_status(inbox: Inbox) -> None:
    await told(inbox, sale("1")[:2])
    note = credit_note("cn_1", "in_1", out_of_band_amount=30)
    await told(inbox, [("credit_note.created", note, T + 1)])
    assert tuple(await money_of(inbox, "1")) == ("paid", 0, 100, 0)
    await told(inbox, [("invoice.updated", sale("1")[0][1], T + 99)])
    assert tuple(await money_of(inbox, "1")) == ("paid", 0, 100, 0)


async def test_the_refund_of_a_credit_note_counts_once(inbox: Inbox) -> None:
    await told(inbox, sale("1")[:2])
    parts = [{"amount_refunded": 799, "refund": "re_1", "type": "refund"}]
    note = credit_note("cn_1", "in_1", total=799, post_payment_amount=799, refunds=parts)
    await told(inbox, [("credit_note.created", note, T + 1)])
    assert tuple(await refunded(inbox, "1", "succeeded", T + 1)) == ("refunded", 799, 0, 0)


async def test_a_credit_note_before_the_payment_gives_nothing_back(inbox: Inbox) -> None:
    note = credit_note("cn_1", "in_1", pre_payment_amount=100, post_payment_amount=0)
    lowered = made.invoice("in_1", subscription=None, pre_payment_credit_notes_amount=100, paid=699)
    await told(inbox, [("credit_note.created", note, T), ("invoice.paid", lowered, T + 1)])
    assert tuple(await money_of(inbox, "1")) == ("paid", 0, 0, 0)
    assert await inbox.pool.fetchval("SELECT amount_invoiced FROM invoices") == 699


LIFE = (
    ("warning_needs_response", 0),
    ("warning_under_review", 0),
    ("needs_response", 799),
    ("under_review", 799),
    ("lost", 799),
    ("appeal_under_review", 799),
    ("won", 0),
)


async def test_only_money_that_the_bank_has_is_disputed(inbox: Inbox) -> None:
    await told(inbox, sale("1")[:2])
    for later, (status, taken) in enumerate(LIFE):
        about = dispute("du_1", "pi_1", status=status)
        await told(inbox, [("charge.dispute.updated", about, T + 10 + later)])
        row = await inbox.row("SELECT amount_disputed, disputed_since FROM invoices")
        assert (row["amount_disputed"], row["disputed_since"] is not None) == (taken, taken > 0)


async def test_the_fee_of_a_dispute_is_what_stripe_keeps(inbox: Inbox) -> None:
    taken = [{"fee": 1500, "currency": "eur"}]
    about = dispute("du_1", "pi_1", balance_transactions=taken)
    await told(inbox, [("charge.dispute.funds_withdrawn", about, T)])
    row = await inbox.row("SELECT fee, fee_currency, movements FROM stripe_disputes")
    assert tuple(row) == (1500, "eur", 1)
    returned = [*taken, {"fee": -1500, "currency": "eur"}]
    won = dispute("du_1", "pi_1", status="won", balance_transactions=returned)
    await told(inbox, [("charge.dispute.funds_reinstated", won, T + 1)])
    assert await inbox.pool.fetchval("SELECT fee FROM stripe_disputes") == 0


async def test_a_declined_charge_says_why_in_words_and_keeps_the_card(inbox: Inbox) -> None:
    declined = {
        "id": "ch_1",
        "object": "charge",
        "livemode": False,
        "amount": 799,
        "currency": "usd",
        "created": T,
        "customer": "cus_1",
        "failure_code": "card_declined",
        "failure_message": "Your card has insufficient funds.",
        "outcome": {"reason": "insufficient_funds"},
        "payment_method_details": {
            "type": "card",
            "card": {"brand": "visa", "last4": "9995", "exp_month": 7, "exp_year": 2031},
        },
        "status": "failed",
    }
    await told(inbox, [("charge.failed", declined, T)])
    row = await inbox.row(
        "SELECT decline_reason, card_brand, card_last4, card_exp_month, card_exp_year"
        " FROM stripe_charges"
    )
    assert tuple(row) == ("The card has insufficient funds.", "visa", "9995", 7, 2031)


@pytest.mark.parametrize("wrong", [{"status": "settled"}, {"charge": None}, {"amount": None}])
async def test_a_dispute_that_cannot_be_read_is_kept_as_failed(
    inbox: Inbox, wrong: dict[str, Any]
) -> None:
    payload = made.event("charge.dispute.created", dispute("du_1", "pi_1") | wrong)
    assert await inbox.receive(payload) == "failed"
