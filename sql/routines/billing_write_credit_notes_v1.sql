-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_write_credit_notes_v1(snapshots jsonb)
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
    INSERT INTO stripe_credit_notes AS mirror (
        stripe_credit_note_id,
        livemode,
        stripe_invoice_id,
        stripe_customer_id,
        stripe_number,
        status,
        amount,
        amount_before_payment,
        amount_refunded,
        amount_to_balance,
        amount_out_of_band,
        refunds,
        taxes,
        voided_at,
        currency,
        reason,
        memo,
        pdf,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.stripe_invoice_id,
        s.stripe_customer_id,
        s.stripe_number,
        s.status,
        s.amount,
        s.amount_before_payment,
        s.amount_refunded,
        s.amount_to_balance,
        s.amount_out_of_band,
        s.refunds,
        s.taxes,
        s.voided_at,
        s.currency,
        s.reason,
        s.memo,
        s.pdf,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_credit_notes_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        stripe_invoice_id text,
        stripe_customer_id text,
        stripe_number text,
        status text,
        amount bigint,
        amount_before_payment bigint,
        amount_refunded bigint,
        amount_to_balance bigint,
        amount_out_of_band bigint,
        refunds jsonb,
        taxes jsonb,
        voided_at timestamptz,
        currency text,
        reason text,
        memo text,
        pdf text,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_credit_note_id) DO UPDATE
    SET stripe_invoice_id = excluded.stripe_invoice_id,
        stripe_customer_id = excluded.stripe_customer_id,
        stripe_number = excluded.stripe_number,
        status = excluded.status,
        amount = excluded.amount,
        amount_before_payment = excluded.amount_before_payment,
        amount_refunded = excluded.amount_refunded,
        amount_to_balance = excluded.amount_to_balance,
        amount_out_of_band = excluded.amount_out_of_band,
        refunds = excluded.refunds,
        taxes = excluded.taxes,
        voided_at = excluded.voided_at,
        currency = excluded.currency,
        reason = excluded.reason,
        memo = excluded.memo,
        pdf = excluded.pdf,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
    IF jsonb_path_exists(billing_write_credit_notes_v1.snapshots, '$[*].taxes[*].tax_rate') THEN
        PERFORM billing_request_tax_rates_v1(billing_write_credit_notes_v1.snapshots);
    END IF;
END
$$;
COMMENT ON FUNCTION billing_write_credit_notes_v1(jsonb) IS 'Writes snapshots of credit notes';
