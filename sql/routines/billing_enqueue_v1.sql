-- Triggers jobs as PgQueuer's own enqueue does that skips a job which is waiting or running already,
-- for callers in the database. A test compares the rows of both. Its trigger notifies the workers.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_enqueue_v1(
    entrypoints text[], ids text[], versions bigint[], delays double precision[], headers jsonb
)
RETURNS void
LANGUAGE plpgsql
SET enable_hashjoin = off
SET enable_material = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    WITH queued AS (
        INSERT INTO pgqueuer (priority, entrypoint, payload, execute_after, dedupe_key, headers, status)
        SELECT
            0,
            wanted.entrypoint,
            convert_to(wanted.id, 'UTF8'),
            now() + make_interval(secs => wanted.delay),
            wanted.entrypoint || ':' || wanted.id || ':' || wanted.version,
            billing_enqueue_v1.headers,
            'queued'
        FROM unnest(
            billing_enqueue_v1.entrypoints,
            billing_enqueue_v1.ids,
            billing_enqueue_v1.versions,
            billing_enqueue_v1.delays
        ) AS wanted (entrypoint, id, version, delay)
        ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
        DO NOTHING
        RETURNING id, entrypoint, priority
    )
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
    SELECT
        q.id,
        'queued',
        q.entrypoint,
        q.priority
    FROM queued AS q;
END
$$;
COMMENT ON FUNCTION billing_enqueue_v1(text[], text[], bigint[], double precision[], jsonb) IS 'Triggers jobs as PgQueuer does; one that waits or runs already for the same version is skipped';
