-- billing_mrr, calculated over all subscriptions (product null), and by product.
SELECT
    s.livemode,
    i.currency,
    coalesce(i.stripe_product_id, '') AS product,
    count(DISTINCT s.id) AS subscriptions,
    count(DISTINCT coalesce(s.customer_id, s.id)) AS customers,
    coalesce(sum(coalesce(net.amount, i.unit_amount * coalesce(i.quantity, 0)) / term.months), 0) AS amount,
    coalesce(sum(i.unit_amount * coalesce(i.quantity, 0) / term.months), 0) AS gross
FROM subscriptions AS s
JOIN subscription_items AS i
    ON i.subscription_id = s.id
CROSS JOIN LATERAL (
    SELECT (i.interval_count * CASE i.recurring_interval
        WHEN 'year' THEN 12
        WHEN 'month' THEN 1
        WHEN 'week' THEN 12 / 52.0
        WHEN 'day' THEN 12 / 365.0
    END)::numeric AS months
) AS term
LEFT JOIN LATERAL (
    -- an invoice has the items of one term; what takes an amount off each invoice counts where
    -- invoices are the most frequent
    SELECT n.amount
    FROM (
        SELECT
            array_agg(other.id) FILTER (WHERE other.months = term.months) AS item_ids,
            min(other.months) = term.months AS most_frequent
        FROM (
            SELECT
                o.id,
                (o.interval_count * CASE o.recurring_interval
                    WHEN 'year' THEN 12
                    WHEN 'month' THEN 1
                    WHEN 'week' THEN 12 / 52.0
                    WHEN 'day' THEN 12 / 365.0
                END)::numeric AS months
            FROM subscription_items AS o
            WHERE o.subscription_id = s.id
        ) AS other
        HAVING EXISTS (
            SELECT 1
            FROM subscription_discounts AS d
            WHERE d.subscription_id = s.id
        )
    ) AS billed
    CROSS JOIN LATERAL billing_net_amounts_v1(s.id, billed.item_ids, now(), FALSE, billed.most_frequent) AS n
    WHERE n.item_id = i.id
) AS net ON TRUE
WHERE s.stripe_status IN ('active', 'past_due')
GROUP BY GROUPING SETS ((s.livemode, i.currency), (s.livemode, i.currency, coalesce(i.stripe_product_id, '')));
