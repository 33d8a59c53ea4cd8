-- What the business earns: docs/figures.md.

-- Tables: billing_mrr_ledger, billing_revenue_states, billing_discount_terms
--
-- CREATE TABLE billing_mrr_ledger (
--     subscription_id uuid NOT NULL,
--     currency text NOT NULL,
--     at timestamp with time zone NOT NULL,
--     livemode boolean NOT NULL,
--     amount numeric NOT NULL,
--     change numeric NOT NULL,
--     CONSTRAINT billing_mrr_ledger_change_check CHECK ((change <> (0)::numeric))
-- );
-- ALTER TABLE ONLY billing_mrr_ledger ADD CONSTRAINT billing_mrr_ledger_pkey PRIMARY KEY (subscription_id, currency, at);
-- CREATE INDEX billing_mrr_ledger_at_idx ON billing_mrr_ledger USING btree (at);
--
-- CREATE TABLE billing_revenue_states (
--     subscription_id uuid NOT NULL,
--     at timestamp with time zone NOT NULL,
--     livemode boolean NOT NULL,
--     billed boolean NOT NULL,
--     began_at timestamp with time zone,
--     state jsonb NOT NULL
-- );
-- ALTER TABLE ONLY billing_revenue_states ADD CONSTRAINT billing_revenue_states_pkey PRIMARY KEY (subscription_id, at);
--
-- CREATE TABLE billing_discount_terms (
--     subscription_id uuid NOT NULL,
--     stripe_discount_id text NOT NULL,
--     percent_off numeric,
--     amount_off bigint,
--     currency text,
--     duration text,
--     stripe_product_ids text[],
--     ends_at timestamp with time zone
-- );
-- ALTER TABLE ONLY billing_discount_terms ADD CONSTRAINT billing_discount_terms_pkey PRIMARY KEY (subscription_id, stripe_discount_id);

-- name: list_movements(livemode, period, begins_on, ends_on)
-- The movements of the periods that begin from one day on and before another; all before as one period without a
-- beginning: from whole months, and the days between them and the first period. `customers` is by how much there are
-- more of them.
SELECT
    m.currency,
    CASE WHEN m.period = :period::text AND m.starts_on >= :begins_on::date THEN m.starts_on END AS starts_on,
    m.kind,
    sum(m.customers)::bigint AS customers,
    sum(m.amount) AS amount
FROM billing_mrr_movements AS m
WHERE m.livemode = :livemode::boolean
  AND (
      (m.period = :period::text AND m.starts_on >= :begins_on::date AND m.starts_on < :ends_on::date)
      OR (m.period = 'month' AND m.starts_on < date_trunc('month', :begins_on::date)::date)
      OR (
          m.period = 'day'
          AND m.starts_on >= date_trunc('month', :begins_on::date)::date
          AND m.starts_on < :begins_on::date
      )
  )
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;

-- name: list_cohorts(livemode, begins_on, ends_on)
SELECT
    c.currency,
    c.cohort,
    c.month,
    c.began,
    c.customers::bigint AS customers,
    round(c.began_with)::bigint AS began_with,
    round(c.amount)::bigint AS amount
FROM billing_cohorts AS c
WHERE c.livemode = :livemode::boolean
  AND c.cohort >= :begins_on::date
  AND c.cohort < :ends_on::date
ORDER BY c.currency, c.cohort, c.month;

-- name: list_trials(livemode, begins_at, ends_at)
-- Trials by the month in which they ended, and how many of them were billed afterwards, and not left unpaid.
SELECT
    date_trunc('month', s.trial_end AT TIME ZONE 'UTC')::date AS month,
    count(*) AS trials,
    count(*) FILTER (WHERE counted.subscription_id IS NOT NULL AND billed.is_paid IS NOT FALSE) AS converted
FROM subscriptions AS s
LEFT JOIN LATERAL (
    SELECT l.subscription_id
    FROM billing_mrr_ledger AS l
    WHERE l.subscription_id = s.id
      AND l.at <= now()
    LIMIT 1
) AS counted ON TRUE
LEFT JOIN LATERAL (
    SELECT bool_or(i.amount_paid > 0) AS is_paid
    FROM invoices AS i
    WHERE i.subscription_id = s.id
      AND i.stripe_created >= s.trial_end
      AND i.stripe_status <> 'draft'
      AND i.amount_due > 0
) AS billed ON TRUE
WHERE s.trial_end >= :begins_at::timestamptz
  AND s.trial_end < least(:ends_at::timestamptz, now())
  AND s.livemode = :livemode::boolean
GROUP BY month
ORDER BY month;

-- name: list_products(livemode)
SELECT
    p.kind,
    coalesce(p.code, p.stripe_product_id) AS product,
    p.name,
    p.currency,
    p.subscriptions,
    p.customers,
    p.mrr,
    p.taken_off
FROM billing_mrr_by_product AS p
WHERE p.livemode = :livemode::boolean
ORDER BY p.currency, p.mrr DESC, product;

-- name: list_coupons(livemode)
SELECT
    c.code IS NOT NULL AS is_ours,
    coalesce(c.code, c.stripe_coupon_id) AS coupon,
    c.name,
    c.currency,
    c.subscriptions,
    c.customers,
    c.taken_off,
    c.mrr,
    c.ends_at
FROM billing_mrr_by_coupon AS c
WHERE c.livemode = :livemode::boolean
ORDER BY c.currency, c.taken_off DESC, coupon;
