-- migrate:up transaction:false
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS billing_customers_stripe_customer_key ON customers (stripe_customer_id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_customers_stripe_customer_key;
