"""The part of `param_world` and `param_scenes` about payments and what comes back of them."""

from dataclasses import replace

from stripe_sandbox.billing.disputes import open_dispute
from stripe_sandbox.billing.warnings import make_warning
from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.param_cases import URL, Scene, case, scene
from tests.stripe_sandbox.param_files import EVIDENCE

ONCE = {"amount": 2000, "currency": "usd"}
AUTHORIZED = {"capture_method": "manual", "confirm": True, "payment_method": "pm_card_visa"}


def add_money(desk: Desk) -> None:
    """Add intents, a credit note, a movement of a balance, a dispute and a warning."""
    do = desk.do
    do("POST /payment_intents", keep="intent", customer="$customer", **ONCE)
    do("POST /payment_intents", keep="authorized", **ONCE, **AUTHORIZED)
    made = do("POST /payment_intents", keep="disputed_payment", confirm=True,
              payment_method="$amex", customer="$customer", **ONCE)  # fmt: skip
    desk.names["disputed_charge"] = made["latest_charge"]
    do("POST /payment_methods/{id}/attach", of=BANK, keep="bank",
       customer=desk.names["customer"])  # fmt: skip
    for name, token in (("ctoken", "pm_card_visa"), ("other_ctoken", "pm_card_amex")):
        do("POST /test_helpers/confirmation_tokens", keep=name, payment_method=token)
    for name, amount in (("part", 300), ("other_part", 400)):
        do("POST /payment_intents", keep=name, customer="$poor", amount=amount, currency="usd",
           confirm=True, payment_method="$poor_card")  # fmt: skip
    do("POST /setup_intents", keep="setup_intent", customer="$customer")
    do("POST /setup_intents", keep="set_up", customer="$customer", confirm=True,
       payment_method="$card")  # fmt: skip
    do("POST /setup_intents", keep="set_up_again", customer="$customer", confirm=True,
       payment_method="$amex")  # fmt: skip
    do("POST /credit_notes", keep="note", invoice="$subscription_invoice", amount=100,
       credit_amount=100)  # fmt: skip
    do("POST /credit_notes", keep="open_note", invoice="$open", amount=100)
    made = do("POST /customers/{id}/balance_transactions", of="customer", amount=-5, currency="usd")
    desk.names["movement"] = f"{desk.names['customer']}/{made['id']}"
    do("POST /customers/{id}/balance_transactions", of="customer", amount=5, currency="usd")
    [line, *_] = do("GET /invoices/{id}/lines", of="subscription_invoice")["data"]
    desk.names["invoice_line"] = line["id"]
    _add_disputes(desk)


def _add_disputes(desk: Desk) -> None:
    world = desk.world
    with world.store.transaction():
        charge = world.find("charge", desk.names["disputed_charge"])
        make_warning(world, charge, "misc")
        dispute = open_dispute(world, charge, reason="fraudulent", status="needs_response")
    desk.names["dispute"] = dispute["id"]


OF_CHARGE = {
    "charge": case("$disputed_charge", "x"),
    "payment_intent": case("$disputed_payment", "x"),
}


def _shipping(**given: object) -> dict[str, Scene]:
    address = ("city", "country", "line1", "line2", "postal_code", "state")
    held = {"name": "Ada", "address": {"line1": "z"}}
    return {f"shipping.address.{name}": case(shipping=held, **given) for name in address}


INTENT = {
    "customer": case("$customer", "$poor"),
    "amount": case(2001, 2002),
    "currency": case(),
    "payment_method": case("$amex", "$card", customer="$customer"),
    **_shipping(),
}
BANK = "pm_usBankAccount_success"
ACCEPTED = {"customer_acceptance": {"type": "online"}}
ONLINE = {
    "customer_acceptance": {"type": "online", "online": {"ip_address": "z", "user_agent": "z"}}
}


def _mandate(**given: object) -> dict[str, Scene]:
    """Return the cases of the mandate that a bank account needs."""
    acceptance = "mandate_data.customer_acceptance"
    return {
        f"{acceptance}.accepted_at": case(START + 5, mandate_data=ACCEPTED, **given),
        f"{acceptance}.online.ip_address": case(mandate_data=ONLINE, **given),
        f"{acceptance}.online.user_agent": case(mandate_data=ONLINE, **given),
        f"{acceptance}.type": case(mandate_data=ACCEPTED, **given),
    }


