-- What a subscription adds to the monthly recurring revenue, in minor units by currency and not rounded; no
-- row if it is not billed. `changes_at` is when time alone changes it; null: never.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_subscription_revenue_v1(of_subscription uuid)
RETURNS TABLE (livemode boolean, currency text, amount numeric, changes_at timestamptz)
LANGUAGE sql
STABLE
AS $$
    SELECT
        s.livemode,
        added.currency,
        sum(added.amount),
        (
            SELECT min(d.ends_at)
            FROM subscription_discounts AS d
            WHERE d.subscription_id = s.id
              AND d.ends_at > now()
        )
    FROM subscriptions AS s
    CROSS JOIN LATERAL billing_stored_revenue_state_v2(s.id, s.currency) AS stored
    CROSS JOIN LATERAL billing_revenue_of_v1(s.id, stored.state, now()) AS added
    WHERE s.id = of_subscription
      AND s.stripe_status IN ('active', 'past_due')
    GROUP BY s.id, s.livemode, added.currency
$$;
COMMENT ON FUNCTION billing_subscription_revenue_v1(uuid) IS 'What a subscription adds to the monthly recurring revenue: minor units by currency, not rounded';
