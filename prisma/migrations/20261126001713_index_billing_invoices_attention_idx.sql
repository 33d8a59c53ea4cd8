-- Its columns are all that decides which of these rows one kind of trouble is about. Of many that are
-- unpaid, those that Stripe tries again to collect are not read.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_invoices_attention_idx
ON invoices (stripe_status, next_payment_attempt, subscription_id, stripe_created)
WHERE (stripe_subscription_id IS NOT NULL AND subscription_id IS NULL)
   OR (finalized_at IS NULL AND stripe_invoice_id IS NOT NULL)
   OR stripe_status IN ('open', 'uncollectible');

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_invoices_attention_idx;
