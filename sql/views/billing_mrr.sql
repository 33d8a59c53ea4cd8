-- Monthly recurring revenue.
CREATE OR REPLACE VIEW billing_mrr AS
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
COMMENT ON VIEW billing_mrr IS 'Monthly recurring revenue per currency in minor units, before discounts and without trials';
COMMENT ON COLUMN billing_mrr.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr.currency IS 'ISO 4217';
COMMENT ON COLUMN billing_mrr.subscriptions IS 'How many are active or past due';
COMMENT ON COLUMN billing_mrr.mrr IS 'Minor units of currency per month';
