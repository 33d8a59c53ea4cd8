-- What is kept of the ledger of the monthly recurring revenue: docs/decisions/0068-movements-kept-as-sums.md.

-- Tables: billing_mrr_days, billing_mrr_periods, billing_mrr_cohorts, billing_mrr_folds, billing_mrr_changes
--
-- CREATE TABLE billing_mrr_days (
--     customer_id uuid NOT NULL,
--     livemode boolean NOT NULL,
--     currency text NOT NULL,
--     day date NOT NULL,
--     kind text NOT NULL,
--     change numeric NOT NULL,
--     amount numeric NOT NULL,
--     started_on date NOT NULL
-- );
-- ALTER TABLE ONLY billing_mrr_days ADD CONSTRAINT billing_mrr_days_pkey PRIMARY KEY (customer_id, livemode, currency, day);
--
-- CREATE TABLE billing_mrr_periods (
--     livemode boolean NOT NULL,
--     period text NOT NULL,
--     starts_on date NOT NULL,
--     currency text NOT NULL,
--     kind text NOT NULL,
--     customers bigint NOT NULL,
--     amount numeric NOT NULL
-- )
-- WITH (fillfactor='50');
-- ALTER TABLE ONLY billing_mrr_periods ADD CONSTRAINT billing_mrr_periods_pkey PRIMARY KEY (livemode, period, starts_on, currency, kind);
--
-- CREATE TABLE billing_mrr_cohorts (
--     livemode boolean NOT NULL,
--     currency text NOT NULL,
--     cohort date NOT NULL,
--     month date NOT NULL,
--     began bigint NOT NULL,
--     customers bigint NOT NULL,
--     began_with numeric NOT NULL,
--     amount numeric NOT NULL
-- )
-- WITH (fillfactor='50');
-- ALTER TABLE ONLY billing_mrr_cohorts ADD CONSTRAINT billing_mrr_cohorts_pkey PRIMARY KEY (livemode, currency, cohort, month);
--
-- CREATE TABLE billing_mrr_folds (
--     is_only boolean DEFAULT true NOT NULL,
--     folded_until timestamp with time zone NOT NULL,
--     CONSTRAINT billing_mrr_folds_is_only_check CHECK (is_only)
-- );
-- ALTER TABLE ONLY billing_mrr_folds ADD CONSTRAINT billing_mrr_folds_pkey PRIMARY KEY (is_only);
--
-- CREATE TABLE billing_mrr_changes (
--     noted_id uuid NOT NULL,
--     changed_in xid8 DEFAULT pg_current_xact_id() NOT NULL
-- )
-- WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
-- ALTER TABLE ONLY billing_mrr_changes ADD CONSTRAINT billing_mrr_changes_pkey PRIMARY KEY (noted_id, changed_in);

-- name: try_lock_movements()$
-- Held until the end of the transaction. Two that fold the same customer would each add what has changed.
SELECT pg_try_advisory_xact_lock(hashtext('mpanel_billing movements'));

-- name: lock_movements()
SELECT pg_advisory_xact_lock(hashtext('mpanel_billing movements'));

