-- Brings the ledger in line with a subscription as it is mirrored now; called at the end of a transaction that may have
-- changed what it is charged. One whose row is gone adds nothing from now on.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_record_revenue_v1(of_subscription uuid)
RETURNS void
LANGUAGE plpgsql
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_variable
DECLARE
    seen billing_subscription_snapshot;
    seen_state jsonb;
    learned boolean := FALSE;
BEGIN
    SELECT
        s.stripe_subscription_id,
        s.livemode,
        s.stripe_status,
        s.started_at,
        s.trial_end,
        s.ended_at,
        s.stripe_as_of,
        s.stripe_event_id,
        stored.state
    INTO
        seen.object_id,
        seen.livemode,
        seen.stripe_status,
        seen.started_at,
        seen.trial_end,
        seen.ended_at,
        seen.as_of,
        seen.event_id,
        seen_state
    FROM subscriptions AS s
    CROSS JOIN LATERAL billing_stored_revenue_state_v2(s.id, s.currency) AS stored
    WHERE s.id = of_subscription
      AND s.stripe_as_of IS NOT NULL;
    IF NOT FOUND THEN
        SELECT
            r.livemode,
            greatest(r.at, now()),
            r.state
        INTO
            seen.livemode,
            seen.as_of,
            seen_state
        FROM billing_revenue_states AS r
        WHERE r.subscription_id = of_subscription
        ORDER BY r.at DESC
        LIMIT 1;
        IF NOT FOUND THEN
            RETURN;
        END IF;
    ELSIF seen_state -> 'discounts' <> '[]' THEN
        INSERT INTO billing_discount_terms AS t (
            subscription_id,
            stripe_discount_id,
            percent_off,
            amount_off,
            currency,
            duration,
            stripe_product_ids,
            ends_at
        )
        SELECT DISTINCT ON (d.stripe_discount_id)
            d.subscription_id,
            d.stripe_discount_id,
            d.percent_off,
            d.amount_off,
            d.currency,
            d.duration,
            d.stripe_product_ids,
            d.ends_at
        FROM subscription_discounts AS d
        WHERE d.subscription_id = of_subscription
          AND d.duration IS NOT NULL
        ORDER BY d.stripe_discount_id
        ON CONFLICT (subscription_id, stripe_discount_id) DO UPDATE
        SET percent_off = excluded.percent_off,
            amount_off = excluded.amount_off,
            currency = excluded.currency,
            duration = excluded.duration,
            stripe_product_ids = excluded.stripe_product_ids,
            ends_at = excluded.ends_at
        WHERE (t.percent_off, t.amount_off, t.currency, t.duration, t.stripe_product_ids, t.ends_at) IS DISTINCT FROM (
            excluded.percent_off,
            excluded.amount_off,
            excluded.currency,
            excluded.duration,
            excluded.stripe_product_ids,
            excluded.ends_at
        );
        learned := FOUND;
    END IF;
    IF billing_observe_revenue_v1(of_subscription, seen, seen_state, FALSE) OR learned THEN
        PERFORM billing_enter_mrr_v1(of_subscription);
    END IF;
END
$$;
COMMENT ON FUNCTION billing_record_revenue_v1(uuid) IS 'Brings the ledger in line with a subscription as it is mirrored now';
