-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_refetches_failing_idx ON stripe_refetches (requested_at) WHERE last_error IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_refetches_failing_idx;
