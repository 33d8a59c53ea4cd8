-- Taxes of subscriptions that there are: who could be taxed, and who was told.

-- Tables: billing_tax_notices
--
-- CREATE TABLE billing_tax_notices (
--     subscription_id uuid NOT NULL,
--     currency text NOT NULL,
--     total_before bigint NOT NULL,
--     total bigint NOT NULL,
--     tax bigint NOT NULL,
--     not_before timestamp with time zone NOT NULL,
--     told_by text NOT NULL,
--     told_at timestamp with time zone DEFAULT now() NOT NULL,
--     next_attempt_at timestamp with time zone NOT NULL,
--     left_because text,
--     enabled_at timestamp with time zone,
--     CONSTRAINT billing_tax_notices_check CHECK ((not_before >= told_at)),
--     CONSTRAINT billing_tax_notices_currency_check CHECK ((currency = lower(currency)))
-- );
-- ALTER TABLE ONLY billing_tax_notices ADD CONSTRAINT billing_tax_notices_pkey PRIMARY KEY (subscription_id);
-- ALTER TABLE ONLY billing_tax_notices ADD CONSTRAINT billing_tax_notices_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX billing_tax_notices_due_idx ON billing_tax_notices USING btree (next_attempt_at) WHERE (enabled_at IS NULL);

-- name: list_candidates(product, subscription_id, after, most, livemode)
-- A page of what Stripe bills, by id: all, or those with a product, or one; with why one is left alone.
SELECT
    s.id,
    s.stripe_subscription_id,
    c.email,
    CASE
        WHEN s.stripe_status = 'paused' THEN 'paused'
        WHEN s.cancel_at_period_end OR s.cancel_at IS NOT NULL THEN 'set to end'
        WHEN s.stripe_schedule_id IS NOT NULL AND NOT EXISTS (
            -- ours, and what it was for is made: it is released first
            SELECT 1
            FROM billing_planned_changes AS p
            WHERE p.stripe_schedule_id = s.stripe_schedule_id
              AND p.planned_at IS NOT NULL
              AND p.effective_at < s.current_period_end
        ) THEN 'with a change planned'
        WHEN s.pending_update_expires_at IS NOT NULL THEN 'with a change that waits for its payment'
    END AS why,
    n.not_before,
    EXISTS (
        SELECT 1
        FROM billing_changes AS begun
        WHERE begun.subscription_id = s.id
          AND begun.kind = 'enable_tax'
          AND (begun.state IN ('asking', 'unanswered') OR begun.may_be_made)
          AND begun.state <> 'done'
          AND begun.attempted_at > now() - interval '23 hours'
    ) AS is_begun
FROM subscriptions AS s
LEFT JOIN customers AS c
    ON c.id = s.customer_id
LEFT JOIN billing_tax_notices AS n
    ON n.subscription_id = s.id
WHERE s.id > :after::uuid
  AND (:subscription_id::uuid IS NULL OR s.id = :subscription_id::uuid)
  AND s.livemode = :livemode::boolean
  AND s.billing_provider = 'stripe'
  AND s.stripe_status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
  AND (:product::text IS NULL OR EXISTS (
      SELECT 1
      FROM subscription_items AS i
      JOIN products
          ON products.stripe_product_id = i.stripe_product_id
      WHERE i.subscription_id = s.id
        AND products.code = :product
  ))
ORDER BY s.id
LIMIT :most;

-- name: is_sold(product)$
-- Whether there is such a product, on sale or not.
SELECT EXISTS (SELECT 1 FROM products WHERE products.code = :product);

-- name: is_anyone_told(livemode)$
-- Whether a receiver gets tax.starting: while one is disabled, what there is to send waits.
SELECT EXISTS (
    SELECT 1
    FROM billing_receivers AS r
    WHERE r.livemode = :livemode::boolean
      AND r.disabled_at IS NULL
      AND billing_is_wanted('tax.starting', r.types)
);

