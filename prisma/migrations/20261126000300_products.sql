-- The catalogue: our columns on mPanel's products, and the tables that belong to them.
-- Each table of mPanel is changed in a file of its own, so that no transaction waits for one of them
-- while it blocks another. Its columns are nullable or have a constant default, so adding them rewrites
-- nothing. Indexes on tables that can be large are built concurrently, in files of their own.

-- migrate:up
ALTER TABLE products
    ADD COLUMN IF NOT EXISTS code text,
    ADD COLUMN IF NOT EXISTS kind text
        CONSTRAINT billing_products_kind_check CHECK (kind IN ('plan', 'addon', 'domain', 'fee')),
    ADD COLUMN IF NOT EXISTS product_types text[] DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS trial_days integer DEFAULT 0
        CONSTRAINT billing_products_trial_days_check CHECK (trial_days BETWEEN 0 AND 730),
    ADD COLUMN IF NOT EXISTS max_per_customer integer
        CONSTRAINT billing_products_max_per_customer_check CHECK (max_per_customer > 0),
    ADD COLUMN IF NOT EXISTS max_quantity integer DEFAULT 1
        CONSTRAINT billing_products_max_quantity_check CHECK (max_quantity > 0),
    ADD COLUMN IF NOT EXISTS card_required boolean DEFAULT FALSE,
    ADD COLUMN IF NOT EXISTS free_domain boolean DEFAULT FALSE,
    ADD COLUMN IF NOT EXISTS allowed_changes text[],
    ADD COLUMN IF NOT EXISTS category text,
    ADD COLUMN IF NOT EXISTS features text[] DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS resources jsonb DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS display_order integer DEFAULT 0,
    ADD COLUMN IF NOT EXISTS usage jsonb,
    ADD COLUMN IF NOT EXISTS tax_code text,
    ADD COLUMN IF NOT EXISTS stripe_product_id text,
    ADD COLUMN IF NOT EXISTS livemode boolean;

SELECT billing_record_additions('20261126000300');
SELECT billing_describe('products', described.column_name, described.description)
FROM (VALUES
    ('code', 'The planId or add-on id that clients send; null: not sold by this service'),
    ('kind', 'plan (the base product of an order), addon, domain (a TLD), fee'),
    ('product_types', 'What is provisioned for it: hosting, email, storage, ...'),
    ('trial_days', 'Free days before the first charge; 0: no trial'),
    ('max_per_customer', 'How many of a plan one customer may have at a time; null: any number'),
    ('max_quantity', 'How many of a plan or add-on a subscription may have'),
    ('card_required', 'Checkout asks for a card even if nothing is due'),
    ('free_domain', 'A term of twelve months or more includes the first domain of the order'),
    ('allowed_changes', 'Codes of the plans that a plan may be changed to; null: any'),
    ('category', 'Heading on the marketing site'),
    ('features', 'Selling points on the plan''s card'),
    ('resources', 'Limits that provisioning passes on: disk, mailboxes, ...'),
    ('display_order', 'Place in the marketing site''s lists, in ascending order'),
    ('usage', 'Of an add-on that is billed by usage: its meter, unit and what is included; null: it has a price'),
    ('tax_code', 'txcd_..., Stripe''s category for taxes; null: the account''s default'),
    ('stripe_product_id', 'prod_... in the mode that livemode names'),
    ('livemode', 'Whether stripe_product_id belongs to Stripe''s live mode; null: not pushed')
) AS described (column_name, description);

-- A catalogue is small: its index is built in milliseconds.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX billing_products_code_key ON products (code);
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX billing_products_stripe_product_key ON products (stripe_product_id)
WHERE code IS NOT NULL;

CREATE TABLE billing_meters (
    event_name text PRIMARY KEY,
    aggregation text NOT NULL CHECK (aggregation IN ('sum', 'last')),
    stripe_meter_id text UNIQUE,
    livemode boolean,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((stripe_meter_id IS NULL) = (livemode IS NULL))
);
COMMENT ON TABLE billing_meters IS 'What is metered; Stripe''s meters cannot change how they add up, and neither can these';
COMMENT ON COLUMN billing_meters.event_name IS 'Its name in the catalogue, and in meter events at Stripe';
COMMENT ON COLUMN billing_meters.aggregation IS 'sum: what was used adds up; last: the latest value of a term counts';
COMMENT ON COLUMN billing_meters.stripe_meter_id IS 'mtr_... in the mode that livemode says; null: not pushed yet';
COMMENT ON COLUMN billing_meters.livemode IS 'Whether stripe_meter_id belongs to Stripe''s live mode; null: not pushed';
COMMENT ON COLUMN billing_meters.created_at IS 'When this row was created';

