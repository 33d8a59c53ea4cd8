-- Requests to fetch objects from Stripe.

-- Tables: stripe_refetches
--
-- CREATE TABLE stripe_refetches (
--     object_id text NOT NULL,
--     object_type text NOT NULL,
--     reason text NOT NULL,
--     version bigint DEFAULT 1 NOT NULL,
--     attempts integer DEFAULT 0 NOT NULL,
--     last_error text,
--     leased_until timestamp with time zone,
--     tied_at timestamp with time zone,
--     next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
--     requested_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT stripe_refetches_object_type_check CHECK ((object_type = ANY (ARRAY['subscription'::text, 'invoice'::text, 'checkout.session'::text, 'customer'::text, 'invoice_payment'::text, 'refund'::text])))
-- );
-- ALTER TABLE ONLY stripe_refetches ADD CONSTRAINT stripe_refetches_pkey PRIMARY KEY (object_id);
-- CREATE INDEX billing_refetches_failing_idx ON stripe_refetches USING btree (requested_at) WHERE (last_error IS NOT NULL);
-- CREATE INDEX stripe_refetches_due_idx ON stripe_refetches USING btree (next_attempt_at);

-- name: request_refetches(requests)
-- A request for an object that is being fetched, or whose fetch has failed, gets a new version, so that
-- a fetch that began earlier does not clear it. One that waits for its job is fulfilled by that: it
-- takes its lease, for which this row is locked, before it asks. A version is never reused, even if the
-- row was deleted in between: the trigger would have the dedupe key of a job that is about to end, and
-- be skipped.
-- A tie is asked once its second is over, as Stripe dates its answers, so that the answer is of a
-- later one: the other events of the second are in by then, and one question settles them all. It
-- is asked at once if somebody may wait for the answer: to pay, for accounts, or to get them back.
INSERT INTO stripe_refetches AS r (object_id, object_type, reason, version, tied_at, next_attempt_at)
SELECT
    q.object_id,
    q.object_type,
    q.reason,
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    q.tied_at,
    now() + interval '1 minute'
FROM jsonb_to_recordset(:requests::jsonb) AS q (
    object_id text, object_type text, reason text, tied_at timestamptz
)
ON CONFLICT (object_id) DO UPDATE
SET version = CASE
        WHEN r.leased_until IS NULL AND r.last_error IS NULL AND r.reason <> 'awaited' THEN r.version
        ELSE r.version + 1
    END,
    reason = excluded.reason,
    -- whatever is asked in any case stays so
    tied_at = CASE
        WHEN r.tied_at IS NOT NULL AND excluded.tied_at IS NOT NULL
            THEN greatest(r.tied_at, excluded.tied_at)
    END,
    attempts = 0
RETURNING
    r.object_id,
    r.version,
    CASE
        WHEN r.tied_at IS NULL THEN 0.0
        WHEN r.object_type = 'checkout.session' THEN 0.0
        WHEN EXISTS (
            SELECT 1
            FROM subscriptions AS s
            WHERE s.stripe_subscription_id = r.object_id
              AND s.status NOT IN ('active', 'cancelled')
        ) THEN 0.0
        WHEN EXISTS (
            SELECT 1
            FROM invoices AS i
            JOIN subscriptions AS s
                ON s.stripe_subscription_id = i.stripe_subscription_id
            WHERE i.stripe_invoice_id = r.object_id
              AND s.status NOT IN ('active', 'cancelled')
        ) THEN 0.0
        ELSE 2.0
    END::double precision AS delay_seconds;

-- name: await_objects(requests)!
-- Requests a subscription in a minute, unless it is already mirrored or its event arrives first. The
-- payments of invoices are requested where invoices are written.
INSERT INTO stripe_refetches (object_id, object_type, reason, next_attempt_at)
SELECT
    q.object_id,
    q.object_type,
    'awaited',
    now() + interval '1 minute'
FROM jsonb_to_recordset(:requests::jsonb) AS q (object_id text, object_type text)
WHERE NOT EXISTS (
    SELECT 1
    FROM subscriptions AS s
    WHERE s.stripe_subscription_id = q.object_id
      AND s.stripe_as_of IS NOT NULL
)
ON CONFLICT (object_id) DO NOTHING;

-- name: clear_awaited(object_ids)!
DELETE FROM stripe_refetches
WHERE object_id = ANY(:object_ids::text[])
  AND reason = 'awaited';

-- name: lease_refetch(object_id, lease_seconds)^
-- If it returns a row, no other process fetches the object until the lease expires. Lost with the
-- server, as the end of a request may be, it is asked once more.
UPDATE stripe_refetches
SET leased_until = now() + make_interval(secs => :lease_seconds::double precision)
FROM (SELECT set_config('synchronous_commit', 'off', TRUE)) AS relaxed
WHERE object_id = :object_id
  AND (leased_until IS NULL OR leased_until < now())
RETURNING object_type, version, attempts, tied_at;

-- name: clear_refetch(object_id, version)$
-- Returns the version of a newer request, to fetch again at once. The row is locked first: a
-- request that is being inserted is waited for, so that it is not left with a stale lease.
WITH locked AS MATERIALIZED (
    SELECT
        r.object_id,
        r.version
    FROM stripe_refetches AS r
    CROSS JOIN (SELECT set_config('synchronous_commit', 'off', TRUE)) AS relaxed
    WHERE r.object_id = :object_id
    FOR UPDATE OF r
),
cleared AS (
    DELETE FROM stripe_refetches AS r
    USING locked AS l
    WHERE r.object_id = l.object_id
      AND l.version = :version
),
released AS (
    UPDATE stripe_refetches AS r
    SET leased_until = NULL
    FROM locked AS l
    WHERE r.object_id = l.object_id
      AND l.version <> :version
    RETURNING r.version
)
SELECT r.version
FROM released AS r;

-- name: postpone_refetch(object_id, error, retry_in_seconds)!
UPDATE stripe_refetches
SET attempts = attempts + 1,
    last_error = :error,
    leased_until = NULL,
    next_attempt_at = now() + make_interval(secs => :retry_in_seconds::double precision)
WHERE object_id = :object_id;

-- name: keep_failed_refetches(failed, retry_in_seconds)!
-- Of objects that were fetched without a request. One that is waiting already keeps its time.
INSERT INTO stripe_refetches (
    object_id,
    object_type,
    reason,
    version,
    attempts,
    last_error,
    next_attempt_at
)
SELECT
    f.object_id,
    f.object_type,
    'could not be read',
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    1,
    f.error,
    now() + make_interval(secs => :retry_in_seconds::double precision)
FROM jsonb_to_recordset(:failed::jsonb) AS f (object_id text, object_type text, error text)
ON CONFLICT (object_id) DO UPDATE
SET last_error = excluded.last_error;

-- name: list_due_refetches(most)
SELECT
    r.object_id,
    r.version
FROM stripe_refetches AS r
WHERE r.next_attempt_at <= now()
ORDER BY r.next_attempt_at
LIMIT :most;
