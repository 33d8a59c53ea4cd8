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
--     CONSTRAINT stripe_refetches_object_type_check CHECK ((object_type = ANY (ARRAY['subscription'::text, 'invoice'::text, 'checkout.session'::text, 'customer'::text, 'invoice_payment'::text, 'refund'::text, 'charge'::text, 'credit_note'::text, 'dispute'::text, 'radar.early_fraud_warning'::text, 'tax_id'::text, 'tax_rate'::text])))
-- );
-- ALTER TABLE ONLY stripe_refetches ADD CONSTRAINT stripe_refetches_pkey PRIMARY KEY (object_id);
-- CREATE INDEX billing_refetches_failing_idx ON stripe_refetches USING btree (requested_at) WHERE (last_error IS NOT NULL);
-- CREATE INDEX stripe_refetches_due_idx ON stripe_refetches USING btree (next_attempt_at);

-- name: list_stored(customers, charges, refunds, payments, invoices, subscriptions, sessions)
-- What is stored of objects, to decide which snapshot is newer.
SELECT
    r.object_id,
    r.since,
    r.as_of,
    r.event_id,
    r.event_type,
    r.payload,
    r.seen,
    r.facts
FROM billing_stored_rows_v1(
    :customers::jsonb,
    :charges::jsonb,
    :refunds::jsonb,
    :payments::jsonb,
    :invoices::jsonb,
    :subscriptions::jsonb,
    :sessions::jsonb
) AS r;

-- name: request_refetches(requests)
SELECT
    r.object_id,
    r.version,
    r.delay_seconds
FROM billing_request_refetches_v1(:requests::jsonb) AS r;

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
SET last_error = excluded.last_error,
    tied_at = NULL;

-- name: list_due_refetches(most)
SELECT
    r.object_id,
    r.version
FROM stripe_refetches AS r
WHERE r.next_attempt_at <= now()
ORDER BY r.next_attempt_at
LIMIT :most;
