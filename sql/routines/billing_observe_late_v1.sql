-- Takes note of snapshots of subscriptions that are older than what is mirrored: they change nothing there, but what is
-- known of the past. A snapshot that does not have all items says too little.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_observe_late_v1(snapshots jsonb)
RETURNS void
LANGUAGE plpgsql
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    late record;
BEGIN
    FOR late IN
        SELECT
            o.id,
            s AS seen,
            s.discounts,
            billing_revenue_state_v1(s.currency, s.items, s.discounts) AS state
        FROM jsonb_populate_recordset(NULL::billing_subscription_snapshot, snapshots) AS s
        JOIN subscriptions AS o
            ON o.stripe_subscription_id = s.object_id
            AND o.stripe_as_of IS NOT NULL
        WHERE s.event_id IS NOT NULL
          AND s.items_complete
    LOOP
        INSERT INTO billing_discount_terms (
            subscription_id, stripe_discount_id, percent_off, amount_off, currency, duration, stripe_product_ids, ends_at
        )
        SELECT DISTINCT ON (d.stripe_discount_id)
            late.id,
            d.stripe_discount_id,
            d.percent_off,
            d.amount_off,
            d.currency,
            d.duration,
            d.stripe_product_ids,
            d.ends_at
        FROM jsonb_to_recordset(late.discounts) AS d (
            stripe_discount_id text,
            percent_off numeric,
            amount_off bigint,
            currency text,
            duration text,
            stripe_product_ids text[],
            ends_at timestamptz,
            has_terms boolean
        )
        WHERE d.has_terms
        ORDER BY d.stripe_discount_id
        ON CONFLICT DO NOTHING;
        IF billing_observe_revenue_v1(late.id, late.seen, late.state, TRUE) THEN
            PERFORM billing_enter_mrr_v1(late.id);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION billing_observe_late_v1(jsonb) IS 'Takes note of snapshots of subscriptions that are older than what is mirrored';
