-- What each subscription has used of each meter in its present term, and what of it Stripe was told.
CREATE OR REPLACE VIEW billing_current_usage AS
SELECT
    s.id AS subscription_id,
    s.customer_id,
    p.meter,
    m.aggregation,
    product.code AS product_code,
    product.name AS product_name,
    product.usage ->> 'unit' AS unit,
    (product.usage ->> 'included')::bigint AS included,
    i.current_period_start AS term_start,
    i.current_period_end AS term_end,
    coalesce(used.quantity, 0) AS quantity,
    coalesce(used.waiting, 0) AS waiting,
    coalesce(used.unbilled, 0) AS unbilled,
    p.currency,
    p.tiers,
    s.livemode,
    (product.usage ->> 'limit')::bigint AS most,
    product.usage ->> 'at_limit' AS action,
    coalesce(reached.is_reached, FALSE) AS is_limit_reached,
    coalesce(reached.suspends, FALSE) AS suspends,
    reached.lifted_at
FROM prices AS p
JOIN billing_meters AS m
    ON m.event_name = p.meter
JOIN products AS product
    ON product.id = p.product_id
JOIN subscription_items AS i
    ON i.price_id = p.id
    AND i.stripe_subscription_item_id IS NOT NULL
JOIN subscriptions AS s
    ON s.id = i.subscription_id
    AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')
LEFT JOIN LATERAL (
    SELECT
        l.is_reached,
        l.suspends,
        l.lifted_at
    FROM billing_usage_limits AS l
    WHERE l.subscription_id = s.id
      AND l.meter = p.meter
    LIMIT 1
) AS reached ON TRUE
CROSS JOIN LATERAL (
    SELECT
        CASE m.aggregation
            WHEN 'sum' THEN sum(e.value) FILTER (WHERE e.state IN ('waiting', 'sent'))
            ELSE (array_agg(e.value ORDER BY e.used_at DESC, e.number DESC) FILTER (WHERE e.state IN ('waiting', 'sent')))[1]
        END AS quantity,
        count(*) FILTER (WHERE e.state = 'waiting') AS waiting,
        count(*) FILTER (WHERE e.state IN ('late', 'refused')) AS unbilled
    FROM billing_meter_events AS e
    WHERE e.subscription_id = s.id
      AND e.meter = p.meter
      AND e.used_at >= i.current_period_start
      AND e.used_at < i.current_period_end
) AS used;
COMMENT ON VIEW billing_current_usage IS 'What subscriptions that live have used of each meter in their present term';
COMMENT ON COLUMN billing_current_usage.subscription_id IS 'Our id of the subscription';
COMMENT ON COLUMN billing_current_usage.customer_id IS 'The customer record';
COMMENT ON COLUMN billing_current_usage.meter IS 'What is metered';
COMMENT ON COLUMN billing_current_usage.aggregation IS 'sum: what was used adds up; last: the latest value counts';
COMMENT ON COLUMN billing_current_usage.product_code IS 'The add-on that is billed by it';
COMMENT ON COLUMN billing_current_usage.product_name IS 'Its name';
COMMENT ON COLUMN billing_current_usage.unit IS 'What is counted';
COMMENT ON COLUMN billing_current_usage.included IS 'How much of each term costs nothing';
COMMENT ON COLUMN billing_current_usage.term_start IS 'When the term began';
COMMENT ON COLUMN billing_current_usage.term_end IS 'When it ends and is billed';
COMMENT ON COLUMN billing_current_usage.quantity IS 'What was reported of the term and will be billed';
COMMENT ON COLUMN billing_current_usage.waiting IS 'How many meter events Stripe has not been told yet';
COMMENT ON COLUMN billing_current_usage.unbilled IS 'How many it will not bill: billing_trouble has those that are not settled';
COMMENT ON COLUMN billing_current_usage.currency IS 'Of the tiers';
COMMENT ON COLUMN billing_current_usage.tiers IS 'What a unit costs up to which usage, in minor units';
COMMENT ON COLUMN billing_current_usage.livemode IS 'Whether it is in Stripe''s live mode';
COMMENT ON COLUMN billing_current_usage.most IS 'The limit of a term; null: there is none';
COMMENT ON COLUMN billing_current_usage.action IS 'What follows at the limit: tell, or suspend';
COMMENT ON COLUMN billing_current_usage.is_limit_reached IS 'Whether what was reported of the term is the limit, or more';
COMMENT ON COLUMN billing_current_usage.suspends IS 'Whether its services are suspended for it';
COMMENT ON COLUMN billing_current_usage.lifted_at IS 'When an operator lifted that for the rest of the term; null: nobody has';
