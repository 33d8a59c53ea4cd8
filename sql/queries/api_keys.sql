-- Keys for /api/admin and /api/billing.

-- Tables: billing_api_keys, billing_key_usage
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
--     networks cidr[],
--     calls_per_minute bigint,
--     refunds_per_day bigint,
--     replaced_by text,
--     CONSTRAINT billing_api_keys_calls_per_minute_check CHECK ((calls_per_minute > 0)),
--     CONSTRAINT billing_api_keys_check CHECK ((replaced_by <> id)),
--     CONSTRAINT billing_api_keys_id_check CHECK ((id ~ '^mpb_[0-9A-Za-z]{10}$'::text)),
--     CONSTRAINT billing_api_keys_key_hash_check CHECK ((octet_length(key_hash) = 32)),
--     CONSTRAINT billing_api_keys_name_check CHECK (((name ~ '^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$'::text) AND (name !~ '^mpb_'::text))),
--     CONSTRAINT billing_api_keys_networks_check CHECK ((cardinality(networks) > 0)),
--     CONSTRAINT billing_api_keys_refunds_per_day_check CHECK ((refunds_per_day >= 0)),
--     CONSTRAINT billing_api_keys_scopes_check CHECK (((cardinality(scopes) > 0) AND (scopes <@ ARRAY['admin'::text, 'admin:read'::text, 'admin:operate'::text, 'admin:money'::text, 'admin:keys'::text, 'billing'::text, 'billing:read'::text, 'billing:change'::text, 'billing:refund'::text, 'billing:portal'::text, 'billing:access-data'::text, 'billing:customers'::text, 'billing:transfer-out'::text, 'billing:usage'::text, 'billing:any-customer'::text])))
-- );
-- ALTER TABLE ONLY billing_api_keys ADD CONSTRAINT billing_api_keys_pkey PRIMARY KEY (id);
-- CREATE UNIQUE INDEX billing_api_keys_name_key ON billing_api_keys USING btree (name) WHERE ((revoked_at IS NULL) AND (replaced_by IS NULL));
--
-- CREATE TABLE billing_key_usage (
--     key_id text NOT NULL,
--     measure text NOT NULL,
--     since timestamp with time zone NOT NULL,
--     used bigint NOT NULL,
--     CONSTRAINT billing_key_usage_measure_check CHECK ((measure ~ '^(calls|refunds:[a-z]{3})$'::text)),
--     CONSTRAINT billing_key_usage_used_check CHECK ((used >= 0))
-- )
-- WITH (fillfactor='50');
-- ALTER TABLE ONLY billing_key_usage ADD CONSTRAINT billing_key_usage_pkey PRIMARY KEY (key_id, measure);
-- ALTER TABLE ONLY billing_key_usage ADD CONSTRAINT billing_key_usage_key_id_fkey FOREIGN KEY (key_id) REFERENCES billing_api_keys(id) ON DELETE CASCADE;

-- name: insert_key(id, name, key_hash, scopes, created_by, lifetime, networks, calls_per_minute, refunds_per_day)^
-- Returns nothing if a key of that name exists.
INSERT INTO billing_api_keys (
    id,
    name,
    key_hash,
    scopes,
    created_by,
    expires_at,
    networks,
    calls_per_minute,
    refunds_per_day
)
VALUES (
    :id,
    :name,
    :key_hash,
    :scopes::text[],
    :created_by,
    now() + :lifetime::interval,
    :networks::cidr[],
    :calls_per_minute::bigint,
    :refunds_per_day::bigint
)
ON CONFLICT (name) WHERE revoked_at IS NULL AND replaced_by IS NULL DO NOTHING
RETURNING expires_at;

-- name: get_key(id)^
SELECT
    k.name,
    k.key_hash,
    k.scopes,
    k.networks,
    k.calls_per_minute IS NOT NULL AS counts_calls,
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

