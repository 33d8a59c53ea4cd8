-- What is held about a person, and its erasure. mpanel_billing/privacy/registry.py names every column.

-- Tables: billing_erasures, billing_erasure_key
--
-- CREATE TABLE billing_erasures (
--     identifier text NOT NULL,
--     kind text NOT NULL,
--     reason text NOT NULL,
--     erased_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_erasures_kind_check CHECK ((kind = ANY (ARRAY['customer'::text, 'stripe_customer'::text, 'email'::text]))),
--     CONSTRAINT billing_erasures_reason_check CHECK ((reason = ANY (ARRAY['request'::text, 'unpaid'::text])))
-- );
-- ALTER TABLE ONLY billing_erasures ADD CONSTRAINT billing_erasures_pkey PRIMARY KEY (identifier);
--
-- CREATE TABLE billing_erasure_key (
--     singleton boolean DEFAULT true NOT NULL,
--     key bytea NOT NULL,
--     CONSTRAINT billing_erasure_key_key_check CHECK ((octet_length(key) = 32)),
--     CONSTRAINT billing_erasure_key_singleton_check CHECK (singleton)
-- );
-- ALTER TABLE ONLY billing_erasure_key ADD CONSTRAINT billing_erasure_key_pkey PRIMARY KEY (singleton);

-- name: find_person(id, stripe_customer_id, email, unerased)^
-- By the id of a customer record or of its account in mPanel, by a Stripe customer, or by an e-mail
-- address: then all customer records, accounts and Stripe customers that have it.
WITH named AS MATERIALIZED (
    SELECT c.id
    FROM customers AS c
    WHERE c.id = :id::uuid
       OR c.user_id = :id::uuid
    UNION
    SELECT c.id
    FROM customers AS c
    WHERE c.stripe_customer_id = :stripe_customer_id::text
    UNION
    SELECT k.customer_id
    FROM stripe_customers AS k
    WHERE k.id = :stripe_customer_id::text
    UNION
    SELECT s.customer_id
    FROM subscriptions AS s
    WHERE s.stripe_customer_id = :stripe_customer_id::text
    UNION
    SELECT c.id
    FROM customers AS c
    WHERE lower(c.email) = lower(:email::text)
    UNION
    SELECT c.id
    FROM users AS u
    JOIN customers AS c
        ON c.user_id = u.id
    WHERE lower(u.email) = lower(:email::text)
    UNION
    SELECT k.customer_id
    FROM stripe_customers AS k
    WHERE lower(k.email) = lower(:email::text)
),
people AS MATERIALIZED (
    SELECT
        c.id,
        c.user_id,
        c.stripe_customer_id,
        c.email
    FROM customers AS c
    JOIN named
        ON named.id = c.id
    WHERE NOT (:unerased::boolean AND coalesce(c.metadata, '{}') ? 'erasedAt')
),
ordered AS MATERIALIZED (
    SELECT
        s.id,
        s.stripe_customer_id,
        s.metadata ->> 'customerEmail' AS email
    FROM subscriptions AS s
    JOIN people
        ON people.id = s.customer_id
),
at_stripe AS MATERIALIZED (
    SELECT people.stripe_customer_id AS id
    FROM people
    UNION
    SELECT k.id
    FROM stripe_customers AS k
    WHERE k.customer_id IN (SELECT people.id FROM people)
       OR k.id = :stripe_customer_id::text
       OR lower(k.email) = lower(:email::text)
    UNION
    SELECT ordered.stripe_customer_id
    FROM ordered
    UNION
    SELECT t.stripe_customer_id
    FROM checkout_sessions AS t
    JOIN ordered
        ON ordered.id = t.subscription_id
    UNION
    SELECT i.stripe_customer_id
    FROM invoices AS i
    JOIN people
        ON people.id = i.customer_id
    UNION
    SELECT d.stripe_customer_id
    FROM billing_deleted_subscriptions AS d
    WHERE (d.subscription ->> 'customer_id')::uuid IN (SELECT people.id FROM people)
)
SELECT
    ARRAY(SELECT people.id FROM people ORDER BY people.id) AS customers,
    ARRAY(SELECT people.user_id FROM people WHERE people.user_id IS NOT NULL) AS users,
    ARRAY(SELECT ordered.id FROM ordered ORDER BY ordered.id) AS subscriptions,
    ARRAY(SELECT a.id FROM at_stripe AS a WHERE a.id IS NOT NULL ORDER BY a.id) AS stripe_customers,
    ARRAY(
        SELECT DISTINCT lower(known.email)
        FROM (
            SELECT people.email
            FROM people
            UNION ALL
            SELECT ordered.email
            FROM ordered
            UNION ALL
            SELECT k.email
            FROM stripe_customers AS k
            JOIN at_stripe AS a
                ON a.id = k.id
            UNION ALL
            SELECT u.email
            FROM users AS u
            WHERE u.id IN (SELECT people.user_id FROM people)
            UNION ALL
            SELECT :email::text
        ) AS known
        WHERE known.email <> ''
    ) AS emails;

