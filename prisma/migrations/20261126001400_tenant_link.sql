-- See invoice_links.

-- migrate:up
ALTER TABLE tenants
    ADD CONSTRAINT billing_tenants_subscription_fkey
    FOREIGN KEY (billing_subscription_id) REFERENCES subscriptions ON DELETE SET NULL NOT VALID;

-- migrate:down
ALTER TABLE tenants DROP CONSTRAINT billing_tenants_subscription_fkey;
