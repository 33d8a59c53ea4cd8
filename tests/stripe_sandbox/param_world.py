"""A world with something of everything, for calls that differ in one param."""

from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.param_files import add_files
from tests.stripe_sandbox.param_meters import add_meters
from tests.stripe_sandbox.param_money import add_money
from tests.stripe_sandbox.param_records import add_records
from tests.stripe_sandbox.param_search import add_cursors
from tests.stripe_sandbox.param_taxes import add_taxes
from tests.stripe_sandbox.param_terms import add_terms

PRICES = (
    ("monthly", 1000, "month"),
    ("bigger", 3000, "month"),
    ("extra", 200, "month"),
    ("yearly", 9000, "year"),
    ("domain", 1200, None),
    ("setup", 500, None),
)


def populate(desk: Desk) -> None:
    _add_catalogue(desk)
    _add_customers(desk)
    _add_subscriptions(desk)
    _add_invoices(desk)
    _add_sessions(desk)
    add_money(desk)
    add_files(desk)
    add_terms(desk)
    add_cursors(desk)
    add_taxes(desk)
    add_meters(desk)
    add_records(desk)


def _add_catalogue(desk: Desk) -> None:
    do = desk.do
    do("POST /products", keep="product", name="Starter", url="https://shop.example/a")
    do("POST /products", keep="other_product", name="Other", active=False)
    for name, amount, every in PRICES:
        recurring = {"recurring": {"interval": every}} if every else {}
        do("POST /prices", keep=name, currency="usd", product="$product", unit_amount=amount,
           lookup_key=name, **recurring)  # fmt: skip
    do("POST /prices", keep="anywhere", currency="usd", product="$product", unit_amount=1000,
       recurring={"interval": "month"}, currency_options={"eur": {"unit_amount": 900}})  # fmt: skip
    do("POST /prices", keep="of_other", currency="usd", product="$other_product", unit_amount=100)
    do("POST /products", keep="unsold", name="Never sold")
    do("POST /coupons", keep="coupon", percent_off=50, duration="forever", id="HALF")
    do("POST /coupons", keep="less", percent_off=10, duration="repeating", duration_in_months=3)
    do("POST /promotion_codes", keep="code", promotion={"type": "coupon", "coupon": "$coupon"},
       code="SPRING")  # fmt: skip
    do("POST /promotion_codes", keep="less_code", promotion={"type": "coupon", "coupon": "$less"})
    do("POST /coupons", keep="five", amount_off=500, currency="usd")
    do("POST /promotion_codes", keep="least_code",
       promotion={"type": "coupon", "coupon": "$coupon"},
       restrictions={"minimum_amount": 5, "minimum_amount_currency": "usd"})  # fmt: skip
    do("POST /tax_rates", keep="vat", display_name="VAT", percentage=20, inclusive=False)
    do("POST /webhook_endpoints", keep="endpoint", url="https://shop.example/hook",
       enabled_events=["quote.created"])  # fmt: skip


def _add_customers(desk: Desk) -> None:
    do = desk.do
    do("POST /test_helpers/test_clocks", keep="clock", frozen_time=START)
    do("POST /customers", keep="customer", email="ada@example.com", payment_method="pm_card_visa",
       test_clock="$clock")  # fmt: skip
    customer = desk.names["customer"]
    for name, token in (("card", "pm_card_visa"), ("amex", "pm_card_amex"),
                        ("failing", "pm_card_chargeCustomerFail"),
                        ("asking", "pm_card_authenticationRequired")):  # fmt: skip
        do("POST /payment_methods/{id}/attach", of=token, keep=name, customer=customer)
    do("POST /customers/{id}", of="customer",
       invoice_settings={"default_payment_method": "$card"})  # fmt: skip
    do("POST /customers", keep="poor", email="eve@example.com", test_clock="$clock",
       payment_method="pm_card_chargeCustomerFail",
       invoice_settings={"default_payment_method": "pm_card_chargeCustomerFail"})  # fmt: skip
    do("POST /customers", keep="elsewhere", email="carl@example.com",
       payment_method="pm_card_visa",
       invoice_settings={"default_payment_method": "pm_card_visa"})  # fmt: skip
    do("POST /customers", keep="broke", test_clock="$clock", payment_method="pm_card_visa",
       invoice_settings={"default_payment_method": "pm_card_visa"})  # fmt: skip
    do("POST /customers", keep="fresh", email="dora@example.com", payment_method="pm_card_visa",
       test_clock="$clock",
       invoice_settings={"default_payment_method": "pm_card_visa"})  # fmt: skip
    for name, token in (("poor_card", "pm_card_visa"),
                        ("poor_asking", "pm_card_authenticationRequired")):  # fmt: skip
        do("POST /payment_methods/{id}/attach", of=token, keep=name, customer="$poor")
    do("POST /customers", keep="cardless", email="bob@example.com", test_clock="$clock")


