-- Reconcile: its runs, the stored rows of a page of objects, and what Stripe does not have.

-- Tables: billing_reconcile_runs, billing_reconcile_slices, billing_reconcile_marks, billing_reconcile_drift
--
-- CREATE TABLE billing_reconcile_runs (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     started_by text NOT NULL,
--     livemode boolean NOT NULL,
--     dry_run boolean NOT NULL,
--     since_days integer,
--     started_at timestamp with time zone DEFAULT now() NOT NULL,
--     finished_at timestamp with time zone,
--     outcome text,
--     holder uuid,
--     leased_until timestamp with time zone,
--     attempts integer DEFAULT 0 NOT NULL,
--     last_error text,
--     next_attempt_at timestamp with time zone,
--     objects bigint DEFAULT 0 NOT NULL,
--     events bigint DEFAULT 0 NOT NULL,
--     accounts bigint DEFAULT 0 NOT NULL,
--     drift bigint DEFAULT 0 NOT NULL,
--     repaired bigint DEFAULT 0 NOT NULL,
--     CONSTRAINT billing_reconcile_runs_check CHECK (((finished_at IS NULL) = (outcome IS NULL))),
--     CONSTRAINT billing_reconcile_runs_check1 CHECK (((holder IS NULL) = (leased_until IS NULL))),
--     CONSTRAINT billing_reconcile_runs_check2 CHECK ((repaired <= drift)),
--     CONSTRAINT billing_reconcile_runs_outcome_check CHECK ((outcome = ANY (ARRAY['clean'::text, 'repaired'::text, 'drift'::text, 'abandoned'::text]))),
--     CONSTRAINT billing_reconcile_runs_since_days_check CHECK ((since_days > 0)),
--     CONSTRAINT billing_reconcile_runs_started_by_check CHECK ((started_by = ANY (ARRAY['schedule'::text, 'api'::text, 'command'::text])))
-- );
-- ALTER TABLE ONLY billing_reconcile_runs ADD CONSTRAINT billing_reconcile_runs_pkey PRIMARY KEY (id);
-- CREATE INDEX billing_reconcile_runs_started_idx ON billing_reconcile_runs USING btree (started_at);
-- CREATE UNIQUE INDEX billing_reconcile_runs_unfinished_key ON billing_reconcile_runs USING btree ((true)) WHERE (finished_at IS NULL);
--
-- CREATE TABLE billing_reconcile_slices (
--     run_id uuid NOT NULL,
--     step text NOT NULL,
--     subject text NOT NULL,
--     part smallint NOT NULL,
--     created_from bigint,
--     created_before bigint,
--     cursor_id text,
--     cursor_created bigint,
--     marked bigint DEFAULT 0 NOT NULL,
--     done boolean DEFAULT false NOT NULL,
--     CONSTRAINT billing_reconcile_slices_step_check CHECK ((step = ANY (ARRAY['replay'::text, 'compare'::text, 'absent'::text, 'inspect'::text, 'usage'::text])))
-- );
-- ALTER TABLE ONLY billing_reconcile_slices ADD CONSTRAINT billing_reconcile_slices_pkey PRIMARY KEY (run_id, step, subject, part);
-- ALTER TABLE ONLY billing_reconcile_slices ADD CONSTRAINT billing_reconcile_slices_run_id_fkey FOREIGN KEY (run_id) REFERENCES billing_reconcile_runs(id) ON DELETE CASCADE;
--
-- CREATE UNLOGGED TABLE billing_reconcile_marks (
--     object_id text NOT NULL
-- );
-- ALTER TABLE ONLY billing_reconcile_marks ADD CONSTRAINT billing_reconcile_marks_pkey PRIMARY KEY (object_id);
--
-- CREATE TABLE billing_reconcile_drift (
--     run_id uuid NOT NULL,
--     object_type text NOT NULL,
--     object_id text NOT NULL,
--     field text NOT NULL,
--     ours text,
--     found text,
--     repaired boolean NOT NULL,
--     found_at timestamp with time zone DEFAULT now() NOT NULL
-- );
-- ALTER TABLE ONLY billing_reconcile_drift ADD CONSTRAINT billing_reconcile_drift_pkey PRIMARY KEY (run_id, object_id, field);
-- ALTER TABLE ONLY billing_reconcile_drift ADD CONSTRAINT billing_reconcile_drift_run_id_fkey FOREIGN KEY (run_id) REFERENCES billing_reconcile_runs(id) ON DELETE CASCADE;
-- CREATE INDEX billing_reconcile_drift_left_idx ON billing_reconcile_drift USING btree (run_id) WHERE (NOT repaired);

-- name: get_unfinished_run()^
SELECT
    r.id,
    r.started_by,
    r.livemode,
    r.dry_run,
    r.since_days,
    r.started_at,
    r.attempts,
    coalesce(r.leased_until > now(), FALSE) AS held
FROM billing_reconcile_runs AS r
WHERE r.finished_at IS NULL
FOR UPDATE;

-- name: abandon_run(run_id)!
UPDATE billing_reconcile_runs
SET finished_at = now(),
    outcome = 'abandoned',
    holder = NULL,
    leased_until = NULL,
    next_attempt_at = NULL
