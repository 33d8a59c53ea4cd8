-- Writes what was taken back of invoices, after refunds, credit notes or disputes of them. The caller holds
-- the locks of the invoices, so that none is written at the same time without seeing these.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_note_taken_back_v1(stripe_invoice_ids text[])
RETURNS void
LANGUAGE plpgsql
SET enable_hashjoin = off
SET enable_material = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    UPDATE invoices AS i
    SET amount_refunded = back.refunded,
        amount_credited = noted.credited,
        amount_disputed = back.disputed,
        disputed_since = back.disputed_since,
        status = billing_refunded_status_v1(i.status, i.amount_invoiced, back.refunded + noted.credited),
        updated_at = now()
    FROM unnest(billing_note_taken_back_v1.stripe_invoice_ids) AS named (id)
    CROSS JOIN LATERAL (
        SELECT array_agg(DISTINCT p.stripe_payment_intent_id) AS stripe_payment_intent_ids
        FROM invoice_payments AS p
        WHERE p.stripe_invoice_id = named.id
    ) AS paid
    CROSS JOIN LATERAL billing_taken_back_v1(paid.stripe_payment_intent_ids) AS back
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(n.amount_to_balance + n.amount_out_of_band), 0)::bigint AS credited
        FROM stripe_credit_notes AS n
        WHERE n.stripe_invoice_id = named.id
          AND n.status = 'issued'
    ) AS noted
    WHERE i.stripe_invoice_id = named.id
      AND (i.amount_refunded, i.amount_credited, i.amount_disputed, i.disputed_since)
          IS DISTINCT FROM (back.refunded, noted.credited, back.disputed, back.disputed_since);
END
$$;
COMMENT ON FUNCTION billing_note_taken_back_v1(text[]) IS 'Writes what refunds, credit notes and disputes have taken back of invoices';