-- name: tell(subscription_id, currency, total_before, total, tax, notice_days, told_by)^
-- Records the notice of a subscription, and tells of it; nothing if its customer was told before.
WITH told AS (
    INSERT INTO billing_tax_notices AS n
        (subscription_id, currency, total_before, total, tax, not_before, next_attempt_at, told_by)
    VALUES (
        :subscription_id::uuid,
        :currency,
        :total_before::bigint,
        :total::bigint,
        :tax::bigint,
        now() + make_interval(days => :notice_days::integer),
        now() + make_interval(days => :notice_days::integer),
        :told_by
    )
    ON CONFLICT (subscription_id) DO NOTHING
    RETURNING n.*
)
SELECT
    told.not_before,
    billing_record_message(
        'tax.starting',
        told.subscription_id::text,
        told.told_at::text,
        s.livemode,
        s.id,
        s.customer_id,
        now(),
        jsonb_build_object('tax', jsonb_build_object(
            'currency', told.currency,
            'totalBefore', told.total_before,
            'total', told.total,
            'tax', told.tax,
            'notBefore', told.not_before
        ))
    ) AS message
FROM told
JOIN subscriptions AS s
    ON s.id = told.subscription_id;

-- name: note_enabled(subscription_id)!
-- Stripe computes the taxes of who was told; of others there is no notice.
UPDATE billing_tax_notices
SET enabled_at = now()
WHERE subscription_id = :subscription_id::uuid
  AND enabled_at IS NULL;

-- name: list_due(livemode, most)
-- Of which subscriptions the notice is over, and who ordered it; those that were put off when they are due.
SELECT
    n.subscription_id,
    n.told_by
FROM billing_tax_notices AS n
JOIN subscriptions AS s
    ON s.id = n.subscription_id
WHERE n.enabled_at IS NULL
  AND n.next_attempt_at <= now()
  AND s.livemode = :livemode::boolean
ORDER BY n.next_attempt_at
LIMIT :most;

-- name: put_off(subscription_id, next_attempt_at, left_because)!
-- Without a time it is not looked at again.
UPDATE billing_tax_notices
SET next_attempt_at = coalesce(:next_attempt_at::timestamptz, 'infinity'),
    left_because = :left_because
WHERE subscription_id = :subscription_id::uuid
  AND enabled_at IS NULL;

-- name: hold_notice(subscription_id)$
-- Whether the notice of a subscription stands and is over; its row is locked, so that it is not taken back
-- while Stripe is asked.
SELECT n.not_before <= now()
FROM billing_tax_notices AS n
WHERE n.subscription_id = :subscription_id::uuid
FOR UPDATE;

-- name: lock_notices(livemode)!
-- Waits for those who are about to ask Stripe: what they have begun is seen by the next statement.
SELECT n.subscription_id
FROM billing_tax_notices AS n
JOIN subscriptions AS s
    ON s.id = n.subscription_id
WHERE n.enabled_at IS NULL
  AND s.livemode = :livemode::boolean
ORDER BY n.subscription_id
FOR UPDATE OF n;

-- name: withdraw(product, subscription_id, livemode)
-- Takes back the notices of what is not taxed, and what Stripe was not asked to tax.
DELETE FROM billing_tax_notices AS n
USING subscriptions AS s
WHERE s.id = n.subscription_id
  AND n.enabled_at IS NULL
  AND (:subscription_id::uuid IS NULL OR s.id = :subscription_id::uuid)
  AND s.livemode = :livemode::boolean
  AND (:product::text IS NULL OR EXISTS (
      SELECT 1
      FROM subscription_items AS i
      JOIN products
          ON products.stripe_product_id = i.stripe_product_id
      WHERE i.subscription_id = s.id
        AND products.code = :product
  ))
  AND NOT EXISTS (
      SELECT 1
      FROM billing_changes AS begun
      WHERE begun.subscription_id = s.id
        AND begun.kind = 'enable_tax'
        AND (begun.state <> 'failed' OR begun.may_be_made)
  )
RETURNING n.subscription_id;
