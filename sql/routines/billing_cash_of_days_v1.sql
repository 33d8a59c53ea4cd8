-- What came and went on each day from one to before another (UTC), by index: the lines of billing_cash_lines, and the payments
-- that first failed then. The days are read at once: without an index's summary of the latest rows, each would read them again.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_cash_of_days_v1(begins_on date, ends_on date)
RETURNS TABLE (day date, livemode boolean, currency text, kind text, number bigint, amount bigint)
LANGUAGE sql
STABLE
SET enable_seqscan = off
SET jit = off
AS $$
    SELECT
        (line.at AT TIME ZONE 'UTC')::date,
        line.livemode,
        line.currency,
        line.kind,
        count(*),
        sum(line.amount)::bigint
    FROM billing_cash_lines AS line
    WHERE line.at >= begins_on::timestamp AT TIME ZONE 'UTC'
      AND line.at < ends_on::timestamp AT TIME ZONE 'UTC'
    GROUP BY (line.at AT TIME ZONE 'UTC')::date, line.livemode, line.currency, line.kind
    UNION ALL
    SELECT
        f.day,
        f.livemode,
        f.currency,
        k.kind,
        count(*),
        sum(f.amount)::bigint
    FROM (
        SELECT DISTINCT ON (c.stripe_payment_intent_id)
            (c.stripe_created AT TIME ZONE 'UTC')::date AS day,
            c.livemode,
            c.currency,
            c.amount,
            EXISTS (
                SELECT 1
                FROM stripe_charges AS later
                WHERE later.stripe_payment_intent_id = c.stripe_payment_intent_id
                  AND later.status = 'succeeded'
            ) AS recovered
        FROM stripe_charges AS c
        WHERE c.status = 'failed'
          AND c.stripe_created >= begins_on::timestamp AT TIME ZONE 'UTC'
          AND c.stripe_created < ends_on::timestamp AT TIME ZONE 'UTC'
          AND NOT EXISTS (
              SELECT 1
              FROM stripe_charges AS earlier
              WHERE earlier.stripe_payment_intent_id = c.stripe_payment_intent_id
                AND earlier.status = 'failed'
                AND earlier.stripe_created < begins_on::timestamp AT TIME ZONE 'UTC'
          )
        ORDER BY c.stripe_payment_intent_id, c.stripe_created
    ) AS f
    CROSS JOIN LATERAL (
        SELECT 'failed'
        UNION ALL
        SELECT 'recovered'
        WHERE f.recovered
    ) AS k (kind)
    GROUP BY f.day, f.livemode, f.currency, k.kind
$$;
COMMENT ON FUNCTION billing_cash_of_days_v1(date, date) IS 'What came and went by day, from the rows, and the payments that first failed on it';
