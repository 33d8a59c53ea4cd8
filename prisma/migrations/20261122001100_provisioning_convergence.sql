-- What it takes to drive each service of a subscription to its desired state, with any number of
-- workers, each of which may die at any moment.

-- migrate:up
ALTER TABLE provisioning_work
    ADD COLUMN lease_token uuid,
    ADD COLUMN leased_until timestamptz,
    ADD COLUMN trouble text;
ALTER TABLE provisioning_work
    ADD CONSTRAINT provisioning_work_lease_check CHECK ((lease_token IS NULL) = (leased_until IS NULL)) NOT VALID;
COMMENT ON COLUMN provisioning_work.lease_token IS 'The run that works on it; every write of a run asks for its own token';
COMMENT ON COLUMN provisioning_work.leased_until IS 'Until then nobody else works on it; prolonged while the run lives';
COMMENT ON COLUMN provisioning_work.attempts IS 'Runs begun since the last that ended well';
COMMENT ON COLUMN provisioning_work.trouble IS 'What a person has to settle although the work is done';

ALTER TABLE tenant_services
    ADD COLUMN desired_resources jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN resources jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN generation bigint NOT NULL DEFAULT 0,
    ADD COLUMN pending_action text,
    ADD COLUMN pending_request jsonb,
    ADD COLUMN stopped text,
    ADD COLUMN removed_at timestamptz;
ALTER TABLE tenant_services
    ADD CONSTRAINT tenant_services_pending_check CHECK (
        (pending_action IS NULL) = (pending_request IS NULL)
        AND pending_action IN ('create', 'suspend', 'resume', 'change', 'terminate')
    ) NOT VALID,
    ADD CONSTRAINT tenant_services_stopped_check CHECK (stopped IN ('refused', 'skipped')) NOT VALID;
COMMENT ON COLUMN tenant_services.desired_resources IS 'Limits that the account should have';
COMMENT ON COLUMN tenant_services.resources IS 'Limits that the account was last given';
COMMENT ON COLUMN tenant_services.generation IS 'Counts the orders given to the driver; it refuses one that is older than the last it saw';
COMMENT ON COLUMN tenant_services.pending_action IS 'Order given under this generation whose outcome is not known';
COMMENT ON COLUMN tenant_services.pending_request IS 'What was sent with it, the same in every repetition';
COMMENT ON COLUMN tenant_services.stopped IS 'refused: the driver will not do it; skipped: by an operator; both until the wish changes or an operator says';
COMMENT ON COLUMN tenant_services.removed_at IS 'Since when the subscription no longer includes it';

ALTER TABLE subscription_charges
    ADD COLUMN attempt integer NOT NULL DEFAULT 1,
    ADD COLUMN tried_at timestamptz;
COMMENT ON COLUMN subscription_charges.attempt IS 'Part of the idempotency key; grows when a removed charge is attached again';
COMMENT ON COLUMN subscription_charges.tried_at IS 'When Stripe was last asked to attach it; it may or may not have done so';

CREATE TABLE provisioning_holds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    reason text NOT NULL CHECK (reason <> ''),
    placed_by text NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now(),
    lifted_by text,
    lifted_at timestamptz,
    CHECK ((lifted_by IS NULL) = (lifted_at IS NULL))
);
CREATE UNIQUE INDEX provisioning_holds_standing_key ON provisioning_holds (subscription_id)
WHERE lifted_at IS NULL;
CREATE INDEX provisioning_holds_subscription_idx ON provisioning_holds (subscription_id, id);
COMMENT ON TABLE provisioning_holds IS 'Suspensions by an operator; no payment lifts them';
COMMENT ON COLUMN provisioning_holds.id IS 'Ours';
COMMENT ON COLUMN provisioning_holds.subscription_id IS 'The subscription that is held';
COMMENT ON COLUMN provisioning_holds.reason IS 'In the operator''s words';
COMMENT ON COLUMN provisioning_holds.placed_by IS 'The operator who suspended it';
COMMENT ON COLUMN provisioning_holds.placed_at IS 'Since when it is suspended';
COMMENT ON COLUMN provisioning_holds.lifted_by IS 'The operator who lifted it; null: it stands';
COMMENT ON COLUMN provisioning_holds.lifted_at IS 'When it was lifted';

-- migrate:down
DROP TABLE provisioning_holds;
ALTER TABLE subscription_charges
    DROP COLUMN tried_at,
    DROP COLUMN attempt;
ALTER TABLE tenant_services
    DROP COLUMN removed_at,
    DROP COLUMN stopped,
    DROP COLUMN pending_request,
    DROP COLUMN pending_action,
    DROP COLUMN generation,
    DROP COLUMN resources,
    DROP COLUMN desired_resources;
COMMENT ON COLUMN provisioning_work.attempts IS NULL;
ALTER TABLE provisioning_work
    DROP COLUMN trouble,
    DROP COLUMN leased_until,
    DROP COLUMN lease_token;
