-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_invoices_subscription_idx ON invoices (subscription_id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_invoices_subscription_idx;
