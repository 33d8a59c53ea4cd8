-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_customers_email_idx ON customers (lower(email));

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_customers_email_idx;
