-- Mirrored invoices; set-based like subscriptions.sql.

-- Tables: invoices
--
-- CREATE TABLE invoices (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     tenant_id uuid,
--     customer_id uuid,
--     invoice_number character varying(50) NOT NULL,
--     status character varying(50) DEFAULT 'draft'::character varying,
--     subtotal numeric(10,2) NOT NULL,
--     tax_rate numeric(5,4) DEFAULT 0,
--     tax_amount numeric(10,2) DEFAULT 0,
--     total numeric(10,2) NOT NULL,
--     currency character varying(3) DEFAULT 'USD'::character varying,
--     due_date date,
--     paid_date timestamp without time zone,
--     notes text,
--     metadata jsonb DEFAULT '{}'::jsonb,
--     created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     subscription_id uuid,
--     livemode boolean,
--     stripe_invoice_id text,
--     stripe_subscription_id text,
--     stripe_customer_id text,
--     stripe_number text,
--     stripe_status text,
--     billing_reason text,
--     collection_method text,
--     auto_advance boolean,
--     finalization_error text,
--     finalized_at timestamp with time zone,
--     due_at timestamp with time zone,
--     amount_due bigint,
--     amount_paid bigint,
--     amount_remaining bigint,
--     period_start timestamp with time zone,
--     period_end timestamp with time zone,
--     attempt_count integer,
--     next_payment_attempt timestamp with time zone,
--     hosted_invoice_url text,
--     invoice_pdf text,
--     stripe_payment_intent_id character varying(255),
--     stripe_created timestamp with time zone,
--     stripe_as_of_since timestamp with time zone,
--     stripe_as_of timestamp with time zone,
--     stripe_event_id text,
--     CONSTRAINT billing_invoices_mirror_check CHECK (((stripe_invoice_id IS NULL) OR ((livemode IS NOT NULL) AND (stripe_status IS NOT NULL) AND (amount_due IS NOT NULL) AND (amount_paid IS NOT NULL) AND (amount_remaining IS NOT NULL) AND (stripe_created IS NOT NULL) AND (stripe_as_of IS NOT NULL) AND (stripe_as_of_since <= stripe_as_of)))),
--     CONSTRAINT billing_invoices_number_check CHECK (((stripe_invoice_id IS NULL) OR ((invoice_number)::text !~* '^INV-'::text))),
--     CONSTRAINT billing_invoices_stripe_status_check CHECK ((stripe_status = ANY (ARRAY['draft'::text, 'open'::text, 'paid'::text, 'uncollectible'::text, 'void'::text, 'deleted'::text])))
-- )
-- WITH (fillfactor='85');
-- ALTER TABLE ONLY invoices ADD CONSTRAINT invoices_invoice_number_key UNIQUE (invoice_number);
-- ALTER TABLE ONLY invoices ADD CONSTRAINT invoices_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY invoices ADD CONSTRAINT billing_invoices_subscription_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE SET NULL;
-- ALTER TABLE ONLY invoices ADD CONSTRAINT invoices_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY invoices ADD CONSTRAINT invoices_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;
-- CREATE INDEX billing_invoices_attention_idx ON invoices USING btree (stripe_status, next_payment_attempt, subscription_id, stripe_created) WHERE (((stripe_subscription_id IS NOT NULL) AND (subscription_id IS NULL)) OR ((finalized_at IS NULL) AND (stripe_invoice_id IS NOT NULL)) OR (stripe_status = ANY (ARRAY['open'::text, 'uncollectible'::text])));
-- CREATE INDEX billing_invoices_customer_idx ON invoices USING btree (customer_id, stripe_created) WHERE (stripe_invoice_id IS NOT NULL);
-- CREATE UNIQUE INDEX billing_invoices_stripe_invoice_key ON invoices USING btree (stripe_invoice_id);
-- CREATE INDEX billing_invoices_stripe_subscription_idx ON invoices USING btree (stripe_subscription_id, stripe_created);
-- CREATE INDEX billing_invoices_subscription_idx ON invoices USING btree (subscription_id);

-- name: list_stored(object_ids, sinces)
SELECT
    i.object_id,
    mirror.stripe_as_of_since AS since,
    mirror.stripe_as_of AS as_of,
    mirror.stripe_event_id AS event_id,
    mirror.stripe_status,
    mirror.attempt_count,
    mirror.amount_paid,
    e.type AS event_type,
    e.payload
FROM unnest(:object_ids::text[], :sinces::timestamptz[]) AS i (object_id, since)
JOIN invoices AS mirror
    ON mirror.stripe_invoice_id = i.object_id
