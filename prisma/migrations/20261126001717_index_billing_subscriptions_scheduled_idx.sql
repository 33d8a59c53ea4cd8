-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_subscriptions_scheduled_idx ON subscriptions (id) WHERE stripe_schedule_id IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_subscriptions_scheduled_idx;
