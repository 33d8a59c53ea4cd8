-- Mirrored charges; set-based like invoices.sql. Our own one-time charges are in charges.sql.

-- Tables: stripe_charges
--
-- CREATE TABLE stripe_charges (
--     stripe_charge_id text NOT NULL,
--     livemode boolean NOT NULL,
--     stripe_payment_intent_id text,
--     stripe_customer_id text,
--     amount bigint NOT NULL,
--     amount_captured bigint NOT NULL,
--     amount_refunded bigint NOT NULL,
--     currency text NOT NULL,
--     status text NOT NULL,
--     failure_code text,
--     decline_code text,
--     decline_reason text,
--     card_brand text,
--     card_last4 text,
--     card_exp_month smallint,
--     card_exp_year smallint,
--     card_expired_from date GENERATED ALWAYS AS (make_date((card_exp_year + (card_exp_month / 12)), (((card_exp_month)::integer % 12) + 1), 1)) STORED,
--     stripe_created timestamp with time zone NOT NULL,
--     stripe_as_of_since timestamp with time zone NOT NULL,
--     stripe_as_of timestamp with time zone NOT NULL,
--     stripe_event_id text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT stripe_charges_amount_captured_check CHECK ((amount_captured >= 0)),
--     CONSTRAINT stripe_charges_amount_check CHECK ((amount >= 0)),
--     CONSTRAINT stripe_charges_amount_refunded_check CHECK ((amount_refunded >= 0)),
--     CONSTRAINT stripe_charges_card_exp_month_check CHECK (((card_exp_month >= 1) AND (card_exp_month <= 12))),
--     CONSTRAINT stripe_charges_check CHECK ((stripe_as_of_since <= stripe_as_of)),
--     CONSTRAINT stripe_charges_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT stripe_charges_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'succeeded'::text, 'failed'::text])))
-- );
-- ALTER TABLE ONLY stripe_charges ADD CONSTRAINT stripe_charges_pkey PRIMARY KEY (stripe_charge_id);
-- CREATE INDEX stripe_charges_created_idx ON stripe_charges USING brin (stripe_created) WITH (pages_per_range='32', autosummarize='on');
-- CREATE INDEX stripe_charges_customer_idx ON stripe_charges USING btree (stripe_customer_id, stripe_created);
-- CREATE INDEX stripe_charges_expiry_idx ON stripe_charges USING btree (card_expired_from) WHERE (status = 'succeeded'::text);
-- CREATE INDEX stripe_charges_payment_intent_idx ON stripe_charges USING btree (stripe_payment_intent_id);

-- name: write_snapshots(snapshots)!
SELECT billing_write_charges_v1(:snapshots::jsonb);

-- name: list_compared(object_ids)
SELECT
    t.stripe_charge_id AS object_id,
    t.stripe_as_of AS as_of,
    t.stripe_event_id AS event_id,
    t.stripe_payment_intent_id,
    t.stripe_customer_id,
    t.amount,
    t.amount_captured,
    t.amount_refunded,
    t.currency,
    t.status,
    t.failure_code,
    t.decline_code,
    t.decline_reason,
    t.card_brand,
    t.card_last4,
    t.card_exp_month,
    t.card_exp_year
FROM stripe_charges AS t
WHERE t.stripe_charge_id = ANY(:object_ids::text[]);

-- name: find_absent(after, most, livemode, started_at)^
WITH stretch AS MATERIALIZED (
    SELECT
        f.stripe_charge_id AS object_id,
        f.livemode,
        f.stripe_as_of AS as_of
    FROM stripe_charges AS f
    WHERE f.stripe_charge_id > :after
    ORDER BY f.stripe_charge_id
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
