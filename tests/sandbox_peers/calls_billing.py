"""Subscriptions, schedules, invoices, credit notes, quotes, meters and credits."""

from tests.sandbox_peers.calls import call, crud

SOLD = {"customer": "$customer", "items": [{"price": "$monthly"}]}
LIST = {"limit": 3}
ITEM = {"customer": "$customer", "amount": 2000, "currency": "usd"}
METER = {
    "display_name": "Requests",
    "event_name": "requests",
    "default_aggregation": {"formula": "sum"},
}
GRANT = {
    "customer": "$customer",
    "amount": {"type": "monetary", "monetary": {"currency": "usd", "value": 1000}},
    "applicability_config": {"scope": {"price_type": "metered"}},
    "category": "promotional",
}

SUBSCRIPTIONS = [
    call(
        "subscriptions.create",
        {**SOLD, "discounts": [{"coupon": "$coupon"}]},
        subscription="id",
        item="items.data.0.id",
    ),
    call("subscriptions.retrieve", "$subscription", {"expand": ["latest_invoice"]}),
    call("subscriptions.update", "$subscription", {"metadata": {"a": "b"}}),
    call("subscriptions.list", LIST),
    call("subscriptions.search", {"query": "status:'active'"}),
    call("subscriptions.delete_discount", "$subscription"),
    call("subscription_items.list", {"subscription": "$subscription"}),
    call("subscription_items.retrieve", "$item"),
    call("subscription_items.update", "$item", {"quantity": 2}),
    call(
        "subscription_items.create",
        {"subscription": "$subscription", "price": "$bigger"},
        second_item="id",
    ),
    call("subscription_items.delete", "$second_item"),
    call("subscriptions.pause", "$subscription", {"type": "subscription"}),
    call("subscriptions.resume", "$subscription"),
    call(
        "subscriptions.create",
        {**SOLD, "billing_mode": {"type": "classic"}},
        classic="id",
    ),
    call("subscriptions.migrate", "$classic", {"billing_mode": {"type": "flexible"}}),
    call("entitlements.active_entitlements.list", {"customer": "$customer"}, right="data.0.id"),
    call("entitlements.active_entitlements.retrieve", "$right"),
    call(
        "subscription_schedules.create",
        {
            "customer": "$customer",
            "start_date": "now",
            "phases": [
                {"items": [{"price": "$monthly"}], "duration": {"interval": "month"}},
            ],
        },
        schedule="id",
    ),
    call("subscription_schedules.retrieve", "$schedule"),
    call("subscription_schedules.update", "$schedule", {"metadata": {"a": "b"}}),
    call("subscription_schedules.list", LIST),
    call("subscription_schedules.release", "$schedule"),
    call("subscription_schedules.create", {"from_subscription": "$classic"}, second_schedule="id"),
    call("subscription_schedules.cancel", "$second_schedule"),
    call("subscriptions.create", SOLD, going_on="id"),
    call("subscriptions.cancel", "$subscription"),
    call("test_helpers.test_clocks.advance", "$clock", {"frozen_time": 1_800_100_000}),
]

