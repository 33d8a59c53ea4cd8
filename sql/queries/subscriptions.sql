-- Mirrored subscriptions and their items. All statements are set-based: one call takes one snapshot
-- or fifty.

-- Tables: subscriptions, subscription_items, subscription_discounts
--
-- CREATE TABLE subscriptions (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     tenant_id uuid,
--     customer_id uuid,
--     product_id uuid,
--     status character varying(50) DEFAULT 'active'::character varying,
--     billing_cycle character varying(50),
--     price numeric(10,2) NOT NULL,
--     next_billing_date date,
--     next_due_date date,
--     auto_renew boolean DEFAULT true,
--     metadata jsonb DEFAULT '{}'::jsonb,
--     created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     billing_provider text,
--     livemode boolean,
--     stripe_status text,
--     stripe_customer_id text,
--     stripe_subscription_id text,
--     stripe_payment_intent_id text,
--     checkout_session_id text,
--     currency text,
--     amount bigint,
--     current_period_start timestamp with time zone,
--     current_period_end timestamp with time zone,
--     trial_end timestamp with time zone,
--     cancel_at_period_end boolean,
--     cancel_at timestamp with time zone,
--     canceled_at timestamp with time zone,
--     ended_at timestamp with time zone,
--     collection_paused boolean,
--     collection_behavior text,
--     stripe_schedule_id text,
--     entitlement jsonb,
--     initial_payment_settled boolean,
--     order_paid boolean,
--     stripe_as_of_since timestamp with time zone,
--     stripe_as_of timestamp with time zone,
--     stripe_event_id text,
--     CONSTRAINT billing_subscriptions_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT billing_subscriptions_mirror_check CHECK (((billing_provider IS NULL) OR ((livemode IS NOT NULL) AND (currency IS NOT NULL) AND (amount IS NOT NULL) AND ((stripe_status IS NULL) = (stripe_as_of IS NULL)) AND ((stripe_as_of IS NULL) = (stripe_as_of_since IS NULL)) AND (stripe_as_of_since <= stripe_as_of)))),
--     CONSTRAINT billing_subscriptions_not_due_in_mpanel_check CHECK (((billing_provider IS NULL) OR ((auto_renew IS FALSE) AND (next_billing_date IS NULL)))),
--     CONSTRAINT billing_subscriptions_provider_check CHECK ((billing_provider = 'stripe'::text)),
--     CONSTRAINT billing_subscriptions_status_check CHECK (((billing_provider IS NULL) OR ((status)::text = ANY ((ARRAY['provisional'::character varying, 'pending'::character varying, 'active'::character varying, 'suspended'::character varying, 'cancelled'::character varying, 'expired'::character varying])::text[])))),
--     CONSTRAINT billing_subscriptions_stripe_status_check CHECK ((stripe_status = ANY (ARRAY['incomplete'::text, 'incomplete_expired'::text, 'trialing'::text, 'active'::text, 'past_due'::text, 'unpaid'::text, 'paused'::text, 'canceled'::text])))
-- )
-- WITH (fillfactor='85');
-- ALTER TABLE ONLY subscriptions ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY subscriptions ADD CONSTRAINT subscriptions_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY subscriptions ADD CONSTRAINT subscriptions_product_id_fkey FOREIGN KEY (product_id) REFERENCES products(id);
-- ALTER TABLE ONLY subscriptions ADD CONSTRAINT subscriptions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;
-- CREATE INDEX billing_subscriptions_attention_idx ON subscriptions USING btree (stripe_status, status, stripe_schedule_id, tenant_id) WHERE (((status)::text = 'pending'::text) OR (stripe_status = ANY (ARRAY['past_due'::text, 'unpaid'::text, 'paused'::text, 'trialing'::text])) OR ((stripe_subscription_id IS NOT NULL) AND (stripe_status IS NULL)) OR (stripe_schedule_id IS NOT NULL) OR ((tenant_id IS NULL) AND (stripe_status = ANY (ARRAY['trialing'::text, 'active'::text]))));
-- CREATE UNIQUE INDEX billing_subscriptions_checkout_session_key ON subscriptions USING btree (checkout_session_id);
-- CREATE INDEX billing_subscriptions_customer_idx ON subscriptions USING btree (customer_id) WHERE (billing_provider = 'stripe'::text);
-- CREATE UNIQUE INDEX billing_subscriptions_stripe_subscription_key ON subscriptions USING btree (stripe_subscription_id);
-- CREATE INDEX billing_subscriptions_trial_idx ON subscriptions USING btree (trial_end) WHERE (stripe_status = 'trialing'::text);
--
-- CREATE TABLE subscription_items (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     subscription_id uuid NOT NULL,
--     price_id uuid,
--     stripe_subscription_item_id text,
--     stripe_price_id text,
--     stripe_product_id text,
--     quantity bigint,
--     unit_amount bigint,
--     currency text NOT NULL,
--     recurring_interval text,
--     interval_count integer,
--     current_period_start timestamp with time zone,
--     current_period_end timestamp with time zone,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT subscription_items_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT subscription_items_interval_count_check CHECK ((interval_count > 0)),
--     CONSTRAINT subscription_items_quantity_check CHECK ((quantity >= 0)),
--     CONSTRAINT subscription_items_recurring_interval_check CHECK ((recurring_interval = ANY (ARRAY['day'::text, 'week'::text, 'month'::text, 'year'::text])))
-- )
-- WITH (fillfactor='85');
-- ALTER TABLE ONLY subscription_items ADD CONSTRAINT subscription_items_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY subscription_items ADD CONSTRAINT subscription_items_stripe_subscription_item_id_key UNIQUE (stripe_subscription_item_id);
-- ALTER TABLE ONLY subscription_items ADD CONSTRAINT subscription_items_price_id_fkey FOREIGN KEY (price_id) REFERENCES prices(id);
-- ALTER TABLE ONLY subscription_items ADD CONSTRAINT subscription_items_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX billing_items_other_price_idx ON subscription_items USING btree (stripe_product_id, subscription_id) WHERE (price_id IS NULL);
-- CREATE INDEX billing_items_price_subscription_idx ON subscription_items USING btree (price_id, subscription_id);
-- CREATE INDEX billing_items_unknown_price_idx ON subscription_items USING btree (stripe_price_id, subscription_id) WHERE (price_id IS NULL);
-- CREATE INDEX subscription_items_subscription_idx ON subscription_items USING btree (subscription_id);
--
-- CREATE TABLE subscription_discounts (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     subscription_id uuid NOT NULL,
--     stripe_discount_id text NOT NULL,
--     stripe_subscription_item_id text,
--     "position" integer NOT NULL,
--     stripe_coupon_id text,
--     coupon_name text,
--     percent_off numeric,
--     amount_off bigint,
--     currency text,
--     duration text,
--     stripe_product_ids text[],
--     starts_at timestamp with time zone,
--     ends_at timestamp with time zone,
--     fetched boolean NOT NULL,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT subscription_discounts_amount_off_check CHECK ((amount_off >= 0)),
--     CONSTRAINT subscription_discounts_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT subscription_discounts_percent_off_check CHECK (((percent_off >= (0)::numeric) AND (percent_off <= (100)::numeric)))
-- );
-- ALTER TABLE ONLY subscription_discounts ADD CONSTRAINT subscription_discounts_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY subscription_discounts ADD CONSTRAINT subscription_discounts_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE UNIQUE INDEX subscription_discounts_key ON subscription_discounts USING btree (subscription_id, stripe_discount_id, COALESCE(stripe_subscription_item_id, ''::text));