-- name: fold_movements(most)^
-- Brings what is kept up to date for the customers of some notes, and of what was in the future when it was folded;
-- returns how many customers, and whether there may be more. All of it reads one snapshot, which sees the change of
-- each note that it deletes.
WITH folds AS MATERIALIZED (
    SELECT
        coalesce(max(f.folded_until), '-infinity') AS folded_until,
        greatest(max(f.folded_until), now()) AS moment
    FROM billing_mrr_folds AS f
),
noted AS (
    DELETE FROM billing_mrr_changes
    WHERE ctid = ANY(ARRAY(
        SELECT c.ctid
        FROM billing_mrr_changes AS c
        LIMIT :most::integer
    ))
    RETURNING noted_id
),
due AS MATERIALIZED (
    SELECT
        l.subscription_id,
        l.at
    FROM billing_mrr_ledger AS l
    WHERE l.at > (SELECT folds.folded_until FROM folds)
      AND l.at <= (SELECT folds.moment FROM folds)
    ORDER BY l.at
    FETCH FIRST (:most::integer) ROWS WITH TIES
),
changed AS MATERIALIZED (
    SELECT noted.noted_id AS customer_id FROM noted
    UNION
    SELECT billing_mrr_customer_v1(noted.noted_id) FROM noted
    UNION
    SELECT billing_mrr_customer_v1(due.subscription_id) FROM due
),
before AS MATERIALIZED (
    SELECT
        kept.place,
        changed.customer_id,
        kept.livemode,
        kept.currency,
        kept.day,
        kept.kind,
        kept.change,
        kept.amount,
        kept.started_on
    FROM changed
    CROSS JOIN LATERAL (
        SELECT
            k.ctid AS place,
            k.livemode,
            k.currency,
            k.day,
            k.kind,
            k.change,
            k.amount,
            k.started_on
        FROM billing_mrr_days AS k
        WHERE k.customer_id = changed.customer_id
        OFFSET 0
    ) AS kept
),
adding AS MATERIALIZED (
    SELECT
        changed.customer_id,
        added.livemode,
        added.currency,
        added.day,
        added.kind,
        added.change,
        added.amount,
        added.started_on
    FROM changed
    CROSS JOIN folds
    CROSS JOIN LATERAL billing_customer_mrr_v1(changed.customer_id, folds.moment) AS added
),
gone AS (
    DELETE FROM billing_mrr_days
    WHERE ctid = ANY(ARRAY(
        SELECT before.place
        FROM before
        WHERE NOT EXISTS (
            SELECT 1
            FROM adding
            WHERE adding.customer_id = before.customer_id
              AND adding.livemode = before.livemode
              AND adding.currency = before.currency
              AND adding.day = before.day
        )
    ))
),
stored AS (
    INSERT INTO billing_mrr_days AS k (
        customer_id, livemode, currency, day, kind, change, amount, started_on
    )
    SELECT
        adding.customer_id,
        adding.livemode,
        adding.currency,
        adding.day,
        adding.kind,
        adding.change,
        adding.amount,
        adding.started_on
    FROM adding
    ON CONFLICT (customer_id, livemode, currency, day) DO UPDATE
    SET kind = excluded.kind,
        change = excluded.change,
        amount = excluded.amount,
        started_on = excluded.started_on
    WHERE (k.kind, k.change, k.amount, k.started_on)
        IS DISTINCT FROM (excluded.kind, excluded.change, excluded.amount, excluded.started_on)
),
differing AS MATERIALIZED (
    SELECT
        each.livemode,
        each.currency,
        each.day,
        each.kind,
        each.started_on,
        sum(each.times)::bigint AS customers,
        sum(each.times * each.change) AS amount
    FROM (
        SELECT adding.livemode, adding.currency, adding.day, adding.kind, adding.change, adding.started_on, 1 AS times
        FROM adding
        UNION ALL
        SELECT before.livemode, before.currency, before.day, before.kind, before.change, before.started_on, -1
        FROM before
    ) AS each
    GROUP BY each.livemode, each.currency, each.day, each.kind, each.started_on
    HAVING sum(each.times) <> 0 OR sum(each.times * each.change) <> 0
),
in_periods AS (
    INSERT INTO billing_mrr_periods AS k (livemode, period, starts_on, currency, kind, customers, amount)
    SELECT
        d.livemode,
        p.period,
        p.starts_on,
        d.currency,
        d.kind,
        sum(d.customers)::bigint,
        sum(d.amount)
    FROM differing AS d
    CROSS JOIN LATERAL (
        VALUES
            ('day', d.day),
            ('week', date_trunc('week', d.day)::date),
            ('month', date_trunc('month', d.day)::date)
    ) AS p (period, starts_on)
    GROUP BY d.livemode, p.period, p.starts_on, d.currency, d.kind
    ON CONFLICT (livemode, period, starts_on, currency, kind) DO UPDATE
    SET customers = k.customers + excluded.customers,
        amount = k.amount + excluded.amount
),
in_cohorts AS (
    INSERT INTO billing_mrr_cohorts AS k (
        livemode, currency, cohort, month, began, customers, began_with, amount
    )
    SELECT
        d.livemode,
        d.currency,
        date_trunc('month', d.started_on)::date,
        date_trunc('month', d.day)::date,
        coalesce(sum(d.customers) FILTER (WHERE d.kind = 'new'), 0)::bigint,
        (
            coalesce(sum(d.customers) FILTER (WHERE d.kind IN ('new', 'reactivation')), 0)
            - coalesce(sum(d.customers) FILTER (WHERE d.kind = 'churn'), 0)
        )::bigint,
        coalesce(sum(d.amount) FILTER (WHERE d.kind = 'new'), 0),
        sum(d.amount)
    FROM differing AS d
    GROUP BY 1, 2, 3, 4
    ON CONFLICT (livemode, currency, cohort, month) DO UPDATE
    SET began = k.began + excluded.began,
        customers = k.customers + excluded.customers,
        began_with = k.began_with + excluded.began_with,
        amount = k.amount + excluded.amount
),
advanced AS (
    INSERT INTO billing_mrr_folds AS f (folded_until)
    SELECT CASE
        WHEN (SELECT count(*) FROM due) < :most::integer THEN folds.moment
        ELSE (SELECT max(due.at) FROM due)
    END
    FROM folds
    ON CONFLICT (is_only) DO UPDATE
    SET folded_until = excluded.folded_until
)
SELECT
    (SELECT count(*) FROM changed) AS folded,
    (SELECT count(*) FROM noted) = :most::integer
        OR (SELECT count(*) FROM due) >= :most::integer AS has_more;

