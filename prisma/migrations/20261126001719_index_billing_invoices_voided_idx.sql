-- For the taxes that were taken back in a period with the invoices that had them.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_invoices_voided_idx
ON invoices (voided_at)
WHERE voided_at IS NOT NULL AND taxes IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_invoices_voided_idx;
