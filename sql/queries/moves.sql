-- Moves of accounts from one server to another. What a run writes checks its lease, as in provisioning.sql.

-- Tables: billing_moves
--
-- CREATE TABLE billing_moves (
--     id bigint NOT NULL,
--     subscription_id uuid NOT NULL,
--     product_type text NOT NULL,
--     from_server text NOT NULL,
--     to_server text NOT NULL,
--     state text DEFAULT 'creating'::text NOT NULL,
--     external_ref text,
--     former_ref text,
--     generation bigint DEFAULT 0 NOT NULL,
--     request jsonb,
--     stopped boolean DEFAULT false NOT NULL,
--     last_error text,
--     begun_by text NOT NULL,
--     confirmed_by text,
--     cancelled_by text,
--     abandoned_by text,
--     begun_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     finished_at timestamp with time zone,
--     CONSTRAINT billing_moves_check CHECK ((from_server <> to_server)),
--     CONSTRAINT billing_moves_check1 CHECK (((state = ANY (ARRAY['done'::text, 'cancelled'::text])) = (finished_at IS NOT NULL))),
--     CONSTRAINT billing_moves_check2 CHECK (((state <> ALL (ARRAY['copying'::text, 'terminating'::text, 'done'::text])) OR (external_ref IS NOT NULL))),
--     CONSTRAINT billing_moves_check3 CHECK (((state <> ALL (ARRAY['terminating'::text, 'done'::text])) OR ((confirmed_by IS NOT NULL) AND (former_ref IS NOT NULL)))),
--     CONSTRAINT billing_moves_check4 CHECK (((state <> ALL (ARRAY['cancelling'::text, 'cancelled'::text])) OR (former_ref IS NULL))),
--     CONSTRAINT billing_moves_check5 CHECK (((abandoned_by IS NULL) OR (confirmed_by IS NOT NULL))),
--     CONSTRAINT billing_moves_check6 CHECK (((NOT stopped) OR (last_error IS NOT NULL))),
--     CONSTRAINT billing_moves_state_check CHECK ((state = ANY (ARRAY['creating'::text, 'copying'::text, 'terminating'::text, 'cancelling'::text, 'done'::text, 'cancelled'::text])))
-- );
-- ALTER TABLE ONLY billing_moves ADD CONSTRAINT billing_moves_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY billing_moves ADD CONSTRAINT billing_moves_subscription_id_product_type_fkey FOREIGN KEY (subscription_id, product_type) REFERENCES tenant_services(subscription_id, product_type) ON UPDATE CASCADE ON DELETE CASCADE;
-- CREATE UNIQUE INDEX billing_moves_open_key ON billing_moves USING btree (subscription_id, product_type) WHERE (finished_at IS NULL);
-- CREATE INDEX billing_moves_subscription_idx ON billing_moves USING btree (subscription_id, product_type);

-- name: begin_move(subscription_id, product_type, names, begun_by)^
-- Null: the account cannot be moved, is moved already, or no server of `names` has room. Its own server
-- is none of them.
INSERT INTO billing_moves AS m (subscription_id, product_type, from_server, to_server, begun_by)
SELECT
    v.subscription_id,
    v.product_type,
    v.server,
    chosen.server,
    :begun_by::text
FROM tenant_services AS v
CROSS JOIN LATERAL (
    SELECT billing_choose_server_v1(
        v.product_type,
        array_remove(:names::text[], v.server),
        string_to_array(coalesce(v.desired_resources ->> 'server_tags', ''), ' '),
        NULL
    ) AS server
) AS chosen
WHERE v.subscription_id = :subscription_id::uuid
  AND v.product_type = :product_type::text
  AND v.actual IN ('active', 'suspended')
  AND v.desired <> 'terminated'
  AND v.suspended_by_service IS NULL
  AND v.server IS NOT NULL
  AND chosen.server IS NOT NULL
ON CONFLICT (subscription_id, product_type) WHERE finished_at IS NULL DO NOTHING
RETURNING m.from_server, m.to_server;

-- name: get_movable(subscription_id, product_type)^
-- Why an account is not moved, or where it goes already.
SELECT
    v.actual,
    v.desired,
    v.server,
    v.suspended_by_service,
    coalesce(v.desired_resources ->> 'server_tags', '') AS tags,
    m.state,
    m.from_server,
    m.to_server
