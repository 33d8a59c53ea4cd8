-- The invoices of terms that are due and unpaid: watched work if Stripe tries again to collect them,
-- trouble if not.
CREATE OR REPLACE VIEW billing_unpaid_terms AS
SELECT
    s.id AS subscription_id,
    s.stripe_subscription_id AS object_id,
    coalesce(i.due_at, i.finalized_at, i.stripe_created) AS since,
    'invoice ' || i.stripe_invoice_id || ' is unpaid: '
    || billing_money_v1(i.amount_remaining, i.currency) AS detail,
    i.next_payment_attempt
FROM subscriptions AS s
JOIN provisioning_work AS w
    ON w.subscription_id = s.id
    AND w.inputs ->> 'owedSince' IS NOT NULL
    AND (w.inputs ->> 'owedSince')::timestamptz <= now()
JOIN invoices AS i
    ON i.subscription_id = s.id
    AND i.stripe_status IN ('open', 'uncollectible')
    AND i.billing_reason IS DISTINCT FROM 'manual'
    AND CASE i.collection_method
        WHEN 'send_invoice' THEN coalesce(i.due_at, '-infinity') <= now()
        ELSE i.attempt_count > 0
    END
WHERE s.stripe_status NOT IN ('canceled', 'incomplete_expired')
  -- of one that Stripe calls active: not a payment that is under way, but what a later one left behind
  AND (
      s.stripe_status NOT IN ('trialing', 'active')
      OR i.due_at <= now()
      OR EXISTS (
          SELECT 1
          FROM invoices AS later
          WHERE later.subscription_id = s.id
            AND later.stripe_status = 'paid'
            AND later.billing_reason IS DISTINCT FROM 'manual'
            AND later.stripe_created > i.stripe_created
      )
  );
COMMENT ON VIEW billing_unpaid_terms IS 'The invoices of terms that are due and unpaid, whether Stripe tries again to collect them or not';
COMMENT ON COLUMN billing_unpaid_terms.subscription_id IS 'The subscription';
COMMENT ON COLUMN billing_unpaid_terms.object_id IS 'sub_...';
COMMENT ON COLUMN billing_unpaid_terms.since IS 'When it was due, else when it was finalized';
COMMENT ON COLUMN billing_unpaid_terms.detail IS 'The invoice and what remains of it';
COMMENT ON COLUMN billing_unpaid_terms.next_payment_attempt IS 'When Stripe tries again; null: not automatically';
