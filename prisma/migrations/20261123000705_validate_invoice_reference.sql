-- Under a lock that lets others write.

-- migrate:up
ALTER TABLE billing_changes VALIDATE CONSTRAINT billing_changes_invoice_id_fkey;

-- migrate:down
