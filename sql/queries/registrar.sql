-- Domains that a registrar manages. A run of the worker has the row's lease: only it changes what is known
-- of the registrar. Whoever else changes something has the run after it look again (version).

-- Tables: billing_registrar_calls
--
-- CREATE TABLE billing_registrar_calls (
--     id bigint NOT NULL,
--     domain_id uuid NOT NULL,
--     driver text NOT NULL,
--     action text NOT NULL,
--     idempotency_key text NOT NULL,
--     request jsonb NOT NULL,
--     response jsonb,
--     outcome text NOT NULL,
--     error text,
--     duration_ms integer NOT NULL,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_registrar_calls_duration_ms_check CHECK ((duration_ms >= 0)),
--     CONSTRAINT billing_registrar_calls_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'already_done'::text, 'retryable'::text, 'permanent'::text])))
-- );
-- ALTER TABLE ONLY billing_registrar_calls ADD CONSTRAINT billing_registrar_calls_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY billing_registrar_calls ADD CONSTRAINT billing_registrar_calls_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES billing_domains(id) ON DELETE CASCADE;
-- CREATE INDEX billing_registrar_calls_domain_idx ON billing_registrar_calls USING btree (domain_id, id);

-- name: take_domain(id, token, lease_seconds, now)^
-- Only if there is something to do.
UPDATE billing_domains AS own
SET lease_token = :token::uuid,
    leased_until = coalesce(:now::timestamptz, now()) + make_interval(secs => :lease_seconds::float8)
FROM (SELECT set_config('synchronous_commit', 'off', TRUE)) AS relaxed
WHERE own.id = :id::uuid
  AND own.driver IS NOT NULL
  AND own.state NOT IN ('released', 'failed')
  AND own.next_attempt_at <= coalesce(:now::timestamptz, now())
  AND (own.leased_until IS NULL OR own.leased_until < coalesce(:now::timestamptz, now()))
RETURNING to_jsonb(own) AS domain, coalesce(:now::timestamptz, now()) AS now;

-- name: get_registrant(id)^
SELECT
    c.name,
    c.company_name,
    c.email,
    c.phone,
    c.address_line1,
    c.address_line2,
    c.city,
    c.state,
    c.postal_code,
    c.country
FROM billing_domains AS own
JOIN customers AS c
    ON c.id = own.customer_id
WHERE own.id = :id::uuid;

-- name: begin_command(id, token, version, state, action, request, generation, name_servers, lease_seconds, now)$
-- Recorded before the registrar is called, so that after a crash the call is known to have been possible.
-- Nothing, if the lease is lost or something has changed meanwhile.
UPDATE billing_domains AS own
SET state = :state::text,
    pending_action = :action::text,
    pending_request = :request::jsonb,
    generation = :generation::bigint,
    name_servers = :name_servers::text[],
    leased_until = coalesce(:now::timestamptz, now()) + make_interval(secs => :lease_seconds::float8),
    updated_at = now()
WHERE own.id = :id::uuid
  AND own.lease_token = :token::uuid
  AND own.version = :version::bigint
RETURNING TRUE;

-- name: log_call(id, driver, action, idempotency_key, request, response, outcome, error, duration_ms)!
INSERT INTO billing_registrar_calls (
    domain_id,
    driver,
    action,
    idempotency_key,
    request,
    response,
    outcome,
    error,
    duration_ms
)
VALUES (
    :id::uuid,
    :driver::text,
    :action::text,
    :idempotency_key::text,
    :request::jsonb,
    :response::jsonb,
    :outcome::text,
    :error::text,
    :duration_ms::integer
);

-- name: store_domain(id, token, state_before, domain, inspected_at)$
-- What a run has learnt. A state that somebody else has changed meanwhile stays.
UPDATE billing_domains AS own
SET state = CASE WHEN own.state = :state_before::text THEN learnt.state ELSE own.state END,
    external_ref = learnt.external_ref,
    registered_at = learnt.registered_at,
    expires_at = learnt.expires_at,
    generation = greatest(own.generation, learnt.generation),
    pending_action = learnt.pending,
    pending_request = learnt.pending_request,
    is_confirmed = learnt.is_confirmed,
    auth_code = CASE WHEN learnt.has_auth_code OR own.version <> learnt.version THEN own.auth_code END,
    needs = learnt.needs,
    attempts = learnt.attempts,
    stopped_at = CASE WHEN learnt.stopped THEN coalesce(own.stopped_at, now()) END,
    last_error = learnt.last_error,
    inspected_at = coalesce(:inspected_at::timestamptz, own.inspected_at),
    updated_at = now()
