"""Fields compared; no I/O."""

from mpanel_billing.mirror.differences import Difference
from mpanel_billing.mirror.types import normalise
from mpanel_billing.reconciliation.comparing import differences
from tests import stripe_objects as made

PAYMENT = {
    "stripe_invoice_id": "in_1",
    "stripe_payment_intent_id": "pi_1",
    "stripe_charge_id": None,
    "amount_paid": 799,
    "status": "paid",
}


def test_equal_rows_do_not_differ() -> None:
    facts = normalise(made.invoice_payment(), livemode=False)
    assert differences("invoice_payment", facts, PAYMENT) == []


def test_each_field_that_differs_is_named_with_both_values() -> None:
    facts = normalise(made.invoice_payment(amount=5), livemode=False)
    assert differences("invoice_payment", facts, PAYMENT | {"stripe_payment_intent_id": None}) == [
        Difference("stripe_payment_intent_id", None, "pi_1"),
        Difference("amount_paid", "799", "5"),
    ]


def test_an_object_that_we_lack_differs_as_a_whole() -> None:
    facts = normalise(made.subscription(status="trialing"), livemode=False)
    assert differences("subscription", facts, None) == [Difference("object", None, "trialing")]


def test_of_a_deleted_customer_only_that_counts() -> None:
    facts = normalise({"object": "customer", "id": "cus_1", "deleted": True}, livemode=False)
    assert (
        differences("customer", facts, {"email": "ada@example.com", "name": "Ada", "deleted": True})
        == []
    )
    assert differences("customer", facts, {"email": None, "name": None, "deleted": False}) == [
        Difference("deleted", "false", "true")
    ]


def test_what_an_invoice_no_longer_names_is_kept() -> None:
    facts = normalise(made.invoice(subscription=None), livemode=False)
    row = facts._asdict()
    assert differences("invoice", facts, row | {"stripe_subscription_id": "sub_1"}) == []
