-- The domains that customers have, and what they or an operator do about them.

-- name: list_ids_of_customer(customer_id, before_at, before_id, most)
-- Newest first, without what is only ordered.
SELECT own.id
FROM billing_domains AS own
WHERE own.customer_id = :customer_id::uuid
  AND (own.held_at IS NOT NULL OR own.state IN ('verifying', 'failed') OR own.replaces_id IS NOT NULL)
  AND (own.created_at, own.id) < (
      coalesce(:before_at::timestamptz, 'infinity'),
      coalesce(:before_id::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  )
ORDER BY own.created_at DESC, own.id DESC
LIMIT :most;

-- name: list_ids_of_subscription(subscription_id)
-- Few: those of its tenant.
SELECT own.id
FROM billing_domains AS own
WHERE own.subscription_id = :subscription_id::uuid;

-- name: list_owned_domains(ids, livemode)
-- With the latest of their further years.
SELECT
    own.id,
    own.name,
    own.unicode_name,
    own.mode,
    own.state,
    own.customer_id,
    own.subscription_id,
    own.driver,
    own.registered_at,
    own.expires_at,
    own.auto_renew,
    coalesce(own.currency, lower(payer.currency)) AS currency,
    own.renewal_price AS told_price,
    billing_renewal_price_v1(own.name, coalesce(own.currency, lower(payer.currency))) AS listed_price,
    own.coming_price,
    own.coming_price_from,
    own.needs,
    own.last_error,
    own.created_at,
    own.replaces_id,
    (
        SELECT chosen.id
        FROM billing_domains AS chosen
        WHERE chosen.replaces_id = own.id
          AND chosen.state NOT IN ('released', 'failed')
    ) AS replaced_by_id,
    billing_is_replaceable_v1(own.id) AS replaceable,
    latest.state AS renewal_state,
    latest.amount AS renewal_amount,
    latest.expires_on AS renewal_of,
    latest.pay_by AS renewal_pay_by,
    latest.invoice_id AS renewal_invoice_id
FROM billing_domains AS own
LEFT JOIN LATERAL (
    SELECT s.id
    FROM subscriptions AS s
    WHERE s.customer_id = own.customer_id
      AND s.livemode IS NOT NULL
    ORDER BY s.id IS NOT DISTINCT FROM own.subscription_id DESC, s.created_at DESC
    LIMIT 1
    OFFSET 0
) AS known ON TRUE
LEFT JOIN subscriptions AS payer
    ON payer.id = coalesce(own.subscription_id, known.id)
LEFT JOIN LATERAL (
    SELECT
        r.state,
        r.amount,
        r.expires_on,
        r.pay_by,
        i.id AS invoice_id
    FROM billing_domain_renewals AS r
    LEFT JOIN invoices AS i
        ON i.stripe_invoice_id = r.stripe_invoice_id
    WHERE r.domain_id = own.id
    ORDER BY r.expires_on DESC NULLS LAST
    LIMIT 1
    OFFSET 0
) AS latest ON TRUE
WHERE own.id = ANY(:ids::uuid[])
  AND (own.held_at IS NOT NULL OR own.state IN ('verifying', 'failed') OR own.replaces_id IS NOT NULL)
  AND (payer.livemode = :livemode::boolean) IS NOT FALSE
ORDER BY own.created_at DESC, own.id DESC;

-- name: lock_domain(id)$
-- Until the transaction ends nobody else changes what is wanted of it.
SELECT own.id
FROM billing_domains AS own
WHERE own.id = :id::uuid
FOR NO KEY UPDATE;

-- name: find_live(name, registrable)$
SELECT own.id
FROM billing_domains AS own
WHERE own.registrable = :registrable::text
  AND own.name = :name::text
  AND own.held_at IS NOT NULL
  AND own.state NOT IN ('released', 'failed');

-- name: get_owner(id)^
SELECT
    own.customer_id,
    own.driver
FROM billing_domains AS own
WHERE own.id = :id::uuid;

-- name: renew_yearly(id, currency, renewal_price)!
UPDATE billing_domains AS own
SET auto_renew = TRUE,
    currency = coalesce(own.currency, :currency::text),
    renewal_price = :renewal_price::bigint,
    updated_at = now()
WHERE own.id = :id::uuid;

-- name: renew_no_more(id, now)!
-- What is not paid yet is taken back.
WITH stopped AS (
    UPDATE billing_domains AS own
    SET auto_renew = FALSE,
        updated_at = now()
    WHERE own.id = :id::uuid
)
UPDATE billing_domain_renewals AS r
SET state = 'withdrawn',
    next_attempt_at = :now::timestamptz,
    updated_at = now()
WHERE r.domain_id = :id::uuid
  AND r.expires_on IS NOT NULL
  AND r.state IN ('due', 'charged');

-- name: order_year(id, amount, currency, livemode, pay_by, now)$
-- The year that follows, charged now, also if it is late; once. Nothing while it is charged, or was, or is being
-- renewed for what was paid by hand.
INSERT INTO billing_domain_renewals AS r (domain_id, expires_on, amount, currency, livemode, pay_by, next_attempt_at)
SELECT
    own.id,
    (own.expires_at AT TIME ZONE 'UTC')::date,
    :amount::bigint,
    :currency,
    :livemode::boolean,
    :pay_by::timestamptz,
    :now::timestamptz
FROM billing_domains AS own
WHERE own.id = :id::uuid
  AND own.state <> 'renewing'
  AND NOT EXISTS (
      SELECT 1
      FROM billing_domain_renewals AS other
      WHERE other.domain_id = own.id
        AND (
            other.state IN ('due', 'charged', 'paid')
            -- it may still be paid at Stripe
            OR (other.state IN ('unpaid', 'withdrawn') AND other.next_attempt_at IS NOT NULL)
            OR (
                other.expires_on > (own.expires_at AT TIME ZONE 'UTC')::date - 300
                AND other.expires_on <> (own.expires_at AT TIME ZONE 'UTC')::date
                AND other.state = 'renewed'
            )
        )
  )
ON CONFLICT (domain_id, expires_on) DO UPDATE
SET state = 'due',
    amount = excluded.amount,
    currency = excluded.currency,
    attempt = r.attempt + 1,
    params = NULL,
    stripe_item_id = NULL,
    stripe_invoice_id = NULL,
    failures = 0,
    last_error = NULL,
    paid_at = NULL,
    given_back_at = NULL,
    pay_by = excluded.pay_by,
    next_attempt_at = excluded.next_attempt_at,
    updated_at = now()
WHERE (r.state IN ('unpaid', 'withdrawn') AND r.next_attempt_at IS NULL)
   OR (r.state = 'refused' AND r.given_back_at IS NOT NULL)
RETURNING r.id;

-- name: is_being_charged(id)$
-- Also while what nobody wants any more could still be paid at Stripe.
SELECT EXISTS (
    SELECT 1
    FROM billing_domain_renewals AS r
    WHERE r.domain_id = :id::uuid
      AND (
          r.state IN ('due', 'charged', 'paid')
          OR (r.state IN ('unpaid', 'withdrawn') AND r.next_attempt_at IS NOT NULL)
      )
);

-- name: release_domain(id)$
-- Only what no tenant has.
UPDATE billing_domains AS own
SET state = 'released',
    auto_renew = FALSE,
    updated_at = now()
WHERE own.id = :id::uuid
  AND own.subscription_id IS NULL
  AND own.held_at IS NOT NULL
  AND own.state NOT IN ('released', 'failed')
RETURNING own.customer_id;

-- name: number_command(id, driver)^
-- The next command to the driver about it; a run that is under way looks again.
UPDATE billing_domains AS own
SET generation = own.generation + 1,
    version = own.version + 1,
    updated_at = now()
WHERE own.id = :id::uuid
  AND own.driver = :driver
  AND own.pending_action IS NULL
  AND own.state IN ('active', 'renewing', 'expired')
RETURNING own.generation, own.external_ref;

-- name: move_domain(id, subscription_id)$
-- To another living subscription of its customer. The domain by which a tenant is known stays with it.
WITH moved AS (
    UPDATE billing_domains AS own
    SET subscription_id = target.id,
        updated_at = now()
    FROM billing_domains AS before
    CROSS JOIN subscriptions AS target
    WHERE own.id = :id::uuid
      AND before.id = own.id
      AND target.id = :subscription_id::uuid
      AND target.customer_id = own.customer_id
      AND target.status IN ('pending', 'active', 'suspended')
      AND own.state IN ('active', 'renewing', 'expired')
      AND own.subscription_id IS DISTINCT FROM target.id
      AND NOT EXISTS (
          SELECT 1
          FROM tenants AS t
          WHERE t.billing_subscription_id = own.subscription_id
            AND t.domain = own.name
      )
    RETURNING own.name, before.subscription_id AS former_id
),
cleared AS (
    DELETE FROM billing_domains AS wanted
    USING moved
    WHERE wanted.subscription_id = :subscription_id::uuid
      AND wanted.name = moved.name
      AND wanted.id <> :id::uuid
),
forgotten AS (
    -- else its former plan would claim it again
    UPDATE subscriptions AS s
    SET metadata = jsonb_set(s.metadata, '{furtherDomains}', (s.metadata -> 'furtherDomains') - moved.name)
    FROM moved
    WHERE s.id = moved.former_id
      AND s.metadata -> 'furtherDomains' ? moved.name
)
SELECT TRUE
FROM moved;

-- name: adopt_domain(name, unicode_name, skeleton, registrable, customer_id, subscription_id, driver, external_ref, registered_at, expires_at)$
-- A name that the registrar has in the host's account, and no row has yet.
INSERT INTO billing_domains (
    name,
    unicode_name,
    skeleton,
    registrable,
    mode,
    state,
    customer_id,
    subscription_id,
    held_at,
    registered_at,
    expires_at,
    driver,
    external_ref,
    next_attempt_at
)
SELECT
    :name,
    :unicode_name,
    :skeleton,
    :registrable,
    'register',
    'active',
    owner.id,
    plan.id,
    now(),
    coalesce(:registered_at::timestamptz, now()),
    :expires_at::timestamptz,
    :driver,
    :external_ref::text,
    now()
FROM customers AS owner
LEFT JOIN subscriptions AS plan
    ON plan.id = :subscription_id::uuid
WHERE owner.id = :customer_id::uuid
  AND (plan.id IS NULL) = (:subscription_id::uuid IS NULL)
  AND (plan.customer_id = owner.id) IS NOT FALSE
ON CONFLICT DO NOTHING
RETURNING id;

-- name: take_in(id, driver, external_ref, registered_at, expires_at)!
-- A row from before there was a registrar's driver: from now on that sees to it.
UPDATE billing_domains AS own
SET driver = :driver,
    external_ref = :external_ref::text,
    registered_at = coalesce(own.registered_at, :registered_at::timestamptz, now()),
    expires_at = :expires_at::timestamptz,
    next_attempt_at = now(),
    updated_at = now()
WHERE own.id = :id::uuid;
