-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_invoices_attention_idx ON invoices (stripe_created)
WHERE (stripe_subscription_id IS NOT NULL AND subscription_id IS NULL)
   OR (finalized_at IS NULL AND stripe_invoice_id IS NOT NULL);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_invoices_attention_idx;
