-- Orders up to the payment page: the buyer, the provisional subscription, the sessions.

-- Tables: orders, idempotency_keys
--
-- CREATE TABLE orders (
--     subscription_id uuid NOT NULL,
--     customer_id uuid NOT NULL,
--     fingerprint bytea NOT NULL,
--     vouched boolean DEFAULT false NOT NULL,
--     person_hash bytea,
--     coupon_code text,
--     limited boolean DEFAULT false NOT NULL,
--     browser_id uuid,
--     left_open uuid[] DEFAULT '{}'::uuid[] NOT NULL,
--     superseded_at timestamp with time zone,
--     created_at timestamp with time zone DEFAULT now() NOT NULL
-- );
-- ALTER TABLE ONLY orders ADD CONSTRAINT orders_pkey PRIMARY KEY (subscription_id);
-- ALTER TABLE ONLY orders ADD CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY orders ADD CONSTRAINT orders_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX billing_orders_left_open_idx ON orders USING btree (subscription_id) WHERE (left_open <> '{}'::uuid[]);
-- CREATE INDEX billing_orders_superseded_idx ON orders USING btree (subscription_id) WHERE (superseded_at IS NOT NULL);
-- CREATE INDEX orders_coupon_idx ON orders USING btree (coupon_code) WHERE (coupon_code IS NOT NULL);
-- CREATE INDEX orders_created_idx ON orders USING btree (created_at);
-- CREATE INDEX orders_customer_idx ON orders USING btree (customer_id, created_at DESC);
-- CREATE INDEX orders_person_idx ON orders USING btree (person_hash);
--
-- CREATE TABLE idempotency_keys (
--     key text NOT NULL,
--     request_hash bytea NOT NULL,
--     subscription_id uuid,
--     status integer,
--     response jsonb,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT idempotency_keys_check CHECK (((status IS NULL) = (response IS NULL)))
-- )
-- WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');
-- ALTER TABLE ONLY idempotency_keys ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (key);
-- ALTER TABLE ONLY idempotency_keys ADD CONSTRAINT idempotency_keys_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX idempotency_keys_created_idx ON idempotency_keys USING btree (created_at);
-- CREATE INDEX idempotency_keys_subscription_idx ON idempotency_keys USING btree (subscription_id);

-- name: lock_buyer(buyer)
-- One order at a time per buyer, by e-mail address or id, until the transaction ends: a double
-- click waits.
SELECT pg_advisory_xact_lock(hashtextextended('buyer:' || lower(:buyer::text), 0));

-- name: begin_order(buyer, email, customer_id, key, request_hash, livemode, within, price_ids, price_versions)^
SELECT
    begun.same_request,
    begun.keyed_id,
    begun.response,
    begun.on_sale,
    begun.customer_id,
    begun.recent
FROM billing_begin_order_v1(
    :buyer::text,
    :email::text,
    :customer_id::uuid,
    :key::text,
    :request_hash::bytea,
    :livemode::boolean,
    :within::interval,
    :price_ids::uuid[],
    :price_versions::text[]
) AS begun;

-- name: get_customer(customer_id)^
-- A record that has joined that of an account stands for it.
SELECT
    c.id,
    c.stripe_customer_id
FROM customers AS named
JOIN customers AS c
    ON c.id = coalesce(
        (SELECT account.id FROM customers AS account WHERE account.id = named.joined_id),
        named.id
    )
WHERE named.id = :customer_id::uuid;

-- name: list_debts(customer_id)
-- What is due and unpaid of their subscriptions, in words; OFFSET 0 keeps this a look-up for each of them.
SELECT owed.detail
FROM customers AS named
JOIN subscriptions AS s
    ON s.customer_id = coalesce(named.joined_id, named.id)
CROSS JOIN LATERAL (
    SELECT
        u.since,
        u.detail
    FROM billing_unpaid_terms AS u
    WHERE u.subscription_id = s.id
    OFFSET 0
) AS owed
WHERE named.id = :customer_id::uuid
ORDER BY owed.since
LIMIT 5;

