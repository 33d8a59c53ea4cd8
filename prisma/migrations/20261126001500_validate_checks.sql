-- Checks and references hold for all rows that existed before, in which our columns are null. Validating
-- them takes no lock that blocks reads or writes.

-- migrate:up
ALTER TABLE subscriptions VALIDATE CONSTRAINT billing_subscriptions_status_check;
ALTER TABLE subscriptions VALIDATE CONSTRAINT billing_subscriptions_not_due_in_mpanel_check;
ALTER TABLE subscriptions VALIDATE CONSTRAINT billing_subscriptions_mirror_check;
ALTER TABLE invoices VALIDATE CONSTRAINT billing_invoices_mirror_check;
ALTER TABLE invoices VALIDATE CONSTRAINT billing_invoices_number_check;
ALTER TABLE invoices VALIDATE CONSTRAINT billing_invoices_subscription_fkey;
ALTER TABLE tenants VALIDATE CONSTRAINT billing_tenants_subscription_fkey;
ALTER TABLE billing_changes VALIDATE CONSTRAINT billing_changes_invoice_id_fkey;

-- migrate:down

