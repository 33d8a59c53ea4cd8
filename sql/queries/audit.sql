-- The audit log.

-- Tables: billing_audit_log
--
-- CREATE TABLE billing_audit_log (
--     id bigint NOT NULL,
--     at timestamp with time zone DEFAULT now() NOT NULL,
--     actor text NOT NULL,
--     key_id text,
--     action text NOT NULL,
--     target_type text,
--     target_id text,
--     details jsonb DEFAULT '{}'::jsonb NOT NULL,
--     request_id text,
--     outcome text NOT NULL,
--     error text,
--     settled_at timestamp with time zone,
--     CONSTRAINT billing_audit_log_action_check CHECK ((action ~ '^[a-z_]+(\.[a-z_]+)+$'::text)),
--     CONSTRAINT billing_audit_log_actor_check CHECK ((actor <> ''::text)),
--     CONSTRAINT billing_audit_log_check CHECK (((target_type IS NULL) = (target_id IS NULL))),
--     CONSTRAINT billing_audit_log_check1 CHECK (((outcome = 'attempted'::text) OR (settled_at IS NOT NULL))),
--     CONSTRAINT billing_audit_log_details_check CHECK ((jsonb_typeof(details) = 'object'::text)),
--     CONSTRAINT billing_audit_log_outcome_check CHECK ((outcome = ANY (ARRAY['attempted'::text, 'done'::text, 'failed'::text])))
-- );
-- ALTER TABLE ONLY billing_audit_log ADD CONSTRAINT billing_audit_log_pkey PRIMARY KEY (id);
-- CREATE INDEX billing_audit_log_actor_idx ON billing_audit_log USING btree (actor, id);
-- CREATE INDEX billing_audit_log_target_idx ON billing_audit_log USING btree (target_id, id);
-- CREATE INDEX billing_audit_log_unfinished_idx ON billing_audit_log USING btree (at) WHERE (outcome = 'attempted'::text);

-- name: insert_entry(actor, key_id, action, target_type, target_id, details, request_id, outcome)$
INSERT INTO billing_audit_log (
    actor,
    key_id,
    action,
    target_type,
    target_id,
    details,
    request_id,
    outcome,
    settled_at
)
VALUES (
    :actor,
    :key_id,
    :action,
    :target_type,
    :target_id,
    :details::jsonb,
    :request_id,
    :outcome::text,
    CASE WHEN :outcome::text <> 'attempted' THEN now() END
)
RETURNING id;

-- name: settle_entry(id, outcome, error, target_type, target_id, details)!
-- The outcome of an attempt, with details that were only known afterwards.
UPDATE billing_audit_log
SET outcome = :outcome,
    error = :error,
    settled_at = now(),
    target_type = coalesce(:target_type, target_type),
    target_id = coalesce(:target_id, target_id),
    details = details || :details::jsonb
WHERE id = :id;

-- name: settle_by_hand(id, outcome, actor, reason)$
-- What a person found out about an attempt of unknown outcome, and the change at Stripe that it was for.
WITH settled AS (
    UPDATE billing_audit_log AS a
    SET outcome = :outcome::text,
        settled_at = now(),
        details = a.details || jsonb_build_object('settledBy', :actor::text, 'reason', :reason::text)
    WHERE a.id = :id
      AND a.outcome = 'attempted'
      AND a.at <= now() - interval '15 minutes'
    RETURNING a.id, a.details ->> 'changeId' AS change_id
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
SELECT settled.id
FROM settled;

-- name: get_outcome(id)$
SELECT a.outcome
FROM billing_audit_log AS a
WHERE a.id = :id;

-- name: plan_for_values()$
-- For this transaction: plan each statement for its actual values. Ours are otherwise planned once
-- for all values, which suits look-ups by key, but not queries with optional conditions.
SELECT set_config('plan_cache_mode', 'force_custom_plan', TRUE);

-- name: list_entries(target_id, actor, before, most)
-- Newest first; null matches any.
SELECT
    a.id,
    a.at,
    a.actor,
    a.key_id,
    a.action,
    a.target_type,
    a.target_id,
    a.details,
    a.request_id,
    a.outcome,
    a.error
FROM billing_audit_log AS a
WHERE (:target_id::text IS NULL OR a.target_id = :target_id)
  AND (:actor::text IS NULL OR a.actor = :actor)
  AND a.id < :before
ORDER BY a.id DESC
LIMIT :most;