-- name: get_currency_of_customer(customer_id, livemode)$
-- Of what they pay on their principal Stripe customer, else of what they have bought last.
SELECT lower(s.currency)
FROM customers AS named
JOIN customers AS c
    ON c.id = coalesce(named.joined_id, named.id)
JOIN subscriptions AS s
    ON s.customer_id = c.id
WHERE named.id = :customer_id::uuid
  AND s.billing_provider = 'stripe'
  AND s.livemode = :livemode::boolean
  AND s.stripe_status IN ('active', 'trialing', 'past_due', 'unpaid', 'paused')
ORDER BY (s.stripe_customer_id = c.stripe_customer_id) IS TRUE DESC, s.created_at DESC, s.id
LIMIT 1;

-- name: list_vouched_stripe_customers(customer_id, currency, livemode)
-- On which a vouched order may run: the principal Stripe customer first, then those of earlier vouched
-- orders. Never that of another order by anyone. in_currency: no subscription in another currency is
-- alive or can still be paid on it, because Stripe has one currency for those of a customer.
SELECT
    candidates.id,
    NOT EXISTS (
        SELECT 1
        FROM subscriptions AS other
        WHERE other.customer_id = :customer_id::uuid
          AND other.stripe_customer_id = candidates.id
          AND other.billing_provider = 'stripe'
          AND lower(other.currency) <> :currency::text
          AND CASE
              WHEN other.stripe_status IS NULL THEN other.status = 'provisional'
              ELSE other.stripe_status NOT IN ('canceled', 'incomplete_expired')
          END
    ) AS in_currency
FROM (
    SELECT
        c.stripe_customer_id AS id,
        TRUE AS is_principal,
        c.created_at
    FROM customers AS c
    WHERE c.id = :customer_id::uuid
    UNION ALL
    SELECT
        s.stripe_customer_id,
        FALSE,
        s.created_at
    FROM orders AS o
    JOIN subscriptions AS s
        ON s.id = o.subscription_id
    WHERE o.customer_id = :customer_id::uuid
      AND o.vouched
) AS candidates
LEFT JOIN stripe_customers AS known
    ON known.id = candidates.id
WHERE candidates.id IS NOT NULL
  AND known.deleted IS NOT TRUE
  AND (known.livemode IS NULL OR known.livemode = :livemode::boolean)
GROUP BY candidates.id
ORDER BY bool_or(candidates.is_principal) DESC, max(candidates.created_at) DESC, candidates.id;

