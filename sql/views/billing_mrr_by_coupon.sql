-- What coupons take off the monthly recurring revenue. Rounded as billing_mrr_by_product, and to the same sums.
CREATE OR REPLACE VIEW billing_mrr_by_coupon AS
SELECT
    r.livemode,
    r.currency,
    ours.code,
    coalesce(
        ours.name,
        (
            SELECT d.coupon_name
            FROM (
                (
                    SELECT given.subscription_id
                    FROM billing_revenue AS given
                    WHERE given.kind = 'coupon'
                      AND given.stripe_id = r.stripe_id
                    ORDER BY given.ends_at DESC
                    LIMIT 1
                )
                UNION ALL
                SELECT noted.subscription_id
                FROM billing_revenue_changes AS noted
            ) AS one
            JOIN subscription_discounts AS d
                ON d.subscription_id = one.subscription_id
                AND d.stripe_coupon_id = r.stripe_id
            LIMIT 1
        )
    ) AS name,
    r.stripe_id AS stripe_coupon_id,
    r.subscriptions,
    r.customers,
    (
        floor(r.taken_off)
        + (r.place <= round(sum(r.taken_off) OVER together) - sum(floor(r.taken_off)) OVER together)::integer
    )::bigint AS taken_off,
    round(r.amount)::bigint AS mrr,
    nullif(r.ends_at, 'infinity') AS ends_at
FROM (
    SELECT
        n.livemode,
        n.currency,
        n.stripe_id,
        n.subscriptions,
        n.customers,
        n.amount,
        n.taken_off,
        n.ends_at,
        row_number() OVER (
            PARTITION BY n.livemode, n.currency
            ORDER BY n.taken_off - floor(n.taken_off) DESC, n.stripe_id
        ) AS place
    FROM billing_revenue_now AS n
    WHERE n.kind = 'coupon'
) AS r
LEFT JOIN LATERAL (
    -- one of the catalogue is a coupon at Stripe for each further currency in which it takes off an amount
    SELECT
        c.code,
        c.name
    FROM coupons AS c
    WHERE c.stripe_coupon_id IN (r.stripe_id, left(r.stripe_id, -4))
      AND (c.stripe_coupon_id = r.stripe_id OR r.stripe_id = c.stripe_coupon_id || '_' || r.currency)
    LIMIT 1
) AS ours ON TRUE
WINDOW together AS (PARTITION BY r.livemode, r.currency);
COMMENT ON VIEW billing_mrr_by_coupon IS 'What each coupon takes off the monthly recurring revenue; those for one invoice take nothing off it';
COMMENT ON COLUMN billing_mrr_by_coupon.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_by_coupon.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_by_coupon.code IS 'Its code in the catalogue; null: not in it';
COMMENT ON COLUMN billing_mrr_by_coupon.name IS 'What customers see on invoices';
COMMENT ON COLUMN billing_mrr_by_coupon.stripe_coupon_id IS 'The coupon''s id at Stripe';
COMMENT ON COLUMN billing_mrr_by_coupon.subscriptions IS 'How many that are active or past due have it now';
COMMENT ON COLUMN billing_mrr_by_coupon.customers IS 'How many different customers they are of';
COMMENT ON COLUMN billing_mrr_by_coupon.taken_off IS 'Minor units of currency per month that it takes off';
COMMENT ON COLUMN billing_mrr_by_coupon.mrr IS 'What those subscriptions still add to the monthly recurring revenue: one with two coupons is in both';
COMMENT ON COLUMN billing_mrr_by_coupon.ends_at IS 'When the last of them ends; null: one at least has no end';
