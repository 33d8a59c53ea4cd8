-- Takes note of how Stripe has shown a subscription at a time; returns whether that changes what was known.
-- A row is kept where the state differs from the one before, so what is kept is a step function of time. The times at
-- which it was seen without a change are those of the events in the inbox. So a snapshot that comes late
-- (`is_late`) is put where it belongs exactly: the state that was there before it goes on from the next time at which
-- the subscription was seen.
-- What is mirrored now is not late, and nothing is known of any later time: a row that was deleted here and comes back
-- was never gone.
-- Of two late snapshots of one second the first to come stays, but one that shows the creation gives way.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_observe_revenue_v1(
    of_subscription uuid, seen billing_subscription_snapshot, seen_state jsonb, is_late boolean
)
RETURNS boolean
LANGUAGE plpgsql
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_variable
DECLARE
    has_ended boolean := seen.stripe_status IN ('canceled', 'incomplete_expired') AND seen.ended_at <= seen.as_of;
    seen_at timestamptz := CASE WHEN has_ended THEN seen.ended_at ELSE seen.as_of END;
    is_billed boolean := coalesce(seen.stripe_status IN ('active', 'past_due'), FALSE);
    before billing_revenue_states;
    following billing_revenue_states;
    mirrored_at timestamptz;
    next_seen timestamptz;
    has_forgotten boolean := FALSE;
BEGIN
    IF NOT is_late THEN
        DELETE FROM billing_revenue_states AS r
        WHERE r.subscription_id = of_subscription
          AND r.at > seen_at;
        has_forgotten := FOUND;
    END IF;
    SELECT r.* INTO before
    FROM billing_revenue_states AS r
    WHERE r.subscription_id = of_subscription
      AND r.at <= seen_at
    ORDER BY r.at DESC
    LIMIT 1;
    IF (before.livemode, before.billed) = (seen.livemode, is_billed) AND (before.state = seen_state OR NOT is_billed) THEN
        RETURN has_forgotten;
    END IF;
    IF is_late THEN
        SELECT CASE
            WHEN s.stripe_status IN ('canceled', 'incomplete_expired') THEN least(s.ended_at, s.stripe_as_of)
            ELSE s.stripe_as_of
        END
        INTO mirrored_at
        FROM subscriptions AS s
        WHERE s.id = of_subscription;
        IF mirrored_at = seen_at OR EXISTS (
            SELECT 1
            FROM stripe_events AS e
            WHERE e.object_id = seen.object_id
              AND e.created = seen_at
              AND e.status IN ('applied', 'stale')
              AND e.id <> seen.event_id
              AND e.type <> 'customer.subscription.created'
        ) THEN
            RETURN FALSE;
        END IF;
        SELECT e.created INTO next_seen
        FROM stripe_events AS e
        WHERE e.object_id = seen.object_id
          AND e.created > seen_at
          AND e.status IN ('applied', 'stale')
          AND e.id <> seen.event_id
        ORDER BY e.created
        LIMIT 1;
        next_seen := least(next_seen, CASE WHEN mirrored_at > seen_at THEN mirrored_at END);
        -- a state that is known from its own row needs none
        IF before.at IS NOT NULL AND next_seen IS NOT NULL THEN
            INSERT INTO billing_revenue_states (subscription_id, at, livemode, billed, began_at, state)
            SELECT of_subscription, next_seen, before.livemode, before.billed, before.began_at, before.state
            WHERE NOT EXISTS (
                SELECT 1
                FROM billing_revenue_states AS r
                WHERE r.subscription_id = of_subscription
                  AND r.at > seen_at
                  AND r.at <= next_seen
            );
        END IF;
    END IF;
    INSERT INTO billing_revenue_states AS r (subscription_id, at, livemode, billed, began_at, state)
    VALUES (
        of_subscription,
        seen_at,
        seen.livemode,
        is_billed,
        CASE
            WHEN is_billed THEN billing_charged_since_v1(seen.started_at, seen.trial_end, seen_at)
            WHEN has_ended AND seen.stripe_status = 'canceled' AND seen.trial_end > seen.ended_at THEN NULL
            WHEN has_ended AND seen.stripe_status = 'canceled' THEN greatest(seen.started_at, seen.trial_end)
        END,
        seen_state
    )
    ON CONFLICT (subscription_id, at) DO UPDATE
    SET livemode = excluded.livemode,
        billed = excluded.billed,
        began_at = excluded.began_at,
        state = excluded.state;
    IF before.at IS NULL AND NOT is_late THEN
        -- seen for the first time
        RETURN TRUE;
    END IF;
    -- what says the same as the one before says nothing: the next one may, and this one if it has replaced another
    SELECT r.* INTO before
    FROM billing_revenue_states AS r
    WHERE r.subscription_id = of_subscription
      AND r.at < seen_at
    ORDER BY r.at DESC
    LIMIT 1;
    SELECT r.* INTO following
    FROM billing_revenue_states AS r
    WHERE r.subscription_id = of_subscription
      AND r.at > seen_at
    ORDER BY r.at
    LIMIT 1;
    DELETE FROM billing_revenue_states AS r
    WHERE r.subscription_id = of_subscription
      AND (
          (
              r.at = following.at
              AND following.billed = is_billed
              AND (following.state = seen_state OR NOT is_billed)
          )
          OR (
              r.at = seen_at
              AND before.billed = is_billed
              AND (before.state = seen_state OR NOT is_billed)
          )
      );
    RETURN TRUE;
END
$$;
COMMENT ON FUNCTION billing_observe_revenue_v1(uuid, billing_subscription_snapshot, jsonb, boolean) IS 'Takes note of how Stripe has shown a subscription at a time; returns whether that changes what was known';
