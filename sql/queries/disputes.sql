-- Mirrored disputes; set-based like invoices.sql.

-- Tables: stripe_disputes
--
-- CREATE TABLE stripe_disputes (
--     stripe_dispute_id text NOT NULL,
--     livemode boolean NOT NULL,
--     stripe_charge_id text NOT NULL,
--     stripe_payment_intent_id text,
--     status text NOT NULL,
--     reason text NOT NULL,
--     amount bigint NOT NULL,
--     currency text NOT NULL,
--     fee bigint NOT NULL,
--     fee_currency text,
--     movements integer NOT NULL,
--     is_charge_refundable boolean NOT NULL,
--     evidence_due_at timestamp with time zone,
--     has_evidence boolean NOT NULL,
--     submissions integer NOT NULL,
--     stripe_created timestamp with time zone NOT NULL,
--     stripe_as_of_since timestamp with time zone NOT NULL,
--     stripe_as_of timestamp with time zone NOT NULL,
--     stripe_event_id text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT stripe_disputes_amount_check CHECK ((amount >= 0)),
--     CONSTRAINT stripe_disputes_check CHECK ((stripe_as_of_since <= stripe_as_of)),
--     CONSTRAINT stripe_disputes_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT stripe_disputes_fee_currency_check CHECK ((fee_currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT stripe_disputes_movements_check CHECK ((movements >= 0)),
--     CONSTRAINT stripe_disputes_status_check CHECK ((status = ANY (ARRAY['warning_needs_response'::text, 'warning_under_review'::text, 'warning_closed'::text, 'needs_response'::text, 'under_review'::text, 'appeal_needs_response'::text, 'appeal_under_review'::text, 'lost'::text, 'won'::text, 'prevented'::text]))),
--     CONSTRAINT stripe_disputes_submissions_check CHECK ((submissions >= 0))
-- );
-- ALTER TABLE ONLY stripe_disputes ADD CONSTRAINT stripe_disputes_pkey PRIMARY KEY (stripe_dispute_id);
-- CREATE INDEX stripe_disputes_charge_idx ON stripe_disputes USING btree (stripe_charge_id);
-- CREATE INDEX stripe_disputes_created_idx ON stripe_disputes USING btree (stripe_created);
-- CREATE INDEX stripe_disputes_payment_intent_idx ON stripe_disputes USING btree (stripe_payment_intent_id);
-- CREATE INDEX stripe_disputes_unanswered_idx ON stripe_disputes USING btree (evidence_due_at) WHERE (status = ANY (ARRAY['needs_response'::text, 'warning_needs_response'::text, 'appeal_needs_response'::text]));

-- name: list_stored(object_ids, sinces)
SELECT
    i.object_id,
    mirror.stripe_as_of_since AS since,
    mirror.stripe_as_of AS as_of,
    mirror.stripe_event_id AS event_id,
    mirror.status,
    mirror.submissions,
    mirror.movements,
    e.type AS event_type,
    e.payload
FROM unnest(:object_ids::text[], :sinces::timestamptz[]) AS i (object_id, since)
JOIN stripe_disputes AS mirror
    ON mirror.stripe_dispute_id = i.object_id
LEFT JOIN stripe_events AS e
    ON e.id = mirror.stripe_event_id
    AND i.since <= mirror.stripe_as_of;

-- name: write_snapshots(snapshots)!
SELECT billing_write_disputes_v1(:snapshots::jsonb);

-- name: list_compared(object_ids)
SELECT
    t.stripe_dispute_id AS object_id,
    t.stripe_as_of AS as_of,
    t.stripe_event_id AS event_id,
    t.stripe_charge_id,
    t.stripe_payment_intent_id,
    t.status,
    t.reason,
    t.amount,
    t.currency,
    t.fee,
    t.fee_currency,
    t.movements,
    t.is_charge_refundable,
    t.evidence_due_at,
    t.has_evidence,
    t.submissions
FROM stripe_disputes AS t
WHERE t.stripe_dispute_id = ANY(:object_ids::text[]);

-- name: find_absent(after, most, livemode, started_at)^
WITH stretch AS MATERIALIZED (
    SELECT
        f.stripe_dispute_id AS object_id,
        f.livemode,
        f.stripe_as_of AS as_of
    FROM stripe_disputes AS f
    WHERE f.stripe_dispute_id > :after
    ORDER BY f.stripe_dispute_id
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
