-- What is sold a limited number of times: plans, coupons and trials.

-- name: lock_plan(product_id)!
-- Until the transaction ends: of two orders of the last one at the same time, one is counted by the
-- other. Orders lock the plan before the coupon, as `catalog apply` does.
SELECT p.id
FROM products AS p
WHERE p.id = :product_id::uuid
FOR NO KEY UPDATE;

-- name: lock_coupon(code)!
SELECT c.code
FROM coupons AS c
WHERE c.code = :code::text
FOR NO KEY UPDATE;

-- name: count_taken(subscription_id, customer_id, person_hash, vouched, livemode, product_id, coupon_code)^
-- What other orders have of the plan and the coupon, by their state in the mirror: nothing has to be
-- given back when a page expires. An unpaid order counts while its page can be paid, or is being
-- opened. What anyone can order for an e-mail address does not weigh on a customer for whom mPanel
-- vouches: pages that are only open, and orders of another customer.
WITH own AS (
    SELECT s.id
    FROM subscriptions AS s
    WHERE s.customer_id = :customer_id::uuid
    UNION
    SELECT o.subscription_id
    FROM orders AS o
    WHERE o.person_hash = :person_hash::bytea
      AND (o.vouched OR NOT :vouched::boolean)
),
concerned AS (
    SELECT
        named.id,
        bool_or(named.is_own) AS is_own,
        bool_or(named.has_coupon) AS has_coupon
    FROM (
        SELECT
            own.id,
            TRUE AS is_own,
            FALSE AS has_coupon
        FROM own
        UNION ALL
        SELECT
            o.subscription_id,
            FALSE,
            TRUE
        FROM orders AS o
        WHERE o.coupon_code = :coupon_code::text
    ) AS named
    WHERE named.id <> :subscription_id::uuid
    GROUP BY named.id
),
taken AS (
    SELECT
        s.product_id = :product_id::uuid AS is_plan,
        c.has_coupon,
        c.is_own AND (s.status <> 'provisional' OR o.vouched IS TRUE OR NOT :vouched::boolean) AS is_own,
        s.status <> 'provisional' AS is_paid,
        s.status <> 'cancelled' AS is_alive,
        s.trial_end IS NOT NULL AS has_trial
    FROM concerned AS c
    JOIN subscriptions AS s
        ON s.id = c.id
        AND s.livemode = :livemode::boolean
        AND s.billing_provider = 'stripe'
    LEFT JOIN orders AS o
        ON o.subscription_id = s.id
    WHERE s.status NOT IN ('provisional', 'expired')
       OR (
           s.status = 'provisional'
           AND o.superseded_at IS NULL
           AND EXISTS (
               SELECT 1
               FROM checkout_sessions AS page
               WHERE page.subscription_id = s.id
                 AND CASE page.status
                     WHEN 'complete' THEN TRUE
                     WHEN 'open' THEN page.expires_at > now()
                     WHEN 'creating' THEN page.updated_at > now() - interval '25 hours'
                     ELSE FALSE
                 END
           )
       )
)
SELECT
    count(*) FILTER (WHERE t.is_own AND t.is_plan AND t.is_alive) AS plans,
    count(*) FILTER (WHERE t.has_coupon) AS coupons,
    count(*) FILTER (WHERE t.has_coupon AND t.is_own) AS own_coupons,
    count(*) FILTER (WHERE t.is_own AND t.is_paid) AS own_orders,
    count(*) FILTER (WHERE t.is_own AND t.is_paid AND t.is_plan AND t.has_trial) AS trials
FROM taken AS t;