LEFT JOIN stripe_events AS e
    ON e.id = mirror.stripe_event_id
    AND i.since <= mirror.stripe_as_of;

-- name: write_snapshots(snapshots, rule)
-- Rules as in subscriptions.sql; `later` also writes an invoice that is not stored yet.
-- Schedules a request to Stripe for the payment of a paid invoice: no event of
-- the invoice carries it on current API versions. It is dropped if the payment's event comes first.
WITH written AS (
    INSERT INTO invoices AS mirror (
        subscription_id,
        tenant_id,
        customer_id,
        invoice_number,
        status,
        subtotal,
        tax_amount,
        total,
        currency,
        due_date,
        paid_date,
        livemode,
        stripe_invoice_id,
        stripe_subscription_id,
        stripe_customer_id,
        stripe_number,
        stripe_status,
        billing_reason,
        collection_method,
        auto_advance,
        finalization_error,
        finalized_at,
        due_at,
        amount_due,
        amount_paid,
        amount_remaining,
        period_start,
        period_end,
        attempt_count,
        next_payment_attempt,
        hosted_invoice_url,
        invoice_pdf,
        stripe_payment_intent_id,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id,
        created_at
    )
    SELECT
        billed.id,
        billed.tenant_id,
        coalesce(billed.customer_id, (
            SELECT known.customer_id
            FROM stripe_customers AS known
            WHERE known.id = s.stripe_customer_id
        )),
        s.invoice_number,
        s.status,
        least(s.subtotal, 99999999.99),
        least(s.tax_amount, 99999999.99),
        least(s.total, 99999999.99),
        upper(s.currency),
        coalesce(s.due_date, s.stripe_created)::date,
        s.paid_at AT TIME ZONE 'UTC',
        s.livemode,
        s.object_id,
        s.stripe_subscription_id,
        s.stripe_customer_id,
        s.stripe_number,
        s.stripe_status,
        s.billing_reason,
        s.collection_method,
        s.auto_advance,
        s.finalization_error,
        s.finalized_at,
        s.due_date,
        s.amount_due,
        s.amount_paid,
        s.amount_remaining,
        s.period_start,
        s.period_end,
        s.attempt_count,
        s.next_payment_attempt,
        s.hosted_invoice_url,
        s.invoice_pdf,
        coalesce(s.stripe_payment_intent_id, paid.stripe_payment_intent_id),
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id,
        s.stripe_created AT TIME ZONE 'UTC'
    FROM jsonb_populate_recordset(NULL::billing_invoice_snapshot, :snapshots::jsonb) AS s
    LEFT JOIN LATERAL (
        -- OFFSET 0 keeps this a look-up for each row instead of a join, however large the table
        SELECT
            o.id,
            o.tenant_id,
            o.customer_id
        FROM subscriptions AS o
        WHERE o.stripe_subscription_id = s.stripe_subscription_id
        OFFSET 0
    ) AS billed ON TRUE
    LEFT JOIN LATERAL (
        -- the payment's event may arrive before the invoice's
        SELECT p.stripe_payment_intent_id
        FROM invoice_payments AS p
        WHERE p.stripe_invoice_id = s.object_id
          AND p.status = 'paid'
        ORDER BY p.stripe_created DESC, p.stripe_invoice_payment_id DESC
        LIMIT 1
    ) AS paid ON TRUE
    ON CONFLICT (stripe_invoice_id) DO UPDATE
    SET subscription_id = coalesce(excluded.subscription_id, mirror.subscription_id),
        tenant_id = coalesce(excluded.tenant_id, mirror.tenant_id),
        customer_id = coalesce(excluded.customer_id, mirror.customer_id),
        status = excluded.status,
        subtotal = excluded.subtotal,
        tax_amount = excluded.tax_amount,
        total = excluded.total,
        currency = excluded.currency,
        due_date = excluded.due_date,
        paid_date = excluded.paid_date,
        stripe_subscription_id = coalesce(excluded.stripe_subscription_id, mirror.stripe_subscription_id),
        stripe_customer_id = coalesce(excluded.stripe_customer_id, mirror.stripe_customer_id),
        stripe_number = excluded.stripe_number,
        stripe_status = excluded.stripe_status,
        billing_reason = excluded.billing_reason,
        collection_method = excluded.collection_method,
        auto_advance = excluded.auto_advance,
        finalization_error = excluded.finalization_error,
        finalized_at = excluded.finalized_at,
        due_at = excluded.due_at,
        amount_due = excluded.amount_due,
        amount_paid = excluded.amount_paid,
        amount_remaining = excluded.amount_remaining,
        period_start = excluded.period_start,
        period_end = excluded.period_end,
        attempt_count = excluded.attempt_count,
        next_payment_attempt = excluded.next_payment_attempt,
        hosted_invoice_url = excluded.hosted_invoice_url,
        invoice_pdf = excluded.invoice_pdf,
        -- the one with which it was to be paid need not be the one that paid it
        stripe_payment_intent_id = coalesce(
            excluded.stripe_payment_intent_id,
            CASE
                WHEN excluded.stripe_status <> 'paid' OR mirror.stripe_status = 'paid'
                THEN mirror.stripe_payment_intent_id
            END
        ),
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now()
    WHERE :rule::text = 'decided'
       OR mirror.stripe_as_of < excluded.stripe_as_of_since
    RETURNING
        stripe_invoice_id,
        stripe_subscription_id,
        stripe_status,
        total,
        amount_paid,
        stripe_payment_intent_id,
        stripe_event_id
),
awaited AS (
    INSERT INTO stripe_refetches (object_id, object_type, reason, next_attempt_at)
    SELECT
        w.stripe_invoice_id,
        'invoice',
        'awaited',
        now() + interval '1 minute'
    FROM written AS w
    WHERE w.stripe_status = 'paid'
      AND w.amount_paid > 0
      AND w.stripe_payment_intent_id IS NULL
      AND w.stripe_event_id IS NOT NULL
    ON CONFLICT (object_id) DO NOTHING
    RETURNING object_id
)
SELECT
    w.stripe_invoice_id AS object_id,
    w.stripe_payment_intent_id IS NOT NULL
        OR billed.initial_payment_settled IS NOT TRUE
        OR billed.stripe_status NOT IN ('trialing', 'active', 'incomplete')
        OR (billed.order_paid IS NOT TRUE AND w.stripe_status = 'paid' AND w.total > 0)
        -- what is owed: these may add to it, and with a debt any invoice may settle it
        OR w.stripe_status NOT IN ('draft', 'paid')
        OR billed.owes IS NOT FALSE AS affects_derived
