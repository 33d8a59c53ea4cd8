-- The catalogue: products, prices, coupons. Products of this service have a code; mPanel's have
-- none.

-- Tables: products, billing_meters, prices, coupons, catalogue_edits
--
-- CREATE TABLE products (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     tenant_id uuid,
--     name character varying(255) NOT NULL,
--     description text,
--     type character varying(50) NOT NULL,
--     billing_cycle character varying(50),
--     price numeric(10,2) NOT NULL,
--     setup_fee numeric(10,2) DEFAULT 0,
--     currency character varying(3) DEFAULT 'USD'::character varying,
--     taxable boolean DEFAULT true,
--     status character varying(50) DEFAULT 'active'::character varying,
--     metadata jsonb DEFAULT '{}'::jsonb,
--     created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     code text,
--     kind text,
--     product_types text[] DEFAULT '{}'::text[],
--     trial_days integer DEFAULT 0,
--     max_per_customer integer,
--     max_quantity integer DEFAULT 1,
--     card_required boolean DEFAULT false,
--     free_domain boolean DEFAULT false,
--     allowed_changes text[],
--     category text,
--     features text[] DEFAULT '{}'::text[],
--     resources jsonb DEFAULT '{}'::jsonb,
--     display_order integer DEFAULT 0,
--     usage jsonb,
--     tax_code text,
--     stripe_product_id text,
--     livemode boolean,
--     CONSTRAINT billing_products_kind_check CHECK ((kind = ANY (ARRAY['plan'::text, 'addon'::text, 'domain'::text, 'fee'::text]))),
--     CONSTRAINT billing_products_max_per_customer_check CHECK ((max_per_customer > 0)),
--     CONSTRAINT billing_products_max_quantity_check CHECK ((max_quantity > 0)),
--     CONSTRAINT billing_products_trial_days_check CHECK (((trial_days >= 0) AND (trial_days <= 730)))
-- );
-- ALTER TABLE ONLY products ADD CONSTRAINT products_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY products ADD CONSTRAINT products_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;
-- CREATE UNIQUE INDEX billing_products_code_key ON products USING btree (code);
-- CREATE UNIQUE INDEX billing_products_stripe_product_key ON products USING btree (stripe_product_id) WHERE (code IS NOT NULL);
--
-- CREATE TABLE billing_meters (
--     event_name text NOT NULL,
--     aggregation text NOT NULL,
--     stripe_meter_id text,
--     livemode boolean,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_meters_aggregation_check CHECK ((aggregation = ANY (ARRAY['sum'::text, 'last'::text]))),
--     CONSTRAINT billing_meters_check CHECK (((stripe_meter_id IS NULL) = (livemode IS NULL)))
-- );
-- ALTER TABLE ONLY billing_meters ADD CONSTRAINT billing_meters_pkey PRIMARY KEY (event_name);
-- ALTER TABLE ONLY billing_meters ADD CONSTRAINT billing_meters_stripe_meter_id_key UNIQUE (stripe_meter_id);
--
-- CREATE TABLE prices (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     product_id uuid NOT NULL,
--     billing_cycle text,
--     purpose text,
--     currency text NOT NULL,
--     unit_amount bigint NOT NULL,
--     meter text,
--     tiers jsonb,
--     lookup_key text NOT NULL,
--     tax_behavior text,
--     stripe_price_id text,
--     livemode boolean,
--     active boolean DEFAULT true NOT NULL,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT prices_billing_cycle_check CHECK ((billing_cycle = ANY (ARRAY['monthly'::text, 'quarterly'::text, 'semi-annually'::text, 'annually'::text, 'biennially'::text, 'triennially'::text]))),
--     CONSTRAINT prices_check CHECK (((stripe_price_id IS NULL) = (livemode IS NULL))),
--     CONSTRAINT prices_check1 CHECK (((purpose IS NULL) OR (billing_cycle IS NULL))),
--     CONSTRAINT prices_check2 CHECK (((meter IS NULL) = (tiers IS NULL))),
--     CONSTRAINT prices_check3 CHECK (((meter IS NULL) OR ((billing_cycle IS NOT NULL) AND (unit_amount = 0)))),
--     CONSTRAINT prices_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT prices_purpose_check CHECK ((purpose = ANY (ARRAY['transfer'::text, 'renewal'::text, 'redemption'::text]))),
--     CONSTRAINT prices_tax_behavior_check CHECK ((tax_behavior = ANY (ARRAY['inclusive'::text, 'exclusive'::text]))),
--     CONSTRAINT prices_unit_amount_check CHECK ((unit_amount >= 0))
-- );
-- ALTER TABLE ONLY prices ADD CONSTRAINT prices_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY prices ADD CONSTRAINT prices_stripe_price_id_key UNIQUE (stripe_price_id);
-- ALTER TABLE ONLY prices ADD CONSTRAINT prices_meter_fkey FOREIGN KEY (meter) REFERENCES billing_meters(event_name);
-- ALTER TABLE ONLY prices ADD CONSTRAINT prices_product_id_fkey FOREIGN KEY (product_id) REFERENCES products(id) ON DELETE CASCADE;
-- CREATE UNIQUE INDEX prices_lookup_key_key ON prices USING btree (lookup_key) WHERE active;
-- CREATE INDEX prices_meter_idx ON prices USING btree (meter);
-- CREATE UNIQUE INDEX prices_on_sale_key ON prices USING btree (product_id, currency, COALESCE(billing_cycle, purpose, ''::text)) WHERE active;
-- CREATE INDEX prices_product_idx ON prices USING btree (product_id);
--
-- CREATE TABLE coupons (
--     code text NOT NULL,
--     name text NOT NULL,
--     percent_off numeric(5,2),
--     amount_off bigint,
--     currency text,
--     duration text NOT NULL,
--     duration_in_months integer,
--     max_redemptions integer,
--     max_per_customer integer,
--     expires_at timestamp with time zone,
--     products text[] DEFAULT '{}'::text[] NOT NULL,
--     first_order_only boolean DEFAULT false NOT NULL,
--     retention boolean DEFAULT false NOT NULL,
--     minimum_amount bigint,
--     amount_off_in jsonb DEFAULT '{}'::jsonb NOT NULL,
--     minimum_amount_in jsonb DEFAULT '{}'::jsonb NOT NULL,
--     stripe_coupon_id text,
--     livemode boolean,
--     active boolean DEFAULT true NOT NULL,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT coupons_amount_off_check CHECK ((amount_off > 0)),
--     CONSTRAINT coupons_amount_off_in_check CHECK ((jsonb_typeof(amount_off_in) = 'object'::text)),
--     CONSTRAINT coupons_check CHECK ((num_nonnulls(percent_off, amount_off) = 1)),
--     CONSTRAINT coupons_check1 CHECK (((num_nonnulls(amount_off, minimum_amount) = 0) = (currency IS NULL))),
--     CONSTRAINT coupons_check2 CHECK (((duration = 'repeating'::text) = (duration_in_months IS NOT NULL))),
--     CONSTRAINT coupons_check3 CHECK (((stripe_coupon_id IS NULL) = (livemode IS NULL))),
--     CONSTRAINT coupons_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT coupons_duration_check CHECK ((duration = ANY (ARRAY['once'::text, 'repeating'::text, 'forever'::text]))),
--     CONSTRAINT coupons_duration_in_months_check CHECK ((duration_in_months > 0)),
--     CONSTRAINT coupons_max_per_customer_check CHECK ((max_per_customer > 0)),
--     CONSTRAINT coupons_max_redemptions_check CHECK ((max_redemptions > 0)),
--     CONSTRAINT coupons_minimum_amount_check CHECK ((minimum_amount > 0)),
--     CONSTRAINT coupons_minimum_amount_in_check CHECK ((jsonb_typeof(minimum_amount_in) = 'object'::text)),
--     CONSTRAINT coupons_percent_off_check CHECK (((percent_off > (0)::numeric) AND (percent_off <= (100)::numeric)))
-- );
-- ALTER TABLE ONLY coupons ADD CONSTRAINT coupons_pkey PRIMARY KEY (code);
-- ALTER TABLE ONLY coupons ADD CONSTRAINT coupons_stripe_coupon_id_key UNIQUE (stripe_coupon_id);
--
-- CREATE TABLE catalogue_edits (
--     product_id uuid NOT NULL,
--     after_subscription_id uuid DEFAULT '00000000-0000-0000-0000-000000000000'::uuid NOT NULL,
--     edited_at timestamp with time zone DEFAULT now() NOT NULL
-- );
-- ALTER TABLE ONLY catalogue_edits ADD CONSTRAINT catalogue_edits_pkey PRIMARY KEY (product_id);
-- ALTER TABLE ONLY catalogue_edits ADD CONSTRAINT catalogue_edits_product_id_fkey FOREIGN KEY (product_id) REFERENCES products(id) ON DELETE CASCADE;

