-- The first renewal at a time or later, of a term of some months. A term that began on the 31st may have ended
-- on the 30th: renewals fall on the later day of the two.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_renewal_after_v1(
    term_start timestamptz, term_end timestamptz, months integer, not_before timestamptz
)
RETURNS timestamptz
LANGUAGE sql
STABLE
AS $$
    SELECT CASE
        WHEN term_end >= not_before THEN term_end
        ELSE (
            SELECT min(renewal.at)
            FROM (
                SELECT CASE
                    WHEN extract(day FROM term_start) > extract(day FROM term_end) THEN term_start
                    ELSE term_end
                END AS at
            ) AS anchor
            CROSS JOIN generate_series(
                0,
                2 + ceil(extract(epoch FROM not_before - term_end) / 86400 / 28 / months)::integer
            ) AS terms
            CROSS JOIN LATERAL (SELECT anchor.at + make_interval(months => months * terms) AS at) AS renewal
            WHERE renewal.at >= not_before
        )
    END
$$;
COMMENT ON FUNCTION billing_renewal_after_v1(timestamptz, timestamptz, integer, timestamptz) IS 'The first renewal of a term of some months that is not before a time';