-- name: spend(key_id, measure, amount)^
-- Counts an amount against a key's ceiling, unless that exceeds it: one statement, so that calls in
-- the same instant cannot both take the rest. `spent` is false if it exceeds it, and nothing is
-- counted. A call whose transaction began in the window before counts in the later one.
WITH allowance AS (
    SELECT
        k.id,
        CASE WHEN :measure::text = 'calls' THEN k.calls_per_minute ELSE k.refunds_per_day END AS ceiling,
        date_trunc(w.unit, now(), 'UTC') AS since,
        date_trunc(w.unit, now(), 'UTC') + ('1 ' || w.unit)::interval AS until
    FROM billing_api_keys AS k
    CROSS JOIN (
        SELECT CASE WHEN :measure::text = 'calls' THEN 'minute' ELSE 'day' END AS unit
    ) AS w
    WHERE k.id = :key_id
),
counted AS (
    INSERT INTO billing_key_usage AS u (key_id, measure, since, used)
    SELECT
        a.id,
        :measure::text,
        a.since,
        :amount::bigint
    FROM allowance AS a
    WHERE :amount::bigint <= a.ceiling
    ON CONFLICT (key_id, measure) DO UPDATE
    SET used = excluded.used + CASE WHEN u.since >= excluded.since THEN u.used ELSE 0 END,
        since = greatest(u.since, excluded.since)
    WHERE excluded.used + CASE WHEN u.since >= excluded.since THEN u.used ELSE 0 END
        <= (SELECT a.ceiling FROM allowance AS a)
    RETURNING TRUE
)
SELECT
    a.ceiling IS NULL OR EXISTS (SELECT 1 FROM counted) AS spent,
    a.ceiling,
    ceil(extract(epoch FROM a.until - now()))::integer AS retry_after
FROM allowance AS a;

-- name: give_back(key_id, measure, amount)!
-- What was counted today and did not happen after all.
UPDATE billing_key_usage
SET used = greatest(0, used - :amount::bigint)
WHERE key_id = :key_id
  AND measure = :measure
  AND since = date_trunc('day', now(), 'UTC');

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
    k.last_used_at,
    k.networks::text[] AS networks,
    k.calls_per_minute,
    k.refunds_per_day,
    k.replaced_by
FROM billing_api_keys AS k
ORDER BY k.created_at, k.id;

-- name: find_key(named)^
-- By id, or by name while the key is in force.
SELECT
    k.id,
    k.name,
    k.scopes,
    k.networks,
    k.calls_per_minute,
    k.refunds_per_day,
    k.expires_at - k.created_at AS lifetime,
    k.revoked_at IS NOT NULL AS revoked,
    coalesce(k.expires_at <= now(), FALSE) AS expired,
    k.replaced_by
FROM billing_api_keys AS k
WHERE k.id = :named
   OR (k.name = :named AND k.revoked_at IS NULL AND k.replaced_by IS NULL);

-- name: may_give()$
-- Whether the role of this connection may make keys (docs/deployment.md).
SELECT has_table_privilege('billing_api_keys', 'INSERT');

-- name: get_limits(id)^
SELECT
    k.networks,
    k.calls_per_minute,
    k.refunds_per_day
FROM billing_api_keys AS k
WHERE k.id = :id;

-- name: revoke_key(id)$
UPDATE billing_api_keys
SET revoked_at = now()
WHERE id = :id
  AND revoked_at IS NULL
RETURNING TRUE;

-- name: replace_key(id, replaced_by, overlap)$
-- The key runs out; without an overlap it is over at once.
UPDATE billing_api_keys
SET replaced_by = :replaced_by,
    expires_at = least(expires_at, now() + :overlap::interval),
    revoked_at = CASE WHEN :overlap::interval = interval '0' THEN now() END
WHERE id = :id
  AND revoked_at IS NULL
  AND replaced_by IS NULL
RETURNING expires_at;
