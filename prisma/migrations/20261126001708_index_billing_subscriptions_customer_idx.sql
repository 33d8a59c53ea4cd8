-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_subscriptions_customer_idx ON subscriptions (customer_id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_subscriptions_customer_idx;
