-- Other prices for those who have an item already.

-- Tables: billing_price_changes
--
-- CREATE TABLE billing_price_changes (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     subscription_id uuid NOT NULL,
--     old_price_id uuid NOT NULL,
--     new_price_id uuid NOT NULL,
--     not_before timestamp with time zone NOT NULL,
--     effective_at timestamp with time zone NOT NULL,
--     next_attempt_at timestamp with time zone NOT NULL,
--     announced_at timestamp with time zone DEFAULT now() NOT NULL,
--     made_at timestamp with time zone,
--     withdrawn_at timestamp with time zone,
--     CONSTRAINT billing_price_changes_check CHECK ((old_price_id <> new_price_id)),
--     CONSTRAINT billing_price_changes_check1 CHECK ((effective_at >= not_before)),
--     CONSTRAINT billing_price_changes_check2 CHECK ((num_nonnulls(made_at, withdrawn_at) < 2))
-- );
-- ALTER TABLE ONLY billing_price_changes ADD CONSTRAINT billing_price_changes_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY billing_price_changes ADD CONSTRAINT billing_price_changes_new_price_id_fkey FOREIGN KEY (new_price_id) REFERENCES prices(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY billing_price_changes ADD CONSTRAINT billing_price_changes_old_price_id_fkey FOREIGN KEY (old_price_id) REFERENCES prices(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY billing_price_changes ADD CONSTRAINT billing_price_changes_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX billing_price_changes_due_idx ON billing_price_changes USING btree (next_attempt_at) WHERE ((made_at IS NULL) AND (withdrawn_at IS NULL));
-- CREATE INDEX billing_price_changes_new_idx ON billing_price_changes USING btree (new_price_id);
-- CREATE INDEX billing_price_changes_old_idx ON billing_price_changes USING btree (old_price_id);
-- CREATE UNIQUE INDEX billing_price_changes_standing_key ON billing_price_changes USING btree (subscription_id, old_price_id) WHERE ((made_at IS NULL) AND (withdrawn_at IS NULL));
-- CREATE INDEX billing_price_changes_subscription_idx ON billing_price_changes USING btree (subscription_id);

-- name: list_prices(product)
-- All prices of a product by its code, on sale or not, and how many have them.
SELECT
    p.id,
    p.stripe_price_id,
    p.lookup_key,
    p.billing_cycle,
    p.currency,
    p.unit_amount,
    p.active,
    p.livemode,
    p.meter,
    products.name AS product_name,
    (
        SELECT count(*)
        FROM subscription_items AS i
        JOIN subscriptions AS s
            ON s.id = i.subscription_id
        WHERE i.price_id = p.id
          AND s.stripe_status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
    ) AS subscriptions
FROM prices AS p
JOIN products
    ON products.id = p.product_id
WHERE products.code = :product
  AND p.stripe_price_id IS NOT NULL
  AND p.billing_cycle IS NOT NULL
ORDER BY p.currency, p.billing_cycle, p.created_at;

-- name: list_candidates(old_price_id, after, most)
-- A page of those whose item is to cost something else, by their ids.
SELECT s.id
FROM subscription_items AS i
JOIN subscriptions AS s
    ON s.id = i.subscription_id
WHERE i.price_id = :old_price_id::uuid
  AND i.subscription_id > :after::uuid
  AND s.billing_provider = 'stripe'
  AND s.stripe_status IN ('trialing', 'active', 'past_due', 'unpaid')
  AND s.cancel_at_period_end IS NOT TRUE
  AND s.cancel_at IS NULL
  AND s.stripe_schedule_id IS NULL
  AND i.current_period_end IS NOT NULL
  AND NOT EXISTS (
      SELECT 1
      FROM billing_price_changes AS c
      WHERE c.subscription_id = s.id
        AND c.old_price_id = i.price_id
        AND c.made_at IS NULL
        AND c.withdrawn_at IS NULL
  )
ORDER BY i.subscription_id
LIMIT :most;

-- name: announce(subscription_ids, old_price_id, new_price_id, starts_at, notice_days, lead_days)
-- Records the change of each, and tells of it. What was ordered with a trial is charged as agreed once.
-- It never counts before what is told, should the terms move; the days are those of the 29th to the 31st.
WITH announced AS (
    INSERT INTO billing_price_changes AS c (
        subscription_id,
        old_price_id,
        new_price_id,
        not_before,
        effective_at,
        next_attempt_at
    )
    SELECT
        s.id,
        i.price_id,
        :new_price_id::uuid,
        greatest(bound.not_before, renewal.at - interval '3 days'),
        renewal.at,
        renewal.at - make_interval(days => :lead_days::integer)
    FROM unnest(:subscription_ids::uuid[]) AS chosen (id)
    JOIN subscriptions AS s
        ON s.id = chosen.id
    JOIN subscription_items AS i
        ON i.subscription_id = s.id
        AND i.price_id = :old_price_id::uuid
    CROSS JOIN LATERAL (
        SELECT greatest(
            :starts_at::timestamptz,
            now() + make_interval(days => :notice_days::integer),
            CASE WHEN s.stripe_status = 'trialing' THEN s.trial_end + interval '1 second' END
        ) AS not_before
    ) AS bound
    CROSS JOIN LATERAL (
        SELECT billing_renewal_after_v1(
            CASE WHEN s.stripe_status <> 'trialing' THEN i.current_period_start END,
            i.current_period_end,
            i.interval_count * CASE i.recurring_interval WHEN 'year' THEN 12 ELSE 1 END,
            bound.not_before
        ) AS at
    ) AS renewal
    ON CONFLICT (subscription_id, old_price_id) WHERE made_at IS NULL AND withdrawn_at IS NULL DO NOTHING
    RETURNING c.id, c.subscription_id, c.old_price_id, c.new_price_id, c.effective_at
)
SELECT
    announced.effective_at,
    billing_record_message(
        'price.changing',
        announced.subscription_id::text,
        announced.id::text,
        s.livemode,
        s.id,
        s.customer_id,
        now(),
        jsonb_build_object('price', jsonb_build_object(
            'productCode', product.code,
            'productName', product.name,
            'billingCycle', former.billing_cycle,
            'currency', former.currency,
            'quantity', i.quantity,
            'unitAmountBefore', former.unit_amount,
            'unitAmount', coming.unit_amount,
            'effectiveAt', announced.effective_at
        ))
    ) AS told
FROM announced
JOIN subscriptions AS s
    ON s.id = announced.subscription_id
JOIN subscription_items AS i
    ON i.subscription_id = s.id
    AND i.price_id = announced.old_price_id
JOIN prices AS former
    ON former.id = announced.old_price_id
JOIN prices AS coming
    ON coming.id = announced.new_price_id
JOIN products AS product
    ON product.id = former.product_id;

-- name: take_effect(subscription_ids, old_price_id)!
-- Of a transaction that is taken back: what is announced counts at once.
UPDATE billing_price_changes
SET not_before = least(not_before, now()),
    effective_at = now()
WHERE subscription_id = ANY(:subscription_ids::uuid[])
  AND old_price_id = :old_price_id::uuid
  AND made_at IS NULL
  AND withdrawn_at IS NULL;

-- name: get_revenue(subscription_ids)$
-- Minor units a month of all their items, as billing_mrr counts them, with changes of prices that have begun.
SELECT coalesce(sum(n.amount / term.months), 0)
FROM subscriptions AS s
CROSS JOIN LATERAL (
    SELECT
        i.recurring_interval,
        i.interval_count,
        array_agg(i.id) AS item_ids
    FROM subscription_items AS i
    WHERE i.subscription_id = s.id
    GROUP BY i.recurring_interval, i.interval_count
) AS billed
CROSS JOIN LATERAL (
    SELECT (billed.interval_count * CASE billed.recurring_interval
        WHEN 'year' THEN 12
        WHEN 'month' THEN 1
        WHEN 'week' THEN 12 / 52.0
        WHEN 'day' THEN 12 / 365.0
    END)::numeric AS months
) AS term
CROSS JOIN LATERAL billing_net_amounts_v1(s.id, billed.item_ids, now(), FALSE, TRUE) AS n
WHERE s.id = ANY(:subscription_ids::uuid[])
  AND s.stripe_status IN ('active', 'past_due');

-- name: count_left(product, old_price_id, new_price_id)
-- Who has the product and is left alone, by why.
SELECT
    left_alone.why,
    count(*) AS subscriptions
FROM (
    SELECT CASE
        WHEN i.price_id IS DISTINCT FROM :old_price_id::uuid THEN 'at another price'
        WHEN s.stripe_status = 'paused' THEN 'paused'
        WHEN s.stripe_schedule_id IS NOT NULL THEN 'with a change planned'
        WHEN s.cancel_at_period_end OR s.cancel_at IS NOT NULL THEN 'set to end'
        WHEN EXISTS (
            SELECT 1
            FROM billing_price_changes AS c
            WHERE c.subscription_id = s.id
              AND c.old_price_id = i.price_id
              AND c.made_at IS NULL
              AND c.withdrawn_at IS NULL
        ) THEN 'announced before'
    END AS why
    FROM products
    CROSS JOIN LATERAL (
        SELECT
            sold.subscription_id,
            sold.price_id
        FROM prices AS p
        JOIN subscription_items AS sold
            ON sold.price_id = p.id
        WHERE p.product_id = products.id
          AND p.id <> :new_price_id::uuid
        UNION ALL
        SELECT
            negotiated.subscription_id,
            NULL
        FROM subscription_items AS negotiated
        WHERE negotiated.price_id IS NULL
          AND negotiated.stripe_product_id = products.stripe_product_id
    ) AS i
    JOIN subscriptions AS s
        ON s.id = i.subscription_id
    WHERE products.code = :product
      AND s.billing_provider = 'stripe'
      AND s.stripe_status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
) AS left_alone
WHERE left_alone.why IS NOT NULL
GROUP BY left_alone.why
ORDER BY left_alone.why;

-- name: is_anyone_told(livemode)$
-- Whether a receiver gets price.changing: while one is disabled, what there is to send waits.
SELECT EXISTS (
    SELECT 1
    FROM billing_receivers AS r
    WHERE r.livemode = :livemode::boolean
      AND r.disabled_at IS NULL
      AND billing_is_wanted('price.changing', r.types)
);

-- name: lock_standing(old_price_id, new_price_id)
-- What is announced and not made yet; from now on none of it is begun.
SELECT c.id
FROM billing_price_changes AS c
WHERE c.old_price_id = :old_price_id::uuid
  AND c.new_price_id = :new_price_id::uuid
  AND c.made_at IS NULL
  AND c.withdrawn_at IS NULL
ORDER BY c.id
FOR UPDATE;

-- name: lock_coming(subscription_id)
-- What is announced to a subscription is not called off until the transaction ends.
SELECT c.id
FROM billing_price_changes AS c
WHERE c.subscription_id = :subscription_id::uuid
  AND c.made_at IS NULL
  AND c.withdrawn_at IS NULL
ORDER BY c.id
FOR SHARE;

-- name: withdraw(ids)
-- Calls off what Stripe has not, and cannot have got: by a request of its own, or in a schedule.
UPDATE billing_price_changes AS c
SET withdrawn_at = now()
WHERE c.id = ANY(:ids::uuid[])
  AND NOT EXISTS (
      SELECT 1
      FROM billing_changes AS planned
      JOIN prices AS coming
          ON coming.id = c.new_price_id
      JOIN subscriptions AS s
          ON s.id = planned.subject_id
      WHERE planned.subject_id = c.subscription_id
        AND planned.kind = 'change_plan'
        AND (planned.state <> 'failed' OR planned.may_be_made)
        AND planned.params @> jsonb_build_object('planned', jsonb_build_object(
            'items', jsonb_build_array(jsonb_build_object('price', coming.stripe_price_id))
        ))
        -- it was undone, or never made, once no schedule is there
        AND (
            s.stripe_schedule_id IS NOT NULL
            OR (planned.state <> 'done' AND planned.attempted_at > now() - interval '1 day')
        )
  )
  AND NOT EXISTS (
      SELECT 1
      FROM billing_changes AS under_way
      WHERE under_way.request_key = 'price-change-' || c.id::text
        AND (under_way.state <> 'failed' OR under_way.may_be_made)
  )
RETURNING c.id;

-- name: list_due(now, livemode, most)
-- What is to be looked at now: its renewal is near, or was.
SELECT
    c.id,
    c.subscription_id
FROM billing_price_changes AS c
JOIN subscriptions AS s
    ON s.id = c.subscription_id
WHERE c.made_at IS NULL
  AND c.withdrawn_at IS NULL
  AND c.next_attempt_at <= :now::timestamptz
  AND s.livemode = :livemode::boolean
ORDER BY c.next_attempt_at
LIMIT :most;

-- name: get_change(id, now, lead_days)^
-- What is to be done with it: the item is gone, the renewal is not near, something else decides what
-- becomes of the subscription; else it can be made. Its row is locked, so it is not called off meanwhile.
SELECT
    CASE
        WHEN i.id IS NULL OR s.stripe_status IN ('canceled', 'incomplete_expired') THEN 'gone'
        WHEN s.stripe_status NOT IN ('trialing', 'active', 'past_due', 'unpaid')
            OR s.cancel_at_period_end
            OR s.cancel_at IS NOT NULL
            OR (s.stripe_schedule_id IS NOT NULL AND NOT EXISTS (
                -- ours, and what it was for is made: it is released first
                SELECT 1
                FROM billing_planned_changes AS p
                WHERE p.stripe_schedule_id = s.stripe_schedule_id
                  AND p.planned_at IS NOT NULL
                  AND p.effective_at < s.current_period_end
            ))
            -- another change would drop the one that waits for the customer
            OR s.pending_update_expires_at IS NOT NULL
            THEN 'held up'
        WHEN s.stripe_status = 'trialing'
            OR i.current_period_end < c.not_before
            OR i.current_period_end <= :now::timestamptz
            OR i.current_period_end > :now::timestamptz + make_interval(days => :lead_days::integer)
            THEN 'early'
        ELSE 'due'
    END AS verdict,
    i.stripe_subscription_item_id,
    i.quantity,
    coming.stripe_price_id,
    billing_renewal_after_v1(
        CASE WHEN s.stripe_status <> 'trialing' THEN i.current_period_start END,
        i.current_period_end,
        i.interval_count * CASE i.recurring_interval WHEN 'year' THEN 12 ELSE 1 END,
        greatest(
            c.not_before,
            :now::timestamptz,
            CASE WHEN s.stripe_status = 'trialing' THEN s.trial_end + interval '1 second' END
        )
    ) AS effective_at
FROM billing_price_changes AS c
JOIN subscriptions AS s
    ON s.id = c.subscription_id
JOIN prices AS coming
    ON coming.id = c.new_price_id
LEFT JOIN subscription_items AS i
    ON i.subscription_id = s.id
    AND i.price_id = c.old_price_id
WHERE c.id = :id::uuid
  AND c.made_at IS NULL
  AND c.withdrawn_at IS NULL
FOR UPDATE OF c;

-- name: put_off(id, effective_at, next_attempt_at)!
UPDATE billing_price_changes
SET effective_at = greatest(not_before, coalesce(:effective_at::timestamptz, effective_at)),
    next_attempt_at = :next_attempt_at::timestamptz
WHERE id = :id::uuid;

-- name: note_made(id)!
UPDATE billing_price_changes
SET made_at = now()
WHERE id = :id::uuid
  AND made_at IS NULL
  AND withdrawn_at IS NULL;

-- name: list_early(subscription_id)
-- What Stripe has already, and whose renewal has not begun: a term that began now would cost it too soon.
SELECT
    c.id,
    i.stripe_subscription_item_id,
    i.quantity,
    former.stripe_price_id
FROM billing_price_changes AS c
JOIN subscriptions AS s
    ON s.id = c.subscription_id
JOIN subscription_items AS i
    ON i.subscription_id = s.id
    AND i.price_id = c.new_price_id
JOIN prices AS former
    ON former.id = c.old_price_id
WHERE c.subscription_id = :subscription_id::uuid
  AND c.withdrawn_at IS NULL
  AND c.not_before > s.current_period_start;

-- name: reopen(ids)!
-- Stripe has the old prices again: each is announced as before, under another id, by which Stripe is asked again.
WITH taken_back AS (
    UPDATE billing_price_changes
    SET made_at = NULL,
        withdrawn_at = now()
    WHERE id = ANY(:ids::uuid[])
      AND withdrawn_at IS NULL
    RETURNING subscription_id, old_price_id, new_price_id, not_before, effective_at, announced_at
)
INSERT INTO billing_price_changes (
    subscription_id,
    old_price_id,
    new_price_id,
    not_before,
    effective_at,
    next_attempt_at,
    announced_at
)
SELECT
    t.subscription_id,
    t.old_price_id,
    t.new_price_id,
    t.not_before,
    t.effective_at,
    now() + interval '1 day',
    t.announced_at
FROM taken_back AS t;

-- name: settle(id)!
-- Of an item that has not the old price any more: it is made if it has the new one.
UPDATE billing_price_changes AS c
SET made_at = CASE WHEN made.has THEN now() END,
    withdrawn_at = CASE WHEN NOT made.has THEN now() END
FROM billing_price_changes AS standing
CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT 1
        FROM subscription_items AS i
        WHERE i.subscription_id = standing.subscription_id
          AND i.price_id = standing.new_price_id
    ) AS has
) AS made
WHERE c.id = :id::uuid
  AND standing.id = c.id
  AND c.made_at IS NULL
  AND c.withdrawn_at IS NULL;
