-- What the usage of each present term is, beside the limit that the catalogue sets for it.
CREATE OR REPLACE VIEW billing_usage_limits AS
SELECT
    t.subscription_id,
    t.meter,
    product.code AS product_code,
    (product.usage ->> 'limit')::bigint AS most,
    product.usage ->> 'at_limit' AS action,
    t.term_start,
    i.current_period_end AS term_end,
    t.quantity,
    t.quantity >= (product.usage ->> 'limit')::bigint AS is_reached,
    t.quantity >= (product.usage ->> 'limit')::bigint
    AND product.usage ->> 'at_limit' = 'suspend'
    AND t.lifted_at IS NULL AS suspends,
    t.lifted_at,
    t.lifted_by,
    t.lifted_reason
FROM billing_usage_totals AS t
JOIN subscription_items AS i
    ON i.subscription_id = t.subscription_id
    AND i.current_period_start <= t.term_start
JOIN prices AS p
    ON p.id = i.price_id
    AND p.meter = t.meter
JOIN products AS product
    ON product.id = p.product_id
WHERE product.usage ->> 'limit' IS NOT NULL;
COMMENT ON VIEW billing_usage_limits IS 'What subscriptions have used of each meter in their present term, beside its limit';
COMMENT ON COLUMN billing_usage_limits.subscription_id IS 'The subscription';
COMMENT ON COLUMN billing_usage_limits.meter IS 'What is metered';
COMMENT ON COLUMN billing_usage_limits.product_code IS 'The add-on that is billed by it';
COMMENT ON COLUMN billing_usage_limits.most IS 'Its limit for a term';
COMMENT ON COLUMN billing_usage_limits.action IS 'What follows if it is reached. tell: a message; suspend: the services are suspended, too';
COMMENT ON COLUMN billing_usage_limits.term_start IS 'When the term began';
COMMENT ON COLUMN billing_usage_limits.term_end IS 'When it ends';
COMMENT ON COLUMN billing_usage_limits.quantity IS 'What was reported of the term';
COMMENT ON COLUMN billing_usage_limits.is_reached IS 'Whether that is the limit, or more';
COMMENT ON COLUMN billing_usage_limits.suspends IS 'Whether the services are suspended for it';
COMMENT ON COLUMN billing_usage_limits.lifted_at IS 'When an operator lifted that for the rest of the term; null: nobody has';
COMMENT ON COLUMN billing_usage_limits.lifted_by IS 'Who has';
COMMENT ON COLUMN billing_usage_limits.lifted_reason IS 'Why';