-- name: get_catalogue(livemode)^
-- One row with everything on sale as JSON, so that pricing an order costs one round trip. A Stripe
-- id of the other mode counts as none.
WITH prices_on_sale AS (
    SELECT
        prices.product_id,
        jsonb_agg(
            jsonb_build_object(
                'id', prices.id,
                'lookup_key', prices.lookup_key,
                'stripe_price_id', CASE
                    WHEN prices.livemode = :livemode::boolean THEN prices.stripe_price_id
                END,
                'billing_cycle', prices.billing_cycle,
                'purpose', prices.purpose,
                'currency', prices.currency,
                'unit_amount', prices.unit_amount,
                'tiers', prices.tiers,
                'tax_behavior', prices.tax_behavior,
                -- as billing_begin_order_v1 has it
                'version', concat_ws('/', prices.livemode, prices.stripe_price_id, sold.updated_at)
            )
        ) AS prices
    FROM prices
    JOIN products AS sold
        ON sold.id = prices.product_id
    WHERE prices.active
    GROUP BY prices.product_id
),
products_on_sale AS (
    SELECT
        jsonb_agg(
            jsonb_build_object(
                'id', products.id,
                'code', products.code,
                'kind', products.kind,
                'name', products.name,
                'description', products.description,
                'category', products.category,
                'product_types', products.product_types,
                'trial_days', products.trial_days,
                'max_per_customer', products.max_per_customer,
                'max_quantity', products.max_quantity,
                'card_required', products.card_required,
                'free_domain', products.free_domain,
                'allowed_changes', products.allowed_changes,
                'features', products.features,
                'resources', products.resources,
                'display_order', products.display_order,
                'usage', products.usage,
                'tax_code', products.tax_code,
                'currency', lower(products.currency),
                'stripe_product_id', CASE
                    WHEN products.livemode = :livemode::boolean THEN products.stripe_product_id
                END,
                'prices', prices_on_sale.prices
            )
            ORDER BY products.display_order, products.code
        ) AS products
    FROM products
    JOIN prices_on_sale ON prices_on_sale.product_id = products.id
    WHERE products.code IS NOT NULL
      AND products.status = 'active'
),
coupons_on_offer AS (
    SELECT
        jsonb_agg(
            jsonb_build_object(
                'code', coupons.code,
                'name', coupons.name,
                'percent_off', coupons.percent_off::text,
                'amount_off', coupons.amount_off,
                'currency', coupons.currency,
                'duration', coupons.duration,
                'duration_in_months', coupons.duration_in_months,
                'max_redemptions', coupons.max_redemptions,
                'max_per_customer', coupons.max_per_customer,
                'expires_at', coupons.expires_at,
                'products', coupons.products,
                'first_order_only', coupons.first_order_only,
                'retention', coupons.retention,
                'minimum_amount', coupons.minimum_amount,
                'amount_off_in', coupons.amount_off_in,
                'minimum_amount_in', coupons.minimum_amount_in,
                'stripe_coupon_id', CASE
                    WHEN coupons.livemode = :livemode::boolean THEN coupons.stripe_coupon_id
                END
            )
            ORDER BY coupons.code
        ) AS coupons
    FROM coupons
    WHERE coupons.active
      AND (coupons.expires_at > now() OR coupons.expires_at IS NULL)
)
SELECT
    coalesce(products_on_sale.products, '[]') AS products,
    coalesce(coupons_on_offer.coupons, '[]') AS coupons
