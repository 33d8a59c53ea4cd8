-- Keys for /api/admin and /api/billing.

-- Tables: billing_api_keys
--
-- CREATE TABLE billing_api_keys (
--     id text NOT NULL,
--     name text NOT NULL,
--     key_hash bytea NOT NULL,
--     scopes text[] NOT NULL,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     created_by text NOT NULL,
--     expires_at timestamp with time zone,
--     revoked_at timestamp with time zone,
--     last_used_at timestamp with time zone,
--     CONSTRAINT billing_api_keys_id_check CHECK ((id ~ '^mpb_[0-9A-Za-z]{10}$'::text)),
--     CONSTRAINT billing_api_keys_key_hash_check CHECK ((octet_length(key_hash) = 32)),
--     CONSTRAINT billing_api_keys_name_check CHECK (((name ~ '^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$'::text) AND (name !~ '^mpb_'::text))),
--     CONSTRAINT billing_api_keys_scopes_check CHECK (((cardinality(scopes) > 0) AND (scopes <@ ARRAY['admin'::text, 'admin:read'::text, 'admin:operate'::text, 'admin:money'::text, 'billing'::text, 'billing:read'::text, 'billing:change'::text, 'billing:refund'::text, 'billing:portal'::text, 'billing:any-customer'::text])))
-- );
-- ALTER TABLE ONLY billing_api_keys ADD CONSTRAINT billing_api_keys_pkey PRIMARY KEY (id);
-- CREATE UNIQUE INDEX billing_api_keys_name_key ON billing_api_keys USING btree (name) WHERE (revoked_at IS NULL);

-- name: insert_key(id, name, key_hash, scopes, created_by, lifetime)^
-- Returns nothing if a key of that name exists.
INSERT INTO billing_api_keys (id, name, key_hash, scopes, created_by, expires_at)
VALUES (:id, :name, :key_hash, :scopes::text[], :created_by, now() + :lifetime::interval)
ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING
RETURNING expires_at;

-- name: get_key(id)^
SELECT
    k.name,
    k.key_hash,
    k.scopes,
    k.revoked_at IS NOT NULL AS revoked,
    coalesce(k.expires_at <= now(), FALSE) AS expired,
    coalesce(k.last_used_at <= now() - interval '1 minute', TRUE) AS use_unknown
FROM billing_api_keys AS k
WHERE k.id = :id;

-- name: note_use(id)!
-- At most once a minute, however many processes record a use.
UPDATE billing_api_keys
SET last_used_at = now()
WHERE id = :id
  AND coalesce(last_used_at <= now() - interval '1 minute', TRUE);

-- name: list_keys()
SELECT
    k.id,
    k.name,
    k.scopes,
    CASE
        WHEN k.revoked_at IS NOT NULL THEN 'revoked'
        WHEN k.expires_at <= now() THEN 'expired'
        ELSE 'valid'
    END AS state,
    k.created_at,
    k.created_by,
    k.expires_at,
    k.revoked_at,
    k.last_used_at
FROM billing_api_keys AS k
ORDER BY k.created_at, k.id;

-- name: find_key(named)^
-- By id, or by name while the key is in force.
SELECT
    k.id,
    k.name,
    k.revoked_at
FROM billing_api_keys AS k
WHERE k.id = :named
   OR (k.name = :named AND k.revoked_at IS NULL);

-- name: revoke_key(id)$
UPDATE billing_api_keys
SET revoked_at = now()
WHERE id = :id
  AND revoked_at IS NULL
RETURNING TRUE;