-- name: lock_events()!
-- Waits for the transactions that are writing events. Those that begin later see what is committed.
LOCK TABLE stripe_events IN SHARE MODE;

-- name: hash_emails(emails)
SELECT billing_email_hash_v1(named.email) AS hash
FROM unnest(:emails::text[]) AS named (email);

-- name: remember_erasures(erasures)!
INSERT INTO billing_erasures AS known (identifier, kind, reason, erased_at)
SELECT
    e.identifier,
    e.kind,
    e.reason,
    e.erased_at
FROM jsonb_to_recordset(:erasures::jsonb) AS e (
    identifier text,
    kind text,
    reason text,
    erased_at timestamptz
)
ON CONFLICT (identifier) DO UPDATE
SET erased_at = greatest(known.erased_at, excluded.erased_at),
    reason = CASE WHEN known.reason = 'request' THEN known.reason ELSE excluded.reason END;

-- name: list_erased(stripe_customer_ids, emails, createds)
-- Which of these Stripe customers have been erased. One that was created before with the address of
-- an erased person, and was not known then, is remembered from now on.
WITH people AS MATERIALIZED (
    SELECT
        p.stripe_customer_id,
        p.email,
        p.created
    FROM unnest(:stripe_customer_ids::text[], :emails::text[], :createds::timestamptz[]) AS p (
        stripe_customer_id, email, created
    )
),
found_by_address AS (
    INSERT INTO billing_erasures (identifier, kind, reason, erased_at)
    SELECT
        p.stripe_customer_id,
        'stripe_customer',
        e.reason,
        e.erased_at
    FROM people AS p
    JOIN billing_erasures AS e
        ON e.identifier = billing_email_hash_v1(p.email)
        -- Stripe's times are whole seconds
        AND p.created < date_trunc('second', e.erased_at)
    ON CONFLICT (identifier) DO NOTHING
    RETURNING identifier
)
SELECT f.identifier AS stripe_customer_id
FROM found_by_address AS f
UNION
SELECT p.stripe_customer_id
FROM people AS p
JOIN billing_erasures AS e
    ON e.identifier = p.stripe_customer_id;

-- name: list_obstacles(customers, subscriptions, stripe_customers)
-- What of a person still runs, as a sentence each.
SELECT 'subscription ' || s.id || ' is ' || coalesce(s.stripe_status, s.status) AS obstacle
FROM subscriptions AS s
WHERE s.id = ANY(:subscriptions::uuid[])
  AND (
      (s.stripe_subscription_id IS NOT NULL AND s.stripe_status IS NULL)
      OR s.stripe_status NOT IN ('canceled', 'incomplete_expired')
      OR (s.billing_provider IS NULL AND s.status NOT IN ('cancelled', 'canceled', 'expired', 'terminated'))
  )
UNION ALL
SELECT 'the payment page of order ' || t.subscription_id || ' can still be paid'
FROM checkout_sessions AS t
WHERE t.subscription_id = ANY(:subscriptions::uuid[])
  AND t.status IN ('creating', 'open')
  -- a page is open for a day; that its end was not heard of does not bar anybody for ever
  AND coalesce(t.expires_at, t.created_at + interval '1 day') > now()
UNION ALL
SELECT 'the ' || v.product_type || ' account of subscription ' || v.subscription_id || ' is '
    || coalesce('waiting for ' || v.pending_action, v.actual)
FROM tenant_services AS v
WHERE v.subscription_id = ANY(:subscriptions::uuid[])
  AND (v.actual IN ('active', 'suspended') OR v.pending_action IS NOT NULL)
UNION ALL
SELECT 'the ' || m.product_type || ' account of subscription ' || m.subscription_id || ' moves from '
    || m.from_server || ' to ' || m.to_server
FROM billing_moves AS m
WHERE m.subscription_id = ANY(:subscriptions::uuid[])
  AND m.finished_at IS NULL
UNION ALL
SELECT 'a request of theirs is under way: ' || c.kind
FROM billing_changes AS c
WHERE c.state IN ('asking', 'unanswered')
  AND (
      c.subscription_id = ANY(:subscriptions::uuid[])
      OR c.customer_id = ANY(:customers::uuid[])
      OR c.invoice_id IN (SELECT i.id FROM invoices AS i WHERE i.customer_id = ANY(:customers::uuid[]))
  )
UNION ALL
SELECT 'a further year of the domain ' || own.name || ' is ' || CASE r.state
    WHEN 'refused' THEN 'to be given back'
    WHEN 'unpaid' THEN 'still payable'
    WHEN 'withdrawn' THEN 'still payable'
    ELSE r.state