FROM products_on_sale
CROSS JOIN coupons_on_offer;

-- name: lock_catalogue()$
-- Held until the end of the transaction: two applies at the same time take turns.
SELECT pg_advisory_xact_lock(hashtext('mpanel_billing catalogue'));

-- name: note_edits(products)
-- Called before they are written: records which products will provide something else. The sweep
-- then checks their subscriptions again, some at a time, from the first one.
INSERT INTO catalogue_edits AS edit (product_id)
SELECT products.id
FROM jsonb_to_recordset(:products::jsonb) AS entry (
    code text,
    product_types jsonb,
    resources jsonb,
    usage jsonb
)
JOIN products ON products.code = entry.code
WHERE (
    to_jsonb(products.product_types),
    products.resources,
    products.usage ->> 'limit',
    products.usage ->> 'at_limit'
) IS DISTINCT FROM (
    entry.product_types,
    entry.resources,
    entry.usage ->> 'limit',
    entry.usage ->> 'at_limit'
)
ORDER BY products.id
ON CONFLICT (product_id) DO UPDATE
SET after_subscription_id = excluded.after_subscription_id,
    edited_at = excluded.edited_at
RETURNING edit.product_id;

-- name: upsert_products(products)
-- Returns the products that are new or changed.
INSERT INTO products (
    code,
    kind,
    name,
    description,
    type,
    billing_cycle,
    price,
    setup_fee,
    currency,
    status,
    product_types,
    trial_days,
    max_per_customer,
    max_quantity,
    card_required,
    free_domain,
    allowed_changes,
    category,
    features,
    resources,
    display_order,
    usage,
    tax_code
)
SELECT
    entry.code,
    entry.kind,
    entry.name,
    entry.description,
    entry.type,
    entry.billing_cycle,
    entry.price,
    entry.setup_fee,
    entry.currency,
    'active',
    entry.product_types,
    entry.trial_days,
    entry.max_per_customer,
    entry.max_quantity,
    entry.card_required,
    entry.free_domain,
    entry.allowed_changes,
    entry.category,
    entry.features,
    entry.resources,
    entry.display_order,
    entry.usage,
    entry.tax_code
