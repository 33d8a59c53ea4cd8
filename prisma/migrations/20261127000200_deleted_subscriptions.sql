-- What is kept of a subscription that mPanel deletes with its tenant or customer while Stripe still
-- knows it, and which subscriptions were brought back from what Stripe knows.

-- migrate:up
CREATE TABLE billing_deleted_subscriptions (
    subscription_id uuid PRIMARY KEY,
    stripe_subscription_id text,
    stripe_customer_id text,
    livemode boolean NOT NULL,
    stripe_status text,
    stripe_as_of timestamptz,
    subscription jsonb NOT NULL,
    services jsonb NOT NULL DEFAULT '[]',
    charges jsonb NOT NULL DEFAULT '[]',
    deleted_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    settled_how text CHECK (settled_how IN ('restored', 'cancelled')),
    CHECK ((settled_at IS NULL) = (settled_how IS NULL))
);
CREATE INDEX billing_deleted_subscriptions_stripe_idx
ON billing_deleted_subscriptions (stripe_subscription_id)
WHERE settled_at IS NULL;
COMMENT ON TABLE billing_deleted_subscriptions IS 'Subscriptions whose rows were deleted here, by mPanel or by hand: until an operator decides, events of them have no effect';
COMMENT ON COLUMN billing_deleted_subscriptions.subscription_id IS 'Id of the deleted row';
COMMENT ON COLUMN billing_deleted_subscriptions.stripe_subscription_id IS 'sub_...; null: it was not paid';
COMMENT ON COLUMN billing_deleted_subscriptions.stripe_customer_id IS 'cus_... that is charged';
COMMENT ON COLUMN billing_deleted_subscriptions.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN billing_deleted_subscriptions.stripe_status IS 'Stripe''s status, as the latest event says';
COMMENT ON COLUMN billing_deleted_subscriptions.stripe_as_of IS 'What stripe_status describes, by Stripe''s clock';
COMMENT ON COLUMN billing_deleted_subscriptions.subscription IS 'The deleted row';
COMMENT ON COLUMN billing_deleted_subscriptions.services IS 'Its rows of tenant_services: the accounts that were left behind';
COMMENT ON COLUMN billing_deleted_subscriptions.charges IS 'Its rows of subscription_charges';
COMMENT ON COLUMN billing_deleted_subscriptions.deleted_at IS 'When it was deleted';
COMMENT ON COLUMN billing_deleted_subscriptions.settled_at IS 'When an operator decided; null: not yet';
COMMENT ON COLUMN billing_deleted_subscriptions.settled_how IS 'restored: provisioned again; cancelled: cancelled at Stripe';

CREATE TABLE billing_adoptions (
    subscription_id uuid PRIMARY KEY REFERENCES subscriptions ON DELETE CASCADE,
    source text NOT NULL CHECK (source IN ('stripe', 'deleted', 'backup')),
    order_id uuid,
    problem text,
    adopted_at timestamptz NOT NULL DEFAULT now(),
    inspected_at timestamptz
);
CREATE INDEX billing_adoptions_problem_idx ON billing_adoptions (subscription_id)
WHERE problem IS NOT NULL;
COMMENT ON TABLE billing_adoptions IS 'Subscriptions that were brought back: their accounts are looked for before anything is sent to the services';
COMMENT ON COLUMN billing_adoptions.subscription_id IS 'The subscription';
COMMENT ON COLUMN billing_adoptions.source IS 'stripe: from the metadata at Stripe, for example after a restored backup; deleted: from billing_deleted_subscriptions; backup: with a backup, whose record of the accounts may be outdated';
COMMENT ON COLUMN billing_adoptions.order_id IS 'The order that its metadata names';
COMMENT ON COLUMN billing_adoptions.problem IS 'What could not be brought back; null: nothing';
COMMENT ON COLUMN billing_adoptions.adopted_at IS 'When it was brought back';
COMMENT ON COLUMN billing_adoptions.inspected_at IS 'When its accounts were looked for; null: not yet';

-- Runs before the rows that belong to the subscription are deleted too, in mPanel's transaction, whose
-- search path may be any: the function's own ends with it.
CREATE FUNCTION billing_keep_deleted_subscription() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA), TRUE);
    INSERT INTO billing_deleted_subscriptions AS d (
        subscription_id,
        stripe_subscription_id,
        stripe_customer_id,
        livemode,
        stripe_status,
        stripe_as_of,
        subscription,
        services,
        charges
    )
    SELECT
        OLD.id,
        OLD.stripe_subscription_id,
        OLD.stripe_customer_id,
        OLD.livemode,
        OLD.stripe_status,
        OLD.stripe_as_of,
        to_jsonb(OLD),
        coalesce((
            SELECT jsonb_agg(to_jsonb(s)) FROM tenant_services AS s WHERE s.subscription_id = OLD.id
        ), '[]'),
        coalesce((
            SELECT jsonb_agg(to_jsonb(c)) FROM subscription_charges AS c WHERE c.subscription_id = OLD.id
        ), '[]')
    WHERE OLD.stripe_subscription_id IS NOT NULL
       -- a page that can still be paid
       OR EXISTS (
           SELECT 1
           FROM checkout_sessions AS c
           WHERE c.subscription_id = OLD.id
             AND c.status IN ('creating', 'open')
       )
    ON CONFLICT (subscription_id) DO UPDATE
    SET stripe_subscription_id = excluded.stripe_subscription_id,
        stripe_customer_id = excluded.stripe_customer_id,
        stripe_status = excluded.stripe_status,
        stripe_as_of = excluded.stripe_as_of,
        subscription = excluded.subscription,
        services = excluded.services,
        charges = excluded.charges,
        deleted_at = now(),
        settled_at = NULL,
        settled_how = NULL;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION billing_keep_deleted_subscription() IS 'Keeps what is needed of a subscription that is being deleted';

-- migrate:down
DROP FUNCTION billing_keep_deleted_subscription();
DROP TABLE billing_adoptions;
DROP TABLE billing_deleted_subscriptions;
