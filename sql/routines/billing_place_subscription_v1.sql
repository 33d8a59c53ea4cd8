-- Where a Stripe subscription belongs: the row that mirrors it, else the order it names, provided that
-- the order runs on the same Stripe customer (metadata alone must not move another buyer's row).
-- One row always. It is inlined into the queries that use it.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_place_subscription_v1(
    object_id text, stripe_customer_id text, order_id uuid
)
RETURNS TABLE (
    subscription_id uuid,
    customer_id uuid,
    since timestamptz,
    as_of timestamptz,
    event_id text,
    stripe_status text,
    deleted_id uuid,
    order_is_missing boolean
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        coalesce(mirrored.id, ordered.id),
        coalesce(known.customer_id, mirrored.customer_id, ordered.customer_id),
        mirrored.stripe_as_of_since,
        mirrored.stripe_as_of,
        mirrored.stripe_event_id,
        mirrored.stripe_status,
        deleted.subscription_id,
        billing_place_subscription_v1.order_id IS NOT NULL
            AND mirrored.id IS NULL
            AND NOT EXISTS (
                SELECT 1
                FROM subscriptions AS s
                WHERE s.id = billing_place_subscription_v1.order_id
                -- a look-up for each, and no hash of the whole table
                OFFSET 0
            )
    FROM (SELECT 1) AS told
    LEFT JOIN subscriptions AS mirrored
        ON mirrored.stripe_subscription_id = billing_place_subscription_v1.object_id
    LEFT JOIN subscriptions AS ordered
        ON ordered.id = billing_place_subscription_v1.order_id
        AND mirrored.id IS NULL
        AND ordered.stripe_subscription_id IS NULL
        AND ordered.billing_provider = 'stripe'
        AND ordered.stripe_customer_id = billing_place_subscription_v1.stripe_customer_id
    LEFT JOIN stripe_customers AS known
        ON known.id = billing_place_subscription_v1.stripe_customer_id
    LEFT JOIN LATERAL (
        -- its row was deleted here, as that of the order itself or as one of its own
        SELECT d.subscription_id
        FROM billing_deleted_subscriptions AS d
        WHERE mirrored.id IS NULL
          AND d.settled_at IS NULL
          AND (
              d.stripe_subscription_id = billing_place_subscription_v1.object_id
              OR (
                  d.subscription_id = billing_place_subscription_v1.order_id
                  AND d.stripe_subscription_id IS NULL
              )
          )
        LIMIT 1
    ) AS deleted ON TRUE
$$;
COMMENT ON FUNCTION billing_place_subscription_v1(text, text, uuid) IS 'Where a Stripe subscription belongs: the row that mirrors it, or the order it names on the same Stripe customer';
