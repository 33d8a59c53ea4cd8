"""What a question costs does not grow with the customers of others."""

import re

import asyncpg

from mpanel_billing.database.queries import Query, load_queries
from tests.mpanel.databases import HERE, connected

QUERIES = [
    query
    for file in (
        *("customer_records", "changes", "refunds", "takeovers", "domains", "entitlements"),
        "merges",
    )
    for query in load_queries(file).by_name.values()
    if query.name != "find_absent"  # a reconcile's: it reads the marks of its own run
] + [query for name, query in load_queries("limits").by_name.items() if "rede" in name]
OF_THE_CONSOLE = [
    load_queries("search").list_customer_payments,
    load_queries("search").list_customer_returns,
    load_queries("search").list_customer_changes,
    load_queries("operations").list_timeline,
    load_queries("work_lists").list_debtors,
    load_queries("work_lists").list_trials,
    load_queries("notes").list_notes,
    load_queries("disputes").list_disputes,
    load_queries("price_use").get_price,
    load_queries("price_use").list_payers,
    load_queries("inbox").get_event,
    load_queries("operations").list_services,
    load_queries("operations").get_hold,
    load_queries("operations").list_leniency,
    load_queries("joining").move_records,
    load_queries("joining").inherit_principal,
]
MORE = """
INSERT INTO users (email, password_hash)
SELECT 'user-' || n, 'x' FROM generate_series(1, 2000) AS n;
INSERT INTO invoice_payments (stripe_invoice_payment_id, stripe_invoice_id, livemode,
    stripe_payment_intent_id, amount_paid, currency, status, stripe_created, stripe_as_of_since,
    stripe_as_of)
SELECT 'inpay_' || stripe_invoice_id, stripe_invoice_id, TRUE, 'pi_' || stripe_invoice_id, 799,
    'usd', 'paid', now(), now(), now()
FROM invoices;
INSERT INTO stripe_refunds (stripe_refund_id, livemode, stripe_payment_intent_id, amount, currency,
    status, stripe_created, stripe_as_of_since, stripe_as_of)
SELECT 're_' || stripe_invoice_id, TRUE, 'pi_' || stripe_invoice_id, 1, 'usd', 'succeeded', now(),
    now(), now()
FROM invoices;
INSERT INTO stripe_charges (stripe_charge_id, livemode, stripe_payment_intent_id, amount,
    amount_captured, amount_refunded, currency, status, stripe_created, stripe_as_of_since,
    stripe_as_of)
SELECT 'ch_' || stripe_invoice_id, TRUE, 'pi_' || stripe_invoice_id, 1, 1, 0, 'usd', 'succeeded',
    now(), now(), now()
FROM invoices;
INSERT INTO stripe_credit_notes (stripe_credit_note_id, livemode, stripe_invoice_id, status, amount,
    amount_before_payment, amount_refunded, amount_to_balance, amount_out_of_band, currency,
    stripe_created, stripe_as_of_since, stripe_as_of)
SELECT 'cn_' || stripe_invoice_id, TRUE, stripe_invoice_id, 'issued', 1, 0, 0, 1, 0, 'usd', now(),
    now(), now()
FROM invoices WHERE stripe_invoice_id IS NOT NULL;
INSERT INTO stripe_tax_rates (stripe_tax_rate_id, livemode, display_name, percentage, inclusive,
    active, stripe_created, stripe_as_of_since, stripe_as_of)
SELECT 'txr_' || stripe_invoice_id, TRUE, 'VAT', 19, FALSE, FALSE, now(), now(), now()
FROM invoices WHERE stripe_invoice_id IS NOT NULL;
INSERT INTO stripe_disputes (stripe_dispute_id, livemode, stripe_charge_id,
    stripe_payment_intent_id, status, reason, amount, currency, fee, movements,
    is_charge_refundable, has_evidence, submissions, stripe_created, stripe_as_of_since,
    stripe_as_of)
SELECT 'du_' || stripe_invoice_id, TRUE, 'ch_' || stripe_invoice_id, 'pi_' || stripe_invoice_id,
    'lost', 'general', 1, 'usd', 0, 1, FALSE, FALSE, 0, now(), now(), now()
FROM invoices WHERE stripe_invoice_id IS NOT NULL;
INSERT INTO billing_changes (subscription_id, kind, request_key, request_hash, params, state)
SELECT id, 'cancel', id::text, 'x', '{}', 'done' FROM subscriptions;
INSERT INTO billing_changes (subscription_id, kind, request_hash, params, state)
SELECT id, 'apply_coupon', 'x', jsonb_build_object('coupon_code', id), 'done' FROM subscriptions;
UPDATE orders SET coupon_code = 'C-' || subscription_id;
INSERT INTO billing_planned_changes (stripe_schedule_id, subscription_id, plan_code, billing_cycle,
    addon_codes, effective_at, subtotal, amount)
SELECT 'sub_sched_' || id, id, 'starter', 'monthly', '{}', now(), 1, 1 FROM subscriptions;
INSERT INTO prices (product_id, billing_cycle, currency, unit_amount, lookup_key, active)
SELECT product_id, billing_cycle, currency, 1, 'former', FALSE FROM prices LIMIT 1;
INSERT INTO billing_price_changes (subscription_id, old_price_id, new_price_id, not_before,
    effective_at, next_attempt_at)
SELECT s.id, p.least, p.greatest, now(), now(), now()
FROM subscriptions AS s
CROSS JOIN (SELECT min(id::text)::uuid AS least, max(id::text)::uuid AS greatest FROM prices) AS p;
INSERT INTO billing_pauses (subscription_id, since, until)
SELECT id, now(), now() FROM subscriptions;
INSERT INTO stripe_customers (id, customer_id, livemode)
SELECT stripe_customer_id, customer_id, TRUE FROM subscriptions;
INSERT INTO stripe_customer_balances (stripe_customer_id, currency, balance)
SELECT id, 'usd', -1 FROM stripe_customers;
INSERT INTO subscription_discounts (subscription_id, stripe_discount_id, position, fetched)
SELECT id, 'di_' || id, 0, TRUE FROM subscriptions;
INSERT INTO billing_takeovers (subscription_id, predecessor_id, reason)
SELECT id, lag(id) OVER (), 'returned' FROM subscriptions OFFSET 1;
INSERT INTO billing_kept_payments (stripe_invoice_id, subscription_id, amount, currency, reason,
    kept_by)
SELECT stripe_invoice_id, subscription_id, 1, 'usd', 'x', 'ada' FROM invoices
WHERE subscription_id IS NOT NULL;
INSERT INTO billing_domains
    (subscription_id, customer_id, name, unicode_name, skeleton, registrable, mode, state, held_at)
SELECT id, customer_id, d.name, d.name, d.name, d.name, 'existing', 'active', now()
FROM subscriptions CROSS JOIN LATERAL (SELECT 'd-' || id || '.example' AS name) AS d;
INSERT INTO billing_domain_proofs (domain_id, expires_at) SELECT id, now() FROM billing_domains;
INSERT INTO subscription_charges
    (subscription_id, position, kind, code, description, amount, currency, state)
SELECT id, 0, 'one_time', 'x', 'x', 1, 'usd', 'with_checkout' FROM subscriptions;
INSERT INTO domains (customer_id, domain_name, tld)
SELECT id, 'm-' || id || '.example', 'example' FROM customers;
INSERT INTO provisioning_holds (subscription_id, reason, placed_by)
SELECT id, 'x', 'ada' FROM subscriptions;
INSERT INTO billing_leniency (subscription_id, grace_days, reason, set_by)
SELECT id, 1, 'x', 'ada' FROM subscriptions;
INSERT INTO billing_leniency (customer_id, grace_days, reason, set_by)
SELECT id, 1, 'x', 'ada' FROM customers;
INSERT INTO billing_merges (customer_id, into_id, former, moved, merged_by)
SELECT id, id_before, '{}', '{}', 'ada'
FROM (SELECT id, lag(id) OVER () AS id_before FROM customers) AS c
WHERE id_before IS NOT NULL;
INSERT INTO billing_trials (subscription_id, product_id, customer_id, livemode, vouched, to_end)
SELECT s.id, p.id, s.customer_id, TRUE, FALSE, FALSE
FROM subscriptions AS s CROSS JOIN (SELECT id FROM products LIMIT 1) AS p
ON CONFLICT DO NOTHING;
INSERT INTO billing_notes (customer_id, body, written_by) SELECT id, 'x', 'ada' FROM customers;
INSERT INTO billing_usage_totals (subscription_id, meter, term_start, quantity, latest_at)
SELECT id, 'traffic_gb', now(), 1, now() FROM subscriptions;
INSERT INTO provisioning_log
    (subscription_id, driver, action, idempotency_key, request, outcome, duration_ms)
SELECT id, 'log', 'create', id::text, '{}', 'done', 1 FROM subscriptions;
INSERT INTO stripe_fraud_warnings (stripe_fraud_warning_id, livemode, stripe_charge_id,
    stripe_payment_intent_id, fraud_type, actionable, stripe_created, stripe_as_of_since, stripe_as_of)
SELECT 'issfr_' || stripe_invoice_id, TRUE, 'ch_' || stripe_invoice_id, 'pi_' || stripe_invoice_id,
    'misc', FALSE, now(), now(), now()
FROM invoices WHERE stripe_invoice_id IS NOT NULL;
INSERT INTO billing_tax_notices
    (subscription_id, told_by, not_before, next_attempt_at, total, total_before, tax, currency)
SELECT id, 'ada', now(), now(), 2, 1, 1, 'usd' FROM subscriptions;
INSERT INTO billing_audit_entries (actor, action, outcome, began_at, target_type, target_id)
SELECT 'ada', 'subscription.retry', 'done', now(), 'subscription', id::text FROM subscriptions;
INSERT INTO stripe_events (id, type, created, livemode, object_id, payload, status, applied_at)
SELECT 'evt_' || stripe_invoice_id, 'invoice.paid', now(), TRUE, stripe_invoice_id, '{}', 'applied', now()
FROM invoices WHERE stripe_invoice_id IS NOT NULL;
ANALYZE;
"""  # noqa: E501
CATALOGUE = {"prices", "products", "billing_ignored_prices", "billing_receivers"}
"""As large as what is sold and who is told, whoever has bought it."""