-- name: lock_objects(keys)
-- One transaction at a time per Stripe object, in the order given: two events of one object, or an
-- invoice and its subscription, never pass each other unseen.
SELECT pg_advisory_xact_lock(hashtextextended(keys.key, 0))
FROM unnest(:keys::text[]) WITH ORDINALITY AS keys (key, position)
ORDER BY keys.position;

-- name: list_stored(object_ids, stripe_customer_ids, order_ids, sinces)
-- Where each incoming snapshot belongs: the row that mirrors it, else the order it names, provided
-- that the order runs on the same Stripe customer (metadata alone must not move another buyer's
-- row). The event of the stored snapshot is read only if the two may be of the same second.
SELECT
    i.object_id,
    coalesce(mirrored.id, ordered.id) AS subscription_id,
    coalesce(known.customer_id, mirrored.customer_id, ordered.customer_id) AS customer_id,
    mirrored.stripe_as_of_since AS since,
    mirrored.stripe_as_of AS as_of,
    mirrored.stripe_event_id AS event_id,
    mirrored.stripe_status,
    deleted.subscription_id AS deleted_id,
    i.order_id IS NOT NULL
        AND mirrored.id IS NULL
        AND NOT EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.id = i.order_id) AS order_is_missing,
    e.type AS event_type,
    e.payload
FROM unnest(
    :object_ids::text[], :stripe_customer_ids::text[], :order_ids::uuid[], :sinces::timestamptz[]
) AS i (object_id, stripe_customer_id, order_id, since)
LEFT JOIN subscriptions AS mirrored
    ON mirrored.stripe_subscription_id = i.object_id
