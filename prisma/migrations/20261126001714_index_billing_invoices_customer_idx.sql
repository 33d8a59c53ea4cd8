-- Of all invoices, also those that mPanel makes itself: they move when customers are merged.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_invoices_customer_idx ON invoices (customer_id, stripe_created);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_invoices_customer_idx;
