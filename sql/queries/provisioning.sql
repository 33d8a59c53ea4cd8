-- The work of provisioning: who does it, what it needs to know, what came of it.
-- Every write of a run names the run's lease token, and does nothing once another run has taken over.

-- name: take_lease(subscription_id, token, lease_seconds)^
-- Only where there is something to do. Should the run die, the sweep looks again, ever later.
UPDATE provisioning_work AS w
SET lease_token = :token::uuid,
    leased_until = now() + make_interval(secs => :lease_seconds::float8),
    attempts = w.attempts + 1,
    wake_at = now() + interval '1 minute' * power(2, least(w.attempts, 6)),
    updated_at = now()
WHERE w.subscription_id = :subscription_id::uuid
  AND (w.leased_until IS NULL OR w.leased_until < now())
  AND (w.version > w.done_version OR w.wake_at <= now())
RETURNING w.version, w.attempts;

-- name: get_lease_seconds(subscription_id)$
-- How long the run that has it now may keep it without a sign of life; null: nobody has it.
SELECT extract(epoch FROM w.leased_until - now())::float8
FROM provisioning_work AS w
WHERE w.subscription_id = :subscription_id::uuid
  AND w.leased_until >= now();

-- name: prolong_lease(subscription_id, token, lease_seconds)!
UPDATE provisioning_work AS w
SET leased_until = now() + make_interval(secs => :lease_seconds::float8)
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid;

-- name: break_off(subscription_id, token, error, retry_seconds)$
-- A run that could not go to its end gives its lease back; no error: it was only interrupted.
UPDATE provisioning_work AS w
SET lease_token = NULL,
    leased_until = NULL,
    last_error = coalesce(:error::text, w.last_error),
    wake_at = now() + make_interval(secs => :retry_seconds::float8),
    updated_at = now()
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid
RETURNING TRUE;

-- name: get_work(subscription_id, token)^
-- One row with all that the desired state depends on, as of one moment.
SELECT
    now() AS now,
    w.version,
    w.attempts,
    (w.inputs ->> 'unpaidSince')::timestamptz AS unpaid_since,
    s.stripe_status,
    s.stripe_subscription_id,
    s.stripe_customer_id,
    s.livemode,
    coalesce(s.initial_payment_settled, FALSE) AS settled,
    coalesce(s.collection_paused, FALSE) AS collection_paused,
    s.cancel_at_period_end IS TRUE OR (s.cancel_at <= s.current_period_end) IS TRUE AS ending,
    coalesce(s.ended_at, s.canceled_at) AS ended_at,
    s.trial_end,
    s.tenant_id,
    s.metadata ->> 'domainMode' AS domain_mode,
    s.metadata ->> 'domainValue' AS domain_value,
    coalesce(c.email, s.metadata ->> 'customerEmail') AS email,
    c.name AS customer_name,
    c.company_name,
    t.domain AS tenant_domain,
    hold.reason AS hold_reason,
    coalesce(included.products, '[]') AS products,
    coalesce(services.legs, '[]') AS legs,
    coalesce(extras.charges, '[]') AS charges
FROM provisioning_work AS w
JOIN subscriptions AS s
    ON s.id = w.subscription_id
LEFT JOIN customers AS c
    ON c.id = s.customer_id
LEFT JOIN tenants AS t
    ON t.id = s.tenant_id
LEFT JOIN provisioning_holds AS hold
    ON hold.subscription_id = w.subscription_id
    AND hold.lifted_at IS NULL
LEFT JOIN LATERAL (
    SELECT
        jsonb_agg(
            jsonb_build_object(
                'product_types', p.product_types,
                'resources', p.resources,
                'quantity', coalesce(i.quantity, 1)
            )
            ORDER BY p.kind = 'plan' DESC, p.code
        ) AS products
    FROM subscription_items AS i
    JOIN prices
        ON prices.id = i.price_id
    JOIN products AS p
        ON p.id = prices.product_id
    WHERE i.subscription_id = s.id
      AND p.code IS NOT NULL
) AS included ON TRUE
LEFT JOIN LATERAL (
    SELECT jsonb_agg(to_jsonb(leg) ORDER BY leg.product_type) AS legs
    FROM tenant_services AS leg
    WHERE leg.subscription_id = s.id
) AS services ON TRUE
LEFT JOIN LATERAL (
    SELECT jsonb_agg(to_jsonb(charge) ORDER BY charge.position) AS charges
    FROM subscription_charges AS charge
    WHERE charge.subscription_id = s.id
      AND charge.state <> 'with_checkout'
) AS extras ON TRUE
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid;

