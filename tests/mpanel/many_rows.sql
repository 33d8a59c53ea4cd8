-- Many subscriptions with all that hangs on them; three in two hundred are in trouble. The
-- setting billing.subscriptions says how many. With billing.one_in_trouble only one of so many of
-- the troubled is; the debts of the others are still tried to be collected. With billing.livemode off
-- they are of Stripe's test mode.

-- one by one the ledger of the revenue takes longer than all the rest
ALTER TABLE billing_revenue_changes DISABLE TRIGGER billing_record_revenue;

CREATE TEMPORARY TABLE made AS
SELECT n, gen_random_uuid() AS subscription_id, gen_random_uuid() AS customer_id,
    gen_random_uuid() AS tenant_id, troubled,
    coalesce(current_setting('billing.livemode', TRUE), 'on')::boolean AS livemode,
    CASE WHEN troubled OR n % 200 IN (1, 2, 3) THEN n % 200 ELSE 10 END AS kind
FROM (
    SELECT n, n / 200 % coalesce(current_setting('billing.one_in_trouble', TRUE), '1')::integer = 0
        AS troubled
    FROM generate_series(1, current_setting('billing.subscriptions')::integer) AS n
) AS numbered;

INSERT INTO tenants (id, name, domain)
SELECT tenant_id, 'Tenant ' || n, 'tenant-' || n || '.example' FROM made;

INSERT INTO customers (id, email, name, currency)
SELECT customer_id, 'buyer-' || n || '@example.com', 'Buyer ' || n, 'USD' FROM made;

INSERT INTO subscriptions (id, tenant_id, customer_id, status, billing_provider, livemode,
    stripe_status, stripe_subscription_id, stripe_customer_id, currency, amount, price,
    billing_cycle, auto_renew, current_period_start, current_period_end, initial_payment_settled, order_paid,
    stripe_as_of_since, stripe_as_of, metadata, created_at, trial_end)
SELECT subscription_id, tenant_id, customer_id,
    CASE kind WHEN 0 THEN 'pending' WHEN 1 THEN 'suspended' WHEN 2 THEN 'cancelled' ELSE 'active' END,
    'stripe', livemode,
    CASE kind WHEN 1 THEN 'past_due' WHEN 2 THEN 'canceled' WHEN 3 THEN 'trialing' ELSE 'active' END,
    'sub_' || n, 'cus_' || n, 'usd', 799, 7.99, 'monthly', FALSE,
    now() - interval '10 days', now() + n * interval '30 seconds', TRUE, TRUE, now(), now(),
    '{"planId": "starter"}', now() - n * interval '10 minutes',
    CASE kind WHEN 3 THEN now() + n * interval '30 seconds' END
FROM made;

UPDATE tenants SET billing_subscription_id = made.subscription_id
FROM made WHERE made.tenant_id = tenants.id;

WITH product AS (
    INSERT INTO products (name, type, price, code, kind, product_types, stripe_product_id, livemode)
    VALUES ('Many', 'hosting', 7.99, 'many', 'plan', '{hosting,email}', 'prod_many', TRUE)
    RETURNING id
)
INSERT INTO prices (product_id, billing_cycle, currency, unit_amount, lookup_key, stripe_price_id, livemode)
SELECT id, 'monthly', 'usd', 799, 'many_monthly_usd', 'price_many', TRUE FROM product;

INSERT INTO subscription_items (subscription_id, stripe_subscription_item_id, price_id, stripe_price_id,
    stripe_product_id, quantity, unit_amount, currency, recurring_interval, interval_count)
SELECT subscription_id, 'si_' || n || '_' || item, price.id, price.stripe_price_id, 'prod_many', 1, 799, 'usd', 'month', 1
FROM made CROSS JOIN generate_series(1, 2) AS item
CROSS JOIN (SELECT id, stripe_price_id FROM prices WHERE lookup_key = 'many_monthly_usd') AS price;

