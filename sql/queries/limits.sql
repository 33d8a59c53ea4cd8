-- What is sold a limited number of times: plans, coupons and trials.

-- Tables: billing_trials
--
-- CREATE TABLE billing_trials (
--     subscription_id uuid NOT NULL,
--     product_id uuid NOT NULL,
--     customer_id uuid,
--     livemode boolean NOT NULL,
--     vouched boolean NOT NULL,
--     person_hash bytea,
--     card_hash bytea,
--     earlier_subscription_id uuid,
--     matched_by text,
--     to_end boolean NOT NULL,
--     recorded_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_trials_check CHECK ((earlier_subscription_id <> subscription_id)),
--     CONSTRAINT billing_trials_check1 CHECK (((earlier_subscription_id IS NULL) = (matched_by IS NULL))),
--     CONSTRAINT billing_trials_check2 CHECK (((NOT to_end) OR (earlier_subscription_id IS NOT NULL))),
--     CONSTRAINT billing_trials_matched_by_check CHECK ((matched_by = ANY (ARRAY['customer'::text, 'address'::text, 'card'::text])))
-- );
-- ALTER TABLE ONLY billing_trials ADD CONSTRAINT billing_trials_pkey PRIMARY KEY (subscription_id);
-- CREATE INDEX billing_trials_card_idx ON billing_trials USING btree (card_hash);
-- CREATE INDEX billing_trials_customer_idx ON billing_trials USING btree (customer_id);
-- CREATE INDEX billing_trials_person_idx ON billing_trials USING btree (person_hash);
-- CREATE INDEX billing_trials_second_idx ON billing_trials USING btree (subscription_id) WHERE (earlier_subscription_id IS NOT NULL);

-- name: lock_plan(product_id)!
-- Until the transaction ends: of two orders of the last one at the same time, one is counted by the
-- other. Orders lock the plan before the coupon, as `catalog apply` does.
SELECT p.id
FROM products AS p
WHERE p.id = :product_id::uuid
FOR NO KEY UPDATE;

-- name: lock_coupon(code)!
-- The row, as `catalog apply` does; and the code, for one of Stripe's has no row.
SELECT
    pg_advisory_xact_lock(hashtextextended('coupon:' || :code::text, 0)),
    (
        SELECT c.code
        FROM coupons AS c
        WHERE c.code = :code::text
        FOR NO KEY UPDATE
    );

-- name: count_taken(subscription_id, customer_id, person_hash, vouched, livemode, product_id, coupon_code)^
-- What other orders have of the plan and the coupon, by their state in the mirror: nothing has to be
-- given back when a page expires. A coupon that was applied later counts as if it had been ordered. An unpaid order counts while its page can be paid, or is being
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
        UNION ALL
        SELECT
            c.subscription_id,
            FALSE,
            TRUE
        FROM billing_changes AS c
        WHERE c.params ->> 'coupon_code' = :coupon_code::text
          AND (c.state <> 'failed' OR c.may_be_made)
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
    count(*) FILTER (WHERE t.is_own AND t.is_paid AND t.is_plan AND t.has_trial) + (
        -- rows of subscriptions may have been deleted since
        SELECT count(*)
        FROM billing_trials AS had
        WHERE had.product_id = :product_id::uuid
          AND had.livemode = :livemode::boolean
          AND had.subscription_id <> :subscription_id::uuid
          AND (
              had.customer_id = :customer_id::uuid
              OR (had.person_hash = :person_hash::bytea AND (had.vouched OR NOT :vouched::boolean))
          )
    ) AS trials
FROM taken AS t;

-- name: has_redeemed(subscription_id, coupon_code)$
-- What Stripe may have done without saying so does not count: whether it did shows in the discounts.
SELECT EXISTS (
    SELECT 1
    FROM billing_redemptions AS r
    WHERE r.subscription_id = :subscription_id::uuid
      AND r.coupon_code = :coupon_code::text
);

-- name: list_redemptions_of_coupon(coupon_code, livemode, most)
-- The latest first.
SELECT
    r.coupon_code,
    r.redeemed_at,
    r.way,
    r.customer_id,
    r.customer_email,
    r.subscription_id,
    r.stripe_subscription_id,
    r.status
FROM billing_redemptions AS r
WHERE r.livemode = :livemode::boolean
  AND r.coupon_code = :coupon_code::text
ORDER BY r.redeemed_at DESC, r.subscription_id
LIMIT :most::integer;

-- name: list_redemptions_of_customer(customer_id, livemode, most)
-- The latest first.
SELECT
    r.coupon_code,
    r.redeemed_at,
    r.way,
    r.customer_id,
    r.customer_email,
    r.subscription_id,
    r.stripe_subscription_id,
    r.status
