"""No column that holds text can be forgotten by an export or an erasure."""

from collections import Counter

import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.errors import NotFoundError
from mpanel_billing.privacy.erasure import erase
from mpanel_billing.privacy.export import export
from mpanel_billing.privacy.registry import ERASED, KEPT, NOT_PERSONAL
from mpanel_billing.privacy.repository import Person, Who, export_person
from tests.privacy.conftest import BY, EMAIL, Past, texts_of

MARK = "qxmarked"

ROWS = """
INSERT INTO stripe_refetches (object_id, object_type, reason) VALUES ($1, 'customer', 'a test');
WITH run AS (
    INSERT INTO billing_reconcile_runs (started_by, livemode, dry_run)
    VALUES ('command', FALSE, FALSE) RETURNING id
)
INSERT INTO billing_reconcile_drift (run_id, object_type, object_id, field, repaired)
    SELECT id, 'customer', $1, 'email', TRUE FROM run;
INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback)
    VALUES (1, 'exception', 0, 'refetch', jsonb_build_object('about', $1::text));
INSERT INTO billing_leniency (subscription_id, grace_days, reason, set_by)
    VALUES ($2, 1, 'a test', 'grace');
INSERT INTO billing_notes (customer_id, body, written_by)
    SELECT customer_id, 'a test', 'grace' FROM subscriptions WHERE id = $2;
INSERT INTO provisioning_holds (subscription_id, reason, placed_by) VALUES ($2, 'a test', 'grace');
INSERT INTO billing_changes (subscription_id, kind, request_hash, params, state)
    VALUES ($2, 'cancel', '', '{}', 'done');
INSERT INTO subscription_charges (subscription_id, position, kind, code, description, state)
    VALUES ($2, 9, 'discount', 'com', 'a test', 'removed');
INSERT INTO billing_domain_renewals
    (domain_id, expires_on, amount, currency, livemode, pay_by, state)
    SELECT id, '2030-01-01', 1, 'usd', FALSE, now(), 'withdrawn' FROM billing_domains LIMIT 1;
INSERT INTO billing_usage_totals (subscription_id, meter, term_start, quantity, latest_at,
    lifted_at, lifted_by, lifted_reason)
    VALUES ($2, 'traffic', now(), 1, now(), now(), 'grace', 'a test');
INSERT INTO billing_usage (id, subscription_id, meter, quantity, used_at, meter_event_id)
    VALUES ('a', $2, 'traffic', 1, now(), gen_random_uuid());
INSERT INTO billing_meter_events (subscription_id, meter, stripe_customer_id, livemode, value,
    used_at, state, settled_at, settled_by, settled_reason)
    VALUES ($2, 'traffic', $1, FALSE, 1, now(), 'late', now(), 'grace', 'a test');
INSERT INTO idempotency_keys (key, request_hash, subscription_id, status, response)
    VALUES ('a', '', $2, 200, '{}');
INSERT INTO billing_kept_payments (stripe_invoice_id, subscription_id, amount, currency, reason,
    kept_by) SELECT stripe_invoice_id, subscription_id, 1, 'usd', 'a test', 'grace' FROM invoices;
INSERT INTO stripe_credit_notes (stripe_credit_note_id, livemode, stripe_invoice_id,
    stripe_customer_id, status, amount, amount_before_payment, amount_refunded, amount_to_balance,
    amount_out_of_band, currency, stripe_created, stripe_as_of_since, stripe_as_of)
    SELECT 'cn_1', FALSE, stripe_invoice_id, $1, 'issued', 1, 0, 0, 1, 0, 'usd', now(), now(), now()
    FROM invoices LIMIT 1;
INSERT INTO stripe_tax_ids (stripe_tax_id_id, livemode, stripe_customer_id, type, deleted,
    stripe_created, stripe_as_of_since, stripe_as_of)
    VALUES ('txi_1', FALSE, $1, 'eu_vat', FALSE, now(), now(), now());
WITH charge AS (
    INSERT INTO stripe_charges (stripe_charge_id, livemode, stripe_payment_intent_id,
        stripe_customer_id, amount, amount_captured, amount_refunded, currency, status,
        stripe_created, stripe_as_of_since, stripe_as_of)
    SELECT 'ch_0', FALSE, stripe_payment_intent_id, $1, 1, 1, 0, 'usd', 'succeeded', now(), now(),
        now()
    FROM invoice_payments LIMIT 1
    RETURNING stripe_charge_id, stripe_payment_intent_id
)
INSERT INTO stripe_disputes (stripe_dispute_id, livemode, stripe_charge_id,
    stripe_payment_intent_id, status, reason, amount, currency, fee, movements,
    is_charge_refundable, has_evidence, submissions, stripe_created, stripe_as_of_since,
    stripe_as_of, waived_at, waived_by, waived_reason)
    SELECT 'du_0', FALSE, stripe_charge_id, stripe_payment_intent_id, 'lost', 'fraudulent', 1,
        'usd', 0, 1, FALSE, FALSE, 0, now(), now(), now(), now(), 'grace', 'a test'
    FROM charge;
INSERT INTO billing_deleted_subscriptions (subscription_id, stripe_customer_id, livemode,
    stripe_status, subscription) VALUES (gen_random_uuid(), $1, FALSE, 'canceled', '{}');
UPDATE billing_domains
    SET driver = 'log', pending_action = 'set_auto_renew', pending_request = '{}';
INSERT INTO billing_moves (subscription_id, product_type, from_server, to_server, state,
    external_ref, former_ref, begun_by, confirmed_by, finished_at)
    SELECT subscription_id, product_type, 'web1', 'web2', 'done', '', '', 'grace', 'grace', now()
    FROM tenant_services;
INSERT INTO billing_access_data (subscription_id, product_type, generation, sealed)
    SELECT subscription_id, product_type, 1, '' FROM tenant_services;
INSERT INTO billing_registrar_calls (domain_id, driver, action, idempotency_key, request, outcome,
    duration_ms) SELECT id, 'log', 'register', '', '{}', 'done', 0 FROM billing_domains;
INSERT INTO billing_domain_proofs (domain_id, expires_at)
    SELECT id, now() FROM billing_domains LIMIT 1;
WITH receiver AS (
    INSERT INTO billing_receivers (name, url, livemode, types, secret, created_by)
    VALUES ('panel', 'https://panel.test/', FALSE, '{*}', 'whsec_abc', 'grace') RETURNING id
), message AS (
    INSERT INTO billing_messages (id, type, object_id, transition, livemode, subscription_id,
        sequence, occurred_at, addressed_at, data)
    VALUES ('msg_' || repeat('0', 32), 'order.placed', $2, 'placed', FALSE, $2, 1, now(), now(),
        '{}')
    RETURNING id
)
INSERT INTO billing_deliveries (message_id, receiver_id, subscription_id, sequence)
    SELECT message.id, receiver.id, $2, 1 FROM message, receiver
"""

