-- The nearest amount that Stripe charges in a currency, in minor units: as `round_to_step` in money.py.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_chargeable_v1(of_amount numeric, in_currency text)
RETURNS numeric
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT CASE
        WHEN lower(in_currency) IN ('bhd', 'jod', 'kwd', 'omr', 'tnd') THEN round(of_amount / 10) * 10
        WHEN lower(in_currency) IN ('isk', 'ugx') THEN round(of_amount / 100) * 100
        ELSE round(of_amount)
    END
$$;
COMMENT ON FUNCTION billing_chargeable_v1(numeric, text) IS 'The nearest amount that Stripe charges in a currency, in minor units';
