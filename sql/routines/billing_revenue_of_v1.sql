-- What a state of billing_revenue_state_v1 adds to the monthly recurring revenue at a time, in minor units and not
-- rounded; rows of one currency add up. This is the definition (docs/figures.md). Each item is converted from its own
-- term (billing_revenue_items_v1).
-- Discounts apply one after the other, each to what the ones before left of the items that are billed together;
-- those for one invoice do not count. An invoice has the items of one term: what takes an amount off each invoice
-- counts where invoices are the most frequent. An amount in another currency than the subscription's takes nothing off.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_revenue_of_v1(of_subscription uuid, state jsonb, moment timestamptz)
RETURNS TABLE (currency text, amount numeric)
LANGUAGE plpgsql
STABLE
ROWS 1
AS $$
#variable_conflict use_column
DECLARE
    term record;
    discount record;
    amounts numeric[];
    eligible numeric[];
    whole numeric;
    taken numeric;
BEGIN
    FOR term IN
        SELECT
            i.months,
            i.months = min(i.months) OVER () AS is_most_frequent,
            array_agg(i.item ORDER BY i.place) AS items,
            array_agg(i.product ORDER BY i.place) AS products,
            array_agg(i.currency ORDER BY i.place) AS currencies,
            array_agg(i.amount ORDER BY i.place) AS amounts
        FROM billing_revenue_items_v1(state) AS i
        GROUP BY i.months
    LOOP
        amounts := term.amounts;
        FOR discount IN
            SELECT
                listed.discount ->> 'item' AS item,
                t.stripe_product_ids,
                t.percent_off,
                t.amount_off,
                state ->> 'currency' AS currency
            FROM jsonb_array_elements(state -> 'discounts') WITH ORDINALITY AS listed (discount, position)
            JOIN billing_discount_terms AS t
                ON t.subscription_id = of_subscription
                AND t.stripe_discount_id = listed.discount ->> 'discount'
            WHERE (t.ends_at IS NULL OR t.ends_at > moment)
              AND t.duration IS DISTINCT FROM 'once'
              AND (t.percent_off IS NOT NULL OR (t.currency = state ->> 'currency' AND term.is_most_frequent))
            ORDER BY listed.position
        LOOP
            SELECT
                array_agg(
                    CASE
                        WHEN (discount.item IS NULL OR discount.item = charged.item)
                            AND (discount.stripe_product_ids IS NULL OR charged.product = ANY(discount.stripe_product_ids))
                            THEN greatest(charged.amount, 0)
                        ELSE 0
                    END
                    ORDER BY charged.position
                )
            INTO eligible
            FROM unnest(term.items, term.products, amounts) WITH ORDINALITY AS charged (item, product, amount, position);
            SELECT sum(each.amount) INTO whole FROM unnest(eligible) AS each (amount);
            CONTINUE WHEN coalesce(whole, 0) = 0;
            taken := coalesce(
                billing_chargeable_v1(whole * discount.percent_off / 100, discount.currency),
                least(discount.amount_off, whole)
            );
            SELECT array_agg(charged.amount - taken * charged.eligible / whole ORDER BY charged.position)
            INTO amounts
            FROM unnest(amounts, eligible) WITH ORDINALITY AS charged (amount, eligible, position);
        END LOOP;
        RETURN QUERY
        SELECT
            charged.currency,
            sum(charged.amount / term.months)
        FROM unnest(term.currencies, amounts) AS charged (currency, amount)
        GROUP BY charged.currency;
    END LOOP;
END
$$;
COMMENT ON FUNCTION billing_revenue_of_v1(uuid, jsonb, timestamptz) IS 'What a state of a subscription adds to the monthly recurring revenue at a time: minor units, not rounded';
