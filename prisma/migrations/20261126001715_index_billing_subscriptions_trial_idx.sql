-- For the trials that end soon, which mPanel is told.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_subscriptions_trial_idx
ON subscriptions (trial_end)
WHERE stripe_status = 'trialing';

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_subscriptions_trial_idx;
