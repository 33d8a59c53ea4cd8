-- What people look at in psql.

-- migrate:up
CREATE VIEW billing_trouble AS
SELECT
    'not_provisioned' AS trouble,
    s.id AS subscription_id,
    s.stripe_subscription_id AS object_id,
    w.created_at AS since,
    coalesce(w.last_error, 'paid, and its services are not ready yet') AS detail
FROM subscriptions AS s
JOIN provisioning_work AS w
    ON w.subscription_id = s.id
WHERE s.billing_provider = 'stripe'
  AND s.status = 'pending'
  AND w.created_at < now() - interval '5 minutes'
UNION ALL
SELECT
    'provisioning_failed',
    t.subscription_id,
    t.product_type,
    t.updated_at,
    t.last_error
FROM tenant_services AS t
WHERE t.last_error IS NOT NULL
UNION ALL
SELECT
    CASE WHEN w.trouble IS NULL OR first.id IS NULL THEN 'work_failed' ELSE 'paid_twice' END,
    w.subscription_id,
    first.stripe_subscription_id,
    w.updated_at,
    w.last_error
FROM provisioning_work AS w
JOIN subscriptions AS s
    ON s.id = w.subscription_id
-- whoever has the domain that this subscription was bought for, while both are paid for
LEFT JOIN tenants AS t
    ON t.domain = s.metadata ->> 'domainValue'
LEFT JOIN subscriptions AS first
    ON first.id = t.billing_subscription_id
    AND first.id <> s.id
    AND first.stripe_status NOT IN ('canceled', 'incomplete_expired')
    AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')
WHERE w.last_error IS NOT NULL
UNION ALL
SELECT
    'paid_twice',
    first.id,
    second.stripe_subscription_id,
    paid.updated_at,
    'its order was paid again, through the session ' || paid.stripe_session_id
FROM (
    SELECT DISTINCT subscription_id
    FROM checkout_sessions
    WHERE status = 'complete'
      AND attempt > 1
) AS again
JOIN subscriptions AS first
    ON first.id = again.subscription_id
    AND first.stripe_status NOT IN ('canceled', 'incomplete_expired')
JOIN checkout_sessions AS paid
    ON paid.subscription_id = first.id
    AND paid.stripe_subscription_id <> first.stripe_subscription_id
JOIN subscriptions AS second
    ON second.stripe_subscription_id = paid.stripe_subscription_id
    AND second.stripe_status NOT IN ('canceled', 'incomplete_expired')
UNION ALL
SELECT
    'paid_twice',
    s.id,
    s.stripe_subscription_id,
    o.overtaken_at,
    'it was paid though the buyer had ordered something else instead'
FROM orders AS o
JOIN subscriptions AS s
    ON s.id = o.subscription_id
    AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')
WHERE o.overtaken_at IS NOT NULL
UNION ALL
SELECT
    'event_failed',
    NULL,
    e.id,
    e.received_at,
    -- the last line of a traceback says what it was
    e.type || ': ' || coalesce(left(regexp_replace(trim(E' \n' FROM e.last_error), '^.*\n', ''), 200), 'not applied yet')
FROM stripe_events AS e
WHERE e.status IN ('received', 'failed')
UNION ALL
SELECT
    'refetch_failed',
    NULL,
    r.object_id,
    r.requested_at,
    r.last_error
FROM stripe_refetches AS r
WHERE r.last_error IS NOT NULL
UNION ALL
SELECT
    'invoice_unlinked',
    NULL,
    i.stripe_invoice_id,
    i.stripe_created,
    'its subscription ' || i.stripe_subscription_id || ' is not mirrored'
FROM invoices AS i
WHERE i.stripe_subscription_id IS NOT NULL
  AND i.subscription_id IS NULL
UNION ALL
SELECT
    'subscription_unmirrored',
    s.id,
    s.stripe_subscription_id,
    s.created_at AT TIME ZONE 'UTC',
    'its Checkout session is complete, but Stripe has not told about the subscription'
FROM subscriptions AS s
WHERE s.billing_provider = 'stripe'
  AND s.stripe_subscription_id IS NOT NULL
  AND s.stripe_status IS NULL
UNION ALL
SELECT
    'overdue',
    s.id,
    s.stripe_subscription_id,
    i.stripe_created,
    'invoice ' || i.stripe_invoice_id || ' is unpaid: '
    || i.amount_remaining || ' ' || lower(i.currency) || ' in minor units'
FROM subscriptions AS s
JOIN invoices AS i
    ON i.subscription_id = s.id
WHERE s.stripe_status IN ('past_due', 'unpaid')
  AND i.stripe_status IN ('open', 'uncollectible');
COMMENT ON VIEW billing_trouble IS 'What a person should look at; empty when all is well';
COMMENT ON COLUMN billing_trouble.trouble IS 'not_provisioned, provisioning_failed, work_failed, paid_twice, event_failed, refetch_failed, invoice_unlinked, subscription_unmirrored or overdue';
COMMENT ON COLUMN billing_trouble.subscription_id IS 'The subscription it is about; null: of none that is known';
COMMENT ON COLUMN billing_trouble.object_id IS 'What it is about: an id at Stripe, or a product type';
COMMENT ON COLUMN billing_trouble.since IS 'Since when';
COMMENT ON COLUMN billing_trouble.detail IS 'In words';