LEFT JOIN subscriptions AS ordered
    ON ordered.id = i.order_id
    AND mirrored.id IS NULL
    AND ordered.stripe_subscription_id IS NULL
    AND ordered.billing_provider = 'stripe'
    AND ordered.stripe_customer_id = i.stripe_customer_id
LEFT JOIN stripe_customers AS known
    ON known.id = i.stripe_customer_id
LEFT JOIN LATERAL (
    -- its row was deleted here, as that of the order itself or as one of its own
    SELECT d.subscription_id
    FROM billing_deleted_subscriptions AS d
    WHERE mirrored.id IS NULL
      AND d.settled_at IS NULL
      AND (
          d.stripe_subscription_id = i.object_id
          OR (d.subscription_id = i.order_id AND d.stripe_subscription_id IS NULL)
      )
    LIMIT 1
) AS deleted ON TRUE
LEFT JOIN stripe_events AS e
    ON e.id = mirrored.stripe_event_id
    AND i.since <= mirrored.stripe_as_of;

-- name: write_snapshots(snapshots, rule)
-- Writes snapshots with their items, and the customer of a subscription made outside our checkout.
-- The rule `decided` writes all of them: list_stored and the ordering rules have let them through.
-- `later` writes those that are newer than their row by a whole second, which needs no other rule.
-- Returns what was written, and whether it affects anything derived: most renewals change periods
-- and amounts only.
WITH snapshots AS MATERIALIZED (
    SELECT
        coalesce(s.subscription_id, mirror.id) AS subscription_id,
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
        s.trial_end,
        s.cancel_at_period_end,
        s.cancel_at,
        s.canceled_at,
        s.ended_at,
        s.collection_paused,
        s.collection_behavior,
        s.stripe_schedule_id,
        s.items,
        s.items_complete,
        s.discounts,
        s.since,
        s.as_of,
        s.event_id,
        judged.entitlement,
        judged.affects_derived
    FROM jsonb_populate_recordset(NULL::billing_subscription_snapshot, :snapshots::jsonb) AS s
    LEFT JOIN LATERAL (
        -- OFFSET 0 keeps this a look-up for each row instead of a join, however large the table
        SELECT
            m.id,
            m.customer_id,
            m.entitlement,
            m.stripe_as_of
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
    WHERE :rule::text = 'decided'
       OR (:rule::text = 'later' AND mirror.stripe_as_of < s.since)
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
        trial_end,
        cancel_at_period_end,
        cancel_at,
        canceled_at,
        ended_at,
        collection_paused,
        collection_behavior,
        stripe_schedule_id,
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
        s.trial_end,
        s.cancel_at_period_end,
        s.cancel_at,
        s.canceled_at,
        s.ended_at,
        s.collection_paused,
        s.collection_behavior,
        s.stripe_schedule_id,
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
        trial_end = excluded.trial_end,
        cancel_at_period_end = excluded.cancel_at_period_end,
        cancel_at = excluded.cancel_at,
        canceled_at = excluded.canceled_at,
        ended_at = excluded.ended_at,
        collection_paused = excluded.collection_paused,
        collection_behavior = excluded.collection_behavior,
        stripe_schedule_id = excluded.stripe_schedule_id,
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
removed AS (
    -- items missing from an incomplete list may still exist
    DELETE FROM subscription_items AS mirror
    USING snapshots AS s
    WHERE mirror.subscription_id = s.subscription_id
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
),
discounted AS (
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
        updated_at = now()
    RETURNING mirror.id
),
arrived AS (
    -- a session has told of it, and its own event was awaited
    DELETE FROM stripe_refetches AS awaited
    USING snapshots AS s
    WHERE awaited.object_id = s.object_id
      AND awaited.reason = 'awaited'
)
SELECT
    s.object_id,
    s.affects_derived
FROM snapshots AS s;

-- name: derive(stripe_subscription_ids, subscription_ids)
-- Derives from the mirrored rows, in whatever order they came: status, links of invoices, the
-- payment, and the work of provisioning. Returns the rows whose status changed, and the new work.
WITH touched AS MATERIALIZED (
    SELECT
        s.id,
        s.customer_id,
        s.tenant_id,
        s.status,
        s.stripe_status,
        s.stripe_subscription_id,
        s.stripe_customer_id,
        s.entitlement,
        s.metadata -> 'freeDomain' = 'true' AS has_free_domain
    FROM (
        SELECT mirrored.id
        FROM unnest(:stripe_subscription_ids::text[]) AS told (stripe_subscription_id)
        JOIN subscriptions AS mirrored
            ON mirrored.stripe_subscription_id = told.stripe_subscription_id
        UNION
        SELECT ordered.id
        FROM unnest(:subscription_ids::uuid[]) AS ordered (id)
    ) AS named
    JOIN subscriptions AS s
        ON s.id = named.id
    WHERE s.billing_provider = 'stripe'
),
invoiced AS (
    SELECT
        t.id,
        bool_or(i.stripe_status = 'paid') AS settled,
        bool_or(i.pays_order) AS order_paid,
        min(i.paid_at) FILTER (WHERE i.stripe_status = 'paid' AND i.amount_paid > 0) AS first_paid_at,
        (array_agg(i.stripe_payment_intent_id ORDER BY i.stripe_created DESC, i.stripe_invoice_id DESC)
            FILTER (WHERE i.stripe_payment_intent_id IS NOT NULL))[1] AS payment_intent_id,
        min(i.owed_since) FILTER (
            WHERE i.stripe_status = 'open'
               OR (i.stripe_status = 'uncollectible' AND i.last_paid IS NULL)
               OR (i.stripe_status = 'uncollectible' AND i.stripe_created > i.last_paid)
        ) AS owed_since,
        jsonb_agg(
            jsonb_build_object(
                'invoice', i.stripe_invoice_id, 'amount', i.paid_after_end, 'currency', i.currency
            )
            ORDER BY i.stripe_created, i.stripe_invoice_id
        ) FILTER (WHERE i.paid_after_end > 0) AS paid_after_end,
        bool_or(i.stripe_status IN ('open', 'uncollectible') AND i.billing_reason IS DISTINCT FROM 'manual') AS payable
    FROM touched AS t
    CROSS JOIN LATERAL (
        SELECT
            bool_and(c.state = 'attached') AS all_added,
            max(c.stripe_created) AS last_added
        FROM subscription_charges AS c
        WHERE c.subscription_id = t.id
          AND c.kind = 'one_time'
          AND c.state <> 'with_checkout'
    ) AS added
    CROSS JOIN LATERAL (
        SELECT
            listed.stripe_invoice_id,
            listed.stripe_status,
            listed.stripe_created,
            listed.stripe_payment_intent_id,
            listed.billing_reason,
            listed.amount_paid,
            coalesce(listed.paid_date AT TIME ZONE 'UTC', listed.stripe_created) AS paid_at,
            -- of what is billed for terms: since it was finalized, once a payment has failed; a sent
            -- one since it is due. One that was written off is owed until a later one is paid
            CASE
                WHEN listed.billing_reason = 'manual' THEN NULL
                WHEN listed.collection_method = 'send_invoice'
                    THEN coalesce(listed.due_at, listed.finalized_at, listed.stripe_created)
                WHEN listed.attempt_count > 0 THEN coalesce(listed.finalized_at, listed.stripe_created)
            END AS owed_since,
            max(listed.stripe_created) FILTER (
                WHERE listed.stripe_status = 'paid'
                  AND listed.billing_reason IS DISTINCT FROM 'manual'
            ) OVER () AS last_paid,
            lower(listed.currency) AS currency,
            -- money for all that was ordered: what a trial's invoice left out is not paid with it, nor a
            -- domain that only a long term includes with a shorter one. Credit counts, which was paid
            -- before; what was given back does not
            listed.stripe_status = 'paid'
                AND listed.total > 0
                AND listed.billing_reason IS DISTINCT FROM 'manual'
                AND (t.has_free_domain IS NOT TRUE OR listed.period_end >= listed.period_start + interval '360 days')
                AND added.all_added IS NOT FALSE
                AND (added.last_added < listed.stripe_created) IS NOT FALSE
                AND (
                    listed.amount_paid = 0
                    OR listed.amount_paid > (
                        SELECT coalesce(sum(r.amount), 0)
                        FROM invoice_payments AS p
                        JOIN stripe_refunds AS r
                            ON r.stripe_payment_intent_id = p.stripe_payment_intent_id
                        WHERE p.stripe_invoice_id = listed.stripe_invoice_id
                          AND r.status NOT IN ('failed', 'canceled')
                    )
                ) AS pays_order,
            -- what the host keeps of an invoice that was open at the end and was paid later; the
            -- bill for what was used before, which Stripe makes at the end, is not meant
            CASE
                WHEN listed.stripe_status = 'paid'
                    AND listed.billing_reason IS DISTINCT FROM 'manual'
                    AND listed.stripe_created < (t.entitlement ->> 'endedAt')::timestamptz
                    AND listed.paid_date AT TIME ZONE 'UTC' > (t.entitlement ->> 'endedAt')::timestamptz
                    AND NOT EXISTS (
                        SELECT 1
                        FROM billing_kept_payments AS kept
                        WHERE kept.stripe_invoice_id = listed.stripe_invoice_id
                    )
                    AND NOT EXISTS (
                        SELECT 1
                        FROM billing_takeovers AS revival
                        WHERE revival.predecessor_id = t.id
                          AND revival.done_at IS NOT NULL
                          AND listed.stripe_invoice_id = ANY(revival.settles)
                    )
                    THEN listed.amount_paid - (
                        SELECT coalesce(sum(r.amount), 0)
                        FROM invoice_payments AS p
                        JOIN stripe_refunds AS r
                            ON r.stripe_payment_intent_id = p.stripe_payment_intent_id
                        WHERE p.stripe_invoice_id = listed.stripe_invoice_id
                          AND r.status NOT IN ('failed', 'canceled')
                    )
            END AS paid_after_end
        FROM invoices AS listed
        WHERE listed.stripe_subscription_id = t.stripe_subscription_id
    ) AS i
    GROUP BY t.id
),
sold AS (
    SELECT
        t.id,
        bool_or(c.status = 'complete' AND c.payment_status IN ('paid', 'no_payment_required')) AS settled,
        bool_and(c.status = 'expired') AS all_expired
    FROM touched AS t
    JOIN checkout_sessions AS c
        ON c.subscription_id = t.id
    GROUP BY t.id
),
itemised AS (
    SELECT
        t.id,
        (array_agg(product.id ORDER BY i.stripe_subscription_item_id) FILTER (WHERE product.kind = 'plan'))[1] AS plan_id,
        (array_agg(product.code ORDER BY i.stripe_subscription_item_id) FILTER (WHERE product.kind = 'plan'))[1] AS plan_code,
        coalesce(
            (array_agg(term.cycle ORDER BY i.stripe_subscription_item_id) FILTER (WHERE product.kind = 'plan'))[1],
            CASE WHEN count(DISTINCT coalesce(term.cycle, '')) = 1 THEN min(term.cycle) END
        ) AS cycle,
        coalesce(
            jsonb_agg(DISTINCT product.code) FILTER (WHERE product.kind = 'addon'),
            '[]'
        ) AS addon_codes
    FROM touched AS t
    JOIN subscription_items AS i
        ON i.subscription_id = t.id
    CROSS JOIN LATERAL (
        SELECT CASE i.interval_count * CASE i.recurring_interval WHEN 'month' THEN 1 WHEN 'year' THEN 12 END
            WHEN 1 THEN 'monthly'
            WHEN 3 THEN 'quarterly'
            WHEN 6 THEN 'semi-annually'
            WHEN 12 THEN 'annually'
            WHEN 24 THEN 'biennially'
            WHEN 36 THEN 'triennially'
        END AS cycle
    ) AS term
    LEFT JOIN prices AS p
        ON p.id = i.price_id
    LEFT JOIN products AS product
        ON product.id = coalesce(p.product_id, (
            SELECT sold.id
            FROM products AS sold
            WHERE sold.stripe_product_id = i.stripe_product_id
              AND sold.code IS NOT NULL
        ))
    GROUP BY t.id
),
reordered AS (
    -- metadata holds what was ordered; once something else is charged, for whatever reason, it
    -- holds that
    SELECT
        s.id,
        s.metadata || jsonb_build_object(
            'planId', i.plan_code,
            'billingCycle', i.cycle,
            'addonIds', i.addon_codes,
            'productTypes', (
                SELECT coalesce(jsonb_agg(given.kind ORDER BY given.place), '[]')
                FROM (
                    SELECT
                        listed.kind,
                        min(listed.place) AS place
                    FROM (
                        SELECT
                            kinds.kind,
                            row_number() OVER (
                                ORDER BY product.kind <> 'plan', product.code, kinds.place
                            ) AS place
                        FROM products AS product
                        CROSS JOIN LATERAL unnest(product.product_types)
                            WITH ORDINALITY AS kinds (kind, place)
                        WHERE product.code = i.plan_code
                           OR i.addon_codes ? product.code
                    ) AS listed
                    GROUP BY listed.kind
                ) AS given
            )
        ) AS metadata
    FROM itemised AS i
    JOIN subscriptions AS s
        ON s.id = i.id
    WHERE s.metadata ? 'planId'
      AND (
          s.metadata ->> 'planId' <> i.plan_code
          OR s.metadata ->> 'billingCycle' IS DISTINCT FROM i.cycle
          OR NOT s.metadata -> 'addonIds' @> i.addon_codes
          OR NOT i.addon_codes @> (s.metadata -> 'addonIds')
      )
      AND i.plan_code IS NOT NULL
),
derived AS MATERIALIZED (
    SELECT
        t.id,
        t.customer_id,
        t.tenant_id,
        t.stripe_subscription_id,
        settling.settled,
        coalesce(invoiced.order_paid, FALSE) AS order_paid,
        invoiced.payment_intent_id,
        itemised.plan_id,
        itemised.cycle,
        t.status AS status_before,
        CASE
            WHEN t.stripe_status = 'canceled' THEN 'cancelled'
            WHEN t.stripe_status = 'incomplete_expired' THEN 'expired'
            WHEN t.stripe_subscription_id IS NULL AND sold.all_expired THEN 'expired'
        END AS end_status,
        t.stripe_status <> 'incomplete' AND settling.settled AS begun,
        t.entitlement || jsonb_build_object(
            'settled', settling.settled,
            'orderPaid', coalesce(invoiced.order_paid, FALSE),
            'owedSince', CASE
                -- Stripe calls it active if a later term is paid: that is no debt to suspend for, but trouble
                WHEN t.stripe_status NOT IN ('incomplete', 'incomplete_expired', 'canceled') THEN invoiced.owed_since
            END,
            'paidAfterEnd', invoiced.paid_after_end,
            'payableAfterEnd', t.stripe_status IN ('canceled', 'incomplete_expired') AND coalesce(invoiced.payable, FALSE)
        ) AS inputs,
        t.stripe_status IS NOT NULL AS mirrored
    FROM touched AS t
    LEFT JOIN invoiced
        ON invoiced.id = t.id
    LEFT JOIN sold
        ON sold.id = t.id
    LEFT JOIN itemised
        ON itemised.id = t.id
    CROSS JOIN LATERAL (
        SELECT
            coalesce(invoiced.settled, FALSE)
            OR coalesce(sold.settled, FALSE)
            -- it is paid for by what its predecessor had paid
            OR EXISTS (
                SELECT 1
                FROM billing_takeovers AS revival
                WHERE revival.subscription_id = t.id
                  AND revival.reason = 'revived'
                  AND revival.done_at IS NOT NULL
            ) AS settled
    ) AS settling
),
updated AS (
    -- a status set by the worker stays, unless Stripe ends or starts the subscription
    UPDATE subscriptions AS s
    SET status = coalesce(
            d.end_status,
            CASE WHEN d.begun AND s.status IN ('provisional', 'expired') THEN 'pending' END,
            s.status
        ),
        initial_payment_settled = d.settled,
        order_paid = d.order_paid,
        stripe_payment_intent_id = coalesce(d.payment_intent_id, s.stripe_payment_intent_id),
        product_id = coalesce(d.plan_id, s.product_id),
        -- null: the plan has a term that mPanel has no word for
        billing_cycle = CASE WHEN d.mirrored THEN d.cycle ELSE s.billing_cycle END,
        metadata = coalesce(r.metadata, s.metadata),
        updated_at = now()
    FROM derived AS d
    LEFT JOIN reordered AS r
        ON r.id = d.id
    WHERE s.id = d.id
      AND (
          s.status <> d.end_status
          OR (d.end_status IS NULL AND d.begun AND s.status IN ('provisional', 'expired'))
          OR s.initial_payment_settled IS DISTINCT FROM d.settled
          OR s.order_paid IS DISTINCT FROM d.order_paid
          OR s.stripe_payment_intent_id <> d.payment_intent_id
          OR (s.stripe_payment_intent_id IS NULL AND d.payment_intent_id IS NOT NULL)
          OR s.product_id <> d.plan_id
          OR (s.product_id IS NULL AND d.plan_id IS NOT NULL)
          OR (d.mirrored AND s.billing_cycle IS DISTINCT FROM d.cycle)
          OR r.metadata IS NOT NULL
      )
    RETURNING s.id, s.status
),
linked AS (
    UPDATE invoices AS i
    SET subscription_id = d.id,
        customer_id = d.customer_id,
        tenant_id = d.tenant_id,
        updated_at = now()
    FROM derived AS d
    WHERE i.stripe_subscription_id = d.stripe_subscription_id
      AND (i.subscription_id, i.customer_id, i.tenant_id)
          IS DISTINCT FROM (d.id, d.customer_id, d.tenant_id)
    RETURNING i.id
),
principal AS (
    -- the first payment for an order that nobody vouches for decides on the principal Stripe customer,
    -- where a vouched order, or an earlier payment, has not: whichever event comes first. Without an
    -- account, its buyer's details count, not those of who ordered at the address first and did not pay
    UPDATE customers AS c
    SET stripe_customer_id = paid.stripe_customer_id,
        stripe_customer_paid_at = paid.first_paid_at,
        (
            name, company_name, phone, address_line1, address_line2, city, state, postal_code, country
        ) = (
            SELECT
                paid.buyer ->> 'name',
                paid.buyer -> 'metadata' ->> 'company',
                paid.buyer ->> 'phone',
                paid.buyer -> 'address' ->> 'line1',
                paid.buyer -> 'address' ->> 'line2',
                paid.buyer -> 'address' ->> 'city',
                paid.buyer -> 'address' ->> 'state',
                paid.buyer -> 'address' ->> 'postal_code',
                paid.buyer -> 'address' ->> 'country'
            WHERE paid.buyer IS NOT NULL
              AND c.user_id IS NULL
              AND c.metadata ->> 'firstSubscriptionId' <> paid.subscription_id::text
            UNION ALL
            SELECT
                c.name,
                c.company_name,
                c.phone,
                c.address_line1,
                c.address_line2,
                c.city,
                c.state,
                c.postal_code,
                c.country
            WHERE (
                paid.buyer IS NOT NULL
                AND c.user_id IS NULL
                AND c.metadata ->> 'firstSubscriptionId' <> paid.subscription_id::text
            ) IS NOT TRUE
        ),
        updated_at = now()
    FROM (
        SELECT DISTINCT ON (t.customer_id)
            t.id AS subscription_id,
            t.customer_id,
            t.stripe_customer_id,
            invoiced.first_paid_at,
            (
                SELECT x.params -> 'customer'
                FROM checkout_sessions AS x
                WHERE x.subscription_id = t.id
                ORDER BY x.attempt
                LIMIT 1
            ) AS buyer
        FROM touched AS t
        JOIN invoiced
            ON invoiced.id = t.id
            AND invoiced.first_paid_at IS NOT NULL
        JOIN orders AS o
            ON o.subscription_id = t.id
            AND NOT o.vouched
        JOIN stripe_customers AS known
            ON known.id = t.stripe_customer_id
            AND NOT known.deleted
        ORDER BY t.customer_id, invoiced.first_paid_at, t.stripe_customer_id
    ) AS paid
    WHERE c.id = paid.customer_id
      AND c.stripe_customer_id IS DISTINCT FROM paid.stripe_customer_id
      AND (
          c.stripe_customer_id IS NULL
          OR (c.stripe_customer_paid_at, c.stripe_customer_id)
              > (paid.first_paid_at, paid.stripe_customer_id)
      )
    RETURNING c.id
),
work AS (
    -- if the enqueued job is lost, the sweep takes the work in a minute
    INSERT INTO provisioning_work AS w (subscription_id, inputs, wake_at)
    SELECT d.id, d.inputs, now() + interval '1 minute'
    FROM derived AS d
    WHERE d.mirrored
    ON CONFLICT (subscription_id) DO UPDATE
    SET inputs = excluded.inputs,
        version = w.version + 1,
        attempts = 0,
        wake_at = excluded.wake_at,
        updated_at = now()
    WHERE w.inputs IS DISTINCT FROM excluded.inputs
    RETURNING w.subscription_id, w.version
)
SELECT
    d.id AS subscription_id,
    coalesce(u.status <> d.status_before, FALSE) AS changed,
    due.version AS work_version
FROM derived AS d
LEFT JOIN updated AS u
    ON u.id = d.id
LEFT JOIN LATERAL (
    -- while it waits for its first payment and has nothing, a run finds nothing to do: most often the
    -- payment is the next event. If it is not, the sweep runs it
    SELECT w.version
    FROM work AS w
    WHERE w.subscription_id = d.id
      AND (
          d.begun
          OR d.end_status IS NOT NULL
          OR EXISTS (SELECT 1 FROM tenant_services AS account WHERE account.subscription_id = d.id)
          OR EXISTS (SELECT 1 FROM billing_takeovers AS takeover WHERE takeover.subscription_id = d.id)
          OR EXISTS (SELECT 1 FROM billing_adoptions AS adoption WHERE adoption.subscription_id = d.id)
      )
) AS due ON TRUE
WHERE u.status <> d.status_before
   OR due.version IS NOT NULL;

-- name: list_unfetched_discounts(stripe_subscription_ids)
-- Of these, the subscriptions with discounts whose coupons Stripe was not asked for yet.
SELECT DISTINCT s.stripe_subscription_id
FROM subscriptions AS s
JOIN subscription_discounts AS d
    ON d.subscription_id = s.id
    AND NOT d.fetched
WHERE s.stripe_subscription_id = ANY(:stripe_subscription_ids::text[]);

-- name: find_subscription_of_item(stripe_subscription_item_id)$
SELECT s.stripe_subscription_id
FROM subscription_items AS i
JOIN subscriptions AS s
    ON s.id = i.subscription_id
WHERE i.stripe_subscription_item_id = :stripe_subscription_item_id;

-- name: list_stripe_ids(subscription_ids)
SELECT s.stripe_subscription_id
FROM subscriptions AS s
WHERE s.id = ANY(:subscription_ids::uuid[])
  AND s.stripe_subscription_id IS NOT NULL;

-- name: notify(subscription_ids)
-- Notifies those who wait for these subscriptions, once the transaction is committed.
SELECT pg_notify('billing_subscription', ids.id::text)
FROM unnest(:subscription_ids::uuid[]) AS ids (id);

-- name: list_compared(object_ids)
SELECT
    s.stripe_subscription_id AS object_id,
    s.stripe_as_of AS as_of,
    s.stripe_event_id AS event_id,
    s.stripe_customer_id,
    s.stripe_status,
    s.currency,
    s.amount,
    s.current_period_start,
    s.current_period_end,
    s.trial_end,
    s.cancel_at_period_end IS TRUE AS cancel_at_period_end,
    s.cancel_at,
    s.canceled_at,
    s.ended_at,
    s.collection_paused,
    s.collection_behavior,
    s.stripe_schedule_id,
    s.entitlement ->> 'pausedBy' AS paused_by,
    CASE WHEN s.stripe_status = 'paused' THEN (s.entitlement ->> 'termStart')::timestamptz END AS paused_since,
    (
        SELECT jsonb_agg(jsonb_build_object(
            'stripe_subscription_item_id', i.stripe_subscription_item_id,
            'stripe_price_id', i.stripe_price_id,
            'stripe_product_id', i.stripe_product_id,
            'quantity', i.quantity,
            'unit_amount', i.unit_amount,
            'currency', i.currency,
            'recurring_interval', i.recurring_interval,
            'interval_count', i.interval_count,
            'current_period_start', extract(epoch FROM i.current_period_start)::bigint,
            'current_period_end', extract(epoch FROM i.current_period_end)::bigint
        ))
        FROM subscription_items AS i
        WHERE i.subscription_id = s.id
    ) AS items,
    (
        SELECT jsonb_agg(jsonb_build_object(
            'stripe_discount_id', d.stripe_discount_id,
            'stripe_subscription_item_id', d.stripe_subscription_item_id,
            'position', d.position,
            'stripe_coupon_id', d.stripe_coupon_id,
            'coupon_name', d.coupon_name,
            'percent_off', d.percent_off::text,
            'amount_off', d.amount_off,
            'currency', d.currency,
            'duration', d.duration,
            'stripe_product_ids', d.stripe_product_ids,
            'starts_at', extract(epoch FROM d.starts_at)::bigint,
            'ends_at', extract(epoch FROM d.ends_at)::bigint,
            'fetched', d.fetched
        ))
        FROM subscription_discounts AS d
        WHERE d.subscription_id = s.id
    ) AS discounts
FROM subscriptions AS s
WHERE s.stripe_subscription_id = ANY(:object_ids::text[])
  AND s.stripe_as_of IS NOT NULL;

-- name: find_absent(after, most, livemode, started_at)^
-- Of a stretch of our rows, those that the run has not found at Stripe. Rows written since it began
-- exist there. Bounded by the stretch, however few are absent.
WITH stretch AS MATERIALIZED (
    SELECT
        s.stripe_subscription_id AS object_id,
        s.livemode,
        s.stripe_as_of AS as_of
    FROM subscriptions AS s
    WHERE s.stripe_subscription_id > :after
    ORDER BY s.stripe_subscription_id
    LIMIT :most
)
SELECT
    count(*) AS looked_at,
    max(t.object_id) AS last_id,
    array_agg(t.object_id ORDER BY t.object_id) FILTER (
        WHERE t.livemode = :livemode
          AND t.as_of < :started_at::timestamptz
          AND m.object_id IS NULL
    ) AS absent
FROM stretch AS t
LEFT JOIN billing_reconcile_marks AS m
    ON m.object_id = t.object_id;
