-- For the search by the beginning of a domain name, of ordered domains.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_domains_name_start_idx
ON billing_domains (name text_pattern_ops);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_domains_name_start_idx;
