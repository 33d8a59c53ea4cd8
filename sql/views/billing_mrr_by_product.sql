-- Monthly recurring revenue by product. Rounded so that it adds up to billing_mrr: each amount is rounded down, and
-- the units that are left go to those that have lost most (largest remainder).
CREATE OR REPLACE VIEW billing_mrr_by_product AS
SELECT
    r.livemode,
    r.currency,
    p.kind,
    p.code,
    p.name,
    r.stripe_id AS stripe_product_id,
    r.subscriptions,
    r.customers,
    (
        floor(r.amount)
        + (r.place <= round(sum(r.amount) OVER together) - sum(floor(r.amount)) OVER together)::integer
    )::bigint AS mrr,
    (
        floor(r.taken_off)
        + (r.taken_place <= round(sum(r.taken_off) OVER together) - sum(floor(r.taken_off)) OVER together)::integer
    )::bigint AS taken_off
FROM (
    SELECT
        n.livemode,
        n.currency,
        n.stripe_id,
        n.subscriptions,
        n.customers,
        n.amount,
        n.taken_off,
        row_number() OVER (
            PARTITION BY n.livemode, n.currency
            ORDER BY n.amount - floor(n.amount) DESC, n.stripe_id
        ) AS place,
        row_number() OVER (
            PARTITION BY n.livemode, n.currency
            ORDER BY n.taken_off - floor(n.taken_off) DESC, n.stripe_id
        ) AS taken_place
    FROM billing_revenue_now AS n
    WHERE n.kind = 'product'
) AS r
LEFT JOIN products AS p
    ON p.stripe_product_id = r.stripe_id
    AND p.code IS NOT NULL
WINDOW together AS (PARTITION BY r.livemode, r.currency);
COMMENT ON VIEW billing_mrr_by_product IS 'Monthly recurring revenue by plan and add-on; the sums of a currency are those of billing_mrr';
COMMENT ON COLUMN billing_mrr_by_product.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_by_product.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_by_product.kind IS 'plan, addon, domain or fee; null: not in the catalogue';
COMMENT ON COLUMN billing_mrr_by_product.code IS 'Its code in the catalogue; null: not in it';
COMMENT ON COLUMN billing_mrr_by_product.name IS 'Its name in the catalogue';
COMMENT ON COLUMN billing_mrr_by_product.stripe_product_id IS 'prod_...; empty: Stripe did not say';
COMMENT ON COLUMN billing_mrr_by_product.subscriptions IS 'How many that are active or past due have it';
COMMENT ON COLUMN billing_mrr_by_product.customers IS 'How many different customers they are of';
COMMENT ON COLUMN billing_mrr_by_product.mrr IS 'Minor units of currency per month, after discounts, except those for one invoice';
COMMENT ON COLUMN billing_mrr_by_product.taken_off IS 'Minor units of currency per month that coupons take off it';
