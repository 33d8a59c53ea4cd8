-- Proofs that a domain is its buyer's own (docs/domains.md). A name that is to be proven is held against
-- nobody: of several who want to prove one, the first who does has it.

-- Tables: billing_domain_proofs
--
-- CREATE TABLE billing_domain_proofs (
--     domain_id uuid NOT NULL,
--     token text,
--     nameservers text[] DEFAULT '{}'::text[] NOT NULL,
--     elsewhere_at timestamp with time zone,
--     checked_at timestamp with time zone,
--     check_at timestamp with time zone,
--     expires_at timestamp with time zone NOT NULL,
--     last_error text,
--     proven_at timestamp with time zone,
--     proven_by text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_domain_proofs_check CHECK (((token IS NOT NULL) OR (check_at IS NULL))),
--     CONSTRAINT billing_domain_proofs_check1 CHECK (((proven_at IS NULL) OR (token IS NULL))),
--     CONSTRAINT billing_domain_proofs_check2 CHECK (((proven_at IS NULL) = (proven_by IS NULL))),
--     CONSTRAINT billing_domain_proofs_proven_by_check CHECK ((proven_by = ANY (ARRAY['txt'::text, 'nameservers'::text, 'operator'::text]))),
--     CONSTRAINT billing_domain_proofs_token_check CHECK ((token ~ '^[0-9a-f]{32}$'::text))
-- );
-- ALTER TABLE ONLY billing_domain_proofs ADD CONSTRAINT billing_domain_proofs_pkey PRIMARY KEY (domain_id);
-- ALTER TABLE ONLY billing_domain_proofs ADD CONSTRAINT billing_domain_proofs_token_key UNIQUE (token);
-- ALTER TABLE ONLY billing_domain_proofs ADD CONSTRAINT billing_domain_proofs_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES billing_domains(id) ON DELETE CASCADE;
-- CREATE INDEX billing_domain_proofs_due_idx ON billing_domain_proofs USING btree (check_at) WHERE (check_at IS NOT NULL);
-- CREATE INDEX billing_domain_proofs_unproven_idx ON billing_domain_proofs USING btree (domain_id) WHERE ((token IS NOT NULL) AND (check_at IS NULL));

-- name: claim_due(most)
-- Takes proofs that are due; if the process dies, they are due again in five minutes.
WITH due AS MATERIALIZED (
    SELECT p.domain_id
    FROM billing_domain_proofs AS p
    WHERE p.check_at <= now()
    ORDER BY p.check_at
    LIMIT :most
    FOR UPDATE SKIP LOCKED
),
claimed AS (
    UPDATE billing_domain_proofs AS p
    SET check_at = now() + interval '5 minutes',
        checked_at = now()
    FROM due
    WHERE p.domain_id = due.domain_id
    RETURNING p.domain_id
)
SELECT claimed.domain_id
FROM claimed;

-- name: claim_one(domain_id, seconds)$
-- One that is checked on demand; null if it was checked within so many seconds, or is closed.
UPDATE billing_domain_proofs AS p
SET checked_at = now()
WHERE p.domain_id = :domain_id::uuid
  AND p.token IS NOT NULL
  AND (p.checked_at IS NULL OR p.checked_at <= now() - make_interval(secs => :seconds::float8))
RETURNING p.domain_id;

-- name: list_open(domain_ids)
-- Those that are still to be proven, with what their buyers were told.
SELECT
    p.domain_id,
    d.name,
    d.registrable,
    p.token,
    asked.told ->> 'recordName' AS record_name,
    asked.told ->> 'recordValue' AS record_value,
    p.nameservers,
    p.elsewhere_at IS NOT NULL AS was_elsewhere,
    now() - p.created_at AS age,
    EXISTS (
        SELECT 1
        FROM billing_domains AS other
        WHERE other.registrable = d.registrable
          AND other.state = 'verifying'
          AND other.customer_id IS DISTINCT FROM d.customer_id
          AND other.id <> d.id
    ) AS has_rivals
FROM billing_domain_proofs AS p
JOIN billing_domains AS d
    ON d.id = p.domain_id
CROSS JOIN LATERAL (SELECT billing_proof_asked_v1(p.domain_id) AS told) AS asked
WHERE p.domain_id = ANY(:domain_ids::uuid[])
  AND p.token IS NOT NULL;

-- name: note_checked(domain_id, token, missing, is_elsewhere, nameservers, seconds)!
-- nameservers: others that the buyer is given instead; null: as they are. After its time a proof is only
-- checked on demand.
UPDATE billing_domain_proofs AS p
SET checked_at = now(),
    check_at = CASE
        WHEN p.expires_at > now() THEN least(now() + make_interval(secs => :seconds::float8), p.expires_at)
    END,
    last_error = :missing::text,
    elsewhere_at = CASE
        WHEN :nameservers::text[] IS NOT NULL THEN NULL
        WHEN :is_elsewhere::boolean THEN coalesce(p.elsewhere_at, now())
        ELSE p.elsewhere_at
    END,
    nameservers = coalesce(:nameservers::text[], p.nameservers)