WHERE id = :run_id::uuid;

-- name: insert_run(started_by, livemode, dry_run, since_days)^
-- The sweep triggers it until a worker starts it.
INSERT INTO billing_reconcile_runs (started_by, livemode, dry_run, since_days, next_attempt_at)
VALUES (
    :started_by,
    :livemode,
    :dry_run,
    :since_days::integer,
    CASE WHEN :started_by <> 'command' THEN now() + interval '1 minute' END
)
RETURNING id, started_at, attempts;

-- name: clear_marks()!
DELETE FROM billing_reconcile_marks;

-- name: delete_old_runs()!
-- Keeps ninety days of history.
DELETE FROM billing_reconcile_runs
WHERE started_at < now() - interval '90 days'
  AND finished_at IS NOT NULL;

-- name: get_horizon()$
-- The Unix time after which most objects were created; only used to split the work evenly.
SELECT extract(epoch FROM min(s.created_at AT TIME ZONE 'UTC'))::bigint
FROM subscriptions AS s
WHERE s.billing_provider = 'stripe';

-- name: estimate_rows(tables)
-- From the planner's statistics: good enough for a progress bar and for splitting the work.
SELECT
    c.relname::text AS table_name,
    c.reltuples::bigint AS number
FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace
  AND c.relkind = 'r'
  AND c.reltuples > 0
  AND c.relname = ANY(:tables::text[]);

-- name: insert_slices(run_id, slices)!
INSERT INTO billing_reconcile_slices (run_id, step, subject, part, created_from, created_before)
SELECT
    :run_id::uuid,
    s.step,
    s.subject,
    s.part,
    s.created_from,
    s.created_before
FROM jsonb_to_recordset(:slices::jsonb) AS s (
    step text,
    subject text,
    part smallint,
    created_from bigint,
    created_before bigint
);

-- name: restart_slices(run_id)!
-- Starts over, because the marks are lost.
UPDATE billing_reconcile_slices
SET cursor_id = NULL,
    cursor_created = NULL,
    marked = 0,
    done = FALSE
WHERE run_id = :run_id::uuid
  AND step IN ('compare', 'absent');

-- name: count_lost_marks(run_id)$
SELECT (
    SELECT coalesce(sum(s.marked), 0)
    FROM billing_reconcile_slices AS s
    WHERE s.run_id = :run_id::uuid
) - (
    SELECT count(*)
    FROM billing_reconcile_marks
);

-- name: take_run(run_id, livemode, holder, lease_seconds)^
-- If it returns a row, no other process works on the run until the lease expires. To Stripe's key of the other mode
-- everything would seem to be deleted.
UPDATE billing_reconcile_runs
SET holder = :holder::uuid,
    leased_until = now() + make_interval(secs => :lease_seconds::double precision),
    attempts = attempts + 1,
    next_attempt_at = CASE
        WHEN started_by <> 'command'
        THEN now() + make_interval(secs => :lease_seconds::double precision)
    END
WHERE id = :run_id::uuid
  AND livemode = :livemode::boolean
  AND finished_at IS NULL
  AND (leased_until IS NULL OR leased_until < now())
RETURNING id, started_by, livemode, dry_run, since_days, started_at, attempts;

-- name: renew_lease(run_id, holder, lease_seconds)$
UPDATE billing_reconcile_runs
SET leased_until = now() + make_interval(secs => :lease_seconds::double precision)
WHERE id = :run_id::uuid
  AND holder = :holder::uuid
  AND finished_at IS NULL
RETURNING TRUE;

-- name: release_run(run_id, holder, error, retry_in_seconds)!
UPDATE billing_reconcile_runs
SET holder = NULL,
    leased_until = NULL,
    last_error = :error,
    next_attempt_at = CASE
        WHEN started_by <> 'command'
        THEN now() + make_interval(secs => :retry_in_seconds::double precision)
    END
WHERE id = :run_id::uuid
  AND holder = :holder::uuid
  AND finished_at IS NULL;

-- name: list_slices(run_id, step)
SELECT
    s.step,
    s.subject,
    s.part,
    s.created_from,
    s.created_before,
    s.cursor_id,
    s.cursor_created
FROM billing_reconcile_slices AS s
WHERE s.run_id = :run_id::uuid
  AND s.step = :step
  AND NOT s.done
ORDER BY s.part DESC, s.subject;

