-- Further years of domains: who is told, what is charged, what was paid.

-- Tables: billing_domain_renewals
--
-- CREATE TABLE billing_domain_renewals (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     domain_id uuid NOT NULL,
--     expires_on date,
--     state text DEFAULT 'due'::text NOT NULL,
--     amount bigint NOT NULL,
--     currency text NOT NULL,
--     livemode boolean NOT NULL,
--     pay_by timestamp with time zone NOT NULL,
--     attempt integer DEFAULT 1 NOT NULL,
--     params jsonb,
--     stripe_item_id text,
--     stripe_invoice_id text,
--     failures integer DEFAULT 0 NOT NULL,
--     last_error text,
--     next_attempt_at timestamp with time zone,
--     leased_until timestamp with time zone,
--     paid_at timestamp with time zone,
--     renewed_at timestamp with time zone,
--     given_back_at timestamp with time zone,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_domain_renewals_amount_check CHECK ((amount >= 0)),
--     CONSTRAINT billing_domain_renewals_attempt_check CHECK ((attempt > 0)),
--     CONSTRAINT billing_domain_renewals_check CHECK (((state <> 'charged'::text) OR (num_nonnulls(stripe_item_id, stripe_invoice_id) > 0))),
--     CONSTRAINT billing_domain_renewals_check1 CHECK (((expires_on IS NOT NULL) OR ((params ->> 'way'::text) = 'own'::text))),
--     CONSTRAINT billing_domain_renewals_check2 CHECK (((state = ANY (ARRAY['paid'::text, 'renewed'::text, 'refused'::text])) = (paid_at IS NOT NULL))),
--     CONSTRAINT billing_domain_renewals_check3 CHECK (((state = 'renewed'::text) = (renewed_at IS NOT NULL))),
--     CONSTRAINT billing_domain_renewals_check4 CHECK (((given_back_at IS NULL) OR (state = 'refused'::text))),
--     CONSTRAINT billing_domain_renewals_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT billing_domain_renewals_failures_check CHECK ((failures >= 0)),
--     CONSTRAINT billing_domain_renewals_params_check CHECK (((params ->> 'way'::text) = ANY (ARRAY['plan'::text, 'own'::text]))),
--     CONSTRAINT billing_domain_renewals_state_check CHECK ((state = ANY (ARRAY['due'::text, 'charged'::text, 'paid'::text, 'renewed'::text, 'unpaid'::text, 'withdrawn'::text, 'refused'::text])))
-- );
-- ALTER TABLE ONLY billing_domain_renewals ADD CONSTRAINT billing_domain_renewals_domain_id_expires_on_key UNIQUE (domain_id, expires_on);
-- ALTER TABLE ONLY billing_domain_renewals ADD CONSTRAINT billing_domain_renewals_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY billing_domain_renewals ADD CONSTRAINT billing_domain_renewals_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES billing_domains(id) ON DELETE CASCADE;
-- CREATE UNIQUE INDEX billing_domain_renewals_first_key ON billing_domain_renewals USING btree (domain_id) WHERE (expires_on IS NULL);
-- CREATE UNIQUE INDEX billing_domain_renewals_open_key ON billing_domain_renewals USING btree (domain_id) WHERE (state = ANY (ARRAY['due'::text, 'charged'::text, 'paid'::text]));
-- CREATE INDEX billing_domain_renewals_troubled_idx ON billing_domain_renewals USING btree (domain_id) WHERE ((last_error IS NOT NULL) OR (state = 'paid'::text));
-- CREATE INDEX billing_domain_renewals_unpaid_idx ON billing_domain_renewals USING btree (stripe_invoice_id) WHERE ((state = ANY (ARRAY['charged'::text, 'unpaid'::text, 'withdrawn'::text])) AND (stripe_invoice_id IS NOT NULL));
-- CREATE INDEX billing_domain_renewals_work_idx ON billing_domain_renewals USING btree (next_attempt_at) WHERE (next_attempt_at IS NOT NULL);