FROM written AS w
LEFT JOIN LATERAL (
    SELECT
        o.initial_payment_settled,
        o.order_paid,
        o.stripe_status,
        work.inputs ->> 'owedSince' IS NOT NULL AS owes
    FROM subscriptions AS o
    LEFT JOIN provisioning_work AS work
        ON work.subscription_id = o.id
    WHERE o.stripe_subscription_id = w.stripe_subscription_id
    OFFSET 0
) AS billed ON TRUE;

-- name: list_invoice_subscriptions(stripe_invoice_ids)
SELECT DISTINCT i.stripe_subscription_id
FROM invoices AS i
WHERE i.stripe_invoice_id = ANY(:stripe_invoice_ids::text[])
  AND i.stripe_subscription_id IS NOT NULL
ORDER BY i.stripe_subscription_id;

-- name: list_compared(object_ids)
SELECT
    i.stripe_invoice_id AS object_id,
    i.stripe_as_of AS as_of,
    i.stripe_event_id AS event_id,
    i.stripe_subscription_id,
    i.stripe_customer_id,
    i.stripe_number,
    i.stripe_status,
    i.billing_reason,
    i.collection_method,
    i.auto_advance,
    i.finalization_error,
    i.finalized_at,
    i.due_at AS due_date,
    i.paid_date AT TIME ZONE 'UTC' AS paid_at,
    i.status,
    i.subtotal,
    i.tax_amount,
    i.total,
    lower(i.currency) AS currency,
    i.amount_due,
    i.amount_paid,
    i.amount_remaining,
    i.period_start,
    i.period_end,
    i.attempt_count,
    i.next_payment_attempt,
    i.stripe_created
FROM invoices AS i
WHERE i.stripe_invoice_id = ANY(:object_ids::text[])
  AND i.stripe_as_of IS NOT NULL;

-- name: find_absent(after, most, livemode, started_at)^
WITH stretch AS MATERIALIZED (
    SELECT
        i.stripe_invoice_id AS object_id,
        i.livemode,
        i.stripe_as_of AS as_of,
        i.stripe_status
    FROM invoices AS i
    WHERE i.stripe_invoice_id > :after
    ORDER BY i.stripe_invoice_id
    LIMIT :most
)
SELECT
    count(*) AS looked_at,
    max(t.object_id) AS last_id,
    array_agg(t.object_id ORDER BY t.object_id) FILTER (
        WHERE t.livemode = :livemode
          AND t.stripe_status <> 'deleted'
          AND t.as_of < :started_at::timestamptz
          AND m.object_id IS NULL
    ) AS absent
FROM stretch AS t
LEFT JOIN billing_reconcile_marks AS m
    ON m.object_id = t.object_id;
