-- A customer's invoices that are owed, and those of which something was given back, among thousands of others.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_invoices_open_or_given_back_idx ON invoices (customer_id)
WHERE stripe_status = 'open' OR amount_refunded > 0 OR amount_credited > 0 OR disputed_since IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_invoices_open_or_given_back_idx;
