-- Tax ids of Stripe's customers, and the rates that taxes of invoices are of.

-- migrate:up
CREATE TABLE stripe_tax_rates (
    stripe_tax_rate_id text PRIMARY KEY,
    livemode boolean NOT NULL,
    display_name text NOT NULL,
    tax_type text,
    percentage numeric NOT NULL CHECK (percentage BETWEEN 0 AND 100),
    inclusive boolean NOT NULL,
    country text,
    state_code text,
    jurisdiction text,
    jurisdiction_level text,
    active boolean NOT NULL,
    stripe_created timestamptz NOT NULL,
    stripe_as_of_since timestamptz NOT NULL,
    stripe_as_of timestamptz NOT NULL,
    stripe_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (stripe_as_of_since <= stripe_as_of)
);
COMMENT ON TABLE stripe_tax_rates IS 'Tax rates that were created by hand, and those that Stripe Tax has made and an invoice names';
COMMENT ON COLUMN stripe_tax_rates.stripe_tax_rate_id IS 'txr_...';
COMMENT ON COLUMN stripe_tax_rates.livemode IS 'Whether the id belongs to Stripe''s live mode';
COMMENT ON COLUMN stripe_tax_rates.display_name IS 'What the invoice calls it: VAT, Sales Tax, ...';
COMMENT ON COLUMN stripe_tax_rates.tax_type IS 'Stripe''s: vat, sales_tax, gst, ...; null: not said';
COMMENT ON COLUMN stripe_tax_rates.percentage IS 'What is charged, in percent: at Stripe effective_percentage, or percentage';
COMMENT ON COLUMN stripe_tax_rates.inclusive IS 'Whether prices contain it';
COMMENT ON COLUMN stripe_tax_rates.country IS 'ISO 3166; null: not said';
COMMENT ON COLUMN stripe_tax_rates.state_code IS 'ISO 3166-2 without the country; null: not said';
COMMENT ON COLUMN stripe_tax_rates.jurisdiction IS 'Whose tax it is, as the invoice says; null: not said';
COMMENT ON COLUMN stripe_tax_rates.jurisdiction_level IS 'Stripe''s: country, state, county, city, district; null: not said';
COMMENT ON COLUMN stripe_tax_rates.active IS 'Whether it can be used anew';
COMMENT ON COLUMN stripe_tax_rates.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_tax_rates.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_tax_rates.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_tax_rates.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_tax_rates.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_tax_rates.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_tax_ids (
    stripe_tax_id_id text PRIMARY KEY,
    livemode boolean NOT NULL,
    stripe_customer_id text NOT NULL,
    type text NOT NULL,
    value text,
    country text,
    verification text CHECK (verification = ANY ('{pending,verified,unverified,unavailable}')),
    verified_name text,
    verified_address text,
    deleted boolean NOT NULL,
    stripe_created timestamptz NOT NULL,
    stripe_as_of_since timestamptz NOT NULL,
    stripe_as_of timestamptz NOT NULL,
    stripe_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (stripe_as_of_since <= stripe_as_of)
);
CREATE INDEX stripe_tax_ids_customer_idx ON stripe_tax_ids (stripe_customer_id);
CREATE INDEX stripe_tax_ids_unverified_idx ON stripe_tax_ids (stripe_as_of)
WHERE verification = 'unverified' AND NOT deleted;
COMMENT ON TABLE stripe_tax_ids IS 'Tax ids of Stripe''s customers, with what became of their verification';
COMMENT ON COLUMN stripe_tax_ids.stripe_tax_id_id IS 'txi_...';
COMMENT ON COLUMN stripe_tax_ids.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_tax_ids.stripe_customer_id IS 'cus_... whose it is';
COMMENT ON COLUMN stripe_tax_ids.type IS 'Stripe''s: eu_vat, gb_vat, us_ein, ...';
COMMENT ON COLUMN stripe_tax_ids.value IS 'The id itself; null: erased';
COMMENT ON COLUMN stripe_tax_ids.country IS 'ISO 3166; null: not of one country';
COMMENT ON COLUMN stripe_tax_ids.verification IS 'What a government''s database says of it: pending, verified, unverified, unavailable; null: none has such ids';
COMMENT ON COLUMN stripe_tax_ids.verified_name IS 'Whose it is by that database; null: not said';
COMMENT ON COLUMN stripe_tax_ids.verified_address IS 'Their address by that database; null: not said';
COMMENT ON COLUMN stripe_tax_ids.deleted IS 'Whether the customer has it no more';
COMMENT ON COLUMN stripe_tax_ids.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_tax_ids.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_tax_ids.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_tax_ids.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_tax_ids.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_tax_ids.updated_at IS 'When this row was last changed';

CREATE TABLE billing_tax_notices (
    subscription_id uuid PRIMARY KEY REFERENCES subscriptions ON DELETE CASCADE,
    currency text NOT NULL CHECK (currency = lower(currency)),
    total_before bigint NOT NULL,
    total bigint NOT NULL,
    tax bigint NOT NULL,
    not_before timestamptz NOT NULL,
    told_by text NOT NULL,
    told_at timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz NOT NULL,
    left_because text,
    enabled_at timestamptz,
    CHECK (not_before >= told_at)
);
CREATE INDEX billing_tax_notices_due_idx ON billing_tax_notices (next_attempt_at)
WHERE enabled_at IS NULL;
COMMENT ON TABLE billing_tax_notices IS 'Subscriptions whose customers were told that taxes will be added to their prices';
COMMENT ON COLUMN billing_tax_notices.subscription_id IS 'What is to be taxed';
COMMENT ON COLUMN billing_tax_notices.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_tax_notices.total_before IS 'Minor units of the next invoice without the taxes, when it was told';
COMMENT ON COLUMN billing_tax_notices.total IS 'Minor units of the same invoice with the taxes';
COMMENT ON COLUMN billing_tax_notices.tax IS 'The taxes in it';
COMMENT ON COLUMN billing_tax_notices.not_before IS 'The end of the notice: no invoice that is made before has the taxes';
COMMENT ON COLUMN billing_tax_notices.told_by IS 'Who ordered it, and the taxes with it';
COMMENT ON COLUMN billing_tax_notices.told_at IS 'When it was told';
COMMENT ON COLUMN billing_tax_notices.next_attempt_at IS 'When the worker looks at it next; infinity: it has ended';
COMMENT ON COLUMN billing_tax_notices.left_because IS 'Why the worker left it alone when it last looked; null: it has not';
COMMENT ON COLUMN billing_tax_notices.enabled_at IS 'When Stripe was told to compute them; null: not yet';

-- migrate:down
DROP TABLE billing_tax_notices;
DROP TABLE stripe_tax_ids;
DROP TABLE stripe_tax_rates;