VALUES = {
    "customers.country": "'QX'",
    "billing_deleted_subscriptions.subscription": f"""'{{"metadata": "{MARK}"}}'""",
    "stripe_events.payload": f"""payload || '{{"{MARK}": 1}}'""",
    "tenant_services.external_ref": f"'{MARK}' || product_type",
}
"""SQL of a marked value, where not every text will do."""

MARKED_LATER = {"billing_merges"}
MERGED = """
WITH other AS (INSERT INTO customers (name) VALUES (NULL) RETURNING id)
INSERT INTO billing_merges (customer_id, into_id, former, moved, merged_by)
SELECT other.id, $1, $2, $2, 'grace' FROM other
"""
"""It needs a second customer record, whose columns would be marked too."""

UNMARKED = {"customers.country", "customers.stripe_customer_id"}


async def test_every_column_that_holds_text_is_in_the_registry_once(pool: Pool) -> None:
    """Decide what an erasure does with a new column, and name it in privacy/registry.py."""
    named = Counter(
        (table, column)
        for part in (ERASED, KEPT, NOT_PERSONAL)
        for table, columns in part.items()
        for column in columns
    )
    assert named == Counter((table, column) for table, column, _ in await texts_of(pool))


async def mark(past: Past) -> None:
    """Write a mark into every column that an erasure has to blank."""
    statements = ROWS.replace("$1", f"'{past.stripe_customer_id}'")
    await past.pool.execute(statements.replace("$2", f"'{past.subscription_id}'"))
    for table, column, type_ in await texts_of(past.pool):
        place = f"{table}.{column}"
        if column not in ERASED.get(table, ()) or place == "customers.stripe_customer_id":
            continue
        json = f"""'{{"{MARK}": "{past.stripe_customer_id}"}}'"""
        value = VALUES.get(place) or {
            "jsonb": json,
            "bytea": f"'{MARK}'::bytea",
            "ARRAY": f"ARRAY['{MARK}']",
        }.get(type_, f"'{MARK}'")
        if table in MARKED_LATER:
            continue
        done = await past.pool.execute(f"UPDATE {table} SET {column} = {value}")
        assert done != "UPDATE 0", f"no row of {table} to mark"
    await past.pool.execute(MERGED, past.customer_id, {MARK: 1})


