-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_write_tax_rates_v1(snapshots jsonb)
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
    INSERT INTO stripe_tax_rates AS mirror (
        stripe_tax_rate_id,
        livemode,
        display_name,
        tax_type,
        percentage,
        inclusive,
        country,
        state_code,
        jurisdiction,
        jurisdiction_level,
        active,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.display_name,
        s.tax_type,
        s.percentage,
        s.inclusive,
        s.country,
        s.state_code,
        s.jurisdiction,
        s.jurisdiction_level,
        s.active,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_tax_rates_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        display_name text,
        tax_type text,
        percentage numeric,
        inclusive boolean,
        country text,
        state_code text,
        jurisdiction text,
        jurisdiction_level text,
        active boolean,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_tax_rate_id) DO UPDATE
    SET display_name = excluded.display_name,
        tax_type = excluded.tax_type,
        percentage = excluded.percentage,
        inclusive = excluded.inclusive,
        country = excluded.country,
        state_code = excluded.state_code,
        jurisdiction = excluded.jurisdiction,
        jurisdiction_level = excluded.jurisdiction_level,
        active = excluded.active,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
END
$$;
COMMENT ON FUNCTION billing_write_tax_rates_v1(jsonb) IS 'Writes snapshots of tax rates';
