-- What tenants and customers may have now.

-- name: get_of_tenant(tenant_id, livemode)^
SELECT
    e.*,
    now() AS now,
    s.created_at AT TIME ZONE 'UTC' AS created_at,
    s.customer_id,
    s.trial_end,
    coalesce(s.cancel_at, CASE WHEN s.cancel_at_period_end THEN s.current_period_end END) AS ends_at,
    t.id AS tenant_id,
    t.domain
FROM tenants AS t
JOIN subscriptions AS s
    ON s.id = t.billing_subscription_id
    AND s.livemode = :livemode::boolean
-- of this one: joined as a whole, the view is computed of all subscriptions
CROSS JOIN LATERAL (
    SELECT of_one.*
    FROM billing_entitlement_inputs AS of_one
    WHERE of_one.subscription_id = s.id
    OFFSET 0
) AS e
WHERE t.id = :tenant_id::uuid;

-- name: list_of_customer(customer_id, livemode, before_at, before_id, most)
-- Of subscriptions that were paid, newest first; of those that have ended, as long as an account of
-- theirs is kept.
WITH page AS (
    SELECT
        s.id,
        s.created_at,
        s.customer_id,
        s.trial_end,
        coalesce(s.cancel_at, CASE WHEN s.cancel_at_period_end THEN s.current_period_end END) AS ends_at
    FROM subscriptions AS s
    WHERE s.customer_id = :customer_id::uuid
      AND s.billing_provider = 'stripe'
      AND s.livemode = :livemode::boolean
      AND (
          s.stripe_status NOT IN ('canceled', 'incomplete_expired')
          OR EXISTS (
              SELECT 1
              FROM tenant_services AS kept
              WHERE kept.subscription_id = s.id
                AND kept.actual IN ('active', 'suspended')
          )
      )
      AND (
          :before_id::uuid IS NULL
          OR (s.created_at, s.id) < (:before_at::timestamptz AT TIME ZONE 'UTC', :before_id::uuid)
      )
    ORDER BY s.created_at DESC, s.id DESC
    LIMIT :most
)
SELECT
    e.*,
    now() AS now,
    page.created_at AT TIME ZONE 'UTC' AS created_at,
    page.customer_id,
    page.trial_end,
    page.ends_at,
    t.id AS tenant_id,
    t.domain
FROM page
-- of each, as above
CROSS JOIN LATERAL (
    SELECT of_one.*
    FROM billing_entitlement_inputs AS of_one
    WHERE of_one.subscription_id = page.id
    OFFSET 0
) AS e
LEFT JOIN tenants AS t
    ON t.billing_subscription_id = page.id
ORDER BY page.created_at DESC, page.id DESC;

-- name: list_concerned(subscription_id, whole_customer, most)
-- The subscription that an agreement about debts is for, or all of its customer that have not ended; whether each has
-- an agreement of its own, and what its customer has.
WITH concerned AS (
    SELECT s.id
    FROM subscriptions AS s
    WHERE s.id = :subscription_id::uuid
    UNION
    SELECT other.id
    FROM subscriptions AS s
    JOIN subscriptions AS other
        ON other.customer_id = s.customer_id
    WHERE s.id = :subscription_id::uuid
      AND :whole_customer::boolean
      AND other.stripe_status NOT IN ('canceled', 'incomplete_expired')
)
SELECT
    e.*,
    own.id IS NOT NULL AS has_own,
    agreed.grace_days AS customers_grace_days,
    agreed.not_before AS customers_not_before
FROM concerned
JOIN subscriptions AS s
    ON s.id = concerned.id
LEFT JOIN billing_leniency AS own
    ON own.subscription_id = s.id
LEFT JOIN billing_leniency AS agreed
    ON agreed.customer_id = s.customer_id
-- of each, as above
CROSS JOIN LATERAL (
    SELECT of_one.*
    FROM billing_entitlement_inputs AS of_one
    WHERE of_one.subscription_id = s.id
    OFFSET 0
) AS e
ORDER BY s.id = :subscription_id::uuid DESC, s.created_at DESC, s.id
LIMIT :most;
