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

-- What each server has to carry is kept as sums, so that placing an account costs the same among a million. Triggers note
-- each change; whoever places an account has the lock of the product type, and adds up what is noted first.
CREATE TABLE billing_server_places (
    product_type text NOT NULL,
    server text NOT NULL,
    placed integer NOT NULL DEFAULT 0,
    coming integer NOT NULL DEFAULT 0,
    leaving integer NOT NULL DEFAULT 0,
    going integer NOT NULL DEFAULT 0,
    PRIMARY KEY (product_type, server)
);
COMMENT ON TABLE billing_server_places IS 'Accounts of each server, without what billing_server_changes adds; see billing_server_load';
COMMENT ON COLUMN billing_server_places.product_type IS 'hosting, email, storage, ...';
COMMENT ON COLUMN billing_server_places.server IS 'Its name in the setting';
COMMENT ON COLUMN billing_server_places.placed IS 'Accounts that take a place: those that are there, may be there, or are to be made';
COMMENT ON COLUMN billing_server_places.coming IS 'Accounts that move here';
COMMENT ON COLUMN billing_server_places.leaving IS 'Accounts that move away, and are still in use here';
COMMENT ON COLUMN billing_server_places.going IS 'Accounts that have moved away, and are not terminated here yet';

CREATE TABLE billing_server_changes (
    product_type text NOT NULL,
    server text NOT NULL,
    placed integer NOT NULL DEFAULT 0,
    coming integer NOT NULL DEFAULT 0,
    leaving integer NOT NULL DEFAULT 0,
    going integer NOT NULL DEFAULT 0
);
CREATE INDEX billing_server_changes_idx ON billing_server_changes (product_type, server);
COMMENT ON TABLE billing_server_changes IS 'What has changed since billing_server_places was added up: a row is only inserted, so no writer waits for another';
COMMENT ON COLUMN billing_server_changes.product_type IS 'hosting, email, storage, ...';
COMMENT ON COLUMN billing_server_changes.server IS 'Its name in the setting';
COMMENT ON COLUMN billing_server_changes.placed IS 'How many accounts more take a place; negative: fewer';
COMMENT ON COLUMN billing_server_changes.coming IS 'How many more move here';
COMMENT ON COLUMN billing_server_changes.leaving IS 'How many more move away, and are still in use here';
COMMENT ON COLUMN billing_server_changes.going IS 'How many more have moved away, and are not terminated here yet';

CREATE FUNCTION billing_note_place() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    INSERT INTO billing_server_changes (product_type, server, placed)
    SELECT
        side.product_type,
        side.server,
        side.change
    FROM (
        VALUES
            (OLD.product_type, OLD.server, OLD.desired, OLD.actual, OLD.pending_action, -1),
            (NEW.product_type, NEW.server, NEW.desired, NEW.actual, NEW.pending_action, 1)
    ) AS side (product_type, server, desired, actual, pending_action, change)
    WHERE side.server IS NOT NULL
      AND (side.desired = 'active' OR side.actual IN ('active', 'suspended') OR side.pending_action IS NOT NULL);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_place() IS 'Notes that an account takes a place on a server, or frees it, with the rights of its owner';
REVOKE EXECUTE ON FUNCTION billing_note_place() FROM PUBLIC;

CREATE TRIGGER billing_note_new_place
AFTER INSERT ON tenant_services
FOR EACH ROW WHEN (NEW.server IS NOT NULL) EXECUTE FUNCTION billing_note_place();
CREATE TRIGGER billing_note_lost_place
AFTER DELETE ON tenant_services
FOR EACH ROW WHEN (OLD.server IS NOT NULL) EXECUTE FUNCTION billing_note_place();
CREATE TRIGGER billing_note_changed_place
AFTER UPDATE ON tenant_services
FOR EACH ROW WHEN (coalesce(OLD.server, NEW.server) IS NOT NULL AND (
    OLD.product_type,
    OLD.server,
    OLD.desired = 'active' OR OLD.actual IN ('active', 'suspended') OR OLD.pending_action IS NOT NULL
) IS DISTINCT FROM (
    NEW.product_type,
    NEW.server,
    NEW.desired = 'active' OR NEW.actual IN ('active', 'suspended') OR NEW.pending_action IS NOT NULL
)) EXECUTE FUNCTION billing_note_place();

CREATE FUNCTION billing_note_move() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    INSERT INTO billing_server_changes (product_type, server, coming, leaving, going)
    SELECT
        side.product_type,
        at.server,
        side.change * at.coming::integer,
        side.change * at.leaving::integer,
        side.change * at.going::integer
    FROM (
        VALUES
            (OLD.product_type, OLD.from_server, OLD.to_server, OLD.state, -1),
            (NEW.product_type, NEW.from_server, NEW.to_server, NEW.state, 1)
    ) AS side (product_type, from_server, to_server, state, change)
    CROSS JOIN LATERAL (
        VALUES
            (side.to_server, side.state IN ('creating', 'copying', 'cancelling'), FALSE, FALSE),
            (side.from_server, FALSE, side.state IN ('creating', 'copying'), side.state = 'terminating')
    ) AS at (server, coming, leaving, going)
    WHERE at.coming OR at.leaving OR at.going;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_move() IS 'Notes what a move takes or frees at both its servers, with the rights of its owner';
REVOKE EXECUTE ON FUNCTION billing_note_move() FROM PUBLIC;

CREATE TRIGGER billing_note_move
AFTER INSERT OR DELETE ON billing_moves
FOR EACH ROW EXECUTE FUNCTION billing_note_move();
CREATE TRIGGER billing_note_changed_move
AFTER UPDATE ON billing_moves
FOR EACH ROW WHEN (
    (OLD.product_type, OLD.from_server, OLD.to_server, OLD.state)
    IS DISTINCT FROM (NEW.product_type, NEW.from_server, NEW.to_server, NEW.state)
) EXECUTE FUNCTION billing_note_move();

-- migrate:down
DROP TRIGGER billing_note_changed_place ON tenant_services;
DROP TRIGGER billing_note_lost_place ON tenant_services;
DROP TRIGGER billing_note_new_place ON tenant_services;
DROP TABLE billing_moves;
DROP FUNCTION billing_note_move();
DROP FUNCTION billing_note_place();
DROP TABLE billing_server_changes;
DROP TABLE billing_server_places;
DROP TABLE billing_servers;