END
FROM billing_domains AS own
JOIN billing_domain_renewals AS r
    ON r.domain_id = own.id
WHERE (own.subscription_id = ANY(:subscriptions::uuid[]) OR own.customer_id = ANY(:customers::uuid[]))
  AND (
      r.state IN ('due', 'charged', 'paid')
      OR (r.state IN ('unpaid', 'withdrawn') AND r.next_attempt_at IS NOT NULL)
      OR (r.state = 'refused' AND r.given_back_at IS NULL)
  )
UNION ALL
SELECT 'its row was deleted, and subscription ' || d.stripe_subscription_id || ' is ' || d.stripe_status
FROM billing_deleted_subscriptions AS d
WHERE d.stripe_customer_id = ANY(:stripe_customers::text[])
  AND d.settled_at IS NULL
  AND d.stripe_status NOT IN ('canceled', 'incomplete_expired')
ORDER BY 1;

-- name: list_objects(customers, subscriptions, stripe_customers)
-- Ids at Stripe of what a person has there: by them events, refetches and drift are found.
WITH bills AS MATERIALIZED (
    SELECT i.stripe_invoice_id AS id
    FROM invoices AS i
    WHERE i.stripe_invoice_id IS NOT NULL
      AND (
          i.customer_id = ANY(:customers::uuid[])
          OR i.subscription_id = ANY(:subscriptions::uuid[])
      )
),
payments AS MATERIALIZED (
    SELECT
        p.stripe_invoice_payment_id,
        p.stripe_payment_intent_id
    FROM invoice_payments AS p
    JOIN bills
        ON bills.id = p.stripe_invoice_id
)
SELECT
    'sub' AS kind,
    s.stripe_subscription_id AS id
FROM subscriptions AS s
WHERE s.id = ANY(:subscriptions::uuid[])
  AND s.stripe_subscription_id IS NOT NULL
UNION
SELECT 'sub', d.stripe_subscription_id
FROM billing_deleted_subscriptions AS d
WHERE d.stripe_customer_id = ANY(:stripe_customers::text[])
  AND d.stripe_subscription_id IS NOT NULL
UNION
SELECT 'cus', named.id
FROM unnest(:stripe_customers::text[]) AS named (id)
UNION
SELECT 'in', bills.id
FROM bills
UNION
SELECT 'cs', t.stripe_session_id
FROM checkout_sessions AS t
WHERE t.subscription_id = ANY(:subscriptions::uuid[])
  AND t.stripe_session_id IS NOT NULL
UNION
SELECT 'inpay', payments.stripe_invoice_payment_id
FROM payments
UNION
SELECT 'pi', payments.stripe_payment_intent_id
FROM payments
WHERE payments.stripe_payment_intent_id IS NOT NULL
UNION
SELECT 're', r.stripe_refund_id
FROM stripe_refunds AS r
JOIN payments
    ON payments.stripe_payment_intent_id = r.stripe_payment_intent_id
UNION
SELECT 'ch', c.stripe_charge_id
FROM stripe_charges AS c
WHERE c.stripe_customer_id = ANY(:stripe_customers::text[])
   OR c.stripe_payment_intent_id IN (SELECT payments.stripe_payment_intent_id FROM payments)
UNION
SELECT 'cn', n.stripe_credit_note_id
FROM stripe_credit_notes AS n
JOIN bills
    ON bills.id = n.stripe_invoice_id
UNION
SELECT 'txi', t.stripe_tax_id_id
FROM stripe_tax_ids AS t
WHERE t.stripe_customer_id = ANY(:stripe_customers::text[])
UNION
SELECT 'du', d.stripe_dispute_id
FROM stripe_disputes AS d
JOIN payments
    ON payments.stripe_payment_intent_id = d.stripe_payment_intent_id
UNION
SELECT 'issfr', w.stripe_fraud_warning_id
FROM stripe_fraud_warnings AS w
JOIN payments
    ON payments.stripe_payment_intent_id = w.stripe_payment_intent_id;

