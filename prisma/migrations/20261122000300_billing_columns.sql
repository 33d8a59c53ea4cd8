-- Our columns on mPanel's tables. All are nullable or have a constant default, so adding them
-- rewrites nothing. Indexes on these tables follow in files of their own, built concurrently.

-- migrate:up
SELECT billing_begin_migration();

ALTER TABLE tenants
    ADD COLUMN IF NOT EXISTS billing_subscription_id uuid;
COMMENT ON COLUMN tenants.billing_subscription_id IS 'The subscription that this tenant was made for; unique, so a subscription has at most one';

ALTER TABLE customers
    ADD COLUMN IF NOT EXISTS email text,
    ADD COLUMN IF NOT EXISTS name text,
    ADD COLUMN IF NOT EXISTS stripe_customer_id text,
    ADD COLUMN IF NOT EXISTS metadata jsonb DEFAULT '{}';
COMMENT ON COLUMN customers.email IS 'Where the buyer is written to, as given; compared in lower case';
COMMENT ON COLUMN customers.stripe_customer_id IS 'Her principal Stripe customer (cus_...); others of hers are in stripe_customers';

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
COMMENT ON COLUMN products.code IS 'The planId or add-on id that clients send; null: not a product of ours';
COMMENT ON COLUMN products.kind IS 'plan (the one base product of an order), addon, domain (a TLD), fee';
COMMENT ON COLUMN products.product_types IS 'What is provisioned for it: hosting, email, storage, ...';
COMMENT ON COLUMN products.trial_days IS 'Free days before the first charge; 0: no trial';
COMMENT ON COLUMN products.category IS 'Heading under which the marketing site lists it';
COMMENT ON COLUMN products.features IS 'Sentences for the plan''s card';
COMMENT ON COLUMN products.resources IS 'Limits that provisioning hands on: disk, mailboxes, ...';
COMMENT ON COLUMN products.stripe_product_id IS 'prod_... in the mode that livemode says';
COMMENT ON COLUMN products.livemode IS 'Mode of Stripe that stripe_product_id belongs to; null: not pushed';

ALTER TABLE subscriptions
    ADD COLUMN IF NOT EXISTS billing_provider text
        CONSTRAINT billing_subscriptions_provider_check CHECK (billing_provider = 'stripe'),
    ADD COLUMN IF NOT EXISTS livemode boolean,
    ADD COLUMN IF NOT EXISTS stripe_status text
        CONSTRAINT billing_subscriptions_stripe_status_check CHECK (stripe_status IN (
            'incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'unpaid', 'paused', 'canceled'
        )),
    ADD COLUMN IF NOT EXISTS stripe_customer_id text,
    ADD COLUMN IF NOT EXISTS stripe_subscription_id text,
    ADD COLUMN IF NOT EXISTS stripe_payment_intent_id text,
    ADD COLUMN IF NOT EXISTS checkout_session_id text,
    ADD COLUMN IF NOT EXISTS currency text
        CONSTRAINT billing_subscriptions_currency_check CHECK (currency ~ '^[a-z]{3}$'),
    ADD COLUMN IF NOT EXISTS amount bigint,
    ADD COLUMN IF NOT EXISTS current_period_start timestamptz,
    ADD COLUMN IF NOT EXISTS current_period_end timestamptz,
    ADD COLUMN IF NOT EXISTS trial_end timestamptz,
    ADD COLUMN IF NOT EXISTS cancel_at_period_end boolean,
    ADD COLUMN IF NOT EXISTS cancel_at timestamptz,
    ADD COLUMN IF NOT EXISTS canceled_at timestamptz,
    ADD COLUMN IF NOT EXISTS ended_at timestamptz,
    ADD COLUMN IF NOT EXISTS collection_paused boolean,
    ADD COLUMN IF NOT EXISTS initial_payment_settled boolean,
    ADD COLUMN IF NOT EXISTS stripe_as_of_since timestamptz,
    ADD COLUMN IF NOT EXISTS stripe_as_of timestamptz,
    ADD COLUMN IF NOT EXISTS stripe_event_id text;
COMMENT ON COLUMN subscriptions.billing_provider IS '"stripe": Stripe bills this row, and mPanel''s own biller must never see it as due; null: a row of mPanel''s';
COMMENT ON COLUMN subscriptions.livemode IS 'Mode of Stripe that the ids belong to';
COMMENT ON COLUMN subscriptions.stripe_status IS 'Stripe''s own word; status has ours';
COMMENT ON COLUMN subscriptions.checkout_session_id IS 'The latest Checkout session of the order; older ones are in checkout_sessions';
COMMENT ON COLUMN subscriptions.stripe_payment_intent_id IS 'Payment of the latest invoice that had one';
COMMENT ON COLUMN subscriptions.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN subscriptions.amount IS 'Recurring sum per term in minor units of currency, before discounts';
COMMENT ON COLUMN subscriptions.current_period_end IS 'The earliest end among the items';
COMMENT ON COLUMN subscriptions.collection_paused IS 'Stripe collects no payment for now (pause_collection)';
COMMENT ON COLUMN subscriptions.initial_payment_settled IS 'The first invoice is paid or was $0: the condition for provisioning the first time';
COMMENT ON COLUMN subscriptions.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe; equals stripe_as_of unless it was fetched';
COMMENT ON COLUMN subscriptions.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN subscriptions.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';

