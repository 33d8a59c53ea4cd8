-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_write_invoice_payments_v1(snapshots jsonb)
RETURNS void
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
    WITH written AS (
        INSERT INTO invoice_payments AS mirror (
            stripe_invoice_payment_id,
            stripe_invoice_id,
            livemode,
            stripe_payment_intent_id,
            stripe_charge_id,
            amount_paid,
            currency,
            status,
            stripe_created,
            stripe_as_of_since,
            stripe_as_of,
            stripe_event_id
        )
        SELECT
            s.object_id,
            s.stripe_invoice_id,
            s.livemode,
            s.stripe_payment_intent_id,
            s.stripe_charge_id,
            s.amount_paid,
            s.currency,
            s.status,
            s.stripe_created,
            s.since,
            s.as_of,
            s.event_id
        FROM jsonb_to_recordset(billing_write_invoice_payments_v1.snapshots) AS s (
            object_id text,
            stripe_invoice_id text,
            livemode boolean,
            stripe_payment_intent_id text,
            stripe_charge_id text,
            amount_paid bigint,
            currency text,
            status text,
            stripe_created timestamptz,
            since timestamptz,
            as_of timestamptz,
            event_id text
        )
        ON CONFLICT (stripe_invoice_payment_id) DO UPDATE
        SET stripe_invoice_id = excluded.stripe_invoice_id,
            stripe_payment_intent_id = excluded.stripe_payment_intent_id,
            stripe_charge_id = excluded.stripe_charge_id,
            amount_paid = excluded.amount_paid,
            currency = excluded.currency,
            status = excluded.status,
            stripe_as_of_since = excluded.stripe_as_of_since,
            stripe_as_of = excluded.stripe_as_of,
            stripe_event_id = excluded.stripe_event_id,
            updated_at = now()
        RETURNING
            stripe_invoice_payment_id,
            stripe_invoice_id,
            stripe_payment_intent_id,
            status,
            stripe_created
    ),
    arrived AS (
        -- a paid invoice waits for its payment
        DELETE FROM stripe_refetches AS awaited
        WHERE awaited.reason = 'awaited'
          -- an array: each is looked up, however many have come since statistics saw few
          AND awaited.object_id = ANY (ARRAY(SELECT w.stripe_invoice_id FROM written AS w))
    ),
    paid AS (
        SELECT
            p.stripe_invoice_id,
            (
                array_agg(p.stripe_payment_intent_id ORDER BY p.stripe_created DESC, p.stripe_invoice_payment_id DESC)
                    FILTER (WHERE p.status = 'paid')
            )[1] AS latest,
            array_agg(DISTINCT p.stripe_payment_intent_id) AS stripe_payment_intent_ids
        FROM (
            SELECT
                w.stripe_invoice_payment_id,
                w.stripe_invoice_id,
                w.stripe_payment_intent_id,
                w.status,
                w.stripe_created
            FROM written AS w
            UNION ALL
            SELECT
                other.stripe_invoice_payment_id,
                other.stripe_invoice_id,
                other.stripe_payment_intent_id,
                other.status,
                other.stripe_created
            FROM invoice_payments AS other
            WHERE other.stripe_invoice_id IN (SELECT w.stripe_invoice_id FROM written AS w)
              AND other.stripe_invoice_payment_id NOT IN (
                  SELECT w.stripe_invoice_payment_id FROM written AS w
              )
        ) AS p
        WHERE p.stripe_payment_intent_id IS NOT NULL
        GROUP BY p.stripe_invoice_id
    )
    UPDATE invoices AS i
    SET stripe_payment_intent_id = coalesce(paid.latest, i.stripe_payment_intent_id),
        amount_refunded = back.refunded,
        amount_disputed = back.disputed,
        disputed_since = back.disputed_since,
        status = billing_refunded_status_v1(i.status, i.amount_invoiced, back.refunded + i.amount_credited),
        updated_at = now()
    FROM paid
    -- a refund or a dispute may arrive before the payment that it takes back
    CROSS JOIN LATERAL billing_taken_back_v1(paid.stripe_payment_intent_ids) AS back
    WHERE i.stripe_invoice_id = paid.stripe_invoice_id
      AND (
          i.stripe_payment_intent_id IS DISTINCT FROM coalesce(paid.latest, i.stripe_payment_intent_id)
          OR i.amount_refunded <> back.refunded
          OR i.amount_disputed <> back.disputed
          OR i.disputed_since IS DISTINCT FROM back.disputed_since
      );
END
$$;
COMMENT ON FUNCTION billing_write_invoice_payments_v1(jsonb) IS 'Writes snapshots of payments of invoices, and links the invoices to them';