async def test_no_query_reads_a_table_from_end_to_end(database_url: str) -> None:
    async with connected(database_url) as connection:
        await connection.execute("SET billing.subscriptions = 2000")
        await connection.execute((HERE / "many_rows.sql").read_text())
        await connection.execute(MORE)
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        for query in [*QUERIES, *OF_THE_CONSOLE]:
            plan = await _explain(connection, query)
            read_whole = {*re.findall(r"Seq Scan on (\w+)", plan)}
            assert read_whole <= CATALOGUE, f"{query.name} {read_whole}\n{plan}"
        for query in load_queries("taxes").by_name.values():
            plan = await _explain(connection, query)
            assert {*re.findall(r"Seq Scan on (\w+)", plan)} <= {"stripe_tax_rates"}, plan
        # a join of all subscriptions, for a page of them
        payers = await _explain(connection, load_queries("price_use").list_payers)
        assert not re.findall(r"Merge Join|Hash Join|Gather", payers), payers


async def _explain(connection: "asyncpg.Connection[asyncpg.Record]", query: Query) -> str:
    await connection.execute(f"PREPARE asked AS {query.sql}")
    nulls = ", ".join(["NULL"] * len(query.parameters))
    given = f"({nulls})" if nulls else ""
    rows = await connection.fetch(f"EXPLAIN EXECUTE asked {given}")
    await connection.execute("DEALLOCATE asked")
    return "\n".join(row[0] for row in rows)
