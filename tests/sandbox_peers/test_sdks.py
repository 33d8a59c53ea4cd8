"""npm's stripe and PyPI's stripe make one list of calls, and each succeeds."""

import json
from dataclasses import asdict
from typing import Any

import stripe

from tests.sandbox_peers.calls import unlisted
from tests.sandbox_peers.calls_billing import INVOICES, QUOTES, SUBSCRIPTIONS, USAGE
from tests.sandbox_peers.calls_catalogue import CATALOGUE
from tests.sandbox_peers.calls_customers import ACCOUNT, CUSTOMERS
from tests.sandbox_peers.calls_payments import PAGES, PAYMENTS
from tests.sandbox_peers.conftest import run
from tests.sandbox_peers.figures import Figures, hold
from tests.sandbox_peers.packages import npm, script, version_of
from tests.sandbox_peers.stripe_python import PythonClient, operations_of

NODE = "stripe@23.1.0"
CALLS = [
    *CATALOGUE,
    *CUSTOMERS,
    *PAYMENTS,
    *PAGES,
    *SUBSCRIPTIONS,
    *INVOICES,
    *QUOTES,
    *USAGE,
    *ACCOUNT,
]
RESOURCES = (
    *("products", "products.features", "prices", "plans", "coupons", "promotion_codes"),
    *("tax_rates", "tax_codes", "tax_ids", "shipping_rates"),
    *("entitlements.features", "entitlements.active_entitlements"),
    *("customers", "customers.balance_transactions", "customers.cash_balance"),
    *("customers.cash_balance_transactions", "customers.funding_instructions"),
    *("customers.payment_methods", "customers.payment_sources", "customers.tax_ids"),
    *("payment_methods", "payment_method_configurations", "payment_method_domains"),
    *("tokens", "sources", "sources.transactions", "mandates"),
    *("customer_sessions", "ephemeral_keys", "confirmation_tokens"),
    *("payment_intents", "payment_intents.amount_details_line_items"),
    *("setup_intents", "setup_attempts", "charges", "refunds", "disputes", "reviews"),
    *("radar.early_fraud_warnings", "radar.value_lists", "radar.value_list_items"),
    *("checkout.sessions", "checkout.sessions.line_items"),
    *("payment_links", "payment_links.line_items"),
    *("billing_portal.configurations", "billing_portal.sessions"),
    *("subscriptions", "subscription_items", "subscription_schedules"),
    *("invoices", "invoices.line_items", "invoice_items", "invoice_payments"),
    *("invoice_rendering_templates", "credit_notes", "credit_notes.line_items"),
    *("credit_notes.preview_lines", "quotes", "quotes.line_items"),
    *("quotes.computed_upfront_line_items", "billing.meters", "billing.meters.event_summaries"),
    *("billing.meter_events", "billing.meter_event_adjustments", "billing.alerts"),
    *("billing.credit_grants", "billing.credit_balance_transactions"),
    *("billing.credit_balance_summary",),
    *("webhook_endpoints", "events", "files", "file_links"),
    *("balance", "balance_settings", "balance_transactions"),
    *("test_helpers.test_clocks", "test_helpers.customers", "test_helpers.refunds"),
    *("test_helpers.confirmation_tokens", "country_specs"),
)
"""All of Billing and Checkout, and of Payments what a subscription business calls."""

MISSING: dict[str, str] = {}
SKIPPED: dict[str, str] = {}
OUTSIDE = {
    **dict.fromkeys(
        (
            "customers.funding_instructions.create",
            "payment_intents.apply_customer_balance",
        ),
        "payments by bank transfer",
    ),
    "payment_intents.increment_authorization": "hotels and car rentals",
}
"""Operations that are not of Billing, and whose they are."""


def figures_of(client: str, version: str, results: list[dict[str, Any]]) -> Figures:
    failed = {one["operation"] for one in results if one["error"]}
    operations = {one["operation"] for one in results}
    total = len(operations) + len(MISSING)
    return Figures(client, version, len(operations - failed), total, MISSING, SKIPPED, OUTSIDE)


def errors_of(results: list[dict[str, Any]]) -> str:
    return "\n".join(f"{one['operation']}: {one['error']}" for one in results if one["error"])


def test_npms_stripe_makes_every_call(folder, sandbox):
    installed = npm(folder, "stripe-node", NODE)
    (installed / "calls.json").write_text(json.dumps([asdict(one) for one in CALLS]))
    told = run(
        ["node", script(installed, "stripe_node.mjs"), sandbox.port, "calls.json"], installed
    )
    results = json.loads(told)["results"]
    hold(figures_of("npm `stripe`", version_of(installed, "stripe"), results))
    errors = errors_of(results)
    assert not errors, errors


def test_pypis_stripe_makes_every_call(sandbox):
    client = PythonClient(sandbox.url)
    results = [client.make(one) for one in CALLS]
    hold(figures_of("PyPI `stripe`", stripe.VERSION, results))
    errors = errors_of(results)
    assert not errors, errors


def test_the_list_has_every_operation_of_these_resources(sandbox):
    left_out = SKIPPED.keys() | MISSING.keys() | OUTSIDE.keys()
    wanted = [one for one in operations_of(sandbox.url, RESOURCES) if one not in left_out]
    missing = unlisted(wanted, CALLS)
    assert not missing, missing