FROM tenant_services AS v
LEFT JOIN billing_moves AS m
    ON m.subscription_id = v.subscription_id
    AND m.product_type = v.product_type
    AND m.finished_at IS NULL
WHERE v.subscription_id = :subscription_id::uuid
  AND v.product_type = :product_type::text;

-- name: list_moves(server, after, most)
-- Moves that are not over, in pages; null server: from or to any.
SELECT
    m.id,
    m.subscription_id,
    m.product_type,
    m.from_server,
    m.to_server,
    m.state,
    m.stopped,
    m.last_error,
    m.external_ref AS new_ref,
    coalesce(m.former_ref, v.external_ref) AS former_ref,
    m.confirmed_by,
    m.begun_by,
    m.begun_at
FROM billing_moves AS m
JOIN tenant_services AS v
    ON v.subscription_id = m.subscription_id
    AND v.product_type = m.product_type
WHERE m.finished_at IS NULL
  AND (:server::text IS NULL OR :server::text IN (m.from_server, m.to_server))
  AND m.id > :after::bigint
ORDER BY m.id
LIMIT :most::integer;

-- name: list_moves_of(subscription_id)
-- Of one subscription: few.
SELECT
    m.id,
    m.subscription_id,
    m.product_type,
    m.from_server,
    m.to_server,
    m.state,
    m.stopped,
    m.last_error,
    m.external_ref AS new_ref,
    coalesce(m.former_ref, v.external_ref) AS former_ref,
    m.confirmed_by,
    m.begun_by,
    m.begun_at
FROM billing_moves AS m
JOIN tenant_services AS v
    ON v.subscription_id = m.subscription_id
    AND v.product_type = m.product_type
WHERE m.subscription_id = :subscription_id::uuid
  AND m.finished_at IS NULL
ORDER BY m.product_type;

-- name: confirm_move(subscription_id, product_type, confirmed_by, is_server_gone)$
-- Its data was moved. Of a server that is gone for good nothing has to be terminated. Null: no account
-- waits for that.
UPDATE billing_moves AS m
SET confirmed_by = coalesce(m.confirmed_by, :confirmed_by::text),
    abandoned_by = CASE WHEN :is_server_gone::boolean THEN :confirmed_by::text ELSE m.abandoned_by END,
    stopped = FALSE,
    last_error = NULL,
    updated_at = now()
WHERE m.subscription_id = :subscription_id::uuid
  AND m.product_type = :product_type::text
  AND m.cancelled_by IS NULL
  AND (m.state = 'copying' OR (m.state = 'terminating' AND :is_server_gone::boolean))
RETURNING m.to_server;

-- name: confirm_moves_from(server, product_type, confirmed_by, is_server_gone, most)
-- As confirm_move, of a page of the accounts that leave a server.
WITH page AS MATERIALIZED (
    SELECT m.id
    FROM billing_moves AS m
    WHERE m.from_server = :server::text
      AND (:product_type::text IS NULL OR m.product_type = :product_type::text)
      AND m.finished_at IS NULL
      AND m.cancelled_by IS NULL
      AND (
          (m.state = 'copying' AND m.confirmed_by IS NULL)
          OR (:is_server_gone::boolean AND m.state = 'terminating' AND m.abandoned_by IS NULL)
      )
    ORDER BY m.id
    LIMIT :most::integer
    FOR UPDATE
)
UPDATE billing_moves AS m
SET confirmed_by = coalesce(m.confirmed_by, :confirmed_by::text),
    abandoned_by = CASE WHEN :is_server_gone::boolean THEN :confirmed_by::text ELSE m.abandoned_by END,
    stopped = FALSE,
    last_error = NULL,
    updated_at = now()
FROM page
WHERE m.id = page.id
RETURNING m.subscription_id;

-- name: cancel_move(subscription_id, product_type, cancelled_by)$
-- Null: there is none, or the account is at the new server already.
UPDATE billing_moves AS m
SET cancelled_by = coalesce(m.cancelled_by, :cancelled_by::text),
    stopped = FALSE,
    last_error = NULL,
    updated_at = now()
WHERE m.subscription_id = :subscription_id::uuid
  AND m.product_type = :product_type::text
  AND m.state IN ('creating', 'copying', 'cancelling')
RETURNING m.from_server;

-- name: release_moves(subscription_id)!
-- Retries what a server has refused.
UPDATE billing_moves AS m
SET stopped = FALSE,
    last_error = NULL,
    updated_at = now()
WHERE m.subscription_id = :subscription_id::uuid
  AND m.finished_at IS NULL
  AND m.stopped;

