-- What came and went by day, kept: docs/decisions/0068-movements-kept-as-sums.md.

-- Tables: billing_cash_days, billing_cash_folds, billing_cash_changes
--
-- CREATE TABLE billing_cash_days (
--     day date NOT NULL,
--     livemode boolean NOT NULL,
--     currency text NOT NULL,
--     kind text NOT NULL,
--     number bigint NOT NULL,
--     amount bigint NOT NULL
-- );
-- ALTER TABLE ONLY billing_cash_days ADD CONSTRAINT billing_cash_days_pkey PRIMARY KEY (day, livemode, currency, kind);
--
-- CREATE TABLE billing_cash_folds (
--     day date NOT NULL,
--     folded_at timestamp with time zone DEFAULT now() NOT NULL
-- );
-- ALTER TABLE ONLY billing_cash_folds ADD CONSTRAINT billing_cash_folds_pkey PRIMARY KEY (day);
-- CREATE INDEX billing_cash_folds_folded_idx ON billing_cash_folds USING btree (folded_at);
--
-- CREATE TABLE billing_cash_changes (
--     day date NOT NULL,
--     changed_in xid8 DEFAULT pg_current_xact_id() NOT NULL
-- )
-- WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
-- ALTER TABLE ONLY billing_cash_changes ADD CONSTRAINT billing_cash_changes_pkey PRIMARY KEY (day, changed_in);

-- name: try_lock_cash()$
-- Held until the end of the transaction.
SELECT pg_try_advisory_xact_lock(hashtext('mpanel_billing cash'));

-- name: fold_cash(first_day, last_day, most)^
-- Computes some days between two again: those that were noted, those of payments that have succeeded lately after they
-- had failed, those that are not kept yet, and the one that was computed longest ago. Returns how many, and
-- whether there may be more. Days before the first are forgotten.
WITH noted AS (
    DELETE FROM billing_cash_changes
    WHERE ctid = ANY(ARRAY(
        SELECT c.ctid
        FROM billing_cash_changes AS c
        LIMIT :most::integer
    ))
    RETURNING day
),
old_folds AS (
    DELETE FROM billing_cash_folds
    WHERE day < :first_day::date
),
old_days AS (
    DELETE FROM billing_cash_days
    WHERE day < :first_day::date
),
new AS MATERIALIZED (
    SELECT each.at::date AS day
    FROM generate_series(:first_day::timestamp, :last_day::timestamp, interval '1 day') AS each (at)
    WHERE NOT EXISTS (
        SELECT 1
        FROM billing_cash_folds AS f
        WHERE f.day = each.at::date
    )
    ORDER BY each.at DESC
    LIMIT :most::integer
),
recovered AS (
    SELECT (min(failed.stripe_created) AT TIME ZONE 'UTC')::date AS day
    FROM stripe_charges AS s
    JOIN stripe_charges AS failed
        ON failed.stripe_payment_intent_id = s.stripe_payment_intent_id
        AND failed.status = 'failed'
    WHERE s.status = 'succeeded'
      AND s.stripe_created > now() - interval '3 hours'
    GROUP BY s.stripe_payment_intent_id
),
due AS MATERIALIZED (
    SELECT f.day
    FROM billing_cash_folds AS f
    WHERE f.day >= :first_day::date
      AND (
          f.day IN (SELECT noted.day FROM noted)
          OR f.day IN (SELECT recovered.day FROM recovered)
          OR f.day = (SELECT o.day FROM billing_cash_folds AS o ORDER BY o.folded_at LIMIT 1)
      )
    UNION
    SELECT new.day FROM new
),
adding AS MATERIALIZED (
    SELECT
        due.day,
        added.livemode,
        added.currency,
        added.kind,
        added.number,
        added.amount
    FROM due
    CROSS JOIN LATERAL billing_cash_of_day_v1(due.day) AS added
),
gone AS (
    DELETE FROM billing_cash_days AS k
    USING due
    WHERE k.day = due.day
      AND NOT EXISTS (
          SELECT 1
          FROM adding
          WHERE adding.day = k.day
            AND adding.livemode = k.livemode
            AND adding.currency = k.currency
            AND adding.kind = k.kind
      )
),
stored AS (
    INSERT INTO billing_cash_days AS k (day, livemode, currency, kind, number, amount)
    SELECT
        adding.day,
        adding.livemode,
        adding.currency,
        adding.kind,
        adding.number,
        adding.amount
    FROM adding
    ON CONFLICT (day, livemode, currency, kind) DO UPDATE
    SET number = excluded.number,
        amount = excluded.amount
    WHERE (k.number, k.amount) <> (excluded.number, excluded.amount)
),
folded AS (
    INSERT INTO billing_cash_folds (day)
    SELECT due.day FROM due
    ON CONFLICT (day) DO UPDATE
    SET folded_at = now()
)
SELECT
    (SELECT count(*) FROM due) AS folded,
    (SELECT count(*) FROM noted) = :most::integer OR (SELECT count(*) FROM new) = :most::integer AS has_more;

-- name: list_cash_days(livemode, begins_on, ends_on)
-- What came and went by month.
SELECT
    date_trunc('month', d.day)::date AS month,
    d.currency,
    d.kind,
    sum(d.number)::bigint AS number,
    sum(d.amount)::bigint AS amount
FROM billing_cash_by_day_v1(:begins_on::date, :ends_on::date) AS d
WHERE d.livemode = :livemode::boolean
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;
