-- Our columns on mPanel's invoices.
-- The checks are validated in a later file: until then they hold for new rows only.

-- migrate:up
ALTER TABLE invoices
    ADD COLUMN IF NOT EXISTS subscription_id uuid,
    ADD COLUMN IF NOT EXISTS livemode boolean,
    ADD COLUMN IF NOT EXISTS stripe_invoice_id text,
    ADD COLUMN IF NOT EXISTS stripe_subscription_id text,
    ADD COLUMN IF NOT EXISTS stripe_customer_id text,
    ADD COLUMN IF NOT EXISTS stripe_number text,
    ADD COLUMN IF NOT EXISTS stripe_status text
        CONSTRAINT billing_invoices_stripe_status_check CHECK (stripe_status = ANY (
            '{draft,open,paid,uncollectible,void,deleted}'
        )),
    ADD COLUMN IF NOT EXISTS billing_reason text,
    ADD COLUMN IF NOT EXISTS collection_method text,
    ADD COLUMN IF NOT EXISTS auto_advance boolean,
    ADD COLUMN IF NOT EXISTS finalization_error text,
    ADD COLUMN IF NOT EXISTS finalized_at timestamptz,
    ADD COLUMN IF NOT EXISTS voided_at timestamptz,
    ADD COLUMN IF NOT EXISTS taxes jsonb,
    ADD COLUMN IF NOT EXISTS due_at timestamptz,
    ADD COLUMN IF NOT EXISTS amount_invoiced bigint,
    ADD COLUMN IF NOT EXISTS amount_refunded bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS amount_credited bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS amount_disputed bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS disputed_since timestamptz,
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

SELECT billing_record_additions('20261126000600');
SELECT billing_describe('invoices', described.column_name, described.description)
FROM (VALUES
    ('subscription_id', 'The subscription; null until it is known'),
    ('livemode', 'Whether the ids belong to Stripe''s live mode'),
    ('stripe_invoice_id', 'in_...; null: mPanel''s own invoice'),
    ('stripe_subscription_id', 'sub_... that it bills; null: none'),
    ('stripe_customer_id', 'cus_... that it charges'),
    ('stripe_number', 'Stripe''s invoice number; invoice_number is ours and never collides with mPanel''s'),
    ('stripe_status', 'Stripe''s status, or deleted for a deleted draft; status is mPanel''s'),
    ('billing_reason', 'Why Stripe created it: subscription_create, subscription_cycle, ...'),
    ('collection_method', 'charge_automatically, or send_invoice: then it is due at its due date'),
    ('auto_advance', 'Whether Stripe finalizes and collects it by itself'),
    ('finalization_error', 'Why Stripe could not finalize it; null: it has not failed'),
    ('finalized_at', 'When Stripe finalized it; null: a draft'),
    ('voided_at', 'When it was voided; null: it is not'),
    ('taxes', 'Its taxes by rate, in minor units: tax_rate, amount, taxable_amount, inclusive, reason, net; null: none'),
    ('due_at', 'When a sent invoice is due; null: it is charged. due_date is for people'),
    ('amount_invoiced', 'Minor units in all, less what credit notes took off before it was paid'),
    ('amount_refunded', 'Minor units refunded of its payments, those under way included'),
    ('amount_credited', 'Minor units given back by credit notes without a refund: to the balance, or outside of Stripe'),
    ('amount_disputed', 'Minor units that disputes have taken and not given back'),
    ('disputed_since', 'Since when a dispute has taken money of it; null: none has, it was given back, or an operator waived it'),
    ('amount_due', 'Minor units, like amount_paid and amount_remaining; subtotal, tax_amount and total are in major units'),
    ('amount_paid', 'Minor units paid so far'),
    ('amount_remaining', 'Minor units still to be paid'),
    ('period_start', 'Start of the billed period, from its lines'),
    ('period_end', 'End of the billed period, from its lines'),
    ('attempt_count', 'How often Stripe has tried to collect it'),
    ('next_payment_attempt', 'When Stripe tries again; null: not automatically'),
    ('hosted_invoice_url', 'Stripe''s page where it can be paid and printed'),
    ('invoice_pdf', 'The PDF at Stripe'),
    ('stripe_payment_intent_id', 'pi_... that paid it'),
    ('stripe_created', 'When Stripe created the invoice'),
    ('stripe_as_of_since', 'Earliest moment that the mirrored snapshot may describe'),
    ('stripe_as_of', 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock'),
    ('stripe_event_id', 'The event whose snapshot this row mirrors; null: fetched from Stripe')
) AS described (column_name, description);

-- Rows that change with each renewal need free space on their page: the new version of the row
-- then stays there and touches no index. A fillfactor that mPanel has set itself stays.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT 1
        FROM pg_class AS c
        JOIN pg_options_to_table(c.reloptions) AS o
            ON o.option_name = 'fillfactor'
        WHERE c.oid = 'invoices'::regclass
    ) THEN
        ALTER TABLE invoices SET (fillfactor = 85);
    END IF;
END
$$;

-- migrate:down
DO $$
BEGIN
    IF EXISTS (
        SELECT 1
        FROM pg_class AS c
        JOIN pg_options_to_table(c.reloptions) AS o
            ON o.option_name = 'fillfactor'
            AND o.option_value = '85'
        WHERE c.oid = 'invoices'::regclass
    ) THEN
        ALTER TABLE invoices RESET (fillfactor);
    END IF;
END
$$;
SELECT billing_revert_additions('20261126000600');
