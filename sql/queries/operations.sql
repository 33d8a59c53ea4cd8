-- What operators see and do about provisioning.

-- Tables: provisioning_holds
--
-- CREATE TABLE provisioning_holds (
--     id bigint NOT NULL,
--     subscription_id uuid NOT NULL,
--     reason text NOT NULL,
--     placed_by text NOT NULL,
--     placed_at timestamp with time zone DEFAULT now() NOT NULL,
--     lifted_by text,
--     lifted_at timestamp with time zone,
--     CONSTRAINT provisioning_holds_check CHECK (((lifted_by IS NULL) = (lifted_at IS NULL))),
--     CONSTRAINT provisioning_holds_reason_check CHECK ((reason <> ''::text))
-- );
-- ALTER TABLE ONLY provisioning_holds ADD CONSTRAINT provisioning_holds_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY provisioning_holds ADD CONSTRAINT provisioning_holds_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE UNIQUE INDEX provisioning_holds_standing_key ON provisioning_holds USING btree (subscription_id) WHERE (lifted_at IS NULL);
-- CREATE INDEX provisioning_holds_subscription_idx ON provisioning_holds USING btree (subscription_id, id);

-- name: find_subscription(name)$
-- By our id or Stripe's.
SELECT s.id
FROM subscriptions AS s
WHERE s.billing_provider = 'stripe'
  AND (
      s.stripe_subscription_id = :name
      OR s.id = CASE WHEN pg_input_is_valid(:name, 'uuid') THEN :name::text::uuid END
  );

-- name: list_stuck(after, most)
-- By id, in pages: each finds its own by the two indexes of what may be stuck.
WITH page AS (
    (
        SELECT w.subscription_id
        FROM provisioning_work AS w
        WHERE w.last_error IS NOT NULL
          AND w.subscription_id > :after::uuid
        ORDER BY w.subscription_id
        LIMIT :most::integer
    )
    UNION
    (
        SELECT w.subscription_id
        FROM provisioning_work AS w
        WHERE (w.version > w.done_version) IS TRUE
          AND w.updated_at < now() - interval '5 minutes'
          AND w.subscription_id > :after::uuid
        ORDER BY w.subscription_id
        LIMIT :most::integer
    )
    ORDER BY subscription_id
    LIMIT :most::integer
)
SELECT
    s.id AS subscription_id,
    s.stripe_subscription_id,
    s.status,
    s.stripe_status,
    coalesce(t.billing_former_domain, t.domain) AS domain,
    w.attempts,
    coalesce(w.last_error, 'not done yet') AS error,
    w.wake_at,
    hold.reason AS hold_reason,
    w.version > w.done_version AS unfinished
FROM page
JOIN provisioning_work AS w
    ON w.subscription_id = page.subscription_id
JOIN subscriptions AS s
    ON s.id = w.subscription_id
LEFT JOIN tenants AS t
    ON t.id = s.tenant_id
LEFT JOIN provisioning_holds AS hold
    ON hold.subscription_id = w.subscription_id
    AND hold.lifted_at IS NULL
ORDER BY w.subscription_id;

-- name: list_holds()
SELECT
    hold.subscription_id,
    hold.reason,
    hold.placed_by,
    hold.placed_at
FROM provisioning_holds AS hold
WHERE hold.lifted_at IS NULL
ORDER BY hold.placed_at;

-- name: get_hold(subscription_id)^
-- An operator's suspension, if one is in force.
SELECT
    hold.reason,
    hold.placed_by,
    hold.placed_at
FROM provisioning_holds AS hold
WHERE hold.subscription_id = :subscription_id::uuid
  AND hold.lifted_at IS NULL;

-- name: list_services(subscription_id)
SELECT
    service.product_type,
    service.desired,
    service.actual,
    service.driver,
    service.server,
    service.external_ref,
    service.pending_action,
    service.stopped,
    service.suspended_by_service,
    service.attempts,
    service.last_error,
    service.next_attempt_at
FROM tenant_services AS service
WHERE service.subscription_id = :subscription_id::uuid
ORDER BY service.product_type;

-- name: list_calls(subscription_id, most)
-- The latest calls to drivers, in order.
SELECT
    call.created_at,
    call.product_type,
    call.driver,
    call.action,
    call.outcome,
    call.error,
    call.duration_ms,
    call.idempotency_key