-- name: announce_prices(now, notice_days, most)$
-- A renewal costs what its customer was told. A higher price of the catalogue is told first, and counts
-- when the notice is over; as long as no receiver gets it, nobody is told, and it does not count.
WITH dearer AS MATERIALIZED (
    SELECT
        own.id,
        own.customer_id,
        own.subscription_id,
        own.currency,
        own.renewal_price AS told,
        listed.amount,
        product.code AS product_code,
        product.name AS product_name,
        payer.livemode
    FROM products AS product
    JOIN billing_domains AS own
        ON own.auto_renew
        AND own.driver IS NOT NULL
        AND own.state IN ('active', 'renewing')
        AND product.code = 'domain-' || substr(own.name, strpos(own.name, '.') + 1)
    CROSS JOIN LATERAL (
        SELECT billing_renewal_price_v1(own.name, own.currency) AS amount
    ) AS listed
    JOIN subscriptions AS payer
        ON payer.id = billing_domain_payer_v1(own.customer_id, own.subscription_id, own.currency)
    WHERE product.kind = 'domain'
      AND listed.amount > own.renewal_price
      AND listed.amount IS DISTINCT FROM own.coming_price
      AND EXISTS (
          SELECT 1
          FROM billing_receivers AS r
          WHERE r.livemode = payer.livemode
            AND billing_is_wanted('price.changing', r.types)
      )
    ORDER BY own.expires_at
    LIMIT :most
    FOR NO KEY UPDATE OF own SKIP LOCKED
),
announced AS (
    UPDATE billing_domains AS own
    SET coming_price = dearer.amount,
        coming_price_from = :now::timestamptz + make_interval(days => :notice_days::integer),
        updated_at = now()
    FROM dearer
    WHERE own.id = dearer.id
    RETURNING
        own.id,
        own.coming_price_from,
        dearer.customer_id,
        dearer.subscription_id,
        dearer.currency,
        dearer.told,
        dearer.amount,
        dearer.product_code,
        dearer.product_name,
        dearer.livemode
)
SELECT count(billing_record_message(
    'price.changing',
    a.id::text,
    a.amount || ' ' || extract(epoch FROM a.coming_price_from),
    a.livemode,
    a.subscription_id,
    a.customer_id,
    now(),
    jsonb_build_object('price', jsonb_build_object(
        'productCode', a.product_code,
        'productName', a.product_name,
        'billingCycle', 'annually',
        'currency', a.currency,
        'quantity', 1,
        'unitAmountBefore', a.told,
        'unitAmount', a.amount,
        'effectiveAt', a.coming_price_from
    ))
))
FROM announced AS a;

-- name: record_expiring(now, days)$
-- A month and a week before, once each; not what is paid for already.
SELECT count(billing_record_message(
    'domain.expiring',
    own.id::text,
    stage.days || ' ' || extract(epoch FROM own.expires_at),
    payer.livemode,
    own.subscription_id,
    own.customer_id,
    now(),
    billing_domain_message(
        own.id, own.state, own.expires_at, own.auto_renew,
        coalesce(own.renewal_price, billing_renewal_price_v1(own.name, paid.currency)), paid.currency
    )
))
FROM billing_domains AS own
JOIN subscriptions AS payer
    ON payer.id = billing_domain_payer_v1(own.customer_id, own.subscription_id, own.currency)
CROSS JOIN LATERAL (SELECT coalesce(own.currency, lower(payer.currency)) AS currency) AS paid
CROSS JOIN LATERAL (
    SELECT CASE WHEN own.expires_at <= :now::timestamptz + interval '7 days' THEN 7 ELSE 30 END AS days
) AS stage
WHERE own.driver IS NOT NULL
  AND own.state = 'active'
  AND own.expires_at > :now::timestamptz
  AND own.expires_at <= :now::timestamptz + make_interval(days => :days::integer)
  AND NOT EXISTS (
      SELECT 1
      FROM billing_domain_renewals AS r
      WHERE r.domain_id = own.id
        AND r.state = 'paid'
  )
  AND EXISTS (SELECT 1 FROM billing_receivers AS r WHERE r.livemode = payer.livemode);

