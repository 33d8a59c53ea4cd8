-- What came and went on a day (UTC), from the rows.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_cash_of_day_v1(of_day date)
RETURNS TABLE (livemode boolean, currency text, kind text, number bigint, amount bigint)
LANGUAGE sql
STABLE
AS $$
    SELECT
        d.livemode,
        d.currency,
        d.kind,
        d.number,
        d.amount
    FROM billing_cash_of_days_v1(of_day, of_day + 1) AS d
$$;
COMMENT ON FUNCTION billing_cash_of_day_v1(date) IS 'What came and went on a day, and the payments that first failed on it';
