-- billing_revenue_state_v1 of what is mirrored of a subscription.
-- What it reads is what the triggers of billing_note_revenue watch: whoever reads more adds it there.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_stored_revenue_state_v1(of_subscription uuid, in_currency text)
RETURNS jsonb
LANGUAGE sql
STABLE
AS $$
    SELECT billing_revenue_state_v1(
        in_currency,
        (
            SELECT jsonb_agg(to_jsonb(i))
            FROM subscription_items AS i
            WHERE i.subscription_id = of_subscription
        ),
        (
            SELECT jsonb_agg(to_jsonb(d))
            FROM subscription_discounts AS d
            WHERE d.subscription_id = of_subscription
        )
    )
$$;
COMMENT ON FUNCTION billing_stored_revenue_state_v1(uuid, text) IS 'What the revenue of a subscription depends on, from its rows';
