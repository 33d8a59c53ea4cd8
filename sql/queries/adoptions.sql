-- Subscriptions that were deleted here or lost with a backup, and how they come back.

-- Tables: billing_deleted_subscriptions, billing_adoptions
--
-- CREATE TABLE billing_deleted_subscriptions (
--     subscription_id uuid NOT NULL,
--     stripe_subscription_id text,
--     stripe_customer_id text,
--     livemode boolean NOT NULL,
--     stripe_status text,
--     stripe_as_of timestamp with time zone,
--     subscription jsonb NOT NULL,
--     services jsonb DEFAULT '[]'::jsonb NOT NULL,
--     charges jsonb DEFAULT '[]'::jsonb NOT NULL,
--     deleted_at timestamp with time zone DEFAULT now() NOT NULL,
--     settled_at timestamp with time zone,
--     settled_how text,
--     claimed_until timestamp with time zone,
--     CONSTRAINT billing_deleted_subscriptions_check CHECK (((settled_at IS NULL) = (settled_how IS NULL))),
--     CONSTRAINT billing_deleted_subscriptions_settled_how_check CHECK ((settled_how = ANY (ARRAY['restored'::text, 'cancelled'::text])))
-- );
-- ALTER TABLE ONLY billing_deleted_subscriptions ADD CONSTRAINT billing_deleted_subscriptions_pkey PRIMARY KEY (subscription_id);
-- CREATE INDEX billing_deleted_subscriptions_customer_idx ON billing_deleted_subscriptions USING btree (((subscription ->> 'customer_id'::text)));
-- CREATE INDEX billing_deleted_subscriptions_stripe_idx ON billing_deleted_subscriptions USING btree (stripe_subscription_id) WHERE (settled_at IS NULL);
--
-- CREATE TABLE billing_adoptions (
--     subscription_id uuid NOT NULL,
--     source text NOT NULL,
--     order_id uuid,
--     problem text,
--     adopted_at timestamp with time zone DEFAULT now() NOT NULL,
--     inspected_at timestamp with time zone,
--     CONSTRAINT billing_adoptions_source_check CHECK ((source = ANY (ARRAY['stripe'::text, 'deleted'::text, 'backup'::text])))
-- );
-- ALTER TABLE ONLY billing_adoptions ADD CONSTRAINT billing_adoptions_pkey PRIMARY KEY (subscription_id);
-- ALTER TABLE ONLY billing_adoptions ADD CONSTRAINT billing_adoptions_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX billing_adoptions_problem_idx ON billing_adoptions USING btree (subscription_id) WHERE (problem IS NOT NULL);

-- name: list_deleted_here(stripe_subscription_ids)
-- Of these, the subscriptions whose rows were deleted, undecided by an operator.
SELECT d.stripe_subscription_id
FROM billing_deleted_subscriptions AS d
WHERE d.stripe_subscription_id = ANY(:stripe_subscription_ids::text[])
  AND d.settled_at IS NULL;

-- name: note_deleted(subscriptions)!
-- What Stripe reports of subscriptions whose rows were deleted.
UPDATE billing_deleted_subscriptions AS d
SET stripe_subscription_id = s.object_id,
    stripe_status = s.stripe_status,
    stripe_as_of = s.as_of
FROM jsonb_to_recordset(:subscriptions::jsonb) AS s (
    deleted_id uuid,
    object_id text,
    stripe_status text,
    as_of timestamptz
)
WHERE d.subscription_id = s.deleted_id
  AND (
      d.stripe_as_of IS NULL
      OR d.stripe_as_of < s.as_of
      OR (d.stripe_as_of = s.as_of AND s.stripe_status IN ('canceled', 'incomplete_expired'))
  );

