-- Mirrored refunds; set-based like invoices.sql.

-- Tables: stripe_refunds
--
-- CREATE TABLE stripe_refunds (
--     stripe_refund_id text NOT NULL,
--     livemode boolean NOT NULL,
--     stripe_payment_intent_id text,
--     stripe_charge_id text,
--     amount bigint NOT NULL,
--     currency text NOT NULL,
--     status text NOT NULL,
--     reason text,
--     failure_reason text,
--     stripe_created timestamp with time zone NOT NULL,
--     stripe_as_of_since timestamp with time zone NOT NULL,
--     stripe_as_of timestamp with time zone NOT NULL,
--     stripe_event_id text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT stripe_refunds_amount_check CHECK ((amount >= 0)),
--     CONSTRAINT stripe_refunds_check CHECK ((stripe_as_of_since <= stripe_as_of)),
--     CONSTRAINT stripe_refunds_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT stripe_refunds_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'requires_action'::text, 'succeeded'::text, 'failed'::text, 'canceled'::text])))
-- );
-- ALTER TABLE ONLY stripe_refunds ADD CONSTRAINT stripe_refunds_pkey PRIMARY KEY (stripe_refund_id);
-- CREATE INDEX stripe_refunds_created_idx ON stripe_refunds USING btree (stripe_created);
-- CREATE INDEX stripe_refunds_payment_intent_idx ON stripe_refunds USING btree (stripe_payment_intent_id);

-- name: write_snapshots(snapshots)!
SELECT billing_write_refunds_v1(:snapshots::jsonb);

-- name: list_paid_invoices(stripe_payment_intent_ids)
-- What these payments were for: refunds and disputes change what was kept of it.
SELECT DISTINCT p.stripe_invoice_id
FROM invoice_payments AS p
WHERE p.stripe_payment_intent_id = ANY(:stripe_payment_intent_ids::text[])
ORDER BY p.stripe_invoice_id;

-- name: note_taken_back(stripe_invoice_ids)!
SELECT billing_note_taken_back_v1(:stripe_invoice_ids::text[]);

-- name: list_compared(object_ids)
SELECT
    f.stripe_refund_id AS object_id,
    f.stripe_as_of AS as_of,
    f.stripe_event_id AS event_id,
    f.stripe_payment_intent_id,
    f.stripe_charge_id,
    f.amount,
    f.currency,
    f.status,
    f.reason,
    f.failure_reason
FROM stripe_refunds AS f
WHERE f.stripe_refund_id = ANY(:object_ids::text[]);

-- name: find_absent(after, most, livemode, started_at)^
WITH stretch AS MATERIALIZED (
    SELECT
        f.stripe_refund_id AS object_id,
        f.livemode,
        f.stripe_as_of AS as_of
    FROM stripe_refunds AS f
    WHERE f.stripe_refund_id > :after
    ORDER BY f.stripe_refund_id
    LIMIT :most
)
SELECT
    count(*) AS looked_at,
    max(t.object_id) AS last_id,
    array_agg(t.object_id ORDER BY t.object_id) FILTER (
        WHERE t.livemode = :livemode
          AND t.as_of < :started_at::timestamptz
          AND m.object_id IS NULL
    ) AS absent
FROM stretch AS t
LEFT JOIN billing_reconcile_marks AS m
    ON m.object_id = t.object_id;
