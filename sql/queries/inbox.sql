-- The inbox of Stripe's events.

-- Tables: stripe_events
--
-- CREATE TABLE stripe_events (
--     id text NOT NULL,
--     type text NOT NULL,
--     api_version text,
--     created timestamp with time zone,
--     livemode boolean NOT NULL,
--     object_id text,
--     payload jsonb,
--     status text NOT NULL,
--     reason text,
--     attempts integer DEFAULT 0 NOT NULL,
--     last_error text,
--     next_attempt_at timestamp with time zone,
--     received_at timestamp with time zone DEFAULT now() NOT NULL,
--     applied_at timestamp with time zone,
--     CONSTRAINT stripe_events_check CHECK (((status <> 'failed'::text) OR (last_error IS NOT NULL))),
--     CONSTRAINT stripe_events_check1 CHECK (((status <> ALL ('{applied,stale}'::text[])) OR (applied_at IS NOT NULL))),
--     CONSTRAINT stripe_events_payload_check CHECK (((payload IS NOT NULL) OR (status = ANY ('{applied,stale,ignored}'::text[])))),
--     CONSTRAINT stripe_events_status_check CHECK ((status = ANY ('{received,applied,stale,ignored,failed}'::text[])))
-- )
-- WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');
-- ALTER TABLE ONLY stripe_events ADD CONSTRAINT stripe_events_pkey PRIMARY KEY (id);
-- CREATE INDEX stripe_events_object_idx ON stripe_events USING btree (object_id, created);
-- CREATE INDEX stripe_events_oldest_unhandled_idx ON stripe_events USING btree (received_at) WHERE (status = ANY (ARRAY['received'::text, 'failed'::text]));
-- CREATE INDEX stripe_events_received_idx ON stripe_events USING btree (received_at);
-- CREATE INDEX stripe_events_unhandled_idx ON stripe_events USING btree (next_attempt_at) WHERE (status = ANY (ARRAY['received'::text, 'failed'::text]));
-- CREATE INDEX stripe_events_without_effect_idx ON stripe_events USING btree (status, received_at) WHERE (status = ANY (ARRAY['stale'::text, 'ignored'::text]));

-- name: insert_events(keys, events, payloads)
-- Returns the ids that are new: an event takes effect at most once. Payloads are as Stripe sent
-- them, one per event. First takes the locks that applying the events needs, like lock_objects.
-- Later statements read the mirror, and so see what was committed before the locks were taken.
-- Of an erased customer no payload is kept: a failed event of theirs cannot be tried again.
WITH locked AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended(keys.key, 0))
    FROM unnest(:keys::text[]) WITH ORDINALITY AS keys (key, position)
    ORDER BY keys.position
)
INSERT INTO stripe_events (
    id,
    type,
    api_version,
    created,
    livemode,
    object_id,
    payload,
    status,
    reason,
    attempts,
    last_error,
    next_attempt_at,
    applied_at
)
SELECT
    e.id,
    e.type,
    e.api_version,
    e.created,
    e.livemode,
    e.object_id,
    kept.payload,
    CASE WHEN lost.is_lost THEN 'ignored' ELSE e.status END,
    CASE WHEN lost.is_lost THEN 'failed, and is of an erased customer' ELSE e.reason END,
    coalesce(e.attempts, 0),
    CASE WHEN NOT lost.is_lost THEN e.last_error END,
    CASE WHEN NOT lost.is_lost THEN now() + make_interval(secs => e.retry_in_seconds) END,
    CASE WHEN e.status IN ('applied', 'stale') THEN now() END
