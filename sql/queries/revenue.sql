-- The monthly recurring revenue as a sum that is kept.

-- Tables: billing_revenue, billing_revenue_sums, billing_revenue_changes
--
-- CREATE TABLE billing_revenue (
--     subscription_id uuid NOT NULL,
--     currency text NOT NULL,
--     livemode boolean NOT NULL,
--     amount numeric NOT NULL,
--     changes_at timestamp with time zone
-- );
-- ALTER TABLE ONLY billing_revenue ADD CONSTRAINT billing_revenue_pkey PRIMARY KEY (subscription_id, currency);
-- CREATE INDEX billing_revenue_changing_idx ON billing_revenue USING btree (changes_at) WHERE (changes_at IS NOT NULL);
--
-- CREATE TABLE billing_revenue_sums (
--     livemode boolean NOT NULL,
--     currency text NOT NULL,
--     subscriptions bigint NOT NULL,
--     amount numeric NOT NULL
-- )
-- WITH (fillfactor='50');
-- ALTER TABLE ONLY billing_revenue_sums ADD CONSTRAINT billing_revenue_sums_pkey PRIMARY KEY (livemode, currency);
--
-- CREATE TABLE billing_revenue_changes (
--     subscription_id uuid NOT NULL,
--     changed_in xid8 DEFAULT pg_current_xact_id() NOT NULL
-- )
-- WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
-- ALTER TABLE ONLY billing_revenue_changes ADD CONSTRAINT billing_revenue_changes_pkey PRIMARY KEY (subscription_id, changed_in);

-- name: try_lock_sums()$
-- Held until the end of the transaction. Two that fold the same subscription would each add what it adds.
SELECT pg_try_advisory_xact_lock(hashtext('mpanel_billing revenue'));

-- name: fold_changes(most)^
-- Brings what is stored of changed subscriptions up to date, and the sums with it; returns how many, and
-- whether there may be more: a subscription may be noted several times. All of it reads one snapshot, which sees the change of each row that it deletes.
WITH noted AS (
    DELETE FROM billing_revenue_changes
    WHERE ctid = ANY(ARRAY(
        SELECT c.ctid
        FROM billing_revenue_changes AS c
        LIMIT :most::integer
    ))
    RETURNING subscription_id
),
due AS (
    SELECT r.subscription_id
    FROM billing_revenue AS r
    WHERE r.changes_at <= now()
    ORDER BY r.changes_at
    LIMIT :most::integer
),
changed AS MATERIALIZED (
    SELECT noted.subscription_id FROM noted
    UNION
    SELECT due.subscription_id FROM due
),
before AS MATERIALIZED (
    SELECT
        r.subscription_id,
        r.currency,
        r.livemode,
        r.amount
    FROM changed
    CROSS JOIN LATERAL (
        SELECT
            stored.subscription_id,
            stored.currency,
            stored.livemode,
            stored.amount
        FROM billing_revenue AS stored
        WHERE stored.subscription_id = changed.subscription_id
        OFFSET 0
    ) AS r
),
adding AS MATERIALIZED (
    SELECT
        changed.subscription_id,
        added.currency,
        added.livemode,
        added.amount,
        added.changes_at
    FROM changed
    CROSS JOIN LATERAL billing_subscription_revenue_v1(changed.subscription_id) AS added
),
gone AS (
    DELETE FROM billing_revenue AS r
    USING before
    WHERE r.subscription_id = before.subscription_id
      AND r.currency = before.currency
      AND NOT EXISTS (
          SELECT 1
          FROM adding
          WHERE adding.subscription_id = before.subscription_id
            AND adding.currency = before.currency
      )
),
stored AS (
    INSERT INTO billing_revenue AS r (subscription_id, currency, livemode, amount, changes_at)
    SELECT
        adding.subscription_id,
        adding.currency,
        adding.livemode,
        adding.amount,
        adding.changes_at
    FROM adding
    ON CONFLICT (subscription_id, currency) DO UPDATE
    SET livemode = excluded.livemode,
        amount = excluded.amount,
        changes_at = excluded.changes_at
),
summed AS (
    INSERT INTO billing_revenue_sums AS kept (livemode, currency, subscriptions, amount)
    SELECT
        differing.livemode,
        differing.currency,
        sum(differing.subscriptions),
        sum(differing.amount)
    FROM (
        SELECT
            adding.livemode,
            adding.currency,
            1 AS subscriptions,
            adding.amount
        FROM adding
        UNION ALL
        SELECT
            before.livemode,
            before.currency,
            -1,
            -before.amount
        FROM before
    ) AS differing
    GROUP BY differing.livemode, differing.currency
    ON CONFLICT (livemode, currency) DO UPDATE
    SET subscriptions = kept.subscriptions + excluded.subscriptions,
        amount = kept.amount + excluded.amount
)
SELECT
    (SELECT count(*) FROM changed) AS folded,
    (SELECT count(*) FROM noted) = :most::integer
        OR (SELECT count(*) FROM due) = :most::integer AS has_more;