-- name: open_due(now, days, outlives_plan, livemode, most)
-- A year is charged once: a day of expiry that has moved by weeks is no other year. One that was
-- withdrawn, and taken back at Stripe, can be wanted again.
WITH near AS MATERIALIZED (
    SELECT
        own.id,
        own.expires_at,
        (own.expires_at AT TIME ZONE 'UTC')::date AS expires_on,
        own.currency,
        payer.livemode,
        least(
            CASE WHEN own.coming_price_from <= :now::timestamptz THEN own.coming_price ELSE own.renewal_price END,
            billing_renewal_price_v1(own.name, own.currency)
        ) AS amount
    FROM billing_domains AS own
    JOIN subscriptions AS payer
        ON payer.id = billing_domain_payer_v1(own.customer_id, own.subscription_id, own.currency)
    WHERE own.auto_renew
      AND own.state = 'active'
      AND own.driver IS NOT NULL
      AND own.renewal_price IS NOT NULL
      AND own.expires_at > :now::timestamptz
      AND own.expires_at <= :now::timestamptz + make_interval(days => :days::integer)
      AND payer.livemode = :livemode::boolean
      AND (
          :outlives_plan::boolean
          OR EXISTS (
              SELECT 1
              FROM subscriptions AS plan
              WHERE plan.id = own.subscription_id
                AND plan.status <> 'cancelled'
          )
      )
      AND NOT EXISTS (
          SELECT 1
          FROM billing_domain_renewals AS r
          WHERE r.domain_id = own.id
            AND (
                (
                    r.expires_on > (own.expires_at AT TIME ZONE 'UTC')::date - 300
                    AND (r.state = 'withdrawn' AND r.next_attempt_at IS NULL) IS NOT TRUE
                )
                -- an earlier one may still be paid at Stripe
                OR r.state IN ('due', 'charged', 'paid')
                OR (r.state IN ('unpaid', 'withdrawn') AND r.next_attempt_at IS NOT NULL)
            )
      )
    ORDER BY own.expires_at
    LIMIT :most
    FOR NO KEY UPDATE OF own SKIP LOCKED
),
told AS (
    UPDATE billing_domains AS own
    SET renewal_price = near.amount,
        coming_price = NULL,
        coming_price_from = NULL,
        updated_at = now()
    FROM near
    WHERE own.id = near.id
      AND own.renewal_price <> near.amount
)
INSERT INTO billing_domain_renewals AS r (domain_id, expires_on, amount, currency, livemode, pay_by, next_attempt_at)
SELECT
    near.id,
    near.expires_on,
    near.amount,
    near.currency,
    near.livemode,
    near.expires_at,
    :now::timestamptz
FROM near
ON CONFLICT (domain_id, expires_on) DO UPDATE
SET state = 'due',
    amount = excluded.amount,
    currency = excluded.currency,
    attempt = r.attempt + 1,
    params = NULL,
    stripe_item_id = NULL,
    stripe_invoice_id = NULL,
    failures = 0,
    last_error = NULL,
    pay_by = excluded.pay_by,
    next_attempt_at = excluded.next_attempt_at,
    updated_at = now()
WHERE r.state = 'withdrawn'
  AND r.next_attempt_at IS NULL
RETURNING r.id;

-- name: claim_due(now, livemode, lease_seconds, most)
-- What is to be looked at, with who pays, and whether it fits on an invoice of the plan: one that is charged in the
-- ordinary way, and would be without the domain. waits_for_plan: the next one is made before the domain expires.
WITH due AS MATERIALIZED (
    SELECT r.id
    FROM billing_domain_renewals AS r
    WHERE r.next_attempt_at <= :now::timestamptz
      AND r.livemode = :livemode::boolean
      AND (r.leased_until > now()) IS NOT TRUE
    ORDER BY r.next_attempt_at
    LIMIT :most
    FOR UPDATE SKIP LOCKED
),
claimed AS (
    UPDATE billing_domain_renewals AS r
    SET leased_until = now() + make_interval(secs => :lease_seconds::float8)
    FROM due
    WHERE r.id = due.id
    RETURNING
        r.id,
        r.domain_id,
        r.expires_on,
        r.state,
        r.amount,
        r.currency,
        r.attempt,
        r.params,
        r.stripe_item_id,
        r.stripe_invoice_id,
        r.failures,
        r.pay_by
)
SELECT
    c.id,
    c.domain_id,
    c.expires_on,
    c.state,
    c.amount,
    c.currency,
    c.attempt,
    c.params,
    c.stripe_item_id,
    c.stripe_invoice_id,
    c.failures,
    c.pay_by,
    own.name,
    own.unicode_name,
    payer.stripe_subscription_id,
    payer.stripe_customer_id,
    payer.current_period_end AS plan_charged_at,
    (
        c.expires_on IS NOT NULL
        AND payer.id = own.subscription_id
        AND payer.stripe_status = 'active'
        AND payer.collection_paused IS NOT TRUE
        AND payer.cancel_at_period_end IS NOT TRUE
        AND payer.cancel_at IS NULL
        AND payer.amount > 0
        -- a planned change may make the next term free
        AND payer.stripe_schedule_id IS NULL
        AND NOT EXISTS (SELECT 1 FROM subscription_discounts AS d WHERE d.subscription_id = payer.id)
    ) IS TRUE AS fits_plan,
    (
        payer.current_period_end > :now::timestamptz
        AND payer.current_period_end < own.expires_at - interval '3 days'
    ) IS TRUE AS waits_for_plan,
    bill.id AS invoice_id
