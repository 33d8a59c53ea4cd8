-- What webhooks of known subscriptions find: each with a customer, an item, its work and a paid invoice, all as the
-- service writes them. The setting billing.subscriptions says how many; ids are spread as random ones are.

INSERT INTO customers (id, email, stripe_customer_id)
SELECT
    md5('customer ' || n)::uuid,
    'c' || n || '@example.com',
    'cus_' || lpad(n::text, 14, '0')
FROM generate_series(1, current_setting('billing.subscriptions')::integer) AS n;

INSERT INTO stripe_customers (id, customer_id, livemode)
SELECT
    'cus_' || lpad(n::text, 14, '0'),
    md5('customer ' || n)::uuid,
    FALSE
FROM generate_series(1, current_setting('billing.subscriptions')::integer) AS n;

INSERT INTO subscriptions (id, customer_id, status, billing_provider, livemode, currency, amount,
    price, auto_renew, stripe_customer_id, stripe_subscription_id, stripe_status,
    initial_payment_settled, order_paid, cancel_at_period_end, collection_paused, billing_cycle,
    current_period_start, current_period_end, stripe_as_of_since, stripe_as_of, entitlement)
SELECT md5('subscription ' || n)::uuid, md5('customer ' || n)::uuid, 'active', 'stripe', FALSE,
    'usd', 799, 7.99, FALSE, 'cus_' || lpad(n::text, 14, '0'), 'sub_' || lpad(n::text, 14, '0'),
    'active', TRUE, TRUE, FALSE, FALSE, 'monthly', to_timestamp(1789000000),
    to_timestamp(1790000000), to_timestamp(1789000000), to_timestamp(1789000000),
    replace(one.entitlement, 'si_n', 'si_' || lpad(n::text, 14, '0'))::jsonb
FROM generate_series(1, current_setting('billing.subscriptions')::integer) AS n
CROSS JOIN (
    SELECT billing_subscription_entitlement_v1(
        jsonb_populate_record(NULL::billing_subscription_snapshot, jsonb_build_object(
            'stripe_status', 'active', 'cancel_at_period_end', FALSE,
            'collection_paused', FALSE, 'items_complete', TRUE,
            'entitled_items', jsonb_build_array(jsonb_build_object(
                'item', 'si_n', 'price', 'price_1', 'product', NULL, 'quantity', 1
            ))
        )), NULL)::text AS entitlement
    OFFSET 0
) AS one;

INSERT INTO subscription_items (subscription_id, stripe_subscription_item_id, stripe_price_id,
    quantity, unit_amount, currency, recurring_interval, interval_count)
SELECT md5('subscription ' || n)::uuid, 'si_' || lpad(n::text, 14, '0'), 'price_1', 1, 799, 'usd',
    'month', 1
FROM generate_series(1, current_setting('billing.subscriptions')::integer) AS n;

INSERT INTO provisioning_work (subscription_id, inputs, version, done_version)
SELECT id, entitlement || '{"settled": true, "orderPaid": true, "owedSince": null, "paidAfterEnd": null,
    "payableAfterEnd": false}', 1, 1
FROM subscriptions;

INSERT INTO invoices (customer_id, subscription_id, invoice_number, subtotal, total, status,
    livemode, stripe_invoice_id, stripe_subscription_id, stripe_customer_id, stripe_status,
    amount_due, amount_paid, amount_remaining, attempt_count, stripe_created, stripe_as_of_since,
    stripe_as_of, stripe_payment_intent_id)
SELECT md5('customer ' || n)::uuid, md5('subscription ' || n)::uuid,
    'in_old' || lpad(n::text, 14, '0'), 7.99, 7.99, 'paid', FALSE,
    'in_old' || lpad(n::text, 14, '0'), 'sub_' || lpad(n::text, 14, '0'),
    'cus_' || lpad(n::text, 14, '0'), 'paid', 799, 799, 0, 1, to_timestamp(1789000000),
    to_timestamp(1789000000), to_timestamp(1789000000), 'pi_old' || lpad(n::text, 14, '0')
FROM generate_series(1, current_setting('billing.subscriptions')::integer) AS n;
