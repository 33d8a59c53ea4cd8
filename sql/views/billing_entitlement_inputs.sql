-- What the desired state of a subscription's services is decided from (mpanel_billing/provisioning/desired.py):
-- read by each run of provisioning, and by whoever asks what a tenant may have.
CREATE OR REPLACE VIEW billing_entitlement_inputs AS
SELECT
    w.subscription_id,
    w.inputs,
    w.contradicted_since,
    hold.reason AS hold_reason,
    CASE WHEN pause.id IS NOT NULL THEN pause.begun_at IS NOT NULL END AS held_for_pause,
    coalesce(limited.suspends, FALSE) AS used_up,
    limited.until AS used_up_until,
    -- its own agreement as a whole, else its customer's
    CASE WHEN own.id IS NULL THEN agreed.grace_days ELSE own.grace_days END AS grace_days,
    CASE WHEN own.id IS NULL THEN agreed.not_before ELSE own.not_before END AS not_before,
    coalesce(included.products, '[]') AS products,
    coalesce(included.unplaced, FALSE) AS items_unplaced,
    coalesce(services.services, '[]') AS services
FROM provisioning_work AS w
JOIN subscriptions AS s
    ON s.id = w.subscription_id
LEFT JOIN provisioning_holds AS hold
    ON hold.subscription_id = w.subscription_id
    AND hold.lifted_at IS NULL
LEFT JOIN billing_pauses AS pause
    ON pause.subscription_id = w.subscription_id
    AND pause.ended_at IS NULL
LEFT JOIN billing_leniency AS own
    ON own.subscription_id = w.subscription_id
LEFT JOIN billing_leniency AS agreed
    ON agreed.customer_id = s.customer_id
LEFT JOIN LATERAL (
    SELECT
        bool_or(reached.suspends) AS suspends,
        max(reached.term_end) FILTER (WHERE reached.suspends) AS until
    FROM billing_usage_limits AS reached
    WHERE reached.subscription_id = w.subscription_id
) AS limited ON TRUE
LEFT JOIN LATERAL (
    SELECT
        jsonb_agg(
            jsonb_build_object(
                'code', p.code,
                'kind', p.kind,
                'name', p.name,
                'features', p.features,
                'product_types', p.product_types,
                'resources', p.resources,
                'quantity', coalesce(i.quantity, 1)
            )
            ORDER BY p.kind = 'plan' DESC, p.code
        ) FILTER (WHERE p.id IS NOT NULL) AS products,
        bool_or(p.id IS NULL AND ignored.stripe_price_id IS NULL) AS unplaced
    FROM jsonb_to_recordset(w.inputs -> 'items') AS i (price text, product text, quantity bigint)
    LEFT JOIN prices
        ON prices.stripe_price_id = i.price
    LEFT JOIN products AS p
        ON p.code IS NOT NULL
        AND p.id = coalesce(prices.product_id, (
            SELECT sold.id
            FROM products AS sold
            WHERE sold.stripe_product_id = i.product
              AND sold.code IS NOT NULL
        ))
    LEFT JOIN billing_ignored_prices AS ignored
        ON ignored.stripe_price_id = i.price
) AS included ON TRUE
LEFT JOIN LATERAL (
    SELECT jsonb_agg(to_jsonb(service) ORDER BY service.product_type) AS services
    FROM tenant_services AS service
    WHERE service.subscription_id = s.id
) AS services ON TRUE;
COMMENT ON VIEW billing_entitlement_inputs IS 'What the desired state of the services of each subscription is decided from';
COMMENT ON COLUMN billing_entitlement_inputs.subscription_id IS 'The subscription';
COMMENT ON COLUMN billing_entitlement_inputs.inputs IS 'What Stripe says of it, as provisioning_work has it';
COMMENT ON COLUMN billing_entitlement_inputs.contradicted_since IS 'Since when Stripe calls it unpaid although nothing is owed';
COMMENT ON COLUMN billing_entitlement_inputs.hold_reason IS 'Why an operator has suspended it; null: none has';
COMMENT ON COLUMN billing_entitlement_inputs.held_for_pause IS 'Whether a pause of ours has begun, whose terms are not collected; null: there is none';
COMMENT ON COLUMN billing_entitlement_inputs.used_up IS 'Whether its usage of the present term has reached a limit that suspends';
COMMENT ON COLUMN billing_entitlement_inputs.used_up_until IS 'When that term ends';
COMMENT ON COLUMN billing_entitlement_inputs.grace_days IS 'Days of grace that were agreed with it or its customer; null: the host''s rule';
COMMENT ON COLUMN billing_entitlement_inputs.not_before IS 'Before this a debt suspends nothing; null: no such agreement';
COMMENT ON COLUMN billing_entitlement_inputs.products IS 'The catalogue products among its items, the plan first';
COMMENT ON COLUMN billing_entitlement_inputs.items_unplaced IS 'Whether it has items that belong to no product of the catalogue';
COMMENT ON COLUMN billing_entitlement_inputs.services IS 'Its rows of tenant_services';
