-- Objects that Stripe has to be asked about.

-- name: request_refetches(requests)
-- A request for an object that waits already makes a new version of the wish, so that an answer
-- which was asked for earlier does not clear it.
INSERT INTO stripe_refetches AS r (object_id, object_type, reason, next_attempt_at)
SELECT
    q.object_id,
    q.object_type,
    q.reason,
    now() + interval '1 minute'
FROM jsonb_to_recordset(:requests::jsonb) AS q (object_id text, object_type text, reason text)
ON CONFLICT (object_id) DO UPDATE
SET version = r.version + 1,
    reason = excluded.reason,
    attempts = 0
RETURNING r.object_id, r.version;

-- name: await_objects(requests)!
-- Asks in a while for a subscription, unless it is known already or the event that should tell us
-- comes first. The payments of invoices are awaited where invoices are written.
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
-- Whoever gets a row is the only one to ask Stripe about the object until the lease runs out.
UPDATE stripe_refetches
SET leased_until = now() + make_interval(secs => :lease_seconds::double precision)
WHERE object_id = :object_id
  AND (leased_until IS NULL OR leased_until < now())
RETURNING object_type, version, attempts;

-- name: clear_refetch(object_id, version)$
-- Answers the version of a wish made meanwhile, to ask again at once.
WITH cleared AS (
    DELETE FROM stripe_refetches
    WHERE object_id = :object_id
      AND version = :version
    RETURNING object_id
),
released AS (
    UPDATE stripe_refetches
    SET leased_until = NULL
    WHERE object_id = :object_id
      AND version <> :version
    RETURNING version
)
SELECT r.version
FROM released AS r
WHERE NOT EXISTS (SELECT 1 FROM cleared);

-- name: postpone_refetch(object_id, error, retry_in_seconds)!
UPDATE stripe_refetches
SET attempts = attempts + 1,
    last_error = :error,
    leased_until = NULL,
    next_attempt_at = now() + make_interval(secs => :retry_in_seconds::double precision)
WHERE object_id = :object_id;

-- name: list_due_refetches(most)
SELECT
    r.object_id,
    r.version
FROM stripe_refetches AS r
WHERE r.next_attempt_at <= now()
ORDER BY r.next_attempt_at
LIMIT :most;
