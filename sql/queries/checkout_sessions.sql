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
SELECT
    i.object_id,
    placed.subscription_id,
    placed.attempt,
    placed.since,
    placed.as_of,
    placed.event_id,
    placed.status,
    placed.payment_status,
    placed.order_stripe_subscription_id,
    e.type AS event_type,
    e.payload
FROM unnest(
    :object_ids::text[],
    :order_ids::uuid[],
    :attempts::integer[],
    :stripe_customer_ids::text[],
    :sinces::timestamptz[]
) AS i (object_id, order_id, attempt, stripe_customer_id, since)
CROSS JOIN LATERAL billing_place_session_v1(
    i.object_id, i.order_id, i.attempt, i.stripe_customer_id
) AS placed
LEFT JOIN stripe_events AS e
    ON e.id = placed.event_id
    AND i.since <= placed.as_of;

-- name: write_snapshots(snapshots)!
SELECT billing_write_sessions_v1(:snapshots::jsonb);