CREATE VIEW billing_overview AS
SELECT
    s.id AS subscription_id,
    s.created_at AT TIME ZONE 'UTC' AS ordered_at,
    c.email,
    coalesce(c.name, c.company_name) AS customer,
    s.metadata ->> 'planId' AS plan,
    s.billing_cycle,
    s.amount,
    s.currency,
    s.status,
    s.stripe_status,
    s.trial_end,
    s.current_period_end,
    s.cancel_at_period_end IS TRUE OR s.cancel_at IS NOT NULL AS will_end,
    t.domain AS tenant_domain,
    t.status AS tenant_status,
    (
        SELECT string_agg(
            v.product_type || '=' || v.actual
            || CASE WHEN v.actual = v.desired THEN '' ELSE '->' || v.desired END,
            ' '
            ORDER BY v.product_type
        )
        FROM tenant_services AS v
        WHERE v.subscription_id = s.id
    ) AS services,
    (
        SELECT i.stripe_status || ' ' || i.amount_paid || '/' || i.amount_due
        FROM invoices AS i
        WHERE i.subscription_id = s.id
        ORDER BY i.stripe_created DESC
        LIMIT 1
    ) AS latest_invoice,
    (
        SELECT string_agg(DISTINCT b.trouble, ' ' ORDER BY b.trouble)
        FROM billing_trouble AS b
        WHERE b.subscription_id = s.id
    ) AS trouble,
    s.stripe_subscription_id,
    s.stripe_customer_id
FROM subscriptions AS s
LEFT JOIN customers AS c
    ON c.id = s.customer_id
LEFT JOIN tenants AS t
    ON t.id = s.tenant_id
WHERE s.billing_provider = 'stripe';
COMMENT ON VIEW billing_overview IS 'One line a subscription: who, what, money (minor units a term), state, tenant, trouble';
COMMENT ON COLUMN billing_overview.subscription_id IS 'Ours';
COMMENT ON COLUMN billing_overview.ordered_at IS 'When the row was made';
COMMENT ON COLUMN billing_overview.email IS 'The customer''s';
COMMENT ON COLUMN billing_overview.customer IS 'Her name, else her company''s';
COMMENT ON COLUMN billing_overview.plan IS 'The planId that was ordered; null: made outside of our checkout';
COMMENT ON COLUMN billing_overview.billing_cycle IS 'The term';
COMMENT ON COLUMN billing_overview.amount IS 'Minor units of currency a term, before discounts';
COMMENT ON COLUMN billing_overview.currency IS 'ISO 4217';
COMMENT ON COLUMN billing_overview.status IS 'mPanel''s word, or provisional or pending';
COMMENT ON COLUMN billing_overview.stripe_status IS 'Stripe''s word; null: not paid yet';
COMMENT ON COLUMN billing_overview.trial_end IS 'End of the free trial';
COMMENT ON COLUMN billing_overview.current_period_end IS 'Paid until';
COMMENT ON COLUMN billing_overview.will_end IS 'Does not renew';
COMMENT ON COLUMN billing_overview.tenant_domain IS 'The tenant''s';
COMMENT ON COLUMN billing_overview.tenant_status IS 'The tenant''s';
COMMENT ON COLUMN billing_overview.services IS 'Each product type with what it is, and after an arrow what it should be';
COMMENT ON COLUMN billing_overview.latest_invoice IS 'Stripe''s word for the latest invoice, then minor units paid/due';
COMMENT ON COLUMN billing_overview.trouble IS 'What billing_trouble says of it; null: nothing';
COMMENT ON COLUMN billing_overview.stripe_subscription_id IS 'sub_...';
COMMENT ON COLUMN billing_overview.stripe_customer_id IS 'cus_...';

CREATE VIEW billing_mrr AS
SELECT
    s.livemode,
    i.currency,
    count(DISTINCT s.id) AS subscriptions,
    round(sum(
        i.unit_amount * coalesce(i.quantity, 0)
        / (i.interval_count * CASE i.recurring_interval
            WHEN 'year' THEN 12
            WHEN 'month' THEN 1
            WHEN 'week' THEN 12 / 52.0
            WHEN 'day' THEN 12 / 365.0
        END)::numeric
    ))::bigint AS mrr
FROM subscriptions AS s
JOIN subscription_items AS i
    ON i.subscription_id = s.id
WHERE s.stripe_status IN ('active', 'past_due')
GROUP BY s.livemode, i.currency;
COMMENT ON VIEW billing_mrr IS 'Monthly recurring revenue by currency in minor units, before discounts; trials left out';
COMMENT ON COLUMN billing_mrr.livemode IS 'Mode of Stripe';
COMMENT ON COLUMN billing_mrr.currency IS 'ISO 4217';
COMMENT ON COLUMN billing_mrr.subscriptions IS 'How many are active or past due';
COMMENT ON COLUMN billing_mrr.mrr IS 'Minor units of currency a month';

-- migrate:down
DROP VIEW billing_mrr;
DROP VIEW billing_overview;
DROP VIEW billing_trouble;
