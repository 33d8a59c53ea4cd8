-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_subscriptions_trialing_idx ON subscriptions (customer_id, product_id) WHERE stripe_status = 'trialing';

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_subscriptions_trialing_idx;
