-- Servers of product types that have several: what the setting says of them, and which accounts go where.

-- Tables: billing_servers, billing_server_places, billing_server_changes
--
-- CREATE TABLE billing_servers (
--     product_type text NOT NULL,
--     name text NOT NULL,
--     driver text NOT NULL,
--     weight integer NOT NULL,
--     capacity integer,
--     tags text[] DEFAULT '{}'::text[] NOT NULL,
--     failures integer DEFAULT 0 NOT NULL,
--     failing_since timestamp with time zone,
--     failed_at timestamp with time zone,
--     last_error text,
--     drained_by text,
--     drained_at timestamp with time zone,
--     left_at timestamp with time zone,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_servers_capacity_check CHECK ((capacity >= 0)),
--     CONSTRAINT billing_servers_check CHECK (((failures = 0) = (failing_since IS NULL))),
--     CONSTRAINT billing_servers_check1 CHECK (((failures = 0) = (failed_at IS NULL))),
--     CONSTRAINT billing_servers_check2 CHECK (((drained_by IS NULL) = (drained_at IS NULL))),
--     CONSTRAINT billing_servers_failures_check CHECK ((failures >= 0)),
--     CONSTRAINT billing_servers_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text)),
--     CONSTRAINT billing_servers_weight_check CHECK (((weight >= 1) AND (weight <= 1000)))
-- );
-- ALTER TABLE ONLY billing_servers ADD CONSTRAINT billing_servers_pkey PRIMARY KEY (product_type, name);
--
-- CREATE TABLE billing_server_places (
--     product_type text NOT NULL,
--     server text NOT NULL,
--     placed integer DEFAULT 0 NOT NULL,
--     coming integer DEFAULT 0 NOT NULL,
--     leaving integer DEFAULT 0 NOT NULL,
--     going integer DEFAULT 0 NOT NULL
-- );
-- ALTER TABLE ONLY billing_server_places ADD CONSTRAINT billing_server_places_pkey PRIMARY KEY (product_type, server);
--
-- CREATE TABLE billing_server_changes (
--     product_type text NOT NULL,
--     server text NOT NULL,
--     placed integer DEFAULT 0 NOT NULL,
--     coming integer DEFAULT 0 NOT NULL,
--     leaving integer DEFAULT 0 NOT NULL,
--     going integer DEFAULT 0 NOT NULL
-- );
-- CREATE INDEX billing_server_changes_idx ON billing_server_changes USING btree (product_type, server);

-- name: list_recorded()
-- As the setting had them when a worker last started.
SELECT
    s.product_type,
    s.name,
    s.driver,
    s.weight,
    s.capacity,
    s.tags
FROM billing_servers AS s
WHERE s.left_at IS NULL;

-- name: record_servers(servers, product_types, names)!
-- As the setting has them now. One that it does not name any more is kept while it has accounts.
WITH named AS (
    INSERT INTO billing_servers AS s (product_type, name, driver, weight, capacity, tags)
    SELECT
        given.product_type,
        given.name,
        given.driver,
        given.weight,
        given.capacity,
        given.tags
    FROM jsonb_to_recordset(:servers::jsonb) AS given (
        product_type text,
        name text,
        driver text,
        weight integer,
        capacity integer,
        tags text[]
    )
    ON CONFLICT (product_type, name) DO UPDATE
    SET driver = excluded.driver,
        weight = excluded.weight,
        capacity = excluded.capacity,
        tags = excluded.tags,
        left_at = NULL,
        updated_at = now()
    WHERE (s.driver, s.weight, s.capacity, s.tags, s.left_at)
        IS DISTINCT FROM (excluded.driver, excluded.weight, excluded.capacity, excluded.tags, NULL)
),
forgotten AS (
    DELETE FROM billing_servers AS s
    USING billing_server_load AS load
    WHERE load.product_type = s.product_type
      AND load.server = s.name
      AND load.accounts + load.leaving = 0
      AND NOT EXISTS (
          SELECT 1
          FROM unnest(:product_types::text[], :names::text[]) AS kept (product_type, name)
          WHERE kept.product_type = s.product_type
            AND kept.name = s.name
      )
    RETURNING s.product_type, s.name
)
UPDATE billing_servers AS s
SET left_at = now(),
    updated_at = now()
WHERE s.left_at IS NULL
  AND NOT EXISTS (
      SELECT 1
      FROM unnest(:product_types::text[], :names::text[]) AS kept (product_type, name)
      WHERE kept.product_type = s.product_type
        AND kept.name = s.name
  )
  AND NOT EXISTS (
      SELECT 1
      FROM forgotten
      WHERE forgotten.product_type = s.product_type
        AND forgotten.name = s.name
  );

-- name: has_nameless(product_type, driver)$
SELECT EXISTS (
    SELECT 1
    FROM tenant_services AS v
    WHERE v.product_type = :product_type::text
      AND v.server IS NULL
      AND v.driver = :driver::text
      AND (v.actual IN ('active', 'suspended') OR v.pending_action IS NOT NULL)
);

-- name: name_accounts(product_type, server, driver, after, most)$
-- A page of the accounts that were made before their server had a name; the last subscription of it, null
-- if there are no more.
WITH page AS MATERIALIZED (
    SELECT v.subscription_id
    FROM tenant_services AS v
    WHERE v.subscription_id > :after::uuid
      AND v.product_type = :product_type::text
      AND v.server IS NULL
      AND v.driver = :driver::text
      AND (v.actual IN ('active', 'suspended') OR v.pending_action IS NOT NULL)
    ORDER BY v.subscription_id
    LIMIT :most::integer
    FOR NO KEY UPDATE
),
named AS (
    UPDATE tenant_services AS v
    SET server = :server::text,
        updated_at = now()
    WHERE v.subscription_id = ANY(ARRAY(SELECT page.subscription_id FROM page))
      AND v.product_type = :product_type::text
)
SELECT page.subscription_id
FROM page
ORDER BY page.subscription_id DESC
LIMIT 1;

