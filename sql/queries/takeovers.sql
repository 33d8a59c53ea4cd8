-- A subscription takes over the tenant and the accounts of one that has ended.

-- Tables: billing_takeovers, billing_kept_payments
--
-- CREATE TABLE billing_takeovers (
--     subscription_id uuid NOT NULL,
--     predecessor_id uuid NOT NULL,
--     reason text NOT NULL,
--     settles text[] DEFAULT '{}'::text[] NOT NULL,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     done_at timestamp with time zone,
--     CONSTRAINT billing_takeovers_check CHECK ((subscription_id <> predecessor_id)),
--     CONSTRAINT billing_takeovers_reason_check CHECK ((reason = ANY (ARRAY['revived'::text, 'returned'::text, 'adopted'::text])))
-- );
-- ALTER TABLE ONLY billing_takeovers ADD CONSTRAINT billing_takeovers_pkey PRIMARY KEY (subscription_id);
-- ALTER TABLE ONLY billing_takeovers ADD CONSTRAINT billing_takeovers_predecessor_id_key UNIQUE (predecessor_id);
-- ALTER TABLE ONLY billing_takeovers ADD CONSTRAINT billing_takeovers_predecessor_id_fkey FOREIGN KEY (predecessor_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY billing_takeovers ADD CONSTRAINT billing_takeovers_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
--
-- CREATE TABLE billing_kept_payments (
--     stripe_invoice_id text NOT NULL,
--     subscription_id uuid NOT NULL,
--     amount bigint NOT NULL,
--     currency text NOT NULL,
--     reason text NOT NULL,
--     kept_by text NOT NULL,
--     kept_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_kept_payments_amount_check CHECK ((amount > 0)),
--     CONSTRAINT billing_kept_payments_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text))
-- );
-- ALTER TABLE ONLY billing_kept_payments ADD CONSTRAINT billing_kept_payments_pkey PRIMARY KEY (stripe_invoice_id);
-- ALTER TABLE ONLY billing_kept_payments ADD CONSTRAINT billing_kept_payments_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX billing_kept_payments_subscription_idx ON billing_kept_payments USING btree (subscription_id);

-- name: find_ended_tenant(subscription_id, domain, tenant_id)^
-- The tenant of an ended subscription, by its domain or its id, and whether this subscription may
-- take it over: the same customer, accounts that are not terminated, and no hold.
SELECT
    t.id AS tenant_id,
    ended.id AS predecessor_id,
    ended.stripe_status IN ('canceled', 'incomplete_expired') AS has_ended,
    ended.customer_id IS NOT DISTINCT FROM s.customer_id AND s.customer_id IS NOT NULL AS same_customer,
    EXISTS (
        SELECT 1
        FROM tenant_services AS service
        WHERE service.subscription_id = ended.id
          AND service.actual IN ('active', 'suspended')
    ) AS has_accounts,
    EXISTS (
        SELECT 1
        FROM provisioning_holds AS hold
        WHERE hold.subscription_id = ended.id
          AND hold.lifted_at IS NULL
    ) AS is_held,
    coalesce(o.vouched, FALSE) AS vouched,
    s.stripe_status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused') AS is_alive
FROM subscriptions AS s
JOIN tenants AS t
    ON t.domain = :domain::text
    OR t.id = :tenant_id::uuid
JOIN subscriptions AS ended
    ON ended.id = t.billing_subscription_id
    AND ended.id <> s.id
    AND ended.livemode = s.livemode
LEFT JOIN orders AS o
    ON o.subscription_id = s.id
WHERE s.id = :subscription_id::uuid;

-- name: list_adoptable(subscription_id)
-- The tenants of ended subscriptions of the same customer that find_ended_tenant lets it take over, and that
-- nobody has taken over before; the latest first.
SELECT
    t.id AS tenant_id,
    t.domain,
    ended.id AS predecessor_id,
    ended.ended_at,
    accounts.product_types
FROM subscriptions AS s
JOIN subscriptions AS ended
    ON ended.customer_id = s.customer_id
    AND ended.id <> s.id
    AND ended.livemode = s.livemode
    AND ended.stripe_status IN ('canceled', 'incomplete_expired')
JOIN tenants AS t
    ON t.billing_subscription_id = ended.id
CROSS JOIN LATERAL (
    SELECT array_agg(service.product_type ORDER BY service.product_type) AS product_types
    FROM tenant_services AS service
    WHERE service.subscription_id = ended.id
      AND service.actual IN ('active', 'suspended')
) AS accounts
WHERE s.id = :subscription_id::uuid
  AND s.stripe_status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
  AND accounts.product_types IS NOT NULL
  AND NOT EXISTS (
      SELECT 1
      FROM provisioning_holds AS hold
      WHERE hold.subscription_id = ended.id
        AND hold.lifted_at IS NULL
  )
  AND NOT EXISTS (
      SELECT 1
      FROM billing_takeovers AS before
      WHERE before.predecessor_id = ended.id
         OR before.subscription_id = s.id
  )
ORDER BY ended.ended_at DESC, t.id;