INSERT INTO invoices (tenant_id, customer_id, invoice_number, status, subtotal, total, currency,
    subscription_id, livemode, stripe_invoice_id, stripe_subscription_id, stripe_status, amount_due,
    amount_paid, amount_remaining, stripe_created, finalized_at, stripe_as_of_since, stripe_as_of,
    attempt_count, next_payment_attempt)
SELECT tenant_id, customer_id, 'in_' || n || '_' || month, 'paid', 7.99, 7.99, 'USD',
    subscription_id, livemode, 'in_' || n || '_' || month, 'sub_' || n,
    CASE WHEN kind = 1 AND month = 3 THEN 'open' ELSE 'paid' END, 799,
    CASE WHEN kind = 1 AND month = 3 THEN 0 ELSE 799 END,
    CASE WHEN kind = 1 AND month = 3 THEN 799 ELSE 0 END,
    created, created, now(), now(), 1, CASE WHEN NOT troubled THEN now() + interval '3 days' END
FROM made CROSS JOIN generate_series(1, 3) AS month
CROSS JOIN LATERAL (SELECT now() - (3 - month) * interval '30 days' - n * interval '1 second') AS at (created);

INSERT INTO provisioning_work (subscription_id, inputs, done_version, attempts, last_error, created_at,
    updated_at)
SELECT subscription_id,
    CASE kind WHEN 1 THEN jsonb_build_object('owedSince', now() - interval '1 day') ELSE '{}' END,
    1, CASE kind WHEN 0 THEN 5 ELSE 0 END, CASE kind WHEN 0 THEN 'failed: TimeoutError' END,
    now() - interval '1 day', now() - interval '1 day'
FROM made;

INSERT INTO tenant_services (subscription_id, product_type, desired, actual, driver, external_ref,
    attempts, last_error)
SELECT subscription_id, type, 'active', CASE kind WHEN 0 THEN 'absent' ELSE 'active' END, 'log',
    type || n, CASE kind WHEN 0 THEN 5 ELSE 0 END, CASE kind WHEN 0 THEN 'HTTP 503' END
FROM made CROSS JOIN unnest(ARRAY['hosting', 'email']) AS type;

INSERT INTO billing_trials (subscription_id, product_id, customer_id, livemode, vouched, to_end)
SELECT made.subscription_id, products.id, made.customer_id, made.livemode, FALSE, FALSE
FROM made CROSS JOIN products WHERE made.kind = 3 AND products.code = 'many';

INSERT INTO checkout_sessions (subscription_id, attempt, stripe_session_id, livemode, params, status)
SELECT subscription_id, 1, 'cs_' || n, livemode, '{}', 'complete' FROM made;

INSERT INTO orders (subscription_id, customer_id, fingerprint)
SELECT subscription_id, customer_id, '\x00' FROM made;

INSERT INTO stripe_events (id, type, livemode, created, object_id, payload, status, last_error,
    received_at, applied_at)
SELECT 'evt_' || n, 'invoice.paid', livemode, now(), 'in_' || n, '{}',
    CASE kind WHEN 4 THEN 'failed' ELSE 'applied' END, CASE kind WHEN 4 THEN 'Traceback' END,
    now() - n * interval '1 second', now()
FROM made;

INSERT INTO billing_receivers (name, url, livemode, types, secret, created_by)
VALUES ('panel', 'https://panel.test/', TRUE, '{*}', 'whsec_abc', 'grace');
INSERT INTO billing_messages (id, type, object_id, transition, livemode, subscription_id, sequence,
    occurred_at, addressed_at, data)
SELECT 'msg_' || lpad(to_hex(n), 32, '0'), 'invoice.paid', 'in_' || n, 'paid', livemode, subscription_id, 1,
    now(), now(), '{}'
FROM made;
INSERT INTO billing_deliveries (message_id, receiver_id, subscription_id, sequence, state, next_attempt_at)
SELECT m.id, r.id, m.subscription_id, 1, 'delivered', NULL
FROM billing_messages AS m CROSS JOIN billing_receivers AS r;

ALTER TABLE billing_revenue_changes ENABLE TRIGGER billing_record_revenue;

ANALYZE;
