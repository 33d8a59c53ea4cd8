-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_write_sessions_v1(snapshots jsonb)
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
    WITH snapshots AS MATERIALIZED (
        SELECT
            s.subscription_id,
            s.attempt,
            s.object_id,
            s.livemode,
            s.status,
            s.payment_status,
            s.stripe_subscription_id,
            s.stripe_customer_id,
            s.url,
            s.recovery_url,
            s.recovered_from,
            s.expires_at,
            s.since,
            s.as_of,
            s.event_id
        FROM jsonb_to_recordset(billing_write_sessions_v1.snapshots) AS s (
            subscription_id uuid,
            attempt integer,
            object_id text,
            livemode boolean,
            status text,
            payment_status text,
            stripe_subscription_id text,
            stripe_customer_id text,
            url text,
            recovery_url text,
            recovered_from text,
            expires_at timestamptz,
            since timestamptz,
            as_of timestamptz,
            event_id text
        )
    ),
    written AS (
        INSERT INTO checkout_sessions AS mirror (
            subscription_id,
            attempt,
            stripe_session_id,
            stripe_subscription_id,
            stripe_customer_id,
            livemode,
            params,
            url,
            status,
            payment_status,
            recovery_url,
            recovered_from,
            expires_at,
            stripe_as_of_since,
            stripe_as_of,
            stripe_event_id
        )
        SELECT
            s.subscription_id,
            s.attempt,
            s.object_id,
            s.stripe_subscription_id,
            s.stripe_customer_id,
            s.livemode,
            '{}',
            s.url,
            s.status,
            s.payment_status,
            s.recovery_url,
            s.recovered_from,
            s.expires_at,
            s.since,
            s.as_of,
            s.event_id
        FROM snapshots AS s
        ON CONFLICT (subscription_id, attempt) DO UPDATE
        SET stripe_session_id = excluded.stripe_session_id,
            stripe_subscription_id = excluded.stripe_subscription_id,
            stripe_customer_id = excluded.stripe_customer_id,
            url = coalesce(excluded.url, mirror.url),
            status = excluded.status,
            payment_status = excluded.payment_status,
            recovery_url = coalesce(excluded.recovery_url, mirror.recovery_url),
            recovered_from = excluded.recovered_from,
            expires_at = excluded.expires_at,
            stripe_as_of_since = excluded.stripe_as_of_since,
            stripe_as_of = excluded.stripe_as_of,
            stripe_event_id = excluded.stripe_event_id,
            updated_at = now()
        RETURNING mirror.subscription_id, mirror.attempt, mirror.stripe_session_id
    ),
    awaited AS (
        -- its subscription in a minute, unless that is mirrored or its own event arrives first
        INSERT INTO stripe_refetches (object_id, object_type, reason, next_attempt_at)
        SELECT
            s.stripe_subscription_id,
            'subscription',
            'awaited',
            now() + interval '1 minute'
        FROM snapshots AS s
        WHERE s.event_id IS NOT NULL
          AND s.stripe_subscription_id IS NOT NULL
          AND NOT EXISTS (
              SELECT 1
              FROM subscriptions AS o
              WHERE o.stripe_subscription_id = s.stripe_subscription_id
                AND o.stripe_as_of IS NOT NULL
          )
        ON CONFLICT (object_id) DO NOTHING
    )
    -- the order gets its latest session, and its subscription unless another row has it
    UPDATE subscriptions AS o
    SET checkout_session_id = s.object_id,
        stripe_subscription_id = CASE
            WHEN o.stripe_subscription_id IS NULL AND NOT EXISTS (
                SELECT 1
                FROM subscriptions AS other
                WHERE other.stripe_subscription_id = s.stripe_subscription_id
                -- a look-up for each, and no hash of the whole table
                OFFSET 0
            ) THEN s.stripe_subscription_id
            ELSE o.stripe_subscription_id
        END,
        updated_at = now()
    FROM snapshots AS s
    WHERE o.id = s.subscription_id
      AND EXISTS (SELECT 1 FROM written AS w WHERE w.stripe_session_id = s.object_id)
      AND NOT EXISTS (
          SELECT 1
          FROM checkout_sessions AS later
          WHERE later.subscription_id = s.subscription_id
            AND later.attempt > s.attempt
            AND later.stripe_session_id IS NOT NULL
      );
END
$$;
COMMENT ON FUNCTION billing_write_sessions_v1(jsonb) IS 'Writes snapshots of Checkout sessions, and links their orders to them';