FROM jsonb_to_recordset(:products::jsonb) AS entry (
    code text,
    kind text,
    name text,
    description text,
    type text,
    billing_cycle text,
    price numeric,
    setup_fee numeric,
    currency text,
    product_types text [],
    trial_days integer,
    max_per_customer integer,
    max_quantity integer,
    card_required boolean,
    free_domain boolean,
    allowed_changes text [],
    category text,
    features text [],
    resources jsonb,
    display_order integer,
    usage jsonb,
    tax_code text
)
ON CONFLICT (code) DO UPDATE
SET
    kind = excluded.kind,
    name = excluded.name,
    description = excluded.description,
    type = excluded.type,
    billing_cycle = excluded.billing_cycle,
    price = excluded.price,
    setup_fee = excluded.setup_fee,
    currency = excluded.currency,
    status = excluded.status,
    product_types = excluded.product_types,
    trial_days = excluded.trial_days,
    max_per_customer = excluded.max_per_customer,
    max_quantity = excluded.max_quantity,
    card_required = excluded.card_required,
    free_domain = excluded.free_domain,
    allowed_changes = excluded.allowed_changes,
    category = excluded.category,
    features = excluded.features,
    resources = excluded.resources,
    display_order = excluded.display_order,
    usage = excluded.usage,
    tax_code = excluded.tax_code,
    updated_at = CURRENT_TIMESTAMP
WHERE (
    products.kind,
    products.name,
    products.description,
    products.type,
    products.billing_cycle,
    products.price,
    products.setup_fee,
    products.currency,
    products.status,
    products.product_types,
    products.trial_days,
    products.max_per_customer,
    products.max_quantity,
    products.card_required,
    products.free_domain,
    products.allowed_changes,
    products.category,
    products.features,
    products.resources,
    products.display_order,
    products.usage,
    products.tax_code
) IS DISTINCT FROM (
    excluded.kind,
    excluded.name,
    excluded.description,
    excluded.type,
    excluded.billing_cycle,
    excluded.price,
    excluded.setup_fee,
    excluded.currency,
    excluded.status,
    excluded.product_types,
    excluded.trial_days,
    excluded.max_per_customer,
    excluded.max_quantity,
    excluded.card_required,
    excluded.free_domain,
    excluded.allowed_changes,
    excluded.category,
    excluded.features,
    excluded.resources,
    excluded.display_order,
    excluded.usage,
    excluded.tax_code
)
RETURNING
    products.code,
    products.xmax = 0 AS created;

-- name: retire_products(codes)
-- Takes all products of this service off sale that are not among the codes.
UPDATE products
SET
    status = 'inactive',
    updated_at = CURRENT_TIMESTAMP
