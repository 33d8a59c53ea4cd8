-- Brings the ledger in line with all subscriptions that this transaction has noted in billing_revenue_changes, as they are
-- mirrored now; called once, at its end.
-- Most are seen for the first time, live and have no discounts. Of them nothing is known to compare with: one statement
-- writes their states and their entries. It says what billing_record_revenue_v1 says of such a one, and is called for all others.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_record_noted_v1()
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
    fresh uuid[];
    others uuid[];
    other uuid;
BEGIN
    SELECT
        array_agg(n.subscription_id) FILTER (WHERE known.is_fresh),
        array_agg(n.subscription_id) FILTER (WHERE known.is_fresh IS NOT TRUE)
    INTO fresh, others
    FROM billing_revenue_changes AS n
    LEFT JOIN LATERAL (
        -- OFFSET 0 keeps these look-ups for each row
        SELECT
            s.stripe_status NOT IN ('canceled', 'incomplete_expired')
            AND NOT EXISTS (SELECT 1 FROM billing_revenue_states AS r WHERE r.subscription_id = s.id OFFSET 0)
            AND NOT EXISTS (SELECT 1 FROM billing_mrr_ledger AS l WHERE l.subscription_id = s.id OFFSET 0)
            AND NOT EXISTS (SELECT 1 FROM subscription_discounts AS d WHERE d.subscription_id = s.id OFFSET 0) AS is_fresh
        FROM subscriptions AS s
        WHERE s.id = n.subscription_id
          AND s.stripe_as_of IS NOT NULL
        OFFSET 0
    ) AS known ON TRUE
    WHERE n.changed_in = pg_current_xact_id();
    IF fresh IS NOT NULL THEN
        WITH seen AS MATERIALIZED (
            SELECT
                s.id,
                s.at,
                s.livemode,
                s.billed,
                CASE WHEN s.billed THEN billing_charged_since_v1(s.started_at, s.trial_end, s.at) END AS began_at,
                stored.state
            FROM unnest(fresh) AS named (id)
            CROSS JOIN LATERAL (
                SELECT
                    o.id,
                    o.stripe_as_of AS at,
                    o.livemode,
                    o.currency,
                    o.started_at,
                    o.trial_end,
                    o.stripe_status IN ('active', 'past_due') AS billed
                FROM subscriptions AS o
                WHERE o.id = named.id
                OFFSET 0
            ) AS s
            CROSS JOIN LATERAL billing_stored_revenue_state_v2(s.id, s.currency) AS stored
        ),
        stated AS (
            INSERT INTO billing_revenue_states AS r (subscription_id, at, livemode, billed, began_at, state)
            SELECT
                s.id,
                s.at,
                s.livemode,
                s.billed,
                s.began_at,
                s.state
            FROM seen AS s
            ON CONFLICT (subscription_id, at) DO UPDATE
            SET livemode = excluded.livemode,
                billed = excluded.billed,
                began_at = excluded.began_at,
                state = excluded.state
        )
        INSERT INTO billing_mrr_ledger AS l (subscription_id, currency, at, livemode, amount, change)
        SELECT
            s.id,
            added.currency,
            least(s.began_at, s.at),
            s.livemode,
            added.amount,
            added.amount
        FROM seen AS s
        CROSS JOIN LATERAL (
            -- billing_revenue_of_v1, without discounts
            SELECT
                i.currency,
                sum(i.amount / i.months) AS amount
            FROM billing_revenue_items_v1(s.state) AS i
            GROUP BY i.currency
        ) AS added
        WHERE s.billed
          AND added.amount <> 0
        ON CONFLICT (subscription_id, currency, at) DO UPDATE
        SET livemode = excluded.livemode,
            amount = excluded.amount,
            change = excluded.change;
    END IF;
    FOREACH other IN ARRAY coalesce(others, '{}') LOOP
        PERFORM billing_record_revenue_v1(other);
    END LOOP;
END
$$;
COMMENT ON FUNCTION billing_record_noted_v1() IS 'Brings the ledger in line with all subscriptions that this transaction has noted';
