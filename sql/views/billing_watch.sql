-- What Stripe or time settles, one row per object. billing_trouble_kinds has each kind.
CREATE OR REPLACE VIEW billing_watch AS
SELECT
    'dunning' AS trouble,
    u.subscription_id,
    u.object_id,
    u.since,
    u.detail || '; Stripe tries again at ' || u.next_payment_attempt AS detail
FROM billing_unpaid_terms AS u
WHERE u.next_payment_attempt > now() - interval '1 day'
UNION ALL
SELECT
    'provisioning_retried',
    t.subscription_id,
    t.product_type,
    t.updated_at,
    t.last_error
FROM tenant_services AS t
WHERE t.last_error IS NOT NULL
  AND t.stopped IS NULL
  AND t.attempts < 5
UNION ALL
SELECT
    'debt_unchecked',
    w.subscription_id,
    s.stripe_subscription_id,
    w.debt_unconfirmed_since,
    'not suspended, because Stripe does not confirm the debt: ' || w.debt_error
FROM provisioning_work AS w
JOIN subscriptions AS s
    ON s.id = w.subscription_id
WHERE w.debt_unconfirmed_since >= now() - interval '24 hours'
UNION ALL
SELECT
    'open_after_end',
    w.subscription_id,
    i.stripe_invoice_id,
    s.ended_at,
    'invoice ' || i.stripe_invoice_id || ' can still be paid although the subscription has ended: '
    || billing_money_v1(i.amount_remaining, i.currency)
FROM provisioning_work AS w
JOIN subscriptions AS s
    ON s.id = w.subscription_id
JOIN invoices AS i
    ON i.subscription_id = w.subscription_id
    AND i.stripe_status IN ('open', 'uncollectible')
    AND i.billing_reason IS DISTINCT FROM 'manual'
WHERE (w.inputs ->> 'payableAfterEnd')::boolean
UNION ALL
SELECT
    'event_waiting',
    NULL,
    e.id,
    e.received_at,
    e.type || ': not applied yet'
FROM stripe_events AS e
WHERE e.status = 'received'
  AND e.received_at > now() - interval '15 minutes'
UNION ALL
SELECT
    'dispute_under_review',
    billed.subscription_id,
    d.stripe_dispute_id,
    d.stripe_created,
    'the bank decides about ' || billing_money_v1(d.amount, d.currency) || ' (' || d.reason || ')'
FROM stripe_disputes AS d
LEFT JOIN LATERAL (
    SELECT i.subscription_id
    FROM invoice_payments AS p
    JOIN invoices AS i
        ON i.stripe_invoice_id = p.stripe_invoice_id
    WHERE p.stripe_payment_intent_id = d.stripe_payment_intent_id
    ORDER BY p.stripe_created
    LIMIT 1
    OFFSET 0
) AS billed ON TRUE
WHERE d.status IN ('under_review', 'warning_under_review', 'appeal_under_review')
UNION ALL
SELECT
    'refetch_retried',
    NULL,
    r.object_id,
    r.requested_at,
    r.last_error
FROM stripe_refetches AS r
WHERE r.last_error LIKE 'The payment service is temporarily unavailable%'
  AND r.requested_at > now() - interval '1 hour';
COMMENT ON VIEW billing_watch IS 'Work that Stripe or time settles; what a person must act on is trouble';
COMMENT ON COLUMN billing_watch.trouble IS 'Its kind; billing_trouble_kinds says what it means and what settles it';
COMMENT ON COLUMN billing_watch.subscription_id IS 'The subscription concerned; null: none is known';
COMMENT ON COLUMN billing_watch.object_id IS 'The object concerned: an id at Stripe, or a product type';
COMMENT ON COLUMN billing_watch.since IS 'When it began';
COMMENT ON COLUMN billing_watch.detail IS 'Description';
