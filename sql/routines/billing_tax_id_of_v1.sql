-- mPanel's column of a customer record, when their principal Stripe customer changes: that one's latest tax id. An id that
-- came from elsewhere stays: it may be the right one. One of the former principal goes with it.

CREATE OR REPLACE FUNCTION billing_tax_id_of_v1(held text, former text, principal text)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT CASE
        WHEN billing_tax_id_of_v1.held IS NULL OR EXISTS (
            SELECT 1
            FROM stripe_tax_ids AS t
            WHERE t.stripe_customer_id IN (billing_tax_id_of_v1.former, billing_tax_id_of_v1.principal)
              AND left(t.value, 100) = billing_tax_id_of_v1.held
        ) THEN (
            SELECT left(t.value, 100)
            FROM stripe_tax_ids AS t
            WHERE t.stripe_customer_id = billing_tax_id_of_v1.principal
              AND NOT t.deleted
            ORDER BY t.stripe_created DESC, t.stripe_tax_id_id DESC
            LIMIT 1
        )
        ELSE billing_tax_id_of_v1.held
    END
$$;
COMMENT ON FUNCTION billing_tax_id_of_v1(text, text, text) IS 'The tax id of a customer record that gets another principal Stripe customer';
