-- For the latest customers, among whom the search looks first.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_customers_created_idx ON customers (created_at);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_customers_created_idx;
