-- What came and went on a day (UTC), by index: the lines of billing_cash_lines, and the payments that first failed then.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_cash_of_day_v1(of_day date)
RETURNS TABLE (livemode boolean, currency text, kind text, number bigint, amount bigint)
LANGUAGE sql
STABLE
SET enable_seqscan = off
SET jit = off
AS $$
    SELECT
        line.livemode,
        line.currency,
        line.kind,
        count(*),
        sum(line.amount)::bigint
    FROM billing_cash_lines AS line
    WHERE line.at >= of_day::timestamp AT TIME ZONE 'UTC'
      AND line.at < (of_day + 1)::timestamp AT TIME ZONE 'UTC'
    GROUP BY line.livemode, line.currency, line.kind
    UNION ALL
    SELECT
        f.livemode,
        f.currency,
        k.kind,
        count(*),
        sum(f.amount)::bigint
    FROM (
        SELECT DISTINCT ON (c.stripe_payment_intent_id)
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
          AND c.stripe_created >= of_day::timestamp AT TIME ZONE 'UTC'
          AND c.stripe_created < (of_day + 1)::timestamp AT TIME ZONE 'UTC'
          AND NOT EXISTS (
              SELECT 1
              FROM stripe_charges AS earlier
              WHERE earlier.stripe_payment_intent_id = c.stripe_payment_intent_id
                AND earlier.status = 'failed'
                AND earlier.stripe_created < of_day::timestamp AT TIME ZONE 'UTC'
          )
        ORDER BY c.stripe_payment_intent_id, c.stripe_created
    ) AS f
    CROSS JOIN LATERAL (
        SELECT 'failed'
        UNION ALL
        SELECT 'recovered'
        WHERE f.recovered
    ) AS k (kind)
    GROUP BY f.livemode, f.currency, k.kind
$$;
COMMENT ON FUNCTION billing_cash_of_day_v1(date) IS 'What came and went on a day, and the payments that first failed on it';
