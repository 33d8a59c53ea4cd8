-- migrate:up transaction:false
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS billing_tenants_subscription_key ON tenants (billing_subscription_id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_tenants_subscription_key;
