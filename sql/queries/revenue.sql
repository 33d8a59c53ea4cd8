-- The monthly recurring revenue as a sum that is kept.

-- Tables: billing_revenue, billing_revenue_sums, billing_revenue_changes
--
-- CREATE TABLE billing_revenue (
--     subscription_id uuid NOT NULL,
--     currency text NOT NULL,
--     kind text NOT NULL,
--     stripe_id text NOT NULL,
--     livemode boolean NOT NULL,
--     customer_id uuid NOT NULL,
--     amount numeric NOT NULL,
--     taken_off numeric NOT NULL,
--     ends_at timestamp with time zone,
--     changes_at timestamp with time zone,
--     CONSTRAINT billing_revenue_kind_check CHECK ((kind = ANY ('{all,product,coupon}'::text[])))
-- );
-- ALTER TABLE ONLY billing_revenue ADD CONSTRAINT billing_revenue_pkey PRIMARY KEY (subscription_id, currency, kind, stripe_id);
-- CREATE INDEX billing_revenue_changing_idx ON billing_revenue USING btree (changes_at) WHERE (changes_at IS NOT NULL);
-- CREATE INDEX billing_revenue_coupon_idx ON billing_revenue USING btree (stripe_id, ends_at) WHERE (kind = 'coupon'::text);
-- CREATE INDEX billing_revenue_customer_idx ON billing_revenue USING btree (customer_id, kind, stripe_id);
--
-- CREATE TABLE billing_revenue_sums (
--     livemode boolean NOT NULL,
--     currency text NOT NULL,
--     kind text NOT NULL,
--     stripe_id text NOT NULL,
--     subscriptions bigint NOT NULL,
--     customers bigint NOT NULL,
--     amount numeric NOT NULL,
--     taken_off numeric NOT NULL
-- )
-- WITH (fillfactor='50');
-- ALTER TABLE ONLY billing_revenue_sums ADD CONSTRAINT billing_revenue_sums_pkey PRIMARY KEY (livemode, currency, kind, stripe_id);
--
-- CREATE TABLE billing_revenue_changes (
--     subscription_id uuid NOT NULL,
--     changed_in xid8 DEFAULT pg_current_xact_id() NOT NULL
-- )
-- WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
-- ALTER TABLE ONLY billing_revenue_changes ADD CONSTRAINT billing_revenue_changes_pkey PRIMARY KEY (changed_in, subscription_id);

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
    SELECT r.*
    FROM changed
    CROSS JOIN LATERAL (
        SELECT stored.*
        FROM billing_revenue AS stored
        WHERE stored.subscription_id = changed.subscription_id
        OFFSET 0
    ) AS r
),
adding AS MATERIALIZED (
    SELECT
        changed.subscription_id,
        added.*
    FROM changed
    CROSS JOIN LATERAL billing_subscription_revenue_v2(changed.subscription_id) AS added
),
gone AS (
    DELETE FROM billing_revenue AS r
    USING before
    WHERE r.subscription_id = before.subscription_id
      AND r.currency = before.currency
      AND r.kind = before.kind
      AND r.stripe_id = before.stripe_id
      AND NOT EXISTS (
          SELECT 1
          FROM adding
          WHERE adding.subscription_id = before.subscription_id
            AND adding.currency = before.currency
            AND adding.kind = before.kind
            AND adding.stripe_id = before.stripe_id
      )
),
stored AS (
    INSERT INTO billing_revenue AS r (
        subscription_id,
        currency,
        kind,
        stripe_id,
        livemode,
        customer_id,
        amount,
        taken_off,
        ends_at,
        changes_at
    )
    SELECT
        adding.subscription_id,
        adding.currency,
        adding.kind,
        adding.stripe_id,
        adding.livemode,
        adding.customer_id,
        adding.amount,
        adding.taken_off,
        adding.ends_at,
        adding.changes_at
    FROM adding
    ON CONFLICT (subscription_id, currency, kind, stripe_id) DO UPDATE
    SET livemode = excluded.livemode,
        customer_id = excluded.customer_id,
        amount = excluded.amount,
        taken_off = excluded.taken_off,
        ends_at = excluded.ends_at,
        changes_at = excluded.changes_at
),
differing AS MATERIALIZED (
    SELECT
        1 AS times,
        adding.livemode,
        adding.currency,
        adding.kind,
        adding.stripe_id,
        adding.customer_id,
        adding.amount,
        adding.taken_off
    FROM adding
    UNION ALL
    SELECT
        -1,
        before.livemode,
        before.currency,
        before.kind,
        before.stripe_id,
        before.customer_id,
        before.amount,
        before.taken_off
    FROM before
),
customers AS (
    -- who has only come, or only gone, and has no other subscription of the kind: as in billing_revenue_now
    SELECT
        one.livemode,
        one.currency,
        one.kind,
        one.stripe_id,
        one.times
    FROM (
        SELECT
            d.livemode,
            d.currency,
            d.kind,
            d.stripe_id,
            d.customer_id,
            max(d.times) AS times
        FROM differing AS d
        GROUP BY d.livemode, d.currency, d.kind, d.stripe_id, d.customer_id
        HAVING max(d.times) = min(d.times)
    ) AS one
    LEFT JOIN LATERAL (
        SELECT TRUE AS is_there
        FROM billing_revenue AS r
        WHERE r.customer_id = one.customer_id
          AND r.kind = one.kind
          AND r.stripe_id = one.stripe_id
          AND r.livemode = one.livemode
          AND r.currency = one.currency
          AND r.subscription_id NOT IN (SELECT changed.subscription_id FROM changed)
        LIMIT 1
    ) AS other ON TRUE
    WHERE other.is_there IS NULL
),
summed AS (
    INSERT INTO billing_revenue_sums AS kept (
        livemode,
        currency,
        kind,
        stripe_id,
        subscriptions,
        customers,
        amount,
        taken_off
    )
    SELECT
        added.livemode,
        added.currency,
        added.kind,
        added.stripe_id,
        sum(added.subscriptions),
        sum(added.customers),
        sum(added.amount),
        sum(added.taken_off)
    FROM (
        SELECT
            d.livemode,
            d.currency,
            d.kind,
            d.stripe_id,
            d.times AS subscriptions,
            0 AS customers,
            d.times * d.amount AS amount,
            d.times * d.taken_off AS taken_off
        FROM differing AS d
        UNION ALL
        SELECT
            c.livemode,
            c.currency,
            c.kind,
            c.stripe_id,
            0,
            c.times,
            0,
            0
        FROM customers AS c
    ) AS added
    GROUP BY added.livemode, added.currency, added.kind, added.stripe_id
    ON CONFLICT (livemode, currency, kind, stripe_id) DO UPDATE
    SET subscriptions = kept.subscriptions + excluded.subscriptions,
        customers = kept.customers + excluded.customers,
        amount = kept.amount + excluded.amount,
        taken_off = kept.taken_off + excluded.taken_off
)
SELECT
    (SELECT count(*) FROM changed) AS folded,
    (SELECT count(*) FROM noted) = :most::integer
        OR (SELECT count(*) FROM due) = :most::integer AS has_more;
