-- References from and to invoices. mPanel may delete a subscription at any time: what refers to it then
-- refers to nothing. A file of its own, because a reference locks both tables.

-- migrate:up
ALTER TABLE invoices
    ADD CONSTRAINT billing_invoices_subscription_fkey
    FOREIGN KEY (subscription_id) REFERENCES subscriptions ON DELETE SET NULL NOT VALID;
ALTER TABLE billing_changes
    ADD CONSTRAINT billing_changes_invoice_id_fkey
    FOREIGN KEY (invoice_id) REFERENCES invoices ON DELETE CASCADE NOT VALID;

-- migrate:down
ALTER TABLE billing_changes DROP CONSTRAINT billing_changes_invoice_id_fkey;
ALTER TABLE invoices DROP CONSTRAINT billing_invoices_subscription_fkey;