-- name: plan_takeover(subscription_id, predecessor_id, reason)$
-- Null: another subscription has taken it over, or this one takes over another. A revival is billed
-- from the end of the time that was paid late: of the payments that are known now. What is alive at
-- Stripe and about to take over is not displaced. A revival stays one if its subscription is joined with
-- the tenant by command, too: it settles what was paid late.
INSERT INTO billing_takeovers AS takeover (subscription_id, predecessor_id, reason, settles)
SELECT
    :subscription_id::uuid,
    :predecessor_id::uuid,
    :reason::text,
    ARRAY(
        SELECT late.invoice
        FROM provisioning_work AS w
        CROSS JOIN LATERAL jsonb_to_recordset(nullif(w.inputs -> 'paidAfterEnd', 'null')) AS late (invoice text)
        WHERE w.subscription_id = :predecessor_id::uuid
          AND :reason::text = 'revived'
    )
WHERE NOT EXISTS (
    SELECT 1
    FROM billing_takeovers AS other
    WHERE other.subscription_id = :subscription_id::uuid
      AND other.predecessor_id <> :predecessor_id::uuid
)
ON CONFLICT (predecessor_id) DO UPDATE
SET subscription_id = excluded.subscription_id,
    reason = CASE
        WHEN takeover.subscription_id = excluded.subscription_id AND takeover.reason = 'revived'
            THEN takeover.reason
        ELSE excluded.reason
    END,
    settles = CASE
        WHEN takeover.subscription_id = excluded.subscription_id AND excluded.reason <> 'revived'
            THEN takeover.settles
        ELSE excluded.settles
    END
WHERE takeover.done_at IS NULL
  AND (
      takeover.subscription_id = excluded.subscription_id
      OR NOT EXISTS (
          SELECT 1
          FROM subscriptions AS s
          WHERE s.id = takeover.subscription_id
            AND s.stripe_status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
      )
  )
RETURNING TRUE;

-- name: abandon_takeover(subscription_id, token)!
-- Unless the lease is lost.
DELETE FROM billing_takeovers AS takeover
USING provisioning_work AS w
WHERE takeover.subscription_id = :subscription_id::uuid
  AND takeover.done_at IS NULL
  AND w.subscription_id = takeover.subscription_id
  AND w.lease_token = :token::uuid;

-- name: has_taken_over(subscription_id, tenant_id)$
SELECT TRUE
FROM billing_takeovers AS takeover
JOIN tenants AS t
    ON t.billing_subscription_id = takeover.subscription_id
WHERE takeover.subscription_id = :subscription_id::uuid
  AND t.id = :tenant_id::uuid;

-- name: get_revival(subscription_id, successor_id)^
-- paid_until: the end of the time that was paid for, and not refunded nor settled otherwise; null if
-- it is over.
SELECT
    EXISTS (
        SELECT 1
        FROM tenant_services AS service
        WHERE service.subscription_id = :subscription_id::uuid
          AND service.actual IN ('active', 'suspended')
    ) AS has_accounts,
    EXISTS (
        SELECT 1
        FROM provisioning_holds AS hold
        WHERE hold.subscription_id = :subscription_id::uuid
          AND hold.lifted_at IS NULL
    ) AS is_held,
    (
        SELECT takeover.subscription_id
        FROM billing_takeovers AS takeover
        WHERE takeover.predecessor_id = :subscription_id::uuid
          AND takeover.done_at IS NOT NULL
    ) AS taken_over_by,
    successor.stripe_subscription_id AS successor_stripe_id,
    successor.stripe_status IN ('canceled', 'incomplete_expired') AS successor_has_ended,
    (
        SELECT max(i.period_end)
        FROM invoices AS i
        WHERE i.subscription_id = :subscription_id::uuid
          AND i.stripe_status = 'paid'
          AND i.billing_reason IS DISTINCT FROM 'manual'
          AND i.period_end > now() + interval '1 minute'
          AND NOT EXISTS (
              SELECT 1
              FROM billing_kept_payments AS kept
              WHERE kept.stripe_invoice_id = i.stripe_invoice_id
          )
          AND i.amount_paid > i.amount_refunded + i.amount_credited
          AND i.disputed_since IS NULL
    ) AS paid_until
FROM (SELECT :successor_id::uuid AS id) AS asked
LEFT JOIN subscriptions AS successor
    ON successor.id = asked.id;

-- name: insert_successor(subscription_id, successor_id)!
INSERT INTO subscriptions (
    id,
    customer_id,
    product_id,
    status,
    billing_provider,
    livemode,
    currency,
    amount,
    price,
    billing_cycle,
    auto_renew,
    stripe_customer_id,
    metadata
)
SELECT
    :successor_id::uuid,
    s.customer_id,
    s.product_id,
    'provisional',
    'stripe',
    s.livemode,
    s.currency,
    s.amount,
    s.price,
    s.billing_cycle,
    FALSE,
    s.stripe_customer_id,
    s.metadata
FROM subscriptions AS s
WHERE s.id = :subscription_id::uuid
ON CONFLICT (id) DO NOTHING;