CREATE TABLE prices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    billing_cycle text CHECK (billing_cycle IN (
        'monthly', 'quarterly', 'semi-annually', 'annually', 'biennially', 'triennially'
    )),
    purpose text CHECK (purpose IN ('transfer', 'renewal', 'redemption')),
    currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    unit_amount bigint NOT NULL CHECK (unit_amount >= 0),
    meter text REFERENCES billing_meters,
    tiers jsonb,
    lookup_key text NOT NULL,
    tax_behavior text CHECK (tax_behavior IN ('inclusive', 'exclusive')),
    stripe_price_id text UNIQUE,
    livemode boolean,
    active boolean NOT NULL DEFAULT TRUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((stripe_price_id IS NULL) = (livemode IS NULL)),
    CHECK (purpose IS NULL OR billing_cycle IS NULL),
    CHECK ((meter IS NULL) = (tiers IS NULL)),
    CHECK (meter IS NULL OR (billing_cycle IS NOT NULL AND unit_amount = 0))
);
-- A price never changes: a new amount is a new row, and at most one of them is on sale.
CREATE UNIQUE INDEX prices_on_sale_key ON prices (product_id, currency, coalesce(billing_cycle, purpose, ''))
WHERE active;
CREATE UNIQUE INDEX prices_lookup_key_key ON prices (lookup_key)
WHERE active;
CREATE INDEX prices_product_idx ON prices (product_id);
CREATE INDEX prices_meter_idx ON prices (meter);
COMMENT ON TABLE prices IS 'What a product costs per term; a price is retired, never changed';
COMMENT ON COLUMN prices.id IS 'Our id';
COMMENT ON COLUMN prices.product_id IS 'What is sold';
COMMENT ON COLUMN prices.billing_cycle IS 'The term; null: charged once';
COMMENT ON COLUMN prices.purpose IS 'Of domains: transfer, renewal (each further year) or redemption (getting back an expired one); null: what it costs to buy the product';
COMMENT ON COLUMN prices.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN prices.unit_amount IS 'Minor units of currency for the whole term; 0 if it is billed by usage';
COMMENT ON COLUMN prices.meter IS 'The meter whose usage it bills after each term; null: it is billed before';
COMMENT ON COLUMN prices.tiers IS 'What a unit costs up to which usage in a term, as Stripe has it (graduated); amounts are decimals of minor units';
COMMENT ON COLUMN prices.lookup_key IS 'Stripe''s lookup key, by which `catalog push` finds the price again';
COMMENT ON COLUMN prices.tax_behavior IS 'Whether it contains the taxes; once said it never changes; null: not said';
COMMENT ON COLUMN prices.stripe_price_id IS 'price_... in the mode that livemode says; null: not pushed yet';
COMMENT ON COLUMN prices.livemode IS 'Whether stripe_price_id belongs to Stripe''s live mode; null: not pushed';
COMMENT ON COLUMN prices.active IS 'On sale';
COMMENT ON COLUMN prices.created_at IS 'When this row was created';
COMMENT ON COLUMN prices.updated_at IS 'When this row was last changed';