FROM claimed AS c
JOIN billing_domains AS own
    ON own.id = c.domain_id
LEFT JOIN subscriptions AS payer
    ON payer.id = billing_domain_payer_v1(own.customer_id, own.subscription_id, c.currency)
LEFT JOIN invoices AS bill
    ON bill.stripe_invoice_id = c.stripe_invoice_id;

-- name: begin_charge(id, attempt, params)^
-- What an attempt sends never changes: of two that begin it, both send what the first one stored.
UPDATE billing_domain_renewals AS r
SET params = coalesce(r.params, :params::jsonb),
    updated_at = now()
WHERE r.id = :id::uuid
  AND r.attempt = :attempt
  AND r.state = 'due'
RETURNING r.params;

-- name: note_charged(id, attempt, stripe_item_id, stripe_invoice_id, next_attempt_at)!
UPDATE billing_domain_renewals AS r
SET state = CASE WHEN r.state = 'due' THEN 'charged' ELSE r.state END,
    stripe_item_id = :stripe_item_id::text,
    stripe_invoice_id = :stripe_invoice_id::text,
    failures = 0,
    last_error = NULL,
    -- what was withdrawn since then is taken back
    next_attempt_at = CASE WHEN r.state IN ('due', 'charged') THEN :next_attempt_at::timestamptz ELSE r.next_attempt_at END,
    leased_until = NULL,
    updated_at = now()
WHERE r.id = :id::uuid
  AND r.attempt = :attempt
  AND r.state IN ('due', 'charged', 'unpaid', 'withdrawn');

-- name: note_failed(id, attempt, error, is_definite, next_attempt_at)!
-- is_definite: Stripe has certainly done nothing, so the next attempt may send something else.
UPDATE billing_domain_renewals AS r
SET attempt = CASE WHEN r.state = 'due' AND :is_definite::boolean THEN r.attempt + 1 ELSE r.attempt END,
    params = CASE WHEN r.state = 'due' AND :is_definite::boolean THEN NULL ELSE r.params END,
    failures = r.failures + 1,
    last_error = :error,
    next_attempt_at = :next_attempt_at::timestamptz,
    leased_until = NULL,
    updated_at = now()
WHERE r.id = :id::uuid
  AND r.attempt = :attempt;

-- name: note_taken_back(id, attempt, next_attempt_at)!
-- Nothing of this attempt can be paid at Stripe any more; one that is charged is charged otherwise. A name that
-- was chosen, and not paid for, is nobody's: another one can be chosen.
WITH taken_back AS (
    UPDATE billing_domain_renewals AS r
    SET state = CASE WHEN r.state = 'charged' THEN 'due' ELSE r.state END,
        attempt = r.attempt + 1,
        params = NULL,
        stripe_item_id = NULL,
        stripe_invoice_id = NULL,
        failures = 0,
        last_error = NULL,
        next_attempt_at = CASE WHEN r.state = 'charged' THEN :next_attempt_at::timestamptz END,
        leased_until = NULL,
        updated_at = now()
    WHERE r.id = :id::uuid
      AND r.attempt = :attempt
      AND r.state IN ('charged', 'unpaid', 'withdrawn')
    RETURNING r.domain_id, r.expires_on, r.state
)
UPDATE billing_domains AS own
SET state = 'released',
    updated_at = now()
FROM taken_back
WHERE own.id = taken_back.domain_id
  AND taken_back.expires_on IS NULL
  AND taken_back.state IN ('unpaid', 'withdrawn')
  AND own.state = 'ordered'
  AND own.paid_at IS NULL;

-- name: note_invoice(id, attempt, stripe_item_id, stripe_invoice_id)!
UPDATE billing_domain_renewals AS r
SET stripe_item_id = coalesce(r.stripe_item_id, :stripe_item_id::text),
    stripe_invoice_id = :stripe_invoice_id::text,
    updated_at = now()
WHERE r.id = :id::uuid
  AND r.attempt = :attempt;

-- name: put_off(id, attempt, next_attempt_at)!
UPDATE billing_domain_renewals AS r
SET next_attempt_at = :next_attempt_at::timestamptz,
    leased_until = NULL
WHERE r.id = :id::uuid
  AND r.attempt = :attempt;

