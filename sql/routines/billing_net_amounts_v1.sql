-- What items are charged after discounts, in minor units. Discounts apply one after the other, each
-- to what the ones before left, and are split over the items that they are for; the caller rounds the
-- sum. `due` are the items on the invoice. `with_once` counts discounts for one invoice as
-- long as none has used them up, `with_amounts` those that take off an amount of each invoice.
-- An amount in another currency than the subscription's takes nothing off. A price that is announced counts
-- from its renewal on.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_net_amounts_v1(
    of_subscription uuid, due uuid[], charged_at timestamptz, with_once boolean, with_amounts boolean
)
RETURNS TABLE (item_id uuid, amount numeric)
LANGUAGE plpgsql
STABLE
AS $$
#variable_conflict use_column
DECLARE
    ids uuid[];
    amounts numeric[];
    eligible numeric[];
    whole numeric;
    taken numeric;
    discount record;
BEGIN
    SELECT
        array_agg(i.id ORDER BY i.id),
        array_agg(coalesce(coming.unit_amount, i.unit_amount, 0)::numeric * coalesce(i.quantity, 0) ORDER BY i.id)
    INTO ids, amounts
    FROM subscription_items AS i
    LEFT JOIN billing_price_changes AS c
        ON c.subscription_id = i.subscription_id
        AND c.old_price_id = i.price_id
        AND c.made_at IS NULL
        AND c.withdrawn_at IS NULL
        AND c.effective_at <= charged_at
    LEFT JOIN prices AS coming
        ON coming.id = c.new_price_id
    WHERE i.subscription_id = of_subscription
      AND i.id = ANY(due);
    FOR discount IN
        SELECT
            d.stripe_subscription_item_id,
            d.stripe_product_ids,
            d.percent_off,
            d.amount_off,
            s.currency
        FROM subscription_discounts AS d
        JOIN subscriptions AS s
            ON s.id = d.subscription_id
        WHERE d.subscription_id = of_subscription
          AND (d.ends_at IS NULL OR d.ends_at > charged_at)
          AND (d.percent_off IS NOT NULL OR (d.currency = s.currency AND with_amounts))
          AND (
              d.duration IS DISTINCT FROM 'once'
              OR (
                  with_once
                  AND NOT EXISTS (
                      SELECT 1
                      FROM invoices AS i
                      WHERE i.stripe_subscription_id = s.stripe_subscription_id
                        AND i.stripe_status NOT IN ('void', 'deleted')
                        AND i.billing_reason IS DISTINCT FROM 'manual'
                        -- Stripe says itself whether the free invoice of a trial has used it up
                        AND i.stripe_created >= greatest(d.starts_at, s.trial_end)
                  )
              )
          )
        ORDER BY d.position
    LOOP
        SELECT
            array_agg(CASE
                WHEN (discount.stripe_subscription_item_id IS NULL OR i.stripe_subscription_item_id = discount.stripe_subscription_item_id)
                    AND (discount.stripe_product_ids IS NULL OR i.stripe_product_id = ANY(discount.stripe_product_ids))
                    THEN greatest(charged.amount, 0)
                ELSE 0
            END ORDER BY i.id)
        INTO eligible
        FROM unnest(ids, amounts) AS charged (id, amount)
        JOIN subscription_items AS i
            ON i.id = charged.id;
        SELECT sum(charged.amount) INTO whole FROM unnest(eligible) AS charged (amount);
        CONTINUE WHEN coalesce(whole, 0) = 0;
        taken := coalesce(
            billing_chargeable_v1(whole * discount.percent_off / 100, discount.currency),
            least(discount.amount_off, whole)
        );
        SELECT array_agg(charged.amount - taken * charged.eligible / whole ORDER BY charged.id)
        INTO amounts
        FROM unnest(ids, amounts, eligible) AS charged (id, amount, eligible);
    END LOOP;
    RETURN QUERY SELECT charged.id, charged.amount FROM unnest(ids, amounts) AS charged (id, amount);
END
$$;
COMMENT ON FUNCTION billing_net_amounts_v1(uuid, uuid[], timestamptz, boolean, boolean) IS 'What items of a subscription are charged at a time, in minor units after discounts';