-- name: adopt_orders(orders)!
-- Completes rows that were just written for orders of ours that were lost: what was ordered, from
-- Stripe's metadata, and the buyer, unless their record is here.
WITH orders AS MATERIALIZED (
    SELECT
        o.stripe_subscription_id,
        o.order_id,
        o.problem,
        o.metadata,
        o.buyer
    FROM jsonb_to_recordset(:orders::jsonb) AS o (
        stripe_subscription_id text,
        order_id uuid,
        problem text,
        metadata jsonb,
        buyer jsonb
    )
),
ordered AS (
    UPDATE subscriptions AS s
    SET metadata = coalesce(s.metadata, '{}') || orders.metadata,
        updated_at = now()
    FROM orders
    WHERE s.stripe_subscription_id = orders.stripe_subscription_id
    RETURNING s.id, s.customer_id, orders.order_id, orders.problem, orders.buyer
),
bought AS (
    UPDATE customers AS c
    SET email = coalesce(c.email, o.buyer ->> 'email'),
        name = coalesce(c.name, o.buyer ->> 'name'),
        company_name = coalesce(c.company_name, o.buyer ->> 'company'),
        phone = coalesce(c.phone, o.buyer ->> 'phone'),
        address_line1 = coalesce(c.address_line1, o.buyer ->> 'line1'),
        address_line2 = coalesce(c.address_line2, o.buyer ->> 'line2'),
        city = coalesce(c.city, o.buyer ->> 'city'),
        state = coalesce(c.state, o.buyer ->> 'state'),
        postal_code = coalesce(c.postal_code, o.buyer ->> 'postcode'),
        country = coalesce(c.country, o.buyer ->> 'country'),
        metadata = jsonb_strip_nulls(
            jsonb_build_object('firstSubscriptionId', o.buyer ->> 'firstSubscriptionId')
        ) || coalesce(c.metadata, '{}'),
        updated_at = now()
    FROM ordered AS o
    WHERE c.id = o.customer_id
)
INSERT INTO billing_adoptions (subscription_id, source, order_id, problem)
SELECT
    o.id,
    'stripe',
    o.order_id,
    o.problem
FROM ordered AS o
ON CONFLICT (subscription_id) DO NOTHING;

-- name: mark_restored()!
-- After a restored backup: no account is as it was recorded until it has been looked at.
INSERT INTO billing_adoptions (subscription_id, source)
SELECT
    s.id,
    'backup'
FROM subscriptions AS s
WHERE s.billing_provider = 'stripe'
ON CONFLICT (subscription_id) DO UPDATE
SET inspected_at = NULL;

-- name: note_inspected(subscription_id)!
UPDATE billing_adoptions
SET inspected_at = now()
WHERE subscription_id = :subscription_id::uuid
  AND inspected_at IS NULL;

-- name: settle_adoption(subscription_id)$
UPDATE billing_adoptions
SET problem = NULL
WHERE subscription_id = :subscription_id::uuid
  AND problem IS NOT NULL
RETURNING TRUE;

-- name: list_deleted(after, most)
-- Those that a person must decide on, as in billing_trouble; by id, in pages.
SELECT
    d.subscription_id,
    d.stripe_subscription_id,
    d.stripe_status,
    coalesce(d.subscription -> 'metadata' ->> 'domainValue', '') AS domain,
    d.deleted_at,
    coalesce((
        SELECT jsonb_agg(a.value ->> 'product_type' ORDER BY a.value ->> 'product_type')
        FROM jsonb_array_elements(d.services) AS a (value)
        WHERE a.value ->> 'actual' IN ('active', 'suspended')
    ), '[]') AS accounts
FROM billing_trouble AS t
JOIN billing_deleted_subscriptions AS d
    ON d.subscription_id = t.subscription_id
WHERE t.trouble = 'row_deleted'
  AND d.subscription_id > :after::uuid
ORDER BY d.subscription_id
LIMIT :most::integer;

-- name: find_deleted(name)^
-- By our id or Stripe's.
SELECT
    d.subscription_id,
    d.stripe_subscription_id,
    d.livemode,
    d.deleted_at,
    d.settled_how
FROM billing_deleted_subscriptions AS d
WHERE d.subscription_id::text = lower(:name)
   OR d.stripe_subscription_id = :name
ORDER BY d.settled_at IS NOT NULL
LIMIT 1;

-- name: describe_deleted(name)^
-- As find_deleted, with what a person has to know to decide.
SELECT
    d.subscription_id,
    d.stripe_subscription_id,
    d.stripe_status,
    d.subscription -> 'metadata' ->> 'domainValue' AS domain,
    d.deleted_at,
    d.settled_how,
    coalesce((
        SELECT jsonb_agg(a.value ->> 'product_type' ORDER BY a.value ->> 'product_type')
        FROM jsonb_array_elements(d.services) AS a (value)
        WHERE a.value ->> 'actual' IN ('active', 'suspended')
    ), '[]') AS accounts
FROM billing_deleted_subscriptions AS d
WHERE d.subscription_id::text = lower(:name)
   OR d.stripe_subscription_id = :name
ORDER BY d.settled_at IS NOT NULL
LIMIT 1;