-- name: note_given_back(id, error)!
-- error: why it was not; a person has to do it. A name that was chosen, and could not be obtained, is settled with it.
WITH given AS (
    UPDATE billing_domain_renewals AS r
    SET given_back_at = CASE WHEN :error::text IS NULL THEN now() END,
        last_error = coalesce(:error::text, r.last_error),
        next_attempt_at = NULL,
        leased_until = NULL,
        updated_at = now()
    WHERE r.id = :id::uuid
      AND r.state = 'refused'
      AND r.given_back_at IS NULL
    RETURNING r.domain_id, r.expires_on, r.amount, r.given_back_at
)
UPDATE billing_domains AS own
SET given_back_at = given.given_back_at,
    updated_at = now()
FROM given
WHERE own.id = given.domain_id
  AND given.expires_on IS NULL
  AND given.amount > 0
  AND own.state = 'failed'
  AND own.given_back_at IS NULL;

-- name: list_payable(livemode)
-- What was paid, also late, and not given back. with_plan: on an invoice of the plan, of which somebody may have
-- taken the line off. What costs nothing is paid: the host gives it.
SELECT
    r.id,
    r.attempt,
    coalesce(r.params ->> 'way' = 'plan', FALSE) AS with_plan,
    r.stripe_item_id,
    r.stripe_invoice_id
FROM billing_domain_renewals AS r
JOIN invoices AS i
    ON i.stripe_invoice_id = r.stripe_invoice_id
WHERE r.state IN ('charged', 'unpaid', 'withdrawn')
  AND r.livemode = :livemode::boolean
  AND i.stripe_status = 'paid'
  AND (
      i.amount_paid > i.amount_refunded + i.amount_credited
      -- by the customer's balance; what was credited before it was paid was paid by nobody
      OR (
          i.amount_paid = 0
          AND NOT EXISTS (
              SELECT 1
              FROM stripe_credit_notes AS n
              WHERE n.stripe_invoice_id = i.stripe_invoice_id
                AND n.status = 'issued'
              OFFSET 0
          )
      )
  )
UNION ALL
SELECT
    free.id,
    free.attempt,
    FALSE,
    NULL,
    NULL
FROM billing_domain_renewals AS free
WHERE free.next_attempt_at IS NOT NULL
  AND free.livemode = :livemode::boolean
  AND free.state = 'due'
  AND free.amount = 0;

-- name: note_paid(ids)
-- Each is to be renewed, or registered: paid_until is null then. Out of redemption it would cost more. Of the years
-- of a domain one after the other is paid, however many are.
WITH found AS MATERIALIZED (
    SELECT DISTINCT ON (payable.domain_id)
        payable.id,
        payable.domain_id,
        payable.expires_on
    FROM billing_domain_renewals AS payable
    WHERE payable.id = ANY(:ids::uuid[])
      AND NOT EXISTS (
          SELECT 1
          FROM billing_domain_renewals AS open
          WHERE open.domain_id = payable.domain_id
            AND open.id <> payable.id
            AND open.state IN ('due', 'charged', 'paid')
      )
    ORDER BY payable.domain_id, payable.expires_on NULLS FIRST
),
paid AS (
    UPDATE billing_domain_renewals AS r
    SET state = 'paid',
        paid_at = now(),
        failures = 0,
        last_error = NULL,
        next_attempt_at = NULL,
        leased_until = NULL,
        updated_at = now()
    FROM found
    WHERE r.id = found.id
      AND r.state IN ('due', 'charged', 'unpaid', 'withdrawn')
    RETURNING r.domain_id, r.expires_on
)
SELECT
    own.id,
    own.name,
    (paid.expires_on + interval '1 year') AT TIME ZONE 'UTC' AS paid_until,
    own.state IN ('active', 'renewing', 'expired') AS is_renewable
FROM paid
JOIN billing_domains AS own
    ON own.id = paid.domain_id;

-- name: note_unpaid(now, livemode)
-- Nobody has paid in time: the domain expires, and is not renewed at our cost.
WITH over AS MATERIALIZED (
    SELECT r.id
    FROM billing_domain_renewals AS r
    JOIN billing_domains AS own
        ON own.id = r.domain_id
    LEFT JOIN subscriptions AS plan
        ON plan.id = own.subscription_id
    WHERE r.state IN ('due', 'charged')
      AND r.livemode = :livemode::boolean
      AND (
          r.pay_by <= :now::timestamptz
          OR CASE
              -- without the plan there is no tenant for a name that was chosen
              WHEN r.expires_on IS NULL
                  THEN own.state <> 'ordered' OR (plan.status IN ('pending', 'active', 'suspended')) IS NOT TRUE
              ELSE own.state NOT IN ('active', 'renewing', 'expired')
          END
      )
)
UPDATE billing_domain_renewals AS r
SET state = 'unpaid',
    next_attempt_at = :now::timestamptz,
    updated_at = now()
