-- mPanel may delete a subscription at any time: whoever points at it then points at nothing.

-- migrate:up
ALTER TABLE invoices
    ADD CONSTRAINT billing_invoices_subscription_fkey
    FOREIGN KEY (subscription_id) REFERENCES subscriptions ON DELETE SET NULL NOT VALID;

-- migrate:down
ALTER TABLE invoices DROP CONSTRAINT billing_invoices_subscription_fkey;
