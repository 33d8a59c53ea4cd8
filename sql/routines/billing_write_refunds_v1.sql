-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_write_refunds_v1(snapshots jsonb)
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
    INSERT INTO stripe_refunds AS mirror (
        stripe_refund_id,
        livemode,
        stripe_payment_intent_id,
        stripe_charge_id,
        amount,
        currency,
        status,
        reason,
        failure_reason,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.stripe_payment_intent_id,
        s.stripe_charge_id,
        s.amount,
        s.currency,
        s.status,
        s.reason,
        s.failure_reason,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_refunds_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        stripe_payment_intent_id text,
        stripe_charge_id text,
        amount bigint,
        currency text,
        status text,
        reason text,
        failure_reason text,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_refund_id) DO UPDATE
    SET stripe_payment_intent_id = excluded.stripe_payment_intent_id,
        stripe_charge_id = excluded.stripe_charge_id,
        amount = excluded.amount,
        currency = excluded.currency,
        status = excluded.status,
        reason = excluded.reason,
        failure_reason = excluded.failure_reason,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
END
$$;
COMMENT ON FUNCTION billing_write_refunds_v1(jsonb) IS 'Writes snapshots of refunds';