TOKENS = case("$ctoken", "$other_ctoken", payment_method=None)
CONFIRMED = {
    "confirmation_token": TOKENS,
    **_mandate(payment_method=BANK),
    "allowed_payment_method_types": case(["card"], ["card", "link"]),
    "return_url": case(URL, payment_method="pm_card_authenticationRequired"),
    "off_session": case(payment_method="pm_card_authenticationRequired"),
    "error_on_requires_action": case(payment_method="pm_card_authenticationRequired"),
}


def _when_confirmed(cases: dict[str, Scene]) -> dict[str, Scene]:
    return {
        name: Scene(one.of, {**one.given, "confirm": True}, one.values)
        for name, one in cases.items()
    }


MONEY: dict[str, Scene] = {
    "POST /charges/{id}": scene("charge"),
    "POST /refunds/{id}": scene("refund"),
    "POST /refunds/{id}/cancel": scene("return"),
    "POST /test_helpers/refunds/{id}/expire": scene("return"),
    "POST /customers/{id}/cash_balance": scene(
        "customer", cases={"settings.reconciliation_mode": case("manual", "automatic")}
    ),
    "POST /test_helpers/customers/{id}/fund_cash_balance": scene(
        "customer",
        amount=700,
        currency="usd",
        cases={"amount": case(700, 800), "reference": case("x")},
    ),
    "GET /refunds": scene(),
    "GET /disputes": scene(cases=OF_CHARGE),
    "GET /radar/early_fraud_warnings": scene(cases=OF_CHARGE),
    "POST /disputes/{id}": scene(
        "dispute", cases={"submit": case(evidence={"product_description": "x"}), **EVIDENCE}
    ),
    "POST /customers/{id}/balance_transactions": scene(
        "customer", amount=7, currency="usd", cases={"currency": case(of="fresh")}
    ),
    "GET /customers/{id}/balance_transactions": scene(
        "customer", cases={"invoice": case("$subscription_invoice", "x")}
    ),
    "POST /customers/{id}/balance_transactions/{transaction}": scene("movement"),
    "POST /payment_intents": scene(
        **ONCE,
        cases={
            **INTENT,
            **_when_confirmed(CONFIRMED),
            "allowed_payment_method_types": case(["card"], ["sepa_debit"]),
            "confirm": case(payment_method="pm_card_visa"),
        },
    ),
    "POST /payment_intents/{id}": scene(
        "intent",
        cases={
            **INTENT,
            "amount": case(5000, 5001),
            "allowed_payment_method_types": case(["card"], ["link"]),
        },
    ),
    "POST /payment_intents/{id}/confirm": scene("intent", payment_method="$card", cases=CONFIRMED),
    "POST /payment_intents/{id}/capture": scene(
        "authorized", cases={"amount_to_capture": case(500, 600)}
    ),
    "POST /payment_intents/{id}/cancel": scene("authorized"),
    "GET /payment_intents": scene(),
    "POST /payment_methods": scene(
        type="card",
        card={"token": "tok_visa"},
        cases={
            "card.token": case("tok_visa", "tok_amex", card={}),
            "type": case("card", "link"),
            "sepa_debit.iban": case(
                "DE89370400440532013000",
                "FR1420041010050500013M02606",
                type="sepa_debit",
                card=None,
                billing_details={"name": "Ada", "email": "ada@example.com"},
            ),
            **{
                f"us_bank_account.{name}": case(
                    *values,
                    type="us_bank_account",
                    card=None,
                    billing_details={"name": "Ada"},
                    us_bank_account={
                        "account_number": "000123456789",
                        "routing_number": "110000000",
                    },
                )
                for name, values in (
                    ("account_holder_type", ()),
                    ("account_number", ("000123456789", "000222222227")),
                    ("account_type", ()),
                    ("routing_number", ("110000000",)),
                )
            },
            **{
                f"card.{name}": case(
                    *values,
                    card={"number": "4242424242424242", "exp_month": 12, "exp_year": 2034},
                )
                for name, values in (
                    ("number", ("4242424242424242", "5555555555554444")),
                    ("exp_month", (1, 2)),
                    ("exp_year", (2035, 2036)),
                    ("cvc", ("123",)),
                )
            },
        },
    ),
    "POST /payment_methods/{id}": scene(
        "card",
        cases={
            "card.exp_month": case(1, 2),
            "card.exp_year": case(2035, 2036),
            "us_bank_account.account_holder_type": case("company", of="bank"),
            "us_bank_account.account_type": case("savings", of="bank"),
        },
    ),
    "POST /setup_intents": scene(
        cases={
            "confirmation_token": case("$ctoken", "$other_ctoken", confirm=True),
            **_mandate(payment_method=BANK, confirm=True),
            "allowed_payment_method_types": case(["card"], ["sepa_debit"]),
            "confirm": case(payment_method="pm_card_visa"),
            "customer": case("$customer", "$poor"),
            "payment_method": case("$amex", "$card", customer="$customer"),
            "return_url": case(URL, confirm=True, payment_method="pm_card_authenticationRequired"),
        }
    ),
    "POST /setup_intents/{id}": scene(
        "setup_intent",
        cases={"customer": case("$poor"), "allowed_payment_method_types": case(["card"], ["link"])},
    ),
    "POST /setup_intents/{id}/confirm": scene(
        "setup_intent",
        payment_method="$card",
        cases={
            "confirmation_token": TOKENS,
            **_mandate(payment_method=BANK),
            "return_url": case(URL, payment_method="pm_card_authenticationRequired"),
        },
    ),
    "POST /setup_intents/{id}/cancel": scene("setup_intent"),
    "POST /test_helpers/confirmation_tokens": scene(
        payment_method="pm_card_visa",
        cases={"payment_method": case("pm_card_visa", "pm_card_amex"), **_shipping()},
    ),
    "POST /balance_settings": scene(),
    "POST /invoices/{id}/attach_payment": scene(
        "open", cases={"payment_intent": case("$part", "$other_part")}
    ),
    "GET /setup_attempts": scene(
        setup_intent="$set_up", cases={"setup_intent": case("$set_up", "$set_up_again")}
    ),
    "POST /credit_notes/{id}": scene("note"),
    "GET /credit_notes": scene(cases={"invoice": case("$subscription_invoice", "x")}),
}