def _add_subscriptions(desk: Desk) -> None:
    do = desk.do
    for name, customer, more in (
        ("subscription", "$customer", {"discounts": [{"coupon": "$less"}]}),
        ("discounted", "$customer", {}),
        ("trial", "$customer", {"trial_period_days": 10}),
        ("scheduled", "$customer", {}),
        ("scheduled_to_end", "$customer", {}),
        ("incomplete", "$poor", {}),
        ("unpaid_soon", "$broke", {}),
        ("unclocked", "$elsewhere", {}),
        ("cardless_trial", "$cardless", {"trial_period_days": 10}),
    ):
        made = do("POST /subscriptions", keep=name, customer=customer,
                  items=[{"price": "$monthly"}, {"price": "$extra"}], **more)  # fmt: skip
        desk.names[f"{name}_item"] = made["items"]["data"][0]["id"]
        desk.names[f"{name}_invoice"] = made["latest_invoice"]
        if made["discounts"]:
            desk.names[f"{name}_discount"] = made["discounts"][0]
    for name, more in (("single", {}), ("single_trial", {"trial_period_days": 10})):
        made = do("POST /subscriptions", keep=name, customer="$elsewhere",
                  items=[{"price": "$monthly"}], **more)  # fmt: skip
        desk.names[f"{name}_item"] = made["items"]["data"][0]["id"]
    do("POST /customers/{id}", of="broke",
       invoice_settings={"default_payment_method": "pm_card_chargeCustomerFail"})  # fmt: skip
    do("POST /subscription_schedules", keep="schedule", from_subscription="$scheduled")
    do("POST /subscription_schedules", keep="ending", from_subscription="$scheduled_to_end")
    do("POST /subscription_schedules/{id}", of="ending", end_behavior="cancel")
    do("POST /subscriptions/{id}", of="cardless_trial",
       trial_settings={"end_behavior": {"missing_payment_method": "pause"}})  # fmt: skip
    do("POST /subscriptions", keep="paused", customer="$cardless", items=[{"price": "$monthly"}],
       trial_period_days=1,
       trial_settings={"end_behavior": {"missing_payment_method": "pause"}})  # fmt: skip
    do("POST /subscriptions/{id}", of="paused", trial_end="now")
    _add_paused_before(desk)
    do("DELETE /subscriptions/{id}", of="discounted")


def _add_paused_before(desk: Desk) -> None:
    """Add a subscription that has been paused for nine days."""
    do = desk.do
    do("POST /test_helpers/test_clocks", keep="late_clock", frozen_time=START - 10 * DAY)
    do("POST /customers", keep="late", test_clock="$late_clock")
    do("POST /subscriptions", keep="paused_before", customer="$late",
       items=[{"price": "$monthly"}], trial_period_days=1,
       trial_settings={"end_behavior": {"missing_payment_method": "pause"}})  # fmt: skip
    do("POST /test_helpers/test_clocks/{id}/advance", of="late_clock", frozen_time=START)


def _add_invoices(desk: Desk) -> None:
    do = desk.do
    do("POST /invoiceitems", keep="item", customer="$customer", amount=700, currency="usd")
    do("POST /invoices", keep="empty_draft", customer="$customer",
       pending_invoice_items_behavior="exclude")  # fmt: skip
    do("POST /invoiceitems", customer="$poor", amount=900, currency="usd")
    [line] = do("POST /invoices", keep="draft", customer="$poor", auto_advance=False,
                pending_invoice_items_behavior="include")["lines"]["data"]  # fmt: skip
    desk.names["draft_line"] = line["id"]
    desk.names["draft_line_path"] = f"{desk.names['draft']}/{line['id']}"
    do("POST /invoiceitems", customer="$poor", amount=800, currency="usd")
    do("POST /invoices", keep="open", customer="$poor", pending_invoice_items_behavior="include")
    do("POST /invoices/{id}/finalize", of="open", auto_advance=False)
    [payment] = do("GET /invoice_payments", invoice="$subscription_invoice")["data"]
    desk.names["payment"] = payment["payment"]["payment_intent"]
    for index, name in enumerate(("charge", "other_charge")):
        charge = do("GET /charges", customer="$customer")["data"][index]
        desk.names[name], desk.names["other_payment"] = charge["id"], charge["payment_intent"]
    do("POST /refunds", keep="refund", payment_intent="$payment", amount=100)
    for customer, currency in (("customer", "usd"), ("customer", "eur"), ("elsewhere", "usd")):
        do("POST /test_helpers/customers/{id}/fund_cash_balance", of=customer, amount=900,
           currency=currency)  # fmt: skip
    do("POST /refunds", keep="return", origin="customer_balance", customer="$customer", amount=200,
       currency="usd")  # fmt: skip


def _add_sessions(desk: Desk) -> None:
    desk.do("POST /checkout/sessions", keep="session", mode="subscription", customer="$customer",
            line_items=[{"price": "$monthly", "quantity": 1}],
            success_url="https://shop.example/", expires_at=START + DAY)  # fmt: skip
    desk.do("POST /checkout/sessions", mode="subscription", customer_email="new@example.com",
            line_items=[{"price": "$monthly", "quantity": 1}],
            success_url="https://shop.example/")  # fmt: skip
