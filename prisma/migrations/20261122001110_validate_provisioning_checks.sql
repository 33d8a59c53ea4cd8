-- The checks hold for every row that was here before (the new columns are null in them).

-- migrate:up
ALTER TABLE provisioning_work VALIDATE CONSTRAINT provisioning_work_lease_check;
ALTER TABLE tenant_services VALIDATE CONSTRAINT tenant_services_pending_check;
ALTER TABLE tenant_services VALIDATE CONSTRAINT tenant_services_stopped_check;

-- migrate:down
