-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_subscriptions_homeless_idx ON subscriptions (id) WHERE tenant_id IS NULL AND stripe_status IN ('trialing', 'active');

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_subscriptions_homeless_idx;
