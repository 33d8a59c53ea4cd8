-- A request for an object that is being fetched, or whose fetch has failed, gets a new version, so that
-- a fetch that began earlier does not clear it. One that waits for its job is fulfilled by that: it
-- takes its lease, for which this row is locked, before it asks. A version is never reused, even if the
-- row was deleted in between: the trigger would have the dedupe key of a job that is about to end, and
-- be skipped.
-- A tie is asked once its second is over, as Stripe dates its answers, so that the answer is of a
-- later one: the other events of the second are in by then, and one question settles them all. It
-- is asked at once if somebody may wait for the answer: to pay, for accounts, or to get them back.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_request_refetches_v1(requests jsonb)
RETURNS TABLE (object_id text, version bigint, delay_seconds double precision)
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
    RETURN QUERY
    INSERT INTO stripe_refetches AS r (object_id, object_type, reason, version, tied_at, next_attempt_at)
    SELECT
        q.object_id,
        q.object_type,
        q.reason,
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        q.tied_at,
        now() + interval '1 minute'
    FROM jsonb_to_recordset(billing_request_refetches_v1.requests) AS q (
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
            -- OFFSET 0 keeps these look-ups; else all subscriptions may be hashed
            WHEN r.tied_at IS NULL THEN 0.0
            WHEN r.object_type = 'checkout.session' THEN 0.0
            WHEN EXISTS (
                SELECT 1
                FROM subscriptions AS s
                WHERE s.stripe_subscription_id = r.object_id
                  AND s.status NOT IN ('active', 'cancelled')
                OFFSET 0
            ) THEN 0.0
            WHEN EXISTS (
                SELECT 1
                FROM invoices AS i
                JOIN subscriptions AS s
                    ON s.stripe_subscription_id = i.stripe_subscription_id
                WHERE i.stripe_invoice_id = r.object_id
                  AND s.status NOT IN ('active', 'cancelled')
                OFFSET 0
            ) THEN 0.0
            ELSE 2.0
        END::double precision AS delay_seconds;
END
$$;
COMMENT ON FUNCTION billing_request_refetches_v1(jsonb) IS 'Requests that objects are fetched from Stripe; returns the versions of the requests, and the seconds until they are due';
