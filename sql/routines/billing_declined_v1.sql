-- The latest charge that was declined of an invoice: one of its payment, or, as long as that is not known, one
-- of its amount. No row: none was. The code is Stripe's, the reason says it in words.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_declined_v1(
    stripe_customer text, invoice_created timestamptz, payment_intent text, invoice_amount bigint
)
RETURNS TABLE (code text, reason text)
LANGUAGE sql
STABLE
AS $$
    SELECT
        coalesce(c.decline_code, c.failure_code),
        c.decline_reason
    FROM stripe_charges AS c
    WHERE c.stripe_customer_id = stripe_customer
      AND c.stripe_created >= invoice_created
      AND c.status = 'failed'
      AND CASE
          WHEN payment_intent IS NULL THEN c.amount = invoice_amount
          ELSE c.stripe_payment_intent_id = payment_intent
      END
    ORDER BY c.stripe_created DESC, c.stripe_charge_id DESC
    LIMIT 1
$$;
COMMENT ON FUNCTION billing_declined_v1(text, timestamptz, text, bigint) IS 'Why the latest attempt to collect an invoice failed: Stripe''s code, and the reason in words';
