-- Pruning by age, in batches of 1,000. The number is part of each query, not a parameter: the
-- planner has to know it to walk an index by age instead of collecting all old rows. A batch takes
-- its rows by ctid, which is stable while they are locked, and skips locked rows.

-- Tables: billing_retention
--
-- CREATE TABLE billing_retention (
--     subject text NOT NULL,
--     pruned_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
--     pruned_rows bigint DEFAULT 0 NOT NULL,
--     pruned_at timestamp with time zone,
--     CONSTRAINT billing_retention_subject_check CHECK ((subject = ANY (ARRAY['event_payloads'::text, 'events'::text, 'provisioning_log'::text, 'idempotency_keys'::text, 'job_log'::text, 'messages'::text, 'unpaid_orders'::text, 'access_data'::text, 'usage'::text, 'meter_events'::text])))
-- );
-- ALTER TABLE ONLY billing_retention ADD CONSTRAINT billing_retention_pkey PRIMARY KEY (subject);

-- name: prune_event_payloads(keep_days)^
-- Only the process that locks the row of billing_retention prunes; others find nothing to do. No
-- index lists the remaining payloads (every event would write it, and the update could not stay on
-- its page), so the progress is stored.
WITH turn AS MATERIALIZED (
    SELECT r.pruned_until
    FROM billing_retention AS r
    WHERE r.subject = 'event_payloads'
    FOR UPDATE SKIP LOCKED
),
pruned AS (
    UPDATE stripe_events
    SET payload = NULL
    WHERE ctid = ANY(ARRAY(
        SELECT e.ctid
        FROM stripe_events AS e
        WHERE e.received_at >= (SELECT turn.pruned_until FROM turn)
          AND e.received_at < now() - make_interval(days => :keep_days::integer)
          AND e.status IN ('applied', 'stale', 'ignored')
          AND e.payload IS NOT NULL
        ORDER BY e.received_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING received_at
),
reached AS (
    SELECT
        count(*) AS rows,
        max(pruned.received_at) AS until
    FROM pruned
),
noted AS (
    UPDATE billing_retention AS r
    SET pruned_until = reached.until
    FROM reached
    WHERE r.subject = 'event_payloads'
      AND reached.rows > 0
)
SELECT
    reached.rows,
    reached.until
FROM reached;

-- name: prune_events(keep_days, since)^
-- Whole rows. An event that is not done stays, however old it is.
WITH pruned AS (
    DELETE FROM stripe_events
    WHERE ctid = ANY(ARRAY(
        SELECT e.ctid
        FROM stripe_events AS e
        WHERE e.received_at >= :since::timestamptz
          AND e.received_at < now() - make_interval(days => :keep_days::integer)
          AND e.status IN ('applied', 'stale', 'ignored')
        ORDER BY e.received_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING received_at
)
SELECT
    count(*) AS rows,
    max(pruned.received_at) AS until
FROM pruned;

-- name: prune_provisioning_log(keep_days, since)^
WITH pruned AS (
    DELETE FROM provisioning_log
    WHERE ctid = ANY(ARRAY(
        SELECT l.ctid
        FROM provisioning_log AS l
        WHERE l.created_at >= :since::timestamptz
          AND l.created_at < now() - make_interval(days => :keep_days::integer)
        ORDER BY l.created_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING created_at
)
SELECT
    count(*) AS rows,
    max(pruned.created_at) AS until
FROM pruned;

-- name: prune_idempotency_keys(keep_days, since)^
WITH pruned AS (
    DELETE FROM idempotency_keys
    WHERE ctid = ANY(ARRAY(
        SELECT k.ctid
        FROM idempotency_keys AS k
        WHERE k.created_at >= :since::timestamptz
          AND k.created_at < now() - make_interval(days => :keep_days::integer)
        ORDER BY k.created_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING created_at
)
SELECT
    count(*) AS rows,
    max(pruned.created_at) AS until
FROM pruned;

-- name: prune_job_log(keep_days, since)^
WITH pruned AS (
    DELETE FROM pgqueuer_log
    WHERE ctid = ANY(ARRAY(
        SELECT l.ctid
        FROM pgqueuer_log AS l
        WHERE l.created >= :since::timestamptz
          AND l.created < now() - make_interval(days => :keep_days::integer)
        ORDER BY l.created
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING created
)
SELECT
    count(*) AS rows,
    max(pruned.created) AS until
FROM pruned;

-- name: prune_messages(keep_days, since)^
-- With their deliveries, those that wait for a disabled receiver too.
WITH pruned AS (
    DELETE FROM billing_messages
    WHERE ctid = ANY(ARRAY(
        SELECT m.ctid
        FROM billing_messages AS m
        WHERE m.created_at >= :since::timestamptz
          AND m.created_at < now() - make_interval(days => :keep_days::integer)
        ORDER BY m.created_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING created_at
)
SELECT
    count(*) AS rows,
    max(pruned.created_at) AS until
FROM pruned;

-- name: prune_usage(keep_days, since)^
-- A record that is older than 35 days is refused: after its row is gone it cannot be counted again.
WITH pruned AS (
    DELETE FROM billing_usage
    WHERE ctid = ANY(ARRAY(
        SELECT u.ctid
        FROM billing_usage AS u
        WHERE u.received_at >= :since::timestamptz
          AND u.received_at < now() - make_interval(days => :keep_days::integer)
        ORDER BY u.received_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING received_at
)
SELECT
    count(*) AS rows,
    max(pruned.received_at) AS until
FROM pruned;

-- name: prune_meter_events(keep_days, since)^
-- What waits, and what nobody has settled, stays.
WITH pruned AS (
    DELETE FROM billing_meter_events
    WHERE ctid = ANY(ARRAY(
        SELECT e.ctid
        FROM billing_meter_events AS e
        WHERE e.created_at >= :since::timestamptz
          AND e.created_at < now() - make_interval(days => :keep_days::integer)
          AND (e.state = 'sent' OR e.settled_at IS NOT NULL)
        ORDER BY e.created_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING created_at
)
SELECT
    count(*) AS rows,
    max(pruned.created_at) AS until
FROM pruned;

-- name: list_unpaid_orders(keep_days)^
-- Each order is looked at once, when it is old enough; billing_retention has how far. Their customer
-- records and Stripe customers are returned too if nothing else needs them. 200 at a time.
WITH turn AS MATERIALIZED (
    SELECT r.pruned_until
    FROM billing_retention AS r
    WHERE r.subject = 'unpaid_orders'
    FOR UPDATE SKIP LOCKED
),
aged AS MATERIALIZED (
    SELECT
        o.subscription_id,
        o.customer_id,
        o.created_at
    FROM orders AS o
    WHERE o.created_at > (SELECT turn.pruned_until FROM turn)
      AND o.created_at < now() - make_interval(days => :keep_days::integer)
    ORDER BY o.created_at
    FETCH FIRST 200 ROWS WITH TIES
),
unpaid AS MATERIALIZED (
    SELECT
        aged.subscription_id,
        aged.customer_id,
        s.stripe_customer_id
    FROM aged
    JOIN subscriptions AS s
        ON s.id = aged.subscription_id
    WHERE s.stripe_subscription_id IS NULL
      AND s.status IN ('provisional', 'expired')
      AND NOT EXISTS (
          SELECT 1
          FROM checkout_sessions AS t
          WHERE t.subscription_id = s.id
            AND t.status IN ('creating', 'open')
            AND coalesce(t.expires_at, t.created_at + interval '1 day') > now()
      )
),
sessions AS MATERIALIZED (
    SELECT
        unpaid.customer_id,
        t.stripe_session_id,
        t.stripe_customer_id
    FROM unpaid
    JOIN checkout_sessions AS t
        ON t.subscription_id = unpaid.subscription_id
),
-- made by an order, without an account in mPanel, and without any other order that counts
needless AS MATERIALIZED (
    SELECT c.id
    FROM customers AS c
    WHERE c.id IN (SELECT unpaid.customer_id FROM unpaid)
      AND c.user_id IS NULL
      AND coalesce(c.metadata, '{}') ? 'firstSubscriptionId'
      AND NOT EXISTS (
          SELECT 1
          FROM subscriptions AS other
          WHERE other.customer_id = c.id
            AND (
                other.stripe_subscription_id IS NOT NULL
                OR other.billing_provider IS NULL
                OR other.status NOT IN ('provisional', 'expired')
                OR other.created_at >= (now() - make_interval(days => :keep_days::integer)) AT TIME ZONE 'UTC'
            )
      )
      AND NOT EXISTS (
          SELECT 1
          FROM invoices AS i
          WHERE i.customer_id = c.id
      )
),
at_stripe AS MATERIALIZED (
    SELECT named.id
    FROM (
        SELECT unpaid.customer_id, unpaid.stripe_customer_id AS id
        FROM unpaid
        UNION
        SELECT sessions.customer_id, sessions.stripe_customer_id
        FROM sessions
    ) AS named
    WHERE named.id IS NOT NULL
      AND NOT EXISTS (
          SELECT 1
          FROM subscriptions AS other
          WHERE other.customer_id = named.customer_id
            AND other.stripe_customer_id = named.id
            AND other.stripe_subscription_id IS NOT NULL
      )
      AND NOT EXISTS (
          SELECT 1
          FROM customers AS c
          WHERE c.stripe_customer_id = named.id
            AND c.id NOT IN (SELECT needless.id FROM needless)
      )
)
SELECT
    (SELECT max(aged.created_at) FROM aged) AS until,
    ARRAY(SELECT unpaid.subscription_id FROM unpaid ORDER BY unpaid.subscription_id) AS subscriptions,
    ARRAY(SELECT needless.id FROM needless ORDER BY needless.id) AS customers,
    ARRAY(SELECT a.id FROM at_stripe AS a ORDER BY a.id) AS stripe_customers,
    ARRAY(
        SELECT sessions.stripe_session_id FROM sessions WHERE sessions.stripe_session_id IS NOT NULL
    ) AS sessions;

-- name: note_unpaid_until(until)!
UPDATE billing_retention
SET pruned_until = :until::timestamptz
WHERE subject = 'unpaid_orders';

-- name: note_pruning(subject, rows)!
UPDATE billing_retention
SET pruned_rows = pruned_rows + :rows::bigint,
    pruned_at = CASE WHEN :rows::bigint = 0 THEN now() ELSE pruned_at END
WHERE subject = :subject;

-- name: prune_access_data(keep_days, since)^
-- What nobody has fetched.
WITH pruned AS (
    UPDATE billing_access_data
    SET sealed = NULL
    WHERE ctid = ANY(ARRAY(
        SELECT kept.ctid
        FROM billing_access_data AS kept
        WHERE kept.created_at >= :since::timestamptz
          AND kept.created_at < now() - make_interval(days => :keep_days::integer)
          AND kept.sealed IS NOT NULL
        ORDER BY kept.created_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING created_at
)
SELECT
    count(*) AS rows,
    max(pruned.created_at) AS until
FROM pruned;

-- name: count_prunable(event_payloads, events, provisioning_log, idempotency_keys, job_log, messages, unpaid_orders, access_data, usage, meter_events)^
-- Rows older than that many days, each kind counted up to 100,001: counting all can take minutes.
SELECT
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM stripe_events AS e
            WHERE e.received_at >= (
                SELECT r.pruned_until
                FROM billing_retention AS r
                WHERE r.subject = 'event_payloads'
            )
              AND e.received_at < now() - make_interval(days => :event_payloads::integer)
              AND e.status IN ('applied', 'stale', 'ignored')
              AND e.payload IS NOT NULL
            LIMIT 100001
        ) AS old
    ) AS event_payloads,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM stripe_events AS e
            WHERE e.received_at < now() - make_interval(days => :events::integer)
              AND e.status IN ('applied', 'stale', 'ignored')
            LIMIT 100001
        ) AS old
    ) AS events,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM provisioning_log AS l
            WHERE l.created_at < now() - make_interval(days => :provisioning_log::integer)
            LIMIT 100001
        ) AS old
    ) AS provisioning_log,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM billing_access_data AS kept
            WHERE kept.created_at < now() - make_interval(days => :access_data::integer)
              AND kept.sealed IS NOT NULL
            LIMIT 100001
        ) AS due
    ) AS access_data,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM idempotency_keys AS k
            WHERE k.created_at < now() - make_interval(days => :idempotency_keys::integer)
            LIMIT 100001
        ) AS old
    ) AS idempotency_keys,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM pgqueuer_log AS l
            WHERE l.created < now() - make_interval(days => :job_log::integer)
            LIMIT 100001
        ) AS old
    ) AS job_log,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM billing_messages AS m
            WHERE m.created_at < now() - make_interval(days => :messages::integer)
            LIMIT 100001
        ) AS old
    ) AS messages,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM orders AS o
            JOIN subscriptions AS s
                ON s.id = o.subscription_id
            WHERE o.created_at > (
                SELECT r.pruned_until
                FROM billing_retention AS r
                WHERE r.subject = 'unpaid_orders'
            )
              AND o.created_at < now() - make_interval(days => :unpaid_orders::integer)
              AND s.stripe_subscription_id IS NULL
              AND s.status IN ('provisional', 'expired')
            LIMIT 100001
        ) AS old
    ) AS unpaid_orders,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM billing_usage AS u
            WHERE u.received_at < now() - make_interval(days => :usage::integer)
            LIMIT 100001
        ) AS old
    ) AS usage,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM billing_meter_events AS e
            WHERE e.created_at < now() - make_interval(days => :meter_events::integer)
              AND (e.state = 'sent' OR e.settled_at IS NOT NULL)
            LIMIT 100001
        ) AS old
    ) AS meter_events;

-- name: list_prunings()
SELECT
    r.subject,
    r.pruned_until,
    r.pruned_rows,
    r.pruned_at
FROM billing_retention AS r
ORDER BY r.subject;