WHERE products.code IS NOT NULL
  AND products.status = 'active'
  AND products.code <> ALL(:codes::text[])
RETURNING products.code;

-- name: find_changed_meters(meters)
-- Those that add up another way than the file says, which is final.
SELECT
    known.event_name,
    known.aggregation
FROM jsonb_to_recordset(:meters::jsonb) AS wanted (event_name text, aggregation text)
JOIN billing_meters AS known
    ON known.event_name = wanted.event_name
WHERE known.aggregation <> wanted.aggregation
ORDER BY known.event_name;

-- name: insert_meters(meters)!
-- Those that are new.
INSERT INTO billing_meters (event_name, aggregation)
SELECT
    entry.event_name,
    entry.aggregation
FROM jsonb_to_recordset(:meters::jsonb) AS entry (event_name text, aggregation text)
ORDER BY entry.event_name
ON CONFLICT (event_name) DO NOTHING;

-- name: retire_prices(prices)
-- Takes all prices off sale that do not equal a wanted one exactly. Whether taxes are included can be said later, and never be
-- changed or taken back.
WITH wanted AS (
    SELECT
        entry.code,
        entry.billing_cycle,
        entry.currency,
        entry.unit_amount,
        entry.meter,
        entry.tiers,
        entry.lookup_key,
        entry.tax_behavior
    FROM jsonb_to_recordset(:prices::jsonb) AS entry (
        code text,
        billing_cycle text,
        currency text,
        unit_amount bigint,
        meter text,
        tiers jsonb,
        lookup_key text,
        tax_behavior text
    )
)
UPDATE prices
SET
    active = FALSE,
    updated_at = now()
FROM products
WHERE products.id = prices.product_id
  AND prices.active
  AND NOT EXISTS (
      SELECT 1
      FROM wanted
      WHERE wanted.code = products.code
        AND wanted.billing_cycle IS NOT DISTINCT FROM prices.billing_cycle
        AND wanted.currency = prices.currency
        AND wanted.unit_amount = prices.unit_amount
        AND wanted.meter IS NOT DISTINCT FROM prices.meter
        AND wanted.tiers IS NOT DISTINCT FROM prices.tiers
        AND wanted.lookup_key = prices.lookup_key
        AND (wanted.tax_behavior = prices.tax_behavior OR prices.tax_behavior IS NULL OR wanted.tax_behavior IS NULL)
  )
RETURNING prices.lookup_key;

-- name: insert_prices(prices)
-- Puts the wanted prices on sale that are not yet; the others were left by retire_prices because
-- they are equal.
INSERT INTO prices (
    product_id,
    billing_cycle,
    purpose,
    currency,
    unit_amount,
    meter,
    tiers,
    lookup_key,
    tax_behavior
)
SELECT
    products.id,
    entry.billing_cycle,
    entry.purpose,
    entry.currency,
    entry.unit_amount,
    entry.meter,
    entry.tiers,
    entry.lookup_key,
    entry.tax_behavior
FROM jsonb_to_recordset(:prices::jsonb) AS entry (
    code text,
    billing_cycle text,
    purpose text,
    currency text,
    unit_amount bigint,
    meter text,
    tiers jsonb,
    lookup_key text,
    tax_behavior text
)
JOIN products ON products.code = entry.code
ON CONFLICT (lookup_key) WHERE active DO NOTHING
RETURNING prices.lookup_key;

-- name: say_tax_behaviors(prices)!
-- Of prices of which nobody has said it yet.
UPDATE prices
SET tax_behavior = wanted.tax_behavior,
    updated_at = now()
FROM jsonb_to_recordset(:prices::jsonb) AS wanted (lookup_key text, tax_behavior text)
WHERE prices.active
  AND prices.lookup_key = wanted.lookup_key
  AND prices.tax_behavior IS NULL
  AND wanted.tax_behavior IS NOT NULL;