async def test_an_erasure_blanks_every_column_that_the_registry_names(past: Past) -> None:
    await mark(past)
    named = {f"{table}.{column}" for table, columns in ERASED.items() for column in columns}
    assert set(await past.places(MARK)) == named - UNMARKED
    await erase(past.pool, Who(id=past.customer_id), None, BY)
    assert await past.places(MARK) == []
    row = await past.row(
        "SELECT country, stripe_customer_id FROM customers WHERE id = $1", past.customer_id
    )
    assert tuple(row) == (None, None)


async def test_an_export_has_every_marked_row(past: Past) -> None:
    await mark(past)
    exported = (await export(past.pool, Who(id=past.customer_id), BY))["tables"]
    # not by person: PgQueuer's log, which goes after a week
    assert {table for table in ERASED if MARK in str(exported.get(table))} == ERASED.keys() - {
        "pgqueuer_log",
        "orders",
    }
    assert "fingerprint" in exported["orders"][0]


async def test_an_export_has_every_table_that_refers_to_a_person(past: Past) -> None:
    """By a foreign key to customers or subscriptions, or a column that names one."""
    referring = await past.pool.fetch(
        """
        SELECT DISTINCT c.table_name
        FROM information_schema.columns AS c
        JOIN information_schema.tables AS t USING (table_schema, table_name)
        WHERE c.table_schema = 'public'
          AND t.table_type = 'BASE TABLE'
          AND c.column_name IN (
              'customer_id', 'subscription_id', 'billing_subscription_id', 'stripe_customer_id',
              'stripe_invoice_id', 'user_id', 'after_subscription_id'
          )
        """
    )
    async with past.pool.acquire() as conn:
        exported = await export_person(conn, Person(), [])
    # these only remember how far a new edition of the catalogue was applied, a number, a sum of
    # what is exported and how it came about, and for an hour whose orders to look for
    assert {row["table_name"] for row in referring} - exported.keys() == {
        "catalogue_edits",
        "billing_discount_terms",
        "billing_message_sequences",
        "billing_mrr_days",
        "billing_mrr_ledger",
        "billing_noted_users",
        "billing_revenue",
        "billing_revenue_changes",
        "billing_revenue_states",
    }


async def test_an_export_says_what_is_held_and_is_in_the_audit_log(past: Past) -> None:
    held = await export(past.pool, Who(stripe_customer_id=past.stripe_customer_id), BY)
    (customer,) = held["tables"]["customers"]
    assert (customer["email"], customer["address_line1"]) == (EMAIL, "12 Qxjames Square")
    assert held["tables"]["stripe_events"]
    assert "hosted_invoice_url" in held["keptAfterErasure"]["invoices"]
    row = await past.row("SELECT * FROM billing_audit_log WHERE action = 'customer.export'")
    assert row["target_id"] == str(past.customer_id)


async def test_nothing_is_exported_about_an_unknown_person(past: Past) -> None:
    with pytest.raises(NotFoundError):
        await export(past.pool, Who(email="grace@example.com"), BY)


async def test_an_export_of_an_account_of_mpanel_leaves_its_password_out(past: Past) -> None:
    user = await past.pool.fetchval(
        "INSERT INTO users (email, password_hash) VALUES ($1, 'qxhash') RETURNING id", EMAIL
    )
    await past.pool.execute("UPDATE customers SET user_id = $1", user)
    held = await export(past.pool, Who(id=user), BY)
    assert held["tables"]["users"][0]["email"] == EMAIL
    assert "qxhash" not in str(held)
