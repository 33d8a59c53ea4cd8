-- What became of those who began to pay in a month: how many of them pay, and what, at the end of it and of each month since;
-- of the present one, until now.
CREATE OR REPLACE VIEW billing_cohorts AS
WITH moved AS MATERIALIZED (
    SELECT
        m.livemode,
        m.currency,
        m.cohort,
        m.month,
        sum(m.began) AS began,
        sum(m.customers) AS customers,
        sum(m.began_with) AS began_with,
        sum(m.amount) AS amount
    FROM (
        SELECT
            k.livemode,
            k.currency,
            k.cohort,
            k.month,
            k.began,
            k.customers,
            k.began_with,
            k.amount
        FROM billing_mrr_cohorts AS k
        UNION ALL
        SELECT
            u.livemode,
            u.currency,
            date_trunc('month', u.started_on)::date,
            date_trunc('month', u.day)::date,
            CASE WHEN u.kind = 'new' THEN u.times ELSE 0 END,
            CASE
                WHEN u.kind IN ('new', 'reactivation') THEN u.times
                WHEN u.kind = 'churn' THEN -u.times
                ELSE 0
            END,
            CASE WHEN u.kind = 'new' THEN u.times * u.change ELSE 0 END,
            u.times * u.change
        FROM billing_mrr_unfolded AS u
    ) AS m
    GROUP BY 1, 2, 3, 4
)
SELECT
    begun.livemode,
    begun.currency,
    begun.cohort,
    months.month,
    begun.began,
    sum(coalesce(moved.customers, 0)) OVER months_of AS customers,
    begun.began_with,
    sum(coalesce(moved.amount, 0)) OVER months_of AS amount
FROM (
    SELECT
        m.livemode,
        m.currency,
        m.cohort,
        sum(m.began)::bigint AS began,
        sum(m.began_with) AS began_with
    FROM moved AS m
    GROUP BY m.livemode, m.currency, m.cohort
    HAVING sum(m.began) > 0
) AS begun
CROSS JOIN LATERAL (
    SELECT each.at::date AS month
    FROM generate_series(
        begun.cohort::timestamp, date_trunc('month', now() AT TIME ZONE 'UTC'), interval '1 month'
    ) AS each (at)
) AS months
LEFT JOIN moved
    ON moved.livemode = begun.livemode
    AND moved.currency = begun.currency
    AND moved.cohort = begun.cohort
    AND moved.month = months.month
WINDOW months_of AS (PARTITION BY begun.livemode, begun.currency, begun.cohort ORDER BY months.month);
COMMENT ON VIEW billing_cohorts IS 'Retention: of those who began to pay in a month, how many pay what in each month since';
COMMENT ON COLUMN billing_cohorts.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_cohorts.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_cohorts.cohort IS 'The first day of the month in which they began to pay, UTC';
COMMENT ON COLUMN billing_cohorts.month IS 'The first day of a month since then: what is said is of its end';
COMMENT ON COLUMN billing_cohorts.began IS 'How many began';
COMMENT ON COLUMN billing_cohorts.customers IS 'How many of them pay at the end of the month';
COMMENT ON COLUMN billing_cohorts.began_with IS 'What they paid a month on the day they began, minor units, not rounded';
COMMENT ON COLUMN billing_cohorts.amount IS 'What they pay a month at the end of the month';