-- name: erase_rows(customers, subscriptions, stripe_customers)
-- Everything personal in the rows of customer records, orders and Stripe customers; returns the
-- number of rows of each table. What is kept of an order is what was sold.
WITH blanked_customers AS (
    UPDATE customers
    SET email = NULL,
        name = NULL,
        company_name = NULL,
        address_line1 = NULL,
        address_line2 = NULL,
        city = NULL,
        state = NULL,
        postal_code = NULL,
        country = NULL,
        phone = NULL,
        tax_id = NULL,
        -- their next order gets a new one
        stripe_customer_id = NULL,
        metadata = jsonb_build_object('erasedAt', now()),
        updated_at = now()
    WHERE id = ANY(:customers::uuid[])
    RETURNING id
),
blanked_stripe_customers AS (
    UPDATE stripe_customers
    SET email = NULL,
        name = NULL,
        updated_at = now()
    WHERE id = ANY(:stripe_customers::text[])
    RETURNING id
),
blanked_subscriptions AS (
    UPDATE subscriptions AS s
    SET metadata = kept.metadata,
        updated_at = now()
    FROM (
        SELECT
            o.id,
            jsonb_build_object('erasedAt', now()) || coalesce((
                SELECT jsonb_object_agg(m.key, m.value)
                FROM jsonb_each(o.metadata) AS m
                WHERE m.key IN (
                    'planId', 'billingCycle', 'trialActive', 'addonIds', 'productTypes', 'couponCode'
                )
            ), '{}') AS metadata
        FROM subscriptions AS o
        WHERE o.id = ANY(:subscriptions::uuid[])
          AND o.billing_provider = 'stripe'
    ) AS kept
    WHERE s.id = kept.id
    RETURNING s.id
),
blanked_sessions AS (
    UPDATE checkout_sessions
    SET params = '{}',
        url = NULL,
        recovery_url = NULL,
        last_error = NULL,
        updated_at = now()
    WHERE subscription_id = ANY(:subscriptions::uuid[])
    RETURNING attempt
),
blanked_orders AS (
    UPDATE orders
    SET fingerprint = ''
    WHERE subscription_id = ANY(:subscriptions::uuid[])
    RETURNING subscription_id
),
deleted_keys AS (
    DELETE FROM idempotency_keys
    WHERE subscription_id = ANY(:subscriptions::uuid[])
    RETURNING key
),
blanked_charges AS (
    UPDATE subscription_charges
    SET description = code,
        domain = NULL,
        updated_at = now()
    WHERE subscription_id = ANY(:subscriptions::uuid[])
    RETURNING id
),
blanked_changes AS (
    UPDATE billing_changes
    SET params = '{}',
        request_key = NULL,
        last_error = NULL,
        updated_at = now()
    WHERE subscription_id = ANY(:subscriptions::uuid[])
       OR customer_id = ANY(:customers::uuid[])
       OR invoice_id IN (SELECT i.id FROM invoices AS i WHERE i.customer_id = ANY(:customers::uuid[]))
    RETURNING id
),
blanked_deleted AS (
    UPDATE billing_deleted_subscriptions
    SET subscription = subscription - 'metadata',
        services = '[]',
        charges = '[]'
    WHERE stripe_customer_id = ANY(:stripe_customers::text[])
       OR (subscription ->> 'customer_id')::uuid = ANY(:customers::uuid[])
    RETURNING subscription_id
),
blanked_leniency AS (
    UPDATE billing_leniency
    SET reason = 'erased'
    WHERE subscription_id = ANY(:subscriptions::uuid[])
       OR customer_id = ANY(:customers::uuid[])
    RETURNING id
),
blanked_usage AS (
    UPDATE billing_meter_events
    SET settled_reason = 'erased'
    WHERE subscription_id = ANY(:subscriptions::uuid[])
      AND settled_reason IS NOT NULL
    RETURNING id
),
blanked_limits AS (
    UPDATE billing_usage_totals
    SET lifted_reason = 'erased'
    WHERE subscription_id = ANY(:subscriptions::uuid[])
      AND lifted_reason IS NOT NULL
    RETURNING subscription_id
),
blanked_operators_notes AS (
    UPDATE billing_notes
    SET body = 'erased'
    WHERE customer_id = ANY(:customers::uuid[])
    RETURNING id
),
blanked_holds AS (
    UPDATE provisioning_holds
    SET reason = 'erased'
    WHERE subscription_id = ANY(:subscriptions::uuid[])
    RETURNING id
),
blanked_work AS (
    UPDATE provisioning_work
    SET last_error = NULL,
        trouble = NULL,
        debt_error = NULL,
        updated_at = now()
    WHERE subscription_id = ANY(:subscriptions::uuid[])
    RETURNING subscription_id
),
blanked_services AS (
    UPDATE tenant_services
    SET external_ref = CASE
            WHEN actual IN ('absent', 'terminated') THEN 'erased:' || subscription_id || ':' || product_type
            ELSE external_ref
        END,
        last_error = NULL,
        suspended_by_service = NULL,
        desired_domains = '{}',
        ordered_domains = '{}',
        updated_at = now()
    WHERE subscription_id = ANY(:subscriptions::uuid[])
    RETURNING subscription_id
),
blanked_merges AS (
    UPDATE billing_merges
    SET former = NULL,
        moved = NULL
    WHERE customer_id = ANY(:customers::uuid[])
       OR into_id = ANY(:customers::uuid[])
    RETURNING id
),
deleted_access_data AS (
    DELETE FROM billing_access_data
    WHERE subscription_id = ANY(:subscriptions::uuid[])
    RETURNING product_type
),
blanked_moves AS (
    -- none is under way: it would bar the erasure
    UPDATE billing_moves
    SET external_ref = CASE WHEN external_ref IS NOT NULL THEN 'erased' END,
        former_ref = CASE WHEN former_ref IS NOT NULL THEN 'erased' END,
        request = NULL,
        stopped = FALSE,
        last_error = NULL,
        updated_at = now()
    WHERE subscription_id = ANY(:subscriptions::uuid[])
    RETURNING id
),
deleted_renewals AS (
    DELETE FROM billing_domain_renewals AS r
    USING billing_domains AS own
    WHERE own.id = r.domain_id
      AND (
          own.subscription_id = ANY(:subscriptions::uuid[])
          OR own.customer_id = ANY(:customers::uuid[])
      )
    RETURNING r.id
),
deleted_domains AS (
    DELETE FROM billing_domains
    WHERE subscription_id = ANY(:subscriptions::uuid[])
       OR customer_id = ANY(:customers::uuid[])
    RETURNING name
),
deleted_registrar_calls AS (
    DELETE FROM billing_registrar_calls AS c
    USING billing_domains AS own
    WHERE own.id = c.domain_id
      AND (
          own.subscription_id = ANY(:subscriptions::uuid[])
          OR own.customer_id = ANY(:customers::uuid[])
      )
    RETURNING c.id
),
blanked_calls AS (
    UPDATE provisioning_log
    SET request = '{}',
        response = NULL,
        error = NULL
    WHERE subscription_id = ANY(:subscriptions::uuid[])
    RETURNING id
),
blanked_tenants AS (
    UPDATE tenants
    SET name = 'Erased',
        domain = 'tenant-' || replace(id::text, '-', '') || '.invalid',
        billing_former_domain = NULL,
        settings = '{}',
        updated_at = now()
    WHERE billing_subscription_id = ANY(:subscriptions::uuid[])
    RETURNING id
),
blanked_invoices AS (
    UPDATE invoices
    SET notes = NULL,
        metadata = '{}',
        finalization_error = NULL,
        updated_at = now()
    WHERE stripe_invoice_id IS NOT NULL
      AND (customer_id = ANY(:customers::uuid[]) OR subscription_id = ANY(:subscriptions::uuid[]))
    RETURNING id
),
blanked_cards AS (
    UPDATE stripe_charges
    SET card_last4 = NULL,
        updated_at = now()
    WHERE stripe_customer_id = ANY(:stripe_customers::text[])
      AND card_last4 IS NOT NULL
    RETURNING stripe_charge_id
),
blanked_notes AS (
    UPDATE stripe_credit_notes
    SET memo = NULL,
        updated_at = now()
    WHERE stripe_customer_id = ANY(:stripe_customers::text[])
      AND memo IS NOT NULL
    RETURNING stripe_credit_note_id
),
blanked_tax_ids AS (
    UPDATE stripe_tax_ids
    SET value = NULL,
        verified_name = NULL,
        verified_address = NULL,
        updated_at = now()
    WHERE stripe_customer_id = ANY(:stripe_customers::text[])
      AND value IS NOT NULL
    RETURNING stripe_tax_id_id
),
blanked_disputes AS (
    UPDATE stripe_disputes
    SET waived_reason = 'erased'
    WHERE waived_reason IS NOT NULL
      AND stripe_charge_id IN (
          SELECT c.stripe_charge_id
          FROM stripe_charges AS c
          WHERE c.stripe_customer_id = ANY(:stripe_customers::text[])
      )
    RETURNING stripe_dispute_id
),
blanked_deliveries AS (
    UPDATE billing_deliveries AS d
    SET last_error = 'erased'
    FROM billing_messages AS m
    WHERE m.id = d.message_id
      AND m.subscription_id = ANY(:subscriptions::uuid[])
      AND d.last_error IS NOT NULL
    RETURNING d.message_id
)
SELECT counted.table_name, counted.rows
FROM (
    SELECT 'customers' AS table_name, (SELECT count(*) FROM blanked_customers) AS rows
    UNION ALL
    SELECT 'stripe_customers', (SELECT count(*) FROM blanked_stripe_customers)
    UNION ALL
    SELECT 'subscriptions', (SELECT count(*) FROM blanked_subscriptions)
    UNION ALL
    SELECT 'checkout_sessions', (SELECT count(*) FROM blanked_sessions)
    UNION ALL
    SELECT 'orders', (SELECT count(*) FROM blanked_orders)
    UNION ALL
    SELECT 'idempotency_keys', (SELECT count(*) FROM deleted_keys)
    UNION ALL
    SELECT 'subscription_charges', (SELECT count(*) FROM blanked_charges)
    UNION ALL
    SELECT 'billing_changes', (SELECT count(*) FROM blanked_changes)
    UNION ALL
    SELECT 'billing_deleted_subscriptions', (SELECT count(*) FROM blanked_deleted)
    UNION ALL
    SELECT 'billing_leniency', (SELECT count(*) FROM blanked_leniency)
    UNION ALL
    SELECT 'billing_meter_events', (SELECT count(*) FROM blanked_usage)
    UNION ALL
    SELECT 'billing_usage_totals', (SELECT count(*) FROM blanked_limits)
    UNION ALL
    SELECT 'billing_notes', (SELECT count(*) FROM blanked_operators_notes)
    UNION ALL
    SELECT 'provisioning_holds', (SELECT count(*) FROM blanked_holds)
    UNION ALL
    SELECT 'provisioning_work', (SELECT count(*) FROM blanked_work)
    UNION ALL
    SELECT 'tenant_services', (SELECT count(*) FROM blanked_services)
    UNION ALL
    SELECT 'billing_moves', (SELECT count(*) FROM blanked_moves)
    UNION ALL
    SELECT 'billing_merges', (SELECT count(*) FROM blanked_merges)
    UNION ALL
    SELECT 'billing_access_data', (SELECT count(*) FROM deleted_access_data)
    UNION ALL
    SELECT 'billing_domains', (SELECT count(*) FROM deleted_domains)
    UNION ALL
    SELECT 'billing_registrar_calls', (SELECT count(*) FROM deleted_registrar_calls)
    UNION ALL
    SELECT 'billing_domain_renewals', (SELECT count(*) FROM deleted_renewals)
    UNION ALL
    SELECT 'provisioning_log', (SELECT count(*) FROM blanked_calls)
    UNION ALL
    SELECT 'tenants', (SELECT count(*) FROM blanked_tenants)
    UNION ALL
    SELECT 'invoices', (SELECT count(*) FROM blanked_invoices)
    UNION ALL
    SELECT 'stripe_charges', (SELECT count(*) FROM blanked_cards)
    UNION ALL
    SELECT 'stripe_disputes', (SELECT count(*) FROM blanked_disputes)
    UNION ALL
    SELECT 'stripe_credit_notes', (SELECT count(*) FROM blanked_notes)
    UNION ALL
    SELECT 'stripe_tax_ids', (SELECT count(*) FROM blanked_tax_ids)
    UNION ALL
    SELECT 'billing_deliveries', (SELECT count(*) FROM blanked_deliveries)
) AS counted
WHERE counted.rows > 0
ORDER BY counted.table_name;

