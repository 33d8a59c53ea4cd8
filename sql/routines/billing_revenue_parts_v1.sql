-- What a state of billing_revenue_state_v1 adds to the monthly recurring revenue at a time, item by item, in minor units
-- and not rounded: a row without a discount for what an item adds, and one for what each discount takes off it (0 of
-- those that it does not concern). All rows together are what would be charged without discounts.
-- What is added is billing_revenue_of_v1, to the last digit: the same rules in the same order. That one is computed with
-- each new subscription and has no use for parts; a change of either is one of both, and tests compare them.
-- An invoice's discount is split as Stripe splits it: each item bears the part that it has of what is discounted.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_revenue_parts_v1(of_subscription uuid, state jsonb, moment timestamptz)
RETURNS TABLE (currency text, product text, discount text, amount numeric)
LANGUAGE plpgsql
STABLE
ROWS 2
AS $$
#variable_conflict use_column
DECLARE
    term record;
    applied record;
    amounts numeric[];
    remaining numeric[];
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
        FOR applied IN
            SELECT
                listed.discount ->> 'discount' AS id,
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
                        WHEN (applied.item IS NULL OR applied.item = charged.item)
                            AND (applied.stripe_product_ids IS NULL OR charged.product = ANY(applied.stripe_product_ids))
                            THEN greatest(charged.amount, 0)
                        ELSE 0
                    END
                    ORDER BY charged.position
                )
            INTO eligible
            FROM unnest(term.items, term.products, amounts) WITH ORDINALITY AS charged (item, product, amount, position);
            SELECT coalesce(sum(each.amount), 0) INTO whole FROM unnest(eligible) AS each (amount);
            remaining := amounts;
            IF whole <> 0 THEN
                taken := coalesce(
                    billing_chargeable_v1(whole * applied.percent_off / 100, applied.currency),
                    least(applied.amount_off, whole)
                );
                SELECT array_agg(charged.amount - taken * charged.eligible / whole ORDER BY charged.position)
                INTO remaining
                FROM unnest(amounts, eligible) WITH ORDINALITY AS charged (amount, eligible, position);
            END IF;
            RETURN QUERY
            SELECT
                charged.currency,
                charged.product,
                applied.id,
                charged.amount / term.months - charged.remaining / term.months
            FROM unnest(term.currencies, term.products, amounts, remaining) AS charged (currency, product, amount, remaining);
            amounts := remaining;
        END LOOP;
        RETURN QUERY
        SELECT
            charged.currency,
            charged.product,
            NULL::text,
            charged.amount / term.months
        FROM unnest(term.currencies, term.products, amounts) AS charged (currency, product, amount);
    END LOOP;
END
$$;
COMMENT ON FUNCTION billing_revenue_parts_v1(uuid, jsonb, timestamptz) IS 'What each item of a subscription adds to the monthly recurring revenue, and what each discount takes off it: minor units, not rounded';
