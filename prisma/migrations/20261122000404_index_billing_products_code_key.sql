-- migrate:up transaction:false
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS billing_products_code_key ON products (code);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_products_code_key;
