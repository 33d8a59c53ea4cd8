-- Pruning by age, in batches of 1,000. The number is part of each query, not a parameter: the
-- planner has to know it to walk an index by age instead of collecting all old rows. A batch takes
-- its rows by ctid, which is stable while they are locked, and skips locked rows.

-- Tables: billing_retention
--
-- CREATE TABLE billing_retention (
--     subject text NOT NULL,
--     pruned_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
--     pruned_rows bigint DEFAULT 0 NOT NULL,
--     pruned_at timestamp with time zone,
--     CONSTRAINT billing_retention_subject_check CHECK ((subject = ANY (ARRAY['event_payloads'::text, 'events'::text, 'provisioning_log'::text, 'idempotency_keys'::text, 'job_log'::text])))
-- );
-- ALTER TABLE ONLY billing_retention ADD CONSTRAINT billing_retention_pkey PRIMARY KEY (subject);

-- name: prune_event_payloads(keep_days)^
-- Only the process that locks the row of billing_retention prunes; others find nothing to do. No
-- index lists the remaining payloads (every event would write it, and the update could not stay on
-- its page), so the progress is stored.
WITH turn AS MATERIALIZED (
    SELECT r.pruned_until
    FROM billing_retention AS r
    WHERE r.subject = 'event_payloads'
    FOR UPDATE SKIP LOCKED
),
pruned AS (
    UPDATE stripe_events
    SET payload = NULL
    WHERE ctid = ANY(ARRAY(
        SELECT e.ctid
        FROM stripe_events AS e
        WHERE e.received_at >= (SELECT turn.pruned_until FROM turn)
          AND e.received_at < now() - make_interval(days => :keep_days::integer)
          AND e.status IN ('applied', 'stale', 'ignored')
          AND e.payload IS NOT NULL
        ORDER BY e.received_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING received_at
),
reached AS (
    SELECT
        count(*) AS rows,
        max(pruned.received_at) AS until
    FROM pruned
),
noted AS (
    UPDATE billing_retention AS r
    SET pruned_until = reached.until
    FROM reached
    WHERE r.subject = 'event_payloads'
      AND reached.rows > 0
)
SELECT
    reached.rows,
    reached.until
FROM reached;

-- name: prune_events(keep_days, since)^
-- Whole rows. An event that is not done stays, however old it is.
WITH pruned AS (
    DELETE FROM stripe_events
    WHERE ctid = ANY(ARRAY(
        SELECT e.ctid
        FROM stripe_events AS e
        WHERE e.received_at >= :since::timestamptz
          AND e.received_at < now() - make_interval(days => :keep_days::integer)
          AND e.status IN ('applied', 'stale', 'ignored')
        ORDER BY e.received_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING received_at
)
SELECT
    count(*) AS rows,
    max(pruned.received_at) AS until
FROM pruned;

-- name: prune_provisioning_log(keep_days, since)^
WITH pruned AS (
    DELETE FROM provisioning_log
    WHERE ctid = ANY(ARRAY(
        SELECT l.ctid
        FROM provisioning_log AS l
        WHERE l.created_at >= :since::timestamptz
          AND l.created_at < now() - make_interval(days => :keep_days::integer)
        ORDER BY l.created_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING created_at
)
SELECT
    count(*) AS rows,
    max(pruned.created_at) AS until
FROM pruned;

-- name: prune_idempotency_keys(keep_days, since)^
WITH pruned AS (
    DELETE FROM idempotency_keys
    WHERE ctid = ANY(ARRAY(
        SELECT k.ctid
        FROM idempotency_keys AS k
        WHERE k.created_at >= :since::timestamptz
          AND k.created_at < now() - make_interval(days => :keep_days::integer)
        ORDER BY k.created_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING created_at
)
SELECT
    count(*) AS rows,
    max(pruned.created_at) AS until
FROM pruned;

-- name: prune_job_log(keep_days, since)^
WITH pruned AS (
    DELETE FROM pgqueuer_log
    WHERE ctid = ANY(ARRAY(
        SELECT l.ctid
        FROM pgqueuer_log AS l
        WHERE l.created >= :since::timestamptz
          AND l.created < now() - make_interval(days => :keep_days::integer)
        ORDER BY l.created
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING created
)
SELECT
    count(*) AS rows,
    max(pruned.created) AS until
FROM pruned;

-- name: note_pruning(subject, rows)!
UPDATE billing_retention
SET pruned_rows = pruned_rows + :rows::bigint,
    pruned_at = CASE WHEN :rows::bigint = 0 THEN now() ELSE pruned_at END
WHERE subject = :subject;

-- name: count_prunable(event_payloads, events, provisioning_log, idempotency_keys, job_log)^
-- Rows older than that many days, each kind counted up to 100,001: counting all can take minutes.
SELECT
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM stripe_events AS e
            WHERE e.received_at >= (
                SELECT r.pruned_until
                FROM billing_retention AS r
                WHERE r.subject = 'event_payloads'
            )
              AND e.received_at < now() - make_interval(days => :event_payloads::integer)
              AND e.status IN ('applied', 'stale', 'ignored')
              AND e.payload IS NOT NULL
            LIMIT 100001
        ) AS old
    ) AS event_payloads,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM stripe_events AS e
            WHERE e.received_at < now() - make_interval(days => :events::integer)
              AND e.status IN ('applied', 'stale', 'ignored')
            LIMIT 100001
        ) AS old
    ) AS events,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM provisioning_log AS l
            WHERE l.created_at < now() - make_interval(days => :provisioning_log::integer)
            LIMIT 100001
        ) AS old
    ) AS provisioning_log,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM idempotency_keys AS k
            WHERE k.created_at < now() - make_interval(days => :idempotency_keys::integer)
            LIMIT 100001
        ) AS old
    ) AS idempotency_keys,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM pgqueuer_log AS l
            WHERE l.created < now() - make_interval(days => :job_log::integer)
            LIMIT 100001
        ) AS old
    ) AS job_log;

-- name: list_prunings()
SELECT
    r.subject,
    r.pruned_until,
    r.pruned_rows,
    r.pruned_at
FROM billing_retention AS r
ORDER BY r.subject;