-- name: lock_servers(product_type)!
-- Who places an account takes it first, in a statement of its own: the next one sees what others have placed.
SELECT pg_advisory_xact_lock(hashtextextended('servers of ' || :product_type::text, 0));

-- name: add_up_places(product_type)!
-- For who has locked the servers: the next one reads a few changes, not all since the beginning.
WITH noted AS (
    DELETE FROM billing_server_changes AS c
    WHERE c.product_type = :product_type::text
    RETURNING c.server, c.placed, c.coming, c.leaving, c.going
)
INSERT INTO billing_server_places AS p (product_type, server, placed, coming, leaving, going)
SELECT
    :product_type::text,
    noted.server,
    sum(noted.placed),
    sum(noted.coming),
    sum(noted.leaving),
    sum(noted.going)
FROM noted
GROUP BY noted.server
ON CONFLICT (product_type, server) DO UPDATE
SET placed = p.placed + excluded.placed,
    coming = p.coming + excluded.coming,
    leaving = p.leaving + excluded.leaving,
    going = p.going + excluded.going;

-- name: place_account(subscription_id, token, product_type, names, tags)$
-- Chooses the server of an account that is about to be made, and records it. Null: none has room, or the
-- lease is lost.
UPDATE tenant_services AS service
SET server = chosen.server,
    driver = chosen.driver,
    updated_at = now()
FROM provisioning_work AS w
CROSS JOIN LATERAL (
    SELECT
        s.name AS server,
        s.driver
    FROM tenant_services AS own
    JOIN billing_servers AS s
        ON s.product_type = own.product_type
        AND s.name = billing_choose_server_v1(own.product_type, :names::text[], :tags::text[], own.server)
    WHERE own.subscription_id = w.subscription_id
      AND own.product_type = :product_type::text
) AS chosen
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid
  AND service.subscription_id = w.subscription_id
  AND service.product_type = :product_type::text
RETURNING to_jsonb(service) AS service;

-- name: note_unplaced(subscription_id, token, product_type, error, retry_seconds, now)$
-- No server has room: the account waits, and takes no place meanwhile. Null: the lease is lost.
UPDATE tenant_services AS service
SET server = NULL,
    attempts = service.attempts + 1,
    last_error = CASE WHEN service.stopped IS DISTINCT FROM 'skipped' THEN :error::text END,
    next_attempt_at = CASE
        WHEN service.stopped IS NULL
            THEN coalesce(:now::timestamptz, now()) + make_interval(secs => :retry_seconds::float8)
    END,
    updated_at = now()
FROM provisioning_work AS w
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid
  AND service.subscription_id = w.subscription_id
  AND service.product_type = :product_type::text
RETURNING to_jsonb(service) AS service;

-- name: list_servers(product_type)
-- Null: of all product types.
SELECT
    load.product_type,
    load.server,
    load.driver,
    load.accounts,
    load.coming,
    load.leaving,
    load.capacity,
    load.weight,
    load.tags,
    load.is_failing,
    load.failing_since,
    load.last_error,
    load.drained_by,
    load.drained_at,
    load.left_at
FROM billing_server_load AS load
WHERE :product_type::text IS NULL
   OR load.product_type = :product_type::text
ORDER BY load.product_type, load.server;

-- name: mark_drained(server, product_type, drained_by)
-- The product types for which the server is emptied now; null product_type: all that it has.
UPDATE billing_servers AS s
SET drained_by = coalesce(s.drained_by, :drained_by::text),
    drained_at = coalesce(s.drained_at, now()),
    updated_at = now()
WHERE s.name = :server::text
  AND (:product_type::text IS NULL OR s.product_type = :product_type::text)
RETURNING s.product_type;

-- name: unmark_drained(server, product_type)
UPDATE billing_servers AS s
SET drained_by = NULL,
    drained_at = NULL,
    updated_at = now()
WHERE s.name = :server::text
  AND (:product_type::text IS NULL OR s.product_type = :product_type::text)
RETURNING s.product_type;

-- name: list_movable(product_type, server, after, most)
-- The next accounts on a server that no move takes away yet, by subscription: also those that may be there. What
-- is still to be made gets another server then, and what is about to go needs none.
SELECT v.subscription_id
FROM tenant_services AS v
WHERE v.product_type = :product_type::text
  AND v.server = :server::text
  AND (v.actual IN ('active', 'suspended') OR v.pending_action IS NOT NULL)
  AND v.desired <> 'terminated'
  AND v.subscription_id > :after::uuid
  AND NOT EXISTS (
      SELECT 1
      FROM billing_moves AS m
      WHERE m.subscription_id = v.subscription_id
        AND m.product_type = v.product_type
        AND m.finished_at IS NULL
  )
ORDER BY v.subscription_id
LIMIT :most::integer;

-- name: note_answer(product_type, server, error)!
-- Of a command: error if its outcome is unknown, null if the server has answered. Usually nothing changes.
UPDATE billing_servers AS s
SET failures = CASE WHEN :error::text IS NULL THEN 0 ELSE s.failures + 1 END,
    failing_since = CASE WHEN :error::text IS NOT NULL THEN coalesce(s.failing_since, now()) END,
    failed_at = CASE WHEN :error::text IS NOT NULL THEN now() END,
    last_error = :error::text,
    updated_at = now()
WHERE s.product_type = :product_type::text
  AND s.name = :server::text
  AND (s.failures > 0 OR :error::text IS NOT NULL);