-- name: forget_movements()!
-- Deletes all that is kept, and the notes: all of the ledger is due then.
WITH noted AS (
    DELETE FROM billing_mrr_changes
),
periods AS (
    DELETE FROM billing_mrr_periods
),
cohorts AS (
    DELETE FROM billing_mrr_cohorts
),
folds AS (
    DELETE FROM billing_mrr_folds
)
DELETE FROM billing_mrr_days;

-- name: list_differences()
-- Where the movements that are shown are not those of the whole ledger; nothing, if all is well. It reads all of it.
WITH whole AS MATERIALIZED (
    SELECT
        w.livemode,
        w.currency,
        w.day,
        w.kind,
        w.started_on,
        count(*) AS customers,
        sum(w.change) AS amount
    FROM billing_mrr_whole AS w
    GROUP BY 1, 2, 3, 4, 5
),
movements AS (
    SELECT
        w.livemode,
        w.currency,
        p.period AS of,
        p.starts_on AS begins_on,
        w.kind AS what,
        sum(w.customers) AS customers,
        sum(w.amount) AS amount
    FROM whole AS w
    CROSS JOIN LATERAL (
        VALUES
            ('day', w.day),
            ('week', date_trunc('week', w.day)::date),
            ('month', date_trunc('month', w.day)::date)
    ) AS p (period, starts_on)
    GROUP BY 1, 2, 3, 4, 5
),
cohorts AS (
    SELECT
        w.livemode,
        w.currency,
        date_trunc('month', w.started_on)::date AS cohort,
        date_trunc('month', w.day)::date AS month,
        coalesce(sum(w.customers) FILTER (WHERE w.kind IN ('new', 'reactivation')), 0)
            - coalesce(sum(w.customers) FILTER (WHERE w.kind = 'churn'), 0) AS customers,
        sum(w.amount) AS amount
    FROM whole AS w
    GROUP BY 1, 2, 3, 4
),
shown AS (
    SELECT
        m.livemode,
        m.currency,
        m.period AS of,
        m.starts_on AS begins_on,
        m.kind AS what,
        m.customers::numeric AS customers,
        m.amount
    FROM billing_mrr_movements AS m
)
SELECT
    coalesce(s.livemode, m.livemode) AS livemode,
    coalesce(s.currency, m.currency) AS currency,
    coalesce(s.of, m.of) AS of,
    coalesce(s.begins_on, m.begins_on) AS begins_on,
    coalesce(s.what, m.what) AS what,
    coalesce(s.customers, 0)::bigint AS customers,
    coalesce(m.customers, 0)::bigint AS true_customers,
    round(coalesce(s.amount, 0))::bigint AS amount,
    round(coalesce(m.amount, 0))::bigint AS true_amount
FROM shown AS s
FULL JOIN movements AS m USING (livemode, currency, of, begins_on, what)
WHERE (s.customers, s.amount) IS DISTINCT FROM (m.customers, m.amount)
UNION ALL
SELECT
    r.livemode,
    r.currency,
    'cohort',
    r.cohort,
    r.month::text,
    r.customers::bigint,
    r.true_customers::bigint,
    round(r.amount)::bigint,
    round(r.true_amount)::bigint
