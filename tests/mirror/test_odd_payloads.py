"""Payloads that Stripe really sends and that a simple reading gets wrong."""

from decimal import Decimal
from typing import Any

import pytest

from mpanel_billing.mirror.types.invoice import INVOICE
from mpanel_billing.webhooks.batching import EventBatcher
from mpanel_billing.webhooks.event import parse_event
from mpanel_billing.webhooks.jsonb import Body
from tests import stripe_objects as made
from tests.inbox import Inbox

T = 1_790_000_000


async def test_an_event_that_lists_an_item_twice_is_applied(inbox: Inbox) -> None:
    item = made.subscription(amount=500)["items"]["data"][0]
    twice = made.subscription(items=[item, item])
    assert await inbox.deliver("customer.subscription.created", twice) == "applied"
    assert await inbox.deliver("customer.subscription.updated", twice, created=T + 5) == "applied"
    assert (await inbox.subscription())["amount"] == 500
    assert await inbox.pool.fetchval("SELECT count(*) FROM subscription_items") == 1


def test_a_payment_listed_twice_in_an_invoice_counts_once() -> None:
    payment = made.invoice_payment()
    invoice = made.invoice(payments={"object": "list", "data": [payment, payment]})
    assert INVOICE.contained(invoice) == [payment]


async def test_a_paid_invoice_of_an_old_shape_is_paid(inbox: Inbox) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription())
    old = made.invoice(classic=True, paid=799) | {"paid": True, "closed": True}
    del old["status"]
    assert await inbox.deliver("invoice.payment_succeeded", old) == "applied"
    invoice = await inbox.row("SELECT status, stripe_status FROM invoices")
    assert tuple(invoice) == ("paid", "paid")
    assert (await inbox.subscription())["status"] == "pending"


async def test_a_deleted_customer_is_marked_though_the_event_does_not_say_deleted(
    inbox: Inbox,
) -> None:
    customer = {"id": "cus_1", "object": "customer", "email": "ada@example.com", "name": "Ada"}
    await inbox.order()
    await inbox.deliver("customer.created", customer)
    assert await inbox.deliver("customer.deleted", customer, created=T + 5) == "applied"
    row = await inbox.row("SELECT deleted, email FROM stripe_customers")
    assert tuple(row) == (True, "ada@example.com")
    assert await inbox.pool.fetchval("SELECT stripe_customer_id FROM customers") is None
    assert await inbox.deliver("customer.updated", customer, created=T + 5) == "stale"


async def test_a_completed_session_of_an_order_without_session_rows_is_applied(
    inbox: Inbox,
) -> None:
    order = await inbox.order()
    await inbox.pool.execute("DELETE FROM checkout_sessions")
    by_reference = made.session(order=str(order)) | {"metadata": {}}
    assert await inbox.deliver("checkout.session.completed", by_reference) == "applied"
    session = await inbox.row("SELECT stripe_session_id, attempt, status FROM checkout_sessions")
    assert tuple(session) == ("cs_test_1", 1, "complete")
    await inbox.deliver("customer.subscription.created", made.subscription())
    row = await inbox.subscription()
    assert (row["id"], row["status"], row["checkout_session_id"]) == (order, "pending", "cs_test_1")


async def test_the_payment_that_failed_does_not_stay_when_another_one_pays(inbox: Inbox) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription())
    failed = made.invoice(status="open", payment_intent="pi_failed")
    await inbox.deliver("invoice.payment_failed", failed)
    assert await payment_intent(inbox) == "pi_failed"
    await inbox.deliver("invoice.paid", made.invoice(), created=T + 5)
    assert await payment_intent(inbox) is None
    requested = "SELECT object_id FROM stripe_refetches WHERE object_type = 'invoice'"
    assert await inbox.pool.fetchval(requested) == "in_1"
    await inbox.deliver("invoice_payment.paid", made.invoice_payment(payment_intent="pi_paid"))
    assert await payment_intent(inbox) == "pi_paid"


