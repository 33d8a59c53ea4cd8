"""Every object has the fields and types that the SDK's classes declare."""

from typing import Any

import pytest
import stripe
from aiohttp import ClientSession

from stripe_sandbox import shapes
from stripe_sandbox.app import WORLD, create_sandbox_app
from stripe_sandbox.client import SandboxClient
from tests.stripe_sandbox.conftest import DAY, START, Shop, connect, disconnect
from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.param_world import populate
from tests.stripe_sandbox.shape_check import shape_problems

MADE = set(shapes.CLASSES) - {
    "account",
    "balance",
    "balance_settings",
    "billing.meter_event",
    "billing.meter_event_adjustment",
    "billing.meter_event_summary",
    "billing.credit_balance_summary",
    "cash_balance",
    "country_spec",
    "credit_note_line_item",
    "customer_session",
    "entitlements.active_entitlement",
    "item",
    "line_item",
    "plan",
    "subscription_item",
    "tax.settings",
    "tax_code",
}
"""The objects that are kept under their own ids."""


async def live_a_little(shop: Shop) -> None:
    """Do what makes at least one of every kind of object, in several states."""
    v1 = shop.api.v1
    clock, customer = await shop.clocked_customer()
    await v1.coupons.create_async({"id": "TEN", "percent_off": 10, "duration": "forever"})
    code = await v1.promotion_codes.create_async({"promotion": {"type": "coupon", "coupon": "TEN"}})
    await v1.webhook_endpoints.create_async({"url": "http://127.0.0.1:9", "enabled_events": ["*"]})
    recovery = {"recovery": {"enabled": True}}
    abandoned = await shop.open(after_expiration=recovery)
    await v1.checkout.sessions.expire_async(abandoned.id)
    subscription = await shop.buy(
        "monthly",
        "domain",
        customer=customer,
        discounts=[{"promotion_code": code.id}],
        subscription_data={"trial_period_days": 14, "metadata": {"a": "b"}},
        custom_text={"submit": {"message": "Thank you"}},
    )
    await v1.billing_portal.configurations.create_async(
        {"features": {"invoice_history": {"enabled": True}}}
    )
    await v1.billing_portal.sessions.create_async({"customer": customer})
    await shop.driver.replace_card(customer, "4000000000000341")
    await shop.driver.advance_clock(clock, START + 20 * DAY)
    await shop.driver.replace_card(customer, "4000002760003184")
    await shop.driver.advance_clock(clock, START + 24 * DAY)
    await shop.driver.replace_card(customer)
    await v1.invoices.pay_async((await shop.invoices(subscription.id))[-1].id)
    await v1.tax.registrations.create_async(
        {"active_from": "now", "country": "DE", "country_options": {"de": {"type": "standard"}}}
    )
    await v1.billing.meters.create_async(
        {"display_name": "x", "event_name": "x", "default_aggregation": {"formula": "count"}}
    )
    await v1.customers.tax_ids.create_async(customer, {"type": "us_ein", "value": "12-3456789"})
    vat = await v1.tax_rates.create_async(
        {"display_name": "VAT", "percentage": 20, "inclusive": True}
    )
    added: Any = {"price": shop.prices["bigger"], "tax_rates": [vat.id]}
    await v1.subscriptions.update_async(
        subscription.id, {"items": [added], "cancel_at_period_end": True}
    )
    await v1.subscriptions.update_async(
        subscription.id, {"pause_collection": {"behavior": "void"}, "trial_settings": {
            "end_behavior": {"missing_payment_method": "pause"}}}
    )  # fmt: skip
    scheduled = await v1.subscription_schedules.create_async({"from_subscription": subscription.id})
    await v1.subscription_schedules.update_async(scheduled.id, {"end_behavior": "cancel"})
    await v1.subscription_schedules.release_async(scheduled.id)
    page = await v1.charges.list_async({"customer": customer})
    paid = next(charge for charge in page.data if charge.paid)
    await v1.refunds.create_async({"charge": paid.id, "amount": 1, "reason": "duplicate"})
    sent = {"amount": 900, "currency": "usd"}
    bank_account = {
        "account_holder_name": "Ada",
        "account_holder_type": "individual",
        "account_number": "000123456789",
        "country": "US",
        "routing_number": "110000000",
    }
    token = await v1.tokens.create_async({"bank_account": bank_account})
    await v1.customers.payment_sources.create_async(paid.customer, {"source": token.id})
    await v1.test_helpers.customers.fund_cash_balance_async(paid.customer, sent)
    await v1.refunds.create_async(
        {
            "customer": paid.customer,
            "origin": "customer_balance",
            "instructions_email": "a@example.com",
            **sent,
        }
    )
    for card in ("pm_card_visa", "pm_card_authenticationRequiredOnSetup"):
        confirmed = {"customer": customer, "payment_method": card, "confirm": True}
        await v1.setup_intents.create_async(confirmed)
        await v1.payment_intents.create_async(
            {**confirmed, "amount": 100, "currency": "usd", "return_url": "https://shop.example"}
        )
    for account in ("pm_usBankAccount_success", "pm_failed_de", "pm_link"):
        await v1.payment_intents.create_async(
            {
                "amount": 100,
                "confirm": True,
                "currency": "eur" if account == "pm_failed_de" else "usd",
                "customer": customer,
                "payment_method": account,
            }
        )
    await give_money_back(shop, customer, paid)
    await shop.driver.advance_clock(clock, START + 60 * DAY)


