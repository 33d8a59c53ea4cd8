-- Brings the ledger of a subscription in line with its states and the terms of its discounts: all of it is computed
-- again, and what differs is written. Before the first known state the subscription is taken to have been charged the
-- same, since it began as far as that state says.
-- One that has not been charged before, as far as is known, and has no discounts has one step: its amount needs no
-- comparing.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_enter_mrr_v1(of_subscription uuid)
RETURNS void
LANGUAGE plpgsql
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    latest billing_revenue_states;
    is_only boolean;
BEGIN
    SELECT r.* INTO latest
    FROM billing_revenue_states AS r
    WHERE r.subscription_id = of_subscription
      AND r.state -> 'discounts' = '[]'
      AND (r.billed OR r.began_at IS NULL)
      AND NOT EXISTS (
          SELECT 1
          FROM billing_revenue_states AS other
          WHERE other.subscription_id = of_subscription
            AND (other.at > r.at OR (other.at < r.at AND (other.billed OR other.began_at IS NOT NULL)))
      )
      AND NOT EXISTS (
          SELECT 1
          FROM billing_mrr_ledger AS l
          WHERE l.subscription_id = of_subscription
      );
    IF FOUND THEN
        is_only := NOT EXISTS (
            SELECT 1
            FROM billing_revenue_states AS other
            WHERE other.subscription_id = of_subscription
              AND other.at < latest.at
        );
        INSERT INTO billing_mrr_ledger (subscription_id, currency, at, livemode, amount, change)
        SELECT
            of_subscription,
            added.currency,
            CASE WHEN is_only THEN least(latest.began_at, latest.at) ELSE latest.at END,
            latest.livemode,
            sum(added.amount),
            sum(added.amount)
        FROM billing_revenue_of_v1(of_subscription, latest.state, latest.at) AS added
        WHERE latest.billed
        GROUP BY added.currency
        HAVING sum(added.amount) <> 0;
        RETURN;
    END IF;
    WITH states AS MATERIALIZED (
        SELECT
            r.at,
            lead(r.at) OVER times AS until,
            last_value(r.livemode) OVER (times RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS livemode,
            r.billed,
            CASE WHEN row_number() OVER times = 1 AND r.began_at < r.at THEN r.began_at END AS began_at,
            r.state
        FROM billing_revenue_states AS r
        WHERE r.subscription_id = of_subscription
        WINDOW times AS (ORDER BY r.at)
    ),
    spans AS MATERIALIZED (
        SELECT
            s.at,
            s.until,
            s.state
        FROM states AS s
        WHERE s.billed
        UNION ALL
        SELECT
            s.began_at,
            s.at,
            s.state
        FROM states AS s
        WHERE s.began_at IS NOT NULL
    ),
    moments AS MATERIALIZED (
        SELECT s.at FROM states AS s
        UNION
        SELECT s.at FROM spans AS s
        UNION
        SELECT t.ends_at
        FROM spans AS s
        CROSS JOIN LATERAL jsonb_array_elements(s.state -> 'discounts') AS listed (discount)
        JOIN billing_discount_terms AS t
            ON t.subscription_id = of_subscription
            AND t.stripe_discount_id = listed.discount ->> 'discount'
            AND t.ends_at > s.at
            AND (t.ends_at < s.until) IS NOT FALSE
    ),
    amounts AS MATERIALIZED (
        SELECT
            m.at,
            added.currency,
            sum(added.amount) AS amount
        FROM moments AS m
        JOIN spans AS s
            ON s.at <= m.at
            AND (m.at < s.until) IS NOT FALSE
        CROSS JOIN LATERAL billing_revenue_of_v1(of_subscription, s.state, m.at) AS added
        GROUP BY m.at, added.currency
    ),
    steps AS (
        SELECT
            m.at,
            c.currency,
            coalesce(a.amount, 0) AS amount,
            coalesce(a.amount, 0) - coalesce(lag(coalesce(a.amount, 0)) OVER (PARTITION BY c.currency ORDER BY m.at), 0) AS change
        FROM moments AS m
        CROSS JOIN (SELECT DISTINCT a.currency FROM amounts AS a) AS c
        LEFT JOIN amounts AS a
            ON a.at = m.at
            AND a.currency = c.currency
    ),
    entered AS MATERIALIZED (
        SELECT
            s.at,
            s.currency,
            s.amount,
            s.change
        FROM steps AS s
        WHERE s.change <> 0
    ),
    gone AS (
        DELETE FROM billing_mrr_ledger AS l
        WHERE l.subscription_id = of_subscription
          AND NOT EXISTS (
              SELECT 1
              FROM entered AS e
              WHERE e.currency = l.currency
                AND e.at = l.at
          )
    )
    INSERT INTO billing_mrr_ledger AS l (subscription_id, currency, at, livemode, amount, change)
    SELECT
        of_subscription,
        e.currency,
        e.at,
        (SELECT s.livemode FROM states AS s LIMIT 1),
        e.amount,
        e.change
    FROM entered AS e
    ON CONFLICT (subscription_id, currency, at) DO UPDATE
    SET livemode = excluded.livemode,
        amount = excluded.amount,
        change = excluded.change
    WHERE (l.livemode, l.amount, l.change) IS DISTINCT FROM (excluded.livemode, excluded.amount, excluded.change);
END
$$;
COMMENT ON FUNCTION billing_enter_mrr_v1(uuid) IS 'Brings the ledger of a subscription in line with the states in which it was seen';
