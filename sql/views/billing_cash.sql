-- What was collected, refunded and disputed in a month (UTC), and the taxes of its documents (billing_tax). Of days that are kept
-- it is what is kept (billing_cash_by_day_v1), of those before and after them what their rows say.
CREATE OR REPLACE VIEW billing_cash AS
WITH kept AS MATERIALIZED (
    -- without any, all days are after them
    SELECT
        coalesce(min(f.day), '-infinity') AS begins_on,
        coalesce(max(f.day) + 1, '-infinity') AS ends_on
    FROM billing_cash_folds AS f
)
SELECT
    d.livemode,
    date_trunc('month', d.day)::date AS month,
    d.currency,
    coalesce(sum(d.amount) FILTER (WHERE d.kind = 'collected'), 0)::bigint AS collected,
    coalesce(sum(d.amount) FILTER (WHERE d.kind = 'refunded'), 0)::bigint AS refunded,
    coalesce(sum(d.amount) FILTER (WHERE d.kind = 'disputed'), 0)::bigint AS disputed,
    coalesce(sum(d.amount) FILTER (WHERE d.kind = 'tax'), 0)::bigint AS tax
FROM (
    SELECT
        line.livemode,
        (line.at AT TIME ZONE 'UTC')::date AS day,
        line.currency,
        line.kind,
        line.amount
    FROM billing_cash_lines AS line
    WHERE line.at < (SELECT kept.begins_on::timestamp AT TIME ZONE 'UTC' FROM kept)
    UNION ALL
    SELECT
        line.livemode,
        (line.at AT TIME ZONE 'UTC')::date,
        line.currency,
        line.kind,
        line.amount
    FROM billing_cash_lines AS line
    WHERE line.at >= (SELECT kept.ends_on::timestamp AT TIME ZONE 'UTC' FROM kept)
    UNION ALL
    SELECT
        of_day.livemode,
        of_day.day,
        of_day.currency,
        of_day.kind,
        of_day.amount
    FROM kept
    CROSS JOIN LATERAL billing_cash_by_day_v1(kept.begins_on, kept.ends_on) AS of_day
    WHERE isfinite(kept.begins_on)
      AND of_day.kind IN ('collected', 'refunded', 'disputed', 'tax')
) AS d
GROUP BY d.livemode, date_trunc('month', d.day)::date, d.currency;
COMMENT ON VIEW billing_cash IS 'What was collected, refunded and disputed by month and currency, in minor units, and the taxes of its documents';
COMMENT ON COLUMN billing_cash.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_cash.month IS 'The first day of the month, in UTC';
COMMENT ON COLUMN billing_cash.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_cash.collected IS 'What payments brought, before Stripe''s fees';
COMMENT ON COLUMN billing_cash.refunded IS 'What was refunded in the month, of payments of any month';
COMMENT ON COLUMN billing_cash.disputed IS 'What banks took back by disputes of the month that are open or lost';
COMMENT ON COLUMN billing_cash.tax IS 'The taxes of invoices of the month, less those of credit notes and refunds';
