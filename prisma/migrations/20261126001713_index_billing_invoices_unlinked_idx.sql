-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_invoices_unlinked_idx ON invoices (stripe_invoice_id) WHERE stripe_subscription_id IS NOT NULL AND subscription_id IS NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_invoices_unlinked_idx;
