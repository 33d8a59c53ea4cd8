-- What a further year of a domain costs by the catalogue, in minor units; null: it is not sold. Without a price of
-- its own it costs what the first year does.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_renewal_price_v1(of_name text, in_currency text)
RETURNS bigint
LANGUAGE sql
STABLE
AS $$
    SELECT p.unit_amount
    FROM products AS product
    JOIN prices AS p
        ON p.product_id = product.id
        AND p.active
        AND p.currency = in_currency
        AND p.billing_cycle IS NULL
        AND (p.purpose = 'renewal' OR p.purpose IS NULL)
    WHERE product.code = 'domain-' || substr(of_name, strpos(of_name, '.') + 1)
      AND product.kind = 'domain'
    ORDER BY p.purpose IS NULL
    LIMIT 1
$$;
COMMENT ON FUNCTION billing_renewal_price_v1(text, text) IS 'What a further year of a domain costs by the catalogue; null: it is not sold';
