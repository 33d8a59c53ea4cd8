-- What a subscription adds to the monthly recurring revenue, in minor units by currency and not rounded; no
-- row if it is not billed. Each item is converted from its own term. `changes_at` is when time alone changes
-- it; null: never.
-- What it reads is what the triggers of billing_note_revenue watch: whoever reads more adds it there.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_subscription_revenue_v1(of_subscription uuid)
RETURNS TABLE (livemode boolean, currency text, amount numeric, changes_at timestamptz)
LANGUAGE sql
STABLE
AS $$
    SELECT
        s.livemode,
        i.currency,
        coalesce(
            sum(coalesce(net.amount, i.unit_amount * coalesce(i.quantity, 0)) / term.months),
            0
        ),
        (
            SELECT min(d.ends_at)
            FROM subscription_discounts AS d
            WHERE d.subscription_id = s.id
              AND d.ends_at > now()
        )
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
    WHERE s.id = of_subscription
      AND s.stripe_status IN ('active', 'past_due')
    GROUP BY s.id, s.livemode, i.currency
$$;
COMMENT ON FUNCTION billing_subscription_revenue_v1(uuid) IS 'What a subscription adds to the monthly recurring revenue: minor units by currency, not rounded';
