-- The rows that billing_revenue is to have of a subscription: what it adds to the monthly recurring revenue, by product
-- and by coupon, too; no row if it is not billed.
-- Code that is running calls it by its name and its parameters: a change of either is a _v3.

CREATE OR REPLACE FUNCTION billing_subscription_revenue_v2(of_subscription uuid)
RETURNS TABLE (
    livemode boolean,
    currency text,
    kind text,
    stripe_id text,
    customer_id uuid,
    amount numeric,
    taken_off numeric,
    ends_at timestamptz,
    changes_at timestamptz
)
LANGUAGE sql
STABLE
ROWS 3
AS $$
    WITH parts AS MATERIALIZED (
        SELECT
            s.livemode,
            coalesce(s.customer_id, s.id) AS customer_id,
            part.currency,
            coalesce(part.product, '') AS product,
            part.discount,
            CASE WHEN part.discount IS NULL THEN part.amount ELSE 0 END AS amount,
            CASE WHEN part.discount IS NULL THEN 0 ELSE part.amount END AS taken_off
        FROM subscriptions AS s
        CROSS JOIN LATERAL billing_stored_revenue_state_v2(s.id, s.currency) AS stored
        CROSS JOIN LATERAL billing_revenue_parts_v1(s.id, stored.state, now()) AS part
        WHERE s.id = of_subscription
          AND s.stripe_status IN ('active', 'past_due')
    ),
    whole AS MATERIALIZED (
        SELECT
            p.livemode,
            p.currency,
            p.customer_id,
            sum(p.amount) AS amount,
            sum(p.taken_off) AS taken_off
        FROM parts AS p
        GROUP BY p.livemode, p.currency, p.customer_id
    )
    SELECT
        w.livemode,
        w.currency,
        'all',
        '',
        w.customer_id,
        w.amount,
        w.taken_off,
        NULL::timestamptz,
        (
            SELECT min(d.ends_at)
            FROM subscription_discounts AS d
            WHERE d.subscription_id = of_subscription
              AND d.ends_at > now()
        )
    FROM whole AS w
    UNION ALL
    SELECT
        p.livemode,
        p.currency,
        'product',
        p.product,
        p.customer_id,
        sum(p.amount),
        sum(p.taken_off),
        NULL,
        NULL
    FROM parts AS p
    GROUP BY p.livemode, p.currency, p.product, p.customer_id
    UNION ALL
    SELECT
        w.livemode,
        w.currency,
        'coupon',
        coalesce(d.stripe_coupon_id, ''),
        w.customer_id,
        w.amount,
        sum(p.taken_off),
        max(coalesce(d.ends_at, 'infinity')),
        NULL
    FROM parts AS p
    JOIN whole AS w
        ON w.currency = p.currency
    CROSS JOIN LATERAL (
        -- one discount may be on several items
        SELECT
            given.stripe_coupon_id,
            given.ends_at
        FROM subscription_discounts AS given
        WHERE given.subscription_id = of_subscription
          AND given.stripe_discount_id = p.discount
        LIMIT 1
    ) AS d
    GROUP BY w.livemode, w.currency, coalesce(d.stripe_coupon_id, ''), w.customer_id, w.amount
$$;
COMMENT ON FUNCTION billing_subscription_revenue_v2(uuid) IS 'What a subscription adds to the monthly recurring revenue, of all, by product and by coupon: minor units, not rounded';
