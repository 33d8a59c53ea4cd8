-- mPanel's column gets the latest tax id of the customer's principal Stripe customer. One that came from elsewhere
-- stays: it may be the right one.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_write_tax_ids_v1(snapshots jsonb)
RETURNS void
LANGUAGE plpgsql
SET enable_hashjoin = off
SET enable_material = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO stripe_tax_ids AS mirror (
        stripe_tax_id_id,
        livemode,
        stripe_customer_id,
        type,
        value,
        country,
        verification,
        verified_name,
        verified_address,
        deleted,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.stripe_customer_id,
        s.type,
        s.value,
        s.country,
        s.verification,
        s.verified_name,
        s.verified_address,
        s.deleted,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_tax_ids_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        stripe_customer_id text,
        type text,
        value text,
        country text,
        verification text,
        verified_name text,
        verified_address text,
        deleted boolean,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_tax_id_id) DO UPDATE
    SET type = excluded.type,
        value = excluded.value,
        country = excluded.country,
        verification = excluded.verification,
        verified_name = excluded.verified_name,
        verified_address = excluded.verified_address,
        deleted = excluded.deleted,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
    UPDATE customers AS c
    SET tax_id = left(latest.value, 100),
        updated_at = now()
    FROM (
        SELECT DISTINCT s.stripe_customer_id
        FROM jsonb_to_recordset(billing_write_tax_ids_v1.snapshots) AS s (stripe_customer_id text)
    ) AS theirs
    LEFT JOIN LATERAL (
        SELECT t.value
        FROM stripe_tax_ids AS t
        WHERE t.stripe_customer_id = theirs.stripe_customer_id
          AND NOT t.deleted
        ORDER BY t.stripe_created DESC, t.stripe_tax_id_id DESC
        LIMIT 1
    ) AS latest ON TRUE
    WHERE c.stripe_customer_id = theirs.stripe_customer_id
      AND c.tax_id IS DISTINCT FROM left(latest.value, 100)
      AND (
          c.tax_id IS NULL
          OR EXISTS (
              SELECT 1
              FROM stripe_tax_ids AS t
              WHERE t.stripe_customer_id = theirs.stripe_customer_id
                AND left(t.value, 100) = c.tax_id
              OFFSET 0
          )
      );
END
$$;
COMMENT ON FUNCTION billing_write_tax_ids_v1(jsonb) IS 'Writes snapshots of tax ids, and mPanel''s column of the customer''s latest';
