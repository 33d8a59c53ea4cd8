"""Comparing the fields of an object; no I/O."""

from decimal import Decimal

from mpanel_billing.mirror.differences import Difference
from mpanel_billing.mirror.types import normalise
from mpanel_billing.reconciliation.compare import differences
from tests import stripe_objects as made

PAYMENT = {
    "stripe_invoice_id": "in_1",
    "stripe_payment_intent_id": "pi_1",
    "stripe_charge_id": None,
    "amount_paid": 799,
    "currency": "usd",
    "status": "paid",
}


def test_equal_rows_do_not_differ() -> None:
    facts = normalise(made.invoice_payment(), livemode=False)
    assert differences("invoice_payment", facts, PAYMENT) == []


def test_each_difference_has_both_values() -> None:
    facts = normalise(made.invoice_payment(amount=5), livemode=False)
    assert differences("invoice_payment", facts, PAYMENT | {"stripe_payment_intent_id": None}) == [
        Difference("stripe_payment_intent_id", None, "pi_1"),
        Difference("amount_paid", "799", "5"),
    ]


def test_a_missing_object_is_one_difference() -> None:
    facts = normalise(made.subscription(status="trialing"), livemode=False)
    assert differences("subscription", facts, None) == [Difference("object", None, "trialing")]


GONE = {"email": "ada@example.com", "name": "Ada", "deleted": False, "balances": None}


def test_only_the_deletion_of_a_deleted_customer_is_compared() -> None:
    facts = normalise({"object": "customer", "id": "cus_1", "deleted": True}, livemode=False)
    assert differences("customer", facts, GONE | {"deleted": True}) == []
    assert differences("customer", facts, GONE) == [Difference("deleted", "false", "true")]


def test_a_reference_that_an_invoice_no_longer_has_is_kept() -> None:
    facts = normalise(made.invoice(subscription=None), livemode=False)
    amounts = {"subtotal": Decimal("7.99"), "tax_amount": Decimal(0), "total": Decimal("7.99")}
    amounts |= {
        "tax_rate": Decimal(0),
        "amount_refunded": Decimal(0),
        "amount_credited": Decimal(0),
    }
    row = facts._asdict() | {"status": "paid", **amounts}
    assert differences("invoice", facts, row | {"stripe_subscription_id": "sub_1"}) == []
