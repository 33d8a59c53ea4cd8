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
--     started_at timestamp with time zone,
--     trial_end timestamp with time zone,
--     cancel_at_period_end boolean,
--     cancel_at timestamp with time zone,
--     canceled_at timestamp with time zone,
--     ended_at timestamp with time zone,
--     collection_paused boolean,
--     cancellation_reason text,
--     cancellation_feedback text,
--     collection_behavior text,
--     stripe_schedule_id text,
--     pending_update_expires_at timestamp with time zone,
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
--     CONSTRAINT billing_subscriptions_status_check CHECK (((billing_provider IS NULL) OR ((status)::text = ANY ('{provisional,pending,active,suspended,cancelled,expired}'::text[])))),
--     CONSTRAINT billing_subscriptions_stripe_status_check CHECK ((stripe_status = ANY ('{incomplete,incomplete_expired,trialing,active,past_due,unpaid,paused,canceled}'::text[])))
-- )
-- WITH (fillfactor='85');
-- ALTER TABLE ONLY subscriptions ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY subscriptions ADD CONSTRAINT subscriptions_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY subscriptions ADD CONSTRAINT subscriptions_product_id_fkey FOREIGN KEY (product_id) REFERENCES products(id);
-- ALTER TABLE ONLY subscriptions ADD CONSTRAINT subscriptions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;
-- CREATE INDEX billing_subscriptions_attention_idx ON subscriptions USING btree (stripe_status, status, stripe_schedule_id, tenant_id) WHERE (((status)::text = 'pending'::text) OR (stripe_status = ANY (ARRAY['past_due'::text, 'unpaid'::text, 'paused'::text, 'trialing'::text])) OR ((stripe_subscription_id IS NOT NULL) AND (stripe_status IS NULL)) OR (stripe_schedule_id IS NOT NULL) OR ((tenant_id IS NULL) AND (stripe_status = ANY (ARRAY['trialing'::text, 'active'::text]))));
-- CREATE UNIQUE INDEX billing_subscriptions_checkout_session_key ON subscriptions USING btree (checkout_session_id);
-- CREATE INDEX billing_subscriptions_customer_idx ON subscriptions USING btree (customer_id, created_at);
-- CREATE UNIQUE INDEX billing_subscriptions_stripe_subscription_key ON subscriptions USING btree (stripe_subscription_id);
-- CREATE INDEX billing_subscriptions_trial_idx ON subscriptions USING btree (trial_end) WHERE (stripe_status = 'trialing'::text);
-- CREATE INDEX billing_subscriptions_trialed_idx ON subscriptions USING btree (trial_end) WHERE (trial_end IS NOT NULL);
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
--     CONSTRAINT subscription_items_recurring_interval_check CHECK ((recurring_interval = ANY ('{day,week,month,year}'::text[])))
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

-- name: write_snapshots(snapshots)
SELECT
    w.object_id,
    w.affects_derived
FROM billing_write_subscriptions_v2(:snapshots::jsonb) AS w;

-- name: observe_late(snapshots)$
-- Of snapshots that are older than what is mirrored, the ledger of the revenue takes note.
SELECT billing_observe_late_v1(:snapshots::jsonb);

-- name: derive(stripe_subscription_ids, subscription_ids)
SELECT
    d.subscription_id,
    d.changed,
    d.work_version
FROM billing_derive_v1(:stripe_subscription_ids::text[], :subscription_ids::uuid[]) AS d;

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
    s.started_at,
    s.trial_end,
    s.cancel_at_period_end IS TRUE AS cancel_at_period_end,
    s.cancel_at,
    s.canceled_at,
    s.ended_at,
    s.cancellation_reason,
    s.cancellation_feedback,
    s.collection_paused,
    s.collection_behavior,
    s.stripe_schedule_id,
    s.pending_update_expires_at,
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
