-- Its columns are all that decides which of these rows one kind of trouble is about: the rows of the
-- others, such as trials, are not read.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_subscriptions_attention_idx
ON subscriptions (stripe_status, status, stripe_schedule_id, tenant_id)
WHERE status = 'pending'
   OR stripe_status IN ('past_due', 'unpaid', 'paused', 'trialing')
   OR (stripe_subscription_id IS NOT NULL AND stripe_status IS NULL)
   OR stripe_schedule_id IS NOT NULL
   OR (tenant_id IS NULL AND stripe_status IN ('trialing', 'active'));

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_subscriptions_attention_idx;
