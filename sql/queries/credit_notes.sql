-- Mirrored credit notes; set-based like invoices.sql.

-- Tables: stripe_credit_notes
--
-- CREATE TABLE stripe_credit_notes (
--     stripe_credit_note_id text NOT NULL,
--     livemode boolean NOT NULL,
--     stripe_invoice_id text NOT NULL,
--     stripe_customer_id text,
--     stripe_number text,
--     status text NOT NULL,
--     amount bigint NOT NULL,
--     amount_before_payment bigint NOT NULL,
--     amount_refunded bigint NOT NULL,
--     amount_to_balance bigint NOT NULL,
--     amount_out_of_band bigint NOT NULL,
--     refunds jsonb,
--     taxes jsonb,
--     voided_at timestamp with time zone,
--     currency text NOT NULL,
--     reason text,
--     memo text,
--     pdf text,
--     stripe_created timestamp with time zone NOT NULL,
--     stripe_as_of_since timestamp with time zone NOT NULL,
--     stripe_as_of timestamp with time zone NOT NULL,
--     stripe_event_id text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT stripe_credit_notes_amount_before_payment_check CHECK ((amount_before_payment >= 0)),
--     CONSTRAINT stripe_credit_notes_amount_check CHECK ((amount >= 0)),
--     CONSTRAINT stripe_credit_notes_amount_out_of_band_check CHECK ((amount_out_of_band >= 0)),
--     CONSTRAINT stripe_credit_notes_amount_refunded_check CHECK ((amount_refunded >= 0)),
--     CONSTRAINT stripe_credit_notes_amount_to_balance_check CHECK ((amount_to_balance >= 0)),
--     CONSTRAINT stripe_credit_notes_check CHECK ((stripe_as_of_since <= stripe_as_of)),
--     CONSTRAINT stripe_credit_notes_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT stripe_credit_notes_status_check CHECK ((status = ANY (ARRAY['issued'::text, 'void'::text])))
-- );
-- ALTER TABLE ONLY stripe_credit_notes ADD CONSTRAINT stripe_credit_notes_pkey PRIMARY KEY (stripe_credit_note_id);
-- CREATE INDEX stripe_credit_notes_invoice_idx ON stripe_credit_notes USING btree (stripe_invoice_id);
-- CREATE INDEX stripe_credit_notes_taxed_idx ON stripe_credit_notes USING btree (stripe_created) WHERE (taxes IS NOT NULL);
-- CREATE INDEX stripe_credit_notes_voided_idx ON stripe_credit_notes USING btree (voided_at) WHERE ((voided_at IS NOT NULL) AND (taxes IS NOT NULL));

-- name: list_stored(object_ids, sinces)
SELECT
    i.object_id,
    mirror.stripe_as_of_since AS since,
    mirror.stripe_as_of AS as_of,
    mirror.stripe_event_id AS event_id,
    mirror.status,
    e.type AS event_type,
    e.payload
FROM unnest(:object_ids::text[], :sinces::timestamptz[]) AS i (object_id, since)
JOIN stripe_credit_notes AS mirror
    ON mirror.stripe_credit_note_id = i.object_id
LEFT JOIN stripe_events AS e
    ON e.id = mirror.stripe_event_id
    AND i.since <= mirror.stripe_as_of;

-- name: write_snapshots(snapshots)!
SELECT billing_write_credit_notes_v1(:snapshots::jsonb);

-- name: list_compared(object_ids)
SELECT
    t.stripe_credit_note_id AS object_id,
    t.stripe_as_of AS as_of,
    t.stripe_event_id AS event_id,
    t.stripe_invoice_id,
    t.stripe_customer_id,
    t.stripe_number,
    t.status,
    t.amount,
    t.amount_before_payment,
    t.amount_refunded,
    t.amount_to_balance,
    t.amount_out_of_band,
    t.refunds,
    t.taxes,
    t.voided_at,
    t.currency,
    t.reason,
    t.memo,
    t.pdf
FROM stripe_credit_notes AS t
WHERE t.stripe_credit_note_id = ANY(:object_ids::text[]);

-- name: find_absent(after, most, livemode, started_at)^
WITH stretch AS MATERIALIZED (
    SELECT
        f.stripe_credit_note_id AS object_id,
        f.livemode,
        f.stripe_as_of AS as_of
    FROM stripe_credit_notes AS f
    WHERE f.stripe_credit_note_id > :after
    ORDER BY f.stripe_credit_note_id
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
