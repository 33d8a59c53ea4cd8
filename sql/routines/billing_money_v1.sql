-- An amount as people read it: as `format_money` in money.py. For texts in views; what programs read is a number of minor
-- units, with its currency. It has no FROM, so that PostgreSQL puts it into the query that calls it.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_money_v1(minor bigint, in_currency text)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT
        CASE WHEN minor < 0 THEN '-' ELSE '' END
        || CASE lower(in_currency)
            WHEN 'usd' THEN '$'
            WHEN 'eur' THEN '€'
            WHEN 'gbp' THEN '£'
            WHEN 'jpy' THEN '¥'
            WHEN 'cad' THEN 'CA$'
            WHEN 'aud' THEN 'A$'
            ELSE ''
        END
        || CASE
            WHEN lower(in_currency) IN (
                'bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv', 'xaf', 'xof', 'xpf'
            ) THEN to_char(abs(minor), 'FM999,999,999,999,999,990')
            WHEN lower(in_currency) IN ('bhd', 'jod', 'kwd', 'omr', 'tnd')
                THEN to_char(abs(minor)::numeric / 1000, 'FM999,999,999,999,999,990.000')
            ELSE to_char(abs(minor)::numeric / 100, 'FM999,999,999,999,999,990.00')
        END
        || CASE
            WHEN lower(in_currency) IN ('usd', 'eur', 'gbp', 'jpy', 'cad', 'aud') THEN ''
            ELSE ' ' || upper(in_currency)
        END
$$;
COMMENT ON FUNCTION billing_money_v1(bigint, text) IS 'An amount in minor units as people read it, in the form of its currency';
