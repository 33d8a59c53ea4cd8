-- migrate:up transaction:false
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS billing_invoices_stripe_invoice_key ON invoices (stripe_invoice_id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_invoices_stripe_invoice_key;
