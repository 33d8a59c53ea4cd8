-- The audit log: rows are only added.

-- Tables: billing_audit_entries, billing_audit_unsettled
--
-- CREATE TABLE billing_audit_entries (
--     id bigint NOT NULL,
--     attempt_id bigint,
--     entry_id bigint GENERATED ALWAYS AS (COALESCE(attempt_id, id)) STORED NOT NULL,
--     began_at timestamp with time zone DEFAULT now() NOT NULL,
--     at timestamp with time zone DEFAULT now() NOT NULL,
--     actor text NOT NULL,
--     person text,
--     key_id text,
--     action text NOT NULL,
--     target_type text,
--     target_id text,
--     details jsonb DEFAULT '{}'::jsonb NOT NULL,
--     request_id text,
--     outcome text NOT NULL,
--     error text,
--     CONSTRAINT billing_audit_entries_action_check CHECK ((action ~ '^[a-z_]+(\.[a-z_]+)+$'::text)),
--     CONSTRAINT billing_audit_entries_actor_check CHECK ((actor <> ''::text)),
--     CONSTRAINT billing_audit_entries_check CHECK ((attempt_id < id)),
--     CONSTRAINT billing_audit_entries_check1 CHECK (((target_type IS NULL) = (target_id IS NULL))),
--     CONSTRAINT billing_audit_entries_details_check CHECK ((jsonb_typeof(details) = 'object'::text)),
--     CONSTRAINT billing_audit_entries_outcome_check CHECK ((outcome = ANY (ARRAY['attempted'::text, 'done'::text, 'failed'::text]))),
--     CONSTRAINT billing_audit_entries_person_check CHECK ((person <> ''::text))
-- );
-- ALTER TABLE ONLY billing_audit_entries ADD CONSTRAINT billing_audit_entries_pkey PRIMARY KEY (id);
-- CREATE INDEX billing_audit_entries_actor_idx ON billing_audit_entries USING btree (actor, entry_id);
-- CREATE INDEX billing_audit_entries_entry_idx ON billing_audit_entries USING btree (entry_id, id);
-- CREATE INDEX billing_audit_entries_person_idx ON billing_audit_entries USING btree (person, entry_id) WHERE (person IS NOT NULL);
-- CREATE INDEX billing_audit_entries_target_idx ON billing_audit_entries USING btree (target_id, entry_id);
--
-- CREATE TABLE billing_audit_unsettled (
--     entry_id bigint NOT NULL,
--     since timestamp with time zone NOT NULL
-- );
-- ALTER TABLE ONLY billing_audit_unsettled ADD CONSTRAINT billing_audit_unsettled_pkey PRIMARY KEY (entry_id);
-
-- name: insert_entry(actor, person, key_id, action, target_type, target_id, details, request_id, outcome)$
INSERT INTO billing_audit_entries (
    actor,
    person,
    key_id,
    action,
    target_type,
    target_id,
    details,
    request_id,
    outcome
)
VALUES (
    :actor,
    :person,
    :key_id,
    :action,
    :target_type,
    :target_id,
    :details::jsonb,
    :request_id,
    :outcome::text
)
RETURNING id;

-- name: settle_entry(id, outcome, error, target_type, target_id, details)!
-- The outcome of an attempt, with details that were only known afterwards.
INSERT INTO billing_audit_entries (
    attempt_id,
    began_at,
    actor,
    person,
    key_id,
    action,
    target_type,
    target_id,
    details,
    request_id,
    outcome,
    error
)
SELECT
    a.id,
    a.began_at,
    a.actor,
    a.person,
    a.key_id,
    a.action,
    coalesce(:target_type, a.target_type),
    coalesce(:target_id, a.target_id),
    a.details || :details::jsonb,
    a.request_id,
    :outcome,
    :error
FROM billing_audit_entries AS a
WHERE a.id = :id;

-- name: settle_by_hand(id, outcome, actor, reason)$
-- What a person found out about an attempt of unknown outcome, and the change at Stripe that it was for.
WITH unsettled AS (
    DELETE FROM billing_audit_unsettled AS u
    WHERE u.entry_id = :id
      AND u.since <= now() - interval '15 minutes'
    RETURNING u.entry_id
),
settled AS (
    INSERT INTO billing_audit_entries (
        attempt_id,
        began_at,
        actor,
        person,
        key_id,
        action,
        target_type,
        target_id,
        details,
        request_id,
        outcome
    )
    SELECT
        a.id,
        a.began_at,
        a.actor,
        a.person,
        a.key_id,
        a.action,
        a.target_type,
        a.target_id,
        a.details || jsonb_build_object('settledBy', :actor::text, 'reason', :reason::text),
        a.request_id,
        :outcome::text
    FROM billing_audit_entries AS a
    JOIN unsettled
        ON a.id = unsettled.entry_id
    RETURNING
        entry_id,
        details ->> 'changeId' AS change_id
),
closed AS (
    UPDATE billing_changes AS c
    SET state = :outcome::text,
        leased_until = NULL,
        updated_at = now()
    FROM settled
    WHERE c.id = settled.change_id::uuid
      AND (c.state = 'unanswered' OR (c.state = 'asking' AND c.leased_until < now()))
)
SELECT settled.entry_id
FROM settled;

