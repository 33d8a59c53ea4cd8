-- Which records have joined a record: what was noted of them is shown with it.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_customers_joined_into_idx
ON customers (joined_id) WHERE joined_id IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_customers_joined_into_idx;
