-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_checkout_sessions_paid_again_idx ON checkout_sessions (subscription_id) WHERE status = 'complete' AND attempt > 1;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_checkout_sessions_paid_again_idx;
