-- billing_customer_mrr, computed from the whole ledger: what is kept is compared with it (`mpanel-billing figures check`).
-- billing_customer_mrr_v1 has the same of one customer.
-- Who has a subscription now had it always; of one whose row is gone, who had it last.
CREATE OR REPLACE VIEW billing_mrr_whole AS
SELECT
    d.livemode,
    d.currency,
    d.customer_id,
    d.day,
    CASE
        WHEN d.number = 1 THEN 'new'
        WHEN d.amount = d.change THEN 'reactivation'
        WHEN d.amount = 0 THEN 'churn'
        WHEN d.change > 0 THEN 'expansion'
        ELSE 'contraction'
    END AS kind,
    d.change,
    d.amount,
    d.started_on
FROM (
    SELECT
        changed.livemode,
        changed.currency,
        changed.customer_id,
        changed.day,
        changed.change,
        sum(changed.change) OVER days AS amount,
        row_number() OVER days AS number,
        first_value(changed.day) OVER days AS started_on
    FROM (
        SELECT
            l.livemode,
            l.currency,
            coalesce(s.customer_id, (gone.subscription ->> 'customer_id')::uuid, l.subscription_id) AS customer_id,
            (l.at AT TIME ZONE 'UTC')::date AS day,
            sum(l.change) AS change
        FROM billing_mrr_ledger AS l
        LEFT JOIN subscriptions AS s
            ON s.id = l.subscription_id
        LEFT JOIN billing_deleted_subscriptions AS gone
            ON gone.subscription_id = l.subscription_id
        WHERE l.at <= now()
        GROUP BY 1, 2, 3, 4
        HAVING sum(l.change) <> 0
    ) AS changed
    WINDOW days AS (PARTITION BY changed.livemode, changed.currency, changed.customer_id ORDER BY changed.day)
) AS d;
COMMENT ON VIEW billing_mrr_whole IS 'The monthly recurring revenue of each customer, computed from the whole ledger';
COMMENT ON COLUMN billing_mrr_whole.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_whole.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_whole.customer_id IS 'The customer record; of a subscription whose customer is unknown, the subscription';
COMMENT ON COLUMN billing_mrr_whole.day IS 'The day, UTC';
COMMENT ON COLUMN billing_mrr_whole.kind IS 'new, expansion, contraction, churn or reactivation';
COMMENT ON COLUMN billing_mrr_whole.change IS 'By how much it is more than at the end of the day before, minor units, not rounded';
COMMENT ON COLUMN billing_mrr_whole.amount IS 'What it was at the end of the day, minor units, not rounded';
COMMENT ON COLUMN billing_mrr_whole.started_on IS 'The first such day of the customer';
