-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_invoices_customer_idx ON invoices (customer_id, stripe_created) WHERE stripe_invoice_id IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_invoices_customer_idx;
