-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_subscriptions_unmirrored_idx ON subscriptions (id) WHERE stripe_subscription_id IS NOT NULL AND stripe_status IS NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_subscriptions_unmirrored_idx;
