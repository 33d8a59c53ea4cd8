-- What came and went on each day from one to before another (UTC): of days that are kept what is kept, of the latest and
-- of those of which something was noted what their rows say now.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_cash_by_day_v1(begins_on date, ends_on date)
RETURNS TABLE (day date, livemode boolean, currency text, kind text, number bigint, amount bigint)
LANGUAGE sql
STABLE
SET enable_seqscan = off
SET jit = off
AS $$
    WITH asked AS MATERIALIZED (
        SELECT
            each.at::date AS day,
            EXISTS (
                SELECT 1
                FROM billing_cash_folds AS f
                WHERE f.day = each.at::date
            ) AND NOT EXISTS (
                SELECT 1
                FROM billing_cash_changes AS c
                WHERE c.day = each.at::date
            ) AS is_kept
        FROM generate_series(begins_on::timestamp, ends_on::timestamp - interval '1 day', interval '1 day') AS each (at)
    ),
    -- days one after the other, with what tells them from those after a gap
    runs AS (
        SELECT
            min(changing.day) AS begins_on,
            max(changing.day) + 1 AS ends_on
        FROM (
            SELECT
                asked.day,
                asked.day - (row_number() OVER (ORDER BY asked.day))::integer AS run
            FROM asked
            WHERE NOT asked.is_kept
        ) AS changing
        GROUP BY changing.run
    )
    SELECT
        asked.day,
        k.livemode,
        k.currency,
        k.kind,
        k.number,
        k.amount
    FROM asked
    JOIN billing_cash_days AS k
        ON k.day = asked.day
    WHERE asked.is_kept
    UNION ALL
    SELECT
        of_day.day,
        of_day.livemode,
        of_day.currency,
        of_day.kind,
        of_day.number,
        of_day.amount
    FROM runs
    CROSS JOIN LATERAL billing_cash_of_days_v1(runs.begins_on, runs.ends_on) AS of_day
$$;
COMMENT ON FUNCTION billing_cash_by_day_v1(date, date) IS 'What came and went by day, mostly from what is kept';
