-- Writes snapshots of invoices: all of them ("decided"); those of an invoice that is new, or older
-- by a second or more ("later"); of those only what moves nothing that is derived for the invoice's
-- subscription ("routine"). Answers what was written, and whether it moves anything derived.
-- Asks in a while for the payment of a paid one, which no event of the invoice itself carries on
-- current versions, unless it is known or the event that should tell us comes first.

-- migrate:up
CREATE FUNCTION billing_write_invoices(snapshots jsonb, rule text)
RETURNS TABLE (object_id text, moves boolean)
LANGUAGE plpgsql AS $$
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
        FROM jsonb_to_recordset(snapshots) AS s (
            object_id text,
            invoice_number text,
            status text,
            subtotal numeric,
            tax_amount numeric,
            total numeric,
            currency text,
            due_date timestamptz,
            paid_at timestamptz,
            livemode boolean,
            stripe_subscription_id text,
            stripe_customer_id text,
            stripe_number text,
            stripe_status text,
            billing_reason text,
            amount_due bigint,
            amount_paid bigint,
            amount_remaining bigint,
            period_start timestamptz,
            period_end timestamptz,
            attempt_count integer,
            next_payment_attempt timestamptz,
            hosted_invoice_url text,
            invoice_pdf text,
            stripe_payment_intent_id text,
            stripe_created timestamptz,
            since timestamptz,
            as_of timestamptz,
            event_id text
        )
        LEFT JOIN LATERAL (
            -- one look-up a row, however large the table: OFFSET 0 keeps it from becoming a join
            SELECT
                o.id,
                o.tenant_id,
                o.customer_id,
                o.initial_payment_settled,
                o.stripe_status
            FROM subscriptions AS o
            WHERE o.stripe_subscription_id = s.stripe_subscription_id
            OFFSET 0
        ) AS billed ON TRUE
        LEFT JOIN LATERAL (
            -- the payment's event may have come before the invoice's
            SELECT p.stripe_payment_intent_id
            FROM invoice_payments AS p
            WHERE p.stripe_invoice_id = s.object_id
              AND p.status = 'paid'
            ORDER BY p.stripe_created DESC, p.stripe_invoice_payment_id DESC
            LIMIT 1
        ) AS paid ON TRUE
        LEFT JOIN LATERAL (
            SELECT
                m.stripe_subscription_id,
                m.stripe_payment_intent_id
            FROM invoices AS m
            WHERE rule = 'routine'
              AND m.stripe_invoice_id = s.object_id
            OFFSET 0
        ) AS stored ON TRUE
        -- what the last lines of this statement say of what was written, said before it is
        WHERE rule <> 'routine'
           OR (
               billed.initial_payment_settled
               AND billed.stripe_status NOT IN ('past_due', 'unpaid')
               AND coalesce(stored.stripe_subscription_id, s.stripe_subscription_id) = s.stripe_subscription_id
               AND coalesce(
                   s.stripe_payment_intent_id,
                   paid.stripe_payment_intent_id,
                   stored.stripe_payment_intent_id
               ) IS NULL
           )
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
            amount_due = excluded.amount_due,
            amount_paid = excluded.amount_paid,
            amount_remaining = excluded.amount_remaining,
            period_start = excluded.period_start,
            period_end = excluded.period_end,
            attempt_count = excluded.attempt_count,
            next_payment_attempt = excluded.next_payment_attempt,
            hosted_invoice_url = excluded.hosted_invoice_url,
            invoice_pdf = excluded.invoice_pdf,
            stripe_payment_intent_id = coalesce(excluded.stripe_payment_intent_id, mirror.stripe_payment_intent_id),
            stripe_as_of_since = excluded.stripe_as_of_since,
            stripe_as_of = excluded.stripe_as_of,
            stripe_event_id = excluded.stripe_event_id,
            updated_at = now()
        WHERE rule = 'decided'
           OR mirror.stripe_as_of < excluded.stripe_as_of_since
        RETURNING
            stripe_invoice_id,
            stripe_subscription_id,
            stripe_status,
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
            OR billed.stripe_status IN ('past_due', 'unpaid') AS moves
    FROM written AS w
    LEFT JOIN LATERAL (
        SELECT o.initial_payment_settled, o.stripe_status
        FROM subscriptions AS o
        WHERE o.stripe_subscription_id = w.stripe_subscription_id
        OFFSET 0
    ) AS billed ON TRUE;
END
$$;
COMMENT ON FUNCTION billing_write_invoices(jsonb, text) IS 'Writes snapshots of invoices that the rule lets through: decided, later, routine; answers which, and whether they move anything derived';

-- migrate:down
DROP FUNCTION billing_write_invoices(jsonb, text);
