-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_invoices_unfinalized_idx ON invoices (stripe_created) WHERE finalized_at IS NULL AND stripe_invoice_id IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_invoices_unfinalized_idx;