INVOICES = [
    call(
        "invoice_items.create",
        {"customer": "$customer", "amount": 400, "currency": "usd"},
        waiting="id",
    ),
    call("invoice_items.retrieve", "$waiting"),
    call("invoice_items.update", "$waiting", {"amount": 450}),
    call("invoice_items.list", LIST),
    call(
        "invoice_items.create",
        {"customer": "$customer", "pricing": {"price": "$once"}},
        unwanted="id",
    ),
    call("invoice_items.delete", "$unwanted"),
    call("invoices.create_preview", {"subscription": "$going_on"}),
    call(
        "invoices.create",
        {"customer": "$customer", "pending_invoice_items_behavior": "include"},
        invoice="id",
    ),
    call("invoices.retrieve", "$invoice"),
    call("invoices.update", "$invoice", {"description": "Thank you"}),
    call("invoices.list", LIST),
    call("invoices.search", {"query": "status:'draft'"}),
    call("invoices.line_items.list", "$invoice", first_line="data.0.id"),
    call("invoices.line_items.update", "$invoice", "$first_line", {"amount": 500}),
    call("invoices.add_lines", "$invoice", {"lines": [{"amount": 300}]}, second="lines.data.1.id"),
    call("invoices.update_lines", "$invoice", {"lines": [{"id": "$second", "amount": 350}]}),
    call("invoices.remove_lines", "$invoice", {"lines": [{"id": "$second", "behavior": "delete"}]}),
    call("invoices.finalize_invoice", "$invoice"),
    call("invoices.pay", "$invoice", {"paid_out_of_band": True}),
    call("invoices.create", {"customer": "$customer"}, draft="id"),
    call("invoices.delete", "$draft"),
    call("invoice_items.create", ITEM),
    call(
        "invoices.create",
        {
            "customer": "$customer",
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "pending_invoice_items_behavior": "include",
        },
        sent="id",
    ),
    call("invoices.send_invoice", "$sent"),
    call("invoices.attach_payment", "$sent", {"payment_intent": "$part"}),
    call("invoice_payments.list", LIST, invoice_payment="data.0.id"),
    call("invoice_payments.retrieve", "$invoice_payment"),
    call("invoice_items.create", ITEM),
    call(
        "invoices.create",
        {"customer": "$customer", "pending_invoice_items_behavior": "include"},
        voided="id",
    ),
    call("invoices.finalize_invoice", "$voided"),
    call("invoices.mark_uncollectible", "$voided"),
    call("invoices.void_invoice", "$voided"),
    call("credit_notes.preview", {"invoice": "$invoice", "amount": 100, "out_of_band_amount": 100}),
    call("credit_notes.preview_lines.list", {"invoice": "$invoice", "amount": 100}),
    call(
        "credit_notes.create",
        {"invoice": "$sent", "amount": 100},
        note="id",
    ),
    call("credit_notes.retrieve", "$note"),
    call("credit_notes.update", "$note", {"memo": "Sorry"}),
    call("credit_notes.list", LIST),
    call("credit_notes.line_items.list", "$note"),
    call("credit_notes.void_credit_note", "$note"),
    call("invoice_rendering_templates.list", LIST, template="data.0.id"),
    call("invoice_rendering_templates.retrieve", "$template"),
    call("invoice_rendering_templates.archive", "$template"),
    call("invoice_rendering_templates.unarchive", "$template"),
]

QUOTED = {"customer": "$customer", "line_items": [{"price": "$monthly", "quantity": 1}]}

QUOTES = [
    *crud("quotes", "quote", QUOTED, {"metadata": {"a": "b"}}),
    call("quotes.line_items.list", "$quote"),
    call("quotes.computed_upfront_line_items.list", "$quote"),
    call("quotes.finalize_quote", "$quote"),
    call("quotes.pdf", "$quote"),
    call("quotes.accept", "$quote"),
    call("quotes.create", QUOTED, refused="id"),
    call("quotes.cancel", "$refused"),
]

USAGE = [
    *crud("billing.meters", "meter", METER, {"display_name": "Calls"}),
    call("billing.meters.deactivate", "$meter"),
    call("billing.meters.reactivate", "$meter"),
    call(
        "billing.meter_events.create",
        {
            "event_name": "requests",
            "payload": {"stripe_customer_id": "$customer", "value": "5"},
            "identifier": "event-1",
        },
    ),
    call(
        "billing.meter_event_adjustments.create",
        {"event_name": "requests", "type": "cancel", "cancel": {"identifier": "event-1"}},
    ),
    call(
        "billing.meters.event_summaries.list",
        "$meter",
        {"customer": "$customer", "start_time": 1_800_000_000, "end_time": 1_800_003_600},
    ),
    *crud("billing.credit_grants", "grant", GRANT, {"metadata": {"a": "b"}}),
    call(
        "billing.credit_balance_transactions.list", {"customer": "$customer"}, granted="data.0.id"
    ),
    call("billing.credit_balance_transactions.retrieve", "$granted"),
    call(
        "billing.credit_balance_summary.retrieve",
        {
            "customer": "$customer",
            "filter": {
                "type": "applicability_scope",
                "applicability_scope": {"price_type": "metered"},
            },
        },
    ),
    call("billing.credit_grants.expire", "$grant"),
    call("billing.credit_grants.create", GRANT, mistake="id"),
    call("billing.credit_grants.void_grant", "$mistake"),
    *crud(
        "billing.alerts",
        "alert",
        {
            "alert_type": "usage_threshold",
            "title": "Many requests",
            "usage_threshold": {"gte": 100, "meter": "$meter", "recurrence": "one_time"},
        },
    ),
    call("billing.alerts.deactivate", "$alert"),
    call("billing.alerts.activate", "$alert"),
    call("billing.alerts.archive", "$alert"),
]
