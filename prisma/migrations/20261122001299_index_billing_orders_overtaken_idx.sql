-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_orders_overtaken_idx ON orders (subscription_id) WHERE overtaken_at IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_orders_overtaken_idx;
