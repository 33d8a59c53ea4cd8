-- The movements of the monthly recurring revenue by day, week or month (UTC; weeks begin on Monday). A period has the sum of
-- its days: what a customer does on one day nets out, what they do on two does not. The sum of all movements before a
-- period is its opening, with its own the closing.
CREATE OR REPLACE VIEW billing_mrr_movements AS
SELECT
    m.livemode,
    p.period,
    p.starts_on,
    m.currency,
    m.kind,
    count(*) AS customers,
    sum(m.change) AS amount
FROM billing_customer_mrr AS m
CROSS JOIN LATERAL (
    VALUES
        ('day', m.day),
        ('week', date_trunc('week', m.day)::date),
        ('month', date_trunc('month', m.day)::date)
) AS p (period, starts_on)
GROUP BY m.livemode, p.period, p.starts_on, m.currency, m.kind;
COMMENT ON VIEW billing_mrr_movements IS 'Movements of the monthly recurring revenue by day, week and month: opening and movements are the closing';
COMMENT ON COLUMN billing_mrr_movements.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_movements.period IS 'day, week or month: a query names one of them';
COMMENT ON COLUMN billing_mrr_movements.starts_on IS 'The first day of the period, UTC';
COMMENT ON COLUMN billing_mrr_movements.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_movements.kind IS 'new, expansion, contraction, churn or reactivation';
COMMENT ON COLUMN billing_mrr_movements.customers IS 'Of how many customers; one counts once for each day';
COMMENT ON COLUMN billing_mrr_movements.amount IS 'Minor units per month, not rounded; less than zero for contraction and churn';
