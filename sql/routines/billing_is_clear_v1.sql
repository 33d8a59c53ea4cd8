-- Whether a snapshot may be applied to what is stored of its object: nothing, or what is older by a whole
-- second. What was decided against a stored version (`seen`) may be if that is still the one. What lives by a
-- test clock is `undated`: dates alone decide nothing.
-- It has no subquery, so that PostgreSQL inlines it.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_is_clear_v1(snapshot jsonb, as_of timestamptz, version text)
RETURNS boolean
LANGUAGE sql
STABLE
AS $$
    SELECT CASE
        WHEN snapshot ? 'seen'
            THEN snapshot ->> 'seen' IS NOT DISTINCT FROM CASE WHEN as_of IS NOT NULL THEN version END
        WHEN snapshot ? 'undated' THEN FALSE
        ELSE (as_of < (snapshot ->> 'since')::timestamptz) IS NOT FALSE
    END
$$;
COMMENT ON FUNCTION billing_is_clear_v1(jsonb, timestamptz, text) IS 'Whether a snapshot may be applied to the stored version: an older one, or the one against which that was decided';
