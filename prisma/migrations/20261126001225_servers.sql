-- Several servers for a product type: what they take, how they do, and moves of accounts between them. How and
-- why: docs/decisions/0054-servers-and-moves.md.

-- migrate:up
CREATE TABLE billing_servers (
    product_type text NOT NULL,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    driver text NOT NULL,
    weight integer NOT NULL CHECK (weight BETWEEN 1 AND 1000),
    capacity integer CHECK (capacity >= 0),
    tags text[] NOT NULL DEFAULT '{}',
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    failing_since timestamptz,
    failed_at timestamptz,
    last_error text,
    drained_by text,
    drained_at timestamptz,
    left_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_type, name),
    CHECK ((failures = 0) = (failing_since IS NULL)),
    CHECK ((failures = 0) = (failed_at IS NULL)),
    CHECK ((drained_by IS NULL) = (drained_at IS NULL))
);
COMMENT ON TABLE billing_servers IS 'The servers of product types that have several, as PROVISIONING_SERVICES named them when a worker last started';
COMMENT ON COLUMN billing_servers.product_type IS 'hosting, email, storage, ...';
COMMENT ON COLUMN billing_servers.name IS 'Its name in the setting';
COMMENT ON COLUMN billing_servers.driver IS 'The driver that calls it';
COMMENT ON COLUMN billing_servers.weight IS 'Its share of new accounts, in proportion to the others';
COMMENT ON COLUMN billing_servers.capacity IS 'Accounts that it may have at most; null: any number';
COMMENT ON COLUMN billing_servers.tags IS 'What it offers: an account that needs a tag is only placed on a server that has it';
COMMENT ON COLUMN billing_servers.failures IS 'Commands of unknown outcome since it last answered one; three make it a failing server';
COMMENT ON COLUMN billing_servers.failing_since IS 'When the first of these was; null: there are none';
COMMENT ON COLUMN billing_servers.failed_at IS 'When the last of these was; null: there are none';
COMMENT ON COLUMN billing_servers.last_error IS 'What came of the last of these';
COMMENT ON COLUMN billing_servers.drained_by IS 'Who empties it: it gets no new accounts; null: nobody';
COMMENT ON COLUMN billing_servers.drained_at IS 'Since when it is emptied';
COMMENT ON COLUMN billing_servers.left_at IS 'Since when the setting does not name it any more; null: it does';
COMMENT ON COLUMN billing_servers.created_at IS 'When this row was created';
COMMENT ON COLUMN billing_servers.updated_at IS 'When this row was last changed';

CREATE TABLE billing_moves (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id uuid NOT NULL,
    product_type text NOT NULL,
    from_server text NOT NULL,
    to_server text NOT NULL,
    state text NOT NULL DEFAULT 'creating' CHECK (
        state IN ('creating', 'copying', 'terminating', 'cancelling', 'done', 'cancelled')
    ),
    external_ref text,
    former_ref text,
    generation bigint NOT NULL DEFAULT 0,
    request jsonb,
    stopped boolean NOT NULL DEFAULT FALSE,
    last_error text,
    begun_by text NOT NULL,
    confirmed_by text,
    cancelled_by text,
    abandoned_by text,
    begun_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    -- an account that is taken over keeps its move
    FOREIGN KEY (subscription_id, product_type) REFERENCES tenant_services ON UPDATE CASCADE ON DELETE CASCADE,
    CHECK (from_server <> to_server),
    CHECK ((state IN ('done', 'cancelled')) = (finished_at IS NOT NULL)),
    CHECK (state NOT IN ('copying', 'terminating', 'done') OR external_ref IS NOT NULL),
    -- nothing is terminated at the old server before somebody has said that the data was moved
    CHECK (state NOT IN ('terminating', 'done') OR (confirmed_by IS NOT NULL AND former_ref IS NOT NULL)),
    -- once the new server has the account, it is the old one that goes
    CHECK (state NOT IN ('cancelling', 'cancelled') OR former_ref IS NULL),
    CHECK (abandoned_by IS NULL OR confirmed_by IS NOT NULL),
    CHECK (NOT stopped OR last_error IS NOT NULL)
);
CREATE UNIQUE INDEX billing_moves_open_key ON billing_moves (subscription_id, product_type)
WHERE finished_at IS NULL;
CREATE INDEX billing_moves_subscription_idx ON billing_moves (subscription_id, product_type);
COMMENT ON TABLE billing_moves IS 'Accounts that go, or went, from one server to another';
COMMENT ON COLUMN billing_moves.id IS 'Our id';
COMMENT ON COLUMN billing_moves.subscription_id IS 'The subscription that has the account';
COMMENT ON COLUMN billing_moves.product_type IS 'Its product type';
COMMENT ON COLUMN billing_moves.from_server IS 'The server that had it when the move began';
COMMENT ON COLUMN billing_moves.to_server IS 'The server that gets it';
COMMENT ON COLUMN billing_moves.state IS 'creating: an account is being made at the new server; copying: its data has to be moved; terminating: the account at the old server goes; cancelling: the one at the new server goes; done; cancelled';
COMMENT ON COLUMN billing_moves.external_ref IS 'The new server''s name for the account; null: not known yet';
COMMENT ON COLUMN billing_moves.former_ref IS 'The old server''s name for it, once the new one has the account';
COMMENT ON COLUMN billing_moves.generation IS 'Number of the latest command of this move';
COMMENT ON COLUMN billing_moves.request IS 'What was sent with a command of unknown outcome; null: there is none';
COMMENT ON COLUMN billing_moves.stopped IS 'Whether a server has refused a command: nothing is sent until an operator retries';
COMMENT ON COLUMN billing_moves.last_error IS 'Why the latest command failed';
COMMENT ON COLUMN billing_moves.begun_by IS 'Who has asked for the move';
COMMENT ON COLUMN billing_moves.confirmed_by IS 'Who says that the data was moved: an operator, or the new server itself; null: nobody yet';
COMMENT ON COLUMN billing_moves.cancelled_by IS 'Who has called the move off; null: nobody';
COMMENT ON COLUMN billing_moves.abandoned_by IS 'Who says that the old server is gone for good, so that nothing has to be terminated there; null: nobody';
COMMENT ON COLUMN billing_moves.begun_at IS 'When it was asked for';
COMMENT ON COLUMN billing_moves.updated_at IS 'When this row was last changed';
COMMENT ON COLUMN billing_moves.finished_at IS 'When it was over; null: it is not';

-- migrate:down
DROP TABLE billing_moves;
DROP TABLE billing_servers;