FROM billing_redemptions AS r
WHERE r.livemode = :livemode::boolean
  AND r.customer_id = :customer_id::uuid
ORDER BY r.redeemed_at DESC, r.subscription_id
LIMIT :most::integer;

-- name: get_trial(subscription_id)^
-- Nothing for a trial that was not ordered here: an operator may move a billing date with one.
SELECT
    s.id AS subscription_id,
    s.product_id,
    t.subscription_id IS NOT NULL AS recorded,
    t.earlier_subscription_id,
    t.matched_by,
    coalesce(t.to_end, FALSE) AS to_end
FROM subscriptions AS s
JOIN orders AS o
    ON o.subscription_id = s.id
LEFT JOIN billing_trials AS t
    ON t.subscription_id = s.id
WHERE s.id = :subscription_id::uuid
  AND s.product_id IS NOT NULL
  AND s.trial_end IS NOT NULL
  AND s.metadata ->> 'trialActive' = 'true';

-- name: record_trial(subscription_id, card_hash, to_end)!
-- The caller has locked the plan: of two trials that begin at the same time, one finds the other. As
-- for orders, an anonymous order at the same address does not weigh on a customer who is vouched for.
INSERT INTO billing_trials (
    subscription_id,
    product_id,
    customer_id,
    livemode,
    vouched,
    person_hash,
    card_hash,
    earlier_subscription_id,
    matched_by,
    to_end
)
SELECT
    s.id,
    s.product_id,
    s.customer_id,
    s.livemode,
    o.vouched,
    o.person_hash,
    :card_hash::bytea,
    earlier.subscription_id,
    earlier.matched_by,
    :to_end::boolean AND earlier.subscription_id IS NOT NULL
FROM subscriptions AS s
JOIN orders AS o
    ON o.subscription_id = s.id
LEFT JOIN LATERAL (
    SELECT
        found.subscription_id,
        found.matched_by
    FROM (
        SELECT
            t.subscription_id,
            t.recorded_at,
            'customer' AS matched_by,
            1 AS certainty
        FROM billing_trials AS t
        WHERE t.product_id = s.product_id
          AND t.livemode = s.livemode
          AND t.customer_id = s.customer_id
        UNION ALL
        SELECT
            t.subscription_id,
            t.recorded_at,
            'address',
            2
        FROM billing_trials AS t
        WHERE t.product_id = s.product_id
          AND t.livemode = s.livemode
          AND t.person_hash = o.person_hash
          AND (t.vouched OR NOT o.vouched)
        UNION ALL
        SELECT
            t.subscription_id,
            t.recorded_at,
            'card',
            3
        FROM billing_trials AS t
        WHERE t.product_id = s.product_id
          AND t.livemode = s.livemode
          AND t.card_hash = :card_hash::bytea
    ) AS found
    WHERE found.subscription_id <> s.id
    ORDER BY found.certainty, found.recorded_at, found.subscription_id
    LIMIT 1
) AS earlier ON TRUE
WHERE s.id = :subscription_id::uuid
ON CONFLICT (subscription_id) DO NOTHING;

-- name: count_plans(subscription_id, customer_id, livemode, product_id, code)$
-- A customer's other subscriptions that have the plan, are being changed to it, or will be at the end
-- of their term.
SELECT count(*)
FROM subscriptions AS s
WHERE s.customer_id = :customer_id::uuid
  AND s.id <> :subscription_id::uuid
  AND s.livemode = :livemode::boolean
  AND s.billing_provider = 'stripe'
  AND s.status IN ('pending', 'active', 'suspended')
  AND (
      s.product_id = :product_id::uuid
      OR EXISTS (
          SELECT 1
          FROM billing_changes AS c
          WHERE c.subscription_id = s.id
            AND c.kind = 'change_plan'
            AND c.state IN ('asking', 'unanswered')
            AND coalesce(c.params #>> '{metadata,planId}', c.params #>> '{planned,metadata,planId}') = :code::text
      )
      OR EXISTS (
          SELECT 1
          FROM billing_planned_changes AS p
          WHERE p.stripe_schedule_id = s.stripe_schedule_id
            AND p.plan_code = :code::text
            AND p.effective_at >= s.current_period_end
      )
  );

-- name: has_others_at_stripe(subscription_id)$
-- Ended ones count too: what was used in their time would be billed again.
SELECT EXISTS (
    SELECT 1
    FROM subscriptions AS s
    JOIN subscriptions AS other
        ON other.customer_id = s.customer_id
        AND other.stripe_customer_id = s.stripe_customer_id
        AND other.id <> s.id
        AND other.status <> 'expired'
    WHERE s.id = :subscription_id::uuid
);
