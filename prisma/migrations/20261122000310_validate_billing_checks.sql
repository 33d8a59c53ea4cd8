-- The checks hold for every row that was here before (our columns are null in them); saying so
-- takes no lock that stops reads or writes.

-- migrate:up
ALTER TABLE subscriptions VALIDATE CONSTRAINT billing_subscriptions_status_check;
ALTER TABLE subscriptions VALIDATE CONSTRAINT billing_subscriptions_not_due_in_mpanel_check;
ALTER TABLE subscriptions VALIDATE CONSTRAINT billing_subscriptions_mirror_check;
ALTER TABLE invoices VALIDATE CONSTRAINT billing_invoices_mirror_check;
ALTER TABLE invoices VALIDATE CONSTRAINT billing_invoices_number_check;
ALTER TABLE invoices VALIDATE CONSTRAINT billing_invoices_subscription_fkey;
ALTER TABLE tenants VALIDATE CONSTRAINT billing_tenants_subscription_fkey;

-- migrate:down