-- name: insert_order(customer, subscription, items, charges, domains, placed, params, key)^
-- The provisional subscription with everything that belongs to it: its customer, unless they are known
-- already (null), and its first attempt. It never looks due to mPanel's own biller: no renewal, no next
-- billing date. Returns the parameters as stored: they are sent in exactly that form, every time.
WITH ordering AS (
    INSERT INTO customers (
        id,
        email,
        name,
        company_name,
        phone,
        address_line1,
        address_line2,
        city,
        state,
        postal_code,
        country,
        currency,
        metadata
    )
    SELECT
        c.id,
        c.email,
        c.name,
        c.company_name,
        c.phone,
        c.address_line1,
        c.address_line2,
        c.city,
        c.state,
        c.postal_code,
        c.country,
        c.currency,
        jsonb_build_object('firstSubscriptionId', c.first_subscription_id)
    FROM jsonb_to_record(:customer::jsonb) AS c (
        id uuid,
        email text,
        name text,
        company_name text,
        phone text,
        address_line1 text,
        address_line2 text,
        city text,
        state text,
        postal_code text,
        country text,
        currency text,
        first_subscription_id uuid
    )
    WHERE c.id IS NOT NULL
),
provisional AS (
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
        metadata
    )
    SELECT
        s.id,
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
        s.metadata
    FROM jsonb_to_record(:subscription::jsonb) AS s (
        id uuid,
        customer_id uuid,
        product_id uuid,
        livemode boolean,
        currency text,
        amount bigint,
        price numeric,
        billing_cycle text,
        metadata jsonb
    )
    RETURNING id, customer_id, livemode
),
items AS (
    INSERT INTO subscription_items (
        subscription_id,
        price_id,
        stripe_price_id,
        quantity,
        unit_amount,
        currency
    )
    SELECT
        provisional.id,
        i.price_id,
        i.stripe_price_id,
        i.quantity,
        i.unit_amount,
        i.currency
    FROM provisional
    CROSS JOIN jsonb_to_recordset(:items::jsonb) AS i (
        price_id uuid,
        stripe_price_id text,
        quantity bigint,
        unit_amount bigint,
        currency text
    )
    RETURNING id
),
charges AS (
    INSERT INTO subscription_charges (
        subscription_id,
        position,
        kind,
        code,
        description,
        price_id,
        domain,
        amount,
        currency,
        state
    )
    SELECT
        provisional.id,
        c.position,
        c.kind,
        c.code,
        c.description,
        c.price_id,
        c.domain,
        c.amount,
        c.currency,
        c.state
    FROM provisional
    CROSS JOIN jsonb_to_recordset(:charges::jsonb) AS c (
        position smallint,
        kind text,
        code text,
        description text,
        price_id uuid,
        domain text,
        amount bigint,
        currency text,
        state text
    )
    RETURNING id
),
names AS (
    INSERT INTO billing_domains (
        subscription_id,
        customer_id,
        name,
        unicode_name,
        skeleton,
        registrable,
        mode,
        price,
        order_total,
        currency,
        renewal_price,
        auto_renew
    )
    SELECT
        provisional.id,
        provisional.customer_id,
        d.name,
        d.unicode_name,
        d.skeleton,
        d.registrable,
        d.mode,
        d.price,
        d.order_total,
        d.currency,
        d.renewal_price,
        d.renewal_price IS NOT NULL
    FROM provisional
    CROSS JOIN jsonb_to_recordset(:domains::jsonb) AS d (
        name text,
        unicode_name text,
        skeleton text,
        registrable text,
        mode text,
        price bigint,
        order_total bigint,
        currency text,
        renewal_price bigint
    )
),
placed AS (
    INSERT INTO orders (
        subscription_id,
        customer_id,
        fingerprint,
        vouched,
        browser_id,
        left_open,
        person_hash,
        coupon_code,
        limited
    )
    SELECT
        provisional.id,
        provisional.customer_id,
        decode(placed.fingerprint, 'hex'),
        placed.vouched,
        placed.browser_id,
        placed.left_open,
        decode(placed.person_hash, 'hex'),
        placed.coupon_code,
        placed.limited
    FROM provisional
    CROSS JOIN jsonb_to_record(:placed::jsonb) AS placed (
        fingerprint text,
        vouched boolean,
        browser_id uuid,
        left_open uuid[],
        person_hash text,
        coupon_code text,
        limited boolean
    )
),
keyed AS (
    UPDATE idempotency_keys AS k
    SET subscription_id = provisional.id
    FROM provisional
    WHERE k.key = :key::text
)
INSERT INTO checkout_sessions (subscription_id, attempt, livemode, params, status)
SELECT
    provisional.id,
    1,
    provisional.livemode,
    :params::jsonb,
    'creating'
FROM provisional
RETURNING
    subscription_id,
    attempt,
    status,
    params,
    stripe_session_id,
    stripe_customer_id,
    url;

-- name: insert_attempt(subscription_id, attempt, livemode, params)^
-- A further attempt at an order. Returns the parameters as stored, as insert_order does.
INSERT INTO checkout_sessions (subscription_id, attempt, livemode, params, status)
VALUES (:subscription_id, :attempt, :livemode, :params, 'creating')
RETURNING
    subscription_id,
    attempt,
    status,
    params,
    stripe_session_id,
    stripe_customer_id,
    url;

