-- Our columns on mPanel's customers, the Stripe customers of each, and who has been erased.

-- migrate:up
ALTER TABLE customers
    ADD COLUMN IF NOT EXISTS email text,
    ADD COLUMN IF NOT EXISTS name text,
    ADD COLUMN IF NOT EXISTS stripe_customer_id text,
    ADD COLUMN IF NOT EXISTS stripe_customer_paid_at timestamptz,
    ADD COLUMN IF NOT EXISTS joined_id uuid,
    ADD COLUMN IF NOT EXISTS joined_at timestamptz,
    ADD COLUMN IF NOT EXISTS metadata jsonb DEFAULT '{}';

SELECT billing_record_additions('20261126000400');
SELECT billing_describe('customers', described.column_name, described.description)
FROM (VALUES
    ('email', 'E-mail address as given; compared in lower case. A customer with an account in mPanel is found by users.email instead'),
    ('name', 'Full name'),
    ('stripe_customer_id', 'Their main Stripe customer (cus_...); all of them are in stripe_customers'),
    ('stripe_customer_paid_at', 'When the payment was made that decided on the main Stripe customer; null: an order that mPanel vouches for, or nothing of ours, decided'),
    ('joined_id', 'The record of their account, once its address was verified and everything here moved there; null: it stands for itself'),
    ('joined_at', 'When it joined that record'),
    ('metadata', 'firstSubscriptionId: the order that created this customer')
) AS described (column_name, description);

CREATE TABLE stripe_customers (
    id text PRIMARY KEY,
    customer_id uuid REFERENCES customers ON DELETE CASCADE,
    livemode boolean NOT NULL,
    email text,
    name text,
    deleted boolean NOT NULL DEFAULT FALSE,
    stripe_as_of_since timestamptz,
    stripe_as_of timestamptz,
    stripe_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (stripe_as_of_since <= stripe_as_of)
);
CREATE INDEX stripe_customers_customer_idx ON stripe_customers (customer_id);
COMMENT ON TABLE stripe_customers IS 'Every Stripe customer seen so far and its customer record: an order by an unverified buyer runs on a new one';
COMMENT ON COLUMN stripe_customers.id IS 'cus_...';
COMMENT ON COLUMN stripe_customers.customer_id IS 'Null until an order or a subscription links it';
COMMENT ON COLUMN stripe_customers.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_customers.email IS 'As Stripe has it';
COMMENT ON COLUMN stripe_customers.name IS 'As Stripe has it';
COMMENT ON COLUMN stripe_customers.deleted IS 'Deleted at Stripe';
COMMENT ON COLUMN stripe_customers.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_customers.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe; null: only the id is known';
COMMENT ON COLUMN stripe_customers.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_customers.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_customers.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_customer_balances (
    stripe_customer_id text NOT NULL REFERENCES stripe_customers ON DELETE CASCADE,
    currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    balance bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stripe_customer_id, currency)
);
COMMENT ON TABLE stripe_customer_balances IS 'What Stripe applies to a customer''s next invoice in a currency. Nothing to do with customers.credit_balance, which is mPanel''s';
COMMENT ON COLUMN stripe_customer_balances.stripe_customer_id IS 'cus_...';
COMMENT ON COLUMN stripe_customer_balances.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN stripe_customer_balances.balance IS 'Minor units; negative: credit that is taken off, positive: owed and added';
COMMENT ON COLUMN stripe_customer_balances.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_customer_balances.updated_at IS 'When this row was last changed';

CREATE TABLE billing_erasures (
    identifier text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('customer', 'stripe_customer', 'email')),
    reason text NOT NULL CHECK (reason IN ('request', 'unpaid')),
    erased_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE billing_erasures IS 'Whose personal data has been erased, without the data: late events, reconcile and a restored backup do not bring it back';
COMMENT ON COLUMN billing_erasures.identifier IS 'Id of the customer record, cus_..., or billing_email_hash_v1 of an e-mail address';
COMMENT ON COLUMN billing_erasures.kind IS 'What the identifier is';
COMMENT ON COLUMN billing_erasures.reason IS 'request: customers erase; unpaid: their orders were never paid (KEEP_UNPAID_ORDERS_DAYS)';
COMMENT ON COLUMN billing_erasures.erased_at IS 'An address only counts for what was created before; who comes back is a new customer';

CREATE TABLE billing_erasure_key (
    singleton boolean PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);
COMMENT ON TABLE billing_erasure_key IS 'The key of billing_email_hash_v1: one row, made with the schema';
COMMENT ON COLUMN billing_erasure_key.singleton IS 'There is one row';
COMMENT ON COLUMN billing_erasure_key.key IS 'Random; in ERASURES_FILE addresses cannot be guessed without it';
INSERT INTO billing_erasure_key (key)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

-- migrate:down
DROP TABLE billing_erasure_key;
DROP TABLE billing_erasures;
DROP TABLE stripe_customer_balances;
DROP TABLE stripe_customers;
SELECT billing_revert_additions('20261126000400');
