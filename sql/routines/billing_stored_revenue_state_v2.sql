-- billing_revenue_state_v1 of what is mirrored of a subscription: the same from rows. PostgreSQL inlines it.
-- What it reads is what the triggers of billing_note_revenue watch: whoever reads more adds it there.
-- Code that is running calls it by its name and its parameters: a change of either is a _v3.

CREATE OR REPLACE FUNCTION billing_stored_revenue_state_v2(of_subscription uuid, in_currency text)
RETURNS TABLE (state jsonb)
LANGUAGE sql
STABLE
AS $$
    SELECT jsonb_build_object(
        'currency', in_currency,
        'items', coalesce((
            SELECT jsonb_agg(
                billing_revenue_item_v1(
                    i.stripe_subscription_item_id,
                    i.stripe_product_id,
                    i.unit_amount,
                    i.quantity,
                    i.currency,
                    i.recurring_interval,
                    i.interval_count
                )
                ORDER BY i.stripe_subscription_item_id
            )
            FROM subscription_items AS i
            WHERE i.subscription_id = of_subscription
        ), '[]'),
        'discounts', coalesce((
            SELECT jsonb_agg(
                jsonb_build_object('discount', d.stripe_discount_id, 'item', d.stripe_subscription_item_id)
                ORDER BY d.position, d.stripe_discount_id
            )
            FROM subscription_discounts AS d
            WHERE d.subscription_id = of_subscription
        ), '[]')
    )
$$;
COMMENT ON FUNCTION billing_stored_revenue_state_v2(uuid, text) IS 'What the revenue of a subscription depends on, from its rows';
