-- Since when a subscription was charged that is seen to be charged at a time. PostgreSQL inlines it.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_charged_since_v1(started_at timestamptz, trial_end timestamptz, seen_at timestamptz)
RETURNS timestamptz
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT greatest(started_at, CASE WHEN trial_end <= seen_at THEN trial_end END)
$$;
COMMENT ON FUNCTION billing_charged_since_v1(timestamptz, timestamptz, timestamptz) IS 'Since when a subscription was charged that is seen to be charged at a time';
