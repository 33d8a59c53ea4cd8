-- Where a Checkout session belongs: by its id; else the attempt whose session was being created when
-- Stripe's response was lost; else the order that it names, on the same Stripe customer (a recovered
-- session). No row if there is no order for it. It is inlined into the queries that use it.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_place_session_v1(
    object_id text, order_id uuid, named_attempt integer, stripe_customer_id text
)
RETURNS TABLE (
    subscription_id uuid,
    attempt integer,
    since timestamptz,
    as_of timestamptz,
    event_id text,
    status text,
    payment_status text,
    order_stripe_subscription_id text
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        coalesce(mirror.subscription_id, creating.subscription_id, ordered.id),
        coalesce(mirror.attempt, creating.attempt, coalesce(latest.attempt, 0) + 1),
        mirror.stripe_as_of_since,
        mirror.stripe_as_of,
        mirror.stripe_event_id,
        mirror.status,
        mirror.payment_status,
        ordered.stripe_subscription_id
    FROM (SELECT 1) AS told
    LEFT JOIN checkout_sessions AS mirror
        ON mirror.stripe_session_id = billing_place_session_v1.object_id
    LEFT JOIN subscriptions AS ordered
        ON ordered.id = billing_place_session_v1.order_id
        AND ordered.billing_provider = 'stripe'
        AND ordered.stripe_customer_id = billing_place_session_v1.stripe_customer_id
    LEFT JOIN checkout_sessions AS creating
        ON creating.subscription_id = ordered.id
        AND creating.attempt = billing_place_session_v1.named_attempt
        AND creating.stripe_session_id IS NULL
    LEFT JOIN LATERAL (
        SELECT max(c.attempt) AS attempt
        FROM checkout_sessions AS c
        WHERE c.subscription_id = ordered.id
    ) AS latest ON TRUE
    WHERE coalesce(mirror.subscription_id, ordered.id) IS NOT NULL
$$;
COMMENT ON FUNCTION billing_place_session_v1(text, uuid, integer, text) IS 'Where a Checkout session belongs: its order and its attempt; no row if there is no order for it';