FROM ROWS FROM (
    jsonb_to_recordset(:events::jsonb) AS (
        id text,
        type text,
        api_version text,
        created timestamptz,
        livemode boolean,
        object_id text,
        status text,
        reason text,
        attempts integer,
        last_error text,
        retry_in_seconds double precision
    ),
    unnest(:payloads::text[])
) AS e (
    id,
    type,
    api_version,
    created,
    livemode,
    object_id,
    status,
    reason,
    attempts,
    last_error,
    retry_in_seconds,
    payload
)
CROSS JOIN LATERAL (
    SELECT billing_kept_payload_v1(e.payload::jsonb) AS payload
    OFFSET 0
) AS kept
CROSS JOIN LATERAL (
    SELECT kept.payload IS NULL AND e.status = 'failed' AS is_lost
) AS lost
WHERE (SELECT count(*) FROM locked) >= 0
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: receive_events(keys, holders, waits, livemode, ids, types, api_versions, createds, object_ids, statuses, reasons, payloads, customers, charges, refunds, payments, bills, invoices, renewals, subscriptions, sessions, headers)
-- Keeps and applies, in one round trip and its own transaction, the events whose order is clear or was
-- decided; the others are left untouched. What follows is triggered by jobs with the headers.
SELECT
    r.id,
    r.outcome,
    r.since,
    r.as_of,
    r.event_id,
    r.event_type,
    r.payload,
    r.seen,
    r.facts
FROM billing_receive_events_v3(
    :keys::text[],
    :holders::text[],
    :waits::boolean,
    :livemode::boolean,
    :ids::text[],
    :types::text[],
    :api_versions::text[],
    :createds::text[],
    :object_ids::text[],
    :statuses::text[],
    :reasons::text[],
    :payloads::text[],
    :customers::jsonb,
    :charges::jsonb,
    :refunds::jsonb,
    :payments::jsonb,
    :bills::jsonb,
    :invoices::jsonb,
    :renewals::jsonb,
    :subscriptions::jsonb,
    :sessions::jsonb,
    :headers::jsonb
) AS r;

-- name: mark_events(outcomes)!
UPDATE stripe_events AS e
SET status = o.status,
    reason = o.reason,
    attempts = e.attempts + 1,
    last_error = NULL,
    next_attempt_at = NULL,
    applied_at = CASE WHEN o.status IN ('applied', 'stale') THEN now() END
FROM jsonb_to_recordset(:outcomes::jsonb) AS o (id text, status text, reason text)
WHERE e.id = o.id;

-- name: mark_event_failed(id, error, retry_in_seconds)!
UPDATE stripe_events
SET status = 'failed',
    attempts = attempts + 1,
    last_error = :error,
    next_attempt_at = now() + make_interval(secs => :retry_in_seconds::double precision)
WHERE id = :id;

-- name: lock_event(id)^
-- For a retry. Returns nothing if another process works on the event, or it is already applied.
SELECT
    e.id,
    e.payload,
    e.attempts
FROM stripe_events AS e
WHERE e.id = :id
  AND e.status IN ('received', 'failed')
FOR UPDATE SKIP LOCKED;

-- name: list_due_events(most)
SELECT
    e.id,
    e.attempts
FROM stripe_events AS e
WHERE e.status IN ('received', 'failed')
  AND e.next_attempt_at <= now()
ORDER BY e.next_attempt_at
LIMIT :most;

-- name: plan_for_values()$
-- For this transaction: each status has an index of its own, and one plan for all would use none.
SELECT set_config('plan_cache_mode', 'force_custom_plan', TRUE);

-- name: list_events(status, before, most)
-- For people: newest first; null matches any status. The next page begins before the last event of this one.
SELECT
    e.id,
    e.type,
    e.object_id,
    e.status,
    e.attempts,
    e.created,
    e.received_at,
    e.next_attempt_at,
    coalesce(e.reason, e.last_error) AS detail
FROM stripe_events AS e
WHERE (:status::text IS NULL OR e.status = :status)
  AND (
      :before::text IS NULL
      -- the first finds the place in the index
      OR e.received_at <= (
          SELECT b.received_at
          FROM stripe_events AS b
          WHERE b.id = :before
      )
  )
  AND (
      :before::text IS NULL
      OR (e.received_at, e.id) < (
          SELECT
              b.received_at,
              b.id
          FROM stripe_events AS b
          WHERE b.id = :before
      )
  )
ORDER BY e.received_at DESC, e.id DESC
LIMIT :most;

-- name: get_event(id)^
SELECT
    e.id,
    e.type,
    e.api_version,
    e.object_id,
    e.livemode,
    e.status,
    e.reason,
    e.attempts,
    e.last_error,
    e.created,
    e.received_at,
    e.next_attempt_at,
    e.applied_at,
    e.payload
