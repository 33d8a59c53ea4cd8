"""Both generations of Stripe's shapes give the same facts."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.mirror.reading import UnreadableObjectError
from mpanel_billing.mirror.taxes import sum_of_taxes
from mpanel_billing.mirror.types import normalise
from mpanel_billing.mirror.types.checkout_session import SessionFacts
from mpanel_billing.mirror.types.invoice import InvoiceFacts
from mpanel_billing.mirror.types.subscription import SubscriptionFacts
from tests import stripe_objects as made

ORDER = "0190d2f0-0000-7000-8000-000000000001"


def read(stripe_object: dict[str, Any]) -> Any:
    return normalise(stripe_object, livemode=False)


def test_a_subscriptions_period_is_read_from_its_items_or_from_itself() -> None:
    assert read(made.subscription(classic=True)) == read(made.subscription(classic=False))


def test_the_period_of_a_subscription_ends_with_the_first_of_its_items() -> None:
    items = [
        {**made.subscription()["items"]["data"][0], "id": f"si_{end}", "current_period_end": end}
        for end in (1_800_000_000, 1_795_000_000)
    ]
    facts: SubscriptionFacts = read(made.subscription(items=items))
    assert facts.current_period_end == datetime.fromtimestamp(1_795_000_000, UTC)


def test_an_invoice_names_its_subscription_in_either_place() -> None:
    assert read(made.invoice(classic=True)) == read(made.invoice(classic=False))


def test_an_invoice_names_its_subscription_at_least_on_its_lines() -> None:
    invoice = made.invoice()
    details = invoice["parent"].pop("subscription_details")
    invoice["lines"]["data"][0]["parent"] = {"subscription_item_details": details}
    facts: InvoiceFacts = read(invoice)
    assert facts.stripe_subscription_id == "sub_1"


def test_the_billed_period_of_an_invoice_is_that_of_its_lines() -> None:
    facts: InvoiceFacts = read(made.invoice(created=1_790_000_000))
    assert facts.period_start == datetime.fromtimestamp(1_790_000_000, UTC)
    assert facts.period_end == datetime.fromtimestamp(1_792_592_000, UTC)


def test_the_payment_of_an_invoice_is_read_from_its_expanded_payments() -> None:
    payments = {"object": "list", "data": [made.invoice_payment(payment_intent="pi_9")]}
    current: InvoiceFacts = read(made.invoice(payments=payments))
    before: InvoiceFacts = read(made.invoice(payment_intent="pi_9"))
    assert current.stripe_payment_intent_id == before.stripe_payment_intent_id == "pi_9"


UNPAID = {
    "payments": {
        "payments": {
            "object": "list",
            "data": [
                made.invoice_payment("inpay_0", payment_intent="pi_0", status="canceled"),
                made.invoice_payment(payment_intent="pi_9", status="open"),
            ],
        }
    },
    "confirmation secret": {
        "confirmation_secret": {"client_secret": "pi_9_secret_x", "type": "payment_intent"}
    },
    "classic": {"payment_intent": "pi_9"},
    "classic, expanded": {"payment_intent": {"id": "pi_9", "object": "payment_intent"}},
}


@pytest.mark.parametrize("shape", UNPAID.values(), ids=UNPAID)
def test_the_payment_intent_of_an_unpaid_invoice_is_read_in_every_shape(
    shape: dict[str, Any],
) -> None:
    facts: InvoiceFacts = read(made.invoice(status="open", **shape))
    assert facts.stripe_payment_intent_id == "pi_9"


@pytest.mark.parametrize("secret", [None, {}, {"client_secret": "seti_9_secret_x"}])
def test_a_secret_of_something_else_names_no_payment_intent(secret: Any) -> None:
    facts: InvoiceFacts = read(made.invoice(status="open", confirmation_secret=secret))
    assert facts.stripe_payment_intent_id is None


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        ({"paid": True, "closed": True, "attempted": True}, "paid"),
        ({"paid": False, "closed": True, "forgiven": True}, "uncollectible"),
        ({"paid": False, "closed": True, "forgiven": False}, "void"),
        ({"paid": False, "closed": False, "attempted": True}, "open"),
        ({"paid": False, "closed": False, "attempted": False}, "draft"),
    ],
)
def test_an_invoice_without_a_status_has_flags(flags: dict[str, bool], status: str) -> None:
    invoice = made.invoice() | flags
    del invoice["status"]
    facts: InvoiceFacts = read(invoice)
    assert facts.stripe_status == status


def test_an_item_listed_twice_counts_once() -> None:
    item = made.subscription(amount=500)["items"]["data"][0]
    facts: SubscriptionFacts = read(made.subscription(items=[item, item]))
    assert (len(facts.items), facts.amount) == (1, 500)


def test_taxes_are_summed_in_both_generations() -> None:
    current: InvoiceFacts = read(made.invoice(total_taxes=[{"amount": 3}, {"amount": 4}]))
    before: InvoiceFacts = read(made.invoice(tax=7))
    assert sum_of_taxes(current.taxes) == sum_of_taxes(before.taxes) == 7


@pytest.mark.parametrize(
    "customer",
    ["cus_1", {"id": "cus_1", "object": "customer"}, {"id": "cus_1", "deleted": True}],
    ids=["id", "expanded", "deleted stub"],
)
def test_a_related_object_is_an_id_an_object_or_a_stub(customer: Any) -> None:
    facts: SubscriptionFacts = read(made.subscription() | {"customer": customer})
    assert facts.stripe_customer_id == "cus_1"


def test_a_plan_stands_in_for_a_price_that_is_null() -> None:
    item = made.subscription()["items"]["data"][0]
    item |= {
        "price": None,
        "plan": {
            "id": "plan_1",
            "amount": 500,
            "currency": "usd",
            "interval": "year",
            "interval_count": 1,
        },
    }
    facts: SubscriptionFacts = read(made.subscription(items=[item]))
    assert facts.items[0].stripe_price_id == "plan_1"
    assert (facts.amount, facts.items[0].recurring_interval) == (500, "year")


def test_a_metered_item_has_no_quantity_and_adds_nothing_to_the_amount() -> None:
    item = made.subscription()["items"]["data"][0]
    del item["quantity"]
    facts: SubscriptionFacts = read(made.subscription(items=[item]))
    assert facts.items[0].quantity is None
    assert facts.amount == 0


def test_an_incomplete_list_of_items_is_recognised() -> None:
    subscription = made.subscription()
    subscription["items"]["has_more"] = True
    facts: SubscriptionFacts = read(subscription)
    assert not facts.items_complete


@pytest.mark.parametrize("value", ["nonsense", "", 7, None, ["x"], ORDER + "0"])
def test_metadata_that_names_no_row_is_ignored(value: Any) -> None:
    facts: SubscriptionFacts = read(made.subscription(metadata={"subscriptionId": value}))
    assert facts.order_id is None


def test_a_session_names_its_order_in_metadata_and_reference() -> None:
    facts: SessionFacts = read(made.session(order=ORDER, attempt=3))
    assert (facts.order_id, facts.attempt) == (UUID(ORDER), 3)
    reference_only: SessionFacts = read(made.session(order=ORDER) | {"metadata": {}})
    assert (reference_only.order_id, reference_only.attempt) == (UUID(ORDER), None)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": None}, "id is not a Stripe id"),
        ({"id": "x" * 10_000}, "too long"),
        ({"id": "sub_\n1"}, "not printable"),
        ({"customer": None}, "customer is missing"),
        ({"status": "dancing"}, "status 'dancing' is unknown"),
        ({"currency": "dollars"}, "not an ISO 4217 code"),
        ({"trial_end": 2**70}, "64-bit"),
        ({"trial_end": -1}, "not a valid Unix time"),
        ({"trial_end": True}, "64-bit"),
        ({"object": "unicorn"}, "not mirrored"),
    ],
)
def test_an_object_that_cannot_be_mirrored_says_why(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UnreadableObjectError, match=complaint):
        read(made.subscription() | change)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
OBJECTS = st.sampled_from(
    [made.subscription(), made.invoice(), made.invoice_payment(), made.session()]
)


@given(base=OBJECTS, key_at=st.integers(0, 60), value=JSON)
def test_an_object_with_any_field_replaced_is_read_or_refused_but_never_breaks(
    base: dict[str, Any], key_at: int, value: Any
) -> None:
    keys = sorted(base)
    with suppress(UnreadableObjectError):
        read({**base, keys[key_at % len(keys)]: value})


def test_an_invoice_is_for_the_time_of_its_terms_not_of_what_it_charges_once() -> None:
    invoice = made.invoice()
    once = {
        "id": "il_once",
        "object": "line_item",
        "amount": 500,
        "period": {"start": 1_780_000_000, "end": 1_780_000_000},
        "parent": {"invoice_item_details": {"invoice_item": "ii_1", "proration": False}},
    }
    lines = invoice["lines"]
    plain: InvoiceFacts = read(invoice)
    both: InvoiceFacts = read(invoice | {"lines": lines | {"data": [once, *lines["data"]]}})
    assert (both.period_start, both.period_end) == (plain.period_start, plain.period_end)
    alone: InvoiceFacts = read(invoice | {"lines": lines | {"data": [once]}})
    assert alone.period_end == datetime.fromtimestamp(1_780_000_000, UTC)
