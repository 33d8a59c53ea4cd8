"""Payments, their refunds and disputes; Checkout, payment links, the customer portal."""

from tests.sandbox_peers.calls import call, crud

PAYMENT = {
    "amount": 2000,
    "currency": "usd",
    "customer": "$customer",
    "payment_method": "$default_card",
}
CONFIRMED = {**PAYMENT, "confirm": True, "return_url": "https://shop.example/"}
UNVERIFIED = {
    "payment_method": "pm_usBankAccount_success",
    "allowed_payment_method_types": ["us_bank_account"],
    "payment_method_options": {"us_bank_account": {"verification_method": "microdeposits"}},
    "mandate_data": {"customer_acceptance": {"type": "offline"}},
    "confirm": True,
}
LIST = {"limit": 3}
TRANSFER = {"amount": 900, "currency": "usd"}
RETURN = {
    **TRANSFER,
    "customer": "$customer",
    "instructions_email": "a@example.com",
    "origin": "customer_balance",
}
SESSION = {
    "mode": "subscription",
    "success_url": "https://shop.example/thanks",
    "line_items": [{"price": "$monthly", "quantity": 1}],
}

PAYMENTS = [
    call("payment_intents.create", PAYMENT, payment="id"),
    call("payment_intents.retrieve", "$payment"),
    call("payment_intents.update", "$payment", {"description": "An order"}),
    call("payment_intents.confirm", "$payment", {"return_url": "https://shop.example/"}),
    call("payment_intents.list", LIST),
    call("payment_intents.search", {"query": "status:'succeeded'"}),
    call("payment_intents.amount_details_line_items.list", "$payment"),
    call(
        "payment_intents.create",
        {**CONFIRMED, "amount": 500},
        part="id",
    ),
    call("payment_intents.create", PAYMENT, abandoned="id"),
    call("payment_intents.cancel", "$abandoned"),
    call(
        "payment_intents.create",
        {**CONFIRMED, "capture_method": "manual"},
        authorized="id",
    ),
    call("payment_intents.capture", "$authorized", {"amount_to_capture": 1500}),
    call("setup_intents.create", {"customer": "$customer"}, setup="id"),
    call("setup_intents.retrieve", "$setup"),
    call("setup_intents.update", "$setup", {"description": "A card"}),
    call(
        "setup_intents.confirm",
        "$setup",
        {"payment_method": "pm_card_visa", "return_url": "https://shop.example/"},
    ),
    call(
        "setup_intents.create",
        {
            "customer": "$customer",
            "payment_method": "pm_usBankAccount_success",
            "allowed_payment_method_types": ["us_bank_account"],
            "mandate_data": {"customer_acceptance": {"type": "offline"}},
            "confirm": True,
        },
        mandate="mandate",
    ),
    call("mandates.retrieve", "$mandate"),
    call("setup_intents.create", {**UNVERIFIED, "customer": "$customer"}, unverified_setup="id"),
    call("setup_intents.verify_microdeposits", "$unverified_setup", {"amounts": [32, 45]}),
    call(
        "payment_intents.create",
        {**UNVERIFIED, "amount": 2000, "currency": "usd", "customer": "$customer"},
        unverified="id",
    ),
    call("payment_intents.verify_microdeposits", "$unverified", {"amounts": [32, 45]}),
    call(
        "test_helpers.confirmation_tokens.create",
        {"payment_method": "pm_card_visa"},
        confirmation="id",
    ),
    call("confirmation_tokens.retrieve", "$confirmation"),
    call("setup_intents.list", LIST),
    call("setup_attempts.list", {"setup_intent": "$setup"}),
    call("setup_intents.create", {}, abandoned_setup="id"),
    call("setup_intents.cancel", "$abandoned_setup"),
    call("charges.create", {"amount": 900, "currency": "usd", "source": "tok_visa"}, charge="id"),
    call("charges.retrieve", "$charge"),
    call("charges.update", "$charge", {"description": "At the counter"}),
    call("charges.list", LIST),
    call("charges.search", {"query": "amount>500"}),
    call(
        "charges.create",
        {"amount": 900, "currency": "usd", "source": "tok_visa", "capture": False},
        held="id",
    ),
    call("charges.capture", "$held"),
    call("refunds.create", {"charge": "$charge", "amount": 100}, refund="id"),
    call("refunds.retrieve", "$refund"),
    call("refunds.update", "$refund", {"metadata": {"a": "b"}}),
    call("refunds.list", LIST),
    call("test_helpers.customers.fund_cash_balance", "$customer", TRANSFER, transfer="id"),
    call("customers.cash_balance.retrieve", "$customer"),
    call(
        "customers.cash_balance.update",
        "$customer",
        {"settings": {"reconciliation_mode": "manual"}},
    ),
    call("customers.cash_balance_transactions.list", "$customer"),
    call("customers.cash_balance_transactions.retrieve", "$customer", "$transfer"),
    call("refunds.create", RETURN, returned="id"),
    call("refunds.cancel", "$returned"),
    call("refunds.create", RETURN, unanswered="id"),
    call("test_helpers.refunds.expire", "$unanswered"),
    call("country_specs.list", LIST),
    call("country_specs.retrieve", "US"),
    call("charges.create", {"amount": 800, "currency": "usd", "source": "tok_createDispute"}),
    call("disputes.list", LIST, dispute="data.0.id"),
    call("disputes.retrieve", "$dispute"),
    call(
        "disputes.update",
        "$dispute",
        {"evidence": {"product_description": "Hosting"}, "submit": False},
    ),
    call("disputes.close", "$dispute"),
    call(
        "charges.create",
        {"amount": 800, "currency": "usd", "source": "tok_createIssuerFraudRecord"},
    ),
    call("radar.early_fraud_warnings.list", LIST, warning="data.0.id"),
    call("radar.early_fraud_warnings.retrieve", "$warning"),
    call("charges.create", {"amount": 800, "currency": "usd", "source": "tok_riskLevelElevated"}),
    call("reviews.list", LIST, review="data.0.id"),
    call("reviews.retrieve", "$review"),
    call("reviews.approve", "$review"),
    *crud(
        "radar.value_lists",
        "value_list",
        {"alias": "spam", "name": "Spam", "item_type": "email"},
        {"name": "Spammers"},
    ),
    call(
        "radar.value_list_items.create",
        {"value_list": "$value_list", "value": "x@example.com"},
        listed_value="id",
    ),
    call("radar.value_list_items.retrieve", "$listed_value"),
    call("radar.value_list_items.list", {"value_list": "$value_list"}),
    call("radar.value_list_items.delete", "$listed_value"),
    call("radar.value_lists.delete", "$value_list"),
]

PAGES = [
    call("checkout.sessions.create", SESSION, session="id"),
    call("checkout.sessions.retrieve", "$session"),
    call("checkout.sessions.update", "$session", {"metadata": {"a": "b"}}),
    call("checkout.sessions.list", LIST),
    call("checkout.sessions.line_items.list", "$session"),
    call("checkout.sessions.expire", "$session"),
    *crud(
        "payment_links",
        "link",
        {"line_items": [{"price": "$once", "quantity": 1}]},
        {"metadata": {"a": "b"}},
    ),
    call("payment_links.line_items.list", "$link"),
    *crud(
        "billing_portal.configurations",
        "portal",
        {"features": {"invoice_history": {"enabled": True}}},
        {"default_return_url": "https://shop.example/"},
    ),
    call("billing_portal.sessions.create", {"customer": "$customer"}),
    *crud(
        "payment_method_configurations",
        "methods",
        {"name": "Shop"},
        {"card": {"display_preference": {"preference": "on"}}},
    ),
    *crud("payment_method_domains", "domain", {"domain_name": "shop.example"}, {"enabled": True}),
    call("payment_method_domains.validate", "$domain"),
]