FROM stripe_events AS e
WHERE e.id = :id;

-- name: has_payload(id)$
SELECT e.payload IS NOT NULL
FROM stripe_events AS e
WHERE e.id = :id;

-- name: reopen_event(id)$
-- Makes an event that had no effect due again. Returns its id, or nothing if it had an effect or
-- its payload has been pruned.
UPDATE stripe_events
SET status = 'received',
    next_attempt_at = now()
WHERE id = :id
  AND status IN ('received', 'failed', 'ignored')
  AND payload IS NOT NULL
RETURNING id;

-- name: list_unfinished_events(type, since_days, after_received_at, after_id, most)
-- In pages; null matches any type, and any time of receipt.
SELECT
    e.received_at,
    e.id
FROM stripe_events AS e
WHERE e.status IN ('received', 'failed')
  AND (:type::text IS NULL OR e.type = :type::text)
  AND e.received_at >= now() - make_interval(days => coalesce(:since_days::integer, 36500))
  AND (e.received_at, e.id) > (:after_received_at::timestamptz, :after_id::text)
ORDER BY e.received_at, e.id
LIMIT :most;

-- name: count_unfinished_events(type, since_days, after_received_at, after_id)$
-- How many list_unfinished_events goes through after one.
SELECT count(*)
FROM stripe_events AS e
WHERE e.status IN ('received', 'failed')
  AND (:type::text IS NULL OR e.type = :type::text)
  AND e.received_at >= now() - make_interval(days => coalesce(:since_days::integer, 36500))
  AND (e.received_at, e.id) > (:after_received_at::timestamptz, :after_id::text);

-- name: list_unfinished_types(type, since_days, most)
-- What list_unfinished_events goes through, by type, with the error of the latest; most of them first.
SELECT
    e.type,
    count(*) AS events,
    min(e.received_at) AS oldest,
    max(e.received_at) AS latest,
    (array_agg(split_part(e.last_error, E'\n', 1) ORDER BY e.received_at DESC) FILTER (WHERE e.last_error IS NOT NULL))[1] AS error
FROM stripe_events AS e
WHERE e.status IN ('received', 'failed')
  AND (:type::text IS NULL OR e.type = :type::text)
  AND e.received_at >= now() - make_interval(days => coalesce(:since_days::integer, 36500))
GROUP BY e.type
ORDER BY events DESC, e.type
LIMIT :most;

-- name: count_ignored_events(type, since_days, after_received_at, after_id)$
-- How many list_ignored_events goes through after one.
SELECT count(*)
FROM stripe_events AS e
WHERE e.status = 'ignored'
  AND e.payload IS NOT NULL
  AND (:type::text IS NULL OR e.type = :type::text)
  AND e.received_at >= now() - make_interval(days => coalesce(:since_days::integer, 36500))
  AND (e.received_at, e.id) > (:after_received_at::timestamptz, :after_id::text);

-- name: list_ignored_types(type, since_days, most)
-- What list_ignored_events goes through, by type, with why the latest was ignored; most of them first.
SELECT
    e.type,
    count(*) AS events,
    min(e.received_at) AS oldest,
    max(e.received_at) AS latest,
    (array_agg(e.reason ORDER BY e.received_at DESC) FILTER (WHERE e.reason IS NOT NULL))[1] AS error
FROM stripe_events AS e
WHERE e.status = 'ignored'
  AND e.payload IS NOT NULL
  AND (:type::text IS NULL OR e.type = :type::text)
  AND e.received_at >= now() - make_interval(days => coalesce(:since_days::integer, 36500))
GROUP BY e.type
ORDER BY events DESC, e.type
LIMIT :most;

-- name: list_ignored_events(type, since_days, after_received_at, after_id, most)
SELECT
    e.received_at,
    e.id
FROM stripe_events AS e
WHERE e.status = 'ignored'
  AND e.payload IS NOT NULL
  AND (:type::text IS NULL OR e.type = :type::text)
  AND e.received_at >= now() - make_interval(days => coalesce(:since_days::integer, 36500))
  AND (e.received_at, e.id) > (:after_received_at::timestamptz, :after_id::text)
ORDER BY e.received_at, e.id
LIMIT :most;