-- name: upsert_coupons(coupons)
-- Returns the coupons that are new or changed. A changed one has to be pushed again before it can
-- be used, so its Stripe id is cleared.
INSERT INTO coupons (
    code,
    name,
    percent_off,
    amount_off,
    currency,
    duration,
    duration_in_months,
    max_redemptions,
    max_per_customer,
    expires_at,
    products,
    first_order_only,
    retention,
    minimum_amount,
    amount_off_in,
    minimum_amount_in
)
SELECT
    entry.code,
    entry.name,
    entry.percent_off,
    entry.amount_off,
    entry.currency,
    entry.duration,
    entry.duration_in_months,
    entry.max_redemptions,
    entry.max_per_customer,
    entry.expires_at,
    entry.products,
    entry.first_order_only,
    entry.retention,
    entry.minimum_amount,
    entry.amount_off_in,
    entry.minimum_amount_in
FROM jsonb_to_recordset(:coupons::jsonb) AS entry (
    code text,
    name text,
    percent_off numeric,
    amount_off bigint,
    currency text,
    duration text,
    duration_in_months integer,
    max_redemptions integer,
    max_per_customer integer,
    expires_at timestamptz,
    products text [],
    first_order_only boolean,
    retention boolean,
    minimum_amount bigint,
    amount_off_in jsonb,
    minimum_amount_in jsonb
)
ON CONFLICT (code) DO UPDATE
SET
    name = excluded.name,
    percent_off = excluded.percent_off,
    amount_off = excluded.amount_off,
    currency = excluded.currency,
    duration = excluded.duration,
    duration_in_months = excluded.duration_in_months,
    max_redemptions = excluded.max_redemptions,
    max_per_customer = excluded.max_per_customer,
    expires_at = excluded.expires_at,
    products = excluded.products,
    first_order_only = excluded.first_order_only,
    retention = excluded.retention,
    minimum_amount = excluded.minimum_amount,
    amount_off_in = excluded.amount_off_in,
    minimum_amount_in = excluded.minimum_amount_in,
    stripe_coupon_id = NULL,
    livemode = NULL,
    active = TRUE,
    updated_at = now()
WHERE (
    coupons.name,
    coupons.percent_off,
    coupons.amount_off,
    coupons.currency,
    coupons.duration,
    coupons.duration_in_months,
    coupons.max_redemptions,
    coupons.max_per_customer,
    coupons.expires_at,
    coupons.products,
    coupons.first_order_only,
    coupons.retention,
    coupons.minimum_amount,
    coupons.amount_off_in,
    coupons.minimum_amount_in,
    coupons.active
) IS DISTINCT FROM (
    excluded.name,
    excluded.percent_off,
    excluded.amount_off,
    excluded.currency,
    excluded.duration,
    excluded.duration_in_months,
    excluded.max_redemptions,
    excluded.max_per_customer,
    excluded.expires_at,
    excluded.products,
    excluded.first_order_only,
    excluded.retention,
    excluded.minimum_amount,
    excluded.amount_off_in,
    excluded.minimum_amount_in,
    TRUE
)
RETURNING
    coupons.code,
    coupons.xmax = 0 AS created;

-- name: retire_coupons(codes)
UPDATE coupons
SET
    active = FALSE,
    updated_at = now()
WHERE coupons.active
  AND coupons.code <> ALL(:codes::text[])
RETURNING coupons.code;

-- name: try_push_lock()$
-- Held by the session, since a push calls Stripe between its transactions; released with the
-- connection at the latest.
SELECT pg_try_advisory_lock(hashtext('mpanel_billing catalogue push'));

-- name: release_push_lock()$
SELECT pg_advisory_unlock(hashtext('mpanel_billing catalogue push'));

-- name: list_products_to_push(livemode)
-- What is on sale, and what was on sale and is known to Stripe.
SELECT
    products.id,
    products.code,
    products.name,
    products.description,
    products.tax_code,
    products.status = 'active' AS active,
    CASE
        WHEN products.livemode = :livemode::boolean THEN products.stripe_product_id
    END AS stripe_product_id
FROM products
WHERE products.code IS NOT NULL
  AND (
      products.status = 'active'
      OR (products.livemode = :livemode::boolean AND products.stripe_product_id IS NOT NULL)
  )
ORDER BY products.display_order, products.code;

-- name: list_meters_to_push()
-- Those of prices on sale, by what is sold.
SELECT DISTINCT
    meter.event_name,
    meter.aggregation,
    sold.name
FROM billing_meters AS meter
JOIN prices ON prices.meter = meter.event_name AND prices.active
JOIN products AS sold
    ON sold.id = prices.product_id
ORDER BY meter.event_name;

