-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_services_unsettled_idx ON tenant_services (desired, actual) WHERE (desired = 'active' AND actual <> 'active') OR (desired = 'suspended' AND actual = 'active') OR (desired = 'terminated' AND actual IN ('active', 'suspended')) OR pending_action IS NOT NULL OR stopped IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_services_unsettled_idx;