-- name: get_tenant(subscription_id)^
SELECT
    t.id,
    t.domain
FROM tenants AS t
WHERE t.billing_subscription_id = :subscription_id::uuid;

-- name: insert_tenant(subscription_id, name, domain)^
-- Nothing when somebody has the domain: it is never shared, nor taken away.
INSERT INTO tenants (name, domain, status, billing_subscription_id)
VALUES (:name, :domain, 'pending', :subscription_id::uuid)
ON CONFLICT (domain) DO NOTHING
RETURNING id, domain;

-- name: link_tenant(subscription_id, tenant_id)!
UPDATE subscriptions
SET tenant_id = :tenant_id::uuid,
    updated_at = now()
WHERE id = :subscription_id::uuid;

-- name: link_invoices(subscription_id, tenant_id)!
UPDATE invoices
SET tenant_id = :tenant_id::uuid,
    updated_at = now()
WHERE subscription_id = :subscription_id::uuid
  AND tenant_id IS NULL;

-- name: note_trouble(subscription_id, trouble)!
UPDATE provisioning_work
SET trouble = :trouble
WHERE subscription_id = :subscription_id::uuid;

-- name: write_wishes(subscription_id, token, wishes)!
-- A wish that is new or has changed gets a fresh start. A leg stays with the driver that has its
-- account.
WITH held AS (
    SELECT w.subscription_id
    FROM provisioning_work AS w
    WHERE w.subscription_id = :subscription_id::uuid
      AND w.lease_token = :token::uuid
    FOR NO KEY UPDATE
)
INSERT INTO tenant_services AS leg (
    subscription_id,
    product_type,
    desired,
    desired_resources,
    removed_at,
    driver
)
SELECT
    held.subscription_id,
    wish.product_type,
    wish.desired,
    wish.resources,
    wish.removed_at,
    wish.driver
FROM held
CROSS JOIN jsonb_to_recordset(:wishes::jsonb) AS wish (
    product_type text,
    desired text,
    resources jsonb,
    removed_at timestamptz,
    driver text
)
ON CONFLICT (subscription_id, product_type) DO UPDATE
SET desired = excluded.desired,
    desired_resources = excluded.desired_resources,
    removed_at = excluded.removed_at,
    driver = CASE
        WHEN leg.actual IN ('absent', 'terminated') AND leg.pending_action IS NULL THEN excluded.driver
        ELSE leg.driver
    END,
    attempts = 0,
    stopped = NULL,
    last_error = NULL,
    next_attempt_at = NULL,
    updated_at = now()
WHERE (leg.desired, leg.desired_resources, leg.removed_at IS NULL)
    IS DISTINCT FROM (excluded.desired, excluded.desired_resources, excluded.removed_at IS NULL);

-- name: list_legs(subscription_id)
SELECT to_jsonb(leg) AS leg
FROM tenant_services AS leg
WHERE leg.subscription_id = :subscription_id::uuid
ORDER BY leg.product_type;

-- name: begin_order(subscription_id, token, product_type, action, generation, request, actual, resources)$
-- Noted before the driver is asked: whatever happens then, it is known that it may have happened.
UPDATE tenant_services AS leg
SET pending_action = :action,
    pending_request = :request,
    generation = :generation,
    actual = :actual,
    resources = :resources,
    updated_at = now()
FROM provisioning_work AS w
WHERE leg.subscription_id = :subscription_id::uuid
  AND leg.product_type = :product_type
  AND w.subscription_id = leg.subscription_id
  AND w.lease_token = :token::uuid
RETURNING TRUE;

-- name: log_call(subscription_id, product_type, driver, action, idempotency_key, request, response, outcome, error, duration_ms)!
INSERT INTO provisioning_log (
    subscription_id,
    product_type,
    driver,
    action,
    idempotency_key,
    request,
    response,
    outcome,
    error,
    duration_ms
)
VALUES (
    :subscription_id::uuid,
    :product_type,
    :driver,
    :action,
    :idempotency_key,
    :request,
    :response,
    :outcome,
    :error,
    :duration_ms
);

