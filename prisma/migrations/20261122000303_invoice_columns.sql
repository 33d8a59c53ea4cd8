-- Our columns on mPanel's invoices; see product_columns.

-- migrate:up
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
    ) NOT VALID,
    ADD CONSTRAINT billing_invoices_number_check CHECK (
        stripe_invoice_id IS NULL
        OR invoice_number !~* '^INV-'
    ) NOT VALID;

SELECT billing_record_additions('20261122000303');
SELECT billing_describe('invoices', described.column_name, described.description)
FROM (VALUES
    ('subscription_id', 'Our subscription; null until it is known'),
    ('livemode', 'Mode of Stripe that the ids belong to'),
    ('stripe_invoice_id', 'in_...; null: an invoice of mPanel''s own'),
    ('stripe_subscription_id', 'sub_... that it bills; null: it bills none'),
    ('stripe_customer_id', 'cus_... that it charges'),
    ('stripe_number', 'The number that Stripe prints on it; invoice_number is ours and never collides with mPanel''s'),
    ('stripe_status', 'Stripe''s own word, or deleted for a draft that was; status has mPanel''s'),
    ('billing_reason', 'Why Stripe made it: subscription_create, subscription_cycle, ...'),
    ('amount_due', 'Minor units, as amount_paid and amount_remaining; the columns subtotal, tax_amount and total are major units'),
    ('amount_paid', 'Minor units paid so far'),
    ('amount_remaining', 'Minor units still to be paid'),
    ('period_start', 'Start of the billed period, from its lines'),
    ('period_end', 'End of the billed period, from its lines'),
    ('attempt_count', 'How often Stripe has tried to collect it'),
    ('next_payment_attempt', 'When Stripe tries again; null: not by itself'),
    ('hosted_invoice_url', 'Page at Stripe where it can be paid and printed'),
    ('invoice_pdf', 'The printable invoice at Stripe'),
    ('stripe_payment_intent_id', 'pi_... that paid it'),
    ('stripe_created', 'When Stripe made the invoice'),
    ('stripe_as_of_since', 'Earliest moment that the mirrored snapshot may describe'),
    ('stripe_as_of', 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock'),
    ('stripe_event_id', 'The event whose snapshot this row mirrors; null: fetched from Stripe')
) AS described (column_name, description);

-- migrate:down
SELECT billing_revert_additions('20261122000303');
