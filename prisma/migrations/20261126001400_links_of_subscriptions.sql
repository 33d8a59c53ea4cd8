-- See invoice_links.

-- migrate:up
ALTER TABLE tenants
    ADD CONSTRAINT billing_tenants_subscription_fkey
    FOREIGN KEY (billing_subscription_id) REFERENCES subscriptions ON DELETE SET NULL NOT VALID;

-- What deletes subscriptions keeps them: billing_deleted_subscriptions. Both lock the same table.
CREATE TRIGGER billing_keep_deleted_subscription
BEFORE DELETE ON subscriptions
FOR EACH ROW WHEN (OLD.billing_provider = 'stripe')
EXECUTE FUNCTION billing_keep_deleted_subscription();

-- migrate:down
DROP TRIGGER billing_keep_deleted_subscription ON subscriptions;
ALTER TABLE tenants DROP CONSTRAINT billing_tenants_subscription_fkey;
