-- The movements of the monthly recurring revenue by day, week or month (UTC; weeks begin on Monday). A period has the sum of
-- its days: what a customer does on one day nets out, what they do on two does not. The sum of all movements before a
-- period is its opening, with its own the closing.
CREATE OR REPLACE VIEW billing_mrr_movements AS
SELECT
    m.livemode,
    m.period,
    m.starts_on,
    m.currency,
    m.kind,
    sum(m.customers)::bigint AS customers,
    sum(m.amount) AS amount
FROM (
    SELECT
        k.livemode,
        k.period,
        k.starts_on,
        k.currency,
        k.kind,
        k.customers,
        k.amount
    FROM billing_mrr_periods AS k
    UNION ALL
    SELECT
        u.livemode,
        p.period,
        p.starts_on,
        u.currency,
        u.kind,
        u.times,
        u.times * u.change
    FROM billing_mrr_unfolded AS u
    CROSS JOIN LATERAL (
        VALUES
            ('day', u.day),
            ('week', date_trunc('week', u.day)::date),
            ('month', date_trunc('month', u.day)::date)
    ) AS p (period, starts_on)
) AS m
GROUP BY m.livemode, m.period, m.starts_on, m.currency, m.kind
HAVING sum(m.customers) <> 0;
COMMENT ON VIEW billing_mrr_movements IS 'Movements of the monthly recurring revenue by day, week and month: opening and movements are the closing';
COMMENT ON COLUMN billing_mrr_movements.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_movements.period IS 'day, week or month: a query names one of them';
COMMENT ON COLUMN billing_mrr_movements.starts_on IS 'The first day of the period, UTC';
COMMENT ON COLUMN billing_mrr_movements.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_movements.kind IS 'new, expansion, contraction, churn or reactivation';
COMMENT ON COLUMN billing_mrr_movements.customers IS 'Of how many customers; one counts once for each day';
COMMENT ON COLUMN billing_mrr_movements.amount IS 'Minor units per month, not rounded; less than zero for contraction and churn';
