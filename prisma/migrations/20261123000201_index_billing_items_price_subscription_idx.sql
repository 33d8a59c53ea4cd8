-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_items_price_subscription_idx ON subscription_items (price_id, subscription_id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_items_price_subscription_idx;