-- name: call_off_orders(subscription_ids)!
-- If a superseded order is paid through its recovery link, it shows in billing_trouble.
UPDATE orders
SET superseded_at = now()
WHERE subscription_id = ANY(:subscription_ids::uuid[])
  AND superseded_at IS NULL;

-- name: take_up_order(subscription_id, browser_id)!
-- The buyer has returned to their first order. What several browsers have ordered, none may replace.
UPDATE orders
SET superseded_at = NULL,
    browser_id = CASE WHEN browser_id = :browser_id::uuid THEN browser_id END
WHERE subscription_id = :subscription_id::uuid
  AND (superseded_at IS NOT NULL OR browser_id IS DISTINCT FROM :browser_id::uuid);

-- name: supersede_attempts(subscription_ids)!
-- A changed order supersedes attempts whose session is being created; their process notices.
UPDATE checkout_sessions
SET status = 'failed',
    last_error = 'superseded by a changed order',
    updated_at = now()
WHERE subscription_id = ANY(:subscription_ids::uuid[])
  AND status = 'creating';

-- name: store_stripe_customer(subscription_id, attempt, stripe_customer_id, is_principal, replaced)!
-- Until the session exists, what Stripe reports about the order is linked by its Stripe customer. It
-- becomes the principal one for a vouched order only, in the place of `replaced` (null: there is none).
-- The attempt is locked before its subscription, as in open_attempt: both run at once for one order.
-- The first payment of another order decides elsewhere: billing_derive_v1.
WITH attempt AS (
    UPDATE checkout_sessions
    SET stripe_customer_id = :stripe_customer_id,
        updated_at = now()
    WHERE subscription_id = :subscription_id
      AND attempt = :attempt
    RETURNING livemode
),
ordered AS (
    UPDATE subscriptions AS s
    SET stripe_customer_id = :stripe_customer_id,
        updated_at = now()
    FROM attempt
    WHERE s.id = :subscription_id
    RETURNING s.id, s.customer_id, attempt.livemode
),
known AS (
    INSERT INTO stripe_customers AS s (id, customer_id, livemode)
    SELECT
        :stripe_customer_id,
        ordered.customer_id,
        ordered.livemode
    FROM ordered
    ON CONFLICT (id) DO UPDATE
    SET customer_id = excluded.customer_id,
        updated_at = now()
    RETURNING s.id
)
UPDATE customers AS c
SET stripe_customer_id = :stripe_customer_id,
    stripe_customer_paid_at = NULL,
    tax_id = billing_tax_id_of_v1(c.tax_id, c.stripe_customer_id, :stripe_customer_id),
    updated_at = now()
FROM ordered
WHERE c.id = ordered.customer_id
  AND :is_principal::boolean
  AND (c.stripe_customer_id IS NULL OR c.stripe_customer_id = :replaced::text)
  AND (c.stripe_customer_id, c.stripe_customer_paid_at) IS DISTINCT FROM (:stripe_customer_id, NULL);

-- name: open_attempt(subscription_id, attempt, stripe_session_id, url, payment_status, expires_at, key, response)^
-- Returns no row if the session is no longer being created: another process has finished it, or a
-- changed order has superseded it. Else the response is stored for the client's key. Notifies requests
-- that wait for the page of the same order.
WITH opened AS (
    UPDATE checkout_sessions
    SET status = 'open',
        stripe_session_id = :stripe_session_id,
        url = :url,
        payment_status = :payment_status,
        expires_at = :expires_at,
        last_error = NULL,
        updated_at = now()
    WHERE subscription_id = :subscription_id
      AND attempt = :attempt
      AND status = 'creating'
    RETURNING subscription_id
),
answered AS (
    UPDATE idempotency_keys AS k
    SET status = 200,
        response = :response::jsonb
    FROM opened
    WHERE k.key = :key::text
)
UPDATE subscriptions AS s
SET checkout_session_id = :stripe_session_id,
    updated_at = now()
