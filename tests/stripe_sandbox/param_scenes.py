"""For each operation a call that succeeds, and what shows the effect of each of its params."""

from dataclasses import replace

from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.param_cases import (
    AMOUNT,
    AMOUNTS,
    PLAN,
    TERMS,
    URL,
    Scene,
    case,
    data,
    entry,
    nest,
    one_time,
    scene,
)
from tests.stripe_sandbox.param_checkout import CHECKOUT_MODES
from tests.stripe_sandbox.param_files import FILES
from tests.stripe_sandbox.param_lines import LINES, PRICED
from tests.stripe_sandbox.param_meters import METERED, METERS
from tests.stripe_sandbox.param_money import MONEY
from tests.stripe_sandbox.param_portal import PORTAL_FLOWS
from tests.stripe_sandbox.param_records import RECORD_SCENES
from tests.stripe_sandbox.param_schedules import SCHEDULES
from tests.stripe_sandbox.param_search import SEARCHES
from tests.stripe_sandbox.param_taxes import FIRST_INVOICE, LOCATION, TAX_ID_DATA, TAXES
from tests.stripe_sandbox.param_terms import TERM_SCENES

PERIOD = {"start": {"type": "timestamp", "timestamp": START + 1},
          "end": {"type": "timestamp", "timestamp": START + DAY}}  # fmt: skip
BUYS = {"price": "$monthly", "quantity": 1}

SHIPPING = {
    f"shipping.address.{name}": case(shipping={"name": "Ada", "address": {"line1": "z"}})
    for name in ("city", "country", "line1", "line2", "postal_code", "state")
}
ITEM = {"id": "$subscription_item"}
CHANGED = (
    "deleted",
    "discounts.coupon",
    "discounts.discount",
    "discounts.promotion_code",
    "id",
    "metadata",
    "plan",
    "price",
    "quantity",
    "tax_rates",
)
BIGGER = {**ITEM, "price": "$bigger"}
UNPAID = {"id": "$unpaid_soon_item", "price": "$bigger"}
BILLED = {"items": [BIGGER], "proration_behavior": "always_invoice"}

ONLY_VALUES = {
    ("POST /subscription_schedules", "pause_schedules.pause.settings.type"),
    ("POST /subscription_schedules/{id}", "pause_schedules.pause.settings.type"),
    ("GET /billing/credit_balance_summary", "filter.applicability_scope.price_type"),
    ("POST /shipping_rates", "type"),
    ("POST /credit_notes", "refunds.type"),
    ("GET /credit_notes/preview", "refunds.type"),
    ("POST /billing/meters", "customer_mapping.type"),
    ("POST /billing/meter_event_adjustments", "type"),
    ("POST /subscriptions/{id}/pause", "type"),
}
"""Params whose only supported value is what Stripe takes without them; the others are refused."""

RETURN = {
    "payment_intent": None,
    "origin": "customer_balance",
    "customer": "$customer",
    "amount": 100,
    "currency": "usd",
}
TIERED = {
    "unit_amount": None,
    "billing_scheme": "tiered",
    "tiers_mode": "volume",
    "tiers": [{"unit_amount": 5, "up_to": 10}, {"unit_amount": 3, "up_to": "inf"}],
}

IN_EUROS = {
    "currency_options.*.tax_behavior": case(currency_options={"eur": {"unit_amount": 900}}),
    "currency_options.*.unit_amount": case(900, 901),
    "currency_options.*.unit_amount_decimal": case(900, 901),
}

