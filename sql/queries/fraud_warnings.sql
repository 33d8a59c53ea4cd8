-- Mirrored early fraud warnings; set-based like invoices.sql.

-- Tables: stripe_fraud_warnings
--
-- CREATE TABLE stripe_fraud_warnings (
--     stripe_fraud_warning_id text NOT NULL,
--     livemode boolean NOT NULL,
--     stripe_charge_id text NOT NULL,
--     stripe_payment_intent_id text,
--     fraud_type text NOT NULL,
--     actionable boolean NOT NULL,
--     stripe_created timestamp with time zone NOT NULL,
--     stripe_as_of_since timestamp with time zone NOT NULL,
--     stripe_as_of timestamp with time zone NOT NULL,
--     stripe_event_id text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT stripe_fraud_warnings_check CHECK ((stripe_as_of_since <= stripe_as_of))
-- );
-- ALTER TABLE ONLY stripe_fraud_warnings ADD CONSTRAINT stripe_fraud_warnings_pkey PRIMARY KEY (stripe_fraud_warning_id);
-- CREATE INDEX stripe_fraud_warnings_actionable_idx ON stripe_fraud_warnings USING btree (stripe_created) WHERE actionable;
-- CREATE INDEX stripe_fraud_warnings_payment_intent_idx ON stripe_fraud_warnings USING btree (stripe_payment_intent_id);

-- name: list_stored(object_ids, sinces)
SELECT
    i.object_id,
    mirror.stripe_as_of_since AS since,
    mirror.stripe_as_of AS as_of,
    mirror.stripe_event_id AS event_id,
    mirror.actionable,
    e.type AS event_type,
    e.payload
FROM unnest(:object_ids::text[], :sinces::timestamptz[]) AS i (object_id, since)
JOIN stripe_fraud_warnings AS mirror
    ON mirror.stripe_fraud_warning_id = i.object_id
LEFT JOIN stripe_events AS e
    ON e.id = mirror.stripe_event_id
    AND i.since <= mirror.stripe_as_of;

-- name: write_snapshots(snapshots)!
SELECT billing_write_fraud_warnings_v1(:snapshots::jsonb);

-- name: list_compared(object_ids)
SELECT
    t.stripe_fraud_warning_id AS object_id,
    t.stripe_as_of AS as_of,
    t.stripe_event_id AS event_id,
    t.stripe_charge_id,
    t.stripe_payment_intent_id,
    t.fraud_type,
    t.actionable
FROM stripe_fraud_warnings AS t
WHERE t.stripe_fraud_warning_id = ANY(:object_ids::text[]);

-- name: find_absent(after, most, livemode, started_at)^
WITH stretch AS MATERIALIZED (
    SELECT
        f.stripe_fraud_warning_id AS object_id,
        f.livemode,
        f.stripe_as_of AS as_of
    FROM stripe_fraud_warnings AS f
    WHERE f.stripe_fraud_warning_id > :after
    ORDER BY f.stripe_fraud_warning_id
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
