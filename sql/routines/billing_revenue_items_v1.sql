-- What each item of a state of billing_revenue_state_v1 is charged each term, and how many months the term has; without
-- those that have none. PostgreSQL inlines it.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_revenue_items_v1(state jsonb)
RETURNS TABLE (place bigint, item text, product text, currency text, amount numeric, months numeric)
LANGUAGE sql
STABLE
AS $$
    SELECT
        i.place,
        i.item,
        i.product,
        i.currency,
        i.amount,
        i.months
    FROM (
        SELECT
            listed.place,
            listed.item ->> 'item' AS item,
            listed.item ->> 'product' AS product,
            listed.item ->> 'currency' AS currency,
            coalesce((listed.item ->> 'amount')::numeric * (listed.item ->> 'quantity')::numeric, 0) AS amount,
            ((listed.item ->> 'count')::integer * CASE listed.item ->> 'interval'
                WHEN 'year' THEN 12
                WHEN 'month' THEN 1
                WHEN 'week' THEN 12 / 52.0
                WHEN 'day' THEN 12 / 365.0
            END)::numeric AS months
        FROM jsonb_array_elements(state -> 'items') WITH ORDINALITY AS listed (item, place)
    ) AS i
    WHERE i.months IS NOT NULL
$$;
COMMENT ON FUNCTION billing_revenue_items_v1(jsonb) IS 'What the items of a state of a subscription are charged each term, and how many months it has';