FROM over
WHERE r.id = over.id
  AND r.state IN ('due', 'charged')
RETURNING r.id;

-- name: note_expired(now)
-- Where the registrar can never say it.
UPDATE billing_domains AS own
SET state = 'expired',
    version = own.version + 1,
    updated_at = now()
WHERE own.state = 'active'
  AND own.driver IS NOT NULL
  AND own.inspected_at IS NULL
  AND own.expires_at <= :now::timestamptz
RETURNING own.name;

-- name: note_settled(now, livemode)
-- What became of what was paid: the registrar's expiry has moved, or the registrar does not renew it. Then
-- nothing is paid for any more, so that no later run renews it at our cost. Of a name that was chosen: the
-- registrar has it, or it could not be obtained, or the plan has ended before it was asked for.
WITH paid AS MATERIALIZED (
    SELECT
        r.id,
        r.domain_id,
        r.expires_on IS NULL AS is_first,
        CASE
            WHEN r.expires_on IS NULL THEN CASE
                WHEN own.state IN ('active', 'renewing', 'expired', 'redemption', 'transferred_out') THEN 'renewed'
                WHEN own.state IN ('failed', 'released') THEN 'refused'
                WHEN own.state = 'ordered' AND (plan.status IN ('pending', 'active', 'suspended')) IS NOT TRUE THEN 'refused'
            END
            WHEN (own.expires_at AT TIME ZONE 'UTC')::date > r.expires_on + 300 THEN 'renewed'
            -- what the registrar still needs of the customer can be told
            WHEN own.stopped_at IS NOT NULL AND own.pending_action IS NULL AND own.needs = '{}' THEN 'refused'
            WHEN own.state NOT IN ('active', 'renewing', 'expired') THEN 'refused'
        END AS outcome,
        coalesce(
            own.last_error,
            (
                SELECT c.error
                FROM billing_registrar_calls AS c
                WHERE c.domain_id = own.id
                  AND c.outcome = 'permanent'
                ORDER BY c.id DESC
                LIMIT 1
            ),
            'it is ' || own.state
        ) AS reason
    FROM billing_domain_renewals AS r
    JOIN billing_domains AS own
        ON own.id = r.domain_id
    LEFT JOIN subscriptions AS plan
        ON plan.id = own.subscription_id
    WHERE r.state = 'paid'
      AND r.livemode = :livemode::boolean
    FOR NO KEY UPDATE OF own
),
settled AS (
    UPDATE billing_domain_renewals AS r
    SET state = paid.outcome,
        renewed_at = CASE WHEN paid.outcome = 'renewed' THEN now() END,
        last_error = CASE
            WHEN paid.outcome <> 'refused' THEN NULL
            WHEN paid.is_first THEN 'it could not be obtained: ' || paid.reason
            ELSE 'the registrar does not renew it: ' || paid.reason
        END,
        next_attempt_at = CASE WHEN paid.outcome = 'refused' THEN :now::timestamptz END,
        updated_at = now()
    FROM paid
    WHERE r.id = paid.id
      AND r.state = 'paid'
      AND paid.outcome IS NOT NULL
    RETURNING r.domain_id, r.state, paid.is_first
),
lost AS (
    -- nor is it asked for any more
    UPDATE billing_domains AS own
    SET state = 'failed',
        updated_at = now()
    FROM settled
    WHERE own.id = settled.domain_id
      AND settled.state = 'refused'
      AND settled.is_first
      AND own.state = 'ordered'
),
called_off AS (
    UPDATE billing_domains AS own
    SET state = CASE
            WHEN own.state <> 'renewing' THEN own.state
            WHEN own.expires_at <= :now::timestamptz THEN 'expired'
            ELSE 'active'
        END,
        paid_until = NULL,
        version = own.version + 1,
        stopped_at = NULL,
        attempts = 0,
        next_attempt_at = :now::timestamptz,
        updated_at = now()
    FROM settled
    WHERE own.id = settled.domain_id
      AND settled.state = 'refused'
      AND NOT settled.is_first
)
SELECT
    settled.domain_id,
    settled.state
FROM settled;