FROM jsonb_to_record(:domain::jsonb) AS learnt (
    state text,
    version bigint,
    external_ref text,
    registered_at timestamptz,
    expires_at timestamptz,
    generation bigint,
    pending text,
    pending_request jsonb,
    is_confirmed boolean,
    has_auth_code boolean,
    needs text[],
    attempts integer,
    stopped boolean,
    last_error text
)
WHERE own.id = :id::uuid
  AND own.lease_token = :token::uuid
RETURNING
    to_jsonb(own) AS domain,
    CASE
        WHEN own.state <> :state_before::text AND own.subscription_id IS NOT NULL
            THEN pg_notify('billing_subscription', own.subscription_id::text)
    END;

-- name: finish_domain(id, token, version, next_seconds, now)!
-- Ends a run and says when to look again; null: only when something changes. At once if something has
-- changed meanwhile.
UPDATE billing_domains AS own
SET lease_token = NULL,
    leased_until = NULL,
    next_attempt_at = CASE
        WHEN own.state IN ('released', 'failed') THEN NULL
        WHEN own.version <> :version::bigint THEN coalesce(:now::timestamptz, now())
        ELSE coalesce(:now::timestamptz, now()) + make_interval(secs => :next_seconds::float8)
    END
FROM (SELECT set_config('synchronous_commit', 'off', TRUE)) AS relaxed
WHERE own.id = :id::uuid
  AND own.lease_token = :token::uuid;

-- name: list_due(most, now)
-- Those whose run is due, and not under way.
SELECT
    own.id,
    extract(epoch FROM own.next_attempt_at)::bigint AS due
FROM billing_domains AS own
WHERE own.next_attempt_at <= coalesce(:now::timestamptz, now())
  AND (own.leased_until IS NULL OR own.leased_until < coalesce(:now::timestamptz, now()))
ORDER BY own.next_attempt_at
LIMIT :most;

-- name: list_due_of(subscription_id, now)
SELECT
    own.id,
    extract(epoch FROM own.next_attempt_at)::bigint AS due
FROM billing_domains AS own
WHERE own.subscription_id = :subscription_id::uuid
  AND own.next_attempt_at <= coalesce(:now::timestamptz, now());

-- name: order_renewal(id, paid_until)$
-- A further year is paid for: the worker renews the name, and inspection moves its expiry. Nothing for
-- a domain that cannot be renewed.
UPDATE billing_domains AS own
SET state = 'renewing',
    paid_until = :paid_until::timestamptz,
    version = own.version + 1,
    attempts = 0,
    stopped_at = NULL,
    next_attempt_at = now(),
    updated_at = now()
WHERE own.id = :id::uuid
  AND own.driver IS NOT NULL
  AND own.state IN ('active', 'renewing', 'expired', 'redemption')
  AND (own.paid_until < :paid_until::timestamptz) IS NOT FALSE
RETURNING extract(epoch FROM own.next_attempt_at)::bigint;

-- name: look_again(name, registrable, id)$
-- The worker looks at the live row of a name now, whatever it was refused; null id: whoever has it.
UPDATE billing_domains AS own
SET version = own.version + 1,
    attempts = 0,
    stopped_at = NULL,
    needs = '{}',
    next_attempt_at = now(),
    updated_at = now()
WHERE own.registrable = :registrable::text
  AND own.name = :name::text
  AND own.driver IS NOT NULL
  AND own.held_at IS NOT NULL
  AND own.state NOT IN ('released', 'failed')
  AND (:id::uuid IS NULL OR own.id = :id::uuid)
RETURNING own.id;

-- name: give_up(name, registrable, reason)$
-- A name that is not ordered at the registry, for certain: its price goes back.
UPDATE billing_domains AS own
SET state = 'failed',
    last_error = :reason::text,
    auth_code = NULL,
    needs = '{}',
    version = own.version + 1,
    next_attempt_at = NULL,
    updated_at = now()
WHERE own.registrable = :registrable::text
  AND own.name = :name::text
  AND own.driver IS NOT NULL
  AND own.state IN ('paid', 'registering', 'transferring')
  AND own.pending_action IS NULL
  AND NOT own.is_confirmed
  AND (own.leased_until IS NULL OR own.leased_until < now())
RETURNING own.id;

-- name: accept_loss(name, registrable)$
-- Its customer has it at another registrar: it is the buyer's own from now on.
UPDATE billing_domains AS own
SET state = 'active',
    mode = 'existing',
    driver = NULL,
    registered_at = NULL,
    expires_at = NULL,
    auto_renew = FALSE,
    last_error = NULL,
    version = own.version + 1,
    next_attempt_at = NULL,
    updated_at = now()
WHERE own.registrable = :registrable::text
  AND own.name = :name::text
  AND own.state = 'transferred_out'
  AND own.pending_action IS NULL
  AND (own.leased_until IS NULL OR own.leased_until < now())
RETURNING own.id;
