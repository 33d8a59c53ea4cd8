-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_invoices_stripe_subscription_idx ON invoices (stripe_subscription_id, stripe_created);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_invoices_stripe_subscription_idx;
