-- Any part of a name, a company or an e-mail address, where an operator has made the index for it:
--
--     CREATE EXTENSION IF NOT EXISTS pg_trgm;
--     CREATE INDEX CONCURRENTLY billing_customers_parts_idx ON customers USING gin (
--         lower(coalesce(name, '') || ' ' || coalesce(company_name, '') || ' ' || coalesce(email, '')) gin_trgm_ops
--     );

-- name: has_index()$
SELECT EXISTS (
    SELECT 1
    FROM pg_index AS i
    WHERE i.indexrelid = to_regclass('billing_customers_parts_idx')
      AND i.indisvalid
);

-- name: find_part(pattern, most)
SELECT
    'name' AS object_type,
    coalesce(c.name, c.company_name, c.email) AS object_id,
    c.id AS customer_id,
    NULL::uuid AS subscription_id
FROM (
    SELECT
        named.id,
        named.name,
        named.company_name,
        named.email,
        named.created_at
    FROM customers AS named
    WHERE lower(coalesce(named.name, '') || ' ' || coalesce(named.company_name, '') || ' ' || coalesce(named.email, ''))
        LIKE '%' || :pattern::text || '%'
    LIMIT 1000
) AS c
ORDER BY c.created_at DESC, c.id
LIMIT :most;
