-- Mirrored payments of invoices; set-based like subscriptions.sql.

-- Tables: invoice_payments
--
-- CREATE TABLE invoice_payments (
--     stripe_invoice_payment_id text NOT NULL,
--     stripe_invoice_id text NOT NULL,
--     livemode boolean NOT NULL,
--     stripe_payment_intent_id text,
--     stripe_charge_id text,
--     amount_paid bigint,
--     currency text,
--     status text NOT NULL,
--     stripe_created timestamp with time zone NOT NULL,
--     stripe_as_of_since timestamp with time zone NOT NULL,
--     stripe_as_of timestamp with time zone NOT NULL,
--     stripe_event_id text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT invoice_payments_check CHECK ((stripe_as_of_since <= stripe_as_of)),
--     CONSTRAINT invoice_payments_status_check CHECK ((status = ANY (ARRAY['open'::text, 'paid'::text, 'canceled'::text])))
-- );
-- ALTER TABLE ONLY invoice_payments ADD CONSTRAINT invoice_payments_pkey PRIMARY KEY (stripe_invoice_payment_id);
-- CREATE INDEX invoice_payments_invoice_idx ON invoice_payments USING btree (stripe_invoice_id);
-- CREATE INDEX invoice_payments_payment_intent_idx ON invoice_payments USING btree (stripe_payment_intent_id);

-- name: write_snapshots(snapshots)!
SELECT billing_write_invoice_payments_v1(:snapshots::jsonb);

-- name: list_compared(object_ids)
SELECT
    p.stripe_invoice_payment_id AS object_id,
    p.stripe_as_of AS as_of,
    p.stripe_event_id AS event_id,
    p.stripe_invoice_id,
    p.stripe_payment_intent_id,
    p.stripe_charge_id,
    p.amount_paid,
    p.currency,
    p.status
FROM invoice_payments AS p
WHERE p.stripe_invoice_payment_id = ANY(:object_ids::text[]);

-- name: find_absent(after, most, livemode, started_at)^
WITH stretch AS MATERIALIZED (
    SELECT
        p.stripe_invoice_payment_id AS object_id,
        p.livemode,
        p.stripe_as_of AS as_of,
        p.status
    FROM invoice_payments AS p
    WHERE p.stripe_invoice_payment_id > :after
    ORDER BY p.stripe_invoice_payment_id
    LIMIT :most
)
SELECT
    count(*) AS looked_at,
    max(t.object_id) AS last_id,
    array_agg(t.object_id ORDER BY t.object_id) FILTER (
        WHERE t.livemode = :livemode
          AND t.status = 'paid'
          AND t.as_of < :started_at::timestamptz
          AND m.object_id IS NULL
    ) AS absent
FROM stretch AS t
LEFT JOIN billing_reconcile_marks AS m
    ON m.object_id = t.object_id;
