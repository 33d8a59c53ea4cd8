-- Changes requested from Stripe for a customer; one at a time per subscription or invoice.

-- Tables: billing_changes, billing_planned_changes
--
-- CREATE TABLE billing_changes (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     subscription_id uuid,
--     invoice_id uuid,
--     customer_id uuid,
--     subject_id uuid GENERATED ALWAYS AS (COALESCE(subscription_id, invoice_id, customer_id)) STORED NOT NULL,
--     kind text NOT NULL,
--     request_key text,
--     request_hash bytea NOT NULL,
--     params jsonb NOT NULL,
--     attempt integer DEFAULT 1 NOT NULL,
--     attempted_at timestamp with time zone DEFAULT now() NOT NULL,
--     state text NOT NULL,
--     stripe_id text,
--     last_error text,
--     leased_until timestamp with time zone,
--     may_be_made boolean DEFAULT false NOT NULL,
--     end_service text,
--     service_ended_at timestamp with time zone,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_changes_attempt_check CHECK ((attempt > 0)),
--     CONSTRAINT billing_changes_check CHECK ((num_nonnulls(subscription_id, invoice_id, customer_id) = 1)),
--     CONSTRAINT billing_changes_check1 CHECK (((kind = ANY (ARRAY['refund'::text, 'credit_note'::text, 'finalize_invoice'::text, 'pay_invoice'::text, 'mark_paid'::text, 'void_invoice'::text, 'mark_uncollectible'::text, 'delete_invoice'::text])) = (invoice_id IS NOT NULL))),
--     CONSTRAINT billing_changes_check2 CHECK (((kind = ANY (ARRAY['balance'::text, 'invoice'::text])) = (customer_id IS NOT NULL))),
--     CONSTRAINT billing_changes_check3 CHECK (((end_service IS NULL) OR (invoice_id IS NOT NULL))),
--     CONSTRAINT billing_changes_check4 CHECK (((state = 'asking'::text) = (leased_until IS NOT NULL))),
--     CONSTRAINT billing_changes_end_service_check CHECK ((end_service = ANY (ARRAY['now'::text, 'period_end'::text]))),
--     CONSTRAINT billing_changes_kind_check CHECK ((kind = ANY (ARRAY['change_plan'::text, 'undo_change'::text, 'change_price'::text, 'take_offer'::text, 'apply_coupon'::text, 'remove_coupon'::text, 'enable_tax'::text, 'pause'::text, 'trial'::text, 'cancel'::text, 'resume'::text, 'revive'::text, 'charge'::text, 'withdraw_charge'::text, 'replace_domain'::text, 'refund'::text, 'credit_note'::text, 'finalize_invoice'::text, 'pay_invoice'::text, 'mark_paid'::text, 'void_invoice'::text, 'mark_uncollectible'::text, 'delete_invoice'::text, 'balance'::text, 'invoice'::text]))),
--     CONSTRAINT billing_changes_state_check CHECK ((state = ANY (ARRAY['asking'::text, 'unanswered'::text, 'done'::text, 'failed'::text])))
-- );
-- ALTER TABLE ONLY billing_changes ADD CONSTRAINT billing_changes_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY billing_changes ADD CONSTRAINT billing_changes_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY billing_changes ADD CONSTRAINT billing_changes_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoices(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY billing_changes ADD CONSTRAINT billing_changes_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE UNIQUE INDEX billing_changes_asking_key ON billing_changes USING btree (subject_id) WHERE (state = 'asking'::text);
-- CREATE INDEX billing_changes_coupon_idx ON billing_changes USING btree (((params ->> 'coupon_code'::text))) WHERE ((params ->> 'coupon_code'::text) IS NOT NULL);
-- CREATE INDEX billing_changes_customer_idx ON billing_changes USING btree (customer_id);
-- CREATE INDEX billing_changes_invoice_idx ON billing_changes USING btree (invoice_id);
-- CREATE UNIQUE INDEX billing_changes_request_key_key ON billing_changes USING btree (request_key) WHERE (request_key IS NOT NULL);
-- CREATE INDEX billing_changes_service_idx ON billing_changes USING btree (updated_at) WHERE ((end_service IS NOT NULL) AND (service_ended_at IS NULL) AND ((state <> 'failed'::text) OR may_be_made));
-- CREATE INDEX billing_changes_subject_idx ON billing_changes USING btree (subject_id, created_at);
-- CREATE INDEX billing_changes_subscription_idx ON billing_changes USING btree (subscription_id);
--
-- CREATE TABLE billing_planned_changes (
--     stripe_schedule_id text NOT NULL,
--     subscription_id uuid NOT NULL,
--     plan_code text NOT NULL,
--     billing_cycle text NOT NULL,
--     addon_codes text[] NOT NULL,
--     quantities jsonb DEFAULT '{}'::jsonb NOT NULL,
--     effective_at timestamp with time zone NOT NULL,
--     subtotal bigint NOT NULL,
--     amount bigint NOT NULL,
--     planned_at timestamp with time zone,
--     created_at timestamp with time zone DEFAULT now() NOT NULL
-- );
-- ALTER TABLE ONLY billing_planned_changes ADD CONSTRAINT billing_planned_changes_pkey PRIMARY KEY (stripe_schedule_id);
-- ALTER TABLE ONLY billing_planned_changes ADD CONSTRAINT billing_planned_changes_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX billing_planned_changes_subscription_idx ON billing_planned_changes USING btree (subscription_id);
-- CREATE INDEX billing_planned_changes_unplanned_idx ON billing_planned_changes USING btree (created_at) WHERE (planned_at IS NULL);

-- name: lock_subject(subject_id)!
-- Serialises checking for a running change and starting one.
SELECT pg_advisory_xact_lock(hashtextextended('change:' || :subject_id::uuid::text, 0));

-- name: release_expired(subject_id)!
-- If a process died during its request, it is unknown what Stripe did.
UPDATE billing_changes
SET state = 'unanswered',
    leased_until = NULL,
    updated_at = now()
WHERE subject_id = :subject_id::uuid
  AND state = 'asking'
  AND leased_until < now();

-- name: find_by_key(request_key, resumable_seconds)^
-- An attempt without a response counts as failed once Stripe has forgotten its idempotency key, but may be
-- made nevertheless.
SELECT
    c.id,
    c.subject_id,
    c.kind,
    c.request_hash,
    c.params,
    c.attempt,
    CASE
        WHEN (c.state = 'unanswered' OR c.leased_until < now())
            AND c.attempted_at <= now() - make_interval(secs => :resumable_seconds::float8) THEN 'failed'
        ELSE c.state
    END AS state,
    c.stripe_id,
    c.end_service,
    c.may_be_made OR c.state <> 'failed' AS may_be_made
FROM billing_changes AS c
WHERE c.request_key = :request_key;

-- name: sum_given_back(change_id, subscription_id)^
-- What the refunds and credit notes of a change have given back, in minor units: their keys begin with its id.
SELECT
    coalesce(sum((c.params ->> 'amount')::bigint) FILTER (WHERE c.kind = 'refund'), 0)::bigint AS refunded,
    coalesce(sum((c.params ->> 'amount')::bigint) FILTER (WHERE c.kind = 'credit_note'), 0)::bigint AS credited
FROM invoices AS i
JOIN billing_changes AS c
    ON c.subject_id = i.id
WHERE i.subscription_id = :subscription_id::uuid
  AND c.request_key LIKE :change_id::uuid || '-%'
  AND c.state = 'done';

-- name: find_repeated(subject_id, request_hash, repeatable_seconds, resumable_seconds)^
-- The latest change that the same request without a key repeats: one that is not known to be done,
-- or one done so recently that a second one is probably a mistake. If the subscription was changed
-- again since then, it is not a repeat: for the old key, Stripe would return its old response.
SELECT
    c.id,
    c.subject_id,
    c.kind,
    c.request_hash,
    c.params,
    c.attempt,
    c.state,
    c.stripe_id,
    c.end_service,
    c.may_be_made
FROM billing_changes AS c
WHERE c.subject_id = :subject_id::uuid
  AND c.request_hash = :request_hash
  AND c.request_key IS NULL
  AND (
      (
          c.state IN ('asking', 'unanswered', 'failed')
          AND c.attempted_at > now() - make_interval(secs => :resumable_seconds::float8)
          AND NOT EXISTS (
              SELECT 1
              FROM billing_changes AS later
              WHERE later.subject_id = c.subject_id
                AND later.subscription_id IS NOT NULL
                AND later.state = 'done'
                AND later.updated_at > c.attempted_at
          )
      )
      OR (
          c.state = 'done'
          AND c.updated_at > now() - make_interval(secs => :repeatable_seconds::float8)
      )
  )
ORDER BY c.created_at DESC
LIMIT 1;

-- name: get_running_seconds(subject_id)$
-- How long the running change may still take; null if none is running.
SELECT extract(epoch FROM c.leased_until - now())::float8
FROM billing_changes AS c
WHERE c.subject_id = :subject_id::uuid
  AND c.state = 'asking';

-- name: insert_change(subscription_id, invoice_id, customer_id, kind, request_key, request_hash, params, lease_seconds, end_service)^
-- Returns nothing if the key has just been used for something else.
INSERT INTO billing_changes AS c (
    subscription_id,
    invoice_id,
    customer_id,
    kind,
    request_key,
    request_hash,
    params,
    state,
    leased_until,
    end_service
)
VALUES (
    :subscription_id::uuid,
    :invoice_id::uuid,
    :customer_id::uuid,
    :kind,
    :request_key::text,
    :request_hash,
    :params::jsonb,
    'asking',
    now() + make_interval(secs => :lease_seconds::float8),
    :end_service::text
)
ON CONFLICT (request_key) WHERE request_key IS NOT NULL DO NOTHING
RETURNING
    c.id,
    c.subject_id,
    c.kind,
    c.request_hash,
    c.params,
    c.attempt,
    c.state,
    c.stripe_id,
    c.end_service,
    c.may_be_made;

-- name: take_up(id, attempt, params, lease_seconds)^
-- The same attempt keeps its parameters and so gets Stripe's first response; the next one has its
-- own.
UPDATE billing_changes AS c
SET state = 'asking',
    attempt = :attempt,
    attempted_at = CASE WHEN c.attempt = :attempt THEN c.attempted_at ELSE now() END,
    params = :params::jsonb,
    leased_until = now() + make_interval(secs => :lease_seconds::float8),
    updated_at = now()
WHERE c.id = :id::uuid
RETURNING
    c.id,
    c.subject_id,
    c.kind,
    c.request_hash,
    c.params,
    c.attempt,
    c.state,
    c.stripe_id,
    c.end_service,
    c.may_be_made;

-- name: note_done(id)!
-- A change whose result is there, although its last attempt failed as far as anyone knew.
UPDATE billing_changes AS c
SET state = 'done',
    last_error = NULL,
    updated_at = now()
WHERE c.id = :id::uuid
  AND c.state IN ('failed', 'unanswered');

-- name: close_change(id, attempt, state, stripe_id, error, may_be_made)!
-- Does nothing once another process has taken the change over.
UPDATE billing_changes AS c
SET state = :state,
    stripe_id = coalesce(:stripe_id::text, c.stripe_id),
    last_error = :error::text,
    may_be_made = :may_be_made::boolean,
    leased_until = NULL,
    updated_at = now()
WHERE c.id = :id::uuid
  AND c.attempt = :attempt
  AND c.state = 'asking';

-- name: note_schedule(stripe_schedule_id, subscription_id, plan_code, billing_cycle, addon_codes, quantities, effective_at, subtotal, amount)!
-- Before the schedule has its phases: from now on it is known to be ours.
INSERT INTO billing_planned_changes (
    stripe_schedule_id,
    subscription_id,
    plan_code,
    billing_cycle,
    addon_codes,
    quantities,
    effective_at,
    subtotal,
    amount
)
VALUES (
    :stripe_schedule_id,
    :subscription_id::uuid,
    :plan_code,
    :billing_cycle,
    :addon_codes::text[],
    :quantities::jsonb,
    :effective_at::timestamptz,
    :subtotal,
    :amount
)
ON CONFLICT (stripe_schedule_id) DO NOTHING;

-- name: note_planned(stripe_schedule_id)!
UPDATE billing_planned_changes
SET planned_at = coalesce(planned_at, now())
WHERE stripe_schedule_id = :stripe_schedule_id;

-- name: has_taken_offer(subscription_id, request_key, request_hash)$
-- Counts those that Stripe may have made, too. The request itself does not: whether its own earlier attempt
-- was made shows in the discounts that the subscription has.
SELECT EXISTS (
    SELECT 1
    FROM billing_changes AS c
    WHERE c.subject_id = :subscription_id::uuid
      AND c.kind = 'take_offer'
      AND (c.state <> 'failed' OR c.may_be_made)
      AND (
          c.state = 'done'
          OR c.request_key IS DISTINCT FROM :request_key::text
          OR c.request_hash IS DISTINCT FROM :request_hash::bytea
      )
);

-- name: knows_charge(subscription_id, stripe_id)$
SELECT EXISTS (
    SELECT 1
    FROM billing_changes AS c
    WHERE c.subject_id = :subscription_id::uuid
      AND (
          (c.kind = 'charge' AND c.stripe_id = :stripe_id)
          OR (c.kind = 'withdraw_charge' AND c.params ->> 'charge' = :stripe_id)
      )
);

-- name: list_unplanned(livemode, most)
-- Schedules that were made, and of which it is not known whether Stripe took the change: whoever asked for
-- it did not come back. The minutes leave the time to those who are still at it.
SELECT
    p.stripe_schedule_id,
    p.subscription_id,
    s.stripe_subscription_id
FROM billing_planned_changes AS p
JOIN subscriptions AS s
    ON s.stripe_schedule_id = p.stripe_schedule_id
WHERE p.planned_at IS NULL
  AND s.livemode = :livemode::boolean
  AND p.created_at < now() - interval '5 minutes'
  AND NOT EXISTS (
      SELECT 1
      FROM billing_changes AS c
      WHERE c.subject_id = p.subscription_id
        AND c.state = 'asking'
        AND c.leased_until > now()
  )
ORDER BY p.created_at
LIMIT :most;

-- name: note_made(id, stripe_id)$
-- Its result was found at Stripe, although no response has come. Returns nothing if that is known.
UPDATE billing_changes
SET state = 'done',
    stripe_id = :stripe_id,
    last_error = NULL,
    may_be_made = FALSE,
    leased_until = NULL,
    updated_at = now()
WHERE id = :id::uuid
  AND state <> 'done'
RETURNING id;

-- name: set_end_service(id, end_service)!
-- The same refund is requested again, and now the service is to end otherwise.
UPDATE billing_changes
SET end_service = :end_service::text,
    service_ended_at = NULL,
    updated_at = now()
WHERE id = :id::uuid;

-- name: mark_service_ended(id)!
UPDATE billing_changes
SET service_ended_at = now()
WHERE id = :id::uuid
  AND service_ended_at IS NULL;

-- name: list_unended(livemode, most)
-- Money that is back, or may be, of subscriptions that should have ended with it: who asked for it did
-- not come back. The minute leaves the time to those who are still at it. What has not been made in a
-- day is not made any more.
SELECT
    c.id,
    c.subject_id,
    c.kind,
    c.request_hash,
    c.params,
    c.attempt,
    c.state,
    c.stripe_id,
    c.end_service,
    c.may_be_made
FROM billing_changes AS c
JOIN invoices AS i
    ON i.id = c.invoice_id
WHERE c.end_service IS NOT NULL
  AND i.livemode = :livemode::boolean
  AND c.service_ended_at IS NULL
  AND (c.state <> 'failed' OR c.may_be_made)
  AND c.updated_at < now() - interval '1 minute'
  AND (c.state = 'done' OR c.attempted_at > now() - interval '1 day')
  AND (c.leased_until < now()) IS NOT FALSE
ORDER BY c.updated_at
LIMIT :most;

-- name: find_subscription_of(invoice_id)$
SELECT i.subscription_id
FROM invoices AS i
WHERE i.id = :invoice_id::uuid;
