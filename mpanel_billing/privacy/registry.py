"""Every column that holds text, and what an erasure does with it.

A test compares this with the database: a new column has to be named here, and what is named in
ERASED has to be in `erase_rows` or `erase_traces` (sql/queries/privacy.sql).
"""

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ERASED: Mapping[str, frozenset[str]] = {
    "billing_access_data": _words("sealed"),
    "billing_changes": _words("request_key params last_error"),
    "billing_deleted_subscriptions": _words("subscription services charges"),
    "billing_deliveries": _words("last_error"),
    "billing_domains": _words(
        "name unicode_name skeleton registrable external_ref name_servers auth_code pending_request"
        " last_error refund_error"
    ),
    "billing_domain_proofs": _words("last_error"),
    "billing_domain_renewals": _words("params last_error"),
    "billing_kept_payments": _words("reason"),
    "billing_leniency": _words("reason"),
    "billing_merges": _words("former moved"),
    "billing_meter_events": _words("settled_reason"),
    "billing_moves": _words("external_ref former_ref request last_error"),
    "billing_notes": _words("body"),
    "billing_reconcile_drift": _words("ours found"),
    "billing_registrar_calls": _words("request response error"),
    "billing_usage_totals": _words("lifted_reason"),
    "checkout_sessions": _words("params url recovery_url last_error"),
    "customers": _words(
        "company_name address_line1 address_line2 city state postal_code country phone tax_id email"
        " name stripe_customer_id metadata"
    ),
    "idempotency_keys": _words("key request_hash response"),
    "invoices": _words("notes metadata finalization_error"),
    "orders": _words("fingerprint"),
    "pgqueuer_log": _words("traceback"),
    "provisioning_holds": _words("reason"),
    "provisioning_log": _words("request response error"),
    "provisioning_work": _words("last_error trouble debt_error"),
    "stripe_charges": _words("card_last4"),
    "stripe_disputes": _words("waived_reason"),
    "stripe_credit_notes": _words("memo"),
    "stripe_customers": _words("email name"),
    "stripe_events": _words("payload last_error"),
    "stripe_tax_ids": _words("value verified_name verified_address"),
    "stripe_refetches": _words("last_error"),
    "subscription_charges": _words("description domain"),
    "subscriptions": _words("metadata"),
    "tenant_services": _words(
        "external_ref last_error suspended_by_service desired_domains ordered_domains"
    ),
    "tenants": _words("name domain settings billing_former_domain"),
}
"""What says something about a person: blanked, or the row is deleted."""

KEPT: Mapping[str, Mapping[str, str]] = {
    "stripe_credit_notes": {
        "pdf": "the credit note itself, at Stripe: the law demands it for years",
    },
    "invoices": {
        "hosted_invoice_url": "the invoice itself, at Stripe: the law demands it for years",
        "invoice_pdf": "the invoice itself, at Stripe: the law demands it for years",
    },
    "users": dict.fromkeys(
        _words("email password_hash first_name last_name role status"),
        "mPanel's own: the account is erased there",
    ),
    "domains": dict.fromkeys(
        _words("domain_name tld status registrar nameservers metadata"),
        "mPanel's own: the domain is erased there",
    ),
    "billing_audit_entries": dict.fromkeys(
        _words("actor person key_id action target_type target_id details request_id outcome error"),
        "who changed what: ids, with addresses masked; goes after KEEP_AUDIT_DAYS",
    ),
    "orders": {
        "person_hash": "a keyed hash of the mailbox: one free trial for each person",
    },
    "billing_trials": {
        "person_hash": "a keyed hash of the mailbox: one free trial for each person",
        "card_hash": "a keyed hash of the card: one free trial for each person",
    },
    "billing_erasures": {
        "identifier": "the memory of the erasure: ids and keyed hashes",
    },
}
"""What an erasure leaves although it is about a person, or leads to them, and why."""