FROM (
    SELECT
        r.livemode,
        r.currency,
        r.cohort,
        r.month,
        r.customers,
        sum(coalesce(c.customers, 0)) OVER months_of AS true_customers,
        r.amount,
        sum(coalesce(c.amount, 0)) OVER months_of AS true_amount
    FROM billing_cohorts AS r
    LEFT JOIN cohorts AS c
        ON c.livemode = r.livemode
        AND c.currency = r.currency
        AND c.cohort = r.cohort
        AND c.month = r.month
    WINDOW months_of AS (PARTITION BY r.livemode, r.currency, r.cohort ORDER BY r.month)
) AS r
WHERE (r.customers, r.amount) <> (r.true_customers, r.true_amount)
UNION ALL
SELECT
    coalesce(r.livemode, c.livemode),
    coalesce(r.currency, c.currency),
    'cohort',
    coalesce(r.cohort, c.begins_on),
    'began',
    coalesce(r.began, 0)::bigint,
    coalesce(c.began, 0)::bigint,
    round(coalesce(r.amount, 0))::bigint,
    round(coalesce(c.amount, 0))::bigint
FROM (
    SELECT DISTINCT
        b.livemode,
        b.currency,
        b.cohort,
        b.began,
        b.began_with AS amount
    FROM billing_cohorts AS b
) AS r
FULL JOIN (
    SELECT
        w.livemode,
        w.currency,
        date_trunc('month', w.day)::date AS begins_on,
        sum(w.customers) AS began,
        sum(w.amount) AS amount
    FROM whole AS w
    WHERE w.kind = 'new'
    GROUP BY 1, 2, 3
) AS c
    ON c.livemode = r.livemode
    AND c.currency = r.currency
    AND c.begins_on = r.cohort
WHERE (r.began, r.amount) IS DISTINCT FROM (c.began, c.amount)
ORDER BY 1, 2, 3, 4, 5;

-- name: list_totals()
-- Where what is kept of the ledger does not add up to the revenue, which is kept of the mirror: two sums that are computed apart,
-- and may differ only if one of them is wrong. Sums are read, and what was noted since; the ledger is not.
-- Left out is a currency in which something was seen ahead of our clock: the ledger has it then, the revenue already.
WITH unfolded AS MATERIALIZED (
    SELECT
        u.livemode,
        u.currency,
        sum(u.times * u.change) AS amount
    FROM billing_mrr_unfolded AS u
    GROUP BY u.livemode, u.currency
),
added AS (
    SELECT
        k.livemode,
        k.currency,
        k.of,
        round(sum(k.amount))::bigint AS amount
    FROM (
        SELECT p.livemode, p.currency, p.period AS of, p.amount
        FROM billing_mrr_periods AS p
        UNION ALL
        SELECT c.livemode, c.currency, 'cohort', c.amount
        FROM billing_mrr_cohorts AS c
        UNION ALL
        SELECT u.livemode, u.currency, each.of, u.amount
        FROM unfolded AS u
        CROSS JOIN unnest('{day,week,month,cohort}'::text[]) AS each (of)
    ) AS k
    GROUP BY k.livemode, k.currency, k.of
)
SELECT
    coalesce(a.livemode, m.livemode) AS livemode,
    coalesce(a.currency, m.currency) AS currency,
    coalesce(a.of, 'month') AS of,
    coalesce(a.amount, 0) AS amount,
    coalesce(m.mrr, 0) AS true_amount
FROM added AS a
FULL JOIN billing_mrr AS m
    ON m.livemode = a.livemode
    AND m.currency = a.currency
WHERE coalesce(a.amount, 0) <> coalesce(m.mrr, 0)
  AND NOT EXISTS (
      SELECT 1
      FROM billing_mrr_ledger AS l
      WHERE l.at > now()
        AND l.livemode = coalesce(a.livemode, m.livemode)
        AND l.currency = coalesce(a.currency, m.currency)
        AND EXISTS (
            SELECT 1
            FROM billing_revenue_states AS r
            WHERE r.subscription_id = l.subscription_id
              AND r.at > now()
        )
  )
ORDER BY 1, 2, 3;