SCENES: dict[str, Scene] = {
    **FILES,
    **LINES,
    **METERS,
    **MONEY,
    **SCHEDULES,
    **SEARCHES,
    **TAXES,
    **TERM_SCENES,
    **RECORD_SCENES,
    "POST /checkout/sessions/{id}/expire": scene("session"),
    "DELETE /coupons/{id}": scene("coupon"),
    "POST /credit_notes/{id}/void": scene("open_note"),
    "POST /disputes/{id}/close": scene("dispute"),
    "DELETE /customers/{id}": scene("customer"),
    "DELETE /invoiceitems/{id}": scene("item"),
    "DELETE /invoices/{id}": scene("draft"),
    "POST /invoices/{id}/void": scene("open"),
    "POST /invoices/{id}/mark_uncollectible": scene("open"),
    "POST /payment_methods/{id}/detach": scene("amex"),
    "DELETE /products/{id}": scene("unsold"),
    "DELETE /test_helpers/test_clocks/{id}": scene("late_clock"),
    "DELETE /webhook_endpoints/{id}": scene("endpoint"),
    "GET /checkout/sessions": scene(cases={"customer_details.email": case("new@example.com", "x")}),
    "GET /customers/{id}/payment_methods": scene("customer"),
    "POST /billing_portal/sessions": scene(
        customer="$customer",
        cases={
            "configuration": case("$portal_configuration"),
            "customer": case(),
            "return_url": case(URL),
            **PORTAL_FLOWS,
        },
    ),
    "POST /coupons": scene(
        percent_off=20,
        cases={
            "amount_off": case(5, 6, percent_off=None, currency="usd"),
            "currency": case(percent_off=None, amount_off=5),
            "currency_options.*.amount_off": case(
                4, 5, percent_off=None, amount_off=5, currency="usd"
            ),
            "duration": case("forever", "once"),
            "duration_in_months": case(3, 4, duration="repeating"),
            "percent_off": case(1, 2),
        },
    ),
    "POST /coupons/{id}": scene(
        "coupon", cases={"currency_options.*.amount_off": case(4, 5, of="five")}
    ),
    "POST /customers": scene(
        cases={
            "payment_method": case("pm_card_visa"),
            "invoice_settings.default_payment_method": case("pm_card_visa"),
            **TAX_ID_DATA,
            "coupon": case("$coupon", "$less"),
            "source": case("tok_visa", "tok_amex"),
            **LOCATION,
            **SHIPPING,
        },
    ),
    "POST /customers/{id}": scene(
        "customer",
        cases={
            **SHIPPING,
            "coupon": case("$coupon", "$less"),
            "default_source": case("$old_card", "$other_old_card", of="old"),
            "source": case("tok_visa", "tok_amex"),
            **{name: replace(one, of="cardless") for name, one in LOCATION.items()},
        },
    ),
    "POST /products": scene(name="Gold", cases={"id": case("gold", "silver")}),
    "POST /products/{id}": scene("product", cases={"default_price": case("$monthly")}),
    "POST /prices": scene(
        **PLAN,
        cases={
            **IN_EUROS,
            "product": case(),
            "unit_amount": case(),
            "unit_amount_decimal": case(unit_amount=None),
            "transfer_lookup_key": case(True, refused=(False,), lookup_key="monthly"),
            **METERED,
            "billing_scheme": case("tiered", **{**TIERED, "billing_scheme": None}),
            "tiers_mode": case(**TIERED),
            "tiers.up_to": case(10, 20, **TIERED),
            **{
                f"tiers.{name}": case(**TIERED)
                for name in ("flat_amount", "flat_amount_decimal", "unit_amount")
            },
            "tiers.unit_amount_decimal": case(**TIERED),
        },
    ),
    "POST /prices/{id}": scene(
        "bigger",
        cases={
            **IN_EUROS,
            "transfer_lookup_key": case(True, refused=(False,), lookup_key="monthly"),
        },
    ),
    "POST /promotion_codes": scene(
        promotion={"type": "coupon", "coupon": "$coupon"},
        cases={
            "promotion.coupon": case(),
            "restrictions.currency_options.*.minimum_amount": case(
                4, 5, restrictions={"minimum_amount": 5, "minimum_amount_currency": "usd"}
            ),
            "restrictions.minimum_amount": case(
                1, 2, restrictions={"minimum_amount_currency": "usd"}
            ),
            "restrictions.minimum_amount_currency": case(
                "usd", "eur", restrictions={"minimum_amount": 5}
            ),
        },
    ),
    "POST /promotion_codes/{id}": scene(
        "code",
        cases={"restrictions.currency_options.*.minimum_amount": case(4, 5, of="least_code")},
    ),
    "POST /test_helpers/test_clocks": scene(frozen_time=START),
    "POST /test_helpers/test_clocks/{id}/advance": scene(
        "clock", cases={"frozen_time": case(START + DAY, START + 45 * DAY)}
    ),
    "POST /tax_rates": scene(
        display_name="VAT", percentage=10, inclusive=False, cases={"percentage": case(5, 6)}
    ),
    "POST /tax_rates/{id}": scene("vat"),
    "POST /webhook_endpoints": scene(url=URL, enabled_events=["*"]),
    "POST /webhook_endpoints/{id}": scene("endpoint"),
    "POST /payment_methods/{id}/attach": scene("pm_card_visa"),
    "POST /refunds": scene(
        payment_intent="$payment",
        cases={
            "charge": case("$charge", "$other_charge", payment_intent=None),
            "payment_intent": case("$payment", "$other_payment"),
            "currency": case("usd", "eur", **RETURN),
            "customer": case("$customer", "$elsewhere", **RETURN),
            "instructions_email": case(**RETURN),
            "origin": case("customer_balance", **RETURN),
        },
    ),
    "POST /invoiceitems": scene(
        customer="$customer",
        amount=500,
        currency="usd",
        cases={
            "amount": case(1, 2),
            "currency": case(),
            "customer": case(),
            "subscription": case("$subscription"),
            "invoice": case("$empty_draft"),
            "pricing.price": case("$domain", "$setup"),
            "unit_amount_decimal": case(1, 2, amount=None),
            **{f"price_data.{name}": case(price_data=AMOUNT, amount=None) for name in AMOUNTS},
        },
    ),
    "POST /invoiceitems/{id}": scene("item", cases=PRICED),
    "POST /invoices/create_preview": scene(
        subscription="$subscription",
        cases={
            "customer": case("$customer", refused=("$poor",)),
            "discounts.coupon": case(),
            "discounts.discount": case(
                "$subscription_discount", index="1", discounts=[{"coupon": "$coupon"}]
            ),
            "discounts.promotion_code": case(),
            **one_time("invoice_items", {"start": START, "end": START + DAY}),
            "invoice_items.price_data.tax_behavior": case(
                "inclusive",
                "exclusive",
                subscription="$located_subscription",
                automatic_tax={"enabled": True},
                invoice_items=[{"price_data": AMOUNT}],
            ),
            **entry("invoice_items", "description", amount=5, currency="usd"),
            "invoice_items.amount": case(1, 2, **nest("invoice_items", {"currency": "usd"}).given),
            "invoice_items.currency": case("usd", **nest("invoice_items", {"amount": 5}).given),
            **entry("subscription_details.items", *CHANGED, **ITEM),
            **data("subscription_details.items", PLAN, *TERMS, **ITEM),
            "subscription_details.items.id": case(
                "$subscription_item", subscription_details={"items": [{"price": "$bigger"}]}
            ),
            **{
                f"subscription_details.{name}": case(
                    *values, subscription_details={"items": [{**ITEM, "price": "$bigger"}]}
                )
                for name, values in (
                    ("default_tax_rates", ()),
                    ("proration_behavior", ()),
                    ("proration_date", (START, START + DAY)),
                )
            },
            **FIRST_INVOICE,
            "subscription_details.resume_at": case(subscription="$paused_before"),
            "subscription_details.trial_end": case(
                subscription="$trial",
                subscription_details={"items": [{"id": "$trial_item", "price": "$bigger"}]},
            ),
        },
    ),
    "POST /invoices/{id}/finalize": scene("draft"),
    "POST /invoices/{id}/pay": scene(
        "open",
        cases={
            "off_session": case(payment_method="$poor_asking"),
            "payment_method": case("$poor_asking", "$poor_card"),
        },
    ),
    "POST /subscriptions": scene(
        customer="$customer",
        items=[{"price": "$monthly"}],
        cases={
            **one_time("add_invoice_items", PERIOD),
            "currency": case("usd", "eur", customer="$fresh", items=[{"price": "$anywhere"}]),
            "backdate_start_date": case(START - DAY, START - 2 * DAY),
            "billing_cycle_anchor": case(START + DAY, START + 2 * DAY),
            **{
                f"billing_cycle_anchor_config.{name}": case(
                    *values, billing_cycle_anchor_config={"day_of_month": 15}
                )
                for name, values in (
                    ("day_of_month", (10, 11)),
                    ("hour", (1, 2)),
                    ("minute", (1, 2)),
                    ("second", (1, 2)),
                )
            },
            "billing_cycle_anchor_config.month": case(
                3,
                4,
                billing_cycle_anchor_config={"day_of_month": 15},
                items=[{"price": "$yearly"}],
            ),
            "cancel_at": case(START + DAY, "max_period_end", "min_period_end"),
            "automatic_tax.enabled": case(customer="$located"),
            "collection_method": case(
                "send_invoice", refused=("charge_automatically",), days_until_due=30
            ),
            "customer": case(),
            "days_until_due": case(10, 11, collection_method="send_invoice"),
            "items.price": case(),
            "items.plan": nest("items", {}),
            **{
                path: replace(one, given={**one.given, "customer": "$fresh"})
                for path, one in data("items", PLAN, *TERMS).items()
            },
            "proration_behavior": case(
                "none", "create_prorations", billing_cycle_anchor=START + DAY
            ),
        },
    ),
    "POST /subscriptions/{id}": scene(
        "subscription",
        cases={
            "automatic_tax.enabled": case(of="located_subscription"),
            "collection_method": case(
                "send_invoice", refused=("charge_automatically",), days_until_due=30
            ),
            "days_until_due": case(10, 11, collection_method="send_invoice"),
            **entry("items", *CHANGED, **ITEM),
            **data("items", PLAN, *TERMS, **ITEM),
            "items.id": case("$subscription_item", items=[{"price": "$bigger"}]),
            "discounts.discount": case(index="1", discounts=[{"coupon": "$coupon"}]),
            "payment_behavior": case(of="unpaid_soon", **{**BILLED, "items": [UNPAID]}),
            "proration_behavior": case(items=[BIGGER]),
            "proration_date": case(START, START + DAY, items=[BIGGER]),
            **one_time("add_invoice_items", PERIOD),
            "cancel_at": case(START + DAY),
            "trial_end": case(START + DAY),
        },
    ),
    "POST /subscriptions/{id}/resume": scene(
        "paused_before",
        cases={
            "billing_cycle_anchor.type": case(),
            "payment_behavior": case(),
            "proration_behavior": case(billing_cycle_anchor={"type": "unchanged"}),
            "proration_date": case(
                START + DAY, START + 2 * DAY, billing_cycle_anchor={"type": "unchanged"}
            ),
        },
    ),
    "DELETE /subscriptions/{id}": scene("subscription"),
    "POST /checkout/sessions": scene(
        mode="subscription",
        success_url=URL,
        line_items=[BUYS],
        cases={
            **CHECKOUT_MODES,
            "cancel_url": case(URL),
            "expires_at": case(START + DAY // 2),
            "line_items.adjustable_quantity.maximum": case(
                5, 6, line_items=[{**BUYS, "adjustable_quantity": {"enabled": True}}]
            ),
            "subscription_data.trial_end": case(START + 3 * DAY),
            "success_url": case(URL, f"{URL}2"),
            **entry("line_items", "price", "quantity", "tax_rates", **BUYS),
            **entry(
                "line_items",
                *(f"adjustable_quantity.{name}" for name in ("enabled", "minimum")),
                **{**BUYS, "quantity": 2},
            ),
            **data("line_items", PLAN, *TERMS, quantity=1),
            **entry(
                "line_items",
                *(
                    f"price_data.product_data.{name}"
                    for name in (
                        "description",
                        "images",
                        "metadata",
                        "name",
                        "tax_code",
                        "unit_label",
                    )
                ),
                price_data={**PLAN, "product": None, "product_data": {"name": "Gold"}},
                quantity=1,
            ),
        },
    ),
    "POST /checkout/sessions/{id}": scene("session"),
}
