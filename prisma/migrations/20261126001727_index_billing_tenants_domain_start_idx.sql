-- For the search by the beginning of a domain name, of tenants.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_tenants_domain_start_idx
ON tenants (lower(domain) text_pattern_ops);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_tenants_domain_start_idx;
