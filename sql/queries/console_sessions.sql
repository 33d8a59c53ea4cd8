-- Who is signed in to the console.

-- Tables: billing_console_sessions
--
-- CREATE TABLE billing_console_sessions (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     token_hash bytea NOT NULL,
--     key_id text,
--     key_proof bytea,
--     key_name text NOT NULL,
--     person text NOT NULL,
--     by_proxy boolean DEFAULT false NOT NULL,
--     language text,
--     time_zone text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     used_at timestamp with time zone DEFAULT now() NOT NULL,
--     expires_at timestamp with time zone NOT NULL,
--     ended_at timestamp with time zone,
--     CONSTRAINT billing_console_sessions_check CHECK (((key_id IS NULL) <> (key_proof IS NULL))),
--     CONSTRAINT billing_console_sessions_check1 CHECK ((expires_at > created_at)),
--     CONSTRAINT billing_console_sessions_key_proof_check CHECK ((octet_length(key_proof) = 32)),
--     CONSTRAINT billing_console_sessions_language_check CHECK ((language ~ '^[a-z]{2}$'::text)),
--     CONSTRAINT billing_console_sessions_person_check CHECK ((person <> ''::text)),
--     CONSTRAINT billing_console_sessions_token_hash_check CHECK ((octet_length(token_hash) = 32))
-- );
-- ALTER TABLE ONLY billing_console_sessions ADD CONSTRAINT billing_console_sessions_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY billing_console_sessions ADD CONSTRAINT billing_console_sessions_token_hash_key UNIQUE (token_hash);
-- ALTER TABLE ONLY billing_console_sessions ADD CONSTRAINT billing_console_sessions_key_id_fkey FOREIGN KEY (key_id) REFERENCES billing_api_keys(id) ON DELETE CASCADE;
-- CREATE INDEX billing_console_sessions_expiry_idx ON billing_console_sessions USING btree (expires_at);
-- CREATE INDEX billing_console_sessions_key_idx ON billing_console_sessions USING btree (key_id);

-- name: open_session(token_hash, key_id, key_proof, key_name, person, by_proxy, time_zone, lifetime)$
-- Drops those that ended a month ago.
WITH forgotten AS (
    DELETE FROM billing_console_sessions AS old
    WHERE old.expires_at < now() - interval '30 days'
)
INSERT INTO billing_console_sessions (
    token_hash,
    key_id,
    key_proof,
    key_name,
    person,
    by_proxy,
    time_zone,
    expires_at
)
VALUES (
    :token_hash,
    :key_id::text,
    :key_proof::bytea,
    :key_name,
    :person,
    :by_proxy::boolean,
    :time_zone::text,
    now() + :lifetime::interval
)
RETURNING id;

-- name: find_session(token_hash)^
-- A session that has not ended, with its key as it is now: `revoked` and `expired` are false for one of
-- the settings. `use_unknown`: no use of the latest minute is on record.
SELECT
    s.id,
    s.key_id,
    s.key_proof,
    s.person,
    s.by_proxy,
    s.language,
    s.time_zone,
    s.expires_at,
    s.used_at < now() - interval '1 minute' AS use_unknown,
    k.name AS key_name,
    k.scopes,
    k.networks,
    k.calls_per_minute IS NOT NULL AS counts_calls,
    coalesce(k.revoked_at IS NOT NULL OR k.expires_at <= now(), FALSE) AS key_is_over
FROM billing_console_sessions AS s
LEFT JOIN billing_api_keys AS k
    ON k.id = s.key_id
WHERE s.token_hash = :token_hash
  AND s.ended_at IS NULL
  AND s.expires_at > now();

-- name: get_session_subject(token_hash)$
-- What an identity provider has said of whose session it is, also of one that has ended; null if none has.
SELECT e.details
FROM billing_console_sessions AS s
JOIN billing_audit_entries AS e
    ON e.target_id = s.id::text
WHERE s.token_hash = :token_hash
  AND e.action = 'console.sign_in'
  AND e.target_type = 'console_session'
  AND e.details ? 'subject'
LIMIT 1;

-- name: note_session_use(id)!
UPDATE billing_console_sessions
SET used_at = now()
WHERE id = :id::uuid
  AND used_at < now() - interval '1 minute';

-- name: end_session(id)$
UPDATE billing_console_sessions
SET ended_at = now()
WHERE id = :id::uuid
  AND ended_at IS NULL
  AND expires_at > now()
RETURNING person;

-- name: set_preferences(id, language, time_zone)!
UPDATE billing_console_sessions
SET language = :language::text,
    time_zone = :time_zone::text
WHERE id = :id::uuid;

-- name: list_sessions()
-- Those that have not ended, and whose key is not over, the latest use first.
SELECT
    s.id,
    s.person,
    s.key_name,
    s.by_proxy,
    s.created_at,
    s.used_at,
    s.expires_at
FROM billing_console_sessions AS s
LEFT JOIN billing_api_keys AS k
    ON k.id = s.key_id
WHERE s.expires_at > now()
  AND s.ended_at IS NULL
  AND k.revoked_at IS NULL
  AND (k.expires_at IS NULL OR k.expires_at > now())
ORDER BY s.used_at DESC
LIMIT 200;
