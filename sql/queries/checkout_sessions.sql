-- Mirrored Checkout sessions.

-- Tables: checkout_sessions
--
-- CREATE TABLE checkout_sessions (
--     subscription_id uuid NOT NULL,
--     attempt integer NOT NULL,
--     stripe_session_id text,
--     stripe_customer_id text,
--     livemode boolean NOT NULL,
--     params jsonb NOT NULL,
--     url text,
--     status text NOT NULL,
--     payment_status text,
--     recovery_url text,
--     recovered_from text,
--     stripe_subscription_id text,
--     expires_at timestamp with time zone,
--     last_error text,
--     stripe_as_of_since timestamp with time zone,
--     stripe_as_of timestamp with time zone,
--     stripe_event_id text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT checkout_sessions_attempt_check CHECK ((attempt > 0)),
--     CONSTRAINT checkout_sessions_check CHECK (((status = ANY (ARRAY['creating'::text, 'failed'::text])) OR (stripe_session_id IS NOT NULL))),
--     CONSTRAINT checkout_sessions_check1 CHECK ((stripe_as_of_since <= stripe_as_of)),
--     CONSTRAINT checkout_sessions_payment_status_check CHECK ((payment_status = ANY (ARRAY['paid'::text, 'unpaid'::text, 'no_payment_required'::text]))),
--     CONSTRAINT checkout_sessions_status_check CHECK ((status = ANY (ARRAY['creating'::text, 'open'::text, 'complete'::text, 'expired'::text, 'failed'::text])))
-- );
-- ALTER TABLE ONLY checkout_sessions ADD CONSTRAINT checkout_sessions_pkey PRIMARY KEY (subscription_id, attempt);
-- ALTER TABLE ONLY checkout_sessions ADD CONSTRAINT checkout_sessions_stripe_session_id_key UNIQUE (stripe_session_id);
-- ALTER TABLE ONLY checkout_sessions ADD CONSTRAINT checkout_sessions_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX billing_checkout_sessions_paid_again_idx ON checkout_sessions USING btree (subscription_id) WHERE ((status = 'complete'::text) AND (attempt > 1));
-- CREATE INDEX checkout_sessions_open_idx ON checkout_sessions USING btree (updated_at) WHERE (status = ANY (ARRAY['creating'::text, 'open'::text]));

-- name: list_stored(object_ids, order_ids, attempts, stripe_customer_ids, sinces)
-- By its id; else the attempt whose session was being created when Stripe's response was lost; else
-- the order that it names, on the same Stripe customer (a recovered session).
SELECT
    i.object_id,
    coalesce(mirror.subscription_id, creating.subscription_id, ordered.id) AS subscription_id,
    coalesce(mirror.attempt, creating.attempt, coalesce(latest.attempt, 0) + 1) AS attempt,
    mirror.stripe_as_of_since AS since,
    mirror.stripe_as_of AS as_of,
    mirror.stripe_event_id AS event_id,
    mirror.status,
    mirror.payment_status,
    ordered.stripe_subscription_id AS order_stripe_subscription_id,
    e.type AS event_type,
    e.payload
FROM unnest(
    :object_ids::text[],
    :order_ids::uuid[],
    :attempts::integer[],
    :stripe_customer_ids::text[],
    :sinces::timestamptz[]
) AS i (object_id, order_id, attempt, stripe_customer_id, since)
LEFT JOIN checkout_sessions AS mirror
    ON mirror.stripe_session_id = i.object_id
LEFT JOIN subscriptions AS ordered
    ON ordered.id = i.order_id
    AND ordered.billing_provider = 'stripe'
    AND ordered.stripe_customer_id = i.stripe_customer_id
LEFT JOIN checkout_sessions AS creating
    ON creating.subscription_id = ordered.id
    AND creating.attempt = i.attempt
    AND creating.stripe_session_id IS NULL
LEFT JOIN LATERAL (
    SELECT max(c.attempt) AS attempt
    FROM checkout_sessions AS c
    WHERE c.subscription_id = ordered.id
) AS latest ON TRUE
LEFT JOIN stripe_events AS e
    ON e.id = mirror.stripe_event_id
    AND i.since <= mirror.stripe_as_of
WHERE coalesce(mirror.subscription_id, ordered.id) IS NOT NULL;

-- name: write_snapshots(snapshots)!
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
    FROM jsonb_to_recordset(:snapshots::jsonb) AS s (
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
)
-- the order gets its latest session, and its subscription unless another row has it
UPDATE subscriptions AS o
SET checkout_session_id = s.object_id,
    stripe_subscription_id = CASE
        WHEN o.stripe_subscription_id IS NULL AND NOT EXISTS (
            SELECT 1
            FROM subscriptions AS other
            WHERE other.stripe_subscription_id = s.stripe_subscription_id
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
