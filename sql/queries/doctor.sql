-- What `mpanel-billing doctor` asks of the database.

-- name: get_server()^
SELECT
    current_setting('server_version') AS version,
    current_setting('server_version_num')::integer / 10000 AS major,
    current_setting('server_encoding') AS encoding,
    pg_is_in_recovery() AS standby,
    current_setting('max_connections')::integer
    - current_setting('superuser_reserved_connections')::integer AS connections;

-- name: get_role()^
-- Whether the role may change the schema: as superuser, or as a member of the tables' owner.
SELECT
    r.rolname::text AS name,
    r.rolsuper AS superuser,
    EXISTS (
        SELECT 1
        FROM pg_class AS c
        WHERE c.oid = to_regclass('stripe_events')
          AND pg_has_role(c.relowner, 'USAGE')
    ) AS owner
FROM pg_roles AS r
WHERE r.rolname = current_user;

-- name: get_clock()$
SELECT clock_timestamp();

-- name: list_schema_versions()
SELECT m.version
FROM billing_schema_migrations AS m
ORDER BY m.version;

-- name: get_backlog()^
-- Age in seconds of the oldest item of each kind that is due and not taken; null: none.
SELECT
    (
        SELECT extract(epoch FROM now() - min(j.execute_after))::bigint
        FROM pgqueuer AS j
        WHERE j.status = 'queued'
          AND j.execute_after <= now()
    ) AS job,
    (
        SELECT extract(epoch FROM now() - min(e.next_attempt_at))::bigint
        FROM stripe_events AS e
        WHERE e.status IN ('received', 'failed')
          AND e.next_attempt_at <= now()
    ) AS event,
    (
        SELECT extract(epoch FROM now() - min(r.next_attempt_at))::bigint
        FROM stripe_refetches AS r
        WHERE r.next_attempt_at <= now()
    ) AS refetch,
    (
        SELECT extract(epoch FROM now() - min(w.wake_at))::bigint
        FROM provisioning_work AS w
        WHERE w.wake_at <= now()
    ) AS provisioning;

-- name: list_broad_keys()
-- Valid keys that may do everything to customers' money. Keys are few: no index.
SELECT k.name
FROM billing_api_keys AS k
WHERE k.revoked_at IS NULL
  AND coalesce(k.expires_at > now(), TRUE)
  AND 'billing' = ANY(k.scopes)
ORDER BY k.name;

-- name: list_ending_keys(within_days)
-- Valid keys in use that expire soon: their holders need new ones before.
SELECT
    k.name,
    ceil(extract(epoch FROM k.expires_at - now()) / 86400)::integer AS days
FROM billing_api_keys AS k
WHERE k.revoked_at IS NULL
  AND k.expires_at > now()
  AND k.expires_at < now() + make_interval(days => :within_days::integer)
  AND k.last_used_at > now() - make_interval(days => :within_days::integer)
ORDER BY k.expires_at;

-- name: list_secrets()
-- Those in the database, and since when each is as it is: a receiver's since it was last rolled.
SELECT
    'key' AS kind,
    k.name,
    k.created_at AS since
FROM billing_api_keys AS k
WHERE k.revoked_at IS NULL
  AND coalesce(k.expires_at > now(), TRUE)
UNION ALL
SELECT
    'receiver',
    r.name,
    greatest(
        r.created_at,
        (
            SELECT max(e.at)
            FROM billing_audit_entries AS e
            WHERE e.target_id = r.name
              AND e.action = 'receiver.roll_secret'
        )
    )
FROM billing_receivers AS r;

-- name: get_inbox()^
-- Failed events that wait for a person have no next attempt.
SELECT
    count(*) AS failed,
    count(*) FILTER (WHERE e.next_attempt_at IS NULL) AS given_up,
    extract(epoch FROM now() - min(e.received_at))::bigint AS oldest_seconds
FROM stripe_events AS e
WHERE e.status IN ('received', 'failed');

-- name: get_worker()^
-- The sweep runs every minute in one of the workers; the first of them creates its row.
SELECT
    (
        SELECT extract(epoch FROM now() - max(coalesce(s.last_run, s.created)))::bigint
        FROM pgqueuer_schedules AS s
        WHERE s.entrypoint = 'sweep'
    ) AS seen_seconds_ago,
    (
        SELECT count(*)
        FROM pg_stat_activity AS a
        WHERE a.datname = current_database()
          AND a.application_name = 'mpanel-billing-queue'
    ) AS connections;

-- name: get_latest_event()^
SELECT
    e.type,
    extract(epoch FROM now() - e.received_at)::bigint AS seconds_ago
FROM stripe_events AS e
ORDER BY e.received_at DESC
LIMIT 1;

-- name: list_known_events(ids)
SELECT e.id
FROM stripe_events AS e
WHERE e.id = ANY(:ids::text[]);

-- name: count_trouble()
SELECT
    t.trouble,
    count(*) AS number,
    extract(epoch FROM now() - min(t.since))::bigint AS oldest_seconds
FROM billing_trouble AS t
GROUP BY t.trouble
ORDER BY min(t.since);

-- name: list_sold_types()
-- The types of accounts that products on sale promise.
SELECT DISTINCT given.product_type
FROM products AS p
CROSS JOIN LATERAL unnest(p.product_types) AS given (product_type)
WHERE p.code IS NOT NULL
  AND p.status = 'active'
ORDER BY given.product_type;

-- name: list_unsold_announced()
-- Prices that were announced and are off sale by now: Stripe takes them for no item.
SELECT
    coming.stripe_price_id,
    count(*) AS subscriptions
FROM billing_price_changes AS c
JOIN prices AS coming
    ON coming.id = c.new_price_id
WHERE c.made_at IS NULL
  AND c.withdrawn_at IS NULL
  AND NOT coming.active
GROUP BY coming.stripe_price_id
ORDER BY coming.stripe_price_id;

-- name: count_overdue_tax_notices(livemode)$
-- Notices that have been over for an hour, of what is not taxed.
SELECT count(*)
FROM billing_tax_notices AS n
JOIN subscriptions AS s
    ON s.id = n.subscription_id
WHERE n.enabled_at IS NULL
  AND n.not_before < now() - interval '1 hour'
  AND s.livemode = :livemode::boolean
  AND s.stripe_status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused');
