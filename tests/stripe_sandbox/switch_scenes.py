"""For each switch a short story, and what comes of it with the default and the other way."""

from collections.abc import Callable
from typing import Any

from stripe_sandbox.bank_accounts import find_account
from stripe_sandbox.billing.buyers import Buyer
from stripe_sandbox.billing.checkout_completion import complete_session
from stripe_sandbox.billing.confirmations import finish_authentication
from stripe_sandbox.billing.dunning import attempt_payment
from stripe_sandbox.billing.refunds import fail_refund
from stripe_sandbox.billing.tax_ids import verify_tax_id
from stripe_sandbox.cards import find_card
from stripe_sandbox.errors import ApiError
from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.desk import Desk

MIDDLE = START + 15 * DAY + DAY // 2
"""The middle of January."""

PRICES = (("monthly", 1000, "month"), ("bigger", 3000, "month"), ("yearly", 9000, "year"),
          ("tiny", 20, "month"), ("domain", 1200, None))  # fmt: skip
URL = "https://shop.example/"
BUYER = Buyer("Ada", "ada@example.com", find_card("4242424242424242"))


def stock(desk: Desk) -> None:
    """Add what the stories have in common: prices, coupons, a customer with a card."""
    do = desk.do
    do("POST /tax/settings", defaults={"tax_behavior": "exclusive"})
    do("POST /products", keep="product", name="Starter")
    for name, amount, every in PRICES:
        terms = {"recurring": {"interval": every}} if every else {}
        do("POST /prices", keep=name, currency="usd", product="$product", unit_amount=amount,
           **terms)  # fmt: skip
    do("POST /coupons", keep="tenth", percent_off=10, duration="forever")
    do("POST /coupons", keep="half", percent_off=50, duration="forever")
    do("POST /coupons", keep="four", amount_off=400, currency="usd", duration="forever")
    do("POST /test_helpers/test_clocks", keep="clock", frozen_time=START)
    add_customer(desk, "ada", "pm_card_visa")
    do("POST /customers", keep="bob", test_clock="$clock", address={"country": "FR"})


def add_customer(desk: Desk, name: str, method: str) -> None:
    desk.do("POST /customers", keep=name, test_clock="$clock", payment_method=method,
            invoice_settings={"default_payment_method": method})  # fmt: skip


def subscribe(desk: Desk, customer: str = "$ada", price: str = "$monthly", **more: Any) -> Any:
    made = desk.do("POST /subscriptions", keep="sub", customer=customer,
                   **{"items": [{"price": price}], **more})  # fmt: skip
    desk.names["item"] = made["items"]["data"][0]["id"]
    return made


def change(desk: Desk, **params: Any) -> Any:
    return desk.do("POST /subscriptions/{id}", of="sub", **params)


def present(desk: Desk, **params: Any) -> Any:
    return desk.do("GET /subscriptions/{id}", of="sub", **params)


def advance(desk: Desk, moment: int) -> None:
    desk.do("POST /test_helpers/test_clocks/{id}/advance", of="clock", frozen_time=moment)


def pending(desk: Desk) -> list[int]:
    found = desk.do("GET /invoiceitems", pending=True)["data"]
    return [item["amount"] for item in found]


def latest(desk: Desk) -> Any:
    desk.names["invoice"] = present(desk)["latest_invoice"]
    return desk.do("GET /invoices/{id}", of="invoice")


