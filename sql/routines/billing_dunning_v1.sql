-- Where Stripe's attempts to collect a subscription's oldest unpaid invoice stand; no row: none has
-- failed. The reason is that of the latest charge that was declined.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_dunning_v1(of_subscription uuid)
RETURNS TABLE (
    invoice_id uuid,
    amount_remaining bigint,
    currency text,
    attempt_count integer,
    next_attempt_at timestamptz,
    last_reason text,
    said text
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        i.id,
        i.amount_remaining,
        lower(i.currency),
        i.attempt_count,
        i.next_payment_attempt,
        declined.reason,
        concat_ws(
            ' ',
            'attempt ' || i.attempt_count || ' failed' || coalesce(': ' || declined.reason, '.'),
            coalesce(
                'Next: ' || to_char(i.next_payment_attempt AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC',
                'No further one is planned.'
            )
        )
    FROM invoices AS i
    LEFT JOIN LATERAL billing_declined_v1(
        i.stripe_customer_id, i.stripe_created, i.stripe_payment_intent_id, i.amount_due
    ) AS declined ON TRUE
    WHERE i.subscription_id = of_subscription
      AND i.stripe_status = 'open'
      AND i.attempt_count > 0
    ORDER BY i.stripe_created, i.id
    LIMIT 1
$$;
COMMENT ON FUNCTION billing_dunning_v1(uuid) IS 'The attempts to collect a subscription''s oldest unpaid invoice: how many, the next, why the last failed; said in words, too';