def _note_scene() -> Scene:
    line = {"type": "custom_line_item", "unit_amount": 50, "quantity": 2}
    of_invoice = {"type": "invoice_line_item", "invoice_line_item": "$invoice_line"}
    lines = {"amount": None, "lines": [line]}
    return scene(
        invoice="$subscription_invoice",
        amount=100,
        credit_amount=100,
        cases={
            "amount": case(100, credit_amount=100),
            "credit_amount": case(100, amount=100),
            "effective_at": case(START, START + DAY),
            "invoice": case("$subscription_invoice", "$scheduled_invoice"),
            "out_of_band_amount": case(100, credit_amount=None),
            "refund_amount": case(100, credit_amount=None),
            "refunds.refund": case("$refund", credit_amount=None, refunds=[{}]),
            "refunds.amount_refunded": case(
                60, credit_amount=None, out_of_band_amount=40, refunds=[{"refund": "$refund"}]
            ),
            "refunds.type": case(credit_amount=None, refunds=[{"refund": "$refund"}]),
            "lines.type": case("custom_line_item", **lines),
            "lines.description": case(**lines),
            "lines.unit_amount": case(50, **lines),
            "lines.quantity": case(2, **lines),
            "lines.tax_rates": case(["$vat"], **{**lines, "credit_amount": 120}),
            "lines.amount": case(100, amount=None, credit_amount=90, lines=[of_invoice]),
            "lines.invoice_line_item": case(
                "$invoice_line",
                amount=None,
                credit_amount=90,
                lines=[{**of_invoice, "amount": 100}],
            ),
        },
    )


MONEY |= {name: _note_scene() for name in ("POST /credit_notes", "GET /credit_notes/preview")}
MONEY["GET /credit_notes/preview/lines"] = scene(
    invoice="$subscription_invoice",
    amount=100,
    cases={
        name: replace(one, given={k: v for k, v in one.given.items() if k != "credit_amount"})
        for name, one in _note_scene().cases.items()
        if name.startswith(("amount", "invoice", "lines"))
    },
)
