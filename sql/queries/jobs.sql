-- Triggers of jobs, which are PgQueuer's.

-- name: enqueue_triggers(entrypoints, ids, versions, delays, headers)!
SELECT billing_enqueue_v1(
    :entrypoints::text[], :ids::text[], :versions::bigint[], :delays::double precision[], :headers::jsonb
);
