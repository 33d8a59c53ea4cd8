-- Writes snapshots of subscriptions with their items, and the customer of one made outside our
-- checkout: all of them ("decided"); those of a row that is older by a second or more ("later"); of
-- those only what moves nothing that is derived ("routine"): most renewals change periods and
-- amounts only. Answers what was written, and whether it moves anything derived.

-- migrate:up
CREATE FUNCTION billing_write_subscriptions(snapshots jsonb, rule text)
RETURNS TABLE (object_id text, moves boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH snapshots AS MATERIALIZED (
        SELECT
            coalesce(s.subscription_id, mirror.id) AS subscription_id,
            coalesce(s.customer_id, mirror.customer_id) AS customer_id,
            s.object_id,
            s.stripe_customer_id,
            s.livemode,
            s.stripe_status,
            s.currency,
            s.amount,
            s.price,
            s.billing_cycle,
            s.current_period_start,
            s.current_period_end,
            s.trial_end,
            s.cancel_at_period_end,
            s.cancel_at,
            s.canceled_at,
            s.ended_at,
            s.collection_paused,
            s.items,
            s.items_complete,
            s.since,
            s.as_of,
            s.event_id,
            judged.moves
        FROM jsonb_to_recordset(snapshots) AS s (
            subscription_id uuid,
            customer_id uuid,
            object_id text,
            stripe_customer_id text,
            livemode boolean,
            stripe_status text,
            currency text,
            amount bigint,
            price numeric,
            billing_cycle text,
            current_period_start timestamptz,
            current_period_end timestamptz,
            trial_end timestamptz,
            cancel_at_period_end boolean,
            cancel_at timestamptz,
            canceled_at timestamptz,
            ended_at timestamptz,
            collection_paused boolean,
            items jsonb,
            items_complete boolean,
            since timestamptz,
            as_of timestamptz,
            event_id text
        )
        LEFT JOIN LATERAL (
            -- one look-up a row, however large the table: OFFSET 0 keeps it from becoming a join
            SELECT
                m.id,
                m.customer_id,
                m.stripe_customer_id,
                m.stripe_status,
                m.collection_paused,
                m.cancel_at_period_end,
                m.cancel_at,
                m.current_period_end,
                m.stripe_as_of
            FROM subscriptions AS m
            WHERE m.stripe_subscription_id = s.object_id
            OFFSET 0
        ) AS mirror ON TRUE
        CROSS JOIN LATERAL (
            SELECT
                (
                    mirror.stripe_status,
                    mirror.collection_paused,
                    mirror.cancel_at_period_end IS TRUE
                        OR (mirror.cancel_at <= mirror.current_period_end) IS TRUE,
                    ARRAY(
                        SELECT item.stripe_price_id
                        FROM subscription_items AS item
                        WHERE item.subscription_id = mirror.id
                        ORDER BY item.stripe_price_id
                    )
                ) IS DISTINCT FROM (
                    s.stripe_status,
                    s.collection_paused,
                    s.cancel_at_period_end OR (s.cancel_at <= s.current_period_end) IS TRUE,
                    ARRAY(
                        SELECT item.value ->> 'stripe_price_id'
                        FROM jsonb_array_elements(s.items) AS item (value)
                        ORDER BY item.value ->> 'stripe_price_id'
                    )
                ) AS moves
            OFFSET 0
        ) AS judged
        WHERE rule = 'decided'
           OR (rule = 'later' AND mirror.stripe_as_of < s.since)
           -- of the same customer and the same items, so that neither can have come or gone
           OR (
               rule = 'routine'
               AND mirror.stripe_as_of < s.since
               AND NOT judged.moves
               AND mirror.customer_id IS NOT NULL
               AND mirror.stripe_customer_id = s.stripe_customer_id
               AND ARRAY(
                   SELECT item.stripe_subscription_item_id
                   FROM subscription_items AS item
                   WHERE item.subscription_id = mirror.id
                   ORDER BY item.stripe_subscription_item_id
               ) = ARRAY(
                   SELECT item.value ->> 'stripe_subscription_item_id'
                   FROM jsonb_array_elements(s.items) AS item (value)
                   ORDER BY item.value ->> 'stripe_subscription_item_id'
               )
           )
    ),
    strangers AS (
        -- a subscription made outside our checkout brings its customer along
        INSERT INTO customers (id, stripe_customer_id, email, name, currency)
        SELECT DISTINCT ON (s.customer_id)
            s.customer_id,
            s.stripe_customer_id,
            known.email,
            known.name,
            upper(s.currency)
        FROM snapshots AS s
        LEFT JOIN stripe_customers AS known
            ON known.id = s.stripe_customer_id
        WHERE rule <> 'routine'
          AND NOT EXISTS (
              SELECT 1
              FROM customers AS c
              WHERE c.id = s.customer_id
          )
        ORDER BY s.customer_id
        RETURNING id
    ),
    known_customers AS (
        INSERT INTO stripe_customers (id, customer_id, livemode)
        SELECT DISTINCT ON (s.stripe_customer_id)
            s.stripe_customer_id,
            s.customer_id,
            s.livemode
        FROM snapshots AS s
        WHERE rule <> 'routine'
          AND NOT EXISTS (
              SELECT 1
              FROM stripe_customers AS linked
              WHERE linked.id = s.stripe_customer_id
                AND linked.customer_id IS NOT NULL
          )
        ORDER BY s.stripe_customer_id
        ON CONFLICT (id) DO UPDATE
        SET customer_id = excluded.customer_id,
            updated_at = now()
        WHERE stripe_customers.customer_id IS NULL
        RETURNING id
    ),
    written AS (
        INSERT INTO subscriptions AS mirror (
            id,
            customer_id,
            status,
            billing_provider,
            livemode,
            stripe_subscription_id,
            stripe_customer_id,
            stripe_status,
            currency,
            amount,
            price,
            billing_cycle,
            auto_renew,
            next_due_date,
            current_period_start,
            current_period_end,
            trial_end,
            cancel_at_period_end,
            cancel_at,
            canceled_at,
            ended_at,
            collection_paused,
            initial_payment_settled,
            stripe_as_of_since,
            stripe_as_of,
            stripe_event_id
        )
        SELECT
            s.subscription_id,
            s.customer_id,
            'provisional',
            'stripe',
            s.livemode,
            s.object_id,
            s.stripe_customer_id,
            s.stripe_status,
            s.currency,
            s.amount,
            least(s.price, 99999999.99),
            s.billing_cycle,
            FALSE,
            s.current_period_end::date,
            s.current_period_start,
            s.current_period_end,
            s.trial_end,
            s.cancel_at_period_end,
            s.cancel_at,
            s.canceled_at,
            s.ended_at,
            s.collection_paused,
            FALSE,
            s.since,
            s.as_of,
            s.event_id
        FROM snapshots AS s
        ON CONFLICT (id) DO UPDATE
        SET stripe_subscription_id = excluded.stripe_subscription_id,
            stripe_customer_id = excluded.stripe_customer_id,
            stripe_status = excluded.stripe_status,
            currency = excluded.currency,
            amount = excluded.amount,
            price = excluded.price,
            billing_cycle = coalesce(excluded.billing_cycle, mirror.billing_cycle),
            next_due_date = excluded.next_due_date,
            current_period_start = excluded.current_period_start,
            current_period_end = excluded.current_period_end,
            trial_end = excluded.trial_end,
            cancel_at_period_end = excluded.cancel_at_period_end,
            cancel_at = excluded.cancel_at,
            canceled_at = excluded.canceled_at,
            ended_at = excluded.ended_at,
            collection_paused = excluded.collection_paused,
            stripe_as_of_since = excluded.stripe_as_of_since,
            stripe_as_of = excluded.stripe_as_of,
            stripe_event_id = excluded.stripe_event_id,
            updated_at = now()
        RETURNING id
    ),
    items AS MATERIALIZED (
        SELECT
            s.subscription_id,
            i.stripe_subscription_item_id,
            i.stripe_price_id,
            i.quantity,
            i.unit_amount,
            i.currency,
            i.recurring_interval,
            i.interval_count,
            i.current_period_start,
            i.current_period_end
        FROM snapshots AS s
        CROSS JOIN LATERAL jsonb_to_recordset(s.items) AS i (
            stripe_subscription_item_id text,
            stripe_price_id text,
            quantity bigint,
            unit_amount bigint,
            currency text,
            recurring_interval text,
            interval_count integer,
            current_period_start timestamptz,
            current_period_end timestamptz
        )
    ),
    removed AS (
        -- an incomplete list of items says nothing about those that it lacks
        DELETE FROM subscription_items AS mirror
        USING snapshots AS s
        WHERE rule <> 'routine'
          AND mirror.subscription_id = s.subscription_id
          AND s.items_complete
          AND (
              mirror.stripe_subscription_item_id IS NULL
              OR NOT EXISTS (
                  SELECT 1
                  FROM items AS i
                  WHERE i.stripe_subscription_item_id = mirror.stripe_subscription_item_id
              )
          )
        RETURNING mirror.id
    ),
    itemised AS (
        INSERT INTO subscription_items AS mirror (
            subscription_id,
            price_id,
            stripe_subscription_item_id,
            stripe_price_id,
            quantity,
            unit_amount,
            currency,
            recurring_interval,
            interval_count,
            current_period_start,
            current_period_end
        )
        SELECT
            i.subscription_id,
            (SELECT p.id FROM prices AS p WHERE p.stripe_price_id = i.stripe_price_id),
            i.stripe_subscription_item_id,
            i.stripe_price_id,
            i.quantity,
            i.unit_amount,
            i.currency,
            i.recurring_interval,
            i.interval_count,
            i.current_period_start,
            i.current_period_end
        FROM items AS i
        ON CONFLICT (stripe_subscription_item_id) DO UPDATE
        SET subscription_id = excluded.subscription_id,
            price_id = excluded.price_id,
            stripe_price_id = excluded.stripe_price_id,
            quantity = excluded.quantity,
            unit_amount = excluded.unit_amount,
            currency = excluded.currency,
            recurring_interval = excluded.recurring_interval,
            interval_count = excluded.interval_count,
            current_period_start = excluded.current_period_start,
            current_period_end = excluded.current_period_end,
            updated_at = now()
        WHERE (
            mirror.subscription_id,
            mirror.price_id,
            mirror.stripe_price_id,
            mirror.quantity,
            mirror.unit_amount,
            mirror.current_period_start,
            mirror.current_period_end
        ) IS DISTINCT FROM (
            excluded.subscription_id,
            excluded.price_id,
            excluded.stripe_price_id,
            excluded.quantity,
            excluded.unit_amount,
            excluded.current_period_start,
            excluded.current_period_end
        )
        RETURNING mirror.id
    )
    SELECT
        s.object_id,
        s.moves
    FROM snapshots AS s;
END
$$;
COMMENT ON FUNCTION billing_write_subscriptions(jsonb, text) IS 'Writes snapshots of subscriptions that the rule lets through: decided, later, routine; answers which, and whether they move anything derived';

-- migrate:down
DROP FUNCTION billing_write_subscriptions(jsonb, text);