NOT_PERSONAL: Mapping[str, frozenset[str]] = {
    "billing_access_data": _words("product_type handed_out_to"),
    "billing_adoptions": _words("source problem"),
    "billing_api_keys": _words("id name key_hash scopes created_by networks replaced_by"),
    "billing_changes": _words("kind request_hash state stripe_id end_service"),
    # operators: who works here, not who buys
    "billing_cash_days": _words("currency kind"),
    "billing_console_sessions": _words(
        "token_hash key_id key_proof key_name person language time_zone"
    ),
    "billing_deleted_subscriptions": _words(
        "stripe_subscription_id stripe_customer_id stripe_status settled_how"
    ),
    "billing_deliveries": _words("message_id state"),
    "billing_erasure_key": _words("key"),
    "billing_erasures": _words("kind reason"),
    "billing_exchange_rates": _words("from_currency to_currency set_by"),
    "billing_ignored_prices": _words("stripe_price_id reason set_by"),
    "billing_kept_payments": _words("stripe_invoice_id currency kept_by"),
    "billing_key_usage": _words("key_id measure"),
    "billing_leniency": _words("set_by"),
    # names and addresses are only added when a message is sent
    "billing_meters": _words("event_name aggregation stripe_meter_id"),
    "billing_meter_events": _words("meter stripe_customer_id state last_error settled_by"),
    "billing_usage": _words("id meter"),
    "billing_usage_totals": _words("meter lifted_by"),
    "billing_usage_reports": _words("event_id last_error detail settled_by"),
    "billing_messages": _words("id type object_id transition data"),
    "billing_merges": _words("merged_by undone_by"),
    "billing_moves": _words(
        "product_type from_server to_server state begun_by confirmed_by cancelled_by abandoned_by"
    ),
    "billing_notes": _words("written_by person"),
    "billing_planned_changes": _words(
        "stripe_schedule_id plan_code billing_cycle addon_codes quantities"
    ),
    "billing_domain_renewals": _words("state currency stripe_item_id stripe_invoice_id"),
    "billing_registrar_calls": _words("driver action idempotency_key outcome"),
    "billing_receivers": _words("name url types secret former_secret disabled_reason created_by"),
    "billing_reconcile_drift": _words("object_type object_id field"),
    "billing_reconcile_marks": _words("object_id"),
    "billing_reconcile_runs": _words("started_by outcome last_error"),
    "billing_reconcile_slices": _words("step subject cursor_id"),
    "billing_retention": _words("subject"),
    "billing_discount_terms": _words("stripe_discount_id currency duration stripe_product_ids"),
    "billing_mrr_cohorts": _words("currency"),
    "billing_mrr_days": _words("currency kind"),
    "billing_mrr_ledger": _words("currency"),
    "billing_mrr_periods": _words("period currency kind"),
    "billing_revenue": _words("currency kind stripe_id"),
    "billing_revenue_states": _words("state"),
    "billing_revenue_sums": _words("currency kind stripe_id"),
    "billing_schema_migrations": _words("version"),
    "billing_schema_objects": _words("migration table_name column_name"),
    "billing_schema_texts": _words("file digest"),
    "billing_domains": _words("mode state currency driver needs pending_action"),
    "billing_domain_proofs": _words("token nameservers proven_by"),
    "billing_server_changes": _words("product_type server"),
    "billing_server_places": _words("product_type server"),
    "billing_servers": _words("product_type name driver tags last_error drained_by"),
    "billing_tax_notices": _words("currency told_by left_because"),
    "billing_takeovers": _words("reason settles"),
    "billing_trials": _words("matched_by"),
    "checkout_sessions": _words(
        "stripe_session_id stripe_customer_id status payment_status recovered_from"
        " stripe_subscription_id stripe_event_id"
    ),
    "coupons": _words(
        "code name currency duration products amount_off_in minimum_amount_in stripe_coupon_id"
    ),
    "customers": _words("currency"),
    "invoice_payments": _words(
        "stripe_invoice_payment_id stripe_invoice_id stripe_payment_intent_id stripe_charge_id"
        " currency status stripe_event_id"
    ),
    "invoices": _words(
        "taxes invoice_number status currency stripe_invoice_id stripe_subscription_id"
        " stripe_customer_id stripe_number stripe_status billing_reason collection_method"
        " stripe_payment_intent_id stripe_event_id"
    ),
    "orders": _words("coupon_code left_open"),
    "pgqueuer": _words("entrypoint dedupe_key payload headers"),
    "pgqueuer_log": _words("entrypoint"),
    "pgqueuer_schedules": _words("expression entrypoint"),
    "pgqueuer_statistics": _words("entrypoint"),
    "prices": _words(
        "billing_cycle purpose currency meter tiers lookup_key tax_behavior stripe_price_id"
    ),
    "products": _words(
        "name description type billing_cycle currency status metadata code kind product_types"
        " category features resources tax_code stripe_product_id allowed_changes usage"
    ),
    "provisioning_holds": _words("placed_by lifted_by"),
    "provisioning_log": _words("product_type driver server action idempotency_key outcome"),
    "provisioning_work": _words("inputs decided_reason"),
    "stripe_customer_balances": _words("stripe_customer_id currency"),
    "stripe_customers": _words("id stripe_event_id"),
    "stripe_events": _words("id type api_version object_id status reason"),
    "stripe_refetches": _words("object_id object_type reason"),
    "stripe_charges": _words(
        "stripe_charge_id stripe_payment_intent_id stripe_customer_id currency status failure_code"
        " decline_code decline_reason card_brand stripe_event_id"
    ),
    "stripe_credit_notes": _words(
        "stripe_credit_note_id stripe_invoice_id stripe_customer_id stripe_number status currency"
        " reason refunds taxes stripe_event_id"
    ),
    "stripe_tax_ids": _words(
        "stripe_tax_id_id stripe_customer_id type country verification stripe_event_id"
    ),
    "stripe_tax_rates": _words(
        "stripe_tax_rate_id display_name tax_type country state_code jurisdiction"
        " jurisdiction_level stripe_event_id"
    ),
    "stripe_disputes": _words(
        "stripe_dispute_id stripe_charge_id stripe_payment_intent_id status reason currency"
        " fee_currency waived_by stripe_event_id"
    ),
    "stripe_fraud_warnings": _words(
        "stripe_fraud_warning_id stripe_charge_id stripe_payment_intent_id fraud_type"
        " stripe_event_id"
    ),
    "stripe_refunds": _words(
        "stripe_refund_id stripe_payment_intent_id stripe_charge_id currency status reason"
        " failure_reason stripe_event_id"
    ),
    "subscription_charges": _words("kind code currency state stripe_id"),
    "subscription_discounts": _words(
        "stripe_discount_id stripe_subscription_item_id stripe_coupon_id coupon_name currency"
        " duration stripe_product_ids"
    ),
    "subscription_items": _words(
        "stripe_subscription_item_id stripe_price_id stripe_product_id currency recurring_interval"
    ),
    "subscriptions": _words(
        "status billing_cycle billing_provider stripe_status stripe_customer_id"
        " stripe_subscription_id stripe_payment_intent_id checkout_session_id currency"
        " cancellation_reason cancellation_feedback collection_behavior stripe_schedule_id"
        " entitlement stripe_event_id"
    ),
    "tenant_services": _words(
        # a pending command bars an erasure
        "product_type desired actual driver server desired_resources resources pending_action"
        " pending_request stopped"
    ),
    "tenants": _words("status"),
}
"""Ids, amounts, words of fixed lists, what is sold, and who operates the service."""