-- name: erase_traces(object_ids, stripe_customers, emails, mirrored_types)
-- Events, refetches, drift and logs about a person. Reads every payload: there is no index by
-- customer, and an erasure is rare. An event that has not been applied is replaced by a refetch.
WITH events AS MATERIALIZED (
    SELECT
        e.id,
        e.status,
        e.object_id,
        e.payload #>> '{data,object,object}' AS object_type
    FROM stripe_events AS e
    WHERE e.object_id = ANY(:object_ids::text[])
       OR e.payload #>> '{data,object,customer}' = ANY(:stripe_customers::text[])
       OR e.payload #>> '{data,object,customer,id}' = ANY(:stripe_customers::text[])
       OR EXISTS (
           SELECT 1
           FROM unnest(:emails::text[]) AS named (email)
           WHERE strpos(lower(e.payload::text), named.email) > 0
       )
),
blanked_events AS (
    UPDATE stripe_events AS e
    SET payload = NULL,
        status = CASE WHEN e.status IN ('received', 'failed') THEN 'ignored' ELSE e.status END,
        reason = CASE
            WHEN e.status IN ('received', 'failed') THEN 'not applied, and is of an erased customer'
            ELSE e.reason
        END,
        last_error = NULL,
        next_attempt_at = NULL
    FROM events
    WHERE e.id = events.id
    RETURNING e.id
),
refetched AS (
    INSERT INTO stripe_refetches (object_id, object_type, reason)
    SELECT DISTINCT
        events.object_id,
        events.object_type,
        'its event is of an erased customer'
    FROM events
    WHERE events.status IN ('received', 'failed')
      AND events.object_id IS NOT NULL
      AND events.object_type = ANY(:mirrored_types::text[])
    ON CONFLICT (object_id) DO NOTHING
    RETURNING object_id
),
blanked_refetches AS (
    UPDATE stripe_refetches
    SET last_error = NULL
    WHERE object_id = ANY(:object_ids::text[])
      AND last_error IS NOT NULL
    RETURNING object_id
),
blanked_drift AS (
    UPDATE billing_reconcile_drift
    SET ours = NULL,
        found = NULL
    WHERE object_id = ANY(:object_ids::text[])
      AND num_nonnulls(ours, found) > 0
    RETURNING object_id
),
blanked_reasons AS (
    UPDATE billing_kept_payments
    SET reason = 'erased'
    WHERE stripe_invoice_id = ANY(:object_ids::text[])
    RETURNING stripe_invoice_id
),
blanked_jobs AS (
    UPDATE pgqueuer_log AS l
    SET traceback = NULL
    WHERE l.traceback IS NOT NULL
      AND EXISTS (
          SELECT 1
          FROM unnest(:emails::text[] || :object_ids::text[]) AS named (text)
          WHERE strpos(lower(l.traceback::text), lower(named.text)) > 0
      )
    RETURNING l.id
)
SELECT counted.table_name, counted.rows
FROM (
    SELECT 'stripe_events' AS table_name, (SELECT count(*) FROM blanked_events) AS rows
    UNION ALL
    SELECT 'stripe_refetches', (SELECT count(*) FROM blanked_refetches)
    UNION ALL
    SELECT 'billing_reconcile_drift', (SELECT count(*) FROM blanked_drift)
    UNION ALL
    SELECT 'billing_kept_payments', (SELECT count(*) FROM blanked_reasons)
    UNION ALL
    SELECT 'pgqueuer_log', (SELECT count(*) FROM blanked_jobs)
) AS counted
WHERE counted.rows > 0
ORDER BY counted.table_name;

