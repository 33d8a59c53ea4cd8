-- Keys of operators and of mPanel's backend; why hashed as they are: docs/decisions/0009-api-keys.md.

-- migrate:up
CREATE TABLE billing_api_keys (
    id text PRIMARY KEY CHECK (id ~ '^mpb_[0-9A-Za-z]{10}$'),
    name text NOT NULL CHECK (name ~ '^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$' AND name !~ '^mpb_'),
    key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
    scopes text[] NOT NULL CHECK (
        cardinality(scopes) > 0
        AND scopes <@ ARRAY['admin', 'admin:read', 'billing', 'billing:read']
    ),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
CREATE UNIQUE INDEX billing_api_keys_name_key ON billing_api_keys (name)
WHERE revoked_at IS NULL;
COMMENT ON TABLE billing_api_keys IS 'Keys for /api/admin and /api/billing, beside those of the settings';
COMMENT ON COLUMN billing_api_keys.id IS 'How the key itself begins; no secret';
COMMENT ON COLUMN billing_api_keys.name IS 'Who has it, by whatever name the operator chose; free again once it is revoked';
COMMENT ON COLUMN billing_api_keys.key_hash IS 'SHA-256 of the whole key, which is kept nowhere';
COMMENT ON COLUMN billing_api_keys.scopes IS 'What it opens: admin, admin:read, billing, billing:read';
COMMENT ON COLUMN billing_api_keys.created_at IS 'When it was made';
COMMENT ON COLUMN billing_api_keys.created_by IS 'Who made it';
COMMENT ON COLUMN billing_api_keys.expires_at IS 'From when on it opens nothing; null: never';
COMMENT ON COLUMN billing_api_keys.revoked_at IS 'Since when it opens nothing; null: not revoked';
COMMENT ON COLUMN billing_api_keys.last_used_at IS 'Last use, to a minute; null: never';

-- migrate:down
DROP TABLE billing_api_keys;