FROM (
    SELECT
        l.id,
        l.created_at,
        l.product_type,
        l.driver,
        l.action,
        l.outcome,
        l.error,
        l.duration_ms,
        l.idempotency_key
    FROM provisioning_log AS l
    WHERE l.subscription_id = :subscription_id::uuid
    ORDER BY l.id DESC
    LIMIT :most
) AS call
ORDER BY call.id;

-- name: release_services(subscription_id)!
-- Retries all services that are not in their desired state.
UPDATE tenant_services
SET stopped = NULL,
    attempts = 0,
    next_attempt_at = NULL,
    updated_at = now()
WHERE subscription_id = :subscription_id::uuid
  AND (stopped IS NOT NULL OR next_attempt_at IS NOT NULL);

-- name: renew_work(subscription_id)$
-- A new version of unchanged work; null if there is nothing to provision.
UPDATE provisioning_work AS w
SET version = w.version + 1,
    attempts = 0,
    wake_at = now() + interval '1 minute',
    updated_at = now()
WHERE w.subscription_id = :subscription_id::uuid
RETURNING w.version;

-- name: renew_works_of_customer(subscription_id)
-- As renew_work, for all subscriptions of the customer of this one.
UPDATE provisioning_work AS w
SET version = w.version + 1,
    attempts = 0,
    wake_at = now() + interval '1 minute',
    updated_at = now()
FROM (
    SELECT locked.subscription_id
    FROM subscriptions AS s
    JOIN subscriptions AS other
        ON other.customer_id = s.customer_id
        AND other.billing_provider = 'stripe'
    JOIN provisioning_work AS locked
        ON locked.subscription_id = other.id
    WHERE s.id = :subscription_id::uuid
    -- in the order in which everything else locks them
    ORDER BY locked.subscription_id
    FOR UPDATE OF locked
) AS theirs
WHERE w.subscription_id = theirs.subscription_id
RETURNING w.subscription_id, w.version;

-- name: add_leniency(subscription_id, whole_customer, grace_days, not_before, reason, set_by)$
-- Null: the subscription has no customer yet.
INSERT INTO billing_leniency (subscription_id, customer_id, grace_days, not_before, reason, set_by)
SELECT
    CASE WHEN NOT :whole_customer::boolean THEN s.id END,
    CASE WHEN :whole_customer::boolean THEN s.customer_id END,
    :grace_days::integer,
    :not_before::timestamptz,
    :reason,
    :set_by
FROM subscriptions AS s
WHERE s.id = :subscription_id::uuid
  AND (s.customer_id IS NOT NULL OR NOT :whole_customer::boolean)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: end_leniency(subscription_id, whole_customer)$
DELETE FROM billing_leniency AS agreed
WHERE agreed.subscription_id = CASE WHEN NOT :whole_customer::boolean THEN :subscription_id::uuid END
   OR agreed.customer_id = CASE
       WHEN :whole_customer::boolean THEN (
           SELECT s.customer_id
           FROM subscriptions AS s
           WHERE s.id = :subscription_id::uuid
       )
   END
RETURNING agreed.reason;

-- name: list_leniency(subscription_id)
-- What applies to a subscription: its own, then its customer's.
SELECT
    agreed.subscription_id IS NULL AS whole_customer,
    agreed.grace_days,
    agreed.not_before,
    agreed.reason,
    agreed.set_by,
    agreed.set_at
FROM billing_leniency AS agreed
JOIN subscriptions AS s
    ON agreed.subscription_id = s.id
    OR agreed.customer_id = s.customer_id
WHERE s.id = :subscription_id::uuid
ORDER BY whole_customer;

-- name: get_outside_price(id)^
-- By its id, or by that of an item at it: who has it, whether the catalogue has it, why it is ignored.
WITH named AS (
    SELECT coalesce((
        SELECT i.stripe_price_id
        FROM subscription_items AS i
        WHERE i.stripe_subscription_item_id = :id::text
    ), :id::text) AS stripe_price_id
)
SELECT
    named.stripe_price_id,
    has.stripe_product_id,
    has.subscriptions,
    ignored.reason,
    ignored.set_by,
    ignored.set_at,
    EXISTS (
        SELECT 1
        FROM prices AS sold
        WHERE sold.stripe_price_id = named.stripe_price_id
    )
    OR EXISTS (
        SELECT 1
        FROM products AS p
        WHERE p.stripe_product_id = has.stripe_product_id
          AND p.code IS NOT NULL
    ) AS is_in_catalogue
