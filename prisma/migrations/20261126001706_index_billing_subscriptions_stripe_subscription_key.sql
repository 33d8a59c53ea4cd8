-- migrate:up transaction:false
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS billing_subscriptions_stripe_subscription_key ON subscriptions (stripe_subscription_id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_subscriptions_stripe_subscription_key;
