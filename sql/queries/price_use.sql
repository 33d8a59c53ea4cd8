-- Who pays which price, as pages of the console.

-- name: list_prices(kind, livemode, most_counted, most)
-- Those of a kind of product that are on sale, or that somebody still pays. At most so many payers are counted.
SELECT
    p.id,
    products.code,
    products.name,
    p.lookup_key,
    p.billing_cycle,
    p.purpose,
    p.currency,
    p.unit_amount,
    p.tiers IS NOT NULL AS by_usage,
    p.active AND products.status = 'active' AS is_sold,
    CASE WHEN p.livemode = :livemode::boolean THEN p.stripe_price_id END AS stripe_price_id,
    used.payers
FROM products
JOIN prices AS p
    ON p.product_id = products.id
CROSS JOIN LATERAL (
    SELECT count(*) AS payers
    FROM (
        SELECT 1
        FROM subscription_items AS i
        JOIN subscriptions AS s
            ON s.id = i.subscription_id
        WHERE i.price_id = p.id
          AND s.livemode = :livemode::boolean
          AND s.stripe_status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
        LIMIT :most_counted
    ) AS counted
) AS used
WHERE products.kind = :kind
  AND products.code IS NOT NULL
  AND (p.active OR used.payers > 0)
ORDER BY products.display_order, products.code, p.currency, p.billing_cycle, p.purpose, p.created_at
LIMIT :most;

-- name: get_price(id, livemode, most_counted)^
-- A price, and how many pay it: at most so many are counted; null: all.
SELECT
    p.id,
    products.code,
    products.name,
    p.lookup_key,
    p.billing_cycle,
    p.purpose,
    p.currency,
    p.unit_amount,
    p.tiers IS NOT NULL AS by_usage,
    p.active AND products.status = 'active' AS is_sold,
    p.created_at,
    CASE WHEN p.livemode = :livemode::boolean THEN p.stripe_price_id END AS stripe_price_id,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM subscription_items AS i
            JOIN subscriptions AS s
                ON s.id = i.subscription_id
            WHERE i.price_id = p.id
              AND s.livemode = :livemode::boolean
              AND s.stripe_status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
            LIMIT :most_counted
        ) AS counted
    ) AS payers
FROM prices AS p
JOIN products
    ON products.id = p.product_id
WHERE p.id = :id::uuid;

-- name: list_payers(price_id, livemode, after, most)
-- A page of the subscriptions that have a price, by their ids. OFFSET 0 keeps what is read of each a look-up, and
-- so in the order of the index: the planner takes a page for a tenth of all, and would join all with workers.
SELECT
    s.id,
    s.status,
    s.stripe_status,
    i.quantity,
    s.current_period_end,
    s.customer_id,
    coalesce(c.company_name, c.name, c.email) AS customer,
    s.domain
FROM subscription_items AS i
CROSS JOIN LATERAL (
    SELECT
        paying.id,
        paying.status,
        paying.stripe_status,
        paying.current_period_end,
        paying.customer_id,
        t.domain
    FROM subscriptions AS paying
    LEFT JOIN tenants AS t
        ON t.id = paying.tenant_id
    WHERE paying.id = i.subscription_id
      AND paying.livemode = :livemode::boolean
      AND paying.stripe_status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
    OFFSET 0
) AS s
LEFT JOIN LATERAL (
    SELECT
        payer.company_name,
        payer.name,
        payer.email
    FROM customers AS payer
    WHERE payer.id = s.customer_id
    OFFSET 0
) AS c ON TRUE
WHERE i.price_id = :price_id::uuid
  AND i.subscription_id > :after::uuid
ORDER BY i.subscription_id
LIMIT :most;
