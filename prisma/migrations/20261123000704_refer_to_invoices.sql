-- A transaction of its own: a reference locks the table that it refers to, and whoever locks
-- subscriptions and invoices together runs into a deadlock with those who are writing both.

-- migrate:up
ALTER TABLE billing_changes
    ADD CONSTRAINT billing_changes_invoice_id_fkey
    FOREIGN KEY (invoice_id) REFERENCES invoices ON DELETE CASCADE NOT VALID;

-- migrate:down
ALTER TABLE billing_changes DROP CONSTRAINT billing_changes_invoice_id_fkey;
