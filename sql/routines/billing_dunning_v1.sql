-- Where Stripe's attempts to collect a subscription's oldest unpaid invoice stand; no row: none has
-- failed. The reason is that of the latest charge that was declined: one of the invoice's payment, or,
-- as long as that is not known, one of its amount.
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
    LEFT JOIN LATERAL (
        SELECT c.decline_reason AS reason
        FROM stripe_charges AS c
        WHERE c.stripe_customer_id = i.stripe_customer_id
          AND c.stripe_created >= i.stripe_created
          AND c.status = 'failed'
          AND CASE
              WHEN i.stripe_payment_intent_id IS NULL THEN c.amount = i.amount_due
              ELSE c.stripe_payment_intent_id = i.stripe_payment_intent_id
          END
        ORDER BY c.stripe_created DESC, c.stripe_charge_id DESC
        LIMIT 1
    ) AS declined ON TRUE
    WHERE i.subscription_id = of_subscription
      AND i.stripe_status = 'open'
      AND i.attempt_count > 0
    ORDER BY i.stripe_created, i.id
    LIMIT 1
$$;
COMMENT ON FUNCTION billing_dunning_v1(uuid) IS 'The attempts to collect a subscription''s oldest unpaid invoice: how many, the next, why the last failed; said in words, too';