-- name: list_open(subscription_id, token)
SELECT to_jsonb(m) AS move
FROM billing_moves AS m
JOIN provisioning_work AS w
    ON w.subscription_id = m.subscription_id
WHERE m.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid
  AND m.finished_at IS NULL
ORDER BY m.id;

-- name: begin_command(id, token, generation, request)$
-- Recorded before a server is called, so that after a crash the call is known to have been possible.
UPDATE billing_moves AS m
SET generation = :generation::bigint,
    request = :request::jsonb,
    updated_at = now()
FROM provisioning_work AS w
WHERE m.id = :id::bigint
  AND w.subscription_id = m.subscription_id
  AND w.lease_token = :token::uuid
RETURNING TRUE;

-- name: store_step(id, token, state, external_ref, request, stopped, error, confirmed_by)$
-- How a move stands. What an operator has said of it meanwhile stays. Null: the lease is lost.
UPDATE billing_moves AS m
SET state = :state::text,
    external_ref = :external_ref::text,
    request = :request::jsonb,
    stopped = :stopped::boolean,
    last_error = :error::text,
    confirmed_by = coalesce(m.confirmed_by, :confirmed_by::text),
    finished_at = CASE WHEN :state::text IN ('done', 'cancelled') THEN now() END,
    updated_at = now()
FROM provisioning_work AS w
WHERE m.id = :id::bigint
  AND m.finished_at IS NULL
  AND w.subscription_id = m.subscription_id
  AND w.lease_token = :token::uuid
RETURNING to_jsonb(m) AS move;

-- name: switch_account(id, token, driver)^
-- From here on the new server has the account: it is as it was made there, and is brought to what it should be by
-- commands, resources included. A domain that the old one has ordered stays ordered. Null: the lease is lost, or
-- the move was called off in the same moment.
WITH held AS (
    SELECT w.subscription_id
    FROM provisioning_work AS w
    JOIN billing_moves AS m
        ON m.subscription_id = w.subscription_id
    WHERE m.id = :id::bigint
      AND w.lease_token = :token::uuid
    FOR NO KEY UPDATE OF w
),
switched AS (
    UPDATE billing_moves AS m
    SET state = 'terminating',
        former_ref = v.external_ref,
        last_error = NULL,
        updated_at = now()
    FROM held
    JOIN tenant_services AS v
        ON v.subscription_id = held.subscription_id
    WHERE m.id = :id::bigint
      AND v.product_type = m.product_type
      AND v.server = m.from_server
      AND m.state = 'copying'
      AND m.confirmed_by IS NOT NULL
      AND m.cancelled_by IS NULL
    RETURNING m.*
)
UPDATE tenant_services AS v
SET server = switched.to_server,
    driver = :driver::text,
    external_ref = switched.external_ref,
    actual = 'active',
    resources = '{}',
    generation = greatest(v.generation, switched.generation),
    pending_action = NULL,
    pending_request = NULL,
    attempts = 0,
    stopped = CASE WHEN v.stopped = 'skipped' THEN 'skipped' END,
    last_error = NULL,
    next_attempt_at = NULL,
    updated_at = now()
FROM switched
WHERE v.subscription_id = switched.subscription_id
  AND v.product_type = switched.product_type
RETURNING to_jsonb(v) AS service, to_jsonb(switched) AS move;

-- name: is_of_another(id, driver, external_ref)$
-- Whether a server names an account of another subscription.
SELECT EXISTS (
    SELECT 1
    FROM billing_moves AS m
    JOIN tenant_services AS other
        ON other.driver = :driver::text
        AND other.product_type = m.product_type
        AND other.external_ref = :external_ref::text
        AND other.server = m.to_server
        AND other.subscription_id <> m.subscription_id
    WHERE m.id = :id::bigint
);

-- name: log_call(subscription_id, product_type, driver, server, action, idempotency_key, request, response, outcome, error, duration_ms)!
INSERT INTO provisioning_log (
    subscription_id,
    product_type,
    driver,
    server,
    action,
    idempotency_key,
    request,
    response,
    outcome,
    error,
    duration_ms
)
VALUES (
    :subscription_id::uuid,
    :product_type::text,
    :driver::text,
    :server::text,
    :action::text,
    :idempotency_key::text,
    :request::jsonb,
    :response::jsonb,
    :outcome::text,
    :error::text,
    :duration_ms::integer
);
