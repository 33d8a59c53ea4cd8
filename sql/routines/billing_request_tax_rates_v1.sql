-- Has the tax rates fetched that snapshots name and the mirror does not have: an invoice has only their ids.
-- The sweep asks; what an invoice is worth does not wait for it.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_request_tax_rates_v1(snapshots jsonb)
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
    INSERT INTO stripe_refetches (object_id, object_type, reason, version)
    SELECT
        named.id,
        'tax_rate',
        'unknown tax rate',
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    FROM (
        SELECT DISTINCT found #>> '{}' AS id
        FROM jsonb_path_query(billing_request_tax_rates_v1.snapshots, '$[*].taxes[*].tax_rate ? (@ != null)') AS found
        ORDER BY id
    ) AS named
    WHERE NOT EXISTS (
        SELECT 1
        FROM stripe_tax_rates AS known
        WHERE known.stripe_tax_rate_id = named.id
        OFFSET 0
    )
    ON CONFLICT (object_id) DO NOTHING;
END
$$;
COMMENT ON FUNCTION billing_request_tax_rates_v1(jsonb) IS 'Requests the tax rates that snapshots of invoices or credit notes name and that are not mirrored';
