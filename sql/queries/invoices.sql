-- Mirrored invoices; set-based like subscriptions.sql.

-- Tables: invoices
--
-- CREATE TABLE invoices (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     tenant_id uuid,
--     customer_id uuid,
--     invoice_number character varying(50) NOT NULL,
--     status character varying(50) DEFAULT 'draft'::character varying,
--     subtotal numeric(10,2) NOT NULL,
--     tax_rate numeric(5,4) DEFAULT 0,
--     tax_amount numeric(10,2) DEFAULT 0,
--     total numeric(10,2) NOT NULL,
--     currency character varying(3) DEFAULT 'USD'::character varying,
--     due_date date,
--     paid_date timestamp without time zone,
--     notes text,
--     metadata jsonb DEFAULT '{}'::jsonb,
--     created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     subscription_id uuid,
--     livemode boolean,
--     stripe_invoice_id text,
--     stripe_subscription_id text,
--     stripe_customer_id text,
--     stripe_number text,
--     stripe_status text,
--     billing_reason text,
--     collection_method text,
--     auto_advance boolean,
--     finalization_error text,
--     finalized_at timestamp with time zone,
--     voided_at timestamp with time zone,
--     taxes jsonb,
--     due_at timestamp with time zone,
--     amount_invoiced bigint,
--     amount_refunded bigint DEFAULT 0 NOT NULL,
--     amount_credited bigint DEFAULT 0 NOT NULL,
--     amount_disputed bigint DEFAULT 0 NOT NULL,
--     disputed_since timestamp with time zone,
--     amount_due bigint,
--     amount_paid bigint,
--     amount_remaining bigint,
--     period_start timestamp with time zone,
--     period_end timestamp with time zone,
--     attempt_count integer,
--     next_payment_attempt timestamp with time zone,
--     hosted_invoice_url text,
--     invoice_pdf text,
--     stripe_payment_intent_id character varying(255),
--     stripe_created timestamp with time zone,
--     stripe_as_of_since timestamp with time zone,
--     stripe_as_of timestamp with time zone,
--     stripe_event_id text,
--     CONSTRAINT billing_invoices_mirror_check CHECK (((stripe_invoice_id IS NULL) OR ((livemode IS NOT NULL) AND (stripe_status IS NOT NULL) AND (amount_due IS NOT NULL) AND (amount_paid IS NOT NULL) AND (amount_remaining IS NOT NULL) AND (stripe_created IS NOT NULL) AND (stripe_as_of IS NOT NULL) AND (stripe_as_of_since <= stripe_as_of)))),
--     CONSTRAINT billing_invoices_number_check CHECK (((stripe_invoice_id IS NULL) OR ((invoice_number)::text !~* '^INV-'::text))),
--     CONSTRAINT billing_invoices_stripe_status_check CHECK ((stripe_status = ANY ('{draft,open,paid,uncollectible,void,deleted}'::text[])))
-- )
-- WITH (fillfactor='85');
-- ALTER TABLE ONLY invoices ADD CONSTRAINT invoices_invoice_number_key UNIQUE (invoice_number);
-- ALTER TABLE ONLY invoices ADD CONSTRAINT invoices_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY invoices ADD CONSTRAINT billing_invoices_subscription_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE SET NULL;
-- ALTER TABLE ONLY invoices ADD CONSTRAINT invoices_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY invoices ADD CONSTRAINT invoices_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;
-- CREATE INDEX billing_invoices_attention_idx ON invoices USING btree (stripe_status, next_payment_attempt, subscription_id, stripe_created) WHERE (((stripe_subscription_id IS NOT NULL) AND (subscription_id IS NULL)) OR ((finalized_at IS NULL) AND (stripe_invoice_id IS NOT NULL)) OR (stripe_status = ANY (ARRAY['open'::text, 'uncollectible'::text])));
-- CREATE INDEX billing_invoices_customer_idx ON invoices USING btree (customer_id, stripe_created);
-- CREATE INDEX billing_invoices_open_or_given_back_idx ON invoices USING btree (customer_id) WHERE ((stripe_status = 'open'::text) OR (amount_refunded > 0) OR (amount_credited > 0) OR (disputed_since IS NOT NULL));
-- CREATE UNIQUE INDEX billing_invoices_stripe_invoice_key ON invoices USING btree (stripe_invoice_id);
-- CREATE INDEX billing_invoices_stripe_subscription_idx ON invoices USING btree (stripe_subscription_id, stripe_created);
-- CREATE INDEX billing_invoices_subscription_idx ON invoices USING btree (subscription_id);
-- CREATE INDEX billing_invoices_taxed_idx ON invoices USING btree (finalized_at) WHERE (taxes IS NOT NULL);
-- CREATE INDEX billing_invoices_voided_idx ON invoices USING btree (voided_at) WHERE ((voided_at IS NOT NULL) AND (taxes IS NOT NULL));

-- name: write_snapshots(snapshots)
SELECT
    w.object_id,
    w.affects_derived
FROM billing_write_invoices_v2(:snapshots::jsonb) AS w;

-- name: list_invoice_subscriptions(stripe_invoice_ids)
SELECT DISTINCT i.stripe_subscription_id
FROM invoices AS i
WHERE i.stripe_invoice_id = ANY(:stripe_invoice_ids::text[])
  AND i.stripe_subscription_id IS NOT NULL
ORDER BY i.stripe_subscription_id;

-- name: list_compared(object_ids)
SELECT
    i.stripe_invoice_id AS object_id,
    i.stripe_as_of AS as_of,
    i.stripe_event_id AS event_id,
    i.stripe_subscription_id,
    i.stripe_customer_id,
    i.stripe_number,
    i.stripe_status,
    i.billing_reason,
    i.collection_method,
    i.auto_advance,
    i.finalization_error,
    i.finalized_at,
    i.voided_at,
    i.due_at AS due_date,
    i.paid_date AT TIME ZONE 'UTC' AS paid_at,
    i.status,
    i.amount_invoiced,
    i.amount_refunded,
    i.amount_credited,
    i.subtotal,
    i.tax_rate,
    i.tax_amount,
    i.taxes,
    i.total,
    lower(i.currency) AS currency,
    i.amount_due,
    i.amount_paid,
    i.amount_remaining,
    i.period_start,
    i.period_end,
    i.attempt_count,
    i.next_payment_attempt,
    i.stripe_created
FROM invoices AS i
WHERE i.stripe_invoice_id = ANY(:object_ids::text[])
  AND i.stripe_as_of IS NOT NULL;

-- name: find_absent(after, most, livemode, started_at)^
WITH stretch AS MATERIALIZED (
    SELECT
        i.stripe_invoice_id AS object_id,
        i.livemode,
        i.stripe_as_of AS as_of,
        i.stripe_status
    FROM invoices AS i
    WHERE i.stripe_invoice_id > :after
    ORDER BY i.stripe_invoice_id
    LIMIT :most
)
SELECT
    count(*) AS looked_at,
    max(t.object_id) AS last_id,
    array_agg(t.object_id ORDER BY t.object_id) FILTER (
        WHERE t.livemode = :livemode
          AND t.stripe_status <> 'deleted'
          AND t.as_of < :started_at::timestamptz
          AND m.object_id IS NULL
    ) AS absent
FROM stretch AS t
LEFT JOIN billing_reconcile_marks AS m
    ON m.object_id = t.object_id;
