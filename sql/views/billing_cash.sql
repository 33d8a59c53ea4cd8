-- What was collected, refunded and disputed in a month (UTC), and the taxes of its documents (billing_tax).
CREATE OR REPLACE VIEW billing_cash AS
SELECT
    line.livemode,
    date_trunc('month', line.at AT TIME ZONE 'UTC')::date AS month,
    line.currency,
    coalesce(sum(line.amount) FILTER (WHERE line.kind = 'collected'), 0)::bigint AS collected,
    coalesce(sum(line.amount) FILTER (WHERE line.kind = 'refunded'), 0)::bigint AS refunded,
    coalesce(sum(line.amount) FILTER (WHERE line.kind = 'disputed'), 0)::bigint AS disputed,
    coalesce(sum(line.amount) FILTER (WHERE line.kind = 'tax'), 0)::bigint AS tax
FROM billing_cash_lines AS line
GROUP BY line.livemode, date_trunc('month', line.at AT TIME ZONE 'UTC')::date, line.currency;
COMMENT ON VIEW billing_cash IS 'What was collected, refunded and disputed by month and currency, in minor units, and the taxes of its documents';
COMMENT ON COLUMN billing_cash.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_cash.month IS 'The first day of the month, in UTC';
COMMENT ON COLUMN billing_cash.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_cash.collected IS 'What payments brought, before Stripe''s fees';
COMMENT ON COLUMN billing_cash.refunded IS 'What was refunded in the month, of payments of any month';
COMMENT ON COLUMN billing_cash.disputed IS 'What banks took back by disputes of the month that are open or lost';
COMMENT ON COLUMN billing_cash.tax IS 'The taxes of invoices of the month, less those of credit notes and refunds';
