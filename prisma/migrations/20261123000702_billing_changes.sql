-- What is asked of Stripe for a customer: on record before it is asked, so that it happens once.

-- migrate:up
CREATE TABLE billing_changes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subscription_id uuid REFERENCES subscriptions ON DELETE CASCADE,
    invoice_id uuid, -- a later file makes it a reference, which locks invoices
    subject_id uuid NOT NULL GENERATED ALWAYS AS (coalesce(subscription_id, invoice_id)) STORED,
    kind text NOT NULL CHECK (kind IN ('change_plan', 'cancel', 'resume', 'refund')),
    request_key text,
    request_hash bytea NOT NULL,
    params jsonb NOT NULL,
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    attempted_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL CHECK (state IN ('asking', 'unanswered', 'done', 'failed')),
    stripe_id text,
    last_error text,
    leased_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(subscription_id, invoice_id) = 1),
    CHECK ((kind = 'refund') = (invoice_id IS NOT NULL)),
    CHECK ((state = 'asking') = (leased_until IS NOT NULL))
);
CREATE UNIQUE INDEX billing_changes_request_key_key ON billing_changes (request_key)
WHERE request_key IS NOT NULL;
-- Two changes of one subscription, or two refunds of one invoice, never run at once.
CREATE UNIQUE INDEX billing_changes_asking_key ON billing_changes (subject_id)
WHERE state = 'asking';
CREATE INDEX billing_changes_subject_idx ON billing_changes (subject_id, created_at);
CREATE INDEX billing_changes_subscription_idx ON billing_changes (subscription_id);
CREATE INDEX billing_changes_invoice_idx ON billing_changes (invoice_id);
COMMENT ON TABLE billing_changes IS 'Changes of subscriptions and refunds that /api/billing has asked Stripe for, each with the params frozen under its idempotency key';
COMMENT ON COLUMN billing_changes.id IS 'Ours, and with attempt the idempotency key at Stripe';
COMMENT ON COLUMN billing_changes.subscription_id IS 'What is changed; null: a refund';
COMMENT ON COLUMN billing_changes.invoice_id IS 'What is refunded; null: a change of a subscription';
COMMENT ON COLUMN billing_changes.subject_id IS 'Whichever of the two it is';
COMMENT ON COLUMN billing_changes.kind IS 'change_plan, cancel, resume or refund';
COMMENT ON COLUMN billing_changes.request_key IS 'The clients own name for its request; null: it gave none';
COMMENT ON COLUMN billing_changes.request_hash IS 'SHA-256 of what was asked for';
COMMENT ON COLUMN billing_changes.params IS 'What is sent to Stripe, the same in every retry of the attempt';
COMMENT ON COLUMN billing_changes.attempt IS 'Grows only after Stripe has certainly not acted, or would repeat its failure';
COMMENT ON COLUMN billing_changes.attempted_at IS 'When the attempt began: Stripe forgets its key a day later';
COMMENT ON COLUMN billing_changes.state IS 'asking: until leased_until; unanswered: Stripe may have acted, the same attempt is taken up again; done; failed: see last_error';
COMMENT ON COLUMN billing_changes.stripe_id IS 'What Stripe made of it: re_... of a refund';
COMMENT ON COLUMN billing_changes.last_error IS 'Why Stripe did not do it';
COMMENT ON COLUMN billing_changes.leased_until IS 'Until then the process that asks is taken for alive';
COMMENT ON COLUMN billing_changes.created_at IS 'When it was first asked for';
COMMENT ON COLUMN billing_changes.updated_at IS 'When its state last changed';

-- migrate:down
DROP TABLE billing_changes;
