-- For the search by the beginning of a domain name, of domains.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_domains_domain_name_start_idx
ON domains (lower(domain_name) text_pattern_ops);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_domains_domain_name_start_idx;
