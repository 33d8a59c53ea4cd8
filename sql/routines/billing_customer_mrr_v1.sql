-- The movements of one customer until a time, by index: what a view computes of all.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_customer_mrr_v1(of_customer uuid, moment timestamptz)
RETURNS TABLE (
    livemode boolean, currency text, day date, kind text, change numeric, amount numeric, started_on date
)
LANGUAGE sql
STABLE
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
AS $$
    SELECT
        d.livemode,
        d.currency,
        d.day,
        CASE
            WHEN d.number = 1 THEN 'new'
            WHEN d.amount = d.change THEN 'reactivation'
            WHEN d.amount = 0 THEN 'churn'
            WHEN d.change > 0 THEN 'expansion'
            ELSE 'contraction'
        END,
        d.change,
        d.amount,
        d.started_on
    FROM (
        SELECT
            changed.livemode,
            changed.currency,
            changed.day,
            changed.change,
            sum(changed.change) OVER days AS amount,
            row_number() OVER days AS number,
            first_value(changed.day) OVER days AS started_on
        FROM (
            SELECT
                l.livemode,
                l.currency,
                (l.at AT TIME ZONE 'UTC')::date AS day,
                sum(l.change) AS change
            FROM (
                SELECT s.id
                FROM subscriptions AS s
                WHERE s.customer_id = of_customer
                UNION
                SELECT gone.subscription_id
                FROM billing_deleted_subscriptions AS gone
                WHERE gone.subscription ->> 'customer_id' = of_customer::text
                  AND billing_mrr_customer_v1(gone.subscription_id) = of_customer
                UNION
                SELECT of_customer
                WHERE billing_mrr_customer_v1(of_customer) = of_customer
            ) AS owned
            CROSS JOIN LATERAL (
                -- by its key, whatever is known of the size of the ledger
                SELECT
                    entry.livemode,
                    entry.currency,
                    entry.at,
                    entry.change
                FROM billing_mrr_ledger AS entry
                WHERE entry.subscription_id = owned.id
                  AND entry.at <= moment
                OFFSET 0
            ) AS l
            GROUP BY 1, 2, 3
            HAVING sum(l.change) <> 0
        ) AS changed
        WINDOW days AS (PARTITION BY changed.livemode, changed.currency ORDER BY changed.day)
    ) AS d
$$;
COMMENT ON FUNCTION billing_customer_mrr_v1(uuid, timestamptz) IS 'The monthly recurring revenue of a customer, by the days on which it changed, from the ledger';