FROM named
CROSS JOIN LATERAL (
    SELECT
        count(DISTINCT i.subscription_id) AS subscriptions,
        min(i.stripe_product_id) AS stripe_product_id
    FROM subscription_items AS i
    JOIN subscriptions AS s
        ON s.id = i.subscription_id
        AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')
    WHERE i.price_id IS NULL
      AND i.stripe_price_id = named.stripe_price_id
) AS has
LEFT JOIN billing_ignored_prices AS ignored
    ON ignored.stripe_price_id = named.stripe_price_id;

-- name: list_ignored_prices(most)
SELECT
    ignored.stripe_price_id,
    ignored.reason,
    ignored.set_by,
    ignored.set_at
FROM billing_ignored_prices AS ignored
ORDER BY ignored.set_at DESC, ignored.stripe_price_id
LIMIT :most;

-- name: ignore_price(stripe_price_id, reason, set_by)$
-- Null: the catalogue has the price or its product, so that items give what the product gives. A
-- repeat keeps the first reason.
INSERT INTO billing_ignored_prices AS ignored (stripe_price_id, reason, set_by)
SELECT :stripe_price_id, :reason, :set_by
WHERE NOT EXISTS (
    SELECT 1
    FROM prices AS p
    WHERE p.stripe_price_id = :stripe_price_id
)
AND NOT EXISTS (
    SELECT 1
    FROM subscription_items AS i
    JOIN products AS p
        ON p.stripe_product_id = i.stripe_product_id
        AND p.code IS NOT NULL
    WHERE i.price_id IS NULL
      AND i.stripe_price_id = :stripe_price_id
)
ON CONFLICT (stripe_price_id) DO UPDATE
SET reason = ignored.reason
RETURNING ignored.stripe_price_id;

-- name: heed_price(stripe_price_id)$
DELETE FROM billing_ignored_prices
WHERE stripe_price_id = :stripe_price_id
RETURNING reason;

-- name: renew_works_of_price(stripe_price_id, after, most)
-- As renew_work, for a page of the subscriptions with an item at a price that the catalogue does not
-- have; version is null for those that have no work.
WITH page AS MATERIALIZED (
    SELECT DISTINCT i.subscription_id
    FROM subscription_items AS i
    WHERE i.price_id IS NULL
      AND i.stripe_price_id = :stripe_price_id
      AND i.subscription_id > :after::uuid
    ORDER BY i.subscription_id
    LIMIT :most::integer
),
locked AS MATERIALIZED (
    SELECT w.subscription_id
    FROM provisioning_work AS w
    JOIN page
        ON page.subscription_id = w.subscription_id
    ORDER BY w.subscription_id
    FOR UPDATE OF w
),
renewed AS (
    UPDATE provisioning_work AS w
    SET version = w.version + 1,
        attempts = 0,
        wake_at = now() + interval '1 minute',
        updated_at = now()
    FROM locked
    WHERE w.subscription_id = locked.subscription_id
    RETURNING w.subscription_id, w.version
)
SELECT page.subscription_id, renewed.version
FROM page
LEFT JOIN renewed
    ON renewed.subscription_id = page.subscription_id
ORDER BY page.subscription_id;

-- name: place_hold(subscription_id, reason, placed_by)$
INSERT INTO provisioning_holds (subscription_id, reason, placed_by)
VALUES (:subscription_id::uuid, :reason, :placed_by)
ON CONFLICT (subscription_id) WHERE lifted_at IS NULL DO NOTHING
RETURNING id;

-- name: lift_hold(subscription_id, lifted_by)$
UPDATE provisioning_holds
SET lifted_by = :lifted_by,
    lifted_at = now()
WHERE subscription_id = :subscription_id::uuid
  AND lifted_at IS NULL
RETURNING reason;

-- name: skip_service(subscription_id, product_type)$
UPDATE tenant_services
SET stopped = 'skipped',
    last_error = NULL,
    next_attempt_at = NULL,
    updated_at = now()