ALTER TABLE subscriptions
    ADD CONSTRAINT billing_subscriptions_status_check CHECK (
        billing_provider IS NULL
        OR status IN ('provisional', 'pending', 'active', 'suspended', 'cancelled', 'expired')
    ) NOT VALID,
    ADD CONSTRAINT billing_subscriptions_not_due_in_mpanel_check CHECK (
        billing_provider IS NULL
        OR (auto_renew IS FALSE AND next_billing_date IS NULL)
    ) NOT VALID,
    ADD CONSTRAINT billing_subscriptions_mirror_check CHECK (
        billing_provider IS NULL
        OR (
            livemode IS NOT NULL
            AND currency IS NOT NULL
            AND amount IS NOT NULL
            AND (stripe_status IS NULL) = (stripe_as_of IS NULL)
            AND (stripe_as_of IS NULL) = (stripe_as_of_since IS NULL)
            AND stripe_as_of_since <= stripe_as_of
        )
    ) NOT VALID;

ALTER TABLE invoices
    ADD COLUMN IF NOT EXISTS subscription_id uuid,
    ADD COLUMN IF NOT EXISTS livemode boolean,
    ADD COLUMN IF NOT EXISTS stripe_invoice_id text,
    ADD COLUMN IF NOT EXISTS stripe_subscription_id text,
    ADD COLUMN IF NOT EXISTS stripe_customer_id text,
    ADD COLUMN IF NOT EXISTS stripe_number text,
    ADD COLUMN IF NOT EXISTS stripe_status text
        CONSTRAINT billing_invoices_stripe_status_check CHECK (stripe_status IN (
            'draft', 'open', 'paid', 'uncollectible', 'void', 'deleted'
        )),
    ADD COLUMN IF NOT EXISTS billing_reason text,
    ADD COLUMN IF NOT EXISTS amount_due bigint,
    ADD COLUMN IF NOT EXISTS amount_paid bigint,
    ADD COLUMN IF NOT EXISTS amount_remaining bigint,
    ADD COLUMN IF NOT EXISTS period_start timestamptz,
    ADD COLUMN IF NOT EXISTS period_end timestamptz,
    ADD COLUMN IF NOT EXISTS attempt_count integer,
    ADD COLUMN IF NOT EXISTS next_payment_attempt timestamptz,
    ADD COLUMN IF NOT EXISTS hosted_invoice_url text,
    ADD COLUMN IF NOT EXISTS invoice_pdf text,
    ADD COLUMN IF NOT EXISTS stripe_payment_intent_id varchar(255),
    ADD COLUMN IF NOT EXISTS stripe_created timestamptz,
    ADD COLUMN IF NOT EXISTS stripe_as_of_since timestamptz,
    ADD COLUMN IF NOT EXISTS stripe_as_of timestamptz,
    ADD COLUMN IF NOT EXISTS stripe_event_id text;
COMMENT ON COLUMN invoices.subscription_id IS 'Our subscription; null until it is known';
COMMENT ON COLUMN invoices.stripe_invoice_id IS 'in_...; null: an invoice of mPanel''s own';
COMMENT ON COLUMN invoices.stripe_number IS 'The number that Stripe prints on it; invoice_number is ours and never collides with mPanel''s';
COMMENT ON COLUMN invoices.amount_due IS 'Minor units, as amount_paid and amount_remaining';
COMMENT ON COLUMN invoices.period_start IS 'Start of the billed period, from its lines';
COMMENT ON COLUMN invoices.stripe_created IS 'When Stripe made the invoice';
COMMENT ON COLUMN invoices.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN invoices.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN invoices.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';

ALTER TABLE invoices
    ADD CONSTRAINT billing_invoices_mirror_check CHECK (
        stripe_invoice_id IS NULL
        OR (
            livemode IS NOT NULL
            AND stripe_status IS NOT NULL
            AND amount_due IS NOT NULL
            AND amount_paid IS NOT NULL
            AND amount_remaining IS NOT NULL
            AND stripe_created IS NOT NULL
            AND stripe_as_of IS NOT NULL
            AND stripe_as_of_since <= stripe_as_of
        )
    ) NOT VALID;

ALTER TABLE invoices
    ADD CONSTRAINT billing_invoices_subscription_fkey
    FOREIGN KEY (subscription_id) REFERENCES subscriptions ON DELETE SET NULL NOT VALID;

ALTER TABLE tenants
    ADD CONSTRAINT billing_tenants_subscription_fkey
    FOREIGN KEY (billing_subscription_id) REFERENCES subscriptions ON DELETE SET NULL NOT VALID;

SELECT billing_end_migration('20261122000300');

-- migrate:down
SELECT billing_revert_migration('20261122000300');
