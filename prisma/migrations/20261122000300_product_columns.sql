-- Our columns on mPanel's tables: one table a file, so that no transaction waits for one table
-- while it keeps mPanel out of another. All are nullable or have a constant default, so adding
-- them rewrites nothing. Indexes on these tables follow in files of their own, built concurrently.

-- migrate:up
ALTER TABLE products
    ADD COLUMN IF NOT EXISTS code text,
    ADD COLUMN IF NOT EXISTS kind text
        CONSTRAINT billing_products_kind_check CHECK (kind IN ('plan', 'addon', 'domain', 'fee')),
    ADD COLUMN IF NOT EXISTS product_types text[] DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS trial_days integer DEFAULT 0
        CONSTRAINT billing_products_trial_days_check CHECK (trial_days BETWEEN 0 AND 730),
    ADD COLUMN IF NOT EXISTS category text,
    ADD COLUMN IF NOT EXISTS features text[] DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS resources jsonb DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS display_order integer DEFAULT 0,
    ADD COLUMN IF NOT EXISTS stripe_product_id text,
    ADD COLUMN IF NOT EXISTS livemode boolean;

SELECT billing_record_additions('20261122000300');
SELECT billing_describe('products', described.column_name, described.description)
FROM (VALUES
    ('code', 'The planId or add-on id that clients send; null: not a product of ours'),
    ('kind', 'plan (the one base product of an order), addon, domain (a TLD), fee'),
    ('product_types', 'What is provisioned for it: hosting, email, storage, ...'),
    ('trial_days', 'Free days before the first charge; 0: no trial'),
    ('category', 'Heading under which the marketing site lists it'),
    ('features', 'Sentences for the plan''s card'),
    ('resources', 'Limits that provisioning hands on: disk, mailboxes, ...'),
    ('display_order', 'Place in the marketing site''s lists; small numbers first'),
    ('stripe_product_id', 'prod_... in the mode that livemode says'),
    ('livemode', 'Mode of Stripe that stripe_product_id belongs to; null: not pushed')
) AS described (column_name, description);

-- migrate:down
SELECT billing_revert_additions('20261122000300');
