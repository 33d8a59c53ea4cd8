-- The first waiting meter event of each Stripe customer and meter. The index is walked from one to the
-- next, so that it costs as much as there are of them, however many events wait.
CREATE OR REPLACE FUNCTION billing_waiting_usage_v1()
RETURNS TABLE (id uuid, next_attempt_at timestamptz)
LANGUAGE sql
STABLE
AS $$
    WITH RECURSIVE firsts AS (
        (
            SELECT
                e.id,
                e.stripe_customer_id,
                e.meter,
                e.next_attempt_at
            FROM billing_meter_events AS e
            WHERE e.state = 'waiting'
            ORDER BY e.stripe_customer_id, e.meter, e.number
            LIMIT 1
        )
        UNION ALL
        SELECT
            following.id,
            following.stripe_customer_id,
            following.meter,
            following.next_attempt_at
        FROM firsts
        CROSS JOIN LATERAL (
            SELECT
                e.id,
                e.stripe_customer_id,
                e.meter,
                e.next_attempt_at
            FROM billing_meter_events AS e
            WHERE e.state = 'waiting'
              AND (e.stripe_customer_id, e.meter) > (firsts.stripe_customer_id, firsts.meter)
            ORDER BY e.stripe_customer_id, e.meter, e.number
            LIMIT 1
        ) AS following
    )
    SELECT
        firsts.id,
        firsts.next_attempt_at
    FROM firsts
$$;
