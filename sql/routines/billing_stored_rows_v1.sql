-- What is stored of objects: the version of their row, what orders it among others of its second, and where an
-- object without a row belongs. The parameters are snapshots of each type; those without a row and a
-- place are left out. `seen` identifies the version that was read: any change of the row gives another one.
-- The event of the stored snapshot is read only if the two may be of the same second.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_stored_rows_v1(
    customers jsonb,
    charges jsonb,
    refunds jsonb,
    payments jsonb,
    invoices jsonb,
    subscriptions jsonb,
    sessions jsonb
)
RETURNS TABLE (
    object_id text,
    since timestamptz,
    as_of timestamptz,
    event_id text,
    event_type text,
    payload jsonb,
    seen text,
    facts jsonb
)
LANGUAGE plpgsql
STABLE
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
    SELECT
        stored.object_id,
        stored.since,
        stored.as_of,
        stored.event_id,
        e.type,
        e.payload,
        CASE WHEN stored.as_of IS NOT NULL THEN stored.seen END,
        stored.facts
    FROM (
        SELECT
            i.object_id,
            i.since AS told_since,
            mirror.stripe_as_of_since AS since,
            mirror.stripe_as_of AS as_of,
            mirror.stripe_event_id AS event_id,
            mirror.updated_at::text AS seen,
            jsonb_build_object('deleted', mirror.deleted) AS facts
        FROM jsonb_to_recordset(billing_stored_rows_v1.customers) AS i (object_id text, since timestamptz)
        JOIN stripe_customers AS mirror
            ON mirror.id = i.object_id
            AND mirror.stripe_as_of IS NOT NULL
        UNION ALL
        SELECT
            i.object_id,
            i.since,
            mirror.stripe_as_of_since,
            mirror.stripe_as_of,
            mirror.stripe_event_id,
            mirror.updated_at::text,
            jsonb_build_object('status', mirror.status, 'amount_captured', mirror.amount_captured)
        FROM jsonb_to_recordset(billing_stored_rows_v1.charges) AS i (object_id text, since timestamptz)
        JOIN stripe_charges AS mirror
            ON mirror.stripe_charge_id = i.object_id
        UNION ALL
        SELECT
            i.object_id,
            i.since,
            mirror.stripe_as_of_since,
            mirror.stripe_as_of,
            mirror.stripe_event_id,
            mirror.updated_at::text,
            jsonb_build_object('status', mirror.status)
        FROM jsonb_to_recordset(billing_stored_rows_v1.refunds) AS i (object_id text, since timestamptz)
        JOIN stripe_refunds AS mirror
            ON mirror.stripe_refund_id = i.object_id
        UNION ALL
        SELECT
            i.object_id,
            i.since,
            mirror.stripe_as_of_since,
            mirror.stripe_as_of,
            mirror.stripe_event_id,
            mirror.updated_at::text,
            jsonb_build_object('status', mirror.status)
        FROM jsonb_to_recordset(billing_stored_rows_v1.payments) AS i (object_id text, since timestamptz)
        JOIN invoice_payments AS mirror
            ON mirror.stripe_invoice_payment_id = i.object_id
        UNION ALL
        SELECT
            i.object_id,
            i.since,
            mirror.stripe_as_of_since,
            mirror.stripe_as_of,
            mirror.stripe_event_id,
            mirror.updated_at::text,
            jsonb_build_object(
                'stripe_status', mirror.stripe_status,
                'attempt_count', mirror.attempt_count,
                'amount_paid', mirror.amount_paid
            )
        FROM jsonb_to_recordset(billing_stored_rows_v1.invoices) AS i (object_id text, since timestamptz)
        JOIN invoices AS mirror
            ON mirror.stripe_invoice_id = i.object_id
        UNION ALL
        SELECT
            i.object_id,
            i.since,
            placed.since,
            placed.as_of,
            placed.event_id,
            mirror.updated_at::text,
            jsonb_build_object(
                'stripe_status', placed.stripe_status,
                'subscription_id', placed.subscription_id,
                'customer_id', placed.customer_id,
                'deleted_id', placed.deleted_id,
                'order_is_missing', placed.order_is_missing
            )
        FROM jsonb_to_recordset(billing_stored_rows_v1.subscriptions) AS i (
            object_id text, since timestamptz, order_id uuid, stripe_customer_id text
        )
        CROSS JOIN LATERAL billing_place_subscription_v1(
            i.object_id, i.stripe_customer_id, i.order_id
        ) AS placed
        LEFT JOIN subscriptions AS mirror
            ON mirror.stripe_subscription_id = i.object_id
        UNION ALL
        SELECT
            i.object_id,
            i.since,
            placed.since,
            placed.as_of,
            placed.event_id,
            mirror.updated_at::text,
            jsonb_build_object(
                'status', placed.status,
                'payment_status', placed.payment_status,
                'subscription_id', placed.subscription_id,
                'attempt', placed.attempt,
                'order_stripe_subscription_id', placed.order_stripe_subscription_id
            )
        FROM jsonb_to_recordset(billing_stored_rows_v1.sessions) AS i (
            object_id text, since timestamptz, order_id uuid, attempt integer, stripe_customer_id text
        )
        CROSS JOIN LATERAL billing_place_session_v1(
            i.object_id, i.order_id, i.attempt, i.stripe_customer_id
        ) AS placed
        LEFT JOIN checkout_sessions AS mirror
            ON mirror.stripe_session_id = i.object_id
    ) AS stored
    LEFT JOIN stripe_events AS e
        ON e.id = stored.event_id
        AND stored.told_since <= stored.as_of;
END
$$;
COMMENT ON FUNCTION billing_stored_rows_v1(jsonb, jsonb, jsonb, jsonb, jsonb, jsonb, jsonb) IS 'What is stored of objects, to decide which snapshot is newer; the parameters are snapshots of each type';
