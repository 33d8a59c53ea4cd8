-- mPanel's status of an invoice: refunded once all of it is given back.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_refunded_status_v1(status text, invoiced bigint, given_back numeric)
RETURNS text
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT CASE
        WHEN status NOT IN ('paid', 'refunded') THEN status
        WHEN invoiced > 0 AND given_back >= invoiced THEN 'refunded'
        ELSE 'paid'
    END
$$;
COMMENT ON FUNCTION billing_refunded_status_v1(text, bigint, numeric) IS 'mPanel''s status of an invoice, of which so many minor units were given back';