CREATE TABLE coupons (
    code text PRIMARY KEY,
    name text NOT NULL,
    percent_off numeric(5, 2) CHECK (percent_off > 0 AND percent_off <= 100),
    amount_off bigint CHECK (amount_off > 0),
    currency text CHECK (currency ~ '^[a-z]{3}$'),
    duration text NOT NULL CHECK (duration IN ('once', 'repeating', 'forever')),
    duration_in_months integer CHECK (duration_in_months > 0),
    max_redemptions integer CHECK (max_redemptions > 0),
    max_per_customer integer CHECK (max_per_customer > 0),
    expires_at timestamptz,
    products text[] NOT NULL DEFAULT '{}',
    first_order_only boolean NOT NULL DEFAULT FALSE,
    retention boolean NOT NULL DEFAULT FALSE,
    minimum_amount bigint CHECK (minimum_amount > 0),
    amount_off_in jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(amount_off_in) = 'object'),
    minimum_amount_in jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(minimum_amount_in) = 'object'),
    stripe_coupon_id text UNIQUE,
    livemode boolean,
    active boolean NOT NULL DEFAULT TRUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(percent_off, amount_off) = 1),
    CHECK ((num_nonnulls(amount_off, minimum_amount) = 0) = (currency IS NULL)),
    CHECK ((duration = 'repeating') = (duration_in_months IS NOT NULL)),
    CHECK ((stripe_coupon_id IS NULL) = (livemode IS NULL))
);
COMMENT ON TABLE coupons IS 'Discounts that a buyer can enter';
COMMENT ON COLUMN coupons.code IS 'What the buyer enters; compared in upper case';
COMMENT ON COLUMN coupons.name IS 'Shown to the buyer and in Stripe';
COMMENT ON COLUMN coupons.percent_off IS 'Percent of the order, or of its products; null: a fixed amount';
COMMENT ON COLUMN coupons.amount_off IS 'Minor units of currency; null: a percentage';
COMMENT ON COLUMN coupons.currency IS 'Of amount_off and minimum_amount';
COMMENT ON COLUMN coupons.duration IS 'once, repeating (for duration_in_months) or forever';
COMMENT ON COLUMN coupons.duration_in_months IS 'Of a repeating coupon';
COMMENT ON COLUMN coupons.max_redemptions IS 'How many orders may have it, open payment pages included; null: any number';
COMMENT ON COLUMN coupons.max_per_customer IS 'How many of them may be one person''s; null: any number';
COMMENT ON COLUMN coupons.expires_at IS 'From then on it cannot be ordered; null: no end';
COMMENT ON COLUMN coupons.products IS 'Codes of the plans and add-ons that it is taken off; empty: everything in the order';
COMMENT ON COLUMN coupons.retention IS 'Not for orders: offered to who wants to cancel';
COMMENT ON COLUMN coupons.first_order_only IS 'Only for who has had no subscription before';
COMMENT ON COLUMN coupons.minimum_amount IS 'What the order must come to before the discount, in minor units of currency; null: any sum';
COMMENT ON COLUMN coupons.amount_off_in IS 'What it takes off in other currencies, minor units by currency: {"jpy": 500}';
COMMENT ON COLUMN coupons.minimum_amount_in IS 'minimum_amount in other currencies, minor units by currency';
COMMENT ON COLUMN coupons.stripe_coupon_id IS 'Coupon at Stripe, and with _ and a currency behind it those of amount_off_in; null: not pushed yet';
COMMENT ON COLUMN coupons.livemode IS 'Whether stripe_coupon_id belongs to Stripe''s live mode; null: not pushed';
COMMENT ON COLUMN coupons.active IS 'Buyers may use it';
COMMENT ON COLUMN coupons.created_at IS 'When this row was created';
COMMENT ON COLUMN coupons.updated_at IS 'When this row was last changed';

CREATE TABLE catalogue_edits (
    product_id uuid PRIMARY KEY REFERENCES products ON DELETE CASCADE,
    after_subscription_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    edited_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE catalogue_edits IS 'Products whose types, resources, limits of usage or Stripe ids have changed, until all their subscriptions have been checked again';
COMMENT ON COLUMN catalogue_edits.product_id IS 'The edited product';
COMMENT ON COLUMN catalogue_edits.after_subscription_id IS 'Subscriptions up to this one have been triggered; the sweep continues after it';
COMMENT ON COLUMN catalogue_edits.edited_at IS 'When it was last edited';

-- Web processes keep the public catalogue in memory until something in it changes, whoever changes it.
CREATE FUNCTION billing_announce_catalogue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('billing_catalogue', '');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_announce_catalogue() IS 'Tells web processes that products or prices have changed';
CREATE TRIGGER billing_announce_catalogue
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON products
FOR EACH STATEMENT EXECUTE FUNCTION billing_announce_catalogue();
CREATE TRIGGER billing_announce_catalogue
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON prices
FOR EACH STATEMENT EXECUTE FUNCTION billing_announce_catalogue();

-- migrate:down
DROP TRIGGER billing_announce_catalogue ON prices;
DROP TRIGGER billing_announce_catalogue ON products;
DROP FUNCTION billing_announce_catalogue();
DROP TABLE catalogue_edits;
DROP TABLE coupons;
DROP TABLE prices;
DROP TABLE billing_meters;
DROP INDEX billing_products_stripe_product_key;
DROP INDEX billing_products_code_key;
SELECT billing_revert_additions('20261126000300');
