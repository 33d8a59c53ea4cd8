-- What the catalogue calls the items of a subscription: its plan, the word for the plan's term, and its add-ons.
-- One row always. It is inlined into the statements that use it.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_items_sold_v1(of_subscription uuid)
RETURNS TABLE (plan_id uuid, plan_code text, cycle text, addon_codes jsonb)
LANGUAGE sql
STABLE
AS $$
    SELECT
        (array_agg(product.id ORDER BY i.stripe_subscription_item_id) FILTER (WHERE product.kind = 'plan'))[1],
        (array_agg(product.code ORDER BY i.stripe_subscription_item_id) FILTER (WHERE product.kind = 'plan'))[1],
        coalesce(
            (array_agg(term.cycle ORDER BY i.stripe_subscription_item_id) FILTER (WHERE product.kind = 'plan'))[1],
            CASE WHEN count(DISTINCT coalesce(term.cycle, '')) = 1 THEN min(term.cycle) END
        ),
        coalesce(
            jsonb_agg(DISTINCT product.code) FILTER (WHERE product.kind = 'addon'),
            '[]'
        )
    FROM subscription_items AS i
    CROSS JOIN LATERAL (
        SELECT CASE i.interval_count * CASE i.recurring_interval WHEN 'month' THEN 1 WHEN 'year' THEN 12 END
            WHEN 1 THEN 'monthly'
            WHEN 3 THEN 'quarterly'
            WHEN 6 THEN 'semi-annually'
            WHEN 12 THEN 'annually'
            WHEN 24 THEN 'biennially'
            WHEN 36 THEN 'triennially'
        END AS cycle
    ) AS term
    LEFT JOIN prices AS p
        ON p.id = i.price_id
    LEFT JOIN products AS product
        ON product.id = coalesce(p.product_id, (
            SELECT sold.id
            FROM products AS sold
            WHERE sold.stripe_product_id = i.stripe_product_id
              AND sold.code IS NOT NULL
        ))
    WHERE i.subscription_id = of_subscription
$$;
COMMENT ON FUNCTION billing_items_sold_v1(uuid) IS 'What the catalogue calls the items of a subscription: plan, word for its term, add-ons';