-- name: settle_order(subscription_id, token, product_type, generation, actual, external_ref, resources)$
UPDATE tenant_services AS leg
SET actual = :actual,
    external_ref = coalesce(:external_ref, leg.external_ref),
    resources = :resources,
    pending_action = NULL,
    pending_request = NULL,
    attempts = 0,
    stopped = NULL,
    last_error = NULL,
    next_attempt_at = NULL,
    updated_at = now()
FROM provisioning_work AS w
WHERE leg.subscription_id = :subscription_id::uuid
  AND leg.product_type = :product_type
  AND leg.generation = :generation
  AND w.subscription_id = leg.subscription_id
  AND w.lease_token = :token::uuid
RETURNING to_jsonb(leg) AS leg, pg_notify('billing_subscription', leg.subscription_id::text);

-- name: postpone_order(subscription_id, token, product_type, error, retry_seconds)$
UPDATE tenant_services AS leg
SET attempts = leg.attempts + 1,
    last_error = :error,
    next_attempt_at = now() + make_interval(secs => :retry_seconds::float8),
    updated_at = now()
FROM provisioning_work AS w
WHERE leg.subscription_id = :subscription_id::uuid
  AND leg.product_type = :product_type
  AND w.subscription_id = leg.subscription_id
  AND w.lease_token = :token::uuid
RETURNING to_jsonb(leg) AS leg, pg_notify('billing_subscription', leg.subscription_id::text);

-- name: refuse_order(subscription_id, token, product_type, error)$
-- The driver has certainly done nothing, and will not: nothing is pending any longer.
UPDATE tenant_services AS leg
SET attempts = leg.attempts + 1,
    last_error = :error,
    stopped = 'refused',
    pending_action = NULL,
    pending_request = NULL,
    next_attempt_at = NULL,
    updated_at = now()
FROM provisioning_work AS w
WHERE leg.subscription_id = :subscription_id::uuid
  AND leg.product_type = :product_type
  AND w.subscription_id = leg.subscription_id
  AND w.lease_token = :token::uuid
RETURNING to_jsonb(leg) AS leg, pg_notify('billing_subscription', leg.subscription_id::text);

-- name: set_status(subscription_id, status, tenant_status)!
-- The mirror's own words (provisional, cancelled, expired) are not ours to change.
WITH moved AS (
    UPDATE subscriptions AS s
    SET status = :status,
        updated_at = now()
    WHERE s.id = :subscription_id::uuid
      AND s.status IN ('pending', 'active', 'suspended')
      AND s.status <> :status
    RETURNING s.id
),
tenant AS (
    UPDATE tenants AS t
    SET status = :tenant_status,
        updated_at = CURRENT_TIMESTAMP
    FROM subscriptions AS s
    WHERE s.id = :subscription_id::uuid
      AND t.id = s.tenant_id
      AND t.billing_subscription_id = s.id
      AND t.status IS DISTINCT FROM :tenant_status
    RETURNING s.id
)
SELECT pg_notify('billing_subscription', changed.id::text)
FROM (
    SELECT id FROM moved
    UNION
    SELECT id FROM tenant
) AS changed;

-- name: finish_work(subscription_id, token, version, done, error, wake_at, retry_seconds)^
-- Ends the run and gives its lease back, unless the wish has changed meanwhile. The sweep looks
-- again when the clock changes the wish, or the first of the failed legs is due.
UPDATE provisioning_work AS w
SET lease_token = NULL,
    leased_until = NULL,
    done_version = CASE WHEN :done::boolean THEN w.version ELSE w.done_version END,
    attempts = CASE WHEN :done::boolean THEN 0 ELSE w.attempts END,
    last_error = coalesce(:error, w.trouble),
    wake_at = least(
        :wake_at::timestamptz,
        now() + make_interval(secs => :retry_seconds::float8),
        (
            SELECT min(leg.next_attempt_at)
            FROM tenant_services AS leg
            WHERE leg.subscription_id = w.subscription_id
        )
    ),
    updated_at = now()
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid
  AND w.version = :version
RETURNING w.attempts, extract(epoch FROM w.wake_at - now())::float8 AS wake_seconds;

-- name: list_due_work(most)
SELECT
    w.subscription_id,
    w.version
FROM provisioning_work AS w
WHERE w.wake_at <= now()
  AND (w.leased_until IS NULL OR w.leased_until < now())
ORDER BY w.wake_at
LIMIT :most;