async def give_money_back(shop: Shop, customer: str, paid: stripe.Charge) -> None:
    """Make what comes back of a payment: credit notes, disputes, warnings."""
    v1 = shop.api.v1
    note = {"credit_amount": 10, "out_of_band_amount": 5, "refund_amount": 1}
    [payment, *_] = (await v1.invoice_payments.list_async({"status": "paid"})).data
    await v1.credit_notes.create_async({"invoice": payment.invoice, "amount": 16, **note})
    await shop.driver.warn_of_fraud(paid.id)
    dispute = await shop.driver.dispute(paid.id)
    await v1.disputes.update_async(
        dispute, {"evidence": {"uncategorized_text": "winning_evidence"}}
    )


async def test_every_object_fits_the_class_of_the_sdk(aiohttp_server, config, receiver):
    app = create_sandbox_app(config)
    server = await aiohttp_server(app)
    url = str(server.make_url("")).rstrip("/")
    api = await connect(url)
    async with SandboxClient(url) as driver:
        shop = Shop(api, driver, receiver)
        await shop.stock()
        await live_a_little(shop)
    await disconnect(api)

    desk = Desk()
    populate(desk)
    stores = (app[WORLD].store, desk.world.store)
    kept = {kind: [one for store in stores for one in store.all(kind)] for kind in MADE}
    assert [kind for kind, documents in kept.items() if not documents] == []
    problems = [p for documents in kept.values() for d in documents for p in shape_problems(d)]
    assert problems == []


async def test_responses_that_are_not_stored_fit_too(shop, sandbox):
    session = await shop.open("monthly", "domain")
    headers = {"Authorization": "Bearer sk_test_x"}
    async with ClientSession(sandbox.url, headers=headers) as http:
        for path in (
            "balance",
            "account",
            "tax/settings",
            "tax_codes",
            f"checkout/sessions/{session.id}/line_items",
        ):
            async with http.get(f"/v1/{path}") as answer:
                assert shape_problems(await answer.json()) == []


def test_answers_about_credits_and_entitlements_fit_too():
    desk = Desk()
    populate(desk)
    wanted = {"type": "applicability_scope", "applicability_scope": {"price_type": "metered"}}
    summary = desk.do("GET /billing/credit_balance_summary", customer="$customer", filter=wanted)
    active = desk.do("GET /entitlements/active_entitlements", customer="$customer")
    assert summary["balances"]
    assert active["data"]
    assert shape_problems(summary) + shape_problems(active) == []


def test_a_field_that_the_class_lacks_is_a_mistake():
    with pytest.raises(TypeError, match="colour"):
        shapes.complete({"object": "coupon", "id": "TEN", "colour": "red"})


def test_the_checker_sees_what_does_not_fit():
    coupon = shapes.complete(
        {
            "id": "TEN",
            "object": "coupon",
            "created": 1,
            "duration": "once",
            "livemode": False,
            "times_redeemed": 0,
            "valid": True,
        }
    )
    assert shape_problems(coupon) == []
    assert shape_problems({**coupon, "created": "1"}) == ["coupon.created: '1' is no int"]
    assert shape_problems({**coupon, "colour": 1}) == ["coupon.colour: not declared"]
    del coupon["valid"]
    assert shape_problems(coupon) == ["coupon.valid: missing"]


def test_every_kind_of_object_is_known():
    assert stripe.Invoice in shapes.CLASSES.values()