async def payment_intent(inbox: Inbox) -> str | None:
    row = await inbox.row("SELECT stripe_payment_intent_id FROM invoices")
    found: str | None = row["stripe_payment_intent_id"]
    return found


INCLUSIVE = [{"amount": 190, "tax_behavior": "inclusive", "taxable_amount": 1000}]
EXCLUSIVE = [{"amount": 190, "tax_behavior": "exclusive", "taxable_amount": 1000}]
AMOUNTS: dict[str, tuple[dict[str, Any], str]] = {
    "no tax": ({"subtotal": 1190, "total": 1190, "total_taxes": []}, "11.90 + 0.00 = 11.90"),
    "tax in the price": (
        {"subtotal": 1190, "total": 1190, "total_taxes": INCLUSIVE},
        "10.00 + 1.90 = 11.90",
    ),
    "tax added": (
        {"subtotal": 1000, "total": 1190, "total_taxes": EXCLUSIVE},
        "10.00 + 1.90 = 11.90",
    ),
    "two taxes, one in the price": (
        {
            "subtotal": 1190,
            "total": 1240,
            "total_taxes": [*INCLUSIVE, {"amount": 50, "tax_behavior": "exclusive"}],
        },
        "10.00 + 2.40 = 12.40",
    ),
    "discounted, tax in the price": (
        {
            "subtotal": 1990,
            "total": 1190,
            "total_taxes": INCLUSIVE,
            "total_discount_amounts": [{"amount": 800, "discount": "di_1"}],
        },
        "10.00 + 1.90 = 11.90",
    ),
    "discounted to nothing": (
        {"subtotal": 1190, "total": 0, "total_taxes": []},
        "0.00 + 0.00 = 0.00",
    ),
    "older, tax in the price": (
        {
            "subtotal": 1190,
            "total": 1190,
            "tax": 190,
            "total_tax_amounts": [{"amount": 190, "inclusive": True}],
        },
        "10.00 + 1.90 = 11.90",
    ),
    "older, newer name null": (
        {"subtotal": 1190, "total": 1190, "total_taxes": None, "tax": 190},
        "10.00 + 1.90 = 11.90",
    ),
    "a credit": (
        {"subtotal": -1190, "total": -1190, "total_taxes": [{"amount": -190}]},
        "-10.00 + -1.90 = -11.90",
    ),
    "no decimals": (
        {"subtotal": 1190, "total": 1190, "total_taxes": INCLUSIVE, "currency": "jpy"},
        "1000.00 + 190.00 = 1190.00",
    ),
    "three decimals, in two": (
        {"subtotal": 1235, "total": 1235, "total_taxes": [{"amount": 205}], "currency": "kwd"},
        "1.03 + 0.21 = 1.24",
    ),
}


@pytest.mark.parametrize("settled", [False, True], ids=["full path", "fast path"])
@pytest.mark.parametrize(("amounts", "expected"), AMOUNTS.values(), ids=AMOUNTS)
async def test_an_invoices_subtotal_and_taxes_add_up_to_its_total(
    inbox: Inbox, amounts: dict[str, Any], expected: str, *, settled: bool
) -> None:
    if settled:
        await inbox.deliver("customer.subscription.created", made.subscription())
        await inbox.deliver("invoice.paid", made.invoice("in_0"))
    event = made.event("invoice.paid", made.invoice() | amounts, created=T + 5)
    outcome = await EventBatcher(inbox.pool).receive(parse_event(Body.of(event), livemode=False))
    assert outcome.status == "applied"
    row = await inbox.row(
        "SELECT subtotal, tax_amount, total FROM invoices WHERE stripe_invoice_id = 'in_1'"
    )
    subtotal, tax, total = (Decimal(value) for value in row)
    assert f"{subtotal} + {tax} = {total}" == expected
    assert subtotal + tax == total
