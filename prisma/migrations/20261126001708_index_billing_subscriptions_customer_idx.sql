-- In the order in which a customer's are listed: of thousands only the latest are read.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_subscriptions_customer_idx ON subscriptions (customer_id, created_at);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_subscriptions_customer_idx;
