-- What later versions of mPanel have added, a column of ours among them.

ALTER TABLE invoices
    ADD COLUMN stripe_payment_intent_id varchar(255),
    ADD COLUMN dunning_retry_count integer DEFAULT 0,
    ADD COLUMN next_retry_at timestamp;
COMMENT ON COLUMN invoices.stripe_payment_intent_id IS 'mPanel''s own words';
ALTER TABLE products
    ADD COLUMN pricing_model varchar(50) DEFAULT 'flat',
    ADD COLUMN usage_tiers jsonb;
UPDATE invoices SET stripe_payment_intent_id = 'pi_of_mpanel', dunning_retry_count = 2
WHERE status = 'sent';
