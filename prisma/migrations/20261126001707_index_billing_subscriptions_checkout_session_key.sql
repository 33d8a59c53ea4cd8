-- migrate:up transaction:false
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS billing_subscriptions_checkout_session_key ON subscriptions (checkout_session_id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_subscriptions_checkout_session_key;
