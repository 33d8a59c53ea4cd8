-- An item, as a state of the revenue has it. PostgreSQL inlines it.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_revenue_item_v1(
    item text, product text, amount bigint, quantity bigint, currency text, term text, terms integer
)
RETURNS jsonb
LANGUAGE sql
STABLE
AS $$
    SELECT jsonb_build_object(
        'item', item,
        'product', product,
        'amount', amount,
        'quantity', quantity,
        'currency', currency,
        'interval', term,
        'count', terms
    )
$$;
COMMENT ON FUNCTION billing_revenue_item_v1(text, text, bigint, bigint, text, text, integer) IS 'An item, as far as the revenue depends on it';
