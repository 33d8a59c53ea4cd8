-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_subscriptions_overdue_idx ON subscriptions (id) WHERE stripe_status IN ('past_due', 'unpaid');

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_subscriptions_overdue_idx;
