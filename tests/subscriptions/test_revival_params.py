"""What Stripe is asked for to bill an ended customer again; no I/O."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.errors import ConflictError
from mpanel_billing.subscriptions.revival_params import revival_params
from tests import stripe_objects as made

ID = UUID("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
NOW = datetime(2026, 11, 27, tzinfo=UTC)
LATER = NOW + timedelta(days=20)


def params(
    ended: dict[str, Any], *, paid_until: datetime | None = None, without_discounts: bool = False
) -> dict[str, Any]:
    return revival_params(
        ended, ID, paid_until=paid_until, now=NOW, without_discounts=without_discounts
    )


def discount(duration: str, end: datetime | None = None, **more: Any) -> dict[str, Any]:
    coupon = {"id": "TEN", "object": "coupon", "name": "Ten off", "duration": duration}
    return {
        "id": "di_1",
        "object": "discount",
        "source": {"type": "coupon", "coupon": coupon},
        "end": end and int(end.timestamp()),
        **more,
    }


def several(*intervals: str) -> dict[str, Any]:
    items = []
    for number, interval in enumerate(intervals):
        [item] = made.subscription(price=f"price_{number}")["items"]["data"]
        recurring = {"interval": interval, "interval_count": 1}
        items.append(
            item | {"id": f"si_{number}", "price": item["price"] | {"recurring": recurring}}
        )
    return made.subscription(items=items, billing_mode={"type": "flexible"})


def test_items_quantities_and_metadata_are_copied_and_it_is_billed_at_once() -> None:
    ended = made.subscription(quantity=3, metadata={"planId": "web", "checkoutAttempt": "2"})
    assert params(ended) == {
        "customer": "cus_1",
        "items": [{"price": "price_1", "quantity": 3}],
        "metadata": {"planId": "web", "subscriptionId": str(ID)},
        "payment_behavior": "error_if_incomplete",
    }


def test_it_is_billed_from_the_end_of_the_time_that_was_paid() -> None:
    start = {"billing_cycle_anchor": int(LATER.timestamp()), "proration_behavior": "none"}
    assert params(made.subscription(), paid_until=LATER).items() >= start.items()


def test_taxes_are_copied() -> None:
    ended = made.subscription(
        default_tax_rates=[{"id": "txr_1", "object": "tax_rate"}], automatic_tax={"enabled": True}
    )
    ended["items"]["data"][0]["tax_rates"] = [{"id": "txr_2"}, "txr_3"]
    asked = params(ended)
    assert asked["default_tax_rates"] == ["txr_1"]
    assert asked["automatic_tax"] == {"enabled": True}
    assert asked["items"] == [{"price": "price_1", "quantity": 1, "tax_rates": ["txr_2", "txr_3"]}]
    assert "automatic_tax" not in params(made.subscription(automatic_tax={"enabled": False}))


def test_a_discount_that_goes_on_is_copied_by_its_coupon() -> None:
    ended = made.subscription(discounts=[discount("forever")])
    ended["items"]["data"][0]["discounts"] = [discount("forever")]
    asked = params(ended)
    assert asked["discounts"] == [{"coupon": "TEN"}]
    assert asked["items"][0]["discounts"] == [{"coupon": "TEN"}]


@pytest.mark.parametrize(
    "used_up",
    [discount("once"), discount("repeating", NOW - timedelta(days=1))],
    ids=["for one invoice", "has ended"],
)
def test_a_discount_that_is_used_up_is_not_given_again(used_up: dict[str, Any]) -> None:
    assert "discounts" not in params(made.subscription(discounts=[used_up]))


def test_a_discount_that_would_start_over_is_refused_unless_it_is_left_out() -> None:
    ended = made.subscription(discounts=[discount("repeating", LATER)])
    with pytest.raises(ConflictError, match="Ten off ends on 2026-12-17") as refused:
        params(ended)
    assert refused.value.code == "discount_not_copyable"
    assert "discounts" not in params(ended, without_discounts=True)
    ended["items"]["data"][0]["discounts"] = [discount("repeating", LATER)]
    assert "discounts" not in params(ended, without_discounts=True)["items"][0]


def test_items_of_different_terms_are_billed_at_once_but_not_from_one_date() -> None:
    ended = several("month", "year")
    at_once = params(ended)
    assert [item["price"] for item in at_once["items"]] == ["price_0", "price_1"]
    assert at_once["billing_mode"] == {"type": "flexible"}
    with pytest.raises(ConflictError, match="after 2026-12-17, until when it is paid") as refused:
        params(ended, paid_until=LATER)
    assert refused.value.code == "different_terms"
    assert "billing_cycle_anchor" in params(several("year", "year"), paid_until=LATER)


def test_a_sent_invoice_is_sent_again_and_a_card_is_used_if_the_customer_has_none() -> None:
    sent = params(made.subscription(collection_method="send_invoice", days_until_due=30))
    assert (sent["collection_method"], sent["days_until_due"]) == ("send_invoice", 30)
    card = {"default_payment_method": "pm_1"}
    assert params(made.subscription(**card)).items() >= card.items()
    newer = {"id": "cus_1", "invoice_settings": {"default_payment_method": "pm_2"}}
    assert "default_payment_method" not in params(made.subscription(**card, customer=newer))