FROM opened
WHERE s.id = opened.subscription_id
RETURNING
    s.id,
    pg_notify('billing_subscription', s.id::text);

-- name: note_superseded_session(subscription_id, attempt, stripe_session_id, expires_at)!
UPDATE checkout_sessions
SET stripe_session_id = :stripe_session_id,
    expires_at = :expires_at,
    updated_at = now()
WHERE subscription_id = :subscription_id
  AND attempt = :attempt
  AND stripe_session_id IS NULL;

-- name: fail_attempt(subscription_id, attempt, error)!
UPDATE checkout_sessions
SET status = 'failed',
    last_error = :error,
    updated_at = now()
WHERE subscription_id = :subscription_id
  AND attempt = :attempt
  AND status = 'creating';

-- name: get_attempt(subscription_id, attempt)^
SELECT
    c.subscription_id,
    c.attempt,
    c.status,
    c.params,
    c.stripe_session_id,
    c.stripe_customer_id,
    c.url
FROM checkout_sessions AS c
WHERE c.subscription_id = :subscription_id
  AND c.attempt = :attempt;

-- name: link_idempotency_key(key, subscription_id)!
UPDATE idempotency_keys
SET subscription_id = :subscription_id
WHERE key = :key;

-- name: store_idempotent_response(key, status, response)!
-- Lost with the server, the request finds the same page again by its order.
UPDATE idempotency_keys
SET status = :status,
    response = :response
FROM (SELECT set_config('synchronous_commit', 'off', TRUE)) AS relaxed
WHERE key = :key;

-- name: get_order_of_session(stripe_session_id)^
-- What the success page may show, by any session of the order.
SELECT
    s.id,
    s.status,
    s.livemode,
    s.stripe_status,
    s.stripe_subscription_id,
    s.billing_cycle,
    s.currency,
    s.amount,
    s.current_period_end,
    s.trial_end,
    s.cancel_at_period_end,
    s.metadata ->> 'planId' AS plan_code,
    p.name AS plan_name,
    c.status AS session_status,
    c.payment_status,
    (
        SELECT first.amount_paid
        FROM invoices AS first
        WHERE first.stripe_subscription_id = s.stripe_subscription_id
          AND first.billing_reason = 'subscription_create'
          AND first.stripe_status = 'paid'
        ORDER BY first.stripe_created
        LIMIT 1
    ) AS amount_paid,
    t.id AS tenant_id,
    coalesce(t.billing_former_domain, t.domain) AS tenant_domain,
    t.status AS tenant_status,
    coalesce(provisioned.services, '[]') AS services,
    coalesce(named.domains, '[]') AS domains
FROM checkout_sessions AS c
JOIN subscriptions AS s
    ON s.id = c.subscription_id
LEFT JOIN products AS p
    ON p.id = s.product_id
LEFT JOIN tenants AS t
    ON t.id = s.tenant_id
LEFT JOIN LATERAL (
    SELECT
        jsonb_agg(
            jsonb_build_object('productType', ts.product_type, 'state', ts.actual)
            ORDER BY ts.product_type
        ) AS services
    FROM tenant_services AS ts
    WHERE ts.subscription_id = s.id
) AS provisioned ON TRUE
LEFT JOIN LATERAL (
    SELECT
        jsonb_agg(
            jsonb_build_object('name', own.name, 'unicodeName', own.unicode_name, 'mode', own.mode, 'state', own.state, 'needs', own.needs, 'replaceable', billing_is_replaceable_v1(own.id), 'proof', billing_proof_asked_v1(own.id))
            ORDER BY own.created_at, own.name
        ) AS domains
    FROM billing_domains AS own
    WHERE own.subscription_id = s.id
) AS named ON TRUE
WHERE c.stripe_session_id = :stripe_session_id;
