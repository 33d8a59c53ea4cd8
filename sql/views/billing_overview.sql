-- One line per subscription.
CREATE OR REPLACE VIEW billing_overview AS
SELECT
    s.id AS subscription_id,
    s.created_at AT TIME ZONE 'UTC' AS ordered_at,
    c.email,
    coalesce(c.name, c.company_name) AS customer,
    s.metadata ->> 'planId' AS plan,
    s.billing_cycle,
    s.amount,
    s.currency,
    s.status,
    s.stripe_status,
    s.trial_end,
    s.current_period_end,
    s.cancel_at_period_end IS TRUE OR s.cancel_at IS NOT NULL AS will_end,
    coalesce(t.billing_former_domain, t.domain) AS tenant_domain,
    t.status AS tenant_status,
    (
        SELECT string_agg(
            v.product_type || '=' || v.actual
            || CASE WHEN v.actual = v.desired THEN '' ELSE '->' || v.desired END,
            ' '
            ORDER BY v.product_type
        )
        FROM tenant_services AS v
        WHERE v.subscription_id = s.id
    ) AS services,
    (
        SELECT i.stripe_status || ' ' || i.amount_paid || '/' || i.amount_due
        FROM invoices AS i
        WHERE i.subscription_id = s.id
        ORDER BY i.stripe_created DESC
        LIMIT 1
    ) AS latest_invoice,
    (
        SELECT string_agg(DISTINCT b.trouble, ' ' ORDER BY b.trouble)
        FROM billing_trouble AS b
        WHERE b.subscription_id = s.id
    ) AS trouble,
    s.stripe_subscription_id,
    s.stripe_customer_id
FROM subscriptions AS s
LEFT JOIN customers AS c
    ON c.id = s.customer_id
LEFT JOIN tenants AS t
    ON t.id = s.tenant_id
WHERE s.billing_provider = 'stripe';
COMMENT ON VIEW billing_overview IS 'One line per subscription: customer, plan, amount (minor units per term), state, tenant, trouble';
COMMENT ON COLUMN billing_overview.subscription_id IS 'Our id';
COMMENT ON COLUMN billing_overview.ordered_at IS 'When the row was created';
COMMENT ON COLUMN billing_overview.email IS 'The customer''s e-mail address';
COMMENT ON COLUMN billing_overview.customer IS 'The customer''s name, else the company''s';
COMMENT ON COLUMN billing_overview.plan IS 'The planId that was ordered; null: made outside our checkout';
COMMENT ON COLUMN billing_overview.billing_cycle IS 'The term';
COMMENT ON COLUMN billing_overview.amount IS 'Minor units of currency per term, before discounts';
COMMENT ON COLUMN billing_overview.currency IS 'ISO 4217';
COMMENT ON COLUMN billing_overview.status IS 'mPanel''s status, or provisional or pending';
COMMENT ON COLUMN billing_overview.stripe_status IS 'Stripe''s status; null: not paid yet';
COMMENT ON COLUMN billing_overview.trial_end IS 'End of the free trial';
COMMENT ON COLUMN billing_overview.current_period_end IS 'Paid until';
COMMENT ON COLUMN billing_overview.will_end IS 'Whether it does not renew';
COMMENT ON COLUMN billing_overview.tenant_domain IS 'Domain of the tenant; of an ended one, the domain that it had';
COMMENT ON COLUMN billing_overview.tenant_status IS 'Status of the tenant';
COMMENT ON COLUMN billing_overview.services IS 'The actual state of each product type and, after an arrow, the desired state if it differs';
COMMENT ON COLUMN billing_overview.latest_invoice IS 'Stripe''s status of the latest invoice, then minor units paid/due';
COMMENT ON COLUMN billing_overview.trouble IS 'Its kinds of trouble in billing_trouble; null: none';
COMMENT ON COLUMN billing_overview.stripe_subscription_id IS 'sub_...';
COMMENT ON COLUMN billing_overview.stripe_customer_id IS 'cus_...';
