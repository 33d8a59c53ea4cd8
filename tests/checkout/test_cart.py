"""What a request asks for, in either shape."""

from typing import Any

import pytest

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.order import Order
from mpanel_billing.checkout.cart import read_order
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.http.request import validate
from mpanel_billing.http.schemas.checkout import QuoteRequest

HOSTING = {"type": "hosting", "plan": "premium", "term": "annually", "quantity": 1, "trial": False}
SHAPE_B: dict[str, Any] = {
    "planId": "premium",
    "billingCycle": "yearly",
    "trialActive": False,
    "cartItems": [
        {"id": "hosting:premium:annually", **HOSTING},
        {"id": "domain-grace.com", "type": "domain", "domain": "grace.com", "quantity": 1},
        {"id": "addon-priority-support", "type": "addon", "price": 1999, "interval": "month"},
    ],
    "success_url": "https://migrahosting.com/checkout/success",
    "unknown": {"is": "ignored"},
}


def read(catalogue: Catalogue, body: dict[str, Any]) -> Order:
    return read_order(validate(QuoteRequest, body).to_selection(), catalogue)


def cart(*items: dict[str, Any]) -> dict[str, Any]:
    return {**SHAPE_B, "cartItems": list(items)}


def test_shape_a_is_read(catalogue: Catalogue) -> None:
    order = read(
        catalogue,
        {
            "planId": "starter",
            "billingCycle": "monthly",
            "trialActive": True,
            "addonIds": ["addon-backups-daily", "addon-backups-daily"],
            "couponCode": " welcome10 ",
            "domain": {"mode": "new-or-transfer", "value": " BÜCHER.com. "},
        },
    )
    assert (order.plan_code, order.billing_cycle, order.trial) == ("starter", "monthly", True)
    assert order.addon_codes == ("addon-backups-daily",)
    assert order.coupon_code == "WELCOME10"
    [domain] = order.domains
    assert (domain.mode, domain.ascii, domain.unicode) == (
        "new-or-transfer",
        "xn--bcher-kva.com",
        "bücher.com",
    )


def test_shape_b_is_read_in_any_order(catalogue: Catalogue) -> None:
    orders = [
        read(catalogue, SHAPE_B),
        read(catalogue, cart(*reversed(SHAPE_B["cartItems"]))),
    ]
    for order in orders:
        assert (order.plan_code, order.billing_cycle) == ("premium", "annually")
        assert order.addon_codes == ("addon-priority-support",)
        assert [domain.ascii for domain in order.domains] == ["grace.com"]


def test_the_same_thing_under_two_types_is_bought_once(catalogue: Catalogue) -> None:
    items = [{"type": kind, "id": "addon-priority-support"} for kind in ("addon", "email", "addon")]
    assert read(catalogue, cart(HOSTING, HOSTING, *items)).addon_codes == (
        "addon-priority-support",
    )


def test_a_plan_that_is_named_as_an_email_item_is_the_plan(catalogue: Catalogue) -> None:
    body = {
        "planId": "mail-basic",
        "billingCycle": "monthly",
        "cartItems": [{"type": "email", "id": "mail-basic"}],
    }
    assert read(catalogue, body).addon_codes == ()


def test_the_first_domain_is_the_orders_own(catalogue: Catalogue) -> None:
    body = cart(
        {"type": "domain", "domain": "b.com"},
        {"type": "domain", "domain": "A.com"},
        {"type": "domain", "domain": "c.com"},
    )
    body["domain"] = {"mode": "existing", "value": "a.com"}
    assert [(domain.mode, domain.ascii) for domain in read(catalogue, body).domains] == [
        ("existing", "a.com"),
        ("new-or-transfer", "b.com"),
        ("new-or-transfer", "c.com"),
    ]


def test_an_item_can_name_a_price(catalogue: Catalogue) -> None:
    order = read(
        catalogue,
        {
            "cartItems": [
                {"type": "simple", "priceId": "price_starter_annually_usd"},
                {"type": "simple", "priceId": "addon-cdn-basic_annually_usd"},
            ]
        },
    )
    assert (order.plan_code, order.billing_cycle, order.addon_codes) == (
        "starter",
        "annually",
        ("addon-cdn-basic",),
    )


def test_a_domain_for_later_is_no_domain(catalogue: Catalogue) -> None:
    body = {"planId": "starter", "billingCycle": "monthly"}
    assert read(catalogue, body | {"domain": {"mode": "later", "value": ""}}).domains == ()
    assert read(catalogue, body).domains == ()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"billingCycle": "monthly"}, "planId"),
        ({"planId": "starter"}, "billingCycle"),
        ({"planId": "starter", "billingCycle": "weekly"}, "billingCycle"),
        (cart({**HOSTING, "plan": "starter"}), "planId"),
        (cart({**HOSTING, "term": "monthly"}), "billingCycle"),
        (cart({**HOSTING, "trial": True}), "trialActive"),
        (cart({**HOSTING, "quantity": 2}), "cartItems[0].quantity"),
        (cart({"type": "addon"}), "cartItems[0].id"),
        (cart({"type": "gift", "id": "x"}), "cartItems[0].type"),
        (cart({"type": "simple", "priceId": "price_unknown"}), "cartItems[0].priceId"),
        (cart({"type": "simple"}), "cartItems[0].priceId"),
        (cart({"type": "simple", "priceId": "domain-com_once_usd"}), "cartItems[0].priceId"),
        (cart({"type": "simple", "priceId": "premium_monthly_usd"}), "billingCycle"),
        (cart({"type": "domain", "domain": ""}), "cartItems[0].domain"),
        (cart({"type": "domain", "domain": "Not A Domain!! "}), "cartItems[0].domain"),
        ({**SHAPE_B, "domain": {"mode": "register", "value": ""}}, "domain.value"),
        ({**SHAPE_B, "domain": {"mode": "rent", "value": "a.com"}}, "domain.mode"),
        ({**SHAPE_B, "addonIds": "x"}, "addonIds"),
        ({**SHAPE_B, "planId": 7}, "planId"),
        ({**SHAPE_B, "planId": "a\u0000b"}, "planId"),
        ({**SHAPE_B, "cartItems": [HOSTING] * 51}, "cartItems"),
    ],
)
def test_what_cannot_be_an_order_is_refused_by_its_field(
    catalogue: Catalogue, body: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read(catalogue, body)
    assert list(refused.value.fields or ()) == [field]
