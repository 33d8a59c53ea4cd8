-- Who has changed what: by a key, or at a command line.

-- migrate:up
CREATE TABLE billing_audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL CHECK (actor <> ''),
    key_id text,
    action text NOT NULL CHECK (action ~ '^[a-z_]+(\.[a-z_]+)+$'),
    target_type text,
    target_id text,
    details jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object'),
    request_id text,
    outcome text NOT NULL CHECK (outcome IN ('attempted', 'done', 'failed')),
    error text,
    settled_at timestamptz,
    CHECK ((target_type IS NULL) = (target_id IS NULL)),
    CHECK (outcome = 'attempted' OR settled_at IS NOT NULL)
);
CREATE INDEX billing_audit_log_target_idx ON billing_audit_log (target_id, id);
CREATE INDEX billing_audit_log_actor_idx ON billing_audit_log (actor, id);
COMMENT ON TABLE billing_audit_log IS 'Every change made by a key or at a command line, in its order';
COMMENT ON COLUMN billing_audit_log.id IS 'Ours';
COMMENT ON COLUMN billing_audit_log.at IS 'When it was begun';
COMMENT ON COLUMN billing_audit_log.actor IS 'Name of the key, settings:admin:1 and the like for one of the settings, or cli:<user>@<host>';
COMMENT ON COLUMN billing_audit_log.key_id IS 'billing_api_keys.id; null: not by a key of the database';
COMMENT ON COLUMN billing_audit_log.action IS 'What was done, such as subscription.suspend';
COMMENT ON COLUMN billing_audit_log.target_type IS 'What it was done to: subscription, event, key, ...; null: to no single thing';
COMMENT ON COLUMN billing_audit_log.target_id IS 'Its id: ours, or Stripe''s for what is Stripe''s';
COMMENT ON COLUMN billing_audit_log.details IS 'With what, and what came of it; never a secret';
COMMENT ON COLUMN billing_audit_log.request_id IS 'X-Request-Id, by which the log lines are found; null: no request';
COMMENT ON COLUMN billing_audit_log.outcome IS 'attempted: begun, and nobody knows whether it took effect; done; failed: refused, or broken off';
COMMENT ON COLUMN billing_audit_log.error IS 'The word of the error, where there was one';
COMMENT ON COLUMN billing_audit_log.settled_at IS 'When the outcome was written';

-- migrate:down
DROP TABLE billing_audit_log;
