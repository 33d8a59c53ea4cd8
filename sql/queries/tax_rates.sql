-- Mirrored tax rates; set-based like invoices.sql.

-- Tables: stripe_tax_rates
--
-- CREATE TABLE stripe_tax_rates (
--     stripe_tax_rate_id text NOT NULL,
--     livemode boolean NOT NULL,
--     display_name text NOT NULL,
--     tax_type text,
--     percentage numeric NOT NULL,
--     inclusive boolean NOT NULL,
--     country text,
--     state_code text,
--     jurisdiction text,
--     jurisdiction_level text,
--     active boolean NOT NULL,
--     stripe_created timestamp with time zone NOT NULL,
--     stripe_as_of_since timestamp with time zone NOT NULL,
--     stripe_as_of timestamp with time zone NOT NULL,
--     stripe_event_id text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT stripe_tax_rates_check CHECK ((stripe_as_of_since <= stripe_as_of)),
--     CONSTRAINT stripe_tax_rates_percentage_check CHECK (((percentage >= (0)::numeric) AND (percentage <= (100)::numeric)))
-- );
-- ALTER TABLE ONLY stripe_tax_rates ADD CONSTRAINT stripe_tax_rates_pkey PRIMARY KEY (stripe_tax_rate_id);

-- name: list_stored(object_ids, sinces)
SELECT
    i.object_id,
    mirror.stripe_as_of_since AS since,
    mirror.stripe_as_of AS as_of,
    mirror.stripe_event_id AS event_id,
    e.type AS event_type,
    e.payload
FROM unnest(:object_ids::text[], :sinces::timestamptz[]) AS i (object_id, since)
JOIN stripe_tax_rates AS mirror
    ON mirror.stripe_tax_rate_id = i.object_id
LEFT JOIN stripe_events AS e
    ON e.id = mirror.stripe_event_id
    AND i.since <= mirror.stripe_as_of;

-- name: write_snapshots(snapshots)!
SELECT billing_write_tax_rates_v1(:snapshots::jsonb);

-- name: list_compared(object_ids)
SELECT
    t.stripe_tax_rate_id AS object_id,
    t.stripe_as_of AS as_of,
    t.stripe_event_id AS event_id,
    t.display_name,
    t.tax_type,
    t.percentage,
    t.inclusive,
    t.country,
    t.state_code,
    t.jurisdiction,
    t.jurisdiction_level,
    t.active
FROM stripe_tax_rates AS t
WHERE t.stripe_tax_rate_id = ANY(:object_ids::text[]);

-- name: find_absent(after, most, livemode, started_at)^
WITH stretch AS MATERIALIZED (
    SELECT
        f.stripe_tax_rate_id AS object_id,
        f.livemode,
        f.stripe_as_of AS as_of
    FROM stripe_tax_rates AS f
    WHERE f.stripe_tax_rate_id > :after
    ORDER BY f.stripe_tax_rate_id
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
