-- Stripe's customers, and whose they are in our books.

-- name: list_stored(object_ids, sinces)
SELECT
    i.object_id,
    mirror.stripe_as_of_since AS since,
    mirror.stripe_as_of AS as_of,
    mirror.stripe_event_id AS event_id,
    mirror.deleted,
    e.type AS event_type,
    e.payload
FROM unnest(:object_ids::text[], :sinces::timestamptz[]) AS i (object_id, since)
JOIN stripe_customers AS mirror
    ON mirror.id = i.object_id
LEFT JOIN stripe_events AS e
    ON e.id = mirror.stripe_event_id
    AND i.since <= mirror.stripe_as_of
WHERE mirror.stripe_as_of IS NOT NULL;

-- name: write_snapshots(snapshots)!
-- A deleted customer leaves the books without a Stripe customer, so that the next order makes one.
WITH written AS (
    INSERT INTO stripe_customers AS mirror (
        id,
        livemode,
        email,
        name,
        deleted,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.email,
        s.name,
        s.deleted,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(:snapshots::jsonb) AS s (
        object_id text,
        livemode boolean,
        email text,
        name text,
        deleted boolean,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (id) DO UPDATE
    SET email = CASE WHEN excluded.deleted THEN mirror.email ELSE excluded.email END,
        name = CASE WHEN excluded.deleted THEN mirror.name ELSE excluded.name END,
        deleted = excluded.deleted,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now()
    RETURNING id, email, name, deleted
)
UPDATE customers AS c
SET email = coalesce(w.email, c.email),
    name = coalesce(w.name, c.name),
    stripe_customer_id = CASE WHEN w.deleted THEN NULL ELSE c.stripe_customer_id END,
    updated_at = now()
FROM written AS w
WHERE c.stripe_customer_id = w.id;
