-- Snapshots without those of some objects; null if none is left.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_without_objects_v1(snapshots jsonb, object_ids text[])
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT jsonb_agg(s.snapshot)
    FROM jsonb_array_elements(snapshots) AS s (snapshot)
    WHERE (s.snapshot ->> 'object_id' = ANY(object_ids)) IS NOT TRUE
$$;
COMMENT ON FUNCTION billing_without_objects_v1(jsonb, text[]) IS 'Snapshots without those of some objects; null if none is left';
