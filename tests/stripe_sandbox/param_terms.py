"""The part of `param_world` and `param_scenes` about single items, pauses and due dates."""

from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.param_cases import AMOUNTS, PLAN, TERMS, Scene, case, scene
from tests.stripe_sandbox.param_portal import CONFIGURED

SENT = {"collection_method": "send_invoice"}
DUE = {"days_until_due": 30}
OFFERED = {"invoice_history": {"enabled": True}, "subscription_pause": {"enabled": True}}


def add_terms(desk: Desk) -> None:
    """Add a subscription whose card is declined from now on."""
    desk.do("POST /customers", keep="declined", email="dan@example.com", test_clock="$clock",
            payment_method="pm_card_visa",
            invoice_settings={"default_payment_method": "pm_card_visa"})  # fmt: skip
    declined = desk.names["declined"]
    desk.do("POST /payment_methods/{id}/attach", of="pm_card_chargeCustomerFail",
            keep="declined_card", customer=declined)  # fmt: skip
    made = desk.do("POST /subscriptions", keep="declining", customer="$declined",
                   items=[{"price": "$monthly"}, {"price": "$extra"}])  # fmt: skip
    desk.names["declining_item"] = made["items"]["data"][0]["id"]
    desk.do("POST /subscriptions/{id}", of="declining", default_payment_method="$declined_card")
    desk.do("POST /billing_portal/configurations", keep="portal_configuration", features=OFFERED)
    desk.do("POST /invoiceitems", customer="$declined", amount=900, currency="usd")
    desk.do("POST /invoices", keep="to_send", customer="$declined", **SENT, **DUE,
            pending_invoice_items_behavior="include")  # fmt: skip


PRICE_DATA = {f"price_data.{name}": case(price_data=PLAN, price=None) for name in AMOUNTS + TERMS}
BILLED_NOW = {"price": "$bigger", "proration_behavior": "always_invoice"}
ITEM = {
    "price": case("$bigger", "$yearly", price=None),
    "plan": case("$bigger", "$yearly", price=None),
    **PRICE_DATA,
    "proration_date": case(START, START + DAY),
}

TERM_SCENES: dict[str, Scene] = {
    "POST /subscription_items": scene(
        subscription="$declining",
        price="$bigger",
        cases={
            **ITEM,
            "subscription": case("$declining", "$trial"),
            "payment_behavior": case(**BILLED_NOW),
            "discounts.discount": case(),
        },
    ),
    "POST /subscription_items/{id}": scene(
        "declining_item",
        price="$bigger",
        cases={**ITEM, "payment_behavior": case(**BILLED_NOW)},
    ),
    "GET /subscription_items": scene(
        subscription="$trial", cases={"subscription": case("$trial", "$declining")}
    ),
    "DELETE /subscription_items/{id}": scene(
        "declining_item",
        cases={
            "proration_date": case(START, START + DAY),
        },
    ),
    "POST /invoices/{id}/send": scene("to_send"),
    "POST /billing_portal/configurations": scene(features=OFFERED, cases=CONFIGURED),
    "POST /billing_portal/configurations/{id}": scene("portal_configuration", cases=CONFIGURED),
    "GET /billing_portal/configurations": scene(cases={"is_default": case(True, False)}),
    "POST /subscriptions/{id}/pause": scene(
        "declining", cases={"bill_for.outstanding_usage_through.type": case(of="using")}
    ),
    "POST /invoices": scene(
        customer="$customer",
        cases={
            "customer": case(),
            "subscription": case("$subscription"),
            "collection_method": case("send_invoice", refused=("charge_automatically",), **DUE),
            "days_until_due": case(10, 11, **SENT),
            "due_date": case(START + DAY, START + 2 * DAY, **SENT),
        },
    ),
    "POST /invoices/{id}": scene(
        "draft",
        cases={
            "collection_method": case("send_invoice", refused=("charge_automatically",), **DUE),
            "days_until_due": case(10, 11, **SENT),
            "due_date": case(START + DAY, START + 2 * DAY, **SENT),
        },
    ),
}
