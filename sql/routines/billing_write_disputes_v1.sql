-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_write_disputes_v1(snapshots jsonb)
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
    INSERT INTO stripe_disputes AS mirror (
        stripe_dispute_id,
        livemode,
        stripe_charge_id,
        stripe_payment_intent_id,
        status,
        reason,
        amount,
        currency,
        fee,
        fee_currency,
        movements,
        is_charge_refundable,
        evidence_due_at,
        has_evidence,
        submissions,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.stripe_charge_id,
        s.stripe_payment_intent_id,
        s.status,
        s.reason,
        s.amount,
        s.currency,
        s.fee,
        s.fee_currency,
        s.movements,
        s.is_charge_refundable,
        s.evidence_due_at,
        s.has_evidence,
        s.submissions,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_disputes_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        stripe_charge_id text,
        stripe_payment_intent_id text,
        status text,
        reason text,
        amount bigint,
        currency text,
        fee bigint,
        fee_currency text,
        movements integer,
        is_charge_refundable boolean,
        evidence_due_at timestamptz,
        has_evidence boolean,
        submissions integer,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_dispute_id) DO UPDATE
    SET stripe_charge_id = excluded.stripe_charge_id,
        stripe_payment_intent_id = excluded.stripe_payment_intent_id,
        status = excluded.status,
        reason = excluded.reason,
        amount = excluded.amount,
        currency = excluded.currency,
        fee = excluded.fee,
        fee_currency = excluded.fee_currency,
        movements = excluded.movements,
        is_charge_refundable = excluded.is_charge_refundable,
        evidence_due_at = excluded.evidence_due_at,
        has_evidence = excluded.has_evidence,
        submissions = excluded.submissions,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
END
$$;
COMMENT ON FUNCTION billing_write_disputes_v1(jsonb) IS 'Writes snapshots of disputes';
