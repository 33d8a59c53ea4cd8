-- The search looks among the latest customers first.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_customers_created_idx ON customers (created_at);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_customers_created_idx;
