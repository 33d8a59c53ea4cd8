-- Which records joined an account within the last hour: the sweep asks every minute.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_customers_joined_idx
ON customers (joined_at) WHERE joined_at IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_customers_joined_idx;