-- name: settle_done(most)$
-- Attempts without an outcome whose change at Stripe is done: the request was repeated, or the outcome
-- could not be written. A younger one may be about to write it.
WITH listed AS MATERIALIZED (
    SELECT u.entry_id
    FROM billing_audit_unsettled AS u
    JOIN billing_audit_entries AS a
        ON a.id = u.entry_id
    JOIN billing_changes AS c
        ON c.id = (a.details ->> 'changeId')::uuid
    WHERE u.since <= now() - interval '1 minute'
      AND c.state = 'done'
      AND c.updated_at <= now() - interval '1 minute'
    ORDER BY u.entry_id
    LIMIT :most
),
unsettled AS (
    DELETE FROM billing_audit_unsettled AS u
    USING listed
    WHERE u.entry_id = listed.entry_id
    RETURNING u.entry_id
),
settled AS (
    INSERT INTO billing_audit_entries (
        attempt_id,
        began_at,
        actor,
        person,
        key_id,
        action,
        target_type,
        target_id,
        details,
        request_id,
        outcome
    )
    SELECT
        a.id,
        a.began_at,
        a.actor,
        a.person,
        a.key_id,
        a.action,
        a.target_type,
        a.target_id,
        a.details,
        a.request_id,
        'done'
    FROM billing_audit_entries AS a
    JOIN unsettled
        ON a.id = unsettled.entry_id
    RETURNING id
)
SELECT count(*)
FROM settled;

-- name: get_outcome(id)$
SELECT a.outcome
FROM billing_audit_entries AS a
WHERE a.entry_id = :id
ORDER BY a.id DESC
LIMIT 1;

-- name: plan_for_values()$
-- For this transaction: plan each statement for its actual values. Ours are otherwise planned once
-- for all values, which suits look-ups by key, but not queries with optional conditions.
SELECT set_config('plan_cache_mode', 'force_custom_plan', TRUE);

-- name: list_entries(target_id, actor, person, before, most)
-- Each change with its latest outcome, newest first; null matches any. max() is looked up by index
-- for each row of the page.
SELECT
    e.entry_id AS id,
    e.began_at AS at,
    e.actor,
    e.person,
    e.key_id,
    e.action,
    e.target_type,
    e.target_id,
    e.details,
    e.request_id,
    e.outcome,
    e.error
FROM billing_audit_entries AS e
WHERE (:target_id::text IS NULL OR e.target_id = :target_id)
  AND (:actor::text IS NULL OR e.actor = :actor)
  AND (:person::text IS NULL OR e.person = :person)
  AND e.entry_id < :before
  AND e.id = (
      SELECT max(later.id)
      FROM billing_audit_entries AS later
      WHERE later.entry_id = e.entry_id
  )
ORDER BY e.entry_id DESC
LIMIT :most;

-- name: prune_entries(keep_days)$
-- The oldest changes with all their rows; an attempt without an outcome stays. The schema lets only
-- the role of `audit prune` do it.
WITH old AS MATERIALIZED (
    SELECT a.id
    FROM billing_audit_entries AS a
    WHERE a.attempt_id IS NULL
      AND a.began_at < now() - make_interval(days => :keep_days::integer)
      AND NOT EXISTS (
          SELECT 1
          FROM billing_audit_unsettled AS u
          WHERE u.entry_id = a.id
      )
    ORDER BY a.id
    LIMIT 10000
),
pruned AS (
    DELETE FROM billing_audit_entries AS e
    USING old
    WHERE e.entry_id = old.id
    RETURNING e.entry_id
)
SELECT count(DISTINCT pruned.entry_id)
FROM pruned;

-- name: count_prunable(keep_days)$
SELECT count(*)
FROM billing_audit_entries AS a
WHERE a.attempt_id IS NULL
  AND a.began_at < now() - make_interval(days => :keep_days::integer)
  AND NOT EXISTS (
      SELECT 1
      FROM billing_audit_unsettled AS u
      WHERE u.entry_id = a.id
  );
