-- The monthly recurring revenue of each customer and currency, by the days (UTC) on which it was another at the end than
-- at the beginning. Who has a subscription now had it always; of one whose row is gone, who had it last. Kept rows, with
-- what has changed since they were folded.
CREATE OR REPLACE VIEW billing_customer_mrr AS
SELECT
    m.livemode,
    m.currency,
    m.customer_id,
    m.day,
    m.kind,
    m.change,
    m.amount,
    m.started_on
FROM (
    SELECT
        k.livemode,
        k.currency,
        k.customer_id,
        k.day,
        k.kind,
        k.change,
        k.amount,
        k.started_on,
        1 AS times
    FROM billing_mrr_days AS k
    UNION ALL
    SELECT
        u.livemode,
        u.currency,
        u.customer_id,
        u.day,
        u.kind,
        u.change,
        u.amount,
        u.started_on,
        u.times
    FROM billing_mrr_unfolded AS u
) AS m
GROUP BY m.livemode, m.currency, m.customer_id, m.day, m.kind, m.change, m.amount, m.started_on
HAVING sum(m.times) > 0;
COMMENT ON VIEW billing_customer_mrr IS 'The monthly recurring revenue of each customer, by the days on which it changed';
COMMENT ON COLUMN billing_customer_mrr.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_customer_mrr.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_customer_mrr.customer_id IS 'The customer record; of a subscription whose customer is unknown, the subscription';
COMMENT ON COLUMN billing_customer_mrr.day IS 'The day, UTC';
COMMENT ON COLUMN billing_customer_mrr.kind IS 'new, expansion, contraction, churn or reactivation';
COMMENT ON COLUMN billing_customer_mrr.change IS 'By how much it is more than at the end of the day before, minor units, not rounded';
COMMENT ON COLUMN billing_customer_mrr.amount IS 'What it was at the end of the day, minor units, not rounded';
COMMENT ON COLUMN billing_customer_mrr.started_on IS 'The first such day of the customer';
