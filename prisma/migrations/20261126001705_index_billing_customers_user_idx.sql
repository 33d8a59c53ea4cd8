-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_customers_user_idx ON customers (user_id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_customers_user_idx;
