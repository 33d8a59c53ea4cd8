-- billing_revenue_sums as they would be if everything were folded now, as in billing_mrr: what is kept, without what it
-- has of subscriptions that have changed since, and with what these add now.
CREATE OR REPLACE VIEW billing_revenue_now AS
WITH changed AS MATERIALIZED (
    SELECT c.subscription_id
    FROM billing_revenue_changes AS c
    UNION
    SELECT r.subscription_id
    FROM billing_revenue AS r
    WHERE r.changes_at <= now()
),
differing AS MATERIALIZED (
    SELECT
        -1 AS times,
        before.livemode,
        before.currency,
        before.kind,
        before.stripe_id,
        before.customer_id,
        before.amount,
        before.taken_off,
        NULL::timestamptz AS ends_at
    FROM changed
    CROSS JOIN LATERAL (
        SELECT stored.*
        FROM billing_revenue AS stored
        WHERE stored.subscription_id = changed.subscription_id
        OFFSET 0
    ) AS before
    UNION ALL
    SELECT
        1,
        added.livemode,
        added.currency,
        added.kind,
        added.stripe_id,
        added.customer_id,
        added.amount,
        added.taken_off,
        added.ends_at
    FROM changed
    CROSS JOIN LATERAL billing_subscription_revenue_v2(changed.subscription_id) AS added
)
SELECT
    s.livemode,
    s.currency,
    s.kind,
    s.stripe_id,
    s.subscriptions,
    s.customers,
    s.amount,
    s.taken_off,
    greatest(
        s.ends_at,
        (
            SELECT r.ends_at
            FROM billing_revenue AS r
            WHERE r.kind = 'coupon'
              AND r.stripe_id = s.stripe_id
              AND r.livemode = s.livemode
              AND r.currency = s.currency
              AND r.subscription_id NOT IN (SELECT changed.subscription_id FROM changed)
            ORDER BY r.ends_at DESC
            LIMIT 1
        )
    ) AS ends_at
FROM (
    SELECT
        added.livemode,
        added.currency,
        added.kind,
        added.stripe_id,
        sum(added.subscriptions)::bigint AS subscriptions,
        sum(added.customers)::bigint AS customers,
        sum(added.amount) AS amount,
        sum(added.taken_off) AS taken_off,
        max(added.ends_at) AS ends_at
    FROM (
        SELECT
            kept.livemode,
            kept.currency,
            kept.kind,
            kept.stripe_id,
            kept.subscriptions,
            kept.customers,
            kept.amount,
            kept.taken_off,
            NULL::timestamptz AS ends_at
        FROM billing_revenue_sums AS kept
        UNION ALL
        SELECT
            d.livemode,
            d.currency,
            d.kind,
            d.stripe_id,
            d.times,
            0,
            d.times * d.amount,
            d.times * d.taken_off,
            d.ends_at
        FROM differing AS d
        UNION ALL
        SELECT
            one.livemode,
            one.currency,
            one.kind,
            one.stripe_id,
            0,
            one.times,
            0,
            0,
            NULL
        FROM (
            -- who has only come, or only gone, and has no other subscription of the kind
            SELECT
                d.livemode,
                d.currency,
                d.kind,
                d.stripe_id,
                d.customer_id,
                max(d.times) AS times
            FROM differing AS d
            GROUP BY d.livemode, d.currency, d.kind, d.stripe_id, d.customer_id
            HAVING max(d.times) = min(d.times)
        ) AS one
        LEFT JOIN LATERAL (
            SELECT TRUE AS is_there
            FROM billing_revenue AS r
            WHERE r.customer_id = one.customer_id
              AND r.kind = one.kind
              AND r.stripe_id = one.stripe_id
              AND r.livemode = one.livemode
              AND r.currency = one.currency
              AND r.subscription_id NOT IN (SELECT changed.subscription_id FROM changed)
            LIMIT 1
        ) AS other ON TRUE
        WHERE other.is_there IS NULL
    ) AS added
    GROUP BY added.livemode, added.currency, added.kind, added.stripe_id
) AS s
WHERE s.subscriptions > 0;
COMMENT ON VIEW billing_revenue_now IS 'Monthly recurring revenue of all, by product and by coupon, not rounded';
COMMENT ON COLUMN billing_revenue_now.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_revenue_now.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_revenue_now.kind IS 'all, product or coupon';
COMMENT ON COLUMN billing_revenue_now.stripe_id IS 'prod_..., or the coupon''s id';
COMMENT ON COLUMN billing_revenue_now.subscriptions IS 'How many that are active or past due have it';
COMMENT ON COLUMN billing_revenue_now.customers IS 'How many different customers they are of';
COMMENT ON COLUMN billing_revenue_now.amount IS 'Minor units per month, after discounts; of a coupon: all that those subscriptions add';
COMMENT ON COLUMN billing_revenue_now.taken_off IS 'Minor units per month that coupons take off it, or that this one does';
COMMENT ON COLUMN billing_revenue_now.ends_at IS 'Of a coupon: when the last of them ends; infinity: one has no end';
