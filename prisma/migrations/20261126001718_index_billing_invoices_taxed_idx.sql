-- For what billing_tax has of a period. An invoice without taxes is not in it.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_invoices_taxed_idx
ON invoices (finalized_at)
WHERE taxes IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_invoices_taxed_idx;
