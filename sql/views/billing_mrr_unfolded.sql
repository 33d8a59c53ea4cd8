-- What the sums of the ledger do not have yet: for each customer of whom something has changed since the worker folded it,
-- what is kept (to be taken off), and what the ledger says now. What lay in the future then is due when its time comes.
CREATE OR REPLACE VIEW billing_mrr_unfolded AS
WITH folds AS MATERIALIZED (
    SELECT
        coalesce(max(f.folded_until), '-infinity') AS folded_until,
        greatest(max(f.folded_until), now()) AS moment
    FROM billing_mrr_folds AS f
),
changed AS MATERIALIZED (
    SELECT c.noted_id AS customer_id
    FROM billing_mrr_changes AS c
    UNION
    SELECT billing_mrr_customer_v1(c.noted_id)
    FROM billing_mrr_changes AS c
    UNION
    SELECT billing_mrr_customer_v1(l.subscription_id)
    FROM folds
    JOIN billing_mrr_ledger AS l
        ON l.at > folds.folded_until
        AND l.at <= folds.moment
)
SELECT
    kept.livemode,
    kept.currency,
    changed.customer_id,
    kept.day,
    kept.kind,
    kept.change,
    kept.amount,
    kept.started_on,
    -1 AS times
FROM changed
CROSS JOIN LATERAL (
    SELECT
        k.livemode,
        k.currency,
        k.day,
        k.kind,
        k.change,
        k.amount,
        k.started_on
    FROM billing_mrr_days AS k
    WHERE k.customer_id = changed.customer_id
    OFFSET 0
) AS kept
UNION ALL
SELECT
    added.livemode,
    added.currency,
    changed.customer_id,
    added.day,
    added.kind,
    added.change,
    added.amount,
    added.started_on,
    1
FROM changed
CROSS JOIN folds
CROSS JOIN LATERAL billing_customer_mrr_v1(changed.customer_id, folds.moment) AS added;
COMMENT ON VIEW billing_mrr_unfolded IS 'What is still to be added to the sums of the ledger, and taken off them';
COMMENT ON COLUMN billing_mrr_unfolded.livemode IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.currency IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.customer_id IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.day IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.kind IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.change IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.amount IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.started_on IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.times IS '1: to be added, -1: to be taken off';