-- name: get_stripe_id(subscription_id)$
SELECT s.stripe_subscription_id
FROM subscriptions AS s
WHERE s.id = :subscription_id::uuid;

-- name: hold_works(subscription_id, predecessor_id, token)$
-- Locks both; null: the lease is lost.
WITH locked AS MATERIALIZED (
    SELECT w.subscription_id, w.lease_token
    FROM provisioning_work AS w
    WHERE w.subscription_id IN (:subscription_id::uuid, :predecessor_id::uuid)
    ORDER BY w.subscription_id
    FOR NO KEY UPDATE
)
SELECT TRUE
FROM locked
WHERE locked.subscription_id = :subscription_id::uuid
  AND locked.lease_token = :token::uuid;

-- name: park_services(subscription_id, predecessor_id)!
-- Makes place for the accounts of the predecessor that still exist.
UPDATE tenant_services AS service
SET product_type = service.product_type || ' (parked)'
WHERE service.subscription_id = :subscription_id::uuid
  AND EXISTS (
      SELECT 1
      FROM tenant_services AS other
      WHERE other.subscription_id = :predecessor_id::uuid
        AND other.product_type = service.product_type
        AND (other.actual IN ('active', 'suspended') OR other.pending_action IS NOT NULL)
  );

-- name: take_services(subscription_id, predecessor_id, now)!
-- The driver goes on to have each account under the id that it was created for.
UPDATE tenant_services AS service
SET subscription_id = :subscription_id::uuid,
    account_id = coalesce(service.account_id, service.subscription_id),
    exchanged_at = coalesce(:now::timestamptz, now()),
    removed_at = NULL,
    attempts = 0,
    stopped = NULL,
    last_error = NULL,
    next_attempt_at = NULL,
    updated_at = now()
WHERE service.subscription_id = :predecessor_id::uuid
  AND (service.actual IN ('active', 'suspended') OR service.pending_action IS NOT NULL);

-- name: give_parked_services(subscription_id, predecessor_id, now)!
UPDATE tenant_services AS service
SET subscription_id = :predecessor_id::uuid,
    product_type = replace(service.product_type, ' (parked)', ''),
    account_id = coalesce(service.account_id, service.subscription_id),
    exchanged_at = coalesce(:now::timestamptz, now()),
    removed_at = NULL,
    attempts = 0,
    stopped = NULL,
    last_error = NULL,
    next_attempt_at = NULL,
    updated_at = now()
WHERE service.subscription_id = :subscription_id::uuid
  AND service.product_type LIKE '% (parked)';

-- name: release_tenant(subscription_id)$
UPDATE tenants
SET billing_subscription_id = NULL,
    updated_at = CURRENT_TIMESTAMP
WHERE billing_subscription_id = :subscription_id::uuid
RETURNING id;

-- name: bind_tenant(subscription_id, tenant_id)!
WITH bound AS (
    UPDATE tenants AS t
    SET billing_subscription_id = :subscription_id::uuid,
        updated_at = CURRENT_TIMESTAMP
    WHERE t.id = :tenant_id::uuid
    RETURNING t.id
)
UPDATE subscriptions AS s
SET tenant_id = bound.id,
    updated_at = now()
FROM bound
WHERE s.id = :subscription_id::uuid;

-- name: drop_undecided_names(subscription_id, predecessor_id)!
-- What the ended one had is not another customer's any more: it is decided again, unless its price was
-- given back. Its names make place for the same ones, whose rows come with its accounts.
DELETE FROM billing_domains AS own
WHERE own.subscription_id = :subscription_id::uuid
  AND own.held_at IS NULL
  AND (
      own.given_back_at IS NULL
      OR EXISTS (
          SELECT 1
          FROM billing_domains AS had
          WHERE had.subscription_id = :predecessor_id::uuid
            AND had.name = own.name
            AND had.held_at IS NOT NULL
            AND had.state NOT IN ('released', 'failed')
      )
  );

-- name: take_names(subscription_id, predecessor_id)!
UPDATE billing_domains AS own
SET subscription_id = :subscription_id::uuid,
    updated_at = now()
WHERE own.subscription_id = :predecessor_id::uuid
  AND own.held_at IS NOT NULL
  AND own.state NOT IN ('released', 'failed');

-- name: finish_takeover(subscription_id, predecessor_id, now)!
-- It is paid for by what its predecessor had paid, so it need not wait for a first payment. What was
-- troubling about its domain is settled.
WITH done AS (
    UPDATE billing_takeovers AS takeover
    SET done_at = coalesce(:now::timestamptz, now())
    WHERE takeover.subscription_id = :subscription_id::uuid
      AND takeover.predecessor_id = :predecessor_id::uuid
    RETURNING takeover.subscription_id
),
begun AS (
    UPDATE subscriptions AS s
    SET status = 'pending',
        updated_at = now()
    FROM done
    WHERE s.id = done.subscription_id
      AND s.status IN ('provisional', 'expired')
)
UPDATE provisioning_work AS w
SET trouble = NULL,
    last_error = nullif(w.last_error, w.trouble)
FROM done
WHERE w.subscription_id = done.subscription_id;