-- name: set_stripe_meter_ids(event_names, stripe_ids, livemode)!
UPDATE billing_meters AS meter
SET
    stripe_meter_id = pushed.stripe_id,
    livemode = :livemode::boolean
FROM unnest(:event_names::text[], :stripe_ids::text[]) AS pushed (event_name, stripe_id)
WHERE meter.event_name = pushed.event_name
  AND (meter.stripe_meter_id, meter.livemode) IS DISTINCT FROM (pushed.stripe_id, :livemode::boolean);

-- name: list_prices_to_push(livemode)
-- What is on sale, and what was and Stripe knows.
SELECT
    prices.id,
    prices.product_id,
    prices.billing_cycle,
    prices.currency,
    prices.unit_amount,
    prices.tiers,
    CASE
        WHEN meter.livemode = :livemode::boolean THEN meter.stripe_meter_id
    END AS stripe_meter_id,
    prices.tax_behavior,
    prices.lookup_key,
    prices.active,
    EXISTS (
        SELECT 1
        FROM subscription_items AS item
        JOIN subscriptions AS s
            ON s.id = item.subscription_id
            AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')
        WHERE item.price_id = prices.id
    ) AS in_use,
    CASE
        WHEN prices.livemode = :livemode::boolean THEN prices.stripe_price_id
    END AS stripe_price_id
FROM prices
JOIN products ON products.id = prices.product_id
LEFT JOIN billing_meters AS meter
    ON meter.event_name = prices.meter
WHERE prices.active
   OR prices.livemode = :livemode::boolean
ORDER BY products.display_order, prices.lookup_key, prices.created_at;

-- name: list_coupons_to_push()
SELECT
    coupons.code,
    coupons.name,
    coupons.percent_off,
    coupons.amount_off,
    coupons.currency,
    coupons.amount_off_in,
    coupons.duration,
    coupons.duration_in_months,
    coupons.max_redemptions,
    coupons.expires_at,
    coupons.products
FROM coupons
WHERE coupons.active
  AND (coupons.expires_at > now() OR coupons.expires_at IS NULL)
ORDER BY coupons.code;

-- name: set_stripe_product_ids(ids, stripe_ids, livemode)!
-- Items of the product may have been waiting for it: their subscriptions are checked again.
WITH pushed AS (
    UPDATE products
    SET
        stripe_product_id = pushed.stripe_id,
        livemode = :livemode::boolean
    FROM unnest(:ids::uuid[], :stripe_ids::text[]) AS pushed (id, stripe_id)
    WHERE products.id = pushed.id
      AND (products.stripe_product_id, products.livemode)
          IS DISTINCT FROM (pushed.stripe_id, :livemode::boolean)
    RETURNING products.id
)
INSERT INTO catalogue_edits AS edit (product_id)
SELECT pushed.id
FROM pushed
ORDER BY pushed.id
ON CONFLICT (product_id) DO UPDATE
SET after_subscription_id = excluded.after_subscription_id,
    edited_at = excluded.edited_at;

-- name: set_stripe_price_ids(ids, stripe_ids, livemode)!
WITH pushed AS (
    UPDATE prices
    SET
        stripe_price_id = pushed.stripe_id,
        livemode = :livemode::boolean,
        updated_at = now()
    FROM unnest(:ids::uuid[], :stripe_ids::text[]) AS pushed (id, stripe_id)
    WHERE prices.id = pushed.id
      AND (prices.stripe_price_id, prices.livemode)
          IS DISTINCT FROM (pushed.stripe_id, :livemode::boolean)
    RETURNING prices.product_id
)
INSERT INTO catalogue_edits AS edit (product_id)
SELECT DISTINCT pushed.product_id
FROM pushed
ORDER BY pushed.product_id
ON CONFLICT (product_id) DO UPDATE
SET after_subscription_id = excluded.after_subscription_id,
    edited_at = excluded.edited_at;

-- name: set_stripe_coupon_ids(codes, livemode)!
-- A coupon's id at Stripe is its code.
UPDATE coupons
SET
    stripe_coupon_id = coupons.code,
    livemode = :livemode::boolean
WHERE coupons.code = ANY(:codes::text[])
  AND (coupons.stripe_coupon_id, coupons.livemode)
      IS DISTINCT FROM (coupons.code, :livemode::boolean);