def unless_refused(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except ApiError:
        return "refused"


def events(desk: Desk, name: str) -> list[Any]:
    found = (one for one in desk.world.store.all("event") if one["type"] == name)
    return [event["data"]["object"] for event in found]


def plan(desk: Desk, later: dict[str, Any], **now: Any) -> Any:
    """Let a schedule keep the subscription as it is, and then do something else."""
    made = desk.do("POST /subscription_schedules", keep="plan", from_subscription="$sub")
    first = {"items": [{"price": "$monthly"}], "start_date": made["phases"][0]["start_date"]}
    if "end_date" not in now:
        now["end_date"] = made["phases"][0]["end_date"]
    return desk.do("POST /subscription_schedules/{id}", of="plan", phases=[{**first, **now}, later])


def cardless_trial(desk: Desk) -> Any:
    pauses = {"end_behavior": {"missing_payment_method": "pause"}}
    return subscribe(desk, "$bob", trial_period_days=10, trial_settings=pauses)


def end_cardless_trial(desk: Desk) -> Any:
    cardless_trial(desk)
    return change(desk, trial_end="now")["status"]


def set_up_trial(desk: Desk) -> Any:
    return bool(cardless_trial(desk)["pending_setup_intent"])


def discount_item(desk: Desk) -> Any:
    made = subscribe(desk, items=[{"price": "$monthly", "discounts": [{"coupon": "$tenth"}]}])
    discount = desk.world.find("discount", made["items"]["data"][0]["discounts"][0])
    return bool(discount["subscription"])


def delete_coupon(desk: Desk) -> Any:
    subscribe(desk, discounts=[{"coupon": "$tenth"}])
    desk.do("DELETE /coupons/{id}", of="tenth")
    [discount] = present(desk, expand=["discounts.source.coupon"])["discounts"]
    return "percent_off" in discount["source"]["coupon"]


def upgrade_classic(desk: Desk) -> Any:
    subscribe(desk, billing_mode={"type": "classic"}, discounts=[{"coupon": "$tenth"}])
    advance(desk, MIDDLE)
    change(desk, discounts=[{"coupon": "$half"}])
    change(desk, items=[{"id": "$item", "price": "$bigger"}])
    return min(pending(desk))


def upgrade_with_amount_off(desk: Desk) -> Any:
    subscribe(desk, discounts=[{"coupon": "$four"}])
    advance(desk, MIDDLE)
    change(desk, items=[{"id": "$item", "price": "$bigger"}])
    return max(pending(desk))


def owe_customer(desk: Desk) -> Any:
    subscribe(desk)
    desk.do("POST /customers/{id}/balance_transactions", of="ada", amount=-500, currency="usd")
    seen = desk.do("GET /customers/{id}", of="ada", expand=["invoice_credit_balance"])
    return seen["invoice_credit_balance"]["usd"]


def open_session(desk: Desk, *prices: str) -> Any:
    lines = [{"price": price, "quantity": 1} for price in prices]
    return desk.do("POST /checkout/sessions", mode="subscription", success_url=URL,
                   line_items=lines)  # fmt: skip


def sell_cheaply(desk: Desk) -> Any:
    return unless_refused(lambda: open_session(desk, "$tiny")["amount_total"])


def sell_twice(desk: Desk) -> Any:
    def buy() -> int:
        session = open_session(desk, "$monthly", "$monthly")
        with desk.world.store.transaction():
            done = complete_session(
                desk.world, session, Buyer("Ada", "a@b.test", find_card("4242424242424242"))
            )
        return len(desk.world.find("subscription", done["subscription"])["items"]["data"])

    return unless_refused(buy)


def end_schedule(desk: Desk) -> Any:
    subscribe(desk)
    desk.do("POST /subscription_schedules", keep="plan", from_subscription="$sub")
    advance(desk, START + 32 * DAY)
    return desk.do("GET /subscription_schedules/{id}", of="plan")["status"]


def cancel_scheduled(desk: Desk) -> Any:
    subscribe(desk)
    desk.do("POST /subscription_schedules", from_subscription="$sub")
    desk.do("DELETE /subscriptions/{id}", of="sub")
    return bool(present(desk)["schedule"])


def begin_schedule(desk: Desk) -> Any:
    made = desk.do("POST /subscription_schedules", customer="$ada", start_date="now",
                   phases=[{"items": [{"price": "$monthly"}]}])  # fmt: skip
    desk.names["sub"] = made["subscription"]
    return latest(desk)["status"]


def begin_phase_without_rates(desk: Desk) -> Any:
    vat = desk.do("POST /tax_rates", display_name="VAT", percentage=20, inclusive=False)["id"]
    subscribe(desk, default_tax_rates=[vat])
    plan(desk, {"items": [{"price": "$bigger"}]}, default_tax_rates=[vat])
    advance(desk, START + 32 * DAY)
    return bool(present(desk)["default_tax_rates"])


def begin_yearly_phase(desk: Desk) -> Any:
    subscribe(desk)
    plan(desk, {"items": [{"price": "$yearly"}]})
    advance(desk, START + 31 * DAY)
    return latest(desk)["billing_reason"]


def charge_in_phase(desk: Desk) -> Any:
    subscribe(desk)
    later = {"items": [{"price": "$monthly"}], "add_invoice_items": [{"price": "$domain"}]}
    plan(desk, later, end_date=START + 5 * DAY)
    advance(desk, START + 6 * DAY)
    return pending(desk)


def pause_by_plan(desk: Desk, begins: int, **more: Any) -> None:
    """Let a schedule pause the subscription for half a month, and move on by a month and a half."""
    subscribe(desk)
    plan(desk, {"items": [{"price": "$bigger"}], "duration": {"interval": "month"}})
    paused = {"pause_at": {"type": "timestamp", "timestamp": begins}}
    resumed = {"resume_at": {"type": "timestamp", "timestamp": begins + 15 * DAY}}
    desk.do("POST /subscription_schedules/{id}", of="plan",
            pause_schedules=[{"pause": paused, "resume": resumed}], **more)  # fmt: skip


def begin_phase_while_paused(desk: Desk) -> Any:
    pause_by_plan(desk, START + 25 * DAY)
    prices = []
    for days in (33, 41):
        advance(desk, START + days * DAY)
        prices.append(present(desk)["items"]["data"][0]["price"]["unit_amount"])
    return prices


def end_before_pause(desk: Desk) -> Any:
    pause_by_plan(desk, START + 65 * DAY)
    statuses = []
    for days in (40, 70):
        advance(desk, START + days * DAY)
        statuses.append(present(desk)["status"])
    return statuses


def change_drafted_line(desk: Desk) -> Any:
    send_invoice(desk)
    line = latest(desk)["lines"]["data"][0]["id"]
    path = f"{desk.names['invoice']}/{line}"
    said = unless_refused(lambda: desk.do("POST /invoices/{id}/lines/{line}", of=path, amount=700))
    return said if said == "refused" else latest(desk)["total"]


def tax_unpriced(desk: Desk) -> Any:
    desk.do("POST /invoiceitems", customer="$bob", amount=500, currency="usd")
    bill = {"customer": "$bob", "pending_invoice_items_behavior": "include"}
    made = unless_refused(lambda: desk.do("POST /invoices", **bill,
                                          automatic_tax={"enabled": True}))  # fmt: skip
    return made if made == "refused" else made["subtotal"]


def send_invoice(desk: Desk) -> Any:
    subscribe(desk, collection_method="send_invoice", days_until_due=5)
    return latest(desk)["status"]


def begin_free(desk: Desk) -> Any:
    free = {"billing_cycle_anchor": START + 5 * DAY, "proration_behavior": "none"}
    return bool(subscribe(desk, **free)["latest_invoice"])


def begin_before_anchor(desk: Desk) -> Any:
    subscribe(desk, billing_cycle_anchor=START + 5 * DAY)
    [line] = latest(desk)["lines"]["data"]
    return line["parent"]["subscription_item_details"]["proration"]


def begin_metered(desk: Desk) -> Any:
    meter = desk.do("POST /billing/meters", display_name="R", event_name="requests",
                    default_aggregation={"formula": "sum"})["id"]  # fmt: skip
    for name, every in (("metered", "month"), ("metered_yearly", "year")):
        terms = {"interval": every, "usage_type": "metered", "meter": meter}
        desk.do("POST /prices", keep=name, currency="usd", product="$product", unit_amount=3,
                recurring=terms)  # fmt: skip
    subscribe(desk, price="$metered")
    return len(latest(desk)["lines"]["data"])


def sell_by_volume(desk: Desk) -> Any:
    tiers = [{"flat_amount": 500, "unit_amount": 100, "up_to": "inf"}]
    terms = {"billing_scheme": "tiered", "tiers_mode": "volume", "recurring": {"interval": "month"}}
    desk.do("POST /prices", keep="seats", currency="usd", product="$product", tiers=tiers, **terms)
    subscribe(desk, price="$seats")
    return [line["amount"] for line in latest(desk)["lines"]["data"]]


def report(desk: Desk, **more: Any) -> Any:
    payload = {"stripe_customer_id": "$ada", "value": "100"}
    event = {"event_name": "requests", "payload": payload, **more}
    said = unless_refused(lambda: desk.do("POST /billing/meter_events", **event))
    return said if said == "refused" else "accepted"


def change_metered_interval(desk: Desk) -> Any:
    begin_metered(desk)
    report(desk)
    advance(desk, MIDDLE)
    change(desk, items=[{"id": "$item", "price": "$metered_yearly"}])
    return latest(desk)["total"]


def begin_backdated(desk: Desk) -> Any:
    made = subscribe(desk, backdate_start_date=START - 40 * DAY)
    began = made["items"]["data"][0]["current_period_start"]
    return (began - START) // DAY, latest(desk)["total"]


def expand_deeply(desk: Desk) -> Any:
    subscribe(desk)
    path = "data.items.data.price.product"
    read = unless_refused(lambda: desk.do("GET /subscriptions", expand=[path]))
    return read if read == "refused" else "expanded"


def list_events(desk: Desk) -> Any:
    subscribe(desk)
    return bool(desk.do("GET /events")["data"])


def change_while_pending(desk: Desk) -> Any:
    subscribe(desk)
    change(desk, default_payment_method=attach(desk, "pm_card_chargeCustomerFail"))
    bill = {"payment_behavior": "pending_if_incomplete", "proration_behavior": "always_invoice"}
    change(desk, items=[{"id": "$item", "price": "$bigger"}], **bill)
    again = [{"id": "$item", "quantity": 2}]
    changed = unless_refused(lambda: change(desk, items=again))
    return changed if changed == "refused" else "changed"


def attach(desk: Desk, token: str) -> str:
    customer = desk.names["ada"]
    return str(desk.do("POST /payment_methods/{id}/attach", of=token, customer=customer)["id"])


def paused(desk: Desk) -> None:
    subscribe(desk)
    advance(desk, START + 5 * DAY)
    nothing = {"unused_time_from": {"type": "none"}}
    desk.do("POST /subscriptions/{id}/pause", of="sub", bill_for=nothing)
    advance(desk, MIDDLE)


def resume_unchanged(desk: Desk) -> Any:
    paused(desk)
    desk.do("POST /subscriptions/{id}/resume", of="sub", billing_cycle_anchor={"type": "unchanged"})
    return pending(desk)


def resume_when_paid(desk: Desk) -> Any:
    paused(desk)
    desk.do("POST /subscriptions/{id}/resume", of="sub",
            payment_behavior="resume_on_payment_success")  # fmt: skip
    return present(desk)["status"]


def resume_plainly(desk: Desk) -> Any:
    paused(desk)
    change(desk, default_payment_method=attach(desk, "pm_card_chargeCustomerFail"))
    if desk.world.choices.plain_resume == "at-once":
        good = attach(desk, "pm_card_visa")
        change(desk, default_payment_method=good)
    desk.do("POST /subscriptions/{id}/resume", of="sub")
    begun = present(desk)["status"]
    if begun == "active":
        change(desk, default_payment_method=attach(desk, "pm_card_chargeCustomerFail"))
        advance(desk, START + 47 * DAY)
    else:
        with desk.world.store.transaction():
            attempt_payment(desk.world, latest(desk), manual=True)
    return begun, present(desk)["status"]


def pause_unpaid(desk: Desk) -> Any:
    subscribe(desk)
    change(desk, default_payment_method=attach(desk, "pm_card_chargeCustomerFail"))
    advance(desk, START + 40 * DAY)
    return present(desk)["status"], len(pending(desk))


def detach_default(desk: Desk) -> Any:
    settings = desk.do("GET /customers/{id}", of="ada")["invoice_settings"]
    desk.do("POST /payment_methods/{id}/detach", of=settings["default_payment_method"])
    seen = desk.do("GET /customers/{id}", of="ada")["invoice_settings"]
    return bool(seen["default_payment_method"])


def fail_authentication(desk: Desk) -> Any:
    asking = attach(desk, "pm_card_threeDSecure2Required")
    subscribe(desk, default_payment_method=asking, payment_behavior="default_incomplete")
    latest(desk)
    [payment] = desk.do("GET /invoice_payments", invoice="$invoice")["data"]
    intent_id = payment["payment"]["payment_intent"]
    desk.do("POST /payment_intents/{id}/confirm", of=intent_id, payment_method=asking)
    with desk.world.store.transaction():
        intent = desk.world.find("payment_intent", intent_id)
        finish_authentication(desk.world, intent, succeeds=False)
    return len(events(desk, "invoice.payment_failed"))


def charge_of(desk: Desk) -> Any:
    return desk.do("GET /charges", customer="$ada")["data"][0]


def fail_a_refund(desk: Desk) -> Any:
    subscribe(desk)
    refund = desk.do("POST /refunds", charge=charge_of(desk)["id"], amount=300)
    with desk.world.store.transaction():
        fail_refund(desk.world, refund, "declined")
    return charge_of(desk)["amount_refunded"]


def credit_an_amount(desk: Desk) -> Any:
    vat = desk.do("POST /tax_rates", display_name="VAT", percentage=20, inclusive=False)["id"]
    subscribe(desk, default_tax_rates=[vat], discounts=[{"coupon": "$tenth"}])
    latest(desk)
    note = desk.do("POST /credit_notes", invoice="$invoice", amount=540, credit_amount=540)
    [line] = note["lines"]["data"]
    return line["type"], line["amount"], sum(tax["amount"] for tax in note["total_taxes"])


def pay_by_another_intent(desk: Desk) -> Any:
    subscribe(desk, payment_behavior="default_incomplete")
    latest(desk)
    intent = desk.do("POST /payment_intents", amount=1000, currency="usd", customer="$ada",
                     payment_method="pm_card_visa", confirm=True, off_session=True)  # fmt: skip
    desk.do("POST /invoices/{id}/attach_payment", of="invoice", payment_intent=intent["id"])
    payments = desk.do("GET /invoice_payments", invoice="$invoice")["data"]
    [own] = (one["payment"]["payment_intent"] for one in payments if one["is_default"])
    return desk.do("GET /payment_intents/{id}", of=own)["status"], latest(desk)["status"]


def order_by_debit(desk: Desk) -> Any:
    session = desk.do("POST /checkout/sessions", keep="session", mode="payment", success_url=URL,
                      customer="$ada", invoice_creation={"enabled": True},
                      discounts=[{"coupon": "$half"}],
                      line_items=[{"price": "$domain", "quantity": 1}])  # fmt: skip
    debtor = Buyer("Ada", "a@b.test", find_account("000123456789", "us_bank_account"))
    with desk.world.store.transaction():
        complete_session(desk.world, session, debtor)
    begun = desk.do("GET /checkout/sessions/{id}", of="session")
    advance(desk, START + 5 * DAY)
    ended = desk.do("GET /checkout/sessions/{id}", of="session")
    invoice = desk.do("GET /invoices/{id}", of=ended["invoice"])
    return bool(begun["invoice"]), ended["payment_status"], invoice["status"], invoice["total"]


def charge(desk: Desk) -> Any:
    subscribe(desk)
    [charge] = events(desk, "charge.succeeded")
    return bool(charge["balance_transaction"]), len(events(desk, "charge.updated"))


def debit_first(desk: Desk) -> Any:
    add_customer(desk, "cleo", "pm_usBankAccount_success")
    begun = subscribe(desk, "$cleo")["status"]
    advance(desk, START + 5 * DAY)
    return begun, present(desk)["status"]


def fail_debit(desk: Desk) -> Any:
    add_customer(desk, "cleo", "pm_usBankAccount_insufficientFunds")
    subscribe(desk, "$cleo")
    advance(desk, START + 5 * DAY)
    return present(desk)["status"]


def report_usage(desk: Desk) -> Any:
    begin_metered(desk)
    return report(desk, timestamp=START)


def report_badly(desk: Desk) -> Any:
    begin_metered(desk)
    return report(desk, event_name="another")


def owe_no_tax(desk: Desk) -> Any:
    subscribe(desk, "$bob", automatic_tax={"enabled": True}, trial_period_days=1)
    return len(latest(desk)["total_taxes"])


def add_tax_id(desk: Desk, kind: str, value: str) -> Any:
    made = desk.do("POST /customers/{id}/tax_ids", of="ada", type=kind, value=value)
    if made["verification"] and made["verification"]["status"] == "pending":
        with desk.world.store.transaction():
            verify_tax_id(desk.world, desk.world.find("tax_id", made["id"]))
    return desk.do("GET /tax_ids/{id}", of=made["id"])["verification"]


def add_ein(desk: Desk) -> Any:
    return bool(add_tax_id(desk, "us_ein", "123456789"))


def add_vat(desk: Desk) -> Any:
    return add_tax_id(desk, "eu_vat", "DE123456789")["status"]


STORIES: dict[str, tuple[Callable[[Desk], Any], Any, Any]] = {
    "amount_notes": (
        credit_an_amount,
        ("custom_line_item", 540, 0),
        ("invoice_line_item", 450, 90),
    ),
    "amount_off_upgrades": (upgrade_with_amount_off, 1300, 1500),
    "anchor_line": (begin_before_anchor, False, True),
    "backdated_term": (begin_backdated, (0, 2323), (-10, 2000)),
    "bad_usage": (report_badly, "refused", "accepted"),
    "cardless_trial_end": (end_cardless_trial, "paused", "past_due"),
    "cardless_trial_setup": (set_up_trial, True, False),
    "charge_transactions": (charge, (True, 0), (False, 1)),
    "checkout_minimum": (sell_cheaply, "refused", 20),
    "classic_discounts": (upgrade_classic, -450, -250),
    "covered_intents": (
        pay_by_another_intent,
        ("canceled", "paid"),
        ("requires_payment_method", "paid"),
    ),
    "credit_balance": (owe_customer, 500, -500),
    "debit_first_payment": (debit_first, ("active", "active"), ("incomplete", "active")),
    "debit_retries": (fail_debit, "past_due", "canceled"),
    "delayed_order_invoice": (
        order_by_debit,
        (True, "paid", "paid", 600),
        (False, "paid", "paid", 600),
    ),
    "deleted_coupons": (delete_coupon, True, False),
    "detached_default": (detach_default, False, True),
    "ended_schedule": (cancel_scheduled, True, False),
    "expand_data": (expand_deeply, "refused", "expanded"),
    "failed_authentication": (fail_authentication, 1, 0),
    "failed_pause": (pause_unpaid, ("paused", 0), ("paused", 1)),
    "failed_refunds": (fail_a_refund, 0, 300),
    "free_anchor": (begin_free, False, True),
    "interval_usage": (change_metered_interval, 0, 300),
    "item_discounts": (discount_item, True, False),
    "listed_events": (list_events, True, False),
    "metered_first_line": (begin_metered, 1, 0),
    "meter_event_time": (report_usage, "accepted", "refused"),
    "other_tax_ids": (add_vat, "verified", "unverified"),
    "pending_changes": (change_while_pending, "changed", "refused"),
    "paused_phases": (begin_phase_while_paused, [3000, 3000], [1000, 3000]),
    "paused_schedule_end": (end_before_pause, ["active", "paused"], ["active", "active"]),
    "plain_resume": (resume_plainly, ("active", "past_due"), ("paused", "past_due")),
    "phase_charges": (charge_in_phase, [1200], []),
    "phase_invoice": (begin_yearly_phase, "subscription_update", "subscription_cycle"),
    "phase_tax_rates": (begin_phase_without_rates, False, True),
    "repeated_prices": (sell_twice, "refused", 2),
    "resumption_attempt": (resume_when_paid, "active", "paused"),
    "schedule_end": (end_schedule, "released", "completed"),
    "schedule_first_invoice": (begin_schedule, "draft", "paid"),
    "sent_first_invoice": (send_invoice, "draft", "open"),
    "subscription_lines": (change_drafted_line, "refused", 700),
    "unchanged_resume": (resume_unchanged, [500], []),
    "unknown_tax_ids": (add_ein, True, False),
    "volume_fees": (sell_by_volume, [100, 500], [600]),
    "unpriced_tax": (tax_unpriced, 500, "refused"),
    "zero_taxes": (owe_no_tax, 1, 0),
}
"""By switch: the story, what comes of it by default, and what the other way."""
