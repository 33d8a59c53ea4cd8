-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_write_charges_v1(snapshots jsonb)
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
    INSERT INTO stripe_charges AS mirror (
        stripe_charge_id,
        livemode,
        stripe_payment_intent_id,
        stripe_customer_id,
        amount,
        amount_captured,
        amount_refunded,
        currency,
        status,
        failure_code,
        decline_code,
        decline_reason,
        card_brand,
        card_last4,
        card_exp_month,
        card_exp_year,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.stripe_payment_intent_id,
        s.stripe_customer_id,
        s.amount,
        s.amount_captured,
        s.amount_refunded,
        s.currency,
        s.status,
        s.failure_code,
        s.decline_code,
        s.decline_reason,
        s.card_brand,
        s.card_last4,
        s.card_exp_month,
        s.card_exp_year,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_charges_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        stripe_payment_intent_id text,
        stripe_customer_id text,
        amount bigint,
        amount_captured bigint,
        amount_refunded bigint,
        currency text,
        status text,
        failure_code text,
        decline_code text,
        decline_reason text,
        card_brand text,
        card_last4 text,
        card_exp_month smallint,
        card_exp_year smallint,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_charge_id) DO UPDATE
    SET stripe_payment_intent_id = excluded.stripe_payment_intent_id,
        stripe_customer_id = excluded.stripe_customer_id,
        amount = excluded.amount,
        amount_captured = excluded.amount_captured,
        amount_refunded = excluded.amount_refunded,
        currency = excluded.currency,
        status = excluded.status,
        failure_code = excluded.failure_code,
        decline_code = excluded.decline_code,
        decline_reason = excluded.decline_reason,
        card_brand = excluded.card_brand,
        card_last4 = excluded.card_last4,
        card_exp_month = excluded.card_exp_month,
        card_exp_year = excluded.card_exp_year,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
END
$$;
COMMENT ON FUNCTION billing_write_charges_v1(jsonb) IS 'Writes snapshots of charges';