WHERE subscription_id = :subscription_id::uuid
  AND product_type = :product_type
RETURNING product_type;

-- name: settle_trouble(subscription_id)$
UPDATE provisioning_work AS w
SET trouble = NULL,
    last_error = nullif(w.last_error, w.trouble),
    updated_at = now()
WHERE w.subscription_id = :subscription_id::uuid
  AND w.trouble IS NOT NULL
RETURNING TRUE;

-- name: keep_orders(subscription_id)$
-- The buyer wants this order and the one that it was taken for a change of.
UPDATE orders
SET left_open = '{}',
    superseded_at = NULL
WHERE subscription_id = :subscription_id::uuid
  AND (left_open <> '{}' OR superseded_at IS NOT NULL)
RETURNING TRUE;

-- name: list_accounts(after_subscription, after_type, most)
-- The accounts that drivers should have, in pages; those with a command of unknown outcome are left
-- to the worker.
SELECT
    service.subscription_id,
    service.product_type,
    service.driver,
    service.server,
    service.external_ref,
    service.actual,
    service.resources,
    service.generation,
    service.account_id,
    service.suspended_by_service
FROM tenant_services AS service
WHERE (service.subscription_id, service.product_type) > (:after_subscription::uuid, :after_type::text)
  AND service.pending_action IS NULL
ORDER BY service.subscription_id, service.product_type
LIMIT :most;

-- name: adopt_finding(subscription_id, product_type, generation, actual, external_ref, resources, suspended_by_service, found_generation)$
-- The row follows the account, unless another process has changed it since. After a restored backup
-- the service may have seen a higher generation than the row has. The error of an earlier command says
-- nothing about the account as it is: one that needs no command any more would keep it for ever.
UPDATE tenant_services AS service
SET actual = :actual,
    last_error = NULL,
    external_ref = coalesce(:external_ref, service.external_ref),
    resources = coalesce(:resources, service.resources),
    suspended_by_service = :suspended_by_service,
    generation = greatest(service.generation, :found_generation::bigint),
    updated_at = now()
FROM provisioning_work AS w
WHERE service.subscription_id = :subscription_id::uuid
  AND service.product_type = :product_type
  AND service.generation = :generation
  AND service.pending_action IS NULL
  AND w.subscription_id = service.subscription_id
  AND (w.leased_until IS NULL OR w.leased_until < now())
RETURNING TRUE;

-- name: list_timeline(subscription_ids)
-- The history of each subscription: an entry has what was so at that time. `detail` is for everybody, `state` has what an
-- event said of its object, dates, and what only those are told who may see money.
SELECT
    history.at,
    history.kind,
    history.what,
    history.detail,
    history.state