-- name: claim_deleted(subscription_id, settled_how, lease_seconds)$
-- Null: another decision is being carried out, or was. Returns what release_deleted needs.
UPDATE billing_deleted_subscriptions AS d
SET claimed_until = clock_timestamp() + make_interval(secs => :lease_seconds::float8)
WHERE d.subscription_id = :subscription_id::uuid
  AND coalesce(d.settled_how, :settled_how::text) = :settled_how::text
  AND (d.claimed_until IS NULL OR d.claimed_until < clock_timestamp())
RETURNING d.claimed_until;

-- name: release_deleted(subscription_id, claimed_until)!
UPDATE billing_deleted_subscriptions AS d
SET claimed_until = NULL
WHERE d.subscription_id = :subscription_id::uuid
  AND d.claimed_until = :claimed_until::timestamptz;

-- name: restore_deleted(subscription_id, settled_how)!
-- The row under its own id, as if Stripe had not reported it yet, with its services and charges. Its
-- customer comes back under their own id if they were deleted too.
WITH deleted AS MATERIALIZED (
    UPDATE billing_deleted_subscriptions AS d
    SET settled_at = now(),
        settled_how = :settled_how
    WHERE d.subscription_id = :subscription_id::uuid
      AND d.settled_at IS NULL
    RETURNING
        d.subscription_id,
        d.stripe_customer_id,
        d.livemode,
        d.subscription,
        d.services,
        d.charges,
        (d.subscription ->> 'customer_id')::uuid AS customer_id
),
buyer AS (
    INSERT INTO customers (id, email, currency, stripe_customer_id)
    SELECT
        d.customer_id,
        d.subscription -> 'metadata' ->> 'customerEmail',
        upper(d.subscription ->> 'currency'),
        CASE WHEN NOT EXISTS (
            SELECT 1 FROM customers AS c WHERE c.stripe_customer_id = d.stripe_customer_id
        ) THEN d.stripe_customer_id END
    FROM deleted AS d
    WHERE d.customer_id IS NOT NULL
    ON CONFLICT (id) DO NOTHING
),
known AS (
    INSERT INTO stripe_customers AS s (id, customer_id, livemode)
    SELECT
        d.stripe_customer_id,
        d.customer_id,
        d.livemode
    FROM deleted AS d
    WHERE d.stripe_customer_id IS NOT NULL
      AND d.customer_id IS NOT NULL
    ON CONFLICT (id) DO UPDATE
    SET customer_id = coalesce(s.customer_id, excluded.customer_id)
),
restored AS (
    INSERT INTO subscriptions
    SELECT (jsonb_populate_record(
        NULL::subscriptions,
        d.subscription || jsonb_build_object(
            'tenant_id', NULL,
            'product_id', NULL,
            'status', 'provisional',
            'stripe_status', NULL,
            -- else what Stripe says would be no news, and nothing would be derived from it
            'entitlement', NULL,
            'initial_payment_settled', FALSE,
            'order_paid', FALSE,
            'stripe_as_of_since', NULL,
            'stripe_as_of', NULL,
            'stripe_event_id', NULL,
            'updated_at', now() AT TIME ZONE 'UTC'
        )
    )).*
    FROM deleted AS d
    RETURNING id
),
services AS (
    INSERT INTO tenant_services
    SELECT (jsonb_populate_record(
        NULL::tenant_services,
        '{"desired_domains": [], "ordered_domains": []}'
            || s.value
            || '{"pending_action": null, "pending_request": null, "last_error": null}'
    )).*
    FROM deleted AS d
    CROSS JOIN jsonb_array_elements(d.services) AS s (value)
    JOIN restored
        ON restored.id = d.subscription_id
),
charges AS (
    INSERT INTO subscription_charges
    SELECT (jsonb_populate_record(NULL::subscription_charges, c.value)).*
    FROM deleted AS d
    CROSS JOIN jsonb_array_elements(d.charges) AS c (value)
    JOIN restored
        ON restored.id = d.subscription_id
)
INSERT INTO billing_adoptions (subscription_id, source)
SELECT
    restored.id,
    'deleted'
FROM restored;

-- name: get_latest_paid_invoice(stripe_subscription_id)^
SELECT
    i.id,
    i.amount_paid
FROM invoices AS i
WHERE i.stripe_subscription_id = :stripe_subscription_id
  AND i.stripe_status = 'paid'
  AND i.amount_paid > 0
ORDER BY i.stripe_created DESC, i.stripe_invoice_id DESC
LIMIT 1;
