-- For figures: the trials that ended in a month.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_subscriptions_trialed_idx
ON subscriptions (trial_end)
WHERE trial_end IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_subscriptions_trialed_idx;