-- name: erase_events(object_ids)!
-- Payloads of finished events about these objects, by index.
UPDATE stripe_events
SET payload = NULL
WHERE object_id = ANY(:object_ids::text[])
  AND status IN ('applied', 'stale', 'ignored')
  AND payload IS NOT NULL;

-- name: export_person(customers, users, subscriptions, stripe_customers, object_ids)$
-- Whole rows, so that a new column is in it. Not of users: what mPanel stores of passwords, now or
-- later, may not even be read.
SELECT jsonb_build_object(
    'users', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM (
            SELECT
                u.id,
                u.tenant_id,
                u.email,
                u.first_name,
                u.last_name,
                u.role,
                u.status,
                u.email_verified,
                u.created_at,
                u.updated_at
            FROM users AS u
            WHERE u.id = ANY(:users::uuid[])
        ) AS t
    ),
    'customers', (SELECT jsonb_agg(to_jsonb(t)) FROM customers AS t WHERE t.id = ANY(:customers::uuid[])),
    'stripe_customers', (
        SELECT jsonb_agg(to_jsonb(t)) FROM stripe_customers AS t WHERE t.id = ANY(:stripe_customers::text[])
    ),
    'stripe_customer_balances', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM stripe_customer_balances AS t
        WHERE t.stripe_customer_id = ANY(:stripe_customers::text[])
    ),
    'subscriptions', (
        SELECT jsonb_agg(to_jsonb(t)) FROM subscriptions AS t WHERE t.id = ANY(:subscriptions::uuid[])
    ),
    'subscription_items', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM subscription_items AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'subscription_discounts', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM subscription_discounts AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'subscription_charges', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM subscription_charges AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'orders', (
        SELECT jsonb_agg(to_jsonb(t)) FROM orders AS t WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'domains', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM domains AS t
        WHERE t.customer_id = ANY(:customers::uuid[])
           OR t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'billing_domains', (
        SELECT jsonb_agg(to_jsonb(t) - 'auth_code')
        FROM billing_domains AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
           OR t.customer_id = ANY(:customers::uuid[])
    ),
    'billing_registrar_calls', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_domains AS own
        JOIN billing_registrar_calls AS t
            ON t.domain_id = own.id
        WHERE own.subscription_id = ANY(:subscriptions::uuid[])
           OR own.customer_id = ANY(:customers::uuid[])
    ),
    'billing_domain_renewals', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_domain_renewals AS t
        JOIN billing_domains AS own
            ON own.id = t.domain_id
        WHERE own.subscription_id = ANY(:subscriptions::uuid[])
           OR own.customer_id = ANY(:customers::uuid[])
    ),
    'billing_domain_proofs', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_domain_proofs AS t
        JOIN billing_domains AS d
            ON d.id = t.domain_id
        WHERE d.subscription_id = ANY(:subscriptions::uuid[])
           OR d.customer_id = ANY(:customers::uuid[])
    ),
    'checkout_sessions', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM checkout_sessions AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'idempotency_keys', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM idempotency_keys AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'invoices', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM invoices AS t
        WHERE t.customer_id = ANY(:customers::uuid[])
           OR t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'invoice_payments', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM invoice_payments AS t
        WHERE t.stripe_invoice_payment_id = ANY(:object_ids::text[])
    ),
    'stripe_refunds', (
        SELECT jsonb_agg(to_jsonb(t)) FROM stripe_refunds AS t WHERE t.stripe_refund_id = ANY(:object_ids::text[])
    ),
    'stripe_charges', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM stripe_charges AS t
        WHERE t.stripe_charge_id = ANY(:object_ids::text[])
    ),
    'stripe_credit_notes', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM stripe_credit_notes AS t
        WHERE t.stripe_credit_note_id = ANY(:object_ids::text[])
    ),
    'stripe_tax_ids', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM stripe_tax_ids AS t
        WHERE t.stripe_tax_id_id = ANY(:object_ids::text[])
    ),
    'stripe_disputes', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM stripe_disputes AS t
        WHERE t.stripe_dispute_id = ANY(:object_ids::text[])
    ),
    'stripe_fraud_warnings', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM stripe_fraud_warnings AS t
        WHERE t.stripe_fraud_warning_id = ANY(:object_ids::text[])
    ),
    'billing_changes', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_changes AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
           OR t.customer_id = ANY(:customers::uuid[])
           OR t.invoice_id IN (SELECT i.id FROM invoices AS i WHERE i.customer_id = ANY(:customers::uuid[]))
    ),
    'billing_planned_changes', (
        SELECT jsonb_agg(to_jsonb(t)) FROM billing_planned_changes AS t WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'billing_price_changes', (
        SELECT jsonb_agg(to_jsonb(t)) FROM billing_price_changes AS t WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'billing_tax_notices', (
        SELECT jsonb_agg(to_jsonb(t)) FROM billing_tax_notices AS t WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'billing_deleted_subscriptions', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_deleted_subscriptions AS t
        WHERE t.stripe_customer_id = ANY(:stripe_customers::text[])
           OR (t.subscription ->> 'customer_id')::uuid = ANY(:customers::uuid[])
    ),
    'billing_adoptions', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_adoptions AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'billing_takeovers', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_takeovers AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'billing_trials', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_trials AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
           OR t.customer_id = ANY(:customers::uuid[])
    ),
    'billing_leniency', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_leniency AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
           OR t.customer_id = ANY(:customers::uuid[])
    ),
    'billing_meter_events', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_meter_events AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'billing_usage', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_usage AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'billing_usage_totals', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_usage_totals AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    )
)
-- a function takes a hundred arguments at most
|| jsonb_build_object(
    'billing_notes', (
        SELECT jsonb_agg(to_jsonb(t)) FROM billing_notes AS t WHERE t.customer_id = ANY(:customers::uuid[])
    ),
    'provisioning_holds', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM provisioning_holds AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'billing_pauses', (
        SELECT jsonb_agg(to_jsonb(t)) FROM billing_pauses AS t WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'provisioning_work', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM provisioning_work AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'provisioning_log', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM provisioning_log AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'tenant_services', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM tenant_services AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'billing_merges', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_merges AS t
        WHERE t.customer_id = ANY(:customers::uuid[])
           OR t.into_id = ANY(:customers::uuid[])
    ),
    'billing_access_data', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_access_data AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'billing_moves', (
        SELECT jsonb_agg(to_jsonb(t)) FROM billing_moves AS t WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'tenants', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM tenants AS t
        WHERE t.billing_subscription_id = ANY(:subscriptions::uuid[])
    ),
    'stripe_events', (
        SELECT jsonb_agg(to_jsonb(t) ORDER BY t.received_at)
        FROM stripe_events AS t
        WHERE t.object_id = ANY(:object_ids::text[])
           OR t.payload #>> '{data,object,customer}' = ANY(:stripe_customers::text[])
           OR t.payload #>> '{data,object,customer,id}' = ANY(:stripe_customers::text[])
    ),
    'stripe_refetches', (
        SELECT jsonb_agg(to_jsonb(t)) FROM stripe_refetches AS t WHERE t.object_id = ANY(:object_ids::text[])
    ),
    'billing_messages', (
        SELECT jsonb_agg(to_jsonb(t) ORDER BY t.position)
        FROM billing_messages AS t
        WHERE t.subscription_id = ANY(:subscriptions::uuid[])
    ),
    'billing_deliveries', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_deliveries AS t
        WHERE t.message_id IN (
            SELECT m.id FROM billing_messages AS m WHERE m.subscription_id = ANY(:subscriptions::uuid[])
        )
    ),
    'billing_kept_payments', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_kept_payments AS t
        WHERE t.stripe_invoice_id = ANY(:object_ids::text[])
    ),
    'billing_reconcile_drift', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_reconcile_drift AS t
        WHERE t.object_id = ANY(:object_ids::text[])
    ),
    'billing_audit_log', (
        SELECT jsonb_agg(to_jsonb(t))
        FROM billing_audit_log AS t
        WHERE t.target_id = ANY(:object_ids::text[] || :subscriptions::uuid[]::text[] || :customers::uuid[]::text[])
    )
);
