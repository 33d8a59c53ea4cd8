-- Writes snapshots that the ordering rules have let through, and returns whether each affects anything derived.
-- Schedules a request to Stripe for the payment of a paid invoice: no event of
-- the invoice carries it on current API versions. It is dropped if the payment's event comes first.
-- Code that is running calls it by its name and its parameters: a change of either is a _v3.

CREATE OR REPLACE FUNCTION billing_write_invoices_v2(snapshots jsonb)
RETURNS TABLE (object_id text, affects_derived boolean)
LANGUAGE plpgsql
SET enable_hashjoin = off
SET enable_material = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH written AS (
        INSERT INTO invoices AS mirror (
            subscription_id,
            tenant_id,
            customer_id,
            invoice_number,
            status,
            subtotal,
            tax_rate,
            tax_amount,
            taxes,
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
            voided_at,
            due_at,
            amount_invoiced,
            amount_refunded,
            amount_credited,
            amount_disputed,
            disputed_since,
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
            billing_refunded_status_v1(s.status, s.amount_invoiced, back.refunded + noted.credited),
            least(s.subtotal, 99999999.99),
            coalesce(s.tax_rate, 0),
            least(s.tax_amount, 99999999.99),
            s.taxes,
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
            s.voided_at,
            s.due_date,
            s.amount_invoiced,
            back.refunded,
            noted.credited,
            back.disputed,
            back.disputed_since,
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
        FROM jsonb_populate_recordset(NULL::billing_invoice_snapshot, billing_write_invoices_v2.snapshots) AS s
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
            -- the payments' events may arrive before the invoice's
            SELECT
                (
                    array_agg(p.stripe_payment_intent_id ORDER BY p.stripe_created DESC, p.stripe_invoice_payment_id DESC)
                        FILTER (WHERE p.status = 'paid')
                )[1] AS stripe_payment_intent_id,
                array_agg(DISTINCT p.stripe_payment_intent_id) AS stripe_payment_intent_ids
            FROM invoice_payments AS p
            WHERE p.stripe_invoice_id = s.object_id
        ) AS paid ON TRUE
        CROSS JOIN LATERAL billing_taken_back_v1(paid.stripe_payment_intent_ids) AS back
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(n.amount_to_balance + n.amount_out_of_band), 0)::bigint AS credited
            FROM stripe_credit_notes AS n
            WHERE n.stripe_invoice_id = s.object_id
              AND n.status = 'issued'
        ) AS noted
        ON CONFLICT (stripe_invoice_id) DO UPDATE
        SET subscription_id = coalesce(excluded.subscription_id, mirror.subscription_id),
            tenant_id = coalesce(excluded.tenant_id, mirror.tenant_id),
            customer_id = coalesce(excluded.customer_id, mirror.customer_id),
            status = excluded.status,
            subtotal = excluded.subtotal,
            tax_rate = excluded.tax_rate,
            tax_amount = excluded.tax_amount,
            taxes = excluded.taxes,
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
            voided_at = excluded.voided_at,
            due_at = excluded.due_at,
            amount_invoiced = excluded.amount_invoiced,
            amount_refunded = excluded.amount_refunded,
            amount_credited = excluded.amount_credited,
            amount_disputed = excluded.amount_disputed,
            disputed_since = excluded.disputed_since,
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
        RETURNING
            stripe_invoice_id,
            stripe_subscription_id,
            stripe_status,
            billing_reason,
            collection_method,
            attempt_count,
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
        ON CONFLICT (object_id) DO UPDATE
        -- a question of a tie is dropped once a later second has come; this one stays
        SET tied_at = NULL
        WHERE stripe_refetches.tied_at IS NOT NULL
        RETURNING object_id
    )
    SELECT
        w.stripe_invoice_id AS object_id,
        w.stripe_payment_intent_id IS NOT NULL
            OR billed.initial_payment_settled IS NOT TRUE
            OR billed.stripe_status NOT IN ('trialing', 'active', 'incomplete')
            OR (billed.order_paid IS NOT TRUE AND w.stripe_status = 'paid' AND w.total > 0)
            -- what is owed: these add to it; where events are received, the same is said of bills
            OR (
                w.stripe_status NOT IN ('open', 'uncollectible')
                OR w.billing_reason = 'manual'
                OR (w.collection_method IS DISTINCT FROM 'send_invoice' AND w.attempt_count = 0)
            ) IS NOT TRUE
            -- an older one that was written off is owed again without it
            OR (former.stripe_status = 'paid' AND w.stripe_status <> 'paid')
            -- with a debt any invoice may settle it
            OR billed.owes IS NOT FALSE AS affects_derived
    FROM written AS w
    -- as it was before this statement
    LEFT JOIN invoices AS former
        ON former.stripe_invoice_id = w.stripe_invoice_id
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
    IF jsonb_path_exists(billing_write_invoices_v2.snapshots, '$[*].taxes[*].tax_rate') THEN
        PERFORM billing_request_tax_rates_v1(billing_write_invoices_v2.snapshots);
    END IF;
END
$$;
COMMENT ON FUNCTION billing_write_invoices_v2(jsonb) IS 'Writes snapshots of invoices; returns which affect derived columns';