WHERE p.domain_id = :domain_id::uuid
  AND p.token = :token;

-- name: list_given(registrable)
-- The nameservers that anybody was given for a name in these registrable domains.
SELECT
    d.registrable,
    p.nameservers
FROM billing_domains AS d
JOIN billing_domain_proofs AS p
    ON p.domain_id = d.id
WHERE d.registrable = ANY(:registrable::text[])
  AND p.nameservers <> '{}';

-- name: get_claim(domain_id, token)^
-- Who would get the name; nothing if the proof is closed.
SELECT
    d.name,
    d.unicode_name,
    d.subscription_id,
    d.customer_id,
    s.tenant_id,
    CASE WHEN o.vouched THEN s.customer_id END AS vouched_customer_id
FROM billing_domain_proofs AS p
JOIN billing_domains AS d
    ON d.id = p.domain_id
JOIN subscriptions AS s
    ON s.id = d.subscription_id
LEFT JOIN orders AS o
    ON o.subscription_id = s.id
WHERE p.domain_id = :domain_id::uuid
  AND p.token = :token
  AND d.state = 'verifying';

-- name: list_rivals(domain_id, name, registrable, customer_id)
-- What others want to prove and cannot have once this one has the name.
SELECT
    other.id,
    other.subscription_id
FROM billing_domains AS other
WHERE other.registrable = :registrable
  AND other.state = 'verifying'
  AND other.id <> :domain_id::uuid
  AND (
      other.name = :name
      OR (
          (other.name LIKE '%.' || :name OR :name LIKE '%.' || other.name)
          AND other.customer_id IS DISTINCT FROM :customer_id::uuid
      )
  );

-- name: prove(domain_id, proven_by)$
WITH held AS (
    UPDATE billing_domains AS d
    SET state = 'active',
        held_at = now(),
        updated_at = now()
    WHERE d.id = :domain_id::uuid
      AND d.state = 'verifying'
    RETURNING d.id, d.subscription_id
),
proven AS (
    UPDATE billing_domain_proofs AS p
    SET token = NULL,
        check_at = NULL,
        checked_at = now(),
        last_error = NULL,
        proven_at = now(),
        proven_by = :proven_by
    FROM held
    WHERE p.domain_id = held.id
    RETURNING p.domain_id
)
SELECT pg_notify('billing_subscription', held.subscription_id::text)
FROM held
JOIN proven
    ON proven.domain_id = held.id;

-- name: refuse(domain_ids, trouble)
-- Names that another customer has proven, or nobody has. trouble: for an operator to settle; null: one
-- has decided it.
WITH refused AS (
    UPDATE billing_domains AS d
    SET state = 'failed',
        updated_at = now()
    WHERE d.id = ANY(:domain_ids::uuid[])
      AND d.state = 'verifying'
    RETURNING d.name, d.subscription_id
),
noted AS (
    UPDATE provisioning_work AS w
    SET trouble = concat_ws(' ', w.trouble, replace(:trouble::text, '{name}', refused.name))
    FROM refused
    WHERE w.subscription_id = refused.subscription_id
      AND :trouble::text IS NOT NULL
)
SELECT pg_notify('billing_subscription', refused.subscription_id::text)
FROM refused;

-- name: list_of_name(name, registrable, customer_id)
-- Who has still to prove a name; customer_id null: all.
SELECT
    d.id,
    d.customer_id,
    d.subscription_id
FROM billing_domains AS d
WHERE d.registrable = :registrable
  AND d.name = :name
  AND d.state = 'verifying'
  AND (:customer_id::uuid IS NULL OR d.customer_id = :customer_id::uuid)
ORDER BY d.created_at;

-- name: get_waiting(domain_id)^
-- A domain whose buyer has still to prove it.
SELECT
    d.name,
    d.unicode_name,
    d.customer_id,
    d.subscription_id
FROM billing_domains AS d
JOIN billing_domain_proofs AS p
    ON p.domain_id = d.id
WHERE d.id = :domain_id::uuid
  AND d.state = 'verifying'
  AND p.token IS NOT NULL;

-- name: get_progress(domain_id, livemode)^
SELECT
    d.id,
    d.name,
    d.unicode_name,
    d.mode,
    d.state,
    d.customer_id,
    d.subscription_id,
    p.proven_at,
    p.proven_by,
    extract(epoch FROM now() - p.checked_at)::float8 AS checked_seconds_ago,
    billing_proof_asked_v1(d.id) AS proof
FROM billing_domains AS d
JOIN subscriptions AS s
    ON s.id = d.subscription_id
JOIN billing_domain_proofs AS p
    ON p.domain_id = d.id
WHERE d.id = :domain_id::uuid
  AND s.livemode = :livemode::boolean;
