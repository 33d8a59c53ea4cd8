-- Everything that the desired state of services reads from a Stripe subscription, as one value. It is
-- stored with the row: a snapshot affects what is derived exactly if this value differs from the
-- stored one, on the fast path and on the full path. So nothing can be read that triggers no work.
-- Terms and amounts are not in it, because most renewals change nothing else.
-- It has no subquery, so that PostgreSQL inlines it: called as a function it took longer than the rest
-- of the comparison.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_subscription_entitlement_v1(
    snapshot billing_subscription_snapshot, stored jsonb
)
RETURNS jsonb
LANGUAGE sql
STABLE
AS $$
    SELECT jsonb_build_object(
        'stripeStatus', snapshot.stripe_status,
        'pausedBy', snapshot.paused_by,
        'collectionPaused', snapshot.collection_paused,
        -- set to end before it is billed again; a later end leaves the invoice after a trial as it is
        'ending', snapshot.cancel_at_period_end
            OR (snapshot.cancel_at <= snapshot.current_period_end) IS TRUE,
        'trialEnd', snapshot.trial_end,
        'endedAt', CASE
            WHEN snapshot.stripe_status IN ('canceled', 'incomplete_expired')
                THEN coalesce(snapshot.ended_at, snapshot.canceled_at)
        END,
        'termStart', CASE
            WHEN snapshot.stripe_status IN ('past_due', 'unpaid') THEN snapshot.current_period_start
            WHEN snapshot.stripe_status = 'paused' THEN coalesce(snapshot.paused_at, snapshot.current_period_start)
        END,
        'items', CASE
            -- what an incomplete list leaves out may still be there: Stripe is asked for the rest
            WHEN snapshot.items_complete IS FALSE AND stored IS NOT NULL THEN stored -> 'items'
            ELSE coalesce(snapshot.entitled_items, '[]')
        END
    )
$$;
COMMENT ON FUNCTION billing_subscription_entitlement_v1(billing_subscription_snapshot, jsonb) IS 'What a subscription entitles to, as far as Stripe says; a change of this value makes work for provisioning';