-- name: save_progress(run_id, holder, lease_seconds, slice, counts, known)$
-- Also records which of our rows Stripe has too. Returns nothing, and saves nothing, if another
-- process has taken the run over.
WITH held AS (
    UPDATE billing_reconcile_runs AS r
    SET leased_until = now() + make_interval(secs => :lease_seconds::double precision),
        next_attempt_at = CASE
            WHEN r.started_by <> 'command'
            THEN now() + make_interval(secs => :lease_seconds::double precision)
        END,
        objects = r.objects + c.objects,
        events = r.events + c.events,
        accounts = r.accounts + c.accounts,
        drift = r.drift + c.drift,
        repaired = r.repaired + c.repaired
    FROM jsonb_to_record(:counts::jsonb) AS c (
        objects bigint,
        events bigint,
        accounts bigint,
        drift bigint,
        repaired bigint
    )
    WHERE r.id = :run_id::uuid
      AND r.holder = :holder::uuid
      AND r.finished_at IS NULL
    RETURNING r.id
),
marked AS (
    INSERT INTO billing_reconcile_marks (object_id)
    SELECT k.object_id
    FROM held
    CROSS JOIN unnest(:known::text[]) AS k (object_id)
    ON CONFLICT (object_id) DO NOTHING
    RETURNING object_id
)
UPDATE billing_reconcile_slices AS s
SET cursor_id = coalesce(p.cursor_id, s.cursor_id),
    cursor_created = coalesce(p.cursor_created, s.cursor_created),
    marked = s.marked + (SELECT count(*) FROM marked),
    done = p.done
FROM held,
    jsonb_to_record(:slice::jsonb) AS p (
        step text,
        subject text,
        part smallint,
        cursor_id text,
        cursor_created bigint,
        done boolean
    )
WHERE s.run_id = held.id
  AND s.step = p.step
  AND s.subject = p.subject
  AND s.part = p.part
RETURNING TRUE;

-- name: insert_drift(run_id, drift)!
INSERT INTO billing_reconcile_drift AS known (
    run_id,
    object_type,
    object_id,
    field,
    ours,
    found,
    repaired
)
SELECT
    :run_id::uuid,
    d.object_type,
    d.object_id,
    d.field,
    d.ours,
    d.found,
    d.repaired
FROM jsonb_to_recordset(:drift::jsonb) AS d (
    object_type text,
    object_id text,
    field text,
    ours text,
    found text,
    repaired boolean
)
ON CONFLICT (run_id, object_id, field) DO UPDATE
SET repaired = excluded.repaired;

-- name: delete_drift(run_id, object_ids, fields)!
DELETE FROM billing_reconcile_drift AS d
USING unnest(:object_ids::text[], :fields::text[]) AS wrong (object_id, field)
WHERE d.run_id = :run_id::uuid
  AND d.object_id = wrong.object_id
  AND d.field = wrong.field;

-- name: finish_run(run_id, holder)^
-- Drift is counted again: a page that was done twice after a stop counts once.
WITH found AS (
    SELECT
        count(*) AS drift,
        count(*) FILTER (WHERE each.repaired) AS repaired
    FROM (
        SELECT bool_and(d.repaired) AS repaired
        FROM billing_reconcile_drift AS d
        WHERE d.run_id = :run_id::uuid
        GROUP BY d.object_id
    ) AS each
)
UPDATE billing_reconcile_runs AS r
SET finished_at = now(),
    outcome = CASE
        WHEN found.drift = 0 THEN 'clean'
        WHEN found.drift = found.repaired THEN 'repaired'
        ELSE 'drift'
    END,
    drift = found.drift,
    repaired = found.repaired,
    holder = NULL,
    leased_until = NULL,
    next_attempt_at = NULL,
    last_error = NULL
FROM found
WHERE r.id = :run_id::uuid
  AND r.holder = :holder::uuid
RETURNING r.id;

-- name: get_run(run_id)^
SELECT
    r.id,
    r.started_by,
    r.livemode,
    r.dry_run,
    r.since_days,
    r.started_at,
    r.finished_at,
    r.outcome,
    coalesce(r.leased_until > now(), FALSE) AS running,
    r.last_error,
    r.objects,
    r.events,
    r.accounts,
    r.drift,
    r.repaired
FROM billing_reconcile_runs AS r
WHERE r.id = :run_id::uuid;

-- name: list_runs(most)
-- The latest first.
SELECT
    r.id,
    r.started_by,
    r.livemode,
    r.dry_run,
    r.since_days,
    r.started_at,
    r.finished_at,
    r.outcome,
    coalesce(r.leased_until > now(), FALSE) AS running,
    r.last_error,
    r.objects,
    r.events,
    r.accounts,
    r.drift,
    r.repaired
FROM billing_reconcile_runs AS r
ORDER BY r.started_at DESC
LIMIT :most;

-- name: list_drift(run_id, after_object, after_field, most)
-- In pages.
SELECT
    d.object_type,
    d.object_id,
    d.field,
    d.ours,
    d.found,
    d.repaired
FROM billing_reconcile_drift AS d
WHERE d.run_id = :run_id::uuid
  AND (d.object_id, d.field) > (:after_object::text, :after_field::text)
ORDER BY d.object_id, d.field
LIMIT :most;

-- name: list_stopped_runs()
-- The runs that a worker should take: requested and not started, or stopped.
SELECT
    r.id,
    r.attempts
FROM billing_reconcile_runs AS r
WHERE r.finished_at IS NULL
  AND r.next_attempt_at <= now()
  AND coalesce(r.leased_until < now(), TRUE);

-- name: list_missing_events(event_ids)
SELECT i.event_id
FROM unnest(:event_ids::text[]) AS i (event_id)
WHERE NOT EXISTS (
    SELECT 1
    FROM stripe_events AS e
    WHERE e.id = i.event_id
);