FROM unnest(:subscription_ids::uuid[]) AS asked (id)
CROSS JOIN LATERAL (
    WITH subject AS (
        SELECT
            s.id,
            s.stripe_subscription_id,
            s.stripe_customer_id,
            s.tenant_id,
            s.created_at AT TIME ZONE 'UTC' AS created_at
        FROM subscriptions AS s
        WHERE s.id = asked.id
    ),
    sessions AS MATERIALIZED (
        SELECT
            c.attempt,
            c.stripe_session_id,
            c.status,
            c.stripe_as_of_since,
            c.created_at,
            c.updated_at
        FROM checkout_sessions AS c
        JOIN subject ON c.subscription_id = subject.id
    ),
    bills AS MATERIALIZED (
        SELECT
            i.id,
            i.stripe_invoice_id,
            i.stripe_customer_id,
            i.stripe_created,
            i.amount_due,
            i.attempt_count,
            p.stripe_invoice_payment_id,
            coalesce(p.stripe_payment_intent_id, i.stripe_payment_intent_id) AS stripe_payment_intent_id
        FROM invoices AS i
        JOIN subject ON i.subscription_id = subject.id
        LEFT JOIN invoice_payments AS p
            ON p.stripe_invoice_id = i.stripe_invoice_id
    ),
    intents AS MATERIALIZED (
        SELECT bills.stripe_payment_intent_id AS id
        FROM bills
        WHERE bills.stripe_payment_intent_id IS NOT NULL
        UNION
        -- as billing_declined_v1: Stripe tells of an invoice's payment once it is paid
        SELECT c.stripe_payment_intent_id
        FROM bills
        JOIN stripe_charges AS c
            ON c.stripe_customer_id = bills.stripe_customer_id
            AND c.stripe_created >= bills.stripe_created
            AND c.amount = bills.amount_due
            AND c.status = 'failed'
        WHERE bills.stripe_payment_intent_id IS NULL
          AND bills.attempt_count > 0
          AND NOT EXISTS (
              SELECT 1
              FROM invoice_payments AS p
              WHERE p.stripe_payment_intent_id = c.stripe_payment_intent_id
          )
    ),
    charges AS MATERIALIZED (
        SELECT
            c.stripe_charge_id,
            c.status,
            c.decline_reason,
            c.card_brand,
            c.card_last4,
            c.amount,
            c.currency,
            c.stripe_created,
            c.stripe_as_of_since
        FROM stripe_charges AS c
        WHERE c.stripe_payment_intent_id IN (SELECT intents.id FROM intents)
    ),
    refunds AS MATERIALIZED (
        SELECT
            r.stripe_refund_id,
            r.status,
            r.reason,
            r.amount,
            r.currency,
            r.stripe_created,
            r.stripe_as_of_since
        FROM stripe_refunds AS r
        WHERE r.stripe_payment_intent_id IN (SELECT intents.id FROM intents)
    ),
    disputes AS MATERIALIZED (
        SELECT
            d.stripe_dispute_id,
            d.status,
            d.reason,
            d.amount,
            d.currency,
            d.evidence_due_at,
            d.stripe_created,
            d.stripe_as_of_since
        FROM stripe_disputes AS d
        WHERE d.stripe_payment_intent_id IN (SELECT intents.id FROM intents)
    ),
    credits AS MATERIALIZED (
        SELECT
            n.stripe_credit_note_id,
            n.stripe_number,
            n.reason,
            n.amount,
            n.amount_before_payment,
            n.amount_refunded,
            n.amount_to_balance,
            n.amount_out_of_band,
            n.currency,
            n.voided_at,
            n.stripe_created
        FROM stripe_credit_notes AS n
        WHERE n.stripe_invoice_id IN (SELECT bills.stripe_invoice_id FROM bills)
    ),
    messages AS MATERIALIZED (
        SELECT
            m.id,
            m.type
        FROM billing_messages AS m
        JOIN subject ON m.subscription_id = subject.id
    ),
    objects AS (
        SELECT subject.stripe_subscription_id AS id FROM subject
        UNION
        SELECT subject.stripe_customer_id FROM subject
        UNION
        SELECT sessions.stripe_session_id FROM sessions
        UNION
        SELECT bills.stripe_invoice_id FROM bills
        UNION
        SELECT bills.stripe_invoice_payment_id FROM bills
        UNION
        SELECT charges.stripe_charge_id FROM charges
        UNION
        SELECT refunds.stripe_refund_id FROM refunds
        UNION
        SELECT disputes.stripe_dispute_id FROM disputes
        UNION
        SELECT credits.stripe_credit_note_id FROM credits
    ),
    events AS MATERIALIZED (
        SELECT
            e.id,
            e.type,
            e.object_id,
            e.created,
            e.received_at,
            e.status,
            e.reason,
            about.body ->> 'status' AS object_status,
            jsonb_build_object(
                'status', about.body -> 'status',
                'payment_status', about.body -> 'payment_status',
                'currency', about.body -> 'currency',
                'amount_due', about.body -> 'amount_due',
                'amount_paid', about.body -> 'amount_paid',
                'attempt_count', about.body -> 'attempt_count',
                'next_payment_attempt', about.body -> 'next_payment_attempt',
                'period_end', about.body #> '{items,data,0,current_period_end}',
                'cancel_at_period_end', about.body -> 'cancel_at_period_end',
                'cancel_at', about.body -> 'cancel_at',
                'cancellation', about.body #> '{cancellation_details,reason}',
                'feedback', about.body #> '{cancellation_details,feedback}',
                'comment', about.body #> '{cancellation_details,comment}',
                'items', about.body #> '{items,data}',
                'items_before', about.before
            ) AS state
        FROM objects
        JOIN stripe_events AS e
            ON e.object_id = objects.id
        CROSS JOIN LATERAL (
            SELECT
                e.payload #> '{data,object}' AS body,
                e.payload #> '{data,previous_attributes,items,data}' AS before
            OFFSET 0
        ) AS about
    ),
    -- what no event on record says: since when the mirror has known it
    found AS (
        SELECT now_is.at, now_is.kind, now_is.what, now_is.status
        FROM (
            SELECT
                coalesce(c.stripe_as_of_since, c.updated_at) AS at,
                'session' AS kind,
                'attempt ' || c.attempt AS what,
                c.stripe_session_id AS id,
                c.status
            FROM sessions AS c
            WHERE c.status IN ('complete', 'expired')
            UNION ALL
            SELECT c.stripe_as_of_since, 'charge', c.stripe_charge_id, c.stripe_charge_id, c.status
            FROM charges AS c
            WHERE c.card_brand IS NULL
            UNION ALL
            SELECT r.stripe_as_of_since, 'refund', r.stripe_refund_id, r.stripe_refund_id, r.status
            FROM refunds AS r
            UNION ALL
            SELECT d.stripe_as_of_since, 'dispute', d.stripe_dispute_id, d.stripe_dispute_id, d.status
            FROM disputes AS d
        ) AS now_is
        WHERE NOT EXISTS (
            SELECT 1
            FROM events AS e
            WHERE e.object_id = now_is.id
              AND e.object_status = now_is.status
        )
    ),
    moments AS (
        SELECT subject.created_at AS at, 'order' AS kind, 'subscription created' AS what, NULL AS detail, NULL::jsonb AS state
        FROM subject
        UNION ALL
        SELECT
            c.created_at,
            'session',
            'attempt ' || c.attempt,
            CASE WHEN c.status IN ('creating', 'failed') THEN c.status END,
            NULL
        FROM sessions AS c
        UNION ALL
        SELECT found.at, found.kind, found.what, found.status || ', as it was found then', NULL
        FROM found
        UNION ALL
        SELECT
            coalesce(e.created, e.received_at),
            'event',
            e.type || ' ' || e.id,
            e.status || coalesce(' (' || e.reason || ')', ''),
            CASE
                WHEN jsonb_typeof(e.state -> 'items_before') = 'array' THEN e.state || jsonb_build_object(
                    'items', (
                        SELECT jsonb_agg(concat_ws(' ', product.name, price.billing_cycle) ORDER BY product.kind DESC, product.name)
                        FROM jsonb_array_elements(e.state -> 'items') AS item
                        JOIN prices AS price ON price.stripe_price_id = item.value #>> '{price,id}'
                        JOIN products AS product ON product.id = price.product_id
                    ),
                    'items_before', (
                        SELECT jsonb_agg(concat_ws(' ', product.name, price.billing_cycle) ORDER BY product.kind DESC, product.name)
                        FROM jsonb_array_elements(e.state -> 'items_before') AS item
                        JOIN prices AS price ON price.stripe_price_id = item.value #>> '{price,id}'
                        JOIN products AS product ON product.id = price.product_id
                    )
                )
                ELSE e.state - 'items'
            END
            || jsonb_build_object('received', CASE
                WHEN e.received_at > e.created + interval '5 minutes' THEN extract(epoch FROM e.received_at)
            END)
        FROM events AS e
        UNION ALL
        SELECT t.created_at AT TIME ZONE 'UTC', 'tenant', coalesce(t.billing_former_domain, t.domain), 'created', NULL
        FROM tenants AS t
        JOIN subject ON t.id = subject.tenant_id
        UNION ALL
        SELECT
            l.created_at,
            'driver',
            l.action || ' ' || coalesce(l.product_type, ''),
            l.outcome || coalesce(' (' || l.error || ')', '') || ' in ' || l.duration_ms || ' ms by ' || l.driver
            || coalesce(' on ' || l.server, ''),
            NULL
        FROM provisioning_log AS l
        JOIN subject ON l.subscription_id = subject.id
        UNION ALL
        SELECT hold.placed_at, 'hold', 'suspended by ' || hold.placed_by, hold.reason, NULL
        FROM provisioning_holds AS hold
        JOIN subject ON hold.subscription_id = subject.id
        UNION ALL
        SELECT hold.lifted_at, 'hold', 'lifted by ' || hold.lifted_by, hold.reason, NULL
        FROM provisioning_holds AS hold
        JOIN subject ON hold.subscription_id = subject.id
        WHERE hold.lifted_at IS NOT NULL
        UNION ALL
        SELECT
            c.stripe_created,
            'charge',
            c.stripe_charge_id,
            -- a card is charged at once, a bank account in days
            CASE WHEN c.card_brand IS NOT NULL THEN c.status END,
            jsonb_build_object(
                'private', concat_ws(', ', rtrim(c.decline_reason, '.'), c.card_brand || ' ' || c.card_last4),
                'currency', c.currency,
                'amounts', jsonb_build_object('', c.amount)
            )
        FROM charges AS c
        UNION ALL
        SELECT
            r.stripe_created,
            'refund',
            r.stripe_refund_id,
            NULL,
            jsonb_build_object(
                'private', r.reason, 'currency', r.currency, 'amounts', jsonb_build_object('', r.amount)
            )
        FROM refunds AS r
        UNION ALL
        SELECT
            n.stripe_created,
            'credit',
            coalesce(n.stripe_number, n.stripe_credit_note_id),
            'issued',
            jsonb_build_object('private', n.reason, 'currency', n.currency, 'amounts', jsonb_build_object(
                '', n.amount,
                'before payment', n.amount_before_payment,
                'refunded', n.amount_refunded,
                'to the balance', n.amount_to_balance,
                'out of band', n.amount_out_of_band
            ))
        FROM credits AS n
        UNION ALL
        SELECT n.voided_at, 'credit', coalesce(n.stripe_number, n.stripe_credit_note_id), 'voided', NULL
        FROM credits AS n
        WHERE n.voided_at IS NOT NULL
        UNION ALL
        SELECT
            d.stripe_created,
            'dispute',
            d.stripe_dispute_id,
            'opened',
            jsonb_build_object(
                'private', d.reason,
                'currency', d.currency,
                'amounts', jsonb_build_object('', d.amount),
                'times', jsonb_build_object('evidence until', extract(epoch FROM d.evidence_due_at))
            )
        FROM disputes AS d
        UNION ALL
        SELECT
            w.stripe_created,
            'warning',
            w.stripe_fraud_warning_id || ' of ' || w.stripe_charge_id,
            NULL,
            jsonb_build_object(
                'private', w.fraud_type || CASE WHEN w.actionable THEN ', a refund can still avoid a dispute' ELSE '' END
            )
        FROM stripe_fraud_warnings AS w
        WHERE w.stripe_payment_intent_id IN (SELECT intents.id FROM intents)
        UNION ALL
        -- suspensions are above, with the operator's reason
        SELECT
            a.began_at,
            'operator',
            a.action || ' by ' || a.actor || coalesce(' for ' || a.person, ''),
            a.outcome,
            jsonb_build_object(
                'private', a.error,
                'to_plan', a.details #>> '{params,metadata,planId}',
                'comment', coalesce(
                    a.details #>> '{params,reason}',
                    a.details #>> '{params,cancellation_details,comment}',
                    a.details ->> 'reason'
                )
            )
        FROM billing_audit_entries AS a
        WHERE a.target_id IN (
            SELECT subject.id::text FROM subject
            UNION
            SELECT bills.id::text FROM bills
            UNION
            SELECT disputes.stripe_dispute_id FROM disputes
            UNION
            SELECT events.id FROM events
            UNION
            SELECT messages.id FROM messages
        )
          AND a.id = (
              SELECT max(later.id)
              FROM billing_audit_entries AS later
              WHERE later.entry_id = a.entry_id
          )
          AND a.action NOT IN ('subscription.suspend', 'subscription.lift')
        UNION ALL
        SELECT
            d.tried_at,
            'message',
            m.type || ' ' || m.id,
            CASE d.state WHEN 'delivered' THEN 'delivered' WHEN 'given_up' THEN 'given up' ELSE 'not delivered yet' END
            || ' to ' || r.name || coalesce(', HTTP ' || d.last_status, '') || coalesce(' (' || d.last_error || ')', ''),
            jsonb_build_object('attempt_count', nullif(d.attempts, 1))
        FROM messages AS m
        JOIN billing_deliveries AS d
            ON d.message_id = m.id
        JOIN billing_receivers AS r
            ON r.id = d.receiver_id
        WHERE d.tried_at IS NOT NULL
        UNION ALL
        SELECT
            step.at,
            'price',
            'another price of ' || product.name || ' was ' || step.what,
            NULL,
            CASE WHEN step.what = 'announced' THEN jsonb_build_object(
                'dates', jsonb_build_object('from', extract(epoch FROM p.effective_at)),
                'currency', coming.currency,
                'amounts', jsonb_build_object('', coming.unit_amount, 'instead of', former.unit_amount)
            ) END
        FROM billing_price_changes AS p
        JOIN subject ON p.subscription_id = subject.id
        JOIN prices AS former ON former.id = p.old_price_id
        JOIN prices AS coming ON coming.id = p.new_price_id
        JOIN products AS product ON product.id = former.product_id
        CROSS JOIN LATERAL (
            VALUES (p.announced_at, 'announced'), (p.made_at, 'made'), (p.withdrawn_at, 'called off')
        ) AS step (at, what)
        WHERE step.at IS NOT NULL
        UNION ALL
        SELECT
            step.at,
            'tax',
            step.what,
            NULL,
            CASE WHEN step.at = notice.told_at THEN jsonb_build_object(
                'dates', jsonb_build_object('not before', extract(epoch FROM notice.not_before)),
                'currency', notice.currency,
                'amounts', jsonb_build_object('next invoice:', notice.total, 'instead of', notice.total_before)
            ) END
        FROM billing_tax_notices AS notice
        JOIN subject ON notice.subscription_id = subject.id
        CROSS JOIN LATERAL (
            VALUES (notice.told_at, 'taxes were announced'), (notice.enabled_at, 'taxes are collected')
        ) AS step (at, what)
        WHERE step.at IS NOT NULL
        UNION ALL
        SELECT
            step.at,
            'pause',
            step.what,
            NULL,
            CASE WHEN step.what = 'a pause was set' THEN jsonb_build_object('dates', jsonb_build_object(
                'services are held from', extract(epoch FROM pause.since),
                'until a term begins on or after', extract(epoch FROM pause.until)
            )) END
        FROM billing_pauses AS pause
        JOIN subject ON pause.subscription_id = subject.id
        CROSS JOIN LATERAL (
            VALUES
                (pause.created_at, 'a pause was set'),
                (pause.begun_at, 'services are held'),
                (pause.ended_at, 'the pause was over')
        ) AS step (at, what)
        WHERE step.at IS NOT NULL
        UNION ALL
        SELECT
            w.updated_at,
            'state',
            CASE WHEN w.version = w.done_version THEN 'all services are as desired' ELSE 'not all services are as desired' END,
            w.last_error,
            NULL
        FROM provisioning_work AS w
        JOIN subject ON w.subscription_id = subject.id
    )
    SELECT
        moments.at,
        moments.kind,
        moments.what,
        moments.detail,
        moments.state
    FROM moments
) AS history
ORDER BY history.at, history.kind, history.what;

-- name: list_late_payments(subscription_id)
-- Made after its end, and neither refunded nor settled yet.
SELECT
    late.invoice,
    late.amount,
    late.currency
FROM provisioning_work AS w
CROSS JOIN LATERAL jsonb_to_recordset(nullif(w.inputs -> 'paidAfterEnd', 'null')) AS late (
    invoice text,
    amount bigint,
    currency text
)
WHERE w.subscription_id = :subscription_id::uuid
ORDER BY late.invoice;

-- name: keep_payments(subscription_id, reason, kept_by)
-- All that were made after its end and are neither refunded nor settled yet.
INSERT INTO billing_kept_payments (stripe_invoice_id, subscription_id, amount, currency, reason, kept_by)
SELECT
    late.invoice,
    w.subscription_id,
    late.amount,
    late.currency,
    :reason::text,
    :kept_by::text
FROM provisioning_work AS w
CROSS JOIN LATERAL jsonb_to_recordset(nullif(w.inputs -> 'paidAfterEnd', 'null')) AS late (
    invoice text,
    amount bigint,
    currency text
)
WHERE w.subscription_id = :subscription_id::uuid
ON CONFLICT (stripe_invoice_id) DO NOTHING
RETURNING stripe_invoice_id, amount, currency;
