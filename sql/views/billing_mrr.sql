-- Monthly recurring revenue: the sum that the worker keeps, without what it has of subscriptions that have
-- changed since, and with what these add now. It is right at any moment, whether a worker runs or not.
CREATE OR REPLACE VIEW billing_mrr AS
WITH changed AS MATERIALIZED (
    SELECT c.subscription_id
    FROM billing_revenue_changes AS c
    UNION
    SELECT r.subscription_id
    FROM billing_revenue AS r
    WHERE r.changes_at <= now()
)
SELECT
    added.livemode,
    added.currency,
    sum(added.subscriptions)::bigint AS subscriptions,
    round(sum(added.amount))::bigint AS mrr
FROM (
    SELECT
        kept.livemode,
        kept.currency,
        kept.subscriptions,
        kept.amount
    FROM billing_revenue_sums AS kept
    WHERE kept.kind = 'all'
    UNION ALL
    SELECT
        before.livemode,
        before.currency,
        -1,
        -before.amount
    FROM changed
    JOIN billing_revenue AS before
        ON before.subscription_id = changed.subscription_id
        AND before.kind = 'all'
    UNION ALL
    SELECT
        added.livemode,
        added.currency,
        1,
        added.amount
    FROM changed
    CROSS JOIN LATERAL billing_subscription_revenue_v1(changed.subscription_id) AS added
) AS added
GROUP BY added.livemode, added.currency
HAVING sum(added.subscriptions) > 0;
COMMENT ON VIEW billing_mrr IS 'Monthly recurring revenue per currency in minor units, without trials; after discounts, except those for one invoice';
COMMENT ON COLUMN billing_mrr.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr.currency IS 'ISO 4217';
COMMENT ON COLUMN billing_mrr.subscriptions IS 'How many are active or past due';
COMMENT ON COLUMN billing_mrr.mrr IS 'Minor units of currency per month';
