-- What the revenue of a subscription depends on, as one value: its currency, its items in the order of their ids, and
-- its discounts in the order in which they apply. Two are the same if and only if they are equal. The parameters are
-- arrays of objects with the columns of subscription_items and subscription_discounts, be they rows or a snapshot.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_revenue_state_v1(in_currency text, items jsonb, discounts jsonb)
RETURNS jsonb
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
            FROM jsonb_populate_recordset(NULL::billing_subscription_item_snapshot, items) AS i
        ), '[]'),
        'discounts', coalesce((
            SELECT jsonb_agg(
                jsonb_build_object('discount', d.stripe_discount_id, 'item', d.stripe_subscription_item_id)
                ORDER BY d.position, d.stripe_discount_id
            )
            FROM jsonb_to_recordset(discounts) AS d (
                stripe_discount_id text,
                stripe_subscription_item_id text,
                position integer
            )
        ), '[]')
    )
$$;
COMMENT ON FUNCTION billing_revenue_state_v1(text, jsonb, jsonb) IS 'What the revenue of a subscription depends on, from its items and discounts';
