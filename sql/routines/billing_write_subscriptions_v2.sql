-- Writes snapshots with their items, and the customer of a subscription made outside our checkout.
-- The ordering rules have let them through.
-- Returns what was written, and whether it affects anything derived: most renewals change periods
-- and amounts only.
-- What a new subscription without discounts has no use for is a statement of its own: to set up one takes
-- longer than to run it.
-- Code that is running calls it by its name and its parameters: a change of either is a _v3.

CREATE OR REPLACE FUNCTION billing_write_subscriptions_v2(snapshots jsonb)
RETURNS TABLE (object_id text, affects_derived boolean)
LANGUAGE plpgsql
SET enable_hashjoin = off
SET enable_material = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    are_known boolean;
    are_discounted boolean;
BEGIN
    -- joined, not EXISTS for each: that may be hashed, and read the whole table
    SELECT
        count(o.id) > 0,
        bool_or(s.snapshot -> 'discounts' <> '[]')
    INTO are_known, are_discounted
    FROM jsonb_array_elements(billing_write_subscriptions_v2.snapshots) AS s (snapshot)
    LEFT JOIN subscriptions AS o
        ON o.id = (s.snapshot ->> 'subscription_id')::uuid;
    RETURN QUERY
    WITH snapshots AS MATERIALIZED (
        SELECT
            s.subscription_id,
            coalesce(
                -- Stripe's metadata may name a record that has joined that of an account since
                (
                    SELECT account.id
                    FROM customers AS joined
                    JOIN customers AS account
                        ON account.id = joined.joined_id
                    WHERE joined.id = s.customer_id
                ),
                s.customer_id,
                mirror.customer_id
            ) AS customer_id,
            s.object_id,
            s.stripe_customer_id,
            s.livemode,
            s.stripe_status,
            s.currency,
            s.amount,
            s.price,
            s.current_period_start,
            s.current_period_end,
            s.started_at,
            s.trial_end,
            s.cancel_at_period_end,
            s.cancel_at,
            s.canceled_at,
            s.ended_at,
            s.cancellation_reason,
            s.cancellation_feedback,
            s.collection_paused,
            s.collection_behavior,
            s.stripe_schedule_id,
            s.pending_update_expires_at,
            s.items,
            s.since,
            s.as_of,
            s.event_id,
            judged.entitlement,
            judged.affects_derived
        FROM jsonb_populate_recordset(NULL::billing_subscription_snapshot, billing_write_subscriptions_v2.snapshots) AS s
        LEFT JOIN LATERAL (
            -- OFFSET 0 keeps this a look-up for each row instead of a join, however large the table
            SELECT
                m.customer_id,
                m.entitlement
            FROM subscriptions AS m
            WHERE m.stripe_subscription_id = s.object_id
            OFFSET 0
        ) AS mirror ON TRUE
        CROSS JOIN LATERAL (
            SELECT
                judged.entitlement,
                judged.entitlement IS DISTINCT FROM mirror.entitlement AS affects_derived
            FROM (
                SELECT billing_subscription_entitlement_v1(s, mirror.entitlement) AS entitlement
            ) AS judged
            OFFSET 0
        ) AS judged
    ),
    new_customers AS (
        -- a subscription made outside our checkout brings its customer with it
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
        WHERE NOT EXISTS (
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
        WHERE NOT EXISTS (
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
            auto_renew,
            next_due_date,
            current_period_start,
            current_period_end,
            started_at,
            trial_end,
            cancel_at_period_end,
            cancel_at,
            canceled_at,
            ended_at,
            cancellation_reason,
            cancellation_feedback,
            collection_paused,
            collection_behavior,
            stripe_schedule_id,
            pending_update_expires_at,
            entitlement,
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
            FALSE,
            s.current_period_end::date,
            s.current_period_start,
            s.current_period_end,
            s.started_at,
            s.trial_end,
            s.cancel_at_period_end,
            s.cancel_at,
            s.canceled_at,
            s.ended_at,
            s.cancellation_reason,
            s.cancellation_feedback,
            s.collection_paused,
            s.collection_behavior,
            s.stripe_schedule_id,
            s.pending_update_expires_at,
            s.entitlement,
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
            next_due_date = excluded.next_due_date,
            current_period_start = excluded.current_period_start,
            current_period_end = excluded.current_period_end,
            started_at = excluded.started_at,
            trial_end = excluded.trial_end,
            cancel_at_period_end = excluded.cancel_at_period_end,
            cancel_at = excluded.cancel_at,
            canceled_at = excluded.canceled_at,
            ended_at = excluded.ended_at,
            cancellation_reason = excluded.cancellation_reason,
            cancellation_feedback = excluded.cancellation_feedback,
            collection_paused = excluded.collection_paused,
            collection_behavior = excluded.collection_behavior,
            stripe_schedule_id = excluded.stripe_schedule_id,
            pending_update_expires_at = excluded.pending_update_expires_at,
            entitlement = excluded.entitlement,
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
            i.stripe_product_id,
            i.quantity,
            i.unit_amount,
            i.currency,
            i.recurring_interval,
            i.interval_count,
            i.current_period_start,
            i.current_period_end
        FROM snapshots AS s
        CROSS JOIN LATERAL jsonb_populate_recordset(
            NULL::billing_subscription_item_snapshot, s.items
        ) AS i
    ),
    itemised AS (
        INSERT INTO subscription_items AS mirror (
            subscription_id,
            price_id,
            stripe_subscription_item_id,
            stripe_price_id,
            stripe_product_id,
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
            i.stripe_product_id,
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
            stripe_product_id = excluded.stripe_product_id,
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
            mirror.stripe_product_id,
            mirror.quantity,
            mirror.unit_amount,
            mirror.currency,
            mirror.recurring_interval,
            mirror.interval_count,
            mirror.current_period_start,
            mirror.current_period_end
        ) IS DISTINCT FROM (
            excluded.subscription_id,
            excluded.price_id,
            excluded.stripe_price_id,
            excluded.stripe_product_id,
            excluded.quantity,
            excluded.unit_amount,
            excluded.currency,
            excluded.recurring_interval,
            excluded.interval_count,
            excluded.current_period_start,
            excluded.current_period_end
        )
        RETURNING mirror.id
    ),
    arrived AS (
        -- a session has told of it, and its own event was awaited
        DELETE FROM stripe_refetches AS awaited
        WHERE awaited.reason = 'awaited'
          -- an array: each is looked up, however many have come since statistics saw few
          AND awaited.object_id = ANY (ARRAY(SELECT s.object_id FROM snapshots AS s))
    )
    SELECT
        s.object_id,
        s.affects_derived
    FROM snapshots AS s;
    IF are_known THEN
        -- items missing from an incomplete list may still exist
        DELETE FROM subscription_items AS mirror
        USING jsonb_array_elements(billing_write_subscriptions_v2.snapshots) AS s (snapshot)
        WHERE mirror.subscription_id = (s.snapshot ->> 'subscription_id')::uuid
          AND s.snapshot -> 'items_complete' = 'true'
          AND (
              mirror.stripe_subscription_item_id IS NULL
              OR NOT s.snapshot -> 'items' @> jsonb_build_array(jsonb_build_object(
                  'stripe_subscription_item_id', mirror.stripe_subscription_item_id
              ))
          );
    END IF;
    IF are_discounted OR (are_known AND EXISTS (
        SELECT 1
        FROM jsonb_array_elements(billing_write_subscriptions_v2.snapshots) AS s (snapshot)
        JOIN subscription_discounts AS mirror
            ON mirror.subscription_id = (s.snapshot ->> 'subscription_id')::uuid
    )) THEN
        WITH snapshots AS MATERIALIZED (
            SELECT
                s.subscription_id,
                s.discounts,
                s.items_complete,
                s.event_id
            FROM jsonb_populate_recordset(
                NULL::billing_subscription_snapshot, billing_write_subscriptions_v2.snapshots
            ) AS s
        ),
        discounts AS MATERIALIZED (
            SELECT
                s.subscription_id,
                d.stripe_discount_id,
                d.stripe_subscription_item_id,
                d.position,
                d.stripe_coupon_id,
                d.coupon_name,
                d.percent_off,
                d.amount_off,
                d.currency,
                d.duration,
                d.stripe_product_ids,
                d.starts_at,
                d.ends_at,
                d.has_terms,
                d.has_terms AND s.event_id IS NULL AS fetched
            FROM snapshots AS s
            CROSS JOIN LATERAL jsonb_to_recordset(s.discounts) AS d (
                stripe_discount_id text,
                stripe_subscription_item_id text,
                position integer,
                stripe_coupon_id text,
                coupon_name text,
                percent_off numeric,
                amount_off bigint,
                currency text,
                duration text,
                stripe_product_ids text[],
                starts_at timestamptz,
                ends_at timestamptz,
                has_terms boolean
            )
        ),
        withdrawn AS (
            -- the discounts of items that an incomplete list leaves out may still exist
            DELETE FROM subscription_discounts AS mirror
            USING snapshots AS s
            WHERE mirror.subscription_id = s.subscription_id
              AND (s.items_complete OR mirror.stripe_subscription_item_id IS NULL)
              AND NOT EXISTS (
                  SELECT 1
                  FROM discounts AS d
                  WHERE d.subscription_id = mirror.subscription_id
                    AND d.stripe_discount_id = mirror.stripe_discount_id
                    AND d.stripe_subscription_item_id IS NOT DISTINCT FROM mirror.stripe_subscription_item_id
              )
            RETURNING mirror.id
        )
        -- most events carry the ids only: what is known of a coupon stays
        INSERT INTO subscription_discounts AS mirror (
            subscription_id,
            stripe_discount_id,
            stripe_subscription_item_id,
            position,
            stripe_coupon_id,
            coupon_name,
            percent_off,
            amount_off,
            currency,
            duration,
            stripe_product_ids,
            starts_at,
            ends_at,
            fetched
        )
        SELECT
            d.subscription_id,
            d.stripe_discount_id,
            d.stripe_subscription_item_id,
            d.position,
            d.stripe_coupon_id,
            d.coupon_name,
            d.percent_off,
            d.amount_off,
            d.currency,
            d.duration,
            d.stripe_product_ids,
            d.starts_at,
            d.ends_at,
            d.fetched
        FROM discounts AS d
        ON CONFLICT (subscription_id, stripe_discount_id, (coalesce(stripe_subscription_item_id, ''))) DO UPDATE
        SET position = excluded.position,
            stripe_coupon_id = coalesce(excluded.stripe_coupon_id, mirror.stripe_coupon_id),
            coupon_name = coalesce(excluded.coupon_name, mirror.coupon_name),
            percent_off = CASE WHEN excluded.duration IS NULL THEN mirror.percent_off ELSE excluded.percent_off END,
            amount_off = CASE WHEN excluded.duration IS NULL THEN mirror.amount_off ELSE excluded.amount_off END,
            currency = CASE WHEN excluded.duration IS NULL THEN mirror.currency ELSE excluded.currency END,
            duration = coalesce(excluded.duration, mirror.duration),
            stripe_product_ids = CASE
                WHEN excluded.fetched THEN coalesce(excluded.stripe_product_ids, mirror.stripe_product_ids)
                ELSE mirror.stripe_product_ids
            END,
            starts_at = coalesce(excluded.starts_at, mirror.starts_at),
            ends_at = CASE WHEN excluded.starts_at IS NULL THEN mirror.ends_at ELSE excluded.ends_at END,
            fetched = mirror.fetched OR excluded.fetched,
            updated_at = now();
    END IF;
END
$$;
COMMENT ON FUNCTION billing_write_subscriptions_v2(jsonb) IS 'Writes snapshots of subscriptions with their items, discounts and customers; returns which affect derived columns';
