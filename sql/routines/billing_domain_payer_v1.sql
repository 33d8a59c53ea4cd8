-- The subscription by which a customer pays for further years of a domain: that of its tenant as long as it runs,
-- else another one that runs, else the latest; its Stripe customer has their card. What anyone may have ordered, and
-- nobody has paid for, does not count. In a null currency: that of any. Null: there is none.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_domain_payer_v1(of_customer uuid, of_subscription uuid, in_currency text)
RETURNS uuid
LANGUAGE sql
STABLE
AS $$
    SELECT s.id
    FROM subscriptions AS s
    LEFT JOIN orders AS o
        ON o.subscription_id = s.id
    WHERE s.customer_id = of_customer
      AND s.billing_provider = 'stripe'
      AND s.stripe_subscription_id IS NOT NULL
      AND (in_currency IS NULL OR lower(s.currency) = in_currency)
      AND (s.id = of_subscription OR s.order_paid OR o.vouched IS DISTINCT FROM FALSE)
    ORDER BY
        s.stripe_status IN ('trialing', 'active', 'past_due') DESC,
        s.id IS NOT DISTINCT FROM of_subscription DESC,
        s.created_at DESC,
        s.id
    LIMIT 1
$$;
COMMENT ON FUNCTION billing_domain_payer_v1(uuid, uuid, text) IS 'The subscription by which a customer pays for further years of a domain; null: there is none';
