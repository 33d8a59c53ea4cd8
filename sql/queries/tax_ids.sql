-- Mirrored tax ids; set-based like invoices.sql.

-- Tables: stripe_tax_ids
--
-- CREATE TABLE stripe_tax_ids (
--     stripe_tax_id_id text NOT NULL,
--     livemode boolean NOT NULL,
--     stripe_customer_id text NOT NULL,
--     type text NOT NULL,
--     value text,
--     country text,
--     verification text,
--     verified_name text,
--     verified_address text,
--     deleted boolean NOT NULL,
--     stripe_created timestamp with time zone NOT NULL,
--     stripe_as_of_since timestamp with time zone NOT NULL,
--     stripe_as_of timestamp with time zone NOT NULL,
--     stripe_event_id text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT stripe_tax_ids_check CHECK ((stripe_as_of_since <= stripe_as_of)),
--     CONSTRAINT stripe_tax_ids_verification_check CHECK ((verification = ANY ('{pending,verified,unverified,unavailable}'::text[])))
-- );
-- ALTER TABLE ONLY stripe_tax_ids ADD CONSTRAINT stripe_tax_ids_pkey PRIMARY KEY (stripe_tax_id_id);
-- CREATE INDEX stripe_tax_ids_customer_idx ON stripe_tax_ids USING btree (stripe_customer_id);
-- CREATE INDEX stripe_tax_ids_unverified_idx ON stripe_tax_ids USING btree (stripe_as_of) WHERE ((verification = 'unverified'::text) AND (NOT deleted));

-- name: list_stored(object_ids, sinces)
SELECT
    i.object_id,
    mirror.stripe_as_of_since AS since,
    mirror.stripe_as_of AS as_of,
    mirror.stripe_event_id AS event_id,
    mirror.verification,
    mirror.deleted,
    e.type AS event_type,
    e.payload
FROM unnest(:object_ids::text[], :sinces::timestamptz[]) AS i (object_id, since)
JOIN stripe_tax_ids AS mirror
    ON mirror.stripe_tax_id_id = i.object_id
LEFT JOIN stripe_events AS e
    ON e.id = mirror.stripe_event_id
    AND i.since <= mirror.stripe_as_of;

-- name: write_snapshots(snapshots)!
SELECT billing_write_tax_ids_v1(:snapshots::jsonb);

-- name: list_compared(object_ids)
SELECT
    t.stripe_tax_id_id AS object_id,
    t.stripe_as_of AS as_of,
    t.stripe_event_id AS event_id,
    t.stripe_customer_id,
    t.type,
    t.value,
    t.country,
    t.verification,
    t.verified_name,
    t.verified_address,
    t.deleted,
    t.stripe_created
FROM stripe_tax_ids AS t
WHERE t.stripe_tax_id_id = ANY(:object_ids::text[]);

-- name: find_absent(after, most, livemode, started_at)^
WITH stretch AS MATERIALIZED (
    SELECT
        f.stripe_tax_id_id AS object_id,
        f.livemode,
        f.deleted,
        f.stripe_as_of AS as_of
    FROM stripe_tax_ids AS f
    WHERE f.stripe_tax_id_id > :after
    ORDER BY f.stripe_tax_id_id
    LIMIT :most
)
SELECT
    count(*) AS looked_at,
    max(t.object_id) AS last_id,
    array_agg(t.object_id ORDER BY t.object_id) FILTER (
        WHERE t.livemode = :livemode
          AND NOT t.deleted
          AND t.as_of < :started_at::timestamptz
          AND m.object_id IS NULL
    ) AS absent
FROM stretch AS t
LEFT JOIN billing_reconcile_marks AS m
    ON m.object_id = t.object_id;
