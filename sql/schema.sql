-- The schema as the migrations, views and routines leave it on an empty database. Do not edit:
-- `make schema` writes it.

CREATE TYPE billing_invoice_snapshot AS (
    object_id text,
    invoice_number text,
    status text,
    subtotal numeric,
    tax_amount numeric,
    total numeric,
    currency text,
    due_date timestamp with time zone,
    paid_at timestamp with time zone,
    livemode boolean,
    stripe_subscription_id text,
    stripe_customer_id text,
    stripe_number text,
    stripe_status text,
    billing_reason text,
    collection_method text,
    auto_advance boolean,
    finalization_error text,
    finalized_at timestamp with time zone,
    amount_invoiced bigint,
    amount_due bigint,
    amount_paid bigint,
    amount_remaining bigint,
    period_start timestamp with time zone,
    period_end timestamp with time zone,
    attempt_count integer,
    next_payment_attempt timestamp with time zone,
    hosted_invoice_url text,
    invoice_pdf text,
    stripe_payment_intent_id text,
    stripe_created timestamp with time zone,
    since timestamp with time zone,
    as_of timestamp with time zone,
    event_id text,
    tax_rate numeric,
    taxes jsonb,
    voided_at timestamp with time zone
);
COMMENT ON TYPE billing_invoice_snapshot IS 'A Stripe invoice as the mirror writes it';

CREATE TYPE billing_subscription_item_snapshot AS (
    stripe_subscription_item_id text,
    stripe_price_id text,
    stripe_product_id text,
    quantity bigint,
    unit_amount bigint,
    currency text,
    recurring_interval text,
    interval_count integer,
    current_period_start timestamp with time zone,
    current_period_end timestamp with time zone
);
COMMENT ON TYPE billing_subscription_item_snapshot IS 'An item of a Stripe subscription as the mirror writes it';

CREATE TYPE billing_subscription_snapshot AS (
    subscription_id uuid,
    customer_id uuid,
    object_id text,
    stripe_customer_id text,
    livemode boolean,
    stripe_status text,
    currency text,
    amount bigint,
    price numeric,
    current_period_start timestamp with time zone,
    current_period_end timestamp with time zone,
    started_at timestamp with time zone,
    trial_end timestamp with time zone,
    cancel_at_period_end boolean,
    cancel_at timestamp with time zone,
    canceled_at timestamp with time zone,
    ended_at timestamp with time zone,
    cancellation_reason text,
    cancellation_feedback text,
    collection_paused boolean,
    collection_behavior text,
    stripe_schedule_id text,
    pending_update_expires_at timestamp with time zone,
    paused_by text,
    paused_at timestamp with time zone,
    items jsonb,
    entitled_items jsonb,
    items_complete boolean,
    discounts jsonb,
    since timestamp with time zone,
    as_of timestamp with time zone,
    event_id text
);
COMMENT ON TYPE billing_subscription_snapshot IS 'A Stripe subscription as the mirror writes it; items holds an array of billing_subscription_item_snapshot, entitled_items what of it services depend on';

CREATE TYPE pgqueuer_status AS ENUM (
    'queued',
    'picked',
    'successful',
    'exception',
    'canceled',
    'deleted',
    'failed'
);

CREATE FUNCTION billing_addons_message(codes jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(
        jsonb_agg(jsonb_build_object('code', addon.code, 'name', p.name) ORDER BY addon.position), '[]'
    )
    FROM jsonb_array_elements_text(
        CASE jsonb_typeof(codes) WHEN 'array' THEN codes ELSE '[]' END
    ) WITH ORDINALITY AS addon (code, position)
    LEFT JOIN products AS p
        ON p.code = addon.code
$$;
COMMENT ON FUNCTION billing_addons_message(codes jsonb) IS 'Add-ons as messages tell them';

CREATE FUNCTION billing_announce_catalogue() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('billing_catalogue', '');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_announce_catalogue() IS 'Tells web processes that products or prices have changed';

CREATE FUNCTION billing_announce_meter_events() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('billing_usage', '');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_announce_meter_events() IS 'Tells workers that there is usage to send, or a report of it to read';

CREATE FUNCTION billing_apply_snapshots_v1(customers jsonb, charges jsonb, refunds jsonb, payments jsonb, invoices jsonb, subscriptions jsonb, sessions jsonb, headers jsonb, waits boolean) RETURNS text[]
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    applied text[] := '{}';
    clear jsonb;
    late jsonb;
    ids text[];
    named text[];
    touched text[] := '{}';
    ordered uuid[] := '{}';
    repaid text[];
    asked jsonb;
    unknown jsonb;
    requests jsonb := '[]';
    changed uuid[];
    entrypoints text[] := '{}';
    triggered text[] := '{}';
    versions bigint[] := '{}';
    more text[];
    more_versions bigint[];
    delays double precision[] := '{}';
    more_delays double precision[];
BEGIN
    IF customers IS NOT NULL THEN
        SELECT
            jsonb_agg(s.snapshot) FILTER (WHERE s.snapshot -> 'is_newer' IS DISTINCT FROM 'false'),
            array_agg(s.snapshot ->> 'object_id'),
            jsonb_agg(s.snapshot -> 'question') FILTER (WHERE s.snapshot ? 'question')
        INTO clear, ids, asked
        FROM jsonb_array_elements(billing_apply_snapshots_v1.customers) AS s (snapshot)
        LEFT JOIN LATERAL (
            SELECT
                mirror.stripe_as_of AS as_of,
                mirror.updated_at::text AS version
            FROM stripe_customers AS mirror
            WHERE mirror.id = s.snapshot ->> 'object_id'
            OFFSET 0
        ) AS stored ON TRUE
        WHERE billing_is_clear_v1(s.snapshot, stored.as_of, stored.version)
          AND NOT EXISTS (
              SELECT 1
              FROM billing_erasures AS erased
              WHERE erased.identifier IN (
                  s.snapshot ->> 'object_id', billing_email_hash_v1(s.snapshot ->> 'email')
              )
          );
        applied := applied || ids;
        requests := requests || coalesce(asked, '[]');
        IF clear IS NOT NULL THEN
            PERFORM billing_write_customers_v1(clear);
        END IF;
    END IF;
    IF charges IS NOT NULL THEN
        SELECT
            jsonb_agg(s.snapshot) FILTER (WHERE s.snapshot -> 'is_newer' IS DISTINCT FROM 'false'),
            array_agg(s.snapshot ->> 'object_id'),
            jsonb_agg(s.snapshot -> 'question') FILTER (WHERE s.snapshot ? 'question')
        INTO clear, ids, asked
        FROM jsonb_array_elements(billing_apply_snapshots_v1.charges) AS s (snapshot)
        LEFT JOIN LATERAL (
            SELECT
                mirror.stripe_as_of AS as_of,
                mirror.updated_at::text AS version
            FROM stripe_charges AS mirror
            WHERE mirror.stripe_charge_id = s.snapshot ->> 'object_id'
            OFFSET 0
        ) AS stored ON TRUE
        WHERE billing_is_clear_v1(s.snapshot, stored.as_of, stored.version)
          AND NOT EXISTS (
              SELECT 1
              FROM billing_erasures AS erased
              WHERE erased.identifier = s.snapshot ->> 'stripe_customer_id'
          );
        applied := applied || ids;
        requests := requests || coalesce(asked, '[]');
        IF clear IS NOT NULL THEN
            PERFORM billing_write_charges_v1(clear);
        END IF;
    END IF;
    IF refunds IS NOT NULL THEN
        SELECT
            jsonb_agg(s.snapshot) FILTER (WHERE s.snapshot -> 'is_newer' IS DISTINCT FROM 'false'),
            array_agg(s.snapshot ->> 'object_id'),
            jsonb_agg(s.snapshot -> 'question') FILTER (WHERE s.snapshot ? 'question')
        INTO clear, ids, asked
        FROM jsonb_array_elements(billing_apply_snapshots_v1.refunds) AS s (snapshot)
        LEFT JOIN LATERAL (
            SELECT
                mirror.stripe_as_of AS as_of,
                mirror.updated_at::text AS version
            FROM stripe_refunds AS mirror
            WHERE mirror.stripe_refund_id = s.snapshot ->> 'object_id'
            OFFSET 0
        ) AS stored ON TRUE
        WHERE billing_is_clear_v1(s.snapshot, stored.as_of, stored.version);
        applied := applied || ids;
        requests := requests || coalesce(asked, '[]');
        IF clear IS NOT NULL THEN
            PERFORM billing_write_refunds_v1(clear);
        END IF;
    END IF;
    IF payments IS NOT NULL THEN
        SELECT
            jsonb_agg(s.snapshot) FILTER (WHERE s.snapshot -> 'is_newer' IS DISTINCT FROM 'false'),
            array_agg(s.snapshot ->> 'object_id'),
            jsonb_agg(s.snapshot -> 'question') FILTER (WHERE s.snapshot ? 'question')
        INTO clear, ids, asked
        FROM jsonb_array_elements(billing_apply_snapshots_v1.payments) AS s (snapshot)
        LEFT JOIN LATERAL (
            SELECT
                mirror.stripe_as_of AS as_of,
                mirror.updated_at::text AS version
            FROM invoice_payments AS mirror
            WHERE mirror.stripe_invoice_payment_id = s.snapshot ->> 'object_id'
            OFFSET 0
        ) AS stored ON TRUE
        WHERE billing_is_clear_v1(s.snapshot, stored.as_of, stored.version);
        applied := applied || ids;
        requests := requests || coalesce(asked, '[]');
        IF clear IS NOT NULL THEN
            PERFORM billing_write_invoice_payments_v1(clear);
        END IF;
    END IF;
    IF invoices IS NOT NULL THEN
        SELECT
            jsonb_agg(s.snapshot) FILTER (WHERE s.snapshot -> 'is_newer' IS DISTINCT FROM 'false'),
            array_agg(s.snapshot ->> 'object_id'),
            jsonb_agg(s.snapshot -> 'question') FILTER (WHERE s.snapshot ? 'question')
        INTO clear, ids, asked
        FROM jsonb_array_elements(billing_apply_snapshots_v1.invoices) AS s (snapshot)
        LEFT JOIN LATERAL (
            SELECT
                mirror.stripe_as_of AS as_of,
                mirror.updated_at::text AS version
            FROM invoices AS mirror
            WHERE mirror.stripe_invoice_id = s.snapshot ->> 'object_id'
            OFFSET 0
        ) AS stored ON TRUE
        WHERE billing_is_clear_v1(s.snapshot, stored.as_of, stored.version);
        applied := applied || ids;
        requests := requests || coalesce(asked, '[]');
        IF clear IS NOT NULL THEN
            SELECT array_agg(s.snapshot ->> 'stripe_subscription_id')
            INTO named
            FROM billing_write_invoices_v2(clear) AS w
            JOIN jsonb_array_elements(clear) AS s (snapshot)
                ON s.snapshot ->> 'object_id' = w.object_id
            WHERE w.affects_derived;
            touched := touched || named;
        END IF;
    END IF;
    IF subscriptions IS NOT NULL THEN
        SELECT
            jsonb_agg(s.snapshot || jsonb_build_object(
                'subscription_id', coalesce(placed.subscription_id::text, s.snapshot ->> 'new_subscription_id'),
                'customer_id', coalesce(placed.customer_id::text, s.snapshot ->> 'new_customer_id')
            )) FILTER (WHERE s.snapshot -> 'is_newer' IS DISTINCT FROM 'false'),
            jsonb_agg(s.snapshot) FILTER (WHERE s.snapshot -> 'is_newer' = 'false'),
            array_agg(s.snapshot ->> 'object_id'),
            jsonb_agg(s.snapshot -> 'question') FILTER (WHERE s.snapshot ? 'question'),
            jsonb_agg(DISTINCT jsonb_build_object(
                'object_type', 'customer',
                'object_id', s.snapshot ->> 'stripe_customer_id',
                'reason', 'unknown customer'
            )) FILTER (
                WHERE placed.as_of IS NULL
                  AND placed.customer_id IS NULL
                  AND s.snapshot -> 'is_newer' IS DISTINCT FROM 'false'
            )
        INTO clear, late, ids, asked, unknown
        FROM jsonb_array_elements(billing_apply_snapshots_v1.subscriptions) AS s (snapshot)
        CROSS JOIN LATERAL billing_place_subscription_v1(
            s.snapshot ->> 'object_id',
            s.snapshot ->> 'stripe_customer_id',
            (s.snapshot ->> 'order_id')::uuid
        ) AS placed
        WHERE billing_is_clear_v1(s.snapshot, placed.as_of, (
            SELECT mirror.updated_at::text
            FROM subscriptions AS mirror
            WHERE s.snapshot ? 'seen'
              AND mirror.stripe_subscription_id = s.snapshot ->> 'object_id'
        ))
          AND placed.deleted_id IS NULL
          AND (NOT placed.order_is_missing OR s.snapshot -> 'is_newer' = 'false');
        applied := applied || ids;
        requests := requests || coalesce(asked, '[]') || coalesce(unknown, '[]');
        IF late IS NOT NULL THEN
            PERFORM billing_observe_late_v1(late);
        END IF;
        IF clear IS NOT NULL THEN
            SELECT touched || array_agg(w.object_id)
            INTO touched
            FROM billing_write_subscriptions_v2(clear) AS w
            WHERE w.affects_derived;
            SELECT requests || coalesce(jsonb_agg(jsonb_build_object(
                'object_type', 'subscription', 'object_id', lacking.object_id, 'reason', lacking.reason
            )), '[]')
            INTO requests
            FROM (
                SELECT
                    s.snapshot ->> 'object_id' AS object_id,
                    CASE
                        -- OFFSET 0 keeps this a look-up for each row; else the whole table may be hashed
                        WHEN s.snapshot -> 'discounts' <> '[]' AND EXISTS (
                            SELECT 1
                            FROM subscription_discounts AS d
                            WHERE d.subscription_id = (s.snapshot ->> 'subscription_id')::uuid
                              AND NOT d.fetched
                            OFFSET 0
                        ) THEN 'has a new discount'
                        WHEN s.snapshot -> 'items_complete' = 'false'
                            THEN 'has more items than an event carries'
                    END AS reason
                FROM jsonb_array_elements(clear) AS s (snapshot)
            ) AS lacking
            WHERE lacking.reason IS NOT NULL;
        END IF;
    END IF;
    IF sessions IS NOT NULL THEN
        SELECT
            jsonb_agg(s.snapshot || jsonb_build_object(
                'subscription_id', placed.subscription_id, 'attempt', placed.attempt
            )) FILTER (WHERE s.snapshot -> 'is_newer' IS DISTINCT FROM 'false'),
            array_agg(s.snapshot ->> 'object_id'),
            array_agg(placed.subscription_id) FILTER (WHERE placed.subscription_id IS NOT NULL),
            array_agg(s.snapshot ->> 'stripe_subscription_id') FILTER (
                WHERE s.snapshot -> 'is_newer' IS DISTINCT FROM 'false'
            ),
            jsonb_agg(s.snapshot -> 'question') FILTER (WHERE s.snapshot ? 'question')
        INTO clear, ids, ordered, named, asked
        FROM jsonb_array_elements(billing_apply_snapshots_v1.sessions) AS s (snapshot)
        LEFT JOIN LATERAL billing_place_session_v1(
            s.snapshot ->> 'object_id',
            (s.snapshot ->> 'order_id')::uuid,
            (s.snapshot ->> 'attempt')::integer,
            s.snapshot ->> 'stripe_customer_id'
        ) AS placed ON TRUE
        WHERE billing_is_clear_v1(s.snapshot, placed.as_of, (
            SELECT mirror.updated_at::text
            FROM checkout_sessions AS mirror
            WHERE s.snapshot ? 'seen'
              AND mirror.stripe_session_id = s.snapshot ->> 'object_id'
        ))
          -- without an order it has no effect; that was seen before, and must still be so
          AND (placed.subscription_id IS NULL) = (
              s.snapshot ->> 'seen' IS NULL AND coalesce(s.snapshot -> 'is_newer' = 'false', FALSE)
          )
          AND (
              s.snapshot ? 'seen'
              OR (placed.order_stripe_subscription_id <> s.snapshot ->> 'stripe_subscription_id') IS NOT TRUE
          );
        applied := applied || ids;
        requests := requests || coalesce(asked, '[]');
        touched := touched || named;
        IF clear IS NOT NULL THEN
            PERFORM billing_write_sessions_v1(clear);
        END IF;
    END IF;

    -- invoices are locked before subscriptions, and read once they are: another transaction may be writing one
    IF refunds IS NOT NULL THEN
        SELECT array_agg(DISTINCT p.stripe_invoice_id)
        INTO repaid
        FROM jsonb_array_elements(billing_apply_snapshots_v1.refunds) AS s (snapshot)
        JOIN invoice_payments AS p
            ON p.stripe_payment_intent_id = s.snapshot ->> 'stripe_payment_intent_id'
        WHERE s.snapshot ->> 'object_id' = ANY(applied)
          AND s.snapshot -> 'is_newer' IS DISTINCT FROM 'false';
        IF waits THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('in:' || told.id, 0))
            FROM unnest(repaid) AS told (id)
            ORDER BY told.id COLLATE "C";
        ELSIF EXISTS (
            SELECT 1
            FROM unnest(repaid) AS told (id)
            WHERE NOT pg_try_advisory_xact_lock(hashtextextended('in:' || told.id, 0))
        ) THEN
            RAISE EXCEPTION 'another transaction has an invoice of these' USING ERRCODE = 'lock_not_available';
        END IF;
        PERFORM billing_note_taken_back_v1(repaid);
    END IF;

    -- payments, refunds, and sessions without a subscription, do not name theirs; what is not newer changes nothing
    IF payments IS NOT NULL OR refunds IS NOT NULL OR ordered <> '{}' THEN
        SELECT touched || array_agg(found.stripe_subscription_id)
        INTO touched
        FROM (
            SELECT i.stripe_subscription_id
            FROM jsonb_array_elements(billing_apply_snapshots_v1.payments) AS s (snapshot)
            JOIN invoices AS i
                ON i.stripe_invoice_id = s.snapshot ->> 'stripe_invoice_id'
            WHERE s.snapshot ->> 'object_id' = ANY(applied)
              AND s.snapshot -> 'is_newer' IS DISTINCT FROM 'false'
            UNION
            SELECT i.stripe_subscription_id
            FROM jsonb_array_elements(billing_apply_snapshots_v1.refunds) AS s (snapshot)
            JOIN invoice_payments AS p
                ON p.stripe_payment_intent_id = s.snapshot ->> 'stripe_payment_intent_id'
            JOIN invoices AS i
                ON i.stripe_invoice_id = p.stripe_invoice_id
            WHERE s.snapshot ->> 'object_id' = ANY(applied)
              AND s.snapshot -> 'is_newer' IS DISTINCT FROM 'false'
            UNION
            SELECT o.stripe_subscription_id
            FROM subscriptions AS o
            WHERE o.id = ANY(ordered)
        ) AS found;
    END IF;
    SELECT array_agg(DISTINCT told.id)
    INTO touched
    FROM unnest(touched) AS told (id)
    WHERE told.id IS NOT NULL;
    IF waits THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('sub:' || told.id, 0))
        FROM unnest(touched) AS told (id)
        ORDER BY told.id COLLATE "C";
    ELSIF EXISTS (
        SELECT 1
        FROM unnest(touched) AS told (id)
        WHERE NOT pg_try_advisory_xact_lock(hashtextextended('sub:' || told.id, 0))
    ) THEN
        RAISE EXCEPTION 'another transaction has a subscription of these' USING ERRCODE = 'lock_not_available';
    END IF;

    -- most first sights of an invoice are of a subscription that has none either
    IF ordered <> '{}' OR EXISTS (
        SELECT 1
        FROM subscriptions AS o
        WHERE o.stripe_subscription_id = ANY(touched)
    ) THEN
        SELECT
            array_agg(d.subscription_id) FILTER (WHERE d.changed),
            array_agg(d.subscription_id::text) FILTER (WHERE d.work_version IS NOT NULL),
            array_agg(d.work_version) FILTER (WHERE d.work_version IS NOT NULL)
        INTO changed, more, more_versions
        FROM billing_derive_v1(touched, ordered) AS d;
        PERFORM pg_notify('billing_subscription', told.id::text)
        FROM unnest(changed) AS told (id);
        IF more IS NOT NULL THEN
            triggered := more;
            versions := more_versions;
            delays := array_fill(0.0::double precision, ARRAY[cardinality(more)]);
            entrypoints := array_fill('provision'::text, ARRAY[cardinality(more)]);
        END IF;
    END IF;
    IF requests <> '[]' THEN
        IF jsonb_array_length(requests) > 1 THEN
            -- of two requests for an object, the one that is asked in any case
            SELECT jsonb_agg(wanted.request)
            INTO requests
            FROM (
                SELECT DISTINCT ON (r.request ->> 'object_id') r.request
                FROM jsonb_array_elements(requests) AS r (request)
                ORDER BY r.request ->> 'object_id', r.request ->> 'tied_at' NULLS FIRST
            ) AS wanted;
        END IF;
        SELECT
            array_agg(r.object_id),
            array_agg(r.version),
            array_agg(r.delay_seconds)
        INTO more, more_versions, more_delays
        FROM billing_request_refetches_v1(requests) AS r;
        triggered := triggered || more;
        versions := versions || more_versions;
        delays := delays || more_delays;
        entrypoints := entrypoints || array_fill('refetch'::text, ARRAY[cardinality(more)]);
    END IF;
    IF triggered <> '{}' THEN
        PERFORM billing_enqueue_v1(entrypoints, triggered, versions, delays, headers);
    END IF;
    RETURN applied;
END
$$;
COMMENT ON FUNCTION billing_apply_snapshots_v1(customers jsonb, charges jsonb, refunds jsonb, payments jsonb, invoices jsonb, subscriptions jsonb, sessions jsonb, headers jsonb, waits boolean) IS 'Applies snapshots whose order is clear or was decided, with all that follows; returns their ids and leaves the others untouched';

CREATE FUNCTION billing_audit_append_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_user = 'mpanel_billing_audit' AND OLD.began_at < now() - interval '90 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'rows of % are only added: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'mpanel-billing audit prune deletes old rows';
END
$$;

CREATE FUNCTION billing_audit_list_unsettled() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.attempt_id IS NULL AND NEW.outcome = 'attempted' THEN
        INSERT INTO billing_audit_unsettled (entry_id, since) VALUES (NEW.id, NEW.began_at);
    ELSIF NEW.attempt_id IS NOT NULL AND NEW.outcome <> 'attempted' THEN
        DELETE FROM billing_audit_unsettled WHERE entry_id = NEW.attempt_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION billing_begin_order_v1(buyer text, email text, existing_customer uuid, idempotency_key text, idempotency_hash bytea, for_livemode boolean, within interval, price_ids uuid[], price_versions text[]) RETURNS TABLE(same_request boolean, keyed_id uuid, response jsonb, on_sale boolean, customer_id uuid, recent jsonb)
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
DECLARE
    claimed record;
BEGIN
    -- one order at a time per buyer: a double click waits
    PERFORM pg_advisory_xact_lock(hashtextextended('buyer:' || lower(billing_begin_order_v1.buyer), 0));
    same_request := TRUE;
    IF billing_begin_order_v1.idempotency_key IS NOT NULL THEN
        -- waits for another process that claims the same key; the update makes the statement lock and
        -- return the row of an earlier claim. After a day the key may be used for another request, even
        -- if it has not been pruned yet
        INSERT INTO idempotency_keys AS k (key, request_hash)
        VALUES (billing_begin_order_v1.idempotency_key, billing_begin_order_v1.idempotency_hash)
        ON CONFLICT (key) DO UPDATE
        SET (request_hash, subscription_id, status, response, created_at) = (
            SELECT
                CASE WHEN is_over THEN excluded.request_hash ELSE k.request_hash END,
                CASE WHEN NOT is_over THEN k.subscription_id END,
                CASE WHEN NOT is_over THEN k.status END,
                CASE WHEN NOT is_over THEN k.response END,
                CASE WHEN is_over THEN excluded.created_at ELSE k.created_at END
            FROM (SELECT k.created_at < now() - interval '24 hours' AS is_over) AS age
        )
        RETURNING
            k.request_hash = billing_begin_order_v1.idempotency_hash AS same_request,
            k.subscription_id,
            k.response
        INTO claimed;
        same_request := claimed.same_request;
        keyed_id := claimed.subscription_id;
        response := claimed.response;
        IF NOT same_request OR response IS NOT NULL THEN
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;

    customer_id := billing_begin_order_v1.existing_customer;
    IF customer_id IS NULL THEN
        customer_id := (
            SELECT c.id
            FROM (
                SELECT
                    held.id,
                    held.created_at,
                    TRUE AS has_account
                FROM users AS u
                JOIN customers AS held
                    ON held.user_id = u.id
                WHERE lower(u.email) = lower(billing_begin_order_v1.email)
                  AND u.email_verified
                UNION ALL
                SELECT
                    known.id,
                    known.created_at,
                    FALSE
                FROM customers AS known
                WHERE lower(known.email) = lower(billing_begin_order_v1.email)
                  AND known.user_id IS NULL
                  AND known.joined_id IS NULL
            ) AS c
            ORDER BY c.has_account DESC, c.created_at, c.id
            LIMIT 1
        );
        IF customer_id IS NOT NULL THEN
            -- of an mPanel customer whose address only users has
            UPDATE customers AS c
            SET email = billing_begin_order_v1.email
            WHERE c.id = billing_begin_order_v1.customer_id
              AND c.email IS NULL;
        END IF;
    END IF;

    -- the order was priced by the catalogue in the memory of its process, which may have been edited
    on_sale := (
        SELECT count(*) = cardinality(billing_begin_order_v1.price_ids)
        FROM unnest(billing_begin_order_v1.price_ids, billing_begin_order_v1.price_versions)
            AS priced (id, version)
        JOIN prices AS p
            ON p.id = priced.id
            AND p.active
        JOIN products AS sold
            ON sold.id = p.product_id
            AND sold.status = 'active'
        WHERE priced.version = concat_ws('/', p.livemode, p.stripe_price_id, sold.updated_at)
    );

    -- the customer's recent unpaid orders, each with its latest session, newest first; also the order that
    -- the key led to, and one that takes what is limited while it can be paid, however old
    recent := (
        SELECT jsonb_agg(
            jsonb_build_object(
                'subscription_id', o.subscription_id,
                'fingerprint', encode(o.fingerprint, 'hex'),
                'vouched', o.vouched,
                'browser_id', o.browser_id,
                'attempt', latest.attempt,
                'status', latest.status,
                'params', latest.params,
                'stripe_session_id', latest.stripe_session_id,
                'stripe_customer_id', latest.stripe_customer_id,
                'url', latest.url
            )
            ORDER BY o.created_at DESC
        )
        FROM orders AS o
        JOIN subscriptions AS s
            ON s.id = o.subscription_id
            AND s.status = 'provisional'
            AND s.livemode = billing_begin_order_v1.for_livemode
        JOIN LATERAL (
            SELECT
                c.attempt,
                c.status,
                c.params,
                c.stripe_session_id,
                c.stripe_customer_id,
                c.url,
                c.expires_at
            FROM checkout_sessions AS c
            WHERE c.subscription_id = o.subscription_id
            ORDER BY c.attempt DESC
            LIMIT 1
        ) AS latest ON TRUE
        WHERE o.customer_id = billing_begin_order_v1.customer_id
          AND (
              o.created_at > now() - billing_begin_order_v1.within
              OR o.subscription_id = billing_begin_order_v1.keyed_id
              OR (o.limited AND latest.status = 'open' AND latest.expires_at > now())
          )
    );
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION billing_begin_order_v1(buyer text, email text, existing_customer uuid, idempotency_key text, idempotency_hash bytea, for_livemode boolean, within interval, price_ids uuid[], price_versions text[]) IS 'Begins the transaction of an order: the lock, the key, and what the order depends on';

CREATE TABLE subscriptions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant_id uuid,
    customer_id uuid,
    product_id uuid,
    status character varying(50) DEFAULT 'active'::character varying,
    billing_cycle character varying(50),
    price numeric(10,2) NOT NULL,
    next_billing_date date,
    next_due_date date,
    auto_renew boolean DEFAULT true,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    billing_provider text,
    livemode boolean,
    stripe_status text,
    stripe_customer_id text,
    stripe_subscription_id text,
    stripe_payment_intent_id text,
    checkout_session_id text,
    currency text,
    amount bigint,
    current_period_start timestamp with time zone,
    current_period_end timestamp with time zone,
    started_at timestamp with time zone,
    trial_end timestamp with time zone,
    cancel_at_period_end boolean,
    cancel_at timestamp with time zone,
    canceled_at timestamp with time zone,
    ended_at timestamp with time zone,
    collection_paused boolean,
    cancellation_reason text,
    cancellation_feedback text,
    collection_behavior text,
    stripe_schedule_id text,
    pending_update_expires_at timestamp with time zone,
    entitlement jsonb,
    initial_payment_settled boolean,
    order_paid boolean,
    stripe_as_of_since timestamp with time zone,
    stripe_as_of timestamp with time zone,
    stripe_event_id text,
    CONSTRAINT billing_subscriptions_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT billing_subscriptions_mirror_check CHECK (((billing_provider IS NULL) OR ((livemode IS NOT NULL) AND (currency IS NOT NULL) AND (amount IS NOT NULL) AND ((stripe_status IS NULL) = (stripe_as_of IS NULL)) AND ((stripe_as_of IS NULL) = (stripe_as_of_since IS NULL)) AND (stripe_as_of_since <= stripe_as_of)))),
    CONSTRAINT billing_subscriptions_not_due_in_mpanel_check CHECK (((billing_provider IS NULL) OR ((auto_renew IS FALSE) AND (next_billing_date IS NULL)))),
    CONSTRAINT billing_subscriptions_provider_check CHECK ((billing_provider = 'stripe'::text)),
    CONSTRAINT billing_subscriptions_status_check CHECK (((billing_provider IS NULL) OR ((status)::text = ANY ('{provisional,pending,active,suspended,cancelled,expired}'::text[])))),
    CONSTRAINT billing_subscriptions_stripe_status_check CHECK ((stripe_status = ANY ('{incomplete,incomplete_expired,trialing,active,past_due,unpaid,paused,canceled}'::text[])))
)
WITH (fillfactor='85');
COMMENT ON TABLE subscriptions IS 'What was ordered; rows that Stripe bills have a billing_provider';
COMMENT ON COLUMN subscriptions.billing_provider IS 'stripe: Stripe bills this row, and mPanel''s own biller must never see it as due; null: mPanel bills it';
COMMENT ON COLUMN subscriptions.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN subscriptions.stripe_status IS 'Stripe''s status; status is ours';
COMMENT ON COLUMN subscriptions.stripe_customer_id IS 'cus_... that is charged; a new one for each order by an unverified buyer';
COMMENT ON COLUMN subscriptions.stripe_subscription_id IS 'sub_...; null until the order is paid';
COMMENT ON COLUMN subscriptions.stripe_payment_intent_id IS 'Payment of the latest invoice that has one';
COMMENT ON COLUMN subscriptions.checkout_session_id IS 'The latest Checkout session of the order; older ones are in checkout_sessions';
COMMENT ON COLUMN subscriptions.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN subscriptions.amount IS 'Recurring total per term in minor units of currency, before discounts; price is the same in major units';
COMMENT ON COLUMN subscriptions.current_period_start IS 'Earliest start of its items';
COMMENT ON COLUMN subscriptions.current_period_end IS 'Earliest end of its items';
COMMENT ON COLUMN subscriptions.started_at IS 'When it started, as Stripe dates it: before it was created there, if it was moved there';
COMMENT ON COLUMN subscriptions.trial_end IS 'End of the free trial; null: none';
COMMENT ON COLUMN subscriptions.cancel_at_period_end IS 'Whether it ends with the current period';
COMMENT ON COLUMN subscriptions.cancel_at IS 'When it will end; null: not planned';
COMMENT ON COLUMN subscriptions.canceled_at IS 'When the cancellation was requested';
COMMENT ON COLUMN subscriptions.ended_at IS 'When it ended';
COMMENT ON COLUMN subscriptions.collection_paused IS 'Whether Stripe collects no payments at present (pause_collection)';
COMMENT ON COLUMN subscriptions.cancellation_reason IS 'Why it ends, as Stripe knows it: cancellation_requested, payment_failed or payment_disputed';
COMMENT ON COLUMN subscriptions.cancellation_feedback IS 'What the customer says of the cancellation: one of Stripe''s words, as too_expensive';
COMMENT ON COLUMN subscriptions.collection_behavior IS 'What Stripe does with invoices meanwhile: keep_as_draft, mark_uncollectible or void; null: collected';
COMMENT ON COLUMN subscriptions.stripe_schedule_id IS 'sub_sched_... that changes it at Stripe; ours are in billing_planned_changes';
COMMENT ON COLUMN subscriptions.pending_update_expires_at IS 'Until when a change waits for the customer to pay it (pending_update); null: none does';
COMMENT ON COLUMN subscriptions.entitlement IS 'All that the desired state of its services reads from Stripe''s subscription; a change makes work for provisioning';
COMMENT ON COLUMN subscriptions.initial_payment_settled IS 'Whether the first invoice is paid or was $0: the condition for first provisioning';
COMMENT ON COLUMN subscriptions.order_paid IS 'Whether money was paid for all that was ordered, and not given back: the condition for ordering a domain';
COMMENT ON COLUMN subscriptions.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe; equals stripe_as_of unless it was fetched';
COMMENT ON COLUMN subscriptions.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN subscriptions.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';

CREATE FUNCTION billing_cancellation_message(s subscriptions) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT jsonb_build_object('reason', s.cancellation_reason, 'feedback', s.cancellation_feedback)
$$;
COMMENT ON FUNCTION billing_cancellation_message(s subscriptions) IS 'Why a subscription ends, as messages tell it';

CREATE FUNCTION billing_cash_by_day_v1(begins_on date, ends_on date) RETURNS TABLE(day date, livemode boolean, currency text, kind text, number bigint, amount bigint)
    LANGUAGE sql STABLE
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
    WITH asked AS MATERIALIZED (
        SELECT
            each.at::date AS day,
            EXISTS (
                SELECT 1
                FROM billing_cash_folds AS f
                WHERE f.day = each.at::date
            ) AND NOT EXISTS (
                SELECT 1
                FROM billing_cash_changes AS c
                WHERE c.day = each.at::date
            ) AS is_kept
        FROM generate_series(begins_on::timestamp, ends_on::timestamp - interval '1 day', interval '1 day') AS each (at)
    ),
    -- days one after the other, with what tells them from those after a gap
    runs AS (
        SELECT
            min(changing.day) AS begins_on,
            max(changing.day) + 1 AS ends_on
        FROM (
            SELECT
                asked.day,
                asked.day - (row_number() OVER (ORDER BY asked.day))::integer AS run
            FROM asked
            WHERE NOT asked.is_kept
        ) AS changing
        GROUP BY changing.run
    )
    SELECT
        asked.day,
        k.livemode,
        k.currency,
        k.kind,
        k.number,
        k.amount
    FROM asked
    JOIN billing_cash_days AS k
        ON k.day = asked.day
    WHERE asked.is_kept
    UNION ALL
    SELECT
        of_day.day,
        of_day.livemode,
        of_day.currency,
        of_day.kind,
        of_day.number,
        of_day.amount
    FROM runs
    CROSS JOIN LATERAL billing_cash_of_days_v1(runs.begins_on, runs.ends_on) AS of_day
$$;
COMMENT ON FUNCTION billing_cash_by_day_v1(begins_on date, ends_on date) IS 'What came and went by day, mostly from what is kept';

CREATE FUNCTION billing_cash_of_day_v1(of_day date) RETURNS TABLE(livemode boolean, currency text, kind text, number bigint, amount bigint)
    LANGUAGE sql STABLE
    AS $$
    SELECT
        d.livemode,
        d.currency,
        d.kind,
        d.number,
        d.amount
    FROM billing_cash_of_days_v1(of_day, of_day + 1) AS d
$$;
COMMENT ON FUNCTION billing_cash_of_day_v1(of_day date) IS 'What came and went on a day, and the payments that first failed on it';

CREATE FUNCTION billing_cash_of_days_v1(begins_on date, ends_on date) RETURNS TABLE(day date, livemode boolean, currency text, kind text, number bigint, amount bigint)
    LANGUAGE sql STABLE
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
    SELECT
        (line.at AT TIME ZONE 'UTC')::date,
        line.livemode,
        line.currency,
        line.kind,
        count(*),
        sum(line.amount)::bigint
    FROM billing_cash_lines AS line
    WHERE line.at >= begins_on::timestamp AT TIME ZONE 'UTC'
      AND line.at < ends_on::timestamp AT TIME ZONE 'UTC'
    GROUP BY (line.at AT TIME ZONE 'UTC')::date, line.livemode, line.currency, line.kind
    UNION ALL
    SELECT
        f.day,
        f.livemode,
        f.currency,
        k.kind,
        count(*),
        sum(f.amount)::bigint
    FROM (
        SELECT DISTINCT ON (c.stripe_payment_intent_id)
            (c.stripe_created AT TIME ZONE 'UTC')::date AS day,
            c.livemode,
            c.currency,
            c.amount,
            EXISTS (
                SELECT 1
                FROM stripe_charges AS later
                WHERE later.stripe_payment_intent_id = c.stripe_payment_intent_id
                  AND later.status = 'succeeded'
            ) AS recovered
        FROM stripe_charges AS c
        WHERE c.status = 'failed'
          AND c.stripe_created >= begins_on::timestamp AT TIME ZONE 'UTC'
          AND c.stripe_created < ends_on::timestamp AT TIME ZONE 'UTC'
          AND NOT EXISTS (
              SELECT 1
              FROM stripe_charges AS earlier
              WHERE earlier.stripe_payment_intent_id = c.stripe_payment_intent_id
                AND earlier.status = 'failed'
                AND earlier.stripe_created < begins_on::timestamp AT TIME ZONE 'UTC'
          )
        ORDER BY c.stripe_payment_intent_id, c.stripe_created
    ) AS f
    CROSS JOIN LATERAL (
        SELECT 'failed'
        UNION ALL
        SELECT 'recovered'
        WHERE f.recovered
    ) AS k (kind)
    GROUP BY f.day, f.livemode, f.currency, k.kind
$$;
COMMENT ON FUNCTION billing_cash_of_days_v1(begins_on date, ends_on date) IS 'What came and went by day, from the rows, and the payments that first failed on it';

CREATE FUNCTION billing_chargeable_v1(of_amount numeric, in_currency text) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE
        WHEN lower(in_currency) IN ('bhd', 'jod', 'kwd', 'omr', 'tnd') THEN round(of_amount / 10) * 10
        WHEN lower(in_currency) IN ('isk', 'ugx') THEN round(of_amount / 100) * 100
        ELSE round(of_amount)
    END
$$;
COMMENT ON FUNCTION billing_chargeable_v1(of_amount numeric, in_currency text) IS 'The nearest amount that Stripe charges in a currency, in minor units';

CREATE FUNCTION billing_charged_since_v1(started_at timestamp with time zone, trial_end timestamp with time zone, seen_at timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT greatest(started_at, CASE WHEN trial_end <= seen_at THEN trial_end END)
$$;
COMMENT ON FUNCTION billing_charged_since_v1(started_at timestamp with time zone, trial_end timestamp with time zone, seen_at timestamp with time zone) IS 'Since when a subscription was charged that is seen to be charged at a time';

CREATE FUNCTION billing_check_domain_state() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (OLD.state, NEW.state) NOT IN (
        ('ordered', 'paid'), ('ordered', 'verifying'), ('ordered', 'active'), ('ordered', 'released'), ('ordered', 'failed'),
        ('paid', 'registering'), ('paid', 'transferring'), ('paid', 'active'), ('paid', 'released'), ('paid', 'failed'),
        ('registering', 'transferring'), ('registering', 'active'), ('registering', 'released'), ('registering', 'failed'),
        ('transferring', 'active'), ('transferring', 'released'), ('transferring', 'failed'),
        ('verifying', 'active'), ('verifying', 'released'), ('verifying', 'failed'),
        ('active', 'renewing'), ('active', 'expired'), ('active', 'redemption'), ('active', 'transferred_out'), ('active', 'released'),
        ('renewing', 'active'), ('renewing', 'expired'), ('renewing', 'redemption'), ('renewing', 'transferred_out'), ('renewing', 'released'),
        ('expired', 'renewing'), ('expired', 'active'), ('expired', 'redemption'), ('expired', 'transferred_out'), ('expired', 'released'),
        ('redemption', 'renewing'), ('redemption', 'active'), ('redemption', 'expired'), ('redemption', 'transferred_out'), ('redemption', 'released'),
        ('transferred_out', 'active'), ('transferred_out', 'released')
    ) THEN
        RAISE EXCEPTION 'The domain % does not go from % to %.', NEW.name, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION billing_check_domain_state() IS 'Holds the life of a domain: which state may follow which';

CREATE FUNCTION billing_choose_server_v1(of_type text, among text[], wanted text[], placed_on text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT load.server
    FROM billing_server_load AS load
    CROSS JOIN LATERAL (
        SELECT load.accounts - (load.server IS NOT DISTINCT FROM placed_on)::integer AS others
    ) AS besides
    WHERE load.product_type = of_type
      AND load.server = ANY(among)
      AND load.tags @> wanted
      AND load.left_at IS NULL
      AND load.drained_at IS NULL
      AND (load.capacity IS NULL OR besides.others < load.capacity)
      AND (NOT load.is_failing OR load.failed_at < now() - interval '5 minutes')
    ORDER BY
        load.is_failing,
        load.server IS DISTINCT FROM placed_on,
        (besides.others + 1)::numeric / load.weight,
        load.server
    LIMIT 1
$$;
COMMENT ON FUNCTION billing_choose_server_v1(of_type text, among text[], wanted text[], placed_on text) IS 'The server for an account, of some; null: none has room, the tags, and works';

CREATE FUNCTION billing_close_proof() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    UPDATE billing_domain_proofs
    SET token = NULL,
        check_at = NULL
    WHERE domain_id = NEW.id
      AND token IS NOT NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_close_proof() IS 'Forgets the token of a domain that nobody has to prove any more';

CREATE FUNCTION billing_customer_mrr_v1(of_customer uuid, moment timestamp with time zone) RETURNS TABLE(livemode boolean, currency text, day date, kind text, change numeric, amount numeric, started_on date)
    LANGUAGE sql STABLE
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
    SELECT
        d.livemode,
        d.currency,
        d.day,
        CASE
            WHEN d.number = 1 THEN 'new'
            WHEN d.amount = d.change THEN 'reactivation'
            WHEN d.amount = 0 THEN 'churn'
            WHEN d.change > 0 THEN 'expansion'
            ELSE 'contraction'
        END,
        d.change,
        d.amount,
        d.started_on
    FROM (
        SELECT
            changed.livemode,
            changed.currency,
            changed.day,
            changed.change,
            sum(changed.change) OVER days AS amount,
            row_number() OVER days AS number,
            first_value(changed.day) OVER days AS started_on
        FROM (
            SELECT
                l.livemode,
                l.currency,
                (l.at AT TIME ZONE 'UTC')::date AS day,
                sum(l.change) AS change
            FROM (
                SELECT s.id
                FROM subscriptions AS s
                WHERE s.customer_id = of_customer
                UNION
                SELECT gone.subscription_id
                FROM billing_deleted_subscriptions AS gone
                WHERE gone.subscription ->> 'customer_id' = of_customer::text
                  AND billing_mrr_customer_v1(gone.subscription_id) = of_customer
                UNION
                SELECT of_customer
                WHERE billing_mrr_customer_v1(of_customer) = of_customer
            ) AS owned
            CROSS JOIN LATERAL (
                -- by its key, whatever is known of the size of the ledger
                SELECT
                    entry.livemode,
                    entry.currency,
                    entry.at,
                    entry.change
                FROM billing_mrr_ledger AS entry
                WHERE entry.subscription_id = owned.id
                  AND entry.at <= moment
                OFFSET 0
            ) AS l
            GROUP BY 1, 2, 3
            HAVING sum(l.change) <> 0
        ) AS changed
        WINDOW days AS (PARTITION BY changed.livemode, changed.currency ORDER BY changed.day)
    ) AS d
$$;
COMMENT ON FUNCTION billing_customer_mrr_v1(of_customer uuid, moment timestamp with time zone) IS 'The monthly recurring revenue of a customer, by the days on which it changed, from the ledger';

CREATE FUNCTION billing_declined_v1(stripe_customer text, invoice_created timestamp with time zone, payment_intent text, invoice_amount bigint) RETURNS TABLE(code text, reason text)
    LANGUAGE sql STABLE
    AS $$
    SELECT
        coalesce(c.decline_code, c.failure_code),
        c.decline_reason
    FROM stripe_charges AS c
    WHERE c.stripe_customer_id = stripe_customer
      AND c.stripe_created >= invoice_created
      AND c.status = 'failed'
      AND CASE
          WHEN payment_intent IS NULL THEN c.amount = invoice_amount
          ELSE c.stripe_payment_intent_id = payment_intent
      END
    ORDER BY c.stripe_created DESC, c.stripe_charge_id DESC
    LIMIT 1
$$;
COMMENT ON FUNCTION billing_declined_v1(stripe_customer text, invoice_created timestamp with time zone, payment_intent text, invoice_amount bigint) IS 'Why the latest attempt to collect an invoice failed: Stripe''s code, and the reason in words';

CREATE FUNCTION billing_derive_v1(stripe_subscription_ids text[], subscription_ids uuid[]) RETURNS TABLE(subscription_id uuid, changed boolean, work_version bigint)
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
#variable_conflict use_column
DECLARE
    touched_ids uuid[];
    are_ordered boolean;
    billed jsonb;
    reordered jsonb;
BEGIN
    SELECT
        array_agg(s.id),
        bool_or(s.metadata ? 'planId')
    INTO touched_ids, are_ordered
    FROM (
        SELECT mirrored.id
        FROM unnest(billing_derive_v1.stripe_subscription_ids) AS told (stripe_subscription_id)
        JOIN subscriptions AS mirrored
            ON mirrored.stripe_subscription_id = told.stripe_subscription_id
        UNION
        SELECT ordered.id
        FROM unnest(billing_derive_v1.subscription_ids) AS ordered (id)
    ) AS named
    JOIN subscriptions AS s
        ON s.id = named.id
    WHERE s.billing_provider = 'stripe';
    IF touched_ids IS NULL THEN
        RETURN;
    END IF;
    IF EXISTS (
        SELECT 1
        FROM unnest(touched_ids) AS touched (id)
        JOIN subscriptions AS t
            ON t.id = touched.id
        JOIN invoices AS i
            ON i.stripe_subscription_id = t.stripe_subscription_id
    ) THEN
        SELECT jsonb_agg(to_jsonb(invoiced))
        INTO billed
        FROM (
            SELECT
                t.id,
                bool_or(i.stripe_status = 'paid') AS settled,
                bool_or(i.pays_order) AS order_paid,
                min(i.paid_at) FILTER (WHERE i.stripe_status = 'paid' AND i.amount_paid > 0) AS first_paid_at,
                (array_agg(i.stripe_payment_intent_id ORDER BY i.stripe_created DESC, i.stripe_invoice_id DESC)
                    FILTER (WHERE i.stripe_payment_intent_id IS NOT NULL))[1] AS payment_intent_id,
                min(i.disputed_since) AS disputed_since,
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
            FROM (
                SELECT
                    s.id,
                    s.stripe_subscription_id,
                    s.entitlement,
                    s.metadata -> 'freeDomain' = 'true' AS has_free_domain
                FROM unnest(touched_ids) AS touched (id)
                JOIN subscriptions AS s
                    ON s.id = touched.id
            ) AS t
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
                    listed.disputed_since,
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
                        AND (listed.amount_paid = 0 OR listed.amount_paid > given_back.amount) AS pays_order,
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
                            THEN listed.amount_paid - given_back.amount - (
                                -- for good; what a bank has only for now may come back
                                SELECT coalesce(sum(lost.amount), 0)
                                FROM invoice_payments AS p
                                JOIN stripe_disputes AS lost
                                    ON lost.stripe_payment_intent_id = p.stripe_payment_intent_id
                                WHERE p.stripe_invoice_id = listed.stripe_invoice_id
                                  AND lost.status = 'lost'
                            )::bigint
                    END AS paid_after_end
                FROM invoices AS listed
                CROSS JOIN LATERAL (SELECT listed.amount_refunded + listed.amount_credited AS amount) AS given_back
                WHERE listed.stripe_subscription_id = t.stripe_subscription_id
            ) AS i
            GROUP BY t.id
        ) AS invoiced;
    END IF;
    IF are_ordered THEN
        -- metadata holds what was ordered; once something else is charged, for whatever reason, it
        -- holds that
        SELECT jsonb_agg(jsonb_build_object(
            'id', s.id,
            'metadata', s.metadata || jsonb_build_object(
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
            )
        ))
        INTO reordered
        FROM unnest(touched_ids) AS touched (id)
        JOIN subscriptions AS s
            ON s.id = touched.id
        CROSS JOIN LATERAL billing_items_sold_v1(s.id) AS i
        WHERE s.metadata ? 'planId'
          AND (
              s.metadata ->> 'planId' <> i.plan_code
              OR s.metadata ->> 'billingCycle' IS DISTINCT FROM i.cycle
              OR NOT s.metadata -> 'addonIds' @> i.addon_codes
              OR NOT i.addon_codes @> (s.metadata -> 'addonIds')
          )
          AND i.plan_code IS NOT NULL;
    END IF;
    RETURN QUERY
    WITH touched AS MATERIALIZED (
        SELECT
            s.id,
            s.status,
            s.stripe_status,
            s.stripe_subscription_id,
            s.entitlement
        FROM unnest(touched_ids) AS named (id)
        JOIN subscriptions AS s
            ON s.id = named.id
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
    derived AS MATERIALIZED (
        SELECT
            t.id,
            t.stripe_status,
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
            ) || CASE
                WHEN invoiced.disputed_since IS NULL THEN '{}'
                ELSE jsonb_build_object('disputedSince', invoiced.disputed_since)
            END AS inputs,
            t.stripe_status IS NOT NULL AS mirrored
        FROM touched AS t
        LEFT JOIN LATERAL jsonb_to_recordset(billed) AS invoiced (
            id uuid,
            settled boolean,
            order_paid boolean,
            payment_intent_id text,
            disputed_since timestamptz,
            owed_since timestamptz,
            paid_after_end jsonb,
            payable boolean
        )
            ON invoiced.id = t.id
        LEFT JOIN sold
            ON sold.id = t.id
        CROSS JOIN LATERAL billing_items_sold_v1(t.id) AS itemised
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
                    OFFSET 0
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
        LEFT JOIN LATERAL jsonb_to_recordset(reordered) AS r (id uuid, metadata jsonb)
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
    work AS (
        -- if the enqueued job is lost, the sweep takes the work in a minute
        INSERT INTO provisioning_work AS w (subscription_id, inputs, done_version, wake_at)
        SELECT
            d.id,
            d.inputs,
            CASE WHEN idle.is_idle THEN 1 ELSE 0 END,
            CASE WHEN NOT idle.is_idle THEN now() + interval '1 minute' END
        FROM derived AS d
        CROSS JOIN LATERAL (
            -- what waits for its first payment and has nothing: a run would find nothing to do, and the
            -- payment is usually the next event
            SELECT
                NOT d.begun
                AND d.stripe_status IN ('incomplete', 'active')
                AND NOT EXISTS (SELECT 1 FROM tenant_services AS had WHERE had.subscription_id = d.id OFFSET 0)
                AND NOT EXISTS (SELECT 1 FROM billing_takeovers AS had WHERE had.subscription_id = d.id OFFSET 0)
                AND NOT EXISTS (SELECT 1 FROM billing_adoptions AS had WHERE had.subscription_id = d.id OFFSET 0)
                AND NOT EXISTS (
                    SELECT 1
                    FROM subscription_charges AS had
                    WHERE had.subscription_id = d.id
                      AND had.state <> 'with_checkout'
                    OFFSET 0
                ) AS is_idle
        ) AS idle
        WHERE d.mirrored
        ON CONFLICT (subscription_id) DO UPDATE
        SET inputs = excluded.inputs,
            version = w.version + 1,
            done_version = CASE WHEN excluded.done_version = 1 THEN w.version + 1 ELSE w.done_version END,
            attempts = 0,
            wake_at = excluded.wake_at,
            updated_at = now()
        WHERE w.inputs IS DISTINCT FROM excluded.inputs
        RETURNING w.subscription_id, w.version, w.done_version
    )
    SELECT
        d.id AS subscription_id,
        coalesce(u.status <> d.status_before, FALSE) AS changed,
        w.version AS work_version
    FROM derived AS d
    LEFT JOIN updated AS u
        ON u.id = d.id
    LEFT JOIN work AS w
        ON w.subscription_id = d.id
        AND w.version > w.done_version
    WHERE u.status <> d.status_before
       OR w.version IS NOT NULL;
    IF billed IS NOT NULL THEN
        UPDATE invoices AS i
        SET subscription_id = t.id,
            customer_id = t.customer_id,
            tenant_id = t.tenant_id,
            updated_at = now()
        FROM subscriptions AS t
        WHERE t.id = ANY(touched_ids)
          AND i.stripe_subscription_id = t.stripe_subscription_id
          AND (i.subscription_id, i.customer_id, i.tenant_id)
              IS DISTINCT FROM (t.id, t.customer_id, t.tenant_id);
    END IF;
    IF billed @? '$[*].first_paid_at ? (@ != null)' THEN
        -- the first payment for an order that nobody vouches for decides on the principal Stripe customer,
        -- where a vouched order, or an earlier payment, has not: whichever event comes first. Without an
        -- account, its buyer's details count, not those of who ordered at the address first and did not pay
        UPDATE customers AS c
        SET stripe_customer_id = paid.stripe_customer_id,
            stripe_customer_paid_at = paid.first_paid_at,
            -- one that came with the order was told before it was known whose it is
            tax_id = billing_tax_id_of_v1(c.tax_id, c.stripe_customer_id, paid.stripe_customer_id),
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
            FROM jsonb_to_recordset(billed) AS invoiced (id uuid, first_paid_at timestamptz)
            JOIN subscriptions AS t
                ON t.id = invoiced.id
            JOIN orders AS o
                ON o.subscription_id = t.id
                AND NOT o.vouched
            JOIN stripe_customers AS known
                ON known.id = t.stripe_customer_id
                AND NOT known.deleted
            WHERE invoiced.first_paid_at IS NOT NULL
            ORDER BY t.customer_id, invoiced.first_paid_at, t.stripe_customer_id
        ) AS paid
        WHERE c.id = paid.customer_id
          AND c.stripe_customer_id IS DISTINCT FROM paid.stripe_customer_id
          AND (
              c.stripe_customer_id IS NULL
              OR (c.stripe_customer_paid_at, c.stripe_customer_id)
                  > (paid.first_paid_at, paid.stripe_customer_id)
          );
    END IF;
END
$_$;
COMMENT ON FUNCTION billing_derive_v1(stripe_subscription_ids text[], subscription_ids uuid[]) IS 'Derives status, links, payment and work of subscriptions from the mirrored rows; returns those whose status changed, and the new work';

CREATE FUNCTION billing_describe(described_table text, described_column text, description text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1
        FROM billing_schema_objects AS o
        WHERE o.table_name = described_table
          AND o.column_name IS NOT DISTINCT FROM described_column
    ) THEN
        RETURN;
    END IF;
    IF described_column IS NULL THEN
        EXECUTE format('COMMENT ON TABLE %I IS %L', described_table, description);
    ELSE
        EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', described_table, described_column, description);
    END IF;
END
$$;
COMMENT ON FUNCTION billing_describe(described_table text, described_column text, description text) IS 'Comments on a column or, without one, on a table, unless mPanel had it before us';

CREATE FUNCTION billing_domain_message(id uuid, state text, expires_at timestamp with time zone, auto_renew boolean, renewal_price bigint, currency text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT jsonb_build_object('domain', jsonb_build_object(
        'id', id,
        'state', state,
        'expiresAt', expires_at,
        'autoRenew', auto_renew,
        'renewalPrice', renewal_price,
        'currency', currency
    ))
$$;
COMMENT ON FUNCTION billing_domain_message(id uuid, state text, expires_at timestamp with time zone, auto_renew boolean, renewal_price bigint, currency text) IS 'A domain as messages tell it; its name is added when one is sent';

CREATE FUNCTION billing_domain_payer_v1(of_customer uuid, of_subscription uuid, in_currency text) RETURNS uuid
    LANGUAGE sql STABLE
    AS $$
    SELECT s.id
    FROM subscriptions AS s
    LEFT JOIN orders AS o
        ON o.subscription_id = s.id
    WHERE s.customer_id = of_customer
      AND s.billing_provider = 'stripe'
      AND s.stripe_subscription_id IS NOT NULL
      AND (in_currency IS NULL OR lower(s.currency) = in_currency)
      AND (s.id = of_subscription OR s.order_paid OR o.vouched IS DISTINCT FROM FALSE)
    ORDER BY
        s.stripe_status IN ('trialing', 'active', 'past_due') DESC,
        s.id IS NOT DISTINCT FROM of_subscription DESC,
        s.created_at DESC,
        s.id
    LIMIT 1
$$;
COMMENT ON FUNCTION billing_domain_payer_v1(of_customer uuid, of_subscription uuid, in_currency text) IS 'The subscription by which a customer pays for further years of a domain; null: there is none';

CREATE FUNCTION billing_dunning_v1(of_subscription uuid) RETURNS TABLE(invoice_id uuid, amount_remaining bigint, currency text, attempt_count integer, next_attempt_at timestamp with time zone, last_reason text, said text)
    LANGUAGE sql STABLE
    AS $$
    SELECT
        i.id,
        i.amount_remaining,
        lower(i.currency),
        i.attempt_count,
        i.next_payment_attempt,
        declined.reason,
        concat_ws(
            ' ',
            'attempt ' || i.attempt_count || ' failed' || coalesce(': ' || declined.reason, '.'),
            coalesce(
                'Next: ' || to_char(i.next_payment_attempt AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC',
                'No further one is planned.'
            )
        )
    FROM invoices AS i
    LEFT JOIN LATERAL billing_declined_v1(
        i.stripe_customer_id, i.stripe_created, i.stripe_payment_intent_id, i.amount_due
    ) AS declined ON TRUE
    WHERE i.subscription_id = of_subscription
      AND i.stripe_status = 'open'
      AND i.attempt_count > 0
    ORDER BY i.stripe_created, i.id
    LIMIT 1
$$;
COMMENT ON FUNCTION billing_dunning_v1(of_subscription uuid) IS 'The attempts to collect a subscription''s oldest unpaid invoice: how many, the next, why the last failed; said in words, too';

CREATE FUNCTION billing_email_hash_v1(email text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT encode(sha256(k.key || sha256(k.key || convert_to(lower(email), 'UTF8'))), 'hex')
    FROM billing_erasure_key AS k
$$;
COMMENT ON FUNCTION billing_email_hash_v1(email text) IS 'Keyed SHA-256 of an e-mail address in lower case; null for none';

CREATE FUNCTION billing_enqueue_v1(entrypoints text[], ids text[], versions bigint[], delays double precision[], headers jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    WITH queued AS (
        INSERT INTO pgqueuer (priority, entrypoint, payload, execute_after, dedupe_key, headers, status)
        SELECT
            0,
            wanted.entrypoint,
            convert_to(wanted.id, 'UTF8'),
            now() + make_interval(secs => wanted.delay),
            wanted.entrypoint || ':' || wanted.id || ':' || wanted.version,
            billing_enqueue_v1.headers,
            'queued'
        FROM unnest(
            billing_enqueue_v1.entrypoints,
            billing_enqueue_v1.ids,
            billing_enqueue_v1.versions,
            billing_enqueue_v1.delays
        ) AS wanted (entrypoint, id, version, delay)
        ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
        DO NOTHING
        RETURNING id, entrypoint, priority
    )
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
    SELECT
        q.id,
        'queued',
        q.entrypoint,
        q.priority
    FROM queued AS q;
END
$$;
COMMENT ON FUNCTION billing_enqueue_v1(entrypoints text[], ids text[], versions bigint[], delays double precision[], headers jsonb) IS 'Triggers jobs as PgQueuer does; one that waits or runs already for the same version is skipped';

CREATE FUNCTION billing_enter_mrr_v1(of_subscription uuid) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
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
COMMENT ON FUNCTION billing_enter_mrr_v1(of_subscription uuid) IS 'Brings the ledger of a subscription in line with the states in which it was seen';

CREATE FUNCTION billing_is_clear_v1(snapshot jsonb, as_of timestamp with time zone, version text) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE
        WHEN snapshot ? 'seen'
            THEN snapshot ->> 'seen' IS NOT DISTINCT FROM CASE WHEN as_of IS NOT NULL THEN version END
        WHEN snapshot ? 'undated' THEN FALSE
        ELSE (as_of < (snapshot ->> 'since')::timestamptz) IS NOT FALSE
    END
$$;
COMMENT ON FUNCTION billing_is_clear_v1(snapshot jsonb, as_of timestamp with time zone, version text) IS 'Whether a snapshot may be applied to the stored version: an older one, or the one against which that was decided';

CREATE FUNCTION billing_is_replaceable_v1(of_domain uuid) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (
        SELECT 1
        FROM billing_domains AS lost
        JOIN subscriptions AS s
            ON s.id = lost.subscription_id
        WHERE lost.id = of_domain
          AND lost.state = 'failed'
          AND s.status IN ('pending', 'active')
          AND (lost.name = s.metadata ->> 'domainValue' OR s.metadata -> 'furtherDomains' ? lost.name)
          AND NOT EXISTS (
              SELECT 1
              FROM billing_domains AS chosen
              WHERE chosen.replaces_id = lost.id
                AND chosen.state NOT IN ('released', 'failed')
          )
    )
$$;
COMMENT ON FUNCTION billing_is_replaceable_v1(of_domain uuid) IS 'Whether its customer may choose another name in place of a domain that could not be obtained';

CREATE FUNCTION billing_is_wanted(message_type text, wanted text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT EXISTS (
        SELECT 1
        FROM unnest(wanted) AS w (type)
        WHERE message_type = w.type
           OR (w.type LIKE '%*' AND starts_with(message_type, rtrim(w.type, '*')))
    )
$$;
COMMENT ON FUNCTION billing_is_wanted(message_type text, wanted text[]) IS 'Whether a type is one of those that a receiver gets';

CREATE FUNCTION billing_items_sold_v1(of_subscription uuid) RETURNS TABLE(plan_id uuid, plan_code text, cycle text, addon_codes jsonb)
    LANGUAGE sql STABLE
    AS $$
    SELECT
        (array_agg(product.id ORDER BY i.stripe_subscription_item_id) FILTER (WHERE product.kind = 'plan'))[1],
        (array_agg(product.code ORDER BY i.stripe_subscription_item_id) FILTER (WHERE product.kind = 'plan'))[1],
        coalesce(
            (array_agg(term.cycle ORDER BY i.stripe_subscription_item_id) FILTER (WHERE product.kind = 'plan'))[1],
            CASE WHEN count(DISTINCT coalesce(term.cycle, '')) = 1 THEN min(term.cycle) END
        ),
        coalesce(
            jsonb_agg(DISTINCT product.code) FILTER (WHERE product.kind = 'addon'),
            '[]'
        )
    FROM subscription_items AS i
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
    WHERE i.subscription_id = of_subscription
$$;
COMMENT ON FUNCTION billing_items_sold_v1(of_subscription uuid) IS 'What the catalogue calls the items of a subscription: plan, word for its term, add-ons';

CREATE FUNCTION billing_keep_deleted_subscription() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    INSERT INTO billing_deleted_subscriptions AS d (
        subscription_id,
        stripe_subscription_id,
        stripe_customer_id,
        livemode,
        stripe_status,
        stripe_as_of,
        subscription,
        services,
        charges
    )
    SELECT
        OLD.id,
        OLD.stripe_subscription_id,
        OLD.stripe_customer_id,
        OLD.livemode,
        OLD.stripe_status,
        OLD.stripe_as_of,
        to_jsonb(OLD),
        coalesce((
            SELECT jsonb_agg(to_jsonb(s)) FROM tenant_services AS s WHERE s.subscription_id = OLD.id
        ), '[]'),
        coalesce((
            SELECT jsonb_agg(to_jsonb(c)) FROM subscription_charges AS c WHERE c.subscription_id = OLD.id
        ), '[]')
    WHERE OLD.stripe_subscription_id IS NOT NULL
       -- a page that can still be paid
       OR EXISTS (
           SELECT 1
           FROM checkout_sessions AS c
           WHERE c.subscription_id = OLD.id
             AND c.status IN ('creating', 'open')
       )
    ON CONFLICT (subscription_id) DO UPDATE
    SET stripe_subscription_id = excluded.stripe_subscription_id,
        stripe_customer_id = excluded.stripe_customer_id,
        stripe_status = excluded.stripe_status,
        stripe_as_of = excluded.stripe_as_of,
        subscription = excluded.subscription,
        services = excluded.services,
        charges = excluded.charges,
        deleted_at = now(),
        settled_at = NULL,
        settled_how = NULL,
        claimed_until = NULL;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION billing_keep_deleted_subscription() IS 'Keeps what is needed of a subscription that is being deleted, with the rights of its owner';

CREATE FUNCTION billing_kept_payload_v1(payload jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    AS $$
DECLARE
    about jsonb;
    created jsonb;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM billing_erasures) THEN
        RETURN payload;
    END IF;
    about := payload -> 'data' -> 'object';
    IF EXISTS (
        SELECT 1
        FROM billing_erasures AS e
        WHERE e.identifier IN (
            about ->> 'customer',
            about -> 'customer' ->> 'id',
            CASE WHEN about ->> 'object' = 'customer' THEN about ->> 'id' END
        )
    ) THEN
        RETURN NULL;
    END IF;
    created := coalesce(about -> 'created', payload -> 'created');
    IF EXISTS (
        SELECT 1
        FROM billing_erasures AS e
        WHERE e.identifier IN (
            billing_email_hash_v1(about ->> 'email'),
            billing_email_hash_v1(about ->> 'customer_email'),
            billing_email_hash_v1(about ->> 'receipt_email'),
            billing_email_hash_v1(about -> 'customer_details' ->> 'email'),
            billing_email_hash_v1(about -> 'billing_details' ->> 'email')
        )
          AND (jsonb_typeof(created) = 'number' AND created::numeric < floor(extract(epoch FROM e.erased_at))) IS TRUE
    ) THEN
        RETURN NULL;
    END IF;
    RETURN payload;
END
$$;
COMMENT ON FUNCTION billing_kept_payload_v1(payload jsonb) IS 'The payload of an event, or null if it is about a person whose personal data has been erased';

CREATE FUNCTION billing_moment_of(seconds jsonb) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE
        WHEN jsonb_typeof(seconds) = 'number' AND seconds BETWEEN '0' AND '100000000000'
            THEN to_timestamp(seconds::float8)
    END
$$;
COMMENT ON FUNCTION billing_moment_of(seconds jsonb) IS 'A time of Stripe''s, in Unix seconds; null for anything else';

CREATE FUNCTION billing_money_v1(minor bigint, in_currency text) RETURNS text
    LANGUAGE sql STABLE
    AS $_$
    SELECT
        CASE WHEN minor < 0 THEN '-' ELSE '' END
        || CASE lower(in_currency)
            WHEN 'usd' THEN '$'
            WHEN 'eur' THEN '€'
            WHEN 'gbp' THEN '£'
            WHEN 'jpy' THEN '¥'
            WHEN 'cad' THEN 'CA$'
            WHEN 'aud' THEN 'A$'
            ELSE ''
        END
        || CASE
            WHEN lower(in_currency) IN (
                'bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv', 'xaf', 'xof', 'xpf'
            ) THEN to_char(abs(minor), 'FM999,999,999,999,999,990')
            WHEN lower(in_currency) IN ('bhd', 'jod', 'kwd', 'omr', 'tnd')
                THEN to_char(abs(minor)::numeric / 1000, 'FM999,999,999,999,999,990.000')
            ELSE to_char(abs(minor)::numeric / 100, 'FM999,999,999,999,999,990.00')
        END
        || CASE
            WHEN lower(in_currency) IN ('usd', 'eur', 'gbp', 'jpy', 'cad', 'aud') THEN ''
            ELSE ' ' || upper(in_currency)
        END
$_$;
COMMENT ON FUNCTION billing_money_v1(minor bigint, in_currency text) IS 'An amount in minor units as people read it, in the form of its currency';

CREATE FUNCTION billing_mrr_customer_v1(of_subscription uuid) RETURNS uuid
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(
        (
            SELECT s.customer_id
            FROM subscriptions AS s
            WHERE s.id = of_subscription
        ),
        (
            SELECT (gone.subscription ->> 'customer_id')::uuid
            FROM billing_deleted_subscriptions AS gone
            WHERE gone.subscription_id = of_subscription
        ),
        of_subscription
    )
$$;
COMMENT ON FUNCTION billing_mrr_customer_v1(of_subscription uuid) IS 'Who has a subscription in figures';

CREATE FUNCTION billing_net_amounts_v1(of_subscription uuid, due uuid[], charged_at timestamp with time zone, with_once boolean, with_amounts boolean) RETURNS TABLE(item_id uuid, amount numeric)
    LANGUAGE plpgsql STABLE
    AS $$
#variable_conflict use_column
DECLARE
    ids uuid[];
    amounts numeric[];
    eligible numeric[];
    whole numeric;
    taken numeric;
    discount record;
BEGIN
    SELECT
        array_agg(i.id ORDER BY i.id),
        array_agg(coalesce(coming.unit_amount, i.unit_amount, 0)::numeric * coalesce(i.quantity, 0) ORDER BY i.id)
    INTO ids, amounts
    FROM subscription_items AS i
    LEFT JOIN billing_price_changes AS c
        ON c.subscription_id = i.subscription_id
        AND c.old_price_id = i.price_id
        AND c.made_at IS NULL
        AND c.withdrawn_at IS NULL
        AND c.effective_at <= charged_at
    LEFT JOIN prices AS coming
        ON coming.id = c.new_price_id
    WHERE i.subscription_id = of_subscription
      AND i.id = ANY(due);
    FOR discount IN
        SELECT
            d.stripe_subscription_item_id,
            d.stripe_product_ids,
            d.percent_off,
            d.amount_off,
            s.currency
        FROM subscription_discounts AS d
        JOIN subscriptions AS s
            ON s.id = d.subscription_id
        WHERE d.subscription_id = of_subscription
          AND (d.ends_at IS NULL OR d.ends_at > charged_at)
          AND (d.percent_off IS NOT NULL OR (d.currency = s.currency AND with_amounts))
          AND (
              d.duration IS DISTINCT FROM 'once'
              OR (
                  with_once
                  AND NOT EXISTS (
                      SELECT 1
                      FROM invoices AS i
                      WHERE i.stripe_subscription_id = s.stripe_subscription_id
                        AND i.stripe_status NOT IN ('void', 'deleted')
                        AND i.billing_reason IS DISTINCT FROM 'manual'
                        -- Stripe says itself whether the free invoice of a trial has used it up
                        AND i.stripe_created >= greatest(d.starts_at, s.trial_end)
                  )
              )
          )
        ORDER BY d.position
    LOOP
        SELECT
            array_agg(CASE
                WHEN (discount.stripe_subscription_item_id IS NULL OR i.stripe_subscription_item_id = discount.stripe_subscription_item_id)
                    AND (discount.stripe_product_ids IS NULL OR i.stripe_product_id = ANY(discount.stripe_product_ids))
                    THEN greatest(charged.amount, 0)
                ELSE 0
            END ORDER BY i.id)
        INTO eligible
        FROM unnest(ids, amounts) AS charged (id, amount)
        JOIN subscription_items AS i
            ON i.id = charged.id;
        SELECT sum(charged.amount) INTO whole FROM unnest(eligible) AS charged (amount);
        CONTINUE WHEN coalesce(whole, 0) = 0;
        taken := coalesce(
            billing_chargeable_v1(whole * discount.percent_off / 100, discount.currency),
            least(discount.amount_off, whole)
        );
        SELECT array_agg(charged.amount - taken * charged.eligible / whole ORDER BY charged.id)
        INTO amounts
        FROM unnest(ids, amounts, eligible) AS charged (id, amount, eligible);
    END LOOP;
    RETURN QUERY SELECT charged.id, charged.amount FROM unnest(ids, amounts) AS charged (id, amount);
END
$$;
COMMENT ON FUNCTION billing_net_amounts_v1(of_subscription uuid, due uuid[], charged_at timestamp with time zone, with_once boolean, with_amounts boolean) IS 'What items of a subscription are charged at a time, in minor units after discounts';

CREATE FUNCTION billing_note_cash() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    INSERT INTO billing_cash_changes (day)
    SELECT (changed.at AT TIME ZONE 'UTC')::date
    FROM unnest(ARRAY[OLD.stripe_created, NEW.stripe_created]) AS changed (at)
    WHERE changed.at < now() - interval '1 day'
    UNION
    -- a payment that had failed before has succeeded
    SELECT (failed.stripe_created AT TIME ZONE 'UTC')::date
    FROM stripe_charges AS failed
    WHERE failed.stripe_payment_intent_id IN (OLD.stripe_payment_intent_id, NEW.stripe_payment_intent_id)
      AND failed.status = 'failed'
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_cash() IS 'Notes the day of a payment, refund or dispute that is known or changed late, with the rights of its owner';

CREATE FUNCTION billing_note_move() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    INSERT INTO billing_server_changes (product_type, server, coming, leaving, going)
    SELECT
        side.product_type,
        at.server,
        side.change * at.coming::integer,
        side.change * at.leaving::integer,
        side.change * at.going::integer
    FROM (
        VALUES
            (OLD.product_type, OLD.from_server, OLD.to_server, OLD.state, -1),
            (NEW.product_type, NEW.from_server, NEW.to_server, NEW.state, 1)
    ) AS side (product_type, from_server, to_server, state, change)
    CROSS JOIN LATERAL (
        VALUES
            (side.to_server, side.state IN ('creating', 'copying', 'cancelling'), FALSE, FALSE),
            (side.from_server, FALSE, side.state IN ('creating', 'copying'), side.state = 'terminating')
    ) AS at (server, coming, leaving, going)
    WHERE at.coming OR at.leaving OR at.going;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_move() IS 'Notes what a move takes or frees at both its servers, with the rights of its owner';

CREATE FUNCTION billing_note_mrr() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    changed uuid[];
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF TG_LEVEL = 'STATEMENT' AND TG_TABLE_NAME = 'billing_mrr_ledger' THEN
        changed := ARRAY(SELECT w.subscription_id FROM written AS w);
    ELSIF TG_LEVEL = 'STATEMENT' THEN
        -- those that come back: of a new one nothing is in the ledger yet
        changed := ARRAY(
            SELECT w.id
            FROM written AS w
            WHERE EXISTS (SELECT 1 FROM billing_mrr_ledger AS l WHERE l.subscription_id = w.id OFFSET 0)
        );
    ELSIF TG_TABLE_NAME = 'billing_mrr_ledger' THEN
        changed := ARRAY[OLD.subscription_id, NEW.subscription_id];
    ELSIF TG_TABLE_NAME = 'billing_deleted_subscriptions' THEN
        changed := ARRAY[
            OLD.subscription_id, (OLD.subscription ->> 'customer_id')::uuid, NEW.subscription_id
        ];
    ELSE
        changed := ARRAY[OLD.id, OLD.customer_id, NEW.id];
    END IF;
    IF changed = '{}' THEN
        RETURN NULL;
    END IF;
    INSERT INTO billing_mrr_changes (noted_id)
    SELECT noted.id
    FROM unnest(changed) AS noted (id)
    WHERE noted.id IS NOT NULL
    UNION
    SELECT (gone.subscription ->> 'customer_id')::uuid
    FROM billing_deleted_subscriptions AS gone
    WHERE gone.subscription_id = ANY(changed)
      AND gone.subscription ->> 'customer_id' IS NOT NULL
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_mrr() IS 'Notes of whom the ledger has changed, with the rights of its owner';

CREATE FUNCTION billing_note_place() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    INSERT INTO billing_server_changes (product_type, server, placed)
    SELECT
        side.product_type,
        side.server,
        side.change
    FROM (
        VALUES
            (OLD.product_type, OLD.server, OLD.desired, OLD.actual, OLD.pending_action, -1),
            (NEW.product_type, NEW.server, NEW.desired, NEW.actual, NEW.pending_action, 1)
    ) AS side (product_type, server, desired, actual, pending_action, change)
    WHERE side.server IS NOT NULL
      AND (side.desired = 'active' OR side.actual IN ('active', 'suspended') OR side.pending_action IS NOT NULL);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_place() IS 'Notes that an account takes a place on a server, or frees it, with the rights of its owner';

CREATE FUNCTION billing_note_revenue() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
DECLARE
    changed uuid[];
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF TG_LEVEL = 'STATEMENT' THEN
        changed := ARRAY(SELECT w.subscription_id FROM written AS w);
    ELSIF TG_TABLE_NAME = 'subscriptions' THEN
        changed := ARRAY[OLD.id, NEW.id];
    ELSE
        changed := ARRAY[OLD.subscription_id, NEW.subscription_id];
    END IF;
    IF changed = '{}' THEN
        RETURN NULL;
    END IF;
    INSERT INTO billing_revenue_changes (subscription_id)
    SELECT DISTINCT noted.id
    FROM unnest(changed) AS noted (id)
    WHERE noted.id IS NOT NULL
    -- what was recorded already is to be again: constraints may be immediate
    ON CONFLICT (changed_in, subscription_id) DO UPDATE
    SET subscription_id = excluded.subscription_id
    WHERE current_setting('mpanel_billing.revenue_is_noted', TRUE) IS DISTINCT FROM 'on';
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_revenue() IS 'Notes that the revenue of a subscription may have changed, with the rights of its owner';

CREATE FUNCTION billing_note_taken_back_v1(stripe_invoice_ids text[]) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
BEGIN
    UPDATE invoices AS i
    SET amount_refunded = back.refunded,
        amount_credited = noted.credited,
        amount_disputed = back.disputed,
        disputed_since = back.disputed_since,
        status = billing_refunded_status_v1(i.status, i.amount_invoiced, back.refunded + noted.credited),
        updated_at = now()
    FROM unnest(billing_note_taken_back_v1.stripe_invoice_ids) AS named (id)
    CROSS JOIN LATERAL (
        SELECT array_agg(DISTINCT p.stripe_payment_intent_id) AS stripe_payment_intent_ids
        FROM invoice_payments AS p
        WHERE p.stripe_invoice_id = named.id
    ) AS paid
    CROSS JOIN LATERAL billing_taken_back_v1(paid.stripe_payment_intent_ids) AS back
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(n.amount_to_balance + n.amount_out_of_band), 0)::bigint AS credited
        FROM stripe_credit_notes AS n
        WHERE n.stripe_invoice_id = named.id
          AND n.status = 'issued'
    ) AS noted
    WHERE i.stripe_invoice_id = named.id
      AND (i.amount_refunded, i.amount_credited, i.amount_disputed, i.disputed_since)
          IS DISTINCT FROM (back.refunded, noted.credited, back.disputed, back.disputed_since);
END
$$;
COMMENT ON FUNCTION billing_note_taken_back_v1(stripe_invoice_ids text[]) IS 'Writes what refunds, credit notes and disputes have taken back of invoices';

CREATE FUNCTION billing_note_user() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.email, OLD.email_verified) IS NOT DISTINCT FROM (NEW.email, NEW.email_verified) THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    INSERT INTO billing_noted_users (user_id) VALUES (NEW.id)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_user() IS 'Notes an account whose address was verified, with the rights of its owner';

CREATE FUNCTION billing_note_users_of_customer() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    INSERT INTO billing_noted_users (user_id)
    SELECT u.id
    FROM users AS u
    WHERE lower(u.email) = lower(NEW.email)
      AND u.email_verified
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_users_of_customer() IS 'Notes the accounts that a customer record may join, with the rights of its owner';

CREATE FUNCTION billing_observe_late_v1(snapshots jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
DECLARE
    late record;
BEGIN
    FOR late IN
        SELECT
            o.id,
            s AS seen,
            s.discounts,
            billing_revenue_state_v1(s.currency, s.items, s.discounts) AS state
        FROM jsonb_populate_recordset(NULL::billing_subscription_snapshot, snapshots) AS s
        JOIN subscriptions AS o
            ON o.stripe_subscription_id = s.object_id
            AND o.stripe_as_of IS NOT NULL
        WHERE s.event_id IS NOT NULL
          AND s.items_complete
    LOOP
        INSERT INTO billing_discount_terms (
            subscription_id, stripe_discount_id, percent_off, amount_off, currency, duration, stripe_product_ids, ends_at
        )
        SELECT DISTINCT ON (d.stripe_discount_id)
            late.id,
            d.stripe_discount_id,
            d.percent_off,
            d.amount_off,
            d.currency,
            d.duration,
            d.stripe_product_ids,
            d.ends_at
        FROM jsonb_to_recordset(late.discounts) AS d (
            stripe_discount_id text,
            percent_off numeric,
            amount_off bigint,
            currency text,
            duration text,
            stripe_product_ids text[],
            ends_at timestamptz,
            has_terms boolean
        )
        WHERE d.has_terms
        ORDER BY d.stripe_discount_id
        ON CONFLICT DO NOTHING;
        IF billing_observe_revenue_v1(late.id, late.seen, late.state, TRUE) THEN
            PERFORM billing_enter_mrr_v1(late.id);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION billing_observe_late_v1(snapshots jsonb) IS 'Takes note of snapshots of subscriptions that are older than what is mirrored';

CREATE FUNCTION billing_observe_revenue_v1(of_subscription uuid, seen billing_subscription_snapshot, seen_state jsonb, is_late boolean) RETURNS boolean
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_variable
DECLARE
    has_ended boolean := seen.stripe_status IN ('canceled', 'incomplete_expired') AND seen.ended_at <= seen.as_of;
    seen_at timestamptz := CASE WHEN has_ended THEN seen.ended_at ELSE seen.as_of END;
    is_billed boolean := coalesce(seen.stripe_status IN ('active', 'past_due'), FALSE);
    before billing_revenue_states;
    following billing_revenue_states;
    mirrored_at timestamptz;
    next_seen timestamptz;
    has_forgotten boolean := FALSE;
BEGIN
    IF NOT is_late THEN
        DELETE FROM billing_revenue_states AS r
        WHERE r.subscription_id = of_subscription
          AND r.at > seen_at;
        has_forgotten := FOUND;
    END IF;
    SELECT r.* INTO before
    FROM billing_revenue_states AS r
    WHERE r.subscription_id = of_subscription
      AND r.at <= seen_at
    ORDER BY r.at DESC
    LIMIT 1;
    IF (before.livemode, before.billed) = (seen.livemode, is_billed) AND (before.state = seen_state OR NOT is_billed) THEN
        RETURN has_forgotten;
    END IF;
    IF is_late THEN
        SELECT CASE
            WHEN s.stripe_status IN ('canceled', 'incomplete_expired') THEN least(s.ended_at, s.stripe_as_of)
            ELSE s.stripe_as_of
        END
        INTO mirrored_at
        FROM subscriptions AS s
        WHERE s.id = of_subscription;
        IF mirrored_at = seen_at OR EXISTS (
            SELECT 1
            FROM stripe_events AS e
            WHERE e.object_id = seen.object_id
              AND e.created = seen_at
              AND e.status IN ('applied', 'stale')
              AND e.id <> seen.event_id
              AND e.type <> 'customer.subscription.created'
        ) THEN
            RETURN FALSE;
        END IF;
        SELECT e.created INTO next_seen
        FROM stripe_events AS e
        WHERE e.object_id = seen.object_id
          AND e.created > seen_at
          AND e.status IN ('applied', 'stale')
          AND e.id <> seen.event_id
        ORDER BY e.created
        LIMIT 1;
        next_seen := least(next_seen, CASE WHEN mirrored_at > seen_at THEN mirrored_at END);
        -- a state that is known from its own row needs none
        IF before.at IS NOT NULL AND next_seen IS NOT NULL THEN
            INSERT INTO billing_revenue_states (subscription_id, at, livemode, billed, began_at, state)
            SELECT of_subscription, next_seen, before.livemode, before.billed, before.began_at, before.state
            WHERE NOT EXISTS (
                SELECT 1
                FROM billing_revenue_states AS r
                WHERE r.subscription_id = of_subscription
                  AND r.at > seen_at
                  AND r.at <= next_seen
            );
        END IF;
    END IF;
    INSERT INTO billing_revenue_states AS r (subscription_id, at, livemode, billed, began_at, state)
    VALUES (
        of_subscription,
        seen_at,
        seen.livemode,
        is_billed,
        CASE
            WHEN is_billed THEN billing_charged_since_v1(seen.started_at, seen.trial_end, seen_at)
            WHEN has_ended AND seen.stripe_status = 'canceled' AND seen.trial_end > seen.ended_at THEN NULL
            WHEN has_ended AND seen.stripe_status = 'canceled' THEN greatest(seen.started_at, seen.trial_end)
        END,
        seen_state
    )
    ON CONFLICT (subscription_id, at) DO UPDATE
    SET livemode = excluded.livemode,
        billed = excluded.billed,
        began_at = excluded.began_at,
        state = excluded.state;
    IF before.at IS NULL AND NOT is_late THEN
        -- seen for the first time
        RETURN TRUE;
    END IF;
    -- what says the same as the one before says nothing: the next one may, and this one if it has replaced another
    SELECT r.* INTO before
    FROM billing_revenue_states AS r
    WHERE r.subscription_id = of_subscription
      AND r.at < seen_at
    ORDER BY r.at DESC
    LIMIT 1;
    SELECT r.* INTO following
    FROM billing_revenue_states AS r
    WHERE r.subscription_id = of_subscription
      AND r.at > seen_at
    ORDER BY r.at
    LIMIT 1;
    DELETE FROM billing_revenue_states AS r
    WHERE r.subscription_id = of_subscription
      AND (
          (
              r.at = following.at
              AND following.billed = is_billed
              AND (following.state = seen_state OR NOT is_billed)
          )
          OR (
              r.at = seen_at
              AND before.billed = is_billed
              AND (before.state = seen_state OR NOT is_billed)
          )
      );
    RETURN TRUE;
END
$$;
COMMENT ON FUNCTION billing_observe_revenue_v1(of_subscription uuid, seen billing_subscription_snapshot, seen_state jsonb, is_late boolean) IS 'Takes note of how Stripe has shown a subscription at a time; returns whether that changes what was known';

CREATE FUNCTION billing_place_session_v1(object_id text, order_id uuid, named_attempt integer, stripe_customer_id text) RETURNS TABLE(subscription_id uuid, attempt integer, since timestamp with time zone, as_of timestamp with time zone, event_id text, status text, payment_status text, order_stripe_subscription_id text)
    LANGUAGE sql STABLE
    AS $$
    SELECT
        coalesce(mirror.subscription_id, creating.subscription_id, ordered.id),
        coalesce(mirror.attempt, creating.attempt, coalesce(latest.attempt, 0) + 1),
        mirror.stripe_as_of_since,
        mirror.stripe_as_of,
        mirror.stripe_event_id,
        mirror.status,
        mirror.payment_status,
        ordered.stripe_subscription_id
    FROM (SELECT 1) AS told
    LEFT JOIN checkout_sessions AS mirror
        ON mirror.stripe_session_id = billing_place_session_v1.object_id
    LEFT JOIN subscriptions AS ordered
        ON ordered.id = billing_place_session_v1.order_id
        AND ordered.billing_provider = 'stripe'
        AND ordered.stripe_customer_id = billing_place_session_v1.stripe_customer_id
    LEFT JOIN checkout_sessions AS creating
        ON creating.subscription_id = ordered.id
        AND creating.attempt = billing_place_session_v1.named_attempt
        AND creating.stripe_session_id IS NULL
    LEFT JOIN LATERAL (
        SELECT max(c.attempt) AS attempt
        FROM checkout_sessions AS c
        WHERE c.subscription_id = ordered.id
    ) AS latest ON TRUE
    WHERE coalesce(mirror.subscription_id, ordered.id) IS NOT NULL
$$;
COMMENT ON FUNCTION billing_place_session_v1(object_id text, order_id uuid, named_attempt integer, stripe_customer_id text) IS 'Where a Checkout session belongs: its order and its attempt; no row if there is no order for it';

CREATE FUNCTION billing_place_subscription_v1(object_id text, stripe_customer_id text, order_id uuid) RETURNS TABLE(subscription_id uuid, customer_id uuid, since timestamp with time zone, as_of timestamp with time zone, event_id text, stripe_status text, deleted_id uuid, order_is_missing boolean)
    LANGUAGE sql STABLE
    AS $$
    SELECT
        coalesce(mirrored.id, ordered.id),
        coalesce(known.customer_id, mirrored.customer_id, ordered.customer_id),
        mirrored.stripe_as_of_since,
        mirrored.stripe_as_of,
        mirrored.stripe_event_id,
        mirrored.stripe_status,
        deleted.subscription_id,
        billing_place_subscription_v1.order_id IS NOT NULL
            AND mirrored.id IS NULL
            AND NOT EXISTS (
                SELECT 1
                FROM subscriptions AS s
                WHERE s.id = billing_place_subscription_v1.order_id
                -- a look-up for each, and no hash of the whole table
                OFFSET 0
            )
    FROM (SELECT 1) AS told
    LEFT JOIN subscriptions AS mirrored
        ON mirrored.stripe_subscription_id = billing_place_subscription_v1.object_id
    LEFT JOIN subscriptions AS ordered
        ON ordered.id = billing_place_subscription_v1.order_id
        AND mirrored.id IS NULL
        AND ordered.stripe_subscription_id IS NULL
        AND ordered.billing_provider = 'stripe'
        AND ordered.stripe_customer_id = billing_place_subscription_v1.stripe_customer_id
    LEFT JOIN stripe_customers AS known
        ON known.id = billing_place_subscription_v1.stripe_customer_id
    LEFT JOIN LATERAL (
        -- its row was deleted here, as that of the order itself or as one of its own
        SELECT d.subscription_id
        FROM billing_deleted_subscriptions AS d
        WHERE mirrored.id IS NULL
          AND d.settled_at IS NULL
          AND (
              d.stripe_subscription_id = billing_place_subscription_v1.object_id
              OR (
                  d.subscription_id = billing_place_subscription_v1.order_id
                  AND d.stripe_subscription_id IS NULL
              )
          )
        LIMIT 1
    ) AS deleted ON TRUE
$$;
COMMENT ON FUNCTION billing_place_subscription_v1(object_id text, stripe_customer_id text, order_id uuid) IS 'Where a Stripe subscription belongs: the row that mirrors it, or the order it names on the same Stripe customer';

CREATE FUNCTION billing_proof_asked_v1(of_domain uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_build_object(
        'recordName', '_mpanel-verification.' || d.name,
        'recordType', 'TXT',
        'recordValue', 'mpanel-verification=' || p.token,
        'nameservers', to_jsonb(p.nameservers),
        'checkedAt', p.checked_at,
        'nextCheckAt', p.check_at,
        'expiresAt', p.expires_at,
        'missing', p.last_error
    )
    FROM billing_domain_proofs AS p
    JOIN billing_domains AS d
        ON d.id = p.domain_id
    WHERE p.domain_id = of_domain
      AND p.token IS NOT NULL
$$;
COMMENT ON FUNCTION billing_proof_asked_v1(of_domain uuid) IS 'What the buyer of a domain has to do to prove that it is theirs; null: nothing';

CREATE FUNCTION billing_receive_events_v3(keys text[], holders text[], waits boolean, livemode boolean, ids text[], types text[], api_versions text[], createds text[], object_ids text[], statuses text[], reasons text[], payloads text[], customers jsonb, charges jsonb, refunds jsonb, payments jsonb, bills jsonb, invoices jsonb, renewals jsonb, subscriptions jsonb, sessions jsonb, headers jsonb) RETURNS TABLE(id text, outcome text, since timestamp with time zone, as_of timestamp with time zone, event_id text, event_type text, payload jsonb, seen text, facts jsonb)
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET lock_timeout TO '100ms'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
#variable_conflict use_column
DECLARE
    billed text[];
    renewed text[];
    applied text[];
    done text[];
    duplicates text[];
    barred text[];
BEGIN
    IF waits THEN
        PERFORM set_config('lock_timeout', '5s', TRUE);
        PERFORM pg_advisory_xact_lock(hashtextextended(named.key, 0))
        FROM unnest(keys) WITH ORDINALITY AS named (key, position)
        ORDER BY named.position;
    ELSIF (
        SELECT bool_and(pg_try_advisory_xact_lock(hashtextextended(named.key, 0)))
        FROM unnest(keys) AS named (key)
    ) IS NOT TRUE THEN
        SELECT array_agg(DISTINCT named.holder)
        INTO barred
        FROM unnest(keys, holders) AS named (key, holder)
        WHERE NOT pg_try_advisory_xact_lock(hashtextextended(named.key, 0));
    END IF;
    -- from here on, statements see all that was committed before the locks were taken
    SELECT array_agg(known.id)
    INTO duplicates
    FROM stripe_events AS known
    WHERE known.id = ANY(ids);
    IF duplicates IS NOT NULL THEN
        SELECT barred || array_agg(e.object_id)
        INTO barred
        FROM unnest(ids, object_ids) AS e (id, object_id)
        WHERE e.id = ANY(duplicates);
        RETURN QUERY
        SELECT
            e.id,
            'duplicate',
            NULL::timestamptz,
            NULL::timestamptz,
            NULL,
            NULL,
            NULL::jsonb,
            NULL,
            NULL::jsonb
        FROM unnest(duplicates) AS e (id);
    END IF;
    IF barred IS NOT NULL THEN
        customers := billing_without_objects_v1(customers, barred);
        charges := billing_without_objects_v1(charges, barred);
        refunds := billing_without_objects_v1(refunds, barred);
        payments := billing_without_objects_v1(payments, barred);
        bills := billing_without_objects_v1(bills, barred);
        invoices := billing_without_objects_v1(invoices, barred);
        renewals := billing_without_objects_v1(renewals, barred);
        subscriptions := billing_without_objects_v1(subscriptions, barred);
        sessions := billing_without_objects_v1(sessions, barred);
    END IF;
    -- payments are written before the invoices that wait for them
    IF bills IS NOT NULL AND payments IS NULL THEN
        WITH billed AS (
            INSERT INTO invoices AS mirror (
                subscription_id,
                tenant_id,
                customer_id,
                invoice_number,
                status,
                subtotal,
                tax_rate,
                tax_amount,
                taxes,
                total,
                currency,
                due_date,
                paid_date,
                livemode,
                stripe_invoice_id,
                stripe_subscription_id,
                stripe_customer_id,
                stripe_number,
                stripe_status,
                billing_reason,
                collection_method,
                auto_advance,
                finalization_error,
                finalized_at,
                voided_at,
                due_at,
                amount_invoiced,
                amount_due,
                amount_paid,
                amount_remaining,
                period_start,
                period_end,
                attempt_count,
                next_payment_attempt,
                hosted_invoice_url,
                invoice_pdf,
                stripe_created,
                stripe_as_of_since,
                stripe_as_of,
                stripe_event_id,
                created_at
            )
            SELECT
                subscribed.id,
                subscribed.tenant_id,
                subscribed.customer_id,
                s.invoice_number,
                s.status,
                least(s.subtotal, 99999999.99),
                coalesce(s.tax_rate, 0),
                least(s.tax_amount, 99999999.99),
                s.taxes,
                least(s.total, 99999999.99),
                upper(s.currency),
                coalesce(s.due_date, s.stripe_created)::date,
                s.paid_at AT TIME ZONE 'UTC',
                s.livemode,
                s.object_id,
                s.stripe_subscription_id,
                s.stripe_customer_id,
                s.stripe_number,
                s.stripe_status,
                s.billing_reason,
                s.collection_method,
                s.auto_advance,
                s.finalization_error,
                s.finalized_at,
                s.voided_at,
                s.due_date,
                s.amount_invoiced,
                s.amount_due,
                s.amount_paid,
                s.amount_remaining,
                s.period_start,
                s.period_end,
                s.attempt_count,
                s.next_payment_attempt,
                s.hosted_invoice_url,
                s.invoice_pdf,
                s.stripe_created,
                s.since,
                s.as_of,
                s.event_id,
                s.stripe_created AT TIME ZONE 'UTC'
            FROM jsonb_populate_recordset(
                NULL::billing_invoice_snapshot, bills
            ) AS s
            CROSS JOIN LATERAL (
                SELECT
                    o.id,
                    o.tenant_id,
                    o.customer_id
                FROM subscriptions AS o
                WHERE o.stripe_subscription_id = s.stripe_subscription_id
                  AND o.initial_payment_settled
                  -- the first money for an order has its domain ordered
                  AND (o.order_paid OR s.stripe_status <> 'paid' OR s.total = 0)
                  AND o.stripe_status IN ('trialing', 'active', 'incomplete')
                  AND o.customer_id IS NOT NULL
                  -- without a debt, whatever pays for a term or writes it off settles none
                  AND EXISTS (
                      SELECT 1
                      FROM provisioning_work AS work
                      WHERE work.subscription_id = o.id
                        AND work.inputs ->> 'owedSince' IS NULL
                  )
                OFFSET 0
            ) AS subscribed
            -- an invoice whose payment is known may settle something
            WHERE s.stripe_payment_intent_id IS NULL
              -- nor does it make one: what derive calls owed
              AND (
                  s.stripe_status NOT IN ('open', 'uncollectible')
                  OR s.billing_reason = 'manual'
                  OR (s.collection_method IS DISTINCT FROM 'send_invoice' AND s.attempt_count = 0)
              ) IS TRUE
              -- an older one leaves no lock on the row, and so nothing to commit
              AND NOT EXISTS (
                  SELECT 1
                  FROM invoices AS known
                  WHERE known.stripe_invoice_id = s.object_id
                    AND known.stripe_as_of >= s.since
                  OFFSET 0
              )
              AND NOT EXISTS (
                  SELECT 1
                  FROM invoice_payments AS p
                  WHERE p.stripe_invoice_id = s.object_id
                  OFFSET 0
              )
              AND NOT EXISTS (
                  SELECT 1
                  FROM stripe_credit_notes AS n
                  WHERE n.stripe_invoice_id = s.object_id
                  OFFSET 0
              )
              AND NOT EXISTS (
                  SELECT 1
                  FROM billing_erasures AS erased
                  WHERE erased.identifier = s.stripe_customer_id
                  OFFSET 0
              )
            ON CONFLICT (stripe_invoice_id) DO UPDATE
            SET subscription_id = excluded.subscription_id,
                tenant_id = coalesce(excluded.tenant_id, mirror.tenant_id),
                customer_id = excluded.customer_id,
                status = excluded.status,
                subtotal = excluded.subtotal,
                tax_rate = excluded.tax_rate,
                tax_amount = excluded.tax_amount,
                taxes = excluded.taxes,
                total = excluded.total,
                currency = excluded.currency,
                due_date = excluded.due_date,
                paid_date = excluded.paid_date,
                stripe_subscription_id = excluded.stripe_subscription_id,
                stripe_customer_id = coalesce(excluded.stripe_customer_id, mirror.stripe_customer_id),
                stripe_number = excluded.stripe_number,
                stripe_status = excluded.stripe_status,
                billing_reason = excluded.billing_reason,
                collection_method = excluded.collection_method,
                auto_advance = excluded.auto_advance,
                finalization_error = excluded.finalization_error,
                finalized_at = excluded.finalized_at,
                voided_at = excluded.voided_at,
                due_at = excluded.due_at,
                amount_invoiced = excluded.amount_invoiced,
                amount_due = excluded.amount_due,
                amount_paid = excluded.amount_paid,
                amount_remaining = excluded.amount_remaining,
                period_start = excluded.period_start,
                period_end = excluded.period_end,
                attempt_count = excluded.attempt_count,
                next_payment_attempt = excluded.next_payment_attempt,
                hosted_invoice_url = excluded.hosted_invoice_url,
                invoice_pdf = excluded.invoice_pdf,
                stripe_as_of_since = excluded.stripe_as_of_since,
                stripe_as_of = excluded.stripe_as_of,
                stripe_event_id = excluded.stripe_event_id,
                updated_at = now()
            WHERE mirror.stripe_as_of < excluded.stripe_as_of_since
              AND coalesce(mirror.stripe_subscription_id, excluded.stripe_subscription_id) = excluded.stripe_subscription_id
              AND mirror.stripe_payment_intent_id IS NULL
              -- an older one that was written off is owed again without it
              AND (mirror.stripe_status <> 'paid' OR excluded.stripe_status = 'paid')
            RETURNING
                mirror.stripe_invoice_id AS object_id,
                mirror.stripe_status = 'paid' AND mirror.amount_paid > 0 AS awaits_payment
        ),
        awaited AS (
            INSERT INTO stripe_refetches (object_id, object_type, reason, next_attempt_at)
            SELECT
                b.object_id,
                'invoice',
                'awaited',
                now() + interval '1 minute'
            FROM billed AS b
            WHERE b.awaits_payment
            ON CONFLICT (object_id) DO UPDATE
            -- a question of a tie is dropped once a later second has come; this one stays
            SET tied_at = NULL
            WHERE stripe_refetches.tied_at IS NOT NULL
        )
        SELECT array_agg(b.object_id) INTO billed
        FROM billed AS b;
        IF jsonb_path_exists(bills, '$[*].taxes[*].tax_rate') THEN
            PERFORM billing_request_tax_rates_v1(bills);
        END IF;
        bills := CASE
            WHEN cardinality(billed) IS DISTINCT FROM jsonb_array_length(bills)
                THEN billing_without_objects_v1(bills, billed)
        END;
    END IF;
    IF renewals IS NOT NULL THEN
        WITH renewed AS (
            UPDATE subscriptions AS mirror
            SET stripe_status = s.stripe_status,
                collection_paused = s.collection_paused,
                collection_behavior = s.collection_behavior,
                stripe_schedule_id = s.stripe_schedule_id,
                pending_update_expires_at = s.pending_update_expires_at,
                currency = s.currency,
                amount = s.amount,
                price = least(s.price, 99999999.99),
                next_due_date = s.current_period_end::date,
                current_period_start = s.current_period_start,
                current_period_end = s.current_period_end,
                started_at = s.started_at,
                trial_end = s.trial_end,
                cancel_at_period_end = s.cancel_at_period_end,
                cancel_at = s.cancel_at,
                canceled_at = s.canceled_at,
                ended_at = s.ended_at,
                cancellation_reason = s.cancellation_reason,
                cancellation_feedback = s.cancellation_feedback,
                stripe_as_of_since = s.since,
                stripe_as_of = s.as_of,
                stripe_event_id = s.event_id,
                updated_at = now()
            FROM jsonb_populate_recordset(
                NULL::billing_subscription_snapshot, renewals
            ) AS s
            WHERE mirror.stripe_subscription_id = s.object_id
              AND mirror.stripe_as_of < s.since
              AND mirror.customer_id IS NOT NULL
              AND mirror.stripe_customer_id = s.stripe_customer_id
              AND mirror.entitlement = billing_subscription_entitlement_v1(s, mirror.entitlement)
              -- the rows of the same items at the same prices; an item that Stripe does not have has no id
              AND (
                  SELECT
                      count(*) = jsonb_array_length(s.entitled_items)
                      AND bool_and(s.entitled_items @> jsonb_build_array(jsonb_build_object(
                          'item', item.stripe_subscription_item_id,
                          'price', item.stripe_price_id
                      )))
                  FROM subscription_items AS item
                  WHERE item.subscription_id = mirror.id
              )
              -- a renewal has none: these have ended
              AND NOT EXISTS (
                  SELECT 1
                  FROM subscription_discounts AS discount
                  WHERE discount.subscription_id = mirror.id
              )
              -- of an erased customer the inbox keeps no payload
              AND NOT EXISTS (
                  SELECT 1
                  FROM billing_erasures AS erased
                  WHERE erased.identifier = s.stripe_customer_id
              )
            RETURNING
                s.object_id,
                s.items
        ),
        itemised AS (
            UPDATE subscription_items AS mirror
            SET price_id = i.price_id,
                quantity = i.quantity,
                stripe_product_id = i.stripe_product_id,
                unit_amount = i.unit_amount,
                currency = i.currency,
                recurring_interval = i.recurring_interval,
                interval_count = i.interval_count,
                current_period_start = i.current_period_start,
                current_period_end = i.current_period_end,
                updated_at = now()
            FROM (
                SELECT
                    listed.*,
                    (
                        SELECT p.id
                        FROM prices AS p
                        WHERE p.stripe_price_id = listed.stripe_price_id
                    ) AS price_id
                FROM renewed AS r
                CROSS JOIN LATERAL jsonb_populate_recordset(
                    NULL::billing_subscription_item_snapshot, r.items
                ) AS listed
                OFFSET 0
            ) AS i
            WHERE mirror.stripe_subscription_item_id = i.stripe_subscription_item_id
              AND (
                  mirror.price_id,
                  mirror.stripe_product_id,
                  mirror.quantity,
                  mirror.unit_amount,
                  mirror.currency,
                  mirror.recurring_interval,
                  mirror.interval_count,
                  mirror.current_period_start,
                  mirror.current_period_end
              ) IS DISTINCT FROM (
                  i.price_id,
                  i.stripe_product_id,
                  i.quantity,
                  i.unit_amount,
                  i.currency,
                  i.recurring_interval,
                  i.interval_count,
                  i.current_period_start,
                  i.current_period_end
              )
        )
        SELECT array_agg(r.object_id) INTO renewed
        FROM renewed AS r;
        renewals := CASE
            WHEN cardinality(renewed) IS DISTINCT FROM jsonb_array_length(renewals)
                THEN billing_without_objects_v1(renewals, renewed)
        END;
    END IF;
    IF bills IS NOT NULL THEN
        invoices := coalesce(invoices, '[]') || bills;
    END IF;
    IF renewals IS NOT NULL THEN
        subscriptions := coalesce(subscriptions, '[]') || renewals;
    END IF;
    IF coalesce(customers, charges, refunds, payments, invoices, subscriptions, sessions) IS NOT NULL THEN
        applied := billing_apply_snapshots_v1(
            customers, charges, refunds, payments, invoices, subscriptions, sessions, headers, waits
        );
    END IF;
    done := billed || renewed || applied;
    IF cardinality(done) > 0 THEN
        RETURN QUERY
        INSERT INTO stripe_events AS kept (
            id,
            type,
            api_version,
            created,
            livemode,
            object_id,
            payload,
            status,
            reason,
            applied_at
        )
        SELECT
            e.id,
            e.type,
            e.api_version,
            e.created::timestamptz,
            billing_receive_events_v3.livemode,
            e.object_id,
            CASE
                WHEN (SELECT EXISTS (SELECT 1 FROM billing_erasures)) THEN billing_kept_payload_v1(e.payload::jsonb)
                ELSE e.payload::jsonb
            END,
            e.status,
            e.reason,
            CASE WHEN e.status <> 'ignored' THEN now() END
        FROM unnest(
            ids, types, api_versions, createds, object_ids, statuses, reasons, payloads
        ) AS e (id, type, api_version, created, object_id, status, reason, payload)
        WHERE e.object_id = ANY(done)
        RETURNING
            kept.id,
            kept.status,
            NULL::timestamptz,
            NULL::timestamptz,
            NULL,
            NULL,
            NULL::jsonb,
            -- as billing_stored_rows_v1 has it of what was written now of mPanel's tables
            CASE WHEN kept.status = 'applied' THEN localtimestamp::text END,
            NULL::jsonb;
    END IF;
    IF coalesce(cardinality(done), 0) + coalesce(cardinality(barred), 0) < cardinality(ids) THEN
        RETURN QUERY
        SELECT
            e.id,
            'left',
            stored.since,
            stored.as_of,
            stored.event_id,
            stored.event_type,
            stored.payload,
            stored.seen,
            stored.facts
        FROM unnest(ids, object_ids) AS e (id, object_id)
        LEFT JOIN billing_stored_rows_v1(
            billing_without_objects_v1(customers, done),
            billing_without_objects_v1(charges, done),
            billing_without_objects_v1(refunds, done),
            billing_without_objects_v1(payments, done),
            billing_without_objects_v1(invoices, done),
            billing_without_objects_v1(subscriptions, done),
            billing_without_objects_v1(sessions, done)
        ) AS stored
            ON stored.object_id = e.object_id
        WHERE (e.object_id = ANY(done || barred)) IS NOT TRUE;
    END IF;
END
$_$;
COMMENT ON FUNCTION billing_receive_events_v3(keys text[], holders text[], waits boolean, livemode boolean, ids text[], types text[], api_versions text[], createds text[], object_ids text[], statuses text[], reasons text[], payloads text[], customers jsonb, charges jsonb, refunds jsonb, payments jsonb, bills jsonb, invoices jsonb, renewals jsonb, subscriptions jsonb, sessions jsonb, headers jsonb) IS 'Keeps and applies the events whose order is clear or was decided, with all that follows; returns what became of each, and what is stored where it was left';

CREATE FUNCTION billing_record_additions(version text) RETURNS void
    LANGUAGE sql
    AS $$
    -- What this transaction has added to the catalog. Comparing before and after would also count
    -- what mPanel adds in the meantime, in a session of its own.
    INSERT INTO billing_schema_objects (migration, table_name, column_name)
    SELECT
        version,
        added_table.relname,
        CASE WHEN first_column.xmin <> pg_current_xact_id()::xid THEN added.attname END
    FROM pg_attribute AS added
    JOIN pg_class AS added_table
        ON added_table.oid = added.attrelid
    JOIN pg_attribute AS first_column
        ON first_column.attrelid = added.attrelid
        AND first_column.attnum = 1
    WHERE added_table.relnamespace = current_schema()::regnamespace
      AND added_table.relkind = 'r'
      AND added.attnum > 0
      AND NOT added.attisdropped
      AND added.xmin = pg_current_xact_id()::xid
      AND (added.attnum = 1 OR first_column.xmin <> pg_current_xact_id()::xid)
    ORDER BY added.attrelid, added.attnum;
$$;
COMMENT ON FUNCTION billing_record_additions(version text) IS 'Records the tables and columns that this transaction has added';

CREATE FUNCTION billing_record_message(message_type text, object text, transition text, is_live boolean, subscription uuid, customer uuid, occurred timestamp with time zone, content jsonb) RETURNS void
    LANGUAGE sql
    AS $$
    WITH recorded AS (
        INSERT INTO billing_messages AS m (
            id, type, object_id, transition, livemode, subscription_id, customer_id, occurred_at, data
        )
        SELECT
            'msg_' || left(
                encode(sha256(convert_to(concat_ws(' ', message_type, object, transition), 'UTF8')), 'hex'), 32
            ),
            message_type,
            object,
            transition,
            is_live,
            subscription,
            customer,
            occurred,
            content
        WHERE occurred > now() - interval '3 days'
          AND current_setting('mpanel_billing.messages', TRUE) IS DISTINCT FROM 'off'
          AND EXISTS (SELECT 1 FROM billing_receivers AS r WHERE r.livemode = is_live)
        ON CONFLICT (id) DO UPDATE
        -- what was before the transaction stays
        SET data = excluded.data || CASE
            WHEN m.data ? 'before' THEN jsonb_build_object('before', m.data -> 'before')
            ELSE '{}'
        END
        WHERE m.created_at = now()
          AND m.addressed_at IS NULL
        RETURNING m.id
    )
    SELECT pg_notify('billing_messages', '')
    FROM recorded
$$;
COMMENT ON FUNCTION billing_record_message(message_type text, object text, transition text, is_live boolean, subscription uuid, customer uuid, occurred timestamp with time zone, content jsonb) IS 'Records a transition once, for those who are told';

CREATE FUNCTION billing_record_noted_v1() RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
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

CREATE FUNCTION billing_record_revenue() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM
        set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE),
        set_config('mpanel_billing.revenue_is_noted', 'off', TRUE);
    IF to_regprocedure('billing_record_noted_v1()') IS NOT NULL THEN
        PERFORM billing_record_noted_v1();
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_record_revenue() IS 'Keeps the ledger of the subscriptions whose revenue a transaction may have changed, with the rights of its owner';

CREATE FUNCTION billing_record_revenue_v1(of_subscription uuid) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_variable
DECLARE
    seen billing_subscription_snapshot;
    seen_state jsonb;
    learned boolean := FALSE;
BEGIN
    SELECT
        s.stripe_subscription_id,
        s.livemode,
        s.stripe_status,
        s.started_at,
        s.trial_end,
        s.ended_at,
        s.stripe_as_of,
        s.stripe_event_id,
        stored.state
    INTO
        seen.object_id,
        seen.livemode,
        seen.stripe_status,
        seen.started_at,
        seen.trial_end,
        seen.ended_at,
        seen.as_of,
        seen.event_id,
        seen_state
    FROM subscriptions AS s
    CROSS JOIN LATERAL billing_stored_revenue_state_v2(s.id, s.currency) AS stored
    WHERE s.id = of_subscription
      AND s.stripe_as_of IS NOT NULL;
    IF NOT FOUND THEN
        SELECT
            r.livemode,
            greatest(r.at, now()),
            r.state
        INTO
            seen.livemode,
            seen.as_of,
            seen_state
        FROM billing_revenue_states AS r
        WHERE r.subscription_id = of_subscription
        ORDER BY r.at DESC
        LIMIT 1;
        IF NOT FOUND THEN
            RETURN;
        END IF;
    ELSIF seen_state -> 'discounts' <> '[]' THEN
        INSERT INTO billing_discount_terms AS t (
            subscription_id,
            stripe_discount_id,
            percent_off,
            amount_off,
            currency,
            duration,
            stripe_product_ids,
            ends_at
        )
        SELECT DISTINCT ON (d.stripe_discount_id)
            d.subscription_id,
            d.stripe_discount_id,
            d.percent_off,
            d.amount_off,
            d.currency,
            d.duration,
            d.stripe_product_ids,
            d.ends_at
        FROM subscription_discounts AS d
        WHERE d.subscription_id = of_subscription
          AND d.duration IS NOT NULL
        ORDER BY d.stripe_discount_id
        ON CONFLICT (subscription_id, stripe_discount_id) DO UPDATE
        SET percent_off = excluded.percent_off,
            amount_off = excluded.amount_off,
            currency = excluded.currency,
            duration = excluded.duration,
            stripe_product_ids = excluded.stripe_product_ids,
            ends_at = excluded.ends_at
        WHERE (t.percent_off, t.amount_off, t.currency, t.duration, t.stripe_product_ids, t.ends_at) IS DISTINCT FROM (
            excluded.percent_off,
            excluded.amount_off,
            excluded.currency,
            excluded.duration,
            excluded.stripe_product_ids,
            excluded.ends_at
        );
        learned := FOUND;
    END IF;
    IF billing_observe_revenue_v1(of_subscription, seen, seen_state, FALSE) OR learned THEN
        PERFORM billing_enter_mrr_v1(of_subscription);
    END IF;
END
$$;
COMMENT ON FUNCTION billing_record_revenue_v1(of_subscription uuid) IS 'Brings the ledger in line with a subscription as it is mirrored now';

CREATE FUNCTION billing_refunded_status_v1(status text, invoiced bigint, given_back numeric) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE
        WHEN status NOT IN ('paid', 'refunded') THEN status
        WHEN invoiced > 0 AND given_back >= invoiced THEN 'refunded'
        ELSE 'paid'
    END
$$;
COMMENT ON FUNCTION billing_refunded_status_v1(status text, invoiced bigint, given_back numeric) IS 'mPanel''s status of an invoice, of which so many minor units were given back';

CREATE FUNCTION billing_renewal_after_v1(term_start timestamp with time zone, term_end timestamp with time zone, months integer, not_before timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE
        WHEN term_end >= not_before THEN term_end
        ELSE (
            SELECT min(renewal.at)
            FROM (
                SELECT CASE
                    WHEN extract(day FROM term_start) > extract(day FROM term_end) THEN term_start
                    ELSE term_end
                END AS at
            ) AS anchor
            CROSS JOIN generate_series(
                0,
                2 + ceil(extract(epoch FROM not_before - term_end) / 86400 / 28 / months)::integer
            ) AS terms
            CROSS JOIN LATERAL (SELECT anchor.at + make_interval(months => months * terms) AS at) AS renewal
            WHERE renewal.at >= not_before
        )
    END
$$;
COMMENT ON FUNCTION billing_renewal_after_v1(term_start timestamp with time zone, term_end timestamp with time zone, months integer, not_before timestamp with time zone) IS 'The first renewal of a term of some months that is not before a time';

CREATE FUNCTION billing_renewal_price_v1(of_name text, in_currency text) RETURNS bigint
    LANGUAGE sql STABLE
    AS $$
    SELECT p.unit_amount
    FROM products AS product
    JOIN prices AS p
        ON p.product_id = product.id
        AND p.active
        AND p.currency = in_currency
        AND p.billing_cycle IS NULL
        AND (p.purpose = 'renewal' OR p.purpose IS NULL)
    WHERE product.code = 'domain-' || substr(of_name, strpos(of_name, '.') + 1)
      AND product.kind = 'domain'
    ORDER BY p.purpose IS NULL
    LIMIT 1
$$;
COMMENT ON FUNCTION billing_renewal_price_v1(of_name text, in_currency text) IS 'What a further year of a domain costs by the catalogue; null: it is not sold';

CREATE FUNCTION billing_request_refetches_v1(requests jsonb) RETURNS TABLE(object_id text, version bigint, delay_seconds double precision)
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    INSERT INTO stripe_refetches AS r (object_id, object_type, reason, version, tied_at, next_attempt_at)
    SELECT
        q.object_id,
        q.object_type,
        q.reason,
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        q.tied_at,
        now() + interval '1 minute'
    FROM jsonb_to_recordset(billing_request_refetches_v1.requests) AS q (
        object_id text, object_type text, reason text, tied_at timestamptz
    )
    ON CONFLICT (object_id) DO UPDATE
    SET version = CASE
            WHEN r.leased_until IS NULL AND r.last_error IS NULL AND r.reason <> 'awaited' THEN r.version
            ELSE r.version + 1
        END,
        reason = excluded.reason,
        -- whatever is asked in any case stays so
        tied_at = CASE
            WHEN r.tied_at IS NOT NULL AND excluded.tied_at IS NOT NULL
                THEN greatest(r.tied_at, excluded.tied_at)
        END,
        attempts = 0
    RETURNING
        r.object_id,
        r.version,
        CASE
            -- OFFSET 0 keeps these look-ups; else all subscriptions may be hashed
            WHEN r.tied_at IS NULL THEN 0.0
            WHEN r.object_type = 'checkout.session' THEN 0.0
            WHEN EXISTS (
                SELECT 1
                FROM subscriptions AS s
                WHERE s.stripe_subscription_id = r.object_id
                  AND s.status NOT IN ('active', 'cancelled')
                OFFSET 0
            ) THEN 0.0
            WHEN EXISTS (
                SELECT 1
                FROM invoices AS i
                JOIN subscriptions AS s
                    ON s.stripe_subscription_id = i.stripe_subscription_id
                WHERE i.stripe_invoice_id = r.object_id
                  AND s.status NOT IN ('active', 'cancelled')
                OFFSET 0
            ) THEN 0.0
            ELSE 2.0
        END::double precision AS delay_seconds;
END
$$;
COMMENT ON FUNCTION billing_request_refetches_v1(requests jsonb) IS 'Requests that objects are fetched from Stripe; returns the versions of the requests, and the seconds until they are due';

CREATE FUNCTION billing_request_tax_rates_v1(snapshots jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
#variable_conflict use_column
BEGIN
    INSERT INTO stripe_refetches (object_id, object_type, reason, version)
    SELECT
        named.id,
        'tax_rate',
        'unknown tax rate',
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    FROM (
        SELECT DISTINCT found #>> '{}' AS id
        FROM jsonb_path_query(billing_request_tax_rates_v1.snapshots, '$[*].taxes[*].tax_rate ? (@ != null)') AS found
        ORDER BY id
    ) AS named
    WHERE NOT EXISTS (
        SELECT 1
        FROM stripe_tax_rates AS known
        WHERE known.stripe_tax_rate_id = named.id
        OFFSET 0
    )
    ON CONFLICT (object_id) DO NOTHING;
END
$_$;
COMMENT ON FUNCTION billing_request_tax_rates_v1(snapshots jsonb) IS 'Requests the tax rates that snapshots of invoices or credit notes name and that are not mirrored';

CREATE FUNCTION billing_revenue_item_v1(item text, product text, amount bigint, quantity bigint, currency text, term text, terms integer) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_build_object(
        'item', item,
        'product', product,
        'amount', amount,
        'quantity', quantity,
        'currency', currency,
        'interval', term,
        'count', terms
    )
$$;
COMMENT ON FUNCTION billing_revenue_item_v1(item text, product text, amount bigint, quantity bigint, currency text, term text, terms integer) IS 'An item, as far as the revenue depends on it';

CREATE FUNCTION billing_revenue_items_v1(state jsonb) RETURNS TABLE(place bigint, item text, product text, currency text, amount numeric, months numeric)
    LANGUAGE sql STABLE
    AS $$
    SELECT
        i.place,
        i.item,
        i.product,
        i.currency,
        i.amount,
        i.months
    FROM (
        SELECT
            listed.place,
            listed.item ->> 'item' AS item,
            listed.item ->> 'product' AS product,
            listed.item ->> 'currency' AS currency,
            coalesce((listed.item ->> 'amount')::numeric * (listed.item ->> 'quantity')::numeric, 0) AS amount,
            ((listed.item ->> 'count')::integer * CASE listed.item ->> 'interval'
                WHEN 'year' THEN 12
                WHEN 'month' THEN 1
                WHEN 'week' THEN 12 / 52.0
                WHEN 'day' THEN 12 / 365.0
            END)::numeric AS months
        FROM jsonb_array_elements(state -> 'items') WITH ORDINALITY AS listed (item, place)
    ) AS i
    WHERE i.months IS NOT NULL
$$;
COMMENT ON FUNCTION billing_revenue_items_v1(state jsonb) IS 'What the items of a state of a subscription are charged each term, and how many months it has';

CREATE FUNCTION billing_revenue_of_v1(of_subscription uuid, state jsonb, moment timestamp with time zone) RETURNS TABLE(currency text, amount numeric)
    LANGUAGE plpgsql STABLE ROWS 1
    AS $$
#variable_conflict use_column
DECLARE
    term record;
    discount record;
    amounts numeric[];
    eligible numeric[];
    whole numeric;
    taken numeric;
BEGIN
    FOR term IN
        SELECT
            i.months,
            i.months = min(i.months) OVER () AS is_most_frequent,
            array_agg(i.item ORDER BY i.place) AS items,
            array_agg(i.product ORDER BY i.place) AS products,
            array_agg(i.currency ORDER BY i.place) AS currencies,
            array_agg(i.amount ORDER BY i.place) AS amounts
        FROM billing_revenue_items_v1(state) AS i
        GROUP BY i.months
    LOOP
        amounts := term.amounts;
        FOR discount IN
            SELECT
                listed.discount ->> 'item' AS item,
                t.stripe_product_ids,
                t.percent_off,
                t.amount_off,
                state ->> 'currency' AS currency
            FROM jsonb_array_elements(state -> 'discounts') WITH ORDINALITY AS listed (discount, position)
            JOIN billing_discount_terms AS t
                ON t.subscription_id = of_subscription
                AND t.stripe_discount_id = listed.discount ->> 'discount'
            WHERE (t.ends_at IS NULL OR t.ends_at > moment)
              AND t.duration IS DISTINCT FROM 'once'
              AND (t.percent_off IS NOT NULL OR (t.currency = state ->> 'currency' AND term.is_most_frequent))
            ORDER BY listed.position
        LOOP
            SELECT
                array_agg(
                    CASE
                        WHEN (discount.item IS NULL OR discount.item = charged.item)
                            AND (discount.stripe_product_ids IS NULL OR charged.product = ANY(discount.stripe_product_ids))
                            THEN greatest(charged.amount, 0)
                        ELSE 0
                    END
                    ORDER BY charged.position
                )
            INTO eligible
            FROM unnest(term.items, term.products, amounts) WITH ORDINALITY AS charged (item, product, amount, position);
            SELECT sum(each.amount) INTO whole FROM unnest(eligible) AS each (amount);
            CONTINUE WHEN coalesce(whole, 0) = 0;
            taken := coalesce(
                billing_chargeable_v1(whole * discount.percent_off / 100, discount.currency),
                least(discount.amount_off, whole)
            );
            SELECT array_agg(charged.amount - taken * charged.eligible / whole ORDER BY charged.position)
            INTO amounts
            FROM unnest(amounts, eligible) WITH ORDINALITY AS charged (amount, eligible, position);
        END LOOP;
        RETURN QUERY
        SELECT
            charged.currency,
            sum(charged.amount / term.months)
        FROM unnest(term.currencies, amounts) AS charged (currency, amount)
        GROUP BY charged.currency;
    END LOOP;
END
$$;
COMMENT ON FUNCTION billing_revenue_of_v1(of_subscription uuid, state jsonb, moment timestamp with time zone) IS 'What a state of a subscription adds to the monthly recurring revenue at a time: minor units, not rounded';

CREATE FUNCTION billing_revenue_parts_v1(of_subscription uuid, state jsonb, moment timestamp with time zone) RETURNS TABLE(currency text, product text, discount text, amount numeric)
    LANGUAGE plpgsql STABLE ROWS 2
    AS $$
#variable_conflict use_column
DECLARE
    term record;
    applied record;
    amounts numeric[];
    remaining numeric[];
    eligible numeric[];
    whole numeric;
    taken numeric;
BEGIN
    FOR term IN
        SELECT
            i.months,
            i.months = min(i.months) OVER () AS is_most_frequent,
            array_agg(i.item ORDER BY i.place) AS items,
            array_agg(i.product ORDER BY i.place) AS products,
            array_agg(i.currency ORDER BY i.place) AS currencies,
            array_agg(i.amount ORDER BY i.place) AS amounts
        FROM billing_revenue_items_v1(state) AS i
        GROUP BY i.months
    LOOP
        amounts := term.amounts;
        FOR applied IN
            SELECT
                listed.discount ->> 'discount' AS id,
                listed.discount ->> 'item' AS item,
                t.stripe_product_ids,
                t.percent_off,
                t.amount_off,
                state ->> 'currency' AS currency
            FROM jsonb_array_elements(state -> 'discounts') WITH ORDINALITY AS listed (discount, position)
            JOIN billing_discount_terms AS t
                ON t.subscription_id = of_subscription
                AND t.stripe_discount_id = listed.discount ->> 'discount'
            WHERE (t.ends_at IS NULL OR t.ends_at > moment)
              AND t.duration IS DISTINCT FROM 'once'
              AND (t.percent_off IS NOT NULL OR (t.currency = state ->> 'currency' AND term.is_most_frequent))
            ORDER BY listed.position
        LOOP
            SELECT
                array_agg(
                    CASE
                        WHEN (applied.item IS NULL OR applied.item = charged.item)
                            AND (applied.stripe_product_ids IS NULL OR charged.product = ANY(applied.stripe_product_ids))
                            THEN greatest(charged.amount, 0)
                        ELSE 0
                    END
                    ORDER BY charged.position
                )
            INTO eligible
            FROM unnest(term.items, term.products, amounts) WITH ORDINALITY AS charged (item, product, amount, position);
            SELECT coalesce(sum(each.amount), 0) INTO whole FROM unnest(eligible) AS each (amount);
            remaining := amounts;
            IF whole <> 0 THEN
                taken := coalesce(
                    billing_chargeable_v1(whole * applied.percent_off / 100, applied.currency),
                    least(applied.amount_off, whole)
                );
                SELECT array_agg(charged.amount - taken * charged.eligible / whole ORDER BY charged.position)
                INTO remaining
                FROM unnest(amounts, eligible) WITH ORDINALITY AS charged (amount, eligible, position);
            END IF;
            RETURN QUERY
            SELECT
                charged.currency,
                charged.product,
                applied.id,
                charged.amount / term.months - charged.remaining / term.months
            FROM unnest(term.currencies, term.products, amounts, remaining) AS charged (currency, product, amount, remaining);
            amounts := remaining;
        END LOOP;
        RETURN QUERY
        SELECT
            charged.currency,
            charged.product,
            NULL::text,
            charged.amount / term.months
        FROM unnest(term.currencies, term.products, amounts) AS charged (currency, product, amount);
    END LOOP;
END
$$;
COMMENT ON FUNCTION billing_revenue_parts_v1(of_subscription uuid, state jsonb, moment timestamp with time zone) IS 'What each item of a subscription adds to the monthly recurring revenue, and what each discount takes off it: minor units, not rounded';

CREATE FUNCTION billing_revenue_state_v1(in_currency text, items jsonb, discounts jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_build_object(
        'currency', in_currency,
        'items', coalesce((
            SELECT jsonb_agg(
                billing_revenue_item_v1(
                    i.stripe_subscription_item_id,
                    i.stripe_product_id,
                    i.unit_amount,
                    i.quantity,
                    i.currency,
                    i.recurring_interval,
                    i.interval_count
                )
                ORDER BY i.stripe_subscription_item_id
            )
            FROM jsonb_populate_recordset(NULL::billing_subscription_item_snapshot, items) AS i
        ), '[]'),
        'discounts', coalesce((
            SELECT jsonb_agg(
                jsonb_build_object('discount', d.stripe_discount_id, 'item', d.stripe_subscription_item_id)
                ORDER BY d.position, d.stripe_discount_id
            )
            FROM jsonb_to_recordset(discounts) AS d (
                stripe_discount_id text,
                stripe_subscription_item_id text,
                position integer
            )
        ), '[]')
    )
$$;
COMMENT ON FUNCTION billing_revenue_state_v1(in_currency text, items jsonb, discounts jsonb) IS 'What the revenue of a subscription depends on, from its items and discounts';

CREATE FUNCTION billing_revert_additions(version text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    entry record;
BEGIN
    FOR entry IN
        SELECT o.id, o.table_name, o.column_name
        FROM billing_schema_objects AS o
        WHERE o.migration = version
        ORDER BY o.id DESC
    LOOP
        IF entry.column_name IS NULL THEN
            EXECUTE format('DROP TABLE %I', entry.table_name);
        ELSE
            EXECUTE format('ALTER TABLE %I DROP COLUMN %I', entry.table_name, entry.column_name);
        END IF;
        DELETE FROM billing_schema_objects WHERE id = entry.id;
    END LOOP;
END
$$;
COMMENT ON FUNCTION billing_revert_additions(version text) IS 'Drops what the migration added according to the ledger, newest first';

CREATE FUNCTION billing_stored_revenue_state_v2(of_subscription uuid, in_currency text) RETURNS TABLE(state jsonb)
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_build_object(
        'currency', in_currency,
        'items', coalesce((
            SELECT jsonb_agg(
                billing_revenue_item_v1(
                    i.stripe_subscription_item_id,
                    i.stripe_product_id,
                    i.unit_amount,
                    i.quantity,
                    i.currency,
                    i.recurring_interval,
                    i.interval_count
                )
                ORDER BY i.stripe_subscription_item_id
            )
            FROM subscription_items AS i
            WHERE i.subscription_id = of_subscription
        ), '[]'),
        'discounts', coalesce((
            SELECT jsonb_agg(
                jsonb_build_object('discount', d.stripe_discount_id, 'item', d.stripe_subscription_item_id)
                ORDER BY d.position, d.stripe_discount_id
            )
            FROM subscription_discounts AS d
            WHERE d.subscription_id = of_subscription
        ), '[]')
    )
$$;
COMMENT ON FUNCTION billing_stored_revenue_state_v2(of_subscription uuid, in_currency text) IS 'What the revenue of a subscription depends on, from its rows';

CREATE FUNCTION billing_stored_rows_v1(customers jsonb, charges jsonb, refunds jsonb, payments jsonb, invoices jsonb, subscriptions jsonb, sessions jsonb) RETURNS TABLE(object_id text, since timestamp with time zone, as_of timestamp with time zone, event_id text, event_type text, payload jsonb, seen text, facts jsonb)
    LANGUAGE plpgsql STABLE
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT
        stored.object_id,
        stored.since,
        stored.as_of,
        stored.event_id,
        e.type,
        e.payload,
        CASE WHEN stored.as_of IS NOT NULL THEN stored.seen END,
        stored.facts
    FROM (
        SELECT
            i.object_id,
            i.since AS told_since,
            mirror.stripe_as_of_since AS since,
            mirror.stripe_as_of AS as_of,
            mirror.stripe_event_id AS event_id,
            mirror.updated_at::text AS seen,
            jsonb_build_object('deleted', mirror.deleted) AS facts
        FROM jsonb_to_recordset(billing_stored_rows_v1.customers) AS i (object_id text, since timestamptz)
        JOIN stripe_customers AS mirror
            ON mirror.id = i.object_id
            AND mirror.stripe_as_of IS NOT NULL
        UNION ALL
        SELECT
            i.object_id,
            i.since,
            mirror.stripe_as_of_since,
            mirror.stripe_as_of,
            mirror.stripe_event_id,
            mirror.updated_at::text,
            jsonb_build_object('status', mirror.status, 'amount_captured', mirror.amount_captured)
        FROM jsonb_to_recordset(billing_stored_rows_v1.charges) AS i (object_id text, since timestamptz)
        JOIN stripe_charges AS mirror
            ON mirror.stripe_charge_id = i.object_id
        UNION ALL
        SELECT
            i.object_id,
            i.since,
            mirror.stripe_as_of_since,
            mirror.stripe_as_of,
            mirror.stripe_event_id,
            mirror.updated_at::text,
            jsonb_build_object('status', mirror.status)
        FROM jsonb_to_recordset(billing_stored_rows_v1.refunds) AS i (object_id text, since timestamptz)
        JOIN stripe_refunds AS mirror
            ON mirror.stripe_refund_id = i.object_id
        UNION ALL
        SELECT
            i.object_id,
            i.since,
            mirror.stripe_as_of_since,
            mirror.stripe_as_of,
            mirror.stripe_event_id,
            mirror.updated_at::text,
            jsonb_build_object('status', mirror.status)
        FROM jsonb_to_recordset(billing_stored_rows_v1.payments) AS i (object_id text, since timestamptz)
        JOIN invoice_payments AS mirror
            ON mirror.stripe_invoice_payment_id = i.object_id
        UNION ALL
        SELECT
            i.object_id,
            i.since,
            mirror.stripe_as_of_since,
            mirror.stripe_as_of,
            mirror.stripe_event_id,
            mirror.updated_at::text,
            jsonb_build_object(
                'stripe_status', mirror.stripe_status,
                'attempt_count', mirror.attempt_count,
                'amount_paid', mirror.amount_paid
            )
        FROM jsonb_to_recordset(billing_stored_rows_v1.invoices) AS i (object_id text, since timestamptz)
        JOIN invoices AS mirror
            ON mirror.stripe_invoice_id = i.object_id
        UNION ALL
        SELECT
            i.object_id,
            i.since,
            placed.since,
            placed.as_of,
            placed.event_id,
            mirror.updated_at::text,
            jsonb_build_object(
                'stripe_status', placed.stripe_status,
                'subscription_id', placed.subscription_id,
                'customer_id', placed.customer_id,
                'deleted_id', placed.deleted_id,
                'order_is_missing', placed.order_is_missing
            )
        FROM jsonb_to_recordset(billing_stored_rows_v1.subscriptions) AS i (
            object_id text, since timestamptz, order_id uuid, stripe_customer_id text
        )
        CROSS JOIN LATERAL billing_place_subscription_v1(
            i.object_id, i.stripe_customer_id, i.order_id
        ) AS placed
        LEFT JOIN subscriptions AS mirror
            ON mirror.stripe_subscription_id = i.object_id
        UNION ALL
        SELECT
            i.object_id,
            i.since,
            placed.since,
            placed.as_of,
            placed.event_id,
            mirror.updated_at::text,
            jsonb_build_object(
                'status', placed.status,
                'payment_status', placed.payment_status,
                'subscription_id', placed.subscription_id,
                'attempt', placed.attempt,
                'order_stripe_subscription_id', placed.order_stripe_subscription_id
            )
        FROM jsonb_to_recordset(billing_stored_rows_v1.sessions) AS i (
            object_id text, since timestamptz, order_id uuid, attempt integer, stripe_customer_id text
        )
        CROSS JOIN LATERAL billing_place_session_v1(
            i.object_id, i.order_id, i.attempt, i.stripe_customer_id
        ) AS placed
        LEFT JOIN checkout_sessions AS mirror
            ON mirror.stripe_session_id = i.object_id
    ) AS stored
    LEFT JOIN stripe_events AS e
        ON e.id = stored.event_id
        AND stored.told_since <= stored.as_of;
END
$$;
COMMENT ON FUNCTION billing_stored_rows_v1(customers jsonb, charges jsonb, refunds jsonb, payments jsonb, invoices jsonb, subscriptions jsonb, sessions jsonb) IS 'What is stored of objects, to decide which snapshot is newer; the parameters are snapshots of each type';

CREATE FUNCTION billing_subscription_entitlement_v1(snapshot billing_subscription_snapshot, stored jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_build_object(
        'stripeStatus', snapshot.stripe_status,
        'pausedBy', snapshot.paused_by,
        'collectionPaused', snapshot.collection_paused,
        -- set to end before it is billed again; a later end leaves the invoice after a trial as it is
        'ending', snapshot.cancel_at_period_end
            OR (snapshot.cancel_at <= snapshot.current_period_end) IS TRUE,
        'trialEnd', snapshot.trial_end,
        'endedAt', CASE
            WHEN snapshot.stripe_status IN ('canceled', 'incomplete_expired')
                THEN coalesce(snapshot.ended_at, snapshot.canceled_at)
        END,
        'termStart', CASE
            WHEN snapshot.stripe_status IN ('past_due', 'unpaid') THEN snapshot.current_period_start
            WHEN snapshot.stripe_status = 'paused' THEN coalesce(snapshot.paused_at, snapshot.current_period_start)
        END,
        'items', CASE
            -- what an incomplete list leaves out may still be there: Stripe is asked for the rest
            WHEN snapshot.items_complete IS FALSE AND stored IS NOT NULL THEN stored -> 'items'
            ELSE coalesce(snapshot.entitled_items, '[]')
        END
    )
$$;
COMMENT ON FUNCTION billing_subscription_entitlement_v1(snapshot billing_subscription_snapshot, stored jsonb) IS 'What a subscription entitles to, as far as Stripe says; a change of this value makes work for provisioning';

CREATE FUNCTION billing_subscription_message(s subscriptions) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_build_object(
        'id', s.id,
        'stripeSubscriptionId', s.stripe_subscription_id,
        'status', s.status,
        'stripeStatus', s.stripe_status,
        'plan', (SELECT jsonb_build_object('code', p.code, 'name', p.name) FROM products AS p WHERE p.id = s.product_id),
        'addons', billing_addons_message(s.metadata -> 'addonIds'),
        'billingCycle', s.billing_cycle,
        'amount', s.amount,
        'currency', s.currency,
        'currentPeriodStart', s.current_period_start,
        'currentPeriodEnd', s.current_period_end,
        'trialEnd', s.trial_end,
        'cancelAtPeriodEnd', coalesce(s.cancel_at_period_end, FALSE),
        'cancelAt', s.cancel_at,
        'endedAt', s.ended_at
    )
$$;
COMMENT ON FUNCTION billing_subscription_message(s subscriptions) IS 'A subscription as messages tell it';

CREATE FUNCTION billing_subscription_revenue_v1(of_subscription uuid) RETURNS TABLE(livemode boolean, currency text, amount numeric, changes_at timestamp with time zone)
    LANGUAGE sql STABLE
    AS $$
    SELECT
        s.livemode,
        added.currency,
        sum(added.amount),
        (
            SELECT min(d.ends_at)
            FROM subscription_discounts AS d
            WHERE d.subscription_id = s.id
              AND d.ends_at > now()
        )
    FROM subscriptions AS s
    CROSS JOIN LATERAL billing_stored_revenue_state_v2(s.id, s.currency) AS stored
    CROSS JOIN LATERAL billing_revenue_of_v1(s.id, stored.state, now()) AS added
    WHERE s.id = of_subscription
      AND s.stripe_status IN ('active', 'past_due')
    GROUP BY s.id, s.livemode, added.currency
$$;
COMMENT ON FUNCTION billing_subscription_revenue_v1(of_subscription uuid) IS 'What a subscription adds to the monthly recurring revenue: minor units by currency, not rounded';

CREATE FUNCTION billing_subscription_revenue_v2(of_subscription uuid) RETURNS TABLE(livemode boolean, currency text, kind text, stripe_id text, customer_id uuid, amount numeric, taken_off numeric, ends_at timestamp with time zone, changes_at timestamp with time zone)
    LANGUAGE sql STABLE ROWS 3
    AS $$
    WITH parts AS MATERIALIZED (
        SELECT
            s.livemode,
            coalesce(s.customer_id, s.id) AS customer_id,
            part.currency,
            coalesce(part.product, '') AS product,
            part.discount,
            CASE WHEN part.discount IS NULL THEN part.amount ELSE 0 END AS amount,
            CASE WHEN part.discount IS NULL THEN 0 ELSE part.amount END AS taken_off
        FROM subscriptions AS s
        CROSS JOIN LATERAL billing_stored_revenue_state_v2(s.id, s.currency) AS stored
        CROSS JOIN LATERAL billing_revenue_parts_v1(s.id, stored.state, now()) AS part
        WHERE s.id = of_subscription
          AND s.stripe_status IN ('active', 'past_due')
    ),
    whole AS MATERIALIZED (
        SELECT
            p.livemode,
            p.currency,
            p.customer_id,
            sum(p.amount) AS amount,
            sum(p.taken_off) AS taken_off
        FROM parts AS p
        GROUP BY p.livemode, p.currency, p.customer_id
    )
    SELECT
        w.livemode,
        w.currency,
        'all',
        '',
        w.customer_id,
        w.amount,
        w.taken_off,
        NULL::timestamptz,
        (
            SELECT min(d.ends_at)
            FROM subscription_discounts AS d
            WHERE d.subscription_id = of_subscription
              AND d.ends_at > now()
        )
    FROM whole AS w
    UNION ALL
    SELECT
        p.livemode,
        p.currency,
        'product',
        p.product,
        p.customer_id,
        sum(p.amount),
        sum(p.taken_off),
        NULL,
        NULL
    FROM parts AS p
    GROUP BY p.livemode, p.currency, p.product, p.customer_id
    UNION ALL
    SELECT
        w.livemode,
        w.currency,
        'coupon',
        coalesce(d.stripe_coupon_id, ''),
        w.customer_id,
        w.amount,
        sum(p.taken_off),
        max(coalesce(d.ends_at, 'infinity')),
        NULL
    FROM parts AS p
    JOIN whole AS w
        ON w.currency = p.currency
    CROSS JOIN LATERAL (
        -- one discount may be on several items
        SELECT
            given.stripe_coupon_id,
            given.ends_at
        FROM subscription_discounts AS given
        WHERE given.subscription_id = of_subscription
          AND given.stripe_discount_id = p.discount
        LIMIT 1
    ) AS d
    GROUP BY w.livemode, w.currency, coalesce(d.stripe_coupon_id, ''), w.customer_id, w.amount
$$;
COMMENT ON FUNCTION billing_subscription_revenue_v2(of_subscription uuid) IS 'What a subscription adds to the monthly recurring revenue, of all, by product and by coupon: minor units, not rounded';

CREATE FUNCTION billing_suspension_message(subscription uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_build_object(
        'reason', max(w.decided_reason),
        'keptUntil', max(w.decided_until) FILTER (WHERE w.decided_reason = 'ended')
    )
    FROM provisioning_work AS w
    WHERE w.subscription_id = subscription
$$;
COMMENT ON FUNCTION billing_suspension_message(subscription uuid) IS 'Why the services of a subscription are suspended, as messages tell it';

CREATE FUNCTION billing_taken_back_v1(stripe_payment_intent_ids text[]) RETURNS TABLE(refunded bigint, disputed bigint, disputed_since timestamp with time zone)
    LANGUAGE sql STABLE
    AS $$
    SELECT
        coalesce((
            SELECT sum(r.amount)
            FROM stripe_refunds AS r
            WHERE r.stripe_payment_intent_id = ANY(billing_taken_back_v1.stripe_payment_intent_ids)
              AND r.status NOT IN ('failed', 'canceled')
        ), 0)::bigint,
        coalesce(taken.amount, 0)::bigint,
        taken.since
    FROM (
        -- the bank has the money: from the chargeback on, unless it is won
        SELECT
            sum(d.amount) AS amount,
            min(d.stripe_created) FILTER (WHERE d.waived_at IS NULL) AS since
        FROM stripe_disputes AS d
        WHERE d.stripe_payment_intent_id = ANY(billing_taken_back_v1.stripe_payment_intent_ids)
          AND d.status IN (
              'needs_response', 'under_review', 'appeal_needs_response', 'appeal_under_review', 'lost'
          )
    ) AS taken
$$;
COMMENT ON FUNCTION billing_taken_back_v1(stripe_payment_intent_ids text[]) IS 'What refunds, and disputes that are open or lost, have taken back of payments, in minor units';

CREATE FUNCTION billing_tax_id_of_v1(held text, former text, principal text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE
        WHEN billing_tax_id_of_v1.held IS NULL OR EXISTS (
            SELECT 1
            FROM stripe_tax_ids AS t
            WHERE t.stripe_customer_id IN (billing_tax_id_of_v1.former, billing_tax_id_of_v1.principal)
              AND left(t.value, 100) = billing_tax_id_of_v1.held
        ) THEN (
            SELECT left(t.value, 100)
            FROM stripe_tax_ids AS t
            WHERE t.stripe_customer_id = billing_tax_id_of_v1.principal
              AND NOT t.deleted
            ORDER BY t.stripe_created DESC, t.stripe_tax_id_id DESC
            LIMIT 1
        )
        ELSE billing_tax_id_of_v1.held
    END
$$;
COMMENT ON FUNCTION billing_tax_id_of_v1(held text, former text, principal text) IS 'The tax id of a customer record that gets another principal Stripe customer';

CREATE FUNCTION billing_tell_credit_note() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'credit_note.' || told.type, NEW.stripe_credit_note_id, told.type, NEW.livemode, NULL, NULL,
        CASE WHEN TG_OP = 'INSERT' THEN NEW.stripe_created ELSE now() END,
        jsonb_build_object('creditNote', jsonb_build_object(
            'stripeCreditNoteId', NEW.stripe_credit_note_id,
            'stripeInvoiceId', NEW.stripe_invoice_id,
            'number', NEW.stripe_number,
            'status', NEW.status,
            'amount', NEW.amount,
            'amountBeforePayment', NEW.amount_before_payment,
            'amountRefunded', NEW.amount_refunded,
            'amountToBalance', NEW.amount_to_balance,
            'amountOutOfBand', NEW.amount_out_of_band,
            'currency', NEW.currency,
            'reason', NEW.reason,
            'pdf', NEW.pdf
        ))
    )
    FROM (
        VALUES
            ('created', TG_OP = 'INSERT'),
            ('voided', NEW.status = 'void')
    ) AS told (type, happened)
    WHERE told.happened;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_credit_note() IS 'Records the transitions of a credit note';

CREATE FUNCTION billing_tell_dispute() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
DECLARE
    status_before text := '';
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF TG_OP = 'UPDATE' THEN
        status_before := OLD.status;
    END IF;
    PERFORM billing_record_message(
        'dispute.' || told.type, NEW.stripe_dispute_id, told.version, NEW.livemode, NULL, NULL,
        CASE WHEN TG_OP = 'INSERT' THEN NEW.stripe_created ELSE now() END,
        jsonb_build_object('dispute', jsonb_build_object(
            'stripeDisputeId', NEW.stripe_dispute_id,
            'stripeChargeId', NEW.stripe_charge_id,
            'status', NEW.status,
            'reason', NEW.reason,
            'amount', NEW.amount,
            'currency', NEW.currency,
            'fee', NEW.fee,
            'feeCurrency', NEW.fee_currency,
            'isChargeRefundable', NEW.is_charge_refundable,
            'evidenceDueAt', NEW.evidence_due_at
        ))
    )
    FROM (
        VALUES
            ('created', TG_OP = 'INSERT', 'created'),
            ('escalated', NEW.status = 'needs_response' AND starts_with(status_before, 'warning_'), 'escalated'),
            (
                'answered',
                NEW.status IN ('under_review', 'warning_under_review', 'appeal_under_review'),
                NEW.status
            ),
            ('won', NEW.status IN ('won', 'warning_closed', 'prevented'), 'won'),
            ('lost', NEW.status = 'lost', NEW.movements || ' ' || NEW.submissions)
    ) AS told (type, happened, version)
    WHERE told.happened;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_dispute() IS 'Records the transitions of a dispute';

CREATE FUNCTION billing_tell_domain() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'domain.expired',
        NEW.id::text,
        extract(epoch FROM NEW.expires_at)::text,
        s.livemode,
        NEW.subscription_id,
        NEW.customer_id,
        now(),
        billing_domain_message(
            NEW.id, NEW.state, NEW.expires_at, NEW.auto_renew, NEW.renewal_price, NEW.currency
        )
    )
    FROM (
        SELECT theirs.livemode
        FROM subscriptions AS theirs
        WHERE theirs.customer_id = NEW.customer_id
          AND theirs.livemode IS NOT NULL
        ORDER BY theirs.id IS NOT DISTINCT FROM NEW.subscription_id DESC, theirs.created_at DESC
        LIMIT 1
    ) AS s;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_domain() IS 'Records domain.expired, once for each day of expiry';

CREATE FUNCTION billing_tell_invoice() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
DECLARE
    is_first boolean := TG_OP = 'INSERT';
    status_before text := 'draft';
    attempts_before integer := 0;
BEGIN
    IF NEW.stripe_subscription_id IS NOT NULL AND NEW.subscription_id IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF NOT EXISTS (SELECT 1 FROM billing_receivers AS r WHERE r.livemode = NEW.livemode) THEN
        RETURN NULL; -- nobody is told: each renewal comes here
    END IF;
    IF NOT is_first THEN
        is_first := OLD.stripe_subscription_id IS NOT NULL AND OLD.subscription_id IS NULL;
    END IF;
    IF NOT is_first THEN
        status_before := OLD.stripe_status;
        attempts_before := OLD.attempt_count;
    END IF;
    PERFORM billing_record_message(
        'invoice.' || told.type, NEW.stripe_invoice_id, told.version, NEW.livemode, NEW.subscription_id,
        NEW.customer_id, told.occurred,
        jsonb_build_object('invoice', jsonb_build_object(
            'id', NEW.id,
            'stripeInvoiceId', NEW.stripe_invoice_id,
            'number', NEW.stripe_number,
            'status', NEW.stripe_status,
            'billingReason', NEW.billing_reason,
            'currency', lower(NEW.currency),
            'amountDue', NEW.amount_due,
            'amountPaid', NEW.amount_paid,
            'amountRemaining', NEW.amount_remaining,
            'periodStart', NEW.period_start,
            'periodEnd', NEW.period_end,
            'dueAt', NEW.due_at,
            'attemptCount', NEW.attempt_count,
            'nextPaymentAttempt', NEW.next_payment_attempt,
            'hostedInvoiceUrl', NEW.hosted_invoice_url,
            'invoicePdf', NEW.invoice_pdf
        ))
    )
    FROM (
        VALUES
            (
                'created',
                status_before = 'draft',
                'created',
                coalesce(NEW.finalized_at, NEW.stripe_created)
            ),
            (
                'paid',
                NEW.stripe_status = 'paid' AND status_before <> 'paid',
                'paid',
                coalesce(NEW.paid_date AT TIME ZONE 'UTC', NEW.stripe_created)
            ),
            (
                'failed',
                NEW.stripe_status = 'open' AND NEW.attempt_count > coalesce(attempts_before, 0),
                NEW.attempt_count::text,
                -- what is first seen may have failed long ago
                CASE WHEN is_first THEN coalesce(NEW.finalized_at, NEW.stripe_created) ELSE now() END
            )
    ) AS told (type, happened, version, occurred)
    WHERE told.happened;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_invoice() IS 'Records the transitions of an invoice';

CREATE FUNCTION billing_tell_order() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'order.placed', s.id::text, 'placed', s.livemode, s.id, s.customer_id, NEW.created_at,
        jsonb_build_object('subscription', billing_subscription_message(s))
    )
    FROM subscriptions AS s
    WHERE s.id = NEW.subscription_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_order() IS 'Records order.placed';

CREATE FUNCTION billing_tell_proof() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'domain.' || told.type, d.id::text, told.type, s.livemode, s.id, d.customer_id, now(),
        jsonb_build_object('domain', jsonb_build_object('id', d.id, 'provenBy', NEW.proven_by))
    )
    FROM (
        VALUES
            ('verification_needed', TG_OP = 'INSERT'),
            ('verified', TG_OP = 'UPDATE' AND NEW.proven_at IS NOT NULL),
            ('verification_expired', TG_OP = 'UPDATE' AND NEW.token IS NOT NULL AND NEW.check_at IS NULL)
    ) AS told (type, happened)
    CROSS JOIN billing_domains AS d
    JOIN subscriptions AS s
        ON s.id = d.subscription_id
    WHERE told.happened
      AND d.id = NEW.domain_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_proof() IS 'Records that a proof is needed, was given, or was not given in time';

CREATE FUNCTION billing_tell_refund() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'refund.' || told.type, NEW.stripe_refund_id, told.type, NEW.livemode, NULL, NULL,
        CASE WHEN TG_OP = 'INSERT' THEN NEW.stripe_created ELSE now() END,
        jsonb_build_object('refund', jsonb_build_object(
            'stripeRefundId', NEW.stripe_refund_id,
            'status', NEW.status,
            'amount', NEW.amount,
            'currency', NEW.currency,
            'reason', NEW.reason,
            'failureReason', NEW.failure_reason
        ))
    )
    FROM (
        VALUES
            ('created', TG_OP = 'INSERT'),
            ('succeeded', NEW.status = 'succeeded'),
            ('failed', NEW.status IN ('failed', 'canceled'))
    ) AS told (type, happened)
    WHERE told.happened;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_refund() IS 'Records the transitions of a refund';

CREATE FUNCTION billing_tell_service() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'tenant.changed', t.id::text, extract(epoch FROM now())::text, s.livemode, s.id, s.customer_id, now(),
        billing_tenant_message(t.id, t.status, s.id) || jsonb_build_object(
            'service', jsonb_build_object('productType', NEW.product_type, 'state', NEW.actual, 'resources', NEW.resources)
        )
    )
    FROM subscriptions AS s
    JOIN tenants AS t
        ON t.id = s.tenant_id
    WHERE s.id = NEW.subscription_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_service() IS 'Records tenant.changed';

CREATE FUNCTION billing_tell_subscription() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
DECLARE
    content jsonb;
    moment text := extract(epoch FROM now())::text;
    -- what it was like when it was first seen was no change: it is told now
    begins boolean := OLD.status IN ('provisional', 'expired') AND NEW.status NOT IN ('provisional', 'expired', 'cancelled');
BEGIN
    -- not in the trigger's WHEN, which is parsed anew for each statement, and true for each renewal
    IF NEW.billing_provider IS DISTINCT FROM 'stripe' OR (
        OLD.status,
        OLD.stripe_status,
        OLD.current_period_start,
        OLD.cancel_at_period_end,
        OLD.cancel_at,
        OLD.product_id,
        OLD.billing_cycle,
        OLD.amount,
        OLD.currency,
        OLD.metadata -> 'addonIds'
    ) IS NOT DISTINCT FROM (
        NEW.status,
        NEW.stripe_status,
        NEW.current_period_start,
        NEW.cancel_at_period_end,
        NEW.cancel_at,
        NEW.product_id,
        NEW.billing_cycle,
        NEW.amount,
        NEW.currency,
        NEW.metadata -> 'addonIds'
    ) THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF NOT EXISTS (SELECT 1 FROM billing_receivers AS r WHERE r.livemode = NEW.livemode) THEN
        RETURN NULL; -- nobody is told: each renewal comes here
    END IF;
    content := jsonb_build_object('subscription', billing_subscription_message(NEW));
    PERFORM billing_record_message(
        'subscription.' || told.type, NEW.id::text, told.version, NEW.livemode, NEW.id, NEW.customer_id,
        told.occurred,
        content || CASE told.type
            WHEN 'changed' THEN jsonb_build_object('before', billing_subscription_message(OLD))
            WHEN 'suspended' THEN jsonb_build_object('suspension', billing_suspension_message(NEW.id))
            WHEN 'cancelled' THEN jsonb_build_object('cancellation', billing_cancellation_message(NEW))
            WHEN 'ended' THEN jsonb_build_object('cancellation', billing_cancellation_message(NEW))
            ELSE '{}'
        END
    )
    FROM (
        VALUES
            ('activated', NEW.status = 'active' AND OLD.status <> 'suspended' AND OLD.status <> 'active', 'activated', now()),
            ('resumed', NEW.status = 'active' AND OLD.status = 'suspended', moment, now()),
            ('suspended', NEW.status = 'suspended' AND OLD.status <> 'suspended', moment, now()),
            ('ended', NEW.status = 'cancelled' AND OLD.status <> 'cancelled', 'ended', coalesce(NEW.ended_at, now())),
            (
                'past_due',
                NEW.stripe_status IN ('past_due', 'unpaid')
                    AND ((OLD.stripe_status IN ('past_due', 'unpaid')) IS NOT TRUE OR begins),
                coalesce(extract(epoch FROM NEW.current_period_start)::text, moment),
                CASE
                    WHEN OLD.stripe_status IN ('past_due', 'unpaid') THEN coalesce(NEW.current_period_start, now())
                    ELSE now()
                END
            ),
            (
                'renewed',
                NEW.current_period_start > OLD.current_period_start
                    AND NEW.status NOT IN ('provisional', 'cancelled', 'expired'),
                extract(epoch FROM NEW.current_period_start)::text,
                NEW.current_period_start
            ),
            (
                'cancelled',
                (coalesce(NEW.cancel_at_period_end, FALSE) OR NEW.cancel_at IS NOT NULL)
                    AND NEW.status <> 'cancelled'
                    AND (
                        begins
                        OR (coalesce(NEW.cancel_at_period_end, FALSE), NEW.cancel_at)
                            IS DISTINCT FROM (coalesce(OLD.cancel_at_period_end, FALSE), OLD.cancel_at)
                    ),
                concat_ws(
                    ' ',
                    extract(epoch FROM coalesce(NEW.canceled_at, now())),
                    extract(epoch FROM NEW.cancel_at),
                    NEW.cancel_at_period_end
                ),
                coalesce(NEW.canceled_at, now())
            ),
            (
                'kept',
                (coalesce(OLD.cancel_at_period_end, FALSE) OR OLD.cancel_at IS NOT NULL)
                    AND NOT coalesce(NEW.cancel_at_period_end, FALSE)
                    AND NEW.cancel_at IS NULL
                    AND NEW.status <> 'cancelled'
                    AND NEW.stripe_status IS DISTINCT FROM 'canceled',
                moment,
                now()
            ),
            (
                'changed',
                OLD.stripe_status IS NOT NULL
                    AND OLD.status NOT IN ('provisional', 'expired')
                    AND NEW.status <> 'cancelled'
                    AND (NEW.product_id, NEW.billing_cycle, NEW.amount, NEW.currency, NEW.metadata -> 'addonIds')
                        IS DISTINCT FROM
                        (OLD.product_id, OLD.billing_cycle, OLD.amount, OLD.currency, OLD.metadata -> 'addonIds'),
                moment,
                now()
            )
    ) AS told (type, happened, version, occurred)
    WHERE told.happened;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_subscription() IS 'Records the transitions of a subscription';

CREATE FUNCTION billing_tell_tenant() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
DECLARE
    moment text := extract(epoch FROM now())::text;
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'tenant.' || told.type, NEW.id::text, told.version, s.livemode, s.id, s.customer_id, now(),
        billing_tenant_message(NEW.id, NEW.status, s.id) || CASE told.type
            WHEN 'suspended' THEN jsonb_build_object('suspension', billing_suspension_message(s.id))
            ELSE '{}'
        END
    )
    FROM subscriptions AS s
    CROSS JOIN (
        VALUES
            ('ready', NEW.status = 'active' AND OLD.status <> 'suspended', 'ready'),
            ('resumed', NEW.status = 'active' AND OLD.status = 'suspended', moment),
            ('suspended', NEW.status = 'suspended', moment),
            ('terminated', NEW.status = 'cancelled', 'terminated')
    ) AS told (type, happened, version)
    WHERE s.id = NEW.billing_subscription_id
      AND told.happened;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_tenant() IS 'Records the transitions of a tenant';

CREATE FUNCTION billing_tell_upcoming() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
DECLARE
    about jsonb := NEW.payload #> '{data,object}';
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'invoice.upcoming',
        s.id::text,
        coalesce(extract(epoch FROM billing_moment_of(about -> 'period_end'))::text, NEW.id),
        NEW.livemode,
        s.id,
        s.customer_id,
        NEW.created,
        jsonb_build_object('upcomingInvoice', jsonb_build_object(
            'currency', about -> 'currency',
            'subtotal', about -> 'subtotal',
            'total', about -> 'total',
            'amountDue', about -> 'amount_due',
            'chargedAt', coalesce(
                billing_moment_of(about -> 'next_payment_attempt'), billing_moment_of(about -> 'period_end')
            )
        ))
    )
    FROM subscriptions AS s
    WHERE s.stripe_subscription_id = coalesce(
        about #>> '{parent,subscription_details,subscription}', about ->> 'subscription'
    );
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_upcoming() IS 'Records invoice.upcoming, once for each renewal';

CREATE FUNCTION billing_tell_usage() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
DECLARE
    before bigint := 0;
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF TG_OP = 'UPDATE' AND OLD.term_start = NEW.term_start THEN
        before := OLD.quantity;
    END IF;
    PERFORM billing_record_message(
        reached.type, s.id::text,
        concat_ws(' ', NEW.meter, reached.quantity, extract(epoch FROM NEW.term_start)::bigint),
        s.livemode, s.id, s.customer_id, now(),
        jsonb_build_object('usage', jsonb_build_object(
            'meter', NEW.meter,
            'product', jsonb_build_object('code', product.code, 'name', product.name),
            'unit', product.usage -> 'unit',
            'included', product.usage -> 'included',
            'quantity', NEW.quantity,
            'termStart', i.current_period_start,
            'termEnd', i.current_period_end
        ) || reached.of_it)
    )
    FROM subscription_items AS i
    JOIN prices AS p
        ON p.id = i.price_id
        AND p.meter = NEW.meter
    JOIN products AS product
        ON product.id = p.product_id
    JOIN subscriptions AS s
        ON s.id = i.subscription_id
    CROSS JOIN LATERAL (
        SELECT
            'usage.threshold_reached' AS type,
            told.threshold::bigint AS quantity,
            jsonb_build_object('threshold', told.threshold::bigint) AS of_it
        FROM jsonb_array_elements_text(product.usage -> 'notify_at') AS told (threshold)
        UNION ALL
        SELECT
            'usage.limit_reached',
            (product.usage ->> 'limit')::bigint,
            jsonb_build_object('limit', product.usage -> 'limit', 'action', product.usage -> 'at_limit')
    ) AS reached
    WHERE i.subscription_id = NEW.subscription_id
      AND reached.quantity > before
      AND reached.quantity <= NEW.quantity;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_usage() IS 'Records usage.threshold_reached and usage.limit_reached';

CREATE FUNCTION billing_tenant_message(id uuid, status text, subscription uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_build_object('tenant', jsonb_build_object(
        'id', id,
        'status', status,
        'services', ARRAY(
            SELECT v.product_type
            FROM tenant_services AS v
            WHERE v.subscription_id = subscription
              AND v.actual IN ('active', 'suspended')
            ORDER BY v.product_type
        )
    ))
$$;
COMMENT ON FUNCTION billing_tenant_message(id uuid, status text, subscription uuid) IS 'A tenant as messages tell it, with the services whose accounts exist';

CREATE FUNCTION billing_waiting_usage_v1() RETURNS TABLE(id uuid, next_attempt_at timestamp with time zone)
    LANGUAGE sql STABLE
    AS $$
    WITH RECURSIVE firsts AS (
        (
            SELECT
                e.id,
                e.stripe_customer_id,
                e.meter,
                e.next_attempt_at
            FROM billing_meter_events AS e
            WHERE e.state = 'waiting'
            ORDER BY e.stripe_customer_id, e.meter, e.number
            LIMIT 1
        )
        UNION ALL
        SELECT
            following.id,
            following.stripe_customer_id,
            following.meter,
            following.next_attempt_at
        FROM firsts
        CROSS JOIN LATERAL (
            SELECT
                e.id,
                e.stripe_customer_id,
                e.meter,
                e.next_attempt_at
            FROM billing_meter_events AS e
            WHERE e.state = 'waiting'
              AND (e.stripe_customer_id, e.meter) > (firsts.stripe_customer_id, firsts.meter)
            ORDER BY e.stripe_customer_id, e.meter, e.number
            LIMIT 1
        ) AS following
    )
    SELECT
        firsts.id,
        firsts.next_attempt_at
    FROM firsts
$$;

CREATE FUNCTION billing_without_objects_v1(snapshots jsonb, object_ids text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT jsonb_agg(s.snapshot)
    FROM jsonb_array_elements(snapshots) AS s (snapshot)
    WHERE (s.snapshot ->> 'object_id' = ANY(object_ids)) IS NOT TRUE
$$;
COMMENT ON FUNCTION billing_without_objects_v1(snapshots jsonb, object_ids text[]) IS 'Snapshots without those of some objects; null if none is left';

CREATE FUNCTION billing_write_charges_v1(snapshots jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO stripe_charges AS mirror (
        stripe_charge_id,
        livemode,
        stripe_payment_intent_id,
        stripe_customer_id,
        amount,
        amount_captured,
        amount_refunded,
        currency,
        status,
        failure_code,
        decline_code,
        decline_reason,
        card_brand,
        card_last4,
        card_exp_month,
        card_exp_year,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.stripe_payment_intent_id,
        s.stripe_customer_id,
        s.amount,
        s.amount_captured,
        s.amount_refunded,
        s.currency,
        s.status,
        s.failure_code,
        s.decline_code,
        s.decline_reason,
        s.card_brand,
        s.card_last4,
        s.card_exp_month,
        s.card_exp_year,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_charges_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        stripe_payment_intent_id text,
        stripe_customer_id text,
        amount bigint,
        amount_captured bigint,
        amount_refunded bigint,
        currency text,
        status text,
        failure_code text,
        decline_code text,
        decline_reason text,
        card_brand text,
        card_last4 text,
        card_exp_month smallint,
        card_exp_year smallint,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_charge_id) DO UPDATE
    SET stripe_payment_intent_id = excluded.stripe_payment_intent_id,
        stripe_customer_id = excluded.stripe_customer_id,
        amount = excluded.amount,
        amount_captured = excluded.amount_captured,
        amount_refunded = excluded.amount_refunded,
        currency = excluded.currency,
        status = excluded.status,
        failure_code = excluded.failure_code,
        decline_code = excluded.decline_code,
        decline_reason = excluded.decline_reason,
        card_brand = excluded.card_brand,
        card_last4 = excluded.card_last4,
        card_exp_month = excluded.card_exp_month,
        card_exp_year = excluded.card_exp_year,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
END
$$;
COMMENT ON FUNCTION billing_write_charges_v1(snapshots jsonb) IS 'Writes snapshots of charges';

CREATE FUNCTION billing_write_credit_notes_v1(snapshots jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
#variable_conflict use_column
BEGIN
    INSERT INTO stripe_credit_notes AS mirror (
        stripe_credit_note_id,
        livemode,
        stripe_invoice_id,
        stripe_customer_id,
        stripe_number,
        status,
        amount,
        amount_before_payment,
        amount_refunded,
        amount_to_balance,
        amount_out_of_band,
        refunds,
        taxes,
        voided_at,
        currency,
        reason,
        memo,
        pdf,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.stripe_invoice_id,
        s.stripe_customer_id,
        s.stripe_number,
        s.status,
        s.amount,
        s.amount_before_payment,
        s.amount_refunded,
        s.amount_to_balance,
        s.amount_out_of_band,
        s.refunds,
        s.taxes,
        s.voided_at,
        s.currency,
        s.reason,
        s.memo,
        s.pdf,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_credit_notes_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        stripe_invoice_id text,
        stripe_customer_id text,
        stripe_number text,
        status text,
        amount bigint,
        amount_before_payment bigint,
        amount_refunded bigint,
        amount_to_balance bigint,
        amount_out_of_band bigint,
        refunds jsonb,
        taxes jsonb,
        voided_at timestamptz,
        currency text,
        reason text,
        memo text,
        pdf text,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_credit_note_id) DO UPDATE
    SET stripe_invoice_id = excluded.stripe_invoice_id,
        stripe_customer_id = excluded.stripe_customer_id,
        stripe_number = excluded.stripe_number,
        status = excluded.status,
        amount = excluded.amount,
        amount_before_payment = excluded.amount_before_payment,
        amount_refunded = excluded.amount_refunded,
        amount_to_balance = excluded.amount_to_balance,
        amount_out_of_band = excluded.amount_out_of_band,
        refunds = excluded.refunds,
        taxes = excluded.taxes,
        voided_at = excluded.voided_at,
        currency = excluded.currency,
        reason = excluded.reason,
        memo = excluded.memo,
        pdf = excluded.pdf,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
    IF jsonb_path_exists(billing_write_credit_notes_v1.snapshots, '$[*].taxes[*].tax_rate') THEN
        PERFORM billing_request_tax_rates_v1(billing_write_credit_notes_v1.snapshots);
    END IF;
END
$_$;
COMMENT ON FUNCTION billing_write_credit_notes_v1(snapshots jsonb) IS 'Writes snapshots of credit notes';

CREATE FUNCTION billing_write_customers_v1(snapshots jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    WITH snapshots AS MATERIALIZED (
        SELECT s.*
        FROM jsonb_to_recordset(billing_write_customers_v1.snapshots) AS s (
            object_id text,
            livemode boolean,
            email text,
            name text,
            deleted boolean,
            balances jsonb,
            balances_complete boolean,
            since timestamptz,
            as_of timestamptz,
            event_id text
        )
    ),
    written AS (
        INSERT INTO stripe_customers AS mirror (
            id,
            livemode,
            email,
            name,
            deleted,
            stripe_as_of_since,
            stripe_as_of,
            stripe_event_id
        )
        SELECT
            s.object_id,
            s.livemode,
            s.email,
            s.name,
            s.deleted,
            s.since,
            s.as_of,
            s.event_id
        FROM snapshots AS s
        ON CONFLICT (id) DO UPDATE
        SET email = CASE WHEN excluded.deleted THEN mirror.email ELSE excluded.email END,
            name = CASE WHEN excluded.deleted THEN mirror.name ELSE excluded.name END,
            deleted = excluded.deleted,
            stripe_as_of_since = excluded.stripe_as_of_since,
            stripe_as_of = excluded.stripe_as_of,
            stripe_event_id = excluded.stripe_event_id,
            updated_at = now()
        RETURNING id, email, name, deleted
    ),
    cleared AS (
        DELETE FROM stripe_customer_balances AS b
        USING snapshots AS s
        WHERE b.stripe_customer_id = s.object_id
          AND s.balances_complete
          AND NOT s.balances ? b.currency
        RETURNING b.currency
    ),
    balanced AS (
        -- a balance of zero needs no row, unless there has been another one
        INSERT INTO stripe_customer_balances AS b (stripe_customer_id, currency, balance)
        SELECT
            s.object_id,
            listed.currency,
            listed.balance::bigint
        FROM snapshots AS s
        CROSS JOIN LATERAL jsonb_each_text(s.balances) AS listed (currency, balance)
        WHERE listed.balance <> '0'
           OR EXISTS (
               SELECT 1
               FROM stripe_customer_balances AS before
               WHERE before.stripe_customer_id = s.object_id
                 AND before.currency = listed.currency
               -- a look-up for each, and no hash of the whole table
               OFFSET 0
           )
        ON CONFLICT (stripe_customer_id, currency) DO UPDATE
        SET balance = excluded.balance,
            updated_at = now()
        WHERE b.balance <> excluded.balance
        RETURNING b.currency
    )
    -- what someone paid for at the address of an account does not rename its owner
    UPDATE customers AS c
    SET email = CASE WHEN c.user_id IS NULL OR c.stripe_customer_paid_at IS NULL THEN coalesce(w.email, c.email) ELSE c.email END,
        name = CASE
            -- an invoice is made out to the company; who orders for it keeps their name
            WHEN w.name = c.company_name THEN c.name
            WHEN c.user_id IS NULL OR c.stripe_customer_paid_at IS NULL THEN coalesce(w.name, c.name)
            ELSE c.name
        END,
        stripe_customer_id = CASE WHEN w.deleted THEN NULL ELSE c.stripe_customer_id END,
        stripe_customer_paid_at = CASE WHEN w.deleted THEN NULL ELSE c.stripe_customer_paid_at END,
        updated_at = now()
    FROM written AS w
    WHERE c.stripe_customer_id = w.id;
END
$$;
COMMENT ON FUNCTION billing_write_customers_v1(snapshots jsonb) IS 'Writes snapshots of customers, with their balances';

CREATE FUNCTION billing_write_disputes_v1(snapshots jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO stripe_disputes AS mirror (
        stripe_dispute_id,
        livemode,
        stripe_charge_id,
        stripe_payment_intent_id,
        status,
        reason,
        amount,
        currency,
        fee,
        fee_currency,
        movements,
        is_charge_refundable,
        evidence_due_at,
        has_evidence,
        submissions,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.stripe_charge_id,
        s.stripe_payment_intent_id,
        s.status,
        s.reason,
        s.amount,
        s.currency,
        s.fee,
        s.fee_currency,
        s.movements,
        s.is_charge_refundable,
        s.evidence_due_at,
        s.has_evidence,
        s.submissions,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_disputes_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        stripe_charge_id text,
        stripe_payment_intent_id text,
        status text,
        reason text,
        amount bigint,
        currency text,
        fee bigint,
        fee_currency text,
        movements integer,
        is_charge_refundable boolean,
        evidence_due_at timestamptz,
        has_evidence boolean,
        submissions integer,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_dispute_id) DO UPDATE
    SET stripe_charge_id = excluded.stripe_charge_id,
        stripe_payment_intent_id = excluded.stripe_payment_intent_id,
        status = excluded.status,
        reason = excluded.reason,
        amount = excluded.amount,
        currency = excluded.currency,
        fee = excluded.fee,
        fee_currency = excluded.fee_currency,
        movements = excluded.movements,
        is_charge_refundable = excluded.is_charge_refundable,
        evidence_due_at = excluded.evidence_due_at,
        has_evidence = excluded.has_evidence,
        submissions = excluded.submissions,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
END
$$;
COMMENT ON FUNCTION billing_write_disputes_v1(snapshots jsonb) IS 'Writes snapshots of disputes';

CREATE FUNCTION billing_write_fraud_warnings_v1(snapshots jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO stripe_fraud_warnings AS mirror (
        stripe_fraud_warning_id,
        livemode,
        stripe_charge_id,
        stripe_payment_intent_id,
        fraud_type,
        actionable,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.stripe_charge_id,
        s.stripe_payment_intent_id,
        s.fraud_type,
        s.actionable,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_fraud_warnings_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        stripe_charge_id text,
        stripe_payment_intent_id text,
        fraud_type text,
        actionable boolean,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_fraud_warning_id) DO UPDATE
    SET stripe_charge_id = excluded.stripe_charge_id,
        stripe_payment_intent_id = excluded.stripe_payment_intent_id,
        fraud_type = excluded.fraud_type,
        actionable = excluded.actionable,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
END
$$;
COMMENT ON FUNCTION billing_write_fraud_warnings_v1(snapshots jsonb) IS 'Writes snapshots of early fraud warnings';

CREATE FUNCTION billing_write_invoice_payments_v1(snapshots jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    WITH written AS (
        INSERT INTO invoice_payments AS mirror (
            stripe_invoice_payment_id,
            stripe_invoice_id,
            livemode,
            stripe_payment_intent_id,
            stripe_charge_id,
            amount_paid,
            currency,
            status,
            stripe_created,
            stripe_as_of_since,
            stripe_as_of,
            stripe_event_id
        )
        SELECT
            s.object_id,
            s.stripe_invoice_id,
            s.livemode,
            s.stripe_payment_intent_id,
            s.stripe_charge_id,
            s.amount_paid,
            s.currency,
            s.status,
            s.stripe_created,
            s.since,
            s.as_of,
            s.event_id
        FROM jsonb_to_recordset(billing_write_invoice_payments_v1.snapshots) AS s (
            object_id text,
            stripe_invoice_id text,
            livemode boolean,
            stripe_payment_intent_id text,
            stripe_charge_id text,
            amount_paid bigint,
            currency text,
            status text,
            stripe_created timestamptz,
            since timestamptz,
            as_of timestamptz,
            event_id text
        )
        ON CONFLICT (stripe_invoice_payment_id) DO UPDATE
        SET stripe_invoice_id = excluded.stripe_invoice_id,
            stripe_payment_intent_id = excluded.stripe_payment_intent_id,
            stripe_charge_id = excluded.stripe_charge_id,
            amount_paid = excluded.amount_paid,
            currency = excluded.currency,
            status = excluded.status,
            stripe_as_of_since = excluded.stripe_as_of_since,
            stripe_as_of = excluded.stripe_as_of,
            stripe_event_id = excluded.stripe_event_id,
            updated_at = now()
        RETURNING
            stripe_invoice_payment_id,
            stripe_invoice_id,
            stripe_payment_intent_id,
            status,
            stripe_created
    ),
    arrived AS (
        -- a paid invoice waits for its payment
        DELETE FROM stripe_refetches AS awaited
        WHERE awaited.reason = 'awaited'
          -- an array: each is looked up, however many have come since statistics saw few
          AND awaited.object_id = ANY (ARRAY(SELECT w.stripe_invoice_id FROM written AS w))
    ),
    paid AS (
        SELECT
            p.stripe_invoice_id,
            (
                array_agg(p.stripe_payment_intent_id ORDER BY p.stripe_created DESC, p.stripe_invoice_payment_id DESC)
                    FILTER (WHERE p.status = 'paid')
            )[1] AS latest,
            array_agg(DISTINCT p.stripe_payment_intent_id) AS stripe_payment_intent_ids
        FROM (
            SELECT
                w.stripe_invoice_payment_id,
                w.stripe_invoice_id,
                w.stripe_payment_intent_id,
                w.status,
                w.stripe_created
            FROM written AS w
            UNION ALL
            SELECT
                other.stripe_invoice_payment_id,
                other.stripe_invoice_id,
                other.stripe_payment_intent_id,
                other.status,
                other.stripe_created
            FROM invoice_payments AS other
            WHERE other.stripe_invoice_id IN (SELECT w.stripe_invoice_id FROM written AS w)
              AND other.stripe_invoice_payment_id NOT IN (
                  SELECT w.stripe_invoice_payment_id FROM written AS w
              )
        ) AS p
        WHERE p.stripe_payment_intent_id IS NOT NULL
        GROUP BY p.stripe_invoice_id
    )
    UPDATE invoices AS i
    SET stripe_payment_intent_id = coalesce(paid.latest, i.stripe_payment_intent_id),
        amount_refunded = back.refunded,
        amount_disputed = back.disputed,
        disputed_since = back.disputed_since,
        status = billing_refunded_status_v1(i.status, i.amount_invoiced, back.refunded + i.amount_credited),
        updated_at = now()
    FROM paid
    -- a refund or a dispute may arrive before the payment that it takes back
    CROSS JOIN LATERAL billing_taken_back_v1(paid.stripe_payment_intent_ids) AS back
    WHERE i.stripe_invoice_id = paid.stripe_invoice_id
      AND (
          i.stripe_payment_intent_id IS DISTINCT FROM coalesce(paid.latest, i.stripe_payment_intent_id)
          OR i.amount_refunded <> back.refunded
          OR i.amount_disputed <> back.disputed
          OR i.disputed_since IS DISTINCT FROM back.disputed_since
      );
END
$$;
COMMENT ON FUNCTION billing_write_invoice_payments_v1(snapshots jsonb) IS 'Writes snapshots of payments of invoices, and links the invoices to them';

CREATE FUNCTION billing_write_invoices_v2(snapshots jsonb) RETURNS TABLE(object_id text, affects_derived boolean)
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH written AS (
        INSERT INTO invoices AS mirror (
            subscription_id,
            tenant_id,
            customer_id,
            invoice_number,
            status,
            subtotal,
            tax_rate,
            tax_amount,
            taxes,
            total,
            currency,
            due_date,
            paid_date,
            livemode,
            stripe_invoice_id,
            stripe_subscription_id,
            stripe_customer_id,
            stripe_number,
            stripe_status,
            billing_reason,
            collection_method,
            auto_advance,
            finalization_error,
            finalized_at,
            voided_at,
            due_at,
            amount_invoiced,
            amount_refunded,
            amount_credited,
            amount_disputed,
            disputed_since,
            amount_due,
            amount_paid,
            amount_remaining,
            period_start,
            period_end,
            attempt_count,
            next_payment_attempt,
            hosted_invoice_url,
            invoice_pdf,
            stripe_payment_intent_id,
            stripe_created,
            stripe_as_of_since,
            stripe_as_of,
            stripe_event_id,
            created_at
        )
        SELECT
            billed.id,
            billed.tenant_id,
            coalesce(billed.customer_id, (
                SELECT known.customer_id
                FROM stripe_customers AS known
                WHERE known.id = s.stripe_customer_id
            )),
            s.invoice_number,
            billing_refunded_status_v1(s.status, s.amount_invoiced, back.refunded + noted.credited),
            least(s.subtotal, 99999999.99),
            coalesce(s.tax_rate, 0),
            least(s.tax_amount, 99999999.99),
            s.taxes,
            least(s.total, 99999999.99),
            upper(s.currency),
            coalesce(s.due_date, s.stripe_created)::date,
            s.paid_at AT TIME ZONE 'UTC',
            s.livemode,
            s.object_id,
            s.stripe_subscription_id,
            s.stripe_customer_id,
            s.stripe_number,
            s.stripe_status,
            s.billing_reason,
            s.collection_method,
            s.auto_advance,
            s.finalization_error,
            s.finalized_at,
            s.voided_at,
            s.due_date,
            s.amount_invoiced,
            back.refunded,
            noted.credited,
            back.disputed,
            back.disputed_since,
            s.amount_due,
            s.amount_paid,
            s.amount_remaining,
            s.period_start,
            s.period_end,
            s.attempt_count,
            s.next_payment_attempt,
            s.hosted_invoice_url,
            s.invoice_pdf,
            coalesce(s.stripe_payment_intent_id, paid.stripe_payment_intent_id),
            s.stripe_created,
            s.since,
            s.as_of,
            s.event_id,
            s.stripe_created AT TIME ZONE 'UTC'
        FROM jsonb_populate_recordset(NULL::billing_invoice_snapshot, billing_write_invoices_v2.snapshots) AS s
        LEFT JOIN LATERAL (
            -- OFFSET 0 keeps this a look-up for each row instead of a join, however large the table
            SELECT
                o.id,
                o.tenant_id,
                o.customer_id
            FROM subscriptions AS o
            WHERE o.stripe_subscription_id = s.stripe_subscription_id
            OFFSET 0
        ) AS billed ON TRUE
        LEFT JOIN LATERAL (
            -- the payments' events may arrive before the invoice's
            SELECT
                (
                    array_agg(p.stripe_payment_intent_id ORDER BY p.stripe_created DESC, p.stripe_invoice_payment_id DESC)
                        FILTER (WHERE p.status = 'paid')
                )[1] AS stripe_payment_intent_id,
                array_agg(DISTINCT p.stripe_payment_intent_id) AS stripe_payment_intent_ids
            FROM invoice_payments AS p
            WHERE p.stripe_invoice_id = s.object_id
        ) AS paid ON TRUE
        CROSS JOIN LATERAL billing_taken_back_v1(paid.stripe_payment_intent_ids) AS back
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(n.amount_to_balance + n.amount_out_of_band), 0)::bigint AS credited
            FROM stripe_credit_notes AS n
            WHERE n.stripe_invoice_id = s.object_id
              AND n.status = 'issued'
        ) AS noted
        ON CONFLICT (stripe_invoice_id) DO UPDATE
        SET subscription_id = coalesce(excluded.subscription_id, mirror.subscription_id),
            tenant_id = coalesce(excluded.tenant_id, mirror.tenant_id),
            customer_id = coalesce(excluded.customer_id, mirror.customer_id),
            status = excluded.status,
            subtotal = excluded.subtotal,
            tax_rate = excluded.tax_rate,
            tax_amount = excluded.tax_amount,
            taxes = excluded.taxes,
            total = excluded.total,
            currency = excluded.currency,
            due_date = excluded.due_date,
            paid_date = excluded.paid_date,
            stripe_subscription_id = coalesce(excluded.stripe_subscription_id, mirror.stripe_subscription_id),
            stripe_customer_id = coalesce(excluded.stripe_customer_id, mirror.stripe_customer_id),
            stripe_number = excluded.stripe_number,
            stripe_status = excluded.stripe_status,
            billing_reason = excluded.billing_reason,
            collection_method = excluded.collection_method,
            auto_advance = excluded.auto_advance,
            finalization_error = excluded.finalization_error,
            finalized_at = excluded.finalized_at,
            voided_at = excluded.voided_at,
            due_at = excluded.due_at,
            amount_invoiced = excluded.amount_invoiced,
            amount_refunded = excluded.amount_refunded,
            amount_credited = excluded.amount_credited,
            amount_disputed = excluded.amount_disputed,
            disputed_since = excluded.disputed_since,
            amount_due = excluded.amount_due,
            amount_paid = excluded.amount_paid,
            amount_remaining = excluded.amount_remaining,
            period_start = excluded.period_start,
            period_end = excluded.period_end,
            attempt_count = excluded.attempt_count,
            next_payment_attempt = excluded.next_payment_attempt,
            hosted_invoice_url = excluded.hosted_invoice_url,
            invoice_pdf = excluded.invoice_pdf,
            -- the one with which it was to be paid need not be the one that paid it
            stripe_payment_intent_id = coalesce(
                excluded.stripe_payment_intent_id,
                CASE
                    WHEN excluded.stripe_status <> 'paid' OR mirror.stripe_status = 'paid'
                    THEN mirror.stripe_payment_intent_id
                END
            ),
            stripe_as_of_since = excluded.stripe_as_of_since,
            stripe_as_of = excluded.stripe_as_of,
            stripe_event_id = excluded.stripe_event_id,
            updated_at = now()
        RETURNING
            stripe_invoice_id,
            stripe_subscription_id,
            stripe_status,
            billing_reason,
            collection_method,
            attempt_count,
            total,
            amount_paid,
            stripe_payment_intent_id,
            stripe_event_id
    ),
    awaited AS (
        INSERT INTO stripe_refetches (object_id, object_type, reason, next_attempt_at)
        SELECT
            w.stripe_invoice_id,
            'invoice',
            'awaited',
            now() + interval '1 minute'
        FROM written AS w
        WHERE w.stripe_status = 'paid'
          AND w.amount_paid > 0
          AND w.stripe_payment_intent_id IS NULL
          AND w.stripe_event_id IS NOT NULL
        ON CONFLICT (object_id) DO UPDATE
        -- a question of a tie is dropped once a later second has come; this one stays
        SET tied_at = NULL
        WHERE stripe_refetches.tied_at IS NOT NULL
        RETURNING object_id
    )
    SELECT
        w.stripe_invoice_id AS object_id,
        w.stripe_payment_intent_id IS NOT NULL
            OR billed.initial_payment_settled IS NOT TRUE
            OR billed.stripe_status NOT IN ('trialing', 'active', 'incomplete')
            OR (billed.order_paid IS NOT TRUE AND w.stripe_status = 'paid' AND w.total > 0)
            -- what is owed: these add to it; where events are received, the same is said of bills
            OR (
                w.stripe_status NOT IN ('open', 'uncollectible')
                OR w.billing_reason = 'manual'
                OR (w.collection_method IS DISTINCT FROM 'send_invoice' AND w.attempt_count = 0)
            ) IS NOT TRUE
            -- an older one that was written off is owed again without it
            OR (former.stripe_status = 'paid' AND w.stripe_status <> 'paid')
            -- with a debt any invoice may settle it
            OR billed.owes IS NOT FALSE AS affects_derived
    FROM written AS w
    -- as it was before this statement
    LEFT JOIN invoices AS former
        ON former.stripe_invoice_id = w.stripe_invoice_id
    LEFT JOIN LATERAL (
        SELECT
            o.initial_payment_settled,
            o.order_paid,
            o.stripe_status,
            work.inputs ->> 'owedSince' IS NOT NULL AS owes
        FROM subscriptions AS o
        LEFT JOIN provisioning_work AS work
            ON work.subscription_id = o.id
        WHERE o.stripe_subscription_id = w.stripe_subscription_id
        OFFSET 0
    ) AS billed ON TRUE;
    IF jsonb_path_exists(billing_write_invoices_v2.snapshots, '$[*].taxes[*].tax_rate') THEN
        PERFORM billing_request_tax_rates_v1(billing_write_invoices_v2.snapshots);
    END IF;
END
$_$;
COMMENT ON FUNCTION billing_write_invoices_v2(snapshots jsonb) IS 'Writes snapshots of invoices; returns which affect derived columns';

CREATE FUNCTION billing_write_refunds_v1(snapshots jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO stripe_refunds AS mirror (
        stripe_refund_id,
        livemode,
        stripe_payment_intent_id,
        stripe_charge_id,
        amount,
        currency,
        status,
        reason,
        failure_reason,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.stripe_payment_intent_id,
        s.stripe_charge_id,
        s.amount,
        s.currency,
        s.status,
        s.reason,
        s.failure_reason,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_refunds_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        stripe_payment_intent_id text,
        stripe_charge_id text,
        amount bigint,
        currency text,
        status text,
        reason text,
        failure_reason text,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_refund_id) DO UPDATE
    SET stripe_payment_intent_id = excluded.stripe_payment_intent_id,
        stripe_charge_id = excluded.stripe_charge_id,
        amount = excluded.amount,
        currency = excluded.currency,
        status = excluded.status,
        reason = excluded.reason,
        failure_reason = excluded.failure_reason,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
END
$$;
COMMENT ON FUNCTION billing_write_refunds_v1(snapshots jsonb) IS 'Writes snapshots of refunds';

CREATE FUNCTION billing_write_sessions_v1(snapshots jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    WITH snapshots AS MATERIALIZED (
        SELECT
            s.subscription_id,
            s.attempt,
            s.object_id,
            s.livemode,
            s.status,
            s.payment_status,
            s.stripe_subscription_id,
            s.stripe_customer_id,
            s.url,
            s.recovery_url,
            s.recovered_from,
            s.expires_at,
            s.since,
            s.as_of,
            s.event_id
        FROM jsonb_to_recordset(billing_write_sessions_v1.snapshots) AS s (
            subscription_id uuid,
            attempt integer,
            object_id text,
            livemode boolean,
            status text,
            payment_status text,
            stripe_subscription_id text,
            stripe_customer_id text,
            url text,
            recovery_url text,
            recovered_from text,
            expires_at timestamptz,
            since timestamptz,
            as_of timestamptz,
            event_id text
        )
    ),
    written AS (
        INSERT INTO checkout_sessions AS mirror (
            subscription_id,
            attempt,
            stripe_session_id,
            stripe_subscription_id,
            stripe_customer_id,
            livemode,
            params,
            url,
            status,
            payment_status,
            recovery_url,
            recovered_from,
            expires_at,
            stripe_as_of_since,
            stripe_as_of,
            stripe_event_id
        )
        SELECT
            s.subscription_id,
            s.attempt,
            s.object_id,
            s.stripe_subscription_id,
            s.stripe_customer_id,
            s.livemode,
            '{}',
            s.url,
            s.status,
            s.payment_status,
            s.recovery_url,
            s.recovered_from,
            s.expires_at,
            s.since,
            s.as_of,
            s.event_id
        FROM snapshots AS s
        ON CONFLICT (subscription_id, attempt) DO UPDATE
        SET stripe_session_id = excluded.stripe_session_id,
            stripe_subscription_id = excluded.stripe_subscription_id,
            stripe_customer_id = excluded.stripe_customer_id,
            url = coalesce(excluded.url, mirror.url),
            status = excluded.status,
            payment_status = excluded.payment_status,
            recovery_url = coalesce(excluded.recovery_url, mirror.recovery_url),
            recovered_from = excluded.recovered_from,
            expires_at = excluded.expires_at,
            stripe_as_of_since = excluded.stripe_as_of_since,
            stripe_as_of = excluded.stripe_as_of,
            stripe_event_id = excluded.stripe_event_id,
            updated_at = now()
        RETURNING mirror.subscription_id, mirror.attempt, mirror.stripe_session_id
    ),
    awaited AS (
        -- its subscription in a minute, unless that is mirrored or its own event arrives first
        INSERT INTO stripe_refetches (object_id, object_type, reason, next_attempt_at)
        SELECT
            s.stripe_subscription_id,
            'subscription',
            'awaited',
            now() + interval '1 minute'
        FROM snapshots AS s
        WHERE s.event_id IS NOT NULL
          AND s.stripe_subscription_id IS NOT NULL
          AND NOT EXISTS (
              SELECT 1
              FROM subscriptions AS o
              WHERE o.stripe_subscription_id = s.stripe_subscription_id
                AND o.stripe_as_of IS NOT NULL
          )
        ON CONFLICT (object_id) DO NOTHING
    )
    -- the order gets its latest session, and its subscription unless another row has it
    UPDATE subscriptions AS o
    SET checkout_session_id = s.object_id,
        stripe_subscription_id = CASE
            WHEN o.stripe_subscription_id IS NULL AND NOT EXISTS (
                SELECT 1
                FROM subscriptions AS other
                WHERE other.stripe_subscription_id = s.stripe_subscription_id
                -- a look-up for each, and no hash of the whole table
                OFFSET 0
            ) THEN s.stripe_subscription_id
            ELSE o.stripe_subscription_id
        END,
        updated_at = now()
    FROM snapshots AS s
    WHERE o.id = s.subscription_id
      AND EXISTS (SELECT 1 FROM written AS w WHERE w.stripe_session_id = s.object_id)
      AND NOT EXISTS (
          SELECT 1
          FROM checkout_sessions AS later
          WHERE later.subscription_id = s.subscription_id
            AND later.attempt > s.attempt
            AND later.stripe_session_id IS NOT NULL
      );
END
$$;
COMMENT ON FUNCTION billing_write_sessions_v1(snapshots jsonb) IS 'Writes snapshots of Checkout sessions, and links their orders to them';

CREATE FUNCTION billing_write_subscriptions_v2(snapshots jsonb) RETURNS TABLE(object_id text, affects_derived boolean)
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
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
COMMENT ON FUNCTION billing_write_subscriptions_v2(snapshots jsonb) IS 'Writes snapshots of subscriptions with their items, discounts and customers; returns which affect derived columns';

CREATE FUNCTION billing_write_tax_ids_v1(snapshots jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO stripe_tax_ids AS mirror (
        stripe_tax_id_id,
        livemode,
        stripe_customer_id,
        type,
        value,
        country,
        verification,
        verified_name,
        verified_address,
        deleted,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.stripe_customer_id,
        s.type,
        s.value,
        s.country,
        s.verification,
        s.verified_name,
        s.verified_address,
        s.deleted,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_tax_ids_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        stripe_customer_id text,
        type text,
        value text,
        country text,
        verification text,
        verified_name text,
        verified_address text,
        deleted boolean,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_tax_id_id) DO UPDATE
    SET type = excluded.type,
        value = excluded.value,
        country = excluded.country,
        verification = excluded.verification,
        verified_name = excluded.verified_name,
        verified_address = excluded.verified_address,
        deleted = excluded.deleted,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
    UPDATE customers AS c
    SET tax_id = left(latest.value, 100),
        updated_at = now()
    FROM (
        SELECT DISTINCT s.stripe_customer_id
        FROM jsonb_to_recordset(billing_write_tax_ids_v1.snapshots) AS s (stripe_customer_id text)
    ) AS theirs
    LEFT JOIN LATERAL (
        SELECT t.value
        FROM stripe_tax_ids AS t
        WHERE t.stripe_customer_id = theirs.stripe_customer_id
          AND NOT t.deleted
        ORDER BY t.stripe_created DESC, t.stripe_tax_id_id DESC
        LIMIT 1
    ) AS latest ON TRUE
    WHERE c.stripe_customer_id = theirs.stripe_customer_id
      AND c.tax_id IS DISTINCT FROM left(latest.value, 100)
      AND (
          c.tax_id IS NULL
          OR EXISTS (
              SELECT 1
              FROM stripe_tax_ids AS t
              WHERE t.stripe_customer_id = theirs.stripe_customer_id
                AND left(t.value, 100) = c.tax_id
              OFFSET 0
          )
      );
END
$$;
COMMENT ON FUNCTION billing_write_tax_ids_v1(snapshots jsonb) IS 'Writes snapshots of tax ids, and mPanel''s column of the customer''s latest';

CREATE FUNCTION billing_write_tax_rates_v1(snapshots jsonb) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_material TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO stripe_tax_rates AS mirror (
        stripe_tax_rate_id,
        livemode,
        display_name,
        tax_type,
        percentage,
        inclusive,
        country,
        state_code,
        jurisdiction,
        jurisdiction_level,
        active,
        stripe_created,
        stripe_as_of_since,
        stripe_as_of,
        stripe_event_id
    )
    SELECT
        s.object_id,
        s.livemode,
        s.display_name,
        s.tax_type,
        s.percentage,
        s.inclusive,
        s.country,
        s.state_code,
        s.jurisdiction,
        s.jurisdiction_level,
        s.active,
        s.stripe_created,
        s.since,
        s.as_of,
        s.event_id
    FROM jsonb_to_recordset(billing_write_tax_rates_v1.snapshots) AS s (
        object_id text,
        livemode boolean,
        display_name text,
        tax_type text,
        percentage numeric,
        inclusive boolean,
        country text,
        state_code text,
        jurisdiction text,
        jurisdiction_level text,
        active boolean,
        stripe_created timestamptz,
        since timestamptz,
        as_of timestamptz,
        event_id text
    )
    ON CONFLICT (stripe_tax_rate_id) DO UPDATE
    SET display_name = excluded.display_name,
        tax_type = excluded.tax_type,
        percentage = excluded.percentage,
        inclusive = excluded.inclusive,
        country = excluded.country,
        state_code = excluded.state_code,
        jurisdiction = excluded.jurisdiction,
        jurisdiction_level = excluded.jurisdiction_level,
        active = excluded.active,
        stripe_as_of_since = excluded.stripe_as_of_since,
        stripe_as_of = excluded.stripe_as_of,
        stripe_event_id = excluded.stripe_event_id,
        updated_at = now();
END
$$;
COMMENT ON FUNCTION billing_write_tax_rates_v1(snapshots jsonb) IS 'Writes snapshots of tax rates';

CREATE FUNCTION fn_pgqueuer_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    is_due boolean;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT EXISTS (SELECT FROM enqueued AS j WHERE j.execute_after <= now()) INTO is_due;
    ELSE
        SELECT EXISTS (
            SELECT FROM pgqueuer AS j
            WHERE j.status = 'queued'
              AND j.execute_after <= now()
        ) INTO is_due;
    END IF;
    IF is_due THEN
        PERFORM pg_notify(
            'ch_pgqueuer',
            json_build_object(
                'channel', 'ch_pgqueuer',
                'operation', lower(TG_OP),
                'sent_at', now(),
                'table', TG_TABLE_NAME,
                'type', 'table_changed_event'
            )::text
        );
    END IF;
    RETURN NULL;
END;
$$;

CREATE TABLE billing_access_data (
    subscription_id uuid NOT NULL,
    product_type text NOT NULL,
    generation bigint NOT NULL,
    sealed text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    handed_out_at timestamp with time zone,
    handed_out_to text,
    CONSTRAINT billing_access_data_check CHECK (((handed_out_at IS NULL) = (handed_out_to IS NULL))),
    CONSTRAINT billing_access_data_check1 CHECK (((handed_out_at IS NULL) OR (sealed IS NULL)))
);
COMMENT ON TABLE billing_access_data IS 'Access data of accounts, from when they are made until they are handed out, once';
COMMENT ON COLUMN billing_access_data.subscription_id IS 'The subscription that has the account';
COMMENT ON COLUMN billing_access_data.product_type IS 'Its product type';
COMMENT ON COLUMN billing_access_data.generation IS 'Number of the command that made the account';
COMMENT ON COLUMN billing_access_data.sealed IS 'User name, server and one-time link, encrypted under ENCRYPTION_KEYS; null: handed out, or too old';
COMMENT ON COLUMN billing_access_data.created_at IS 'When the service answered it';
COMMENT ON COLUMN billing_access_data.handed_out_at IS 'When it was handed out; null: it was not';
COMMENT ON COLUMN billing_access_data.handed_out_to IS 'The key or user that got it';

CREATE TABLE billing_adoptions (
    subscription_id uuid NOT NULL,
    source text NOT NULL,
    order_id uuid,
    problem text,
    adopted_at timestamp with time zone DEFAULT now() NOT NULL,
    inspected_at timestamp with time zone,
    CONSTRAINT billing_adoptions_source_check CHECK ((source = ANY (ARRAY['stripe'::text, 'deleted'::text, 'backup'::text])))
);
COMMENT ON TABLE billing_adoptions IS 'Subscriptions that were brought back: their accounts are looked for before anything is sent to the services';
COMMENT ON COLUMN billing_adoptions.subscription_id IS 'The subscription';
COMMENT ON COLUMN billing_adoptions.source IS 'stripe: from the metadata at Stripe, for example after a restored backup; deleted: from billing_deleted_subscriptions; backup: with a backup, whose record of the accounts may be outdated';
COMMENT ON COLUMN billing_adoptions.order_id IS 'The order that its metadata names';
COMMENT ON COLUMN billing_adoptions.problem IS 'What could not be brought back; null: nothing';
COMMENT ON COLUMN billing_adoptions.adopted_at IS 'When it was brought back';
COMMENT ON COLUMN billing_adoptions.inspected_at IS 'When its accounts were looked for; null: not yet';

CREATE TABLE billing_api_keys (
    id text NOT NULL,
    name text NOT NULL,
    key_hash bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    created_by text NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    networks cidr[],
    calls_per_minute bigint,
    refunds_per_day bigint,
    replaced_by text,
    CONSTRAINT billing_api_keys_calls_per_minute_check CHECK ((calls_per_minute > 0)),
    CONSTRAINT billing_api_keys_check CHECK ((replaced_by <> id)),
    CONSTRAINT billing_api_keys_id_check CHECK ((id ~ '^mpb_[0-9A-Za-z]{10}$'::text)),
    CONSTRAINT billing_api_keys_key_hash_check CHECK ((octet_length(key_hash) = 32)),
    CONSTRAINT billing_api_keys_name_check CHECK (((name ~ '^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$'::text) AND (name !~ '^mpb_'::text))),
    CONSTRAINT billing_api_keys_networks_check CHECK ((cardinality(networks) > 0)),
    CONSTRAINT billing_api_keys_refunds_per_day_check CHECK ((refunds_per_day >= 0)),
    CONSTRAINT billing_api_keys_scopes_check CHECK (((cardinality(scopes) > 0) AND (scopes <@ ARRAY['admin'::text, 'admin:read'::text, 'admin:operate'::text, 'admin:money'::text, 'admin:keys'::text, 'billing'::text, 'billing:read'::text, 'billing:change'::text, 'billing:refund'::text, 'billing:portal'::text, 'billing:access-data'::text, 'billing:customers'::text, 'billing:transfer-out'::text, 'billing:usage'::text, 'billing:any-customer'::text])))
);
COMMENT ON TABLE billing_api_keys IS 'Keys for /api/admin and /api/billing, in addition to those in the settings';
COMMENT ON COLUMN billing_api_keys.id IS 'The start of the key; not secret';
COMMENT ON COLUMN billing_api_keys.name IS 'Name of its owner, chosen by the operator; free again once the key is revoked or replaced';
COMMENT ON COLUMN billing_api_keys.key_hash IS 'SHA-256 of the whole key, which is not stored';
COMMENT ON COLUMN billing_api_keys.scopes IS 'What it gives access to, as docs/access.md lists it; admin and billing include all that begin with them';
COMMENT ON COLUMN billing_api_keys.created_at IS 'When it was made';
COMMENT ON COLUMN billing_api_keys.created_by IS 'Who made it';
COMMENT ON COLUMN billing_api_keys.expires_at IS 'When it stops working; null: never';
COMMENT ON COLUMN billing_api_keys.revoked_at IS 'When it was revoked; null: not revoked';
COMMENT ON COLUMN billing_api_keys.last_used_at IS 'Last use, to the minute; null: never';
COMMENT ON COLUMN billing_api_keys.networks IS 'Where it may be used from; null: anywhere';
COMMENT ON COLUMN billing_api_keys.calls_per_minute IS 'How many calls it may make in a minute; null: any number';
COMMENT ON COLUMN billing_api_keys.refunds_per_day IS 'Minor units of each currency that it may refund in a day of UTC; null: any amount';
COMMENT ON COLUMN billing_api_keys.replaced_by IS 'billing_api_keys.id of the key that has taken its place and its name, while it runs out; null: none';

CREATE TABLE billing_audit_entries (
    id bigint NOT NULL,
    attempt_id bigint,
    entry_id bigint GENERATED ALWAYS AS (COALESCE(attempt_id, id)) STORED NOT NULL,
    began_at timestamp with time zone DEFAULT now() NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    actor text NOT NULL,
    person text,
    key_id text,
    action text NOT NULL,
    target_type text,
    target_id text,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    request_id text,
    outcome text NOT NULL,
    error text,
    CONSTRAINT billing_audit_entries_action_check CHECK ((action ~ '^[a-z_]+(\.[a-z_]+)+$'::text)),
    CONSTRAINT billing_audit_entries_actor_check CHECK ((actor <> ''::text)),
    CONSTRAINT billing_audit_entries_check CHECK ((attempt_id < id)),
    CONSTRAINT billing_audit_entries_check1 CHECK (((target_type IS NULL) = (target_id IS NULL))),
    CONSTRAINT billing_audit_entries_details_check CHECK ((jsonb_typeof(details) = 'object'::text)),
    CONSTRAINT billing_audit_entries_outcome_check CHECK ((outcome = ANY (ARRAY['attempted'::text, 'done'::text, 'failed'::text]))),
    CONSTRAINT billing_audit_entries_person_check CHECK ((person <> ''::text))
);
COMMENT ON TABLE billing_audit_entries IS 'Every change made with a key or on a command line, in order: attempts, and outcomes';
COMMENT ON COLUMN billing_audit_entries.id IS 'Our id';
COMMENT ON COLUMN billing_audit_entries.attempt_id IS 'The attempt of which this is the outcome; null: an attempt, or a change that was done at once';
COMMENT ON COLUMN billing_audit_entries.entry_id IS 'The attempt, or this row if it has none: the same for all rows of a change';
COMMENT ON COLUMN billing_audit_entries.began_at IS 'When the change began';
COMMENT ON COLUMN billing_audit_entries.at IS 'When this was recorded';
COMMENT ON COLUMN billing_audit_entries.actor IS 'Name of the key, settings:admin:1 and the like for one of the settings, or cli:<user>@<host>';
COMMENT ON COLUMN billing_audit_entries.person IS 'Who acted in mPanel, as X-Actor says; null: it does not say';
COMMENT ON COLUMN billing_audit_entries.key_id IS 'billing_api_keys.id; null: not a key in the database';
COMMENT ON COLUMN billing_audit_entries.action IS 'What was done, such as subscription.suspend';
COMMENT ON COLUMN billing_audit_entries.target_type IS 'What it was done to: subscription, event, key, ...; null: not one thing';
COMMENT ON COLUMN billing_audit_entries.target_id IS 'Its id: ours, or Stripe''s for a Stripe object';
COMMENT ON COLUMN billing_audit_entries.details IS 'Parameters and result; never a secret';
COMMENT ON COLUMN billing_audit_entries.request_id IS 'X-Request-Id, which the log lines carry; null: no request';
COMMENT ON COLUMN billing_audit_entries.outcome IS 'attempted: begun, outcome unknown; done; failed: refused or aborted';
COMMENT ON COLUMN billing_audit_entries.error IS 'Error code, if it failed or the outcome is unknown';

ALTER TABLE billing_audit_entries ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME billing_audit_entries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE VIEW billing_audit_log AS
 SELECT entry_id AS id,
    began_at AS at,
    actor,
    person,
    key_id,
    action,
    target_type,
    target_id,
    details,
    request_id,
    outcome,
    error,
        CASE
            WHEN ((attempt_id IS NOT NULL) OR (outcome <> 'attempted'::text)) THEN at
            ELSE NULL::timestamp with time zone
        END AS settled_at
   FROM billing_audit_entries e
  WHERE (id = ( SELECT max(later.id) AS max
           FROM billing_audit_entries later
          WHERE (later.entry_id = e.entry_id)));
COMMENT ON VIEW billing_audit_log IS 'Each change made with a key or a command, with its latest outcome';
COMMENT ON COLUMN billing_audit_log.id IS 'Number of the change; `audit settle` takes it';
COMMENT ON COLUMN billing_audit_log.at IS 'When the change was attempted';
COMMENT ON COLUMN billing_audit_log.actor IS 'Name of the key, settings:admin:1 and the like for one of the settings, or cli:<user>@<host>';
COMMENT ON COLUMN billing_audit_log.person IS 'Who acted in mPanel, as X-Actor says; null: it does not say';
COMMENT ON COLUMN billing_audit_log.key_id IS 'billing_api_keys.id; null: not a key in the database';
COMMENT ON COLUMN billing_audit_log.action IS 'What was done, such as subscription.suspend';
COMMENT ON COLUMN billing_audit_log.target_type IS 'What it was done to: subscription, event, key, ...; null: not one thing';
COMMENT ON COLUMN billing_audit_log.target_id IS 'Its id: ours, or Stripe''s for a Stripe object';
COMMENT ON COLUMN billing_audit_log.details IS 'Parameters and result; never a secret';
COMMENT ON COLUMN billing_audit_log.request_id IS 'X-Request-Id, which the log lines carry; null: no request';
COMMENT ON COLUMN billing_audit_log.outcome IS 'Its latest outcome: attempted (still unknown), succeeded, refused or failed';
COMMENT ON COLUMN billing_audit_log.error IS 'Why it was refused or failed';
COMMENT ON COLUMN billing_audit_log.settled_at IS 'When the outcome was known; null while it is unknown';

CREATE TABLE billing_audit_unsettled (
    entry_id bigint NOT NULL,
    since timestamp with time zone NOT NULL
);
COMMENT ON TABLE billing_audit_unsettled IS 'Attempts whose outcome is not recorded, written by a trigger';
COMMENT ON COLUMN billing_audit_unsettled.entry_id IS 'The attempt in billing_audit_entries';
COMMENT ON COLUMN billing_audit_unsettled.since IS 'When it began';

CREATE TABLE billing_cash_folds (
    day date NOT NULL,
    folded_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON TABLE billing_cash_folds IS 'The days that billing_cash_days has: none of the latest, which still change';
COMMENT ON COLUMN billing_cash_folds.day IS 'The day, UTC';
COMMENT ON COLUMN billing_cash_folds.folded_at IS 'When it was computed; each is again, in turn';

CREATE TABLE invoice_payments (
    stripe_invoice_payment_id text NOT NULL,
    stripe_invoice_id text NOT NULL,
    livemode boolean NOT NULL,
    stripe_payment_intent_id text,
    stripe_charge_id text,
    amount_paid bigint,
    currency text,
    status text NOT NULL,
    stripe_created timestamp with time zone NOT NULL,
    stripe_as_of_since timestamp with time zone NOT NULL,
    stripe_as_of timestamp with time zone NOT NULL,
    stripe_event_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT invoice_payments_check CHECK ((stripe_as_of_since <= stripe_as_of)),
    CONSTRAINT invoice_payments_status_check CHECK ((status = ANY (ARRAY['open'::text, 'paid'::text, 'canceled'::text])))
);
COMMENT ON TABLE invoice_payments IS 'Which payment settled which invoice';
COMMENT ON COLUMN invoice_payments.stripe_invoice_payment_id IS 'inpay_...';
COMMENT ON COLUMN invoice_payments.stripe_invoice_id IS 'in_... that it pays';
COMMENT ON COLUMN invoice_payments.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN invoice_payments.stripe_payment_intent_id IS 'pi_...';
COMMENT ON COLUMN invoice_payments.stripe_charge_id IS 'ch_..., if there is no payment intent';
COMMENT ON COLUMN invoice_payments.amount_paid IS 'Minor units of currency';
COMMENT ON COLUMN invoice_payments.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN invoice_payments.status IS 'Stripe''s: open, paid or canceled';
COMMENT ON COLUMN invoice_payments.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN invoice_payments.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN invoice_payments.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN invoice_payments.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN invoice_payments.created_at IS 'When this row was created';
COMMENT ON COLUMN invoice_payments.updated_at IS 'When this row was last changed';

CREATE TABLE invoices (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant_id uuid,
    customer_id uuid,
    invoice_number character varying(50) NOT NULL,
    status character varying(50) DEFAULT 'draft'::character varying,
    subtotal numeric(10,2) NOT NULL,
    tax_rate numeric(5,4) DEFAULT 0,
    tax_amount numeric(10,2) DEFAULT 0,
    total numeric(10,2) NOT NULL,
    currency character varying(3) DEFAULT 'USD'::character varying,
    due_date date,
    paid_date timestamp without time zone,
    notes text,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    subscription_id uuid,
    livemode boolean,
    stripe_invoice_id text,
    stripe_subscription_id text,
    stripe_customer_id text,
    stripe_number text,
    stripe_status text,
    billing_reason text,
    collection_method text,
    auto_advance boolean,
    finalization_error text,
    finalized_at timestamp with time zone,
    voided_at timestamp with time zone,
    taxes jsonb,
    due_at timestamp with time zone,
    amount_invoiced bigint,
    amount_refunded bigint DEFAULT 0 NOT NULL,
    amount_credited bigint DEFAULT 0 NOT NULL,
    amount_disputed bigint DEFAULT 0 NOT NULL,
    disputed_since timestamp with time zone,
    amount_due bigint,
    amount_paid bigint,
    amount_remaining bigint,
    period_start timestamp with time zone,
    period_end timestamp with time zone,
    attempt_count integer,
    next_payment_attempt timestamp with time zone,
    hosted_invoice_url text,
    invoice_pdf text,
    stripe_payment_intent_id character varying(255),
    stripe_created timestamp with time zone,
    stripe_as_of_since timestamp with time zone,
    stripe_as_of timestamp with time zone,
    stripe_event_id text,
    CONSTRAINT billing_invoices_mirror_check CHECK (((stripe_invoice_id IS NULL) OR ((livemode IS NOT NULL) AND (stripe_status IS NOT NULL) AND (amount_due IS NOT NULL) AND (amount_paid IS NOT NULL) AND (amount_remaining IS NOT NULL) AND (stripe_created IS NOT NULL) AND (stripe_as_of IS NOT NULL) AND (stripe_as_of_since <= stripe_as_of)))),
    CONSTRAINT billing_invoices_number_check CHECK (((stripe_invoice_id IS NULL) OR ((invoice_number)::text !~* '^INV-'::text))),
    CONSTRAINT billing_invoices_stripe_status_check CHECK ((stripe_status = ANY ('{draft,open,paid,uncollectible,void,deleted}'::text[])))
)
WITH (fillfactor='85');
COMMENT ON TABLE invoices IS 'mPanel''s own invoices and the mirror of Stripe''s; the latter have a stripe_invoice_id';
COMMENT ON COLUMN invoices.subscription_id IS 'The subscription; null until it is known';
COMMENT ON COLUMN invoices.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN invoices.stripe_invoice_id IS 'in_...; null: mPanel''s own invoice';
COMMENT ON COLUMN invoices.stripe_subscription_id IS 'sub_... that it bills; null: none';
COMMENT ON COLUMN invoices.stripe_customer_id IS 'cus_... that it charges';
COMMENT ON COLUMN invoices.stripe_number IS 'Stripe''s invoice number; invoice_number is ours and never collides with mPanel''s';
COMMENT ON COLUMN invoices.stripe_status IS 'Stripe''s status, or deleted for a deleted draft; status is mPanel''s';
COMMENT ON COLUMN invoices.billing_reason IS 'Why Stripe created it: subscription_create, subscription_cycle, ...';
COMMENT ON COLUMN invoices.collection_method IS 'charge_automatically, or send_invoice: then it is due at its due date';
COMMENT ON COLUMN invoices.auto_advance IS 'Whether Stripe finalizes and collects it by itself';
COMMENT ON COLUMN invoices.finalization_error IS 'Why Stripe could not finalize it; null: it has not failed';
COMMENT ON COLUMN invoices.finalized_at IS 'When Stripe finalized it; null: a draft';
COMMENT ON COLUMN invoices.voided_at IS 'When it was voided; null: it is not';
COMMENT ON COLUMN invoices.taxes IS 'Its taxes by rate, in minor units: tax_rate, amount, taxable_amount, inclusive, reason, net; null: none';
COMMENT ON COLUMN invoices.due_at IS 'When a sent invoice is due; null: it is charged. due_date is for people';
COMMENT ON COLUMN invoices.amount_invoiced IS 'Minor units in all, less what credit notes took off before it was paid';
COMMENT ON COLUMN invoices.amount_refunded IS 'Minor units refunded of its payments, those under way included';
COMMENT ON COLUMN invoices.amount_credited IS 'Minor units given back by credit notes without a refund: to the balance, or outside of Stripe';
COMMENT ON COLUMN invoices.amount_disputed IS 'Minor units that disputes have taken and not given back';
COMMENT ON COLUMN invoices.disputed_since IS 'Since when a dispute has taken money of it; null: none has, it was given back, or an operator waived it';
COMMENT ON COLUMN invoices.amount_due IS 'Minor units, like amount_paid and amount_remaining; subtotal, tax_amount and total are in major units';
COMMENT ON COLUMN invoices.amount_paid IS 'Minor units paid so far';
COMMENT ON COLUMN invoices.amount_remaining IS 'Minor units still to be paid';
COMMENT ON COLUMN invoices.period_start IS 'Start of the billed period, from its lines';
COMMENT ON COLUMN invoices.period_end IS 'End of the billed period, from its lines';
COMMENT ON COLUMN invoices.attempt_count IS 'How often Stripe has tried to collect it';
COMMENT ON COLUMN invoices.next_payment_attempt IS 'When Stripe tries again; null: not automatically';
COMMENT ON COLUMN invoices.hosted_invoice_url IS 'Stripe''s page where it can be paid and printed';
COMMENT ON COLUMN invoices.invoice_pdf IS 'The PDF at Stripe';
COMMENT ON COLUMN invoices.stripe_payment_intent_id IS 'pi_... that paid it';
COMMENT ON COLUMN invoices.stripe_created IS 'When Stripe created the invoice';
COMMENT ON COLUMN invoices.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN invoices.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN invoices.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';

CREATE TABLE stripe_credit_notes (
    stripe_credit_note_id text NOT NULL,
    livemode boolean NOT NULL,
    stripe_invoice_id text NOT NULL,
    stripe_customer_id text,
    stripe_number text,
    status text NOT NULL,
    amount bigint NOT NULL,
    amount_before_payment bigint NOT NULL,
    amount_refunded bigint NOT NULL,
    amount_to_balance bigint NOT NULL,
    amount_out_of_band bigint NOT NULL,
    refunds jsonb,
    taxes jsonb,
    voided_at timestamp with time zone,
    currency text NOT NULL,
    reason text,
    memo text,
    pdf text,
    stripe_created timestamp with time zone NOT NULL,
    stripe_as_of_since timestamp with time zone NOT NULL,
    stripe_as_of timestamp with time zone NOT NULL,
    stripe_event_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stripe_credit_notes_amount_before_payment_check CHECK ((amount_before_payment >= 0)),
    CONSTRAINT stripe_credit_notes_amount_check CHECK ((amount >= 0)),
    CONSTRAINT stripe_credit_notes_amount_out_of_band_check CHECK ((amount_out_of_band >= 0)),
    CONSTRAINT stripe_credit_notes_amount_refunded_check CHECK ((amount_refunded >= 0)),
    CONSTRAINT stripe_credit_notes_amount_to_balance_check CHECK ((amount_to_balance >= 0)),
    CONSTRAINT stripe_credit_notes_check CHECK ((stripe_as_of_since <= stripe_as_of)),
    CONSTRAINT stripe_credit_notes_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT stripe_credit_notes_status_check CHECK ((status = ANY (ARRAY['issued'::text, 'void'::text])))
);
COMMENT ON TABLE stripe_credit_notes IS 'Credit notes: what was taken off an invoice, and how it was given back';
COMMENT ON COLUMN stripe_credit_notes.stripe_credit_note_id IS 'cn_...';
COMMENT ON COLUMN stripe_credit_notes.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_credit_notes.stripe_invoice_id IS 'in_... that it corrects';
COMMENT ON COLUMN stripe_credit_notes.stripe_customer_id IS 'cus_... of the invoice';
COMMENT ON COLUMN stripe_credit_notes.stripe_number IS 'Stripe''s number, printed on it';
COMMENT ON COLUMN stripe_credit_notes.status IS 'Stripe''s: issued or void';
COMMENT ON COLUMN stripe_credit_notes.amount IS 'Minor units of currency in all, with taxes';
COMMENT ON COLUMN stripe_credit_notes.amount_before_payment IS 'Minor units that lowered what was still to be paid';
COMMENT ON COLUMN stripe_credit_notes.amount_refunded IS 'Minor units given back by refunds; stripe_refunds has these too';
COMMENT ON COLUMN stripe_credit_notes.amount_to_balance IS 'Minor units added to the customer''s balance';
COMMENT ON COLUMN stripe_credit_notes.amount_out_of_band IS 'Minor units given back outside of Stripe';
COMMENT ON COLUMN stripe_credit_notes.refunds IS 'The refunds that give back a part of it: refund, amount in minor units; null: none';
COMMENT ON COLUMN stripe_credit_notes.taxes IS 'What of it is taxes, by rate, as invoices.taxes has them; null: none';
COMMENT ON COLUMN stripe_credit_notes.voided_at IS 'When it was voided; null: it is not';
COMMENT ON COLUMN stripe_credit_notes.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN stripe_credit_notes.reason IS 'Stripe''s: duplicate, fraudulent, order_change, product_unsatisfactory; null: none given';
COMMENT ON COLUMN stripe_credit_notes.memo IS 'What it says to the customer';
COMMENT ON COLUMN stripe_credit_notes.pdf IS 'The PDF at Stripe';
COMMENT ON COLUMN stripe_credit_notes.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_credit_notes.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_credit_notes.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_credit_notes.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_credit_notes.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_credit_notes.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_refunds (
    stripe_refund_id text NOT NULL,
    livemode boolean NOT NULL,
    stripe_payment_intent_id text,
    stripe_charge_id text,
    amount bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    reason text,
    failure_reason text,
    stripe_created timestamp with time zone NOT NULL,
    stripe_as_of_since timestamp with time zone NOT NULL,
    stripe_as_of timestamp with time zone NOT NULL,
    stripe_event_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stripe_refunds_amount_check CHECK ((amount >= 0)),
    CONSTRAINT stripe_refunds_check CHECK ((stripe_as_of_since <= stripe_as_of)),
    CONSTRAINT stripe_refunds_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT stripe_refunds_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'requires_action'::text, 'succeeded'::text, 'failed'::text, 'canceled'::text])))
);
COMMENT ON TABLE stripe_refunds IS 'Refunds; invoice_payments names the invoice, by the payment intent';
COMMENT ON COLUMN stripe_refunds.stripe_refund_id IS 're_...';
COMMENT ON COLUMN stripe_refunds.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_refunds.stripe_payment_intent_id IS 'pi_... that is refunded; null: a charge without one';
COMMENT ON COLUMN stripe_refunds.stripe_charge_id IS 'ch_... that is refunded';
COMMENT ON COLUMN stripe_refunds.amount IS 'Minor units of currency';
COMMENT ON COLUMN stripe_refunds.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN stripe_refunds.status IS 'Stripe''s; failed and canceled refunds moved no money';
COMMENT ON COLUMN stripe_refunds.reason IS 'Stripe''s: duplicate, fraudulent, requested_by_customer; null: none given';
COMMENT ON COLUMN stripe_refunds.failure_reason IS 'Why it failed, in Stripe''s words, as lost_or_stolen_card; null: it did not, or Stripe does not say';
COMMENT ON COLUMN stripe_refunds.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_refunds.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_refunds.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_refunds.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_refunds.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_refunds.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_tax_rates (
    stripe_tax_rate_id text NOT NULL,
    livemode boolean NOT NULL,
    display_name text NOT NULL,
    tax_type text,
    percentage numeric NOT NULL,
    inclusive boolean NOT NULL,
    country text,
    state_code text,
    jurisdiction text,
    jurisdiction_level text,
    active boolean NOT NULL,
    stripe_created timestamp with time zone NOT NULL,
    stripe_as_of_since timestamp with time zone NOT NULL,
    stripe_as_of timestamp with time zone NOT NULL,
    stripe_event_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stripe_tax_rates_check CHECK ((stripe_as_of_since <= stripe_as_of)),
    CONSTRAINT stripe_tax_rates_percentage_check CHECK (((percentage >= (0)::numeric) AND (percentage <= (100)::numeric)))
);
COMMENT ON TABLE stripe_tax_rates IS 'Tax rates that were created by hand, and those that Stripe Tax has made and an invoice names';
COMMENT ON COLUMN stripe_tax_rates.stripe_tax_rate_id IS 'txr_...';
COMMENT ON COLUMN stripe_tax_rates.livemode IS 'Whether the id belongs to Stripe''s live mode';
COMMENT ON COLUMN stripe_tax_rates.display_name IS 'What the invoice calls it: VAT, Sales Tax, ...';
COMMENT ON COLUMN stripe_tax_rates.tax_type IS 'Stripe''s: vat, sales_tax, gst, ...; null: not said';
COMMENT ON COLUMN stripe_tax_rates.percentage IS 'What is charged, in percent: at Stripe effective_percentage, or percentage';
COMMENT ON COLUMN stripe_tax_rates.inclusive IS 'Whether prices contain it';
COMMENT ON COLUMN stripe_tax_rates.country IS 'ISO 3166; null: not said';
COMMENT ON COLUMN stripe_tax_rates.state_code IS 'ISO 3166-2 without the country; null: not said';
COMMENT ON COLUMN stripe_tax_rates.jurisdiction IS 'Whose tax it is, as the invoice says; null: not said';
COMMENT ON COLUMN stripe_tax_rates.jurisdiction_level IS 'Stripe''s: country, state, county, city, district; null: not said';
COMMENT ON COLUMN stripe_tax_rates.active IS 'Whether it can be used anew';
COMMENT ON COLUMN stripe_tax_rates.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_tax_rates.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_tax_rates.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_tax_rates.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_tax_rates.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_tax_rates.updated_at IS 'When this row was last changed';

CREATE VIEW billing_tax_lines AS
 SELECT document.livemode,
    document.at,
    document.kind,
    document.document_id,
    document.stripe_invoice_id,
    document.stripe_customer_id,
    rate.country,
    COALESCE(rate.jurisdiction, rate.state_code, rate.country) AS jurisdiction,
    rate.display_name AS tax_name,
    rate.percentage AS rate,
    document.inclusive,
    document.reason,
    document.net,
    document.tax,
    document.currency,
    document.tax_rate AS stripe_tax_rate_id
   FROM (( SELECT i.livemode,
            i.finalized_at AS at,
            'invoice'::text AS kind,
            i.stripe_invoice_id AS document_id,
            i.stripe_invoice_id,
            i.stripe_customer_id,
            lower((i.currency)::text) AS currency,
            line.tax_rate,
            line.inclusive,
            line.reason,
            line.net,
            line.amount AS tax
           FROM (invoices i
             CROSS JOIN LATERAL jsonb_to_recordset(i.taxes) line(tax_rate text, inclusive boolean, reason text, net bigint, amount bigint))
          WHERE ((i.taxes IS NOT NULL) AND (i.finalized_at IS NOT NULL))
        UNION ALL
         SELECT i.livemode,
            i.voided_at,
            'voided_invoice'::text,
            i.stripe_invoice_id,
            i.stripe_invoice_id,
            i.stripe_customer_id,
            lower((i.currency)::text) AS lower,
            line.tax_rate,
            line.inclusive,
            line.reason,
            (- line.net),
            (- line.amount)
           FROM (invoices i
             CROSS JOIN LATERAL jsonb_to_recordset(i.taxes) line(tax_rate text, inclusive boolean, reason text, net bigint, amount bigint))
          WHERE ((i.taxes IS NOT NULL) AND (i.voided_at IS NOT NULL) AND (i.finalized_at IS NOT NULL))
        UNION ALL
         SELECT n.livemode,
            n.stripe_created,
            'credit_note'::text,
            n.stripe_credit_note_id,
            n.stripe_invoice_id,
            n.stripe_customer_id,
            n.currency,
            line.tax_rate,
            line.inclusive,
            line.reason,
            (- line.net),
            (- line.amount)
           FROM (stripe_credit_notes n
             CROSS JOIN LATERAL jsonb_to_recordset(n.taxes) line(tax_rate text, inclusive boolean, reason text, net bigint, amount bigint))
          WHERE (n.taxes IS NOT NULL)
        UNION ALL
         SELECT n.livemode,
            n.voided_at,
            'voided_credit_note'::text,
            n.stripe_credit_note_id,
            n.stripe_invoice_id,
            n.stripe_customer_id,
            n.currency,
            line.tax_rate,
            line.inclusive,
            line.reason,
            line.net,
            line.amount
           FROM (stripe_credit_notes n
             CROSS JOIN LATERAL jsonb_to_recordset(n.taxes) line(tax_rate text, inclusive boolean, reason text, net bigint, amount bigint))
          WHERE ((n.taxes IS NOT NULL) AND (n.voided_at IS NOT NULL))
        UNION ALL
         SELECT r.livemode,
            r.stripe_created,
            'refund'::text,
            r.stripe_refund_id,
            i.stripe_invoice_id,
            i.stripe_customer_id,
            lower((i.currency)::text) AS lower,
            line.tax_rate,
            line.inclusive,
            line.reason,
            (- ((round((((line.net)::numeric * until.now) / whole.total)) - round((((line.net)::numeric * until.before) / whole.total))))::bigint),
            (- ((round((((line.amount)::numeric * until.now) / whole.total)) - round((((line.amount)::numeric * until.before) / whole.total))))::bigint)
           FROM (((((stripe_refunds r
             CROSS JOIN LATERAL ( SELECT p.stripe_invoice_id
                   FROM invoice_payments p
                  WHERE ((p.stripe_payment_intent_id = r.stripe_payment_intent_id) AND (p.status = 'paid'::text))
                  ORDER BY p.stripe_created, p.stripe_invoice_payment_id
                 LIMIT 1) paid)
             JOIN invoices i ON ((i.stripe_invoice_id = paid.stripe_invoice_id)))
             CROSS JOIN LATERAL ( SELECT ((i.amount_invoiced)::numeric + COALESCE(sum(n.amount_before_payment), (0)::numeric)) AS total
                   FROM stripe_credit_notes n
                  WHERE ((n.stripe_invoice_id = i.stripe_invoice_id) AND (n.status = 'issued'::text))) whole)
             CROSS JOIN LATERAL ( SELECT COALESCE(sum(given.amount), (0)::numeric) AS now,
                    COALESCE(sum(given.amount) FILTER (WHERE (given.id <> r.stripe_refund_id)), (0)::numeric) AS before
                   FROM ( SELECT other.stripe_refund_id AS id,
                            ((other.amount)::numeric - COALESCE(( SELECT sum(((part.value ->> 'amount'::text))::bigint) AS sum
                                   FROM (stripe_credit_notes n
                                     CROSS JOIN LATERAL jsonb_array_elements(n.refunds) part(value))
                                  WHERE ((n.stripe_invoice_id = i.stripe_invoice_id) AND (n.status = 'issued'::text) AND ((part.value ->> 'refund'::text) = other.stripe_refund_id))), (0)::numeric)) AS amount
                           FROM (invoice_payments p
                             JOIN stripe_refunds other ON ((other.stripe_payment_intent_id = p.stripe_payment_intent_id)))
                          WHERE ((p.stripe_invoice_id = i.stripe_invoice_id) AND (p.status = 'paid'::text) AND (other.status <> ALL (ARRAY['failed'::text, 'canceled'::text])) AND (ROW(other.stripe_created, other.stripe_refund_id) <= ROW(r.stripe_created, r.stripe_refund_id)))) given) until)
             CROSS JOIN LATERAL jsonb_to_recordset(i.taxes) line(tax_rate text, inclusive boolean, reason text, net bigint, amount bigint))
          WHERE ((r.status <> ALL (ARRAY['failed'::text, 'canceled'::text])) AND (i.taxes IS NOT NULL) AND (whole.total > (0)::numeric) AND (until.now > until.before))) document
     LEFT JOIN stripe_tax_rates rate ON ((rate.stripe_tax_rate_id = document.tax_rate)));
COMMENT ON VIEW billing_tax_lines IS 'The taxes of invoices, and of what was taken back of them, by document and rate; amounts in minor units';
COMMENT ON COLUMN billing_tax_lines.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_tax_lines.at IS 'When the invoice was finalized or voided, the credit note issued or voided, the refund made';
COMMENT ON COLUMN billing_tax_lines.kind IS 'invoice, voided_invoice, credit_note, voided_credit_note, or refund: one without a credit note';
COMMENT ON COLUMN billing_tax_lines.document_id IS 'in_..., cn_... or re_...';
COMMENT ON COLUMN billing_tax_lines.stripe_invoice_id IS 'in_... that it is of';
COMMENT ON COLUMN billing_tax_lines.stripe_customer_id IS 'cus_... of the invoice';
COMMENT ON COLUMN billing_tax_lines.country IS 'ISO 3166, whose tax it is; null: the rate does not say it, or is still to be fetched';
COMMENT ON COLUMN billing_tax_lines.jurisdiction IS 'Whose tax it is there, as the invoice says';
COMMENT ON COLUMN billing_tax_lines.tax_name IS 'What the invoice calls it';
COMMENT ON COLUMN billing_tax_lines.rate IS 'In percent';
COMMENT ON COLUMN billing_tax_lines.inclusive IS 'Whether prices contained it';
COMMENT ON COLUMN billing_tax_lines.reason IS 'Stripe''s taxability reason: standard_rated, reverse_charge, customer_exempt, ...';
COMMENT ON COLUMN billing_tax_lines.net IS 'What was sold at the rate, before the tax, in minor units; negative: taken back';
COMMENT ON COLUMN billing_tax_lines.tax IS 'The tax, in minor units; negative: taken back';
COMMENT ON COLUMN billing_tax_lines.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_tax_lines.stripe_tax_rate_id IS 'txr_...';

CREATE TABLE stripe_charges (
    stripe_charge_id text NOT NULL,
    livemode boolean NOT NULL,
    stripe_payment_intent_id text,
    stripe_customer_id text,
    amount bigint NOT NULL,
    amount_captured bigint NOT NULL,
    amount_refunded bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    failure_code text,
    decline_code text,
    decline_reason text,
    card_brand text,
    card_last4 text,
    card_exp_month smallint,
    card_exp_year smallint,
    card_expired_from date GENERATED ALWAYS AS (make_date((card_exp_year + (card_exp_month / 12)), (((card_exp_month)::integer % 12) + 1), 1)) STORED,
    stripe_created timestamp with time zone NOT NULL,
    stripe_as_of_since timestamp with time zone NOT NULL,
    stripe_as_of timestamp with time zone NOT NULL,
    stripe_event_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stripe_charges_amount_captured_check CHECK ((amount_captured >= 0)),
    CONSTRAINT stripe_charges_amount_check CHECK ((amount >= 0)),
    CONSTRAINT stripe_charges_amount_refunded_check CHECK ((amount_refunded >= 0)),
    CONSTRAINT stripe_charges_card_exp_month_check CHECK (((card_exp_month >= 1) AND (card_exp_month <= 12))),
    CONSTRAINT stripe_charges_check CHECK ((stripe_as_of_since <= stripe_as_of)),
    CONSTRAINT stripe_charges_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT stripe_charges_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'succeeded'::text, 'failed'::text])))
);
COMMENT ON TABLE stripe_charges IS 'What was charged or declined, with the card';
COMMENT ON COLUMN stripe_charges.stripe_charge_id IS 'ch_... or py_...';
COMMENT ON COLUMN stripe_charges.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_charges.stripe_payment_intent_id IS 'pi_... that it belongs to; null: none';
COMMENT ON COLUMN stripe_charges.stripe_customer_id IS 'cus_... that was charged; null: none';
COMMENT ON COLUMN stripe_charges.amount IS 'Minor units of currency that were asked for';
COMMENT ON COLUMN stripe_charges.amount_captured IS 'Minor units that were taken';
COMMENT ON COLUMN stripe_charges.amount_refunded IS 'Minor units of it that were refunded';
COMMENT ON COLUMN stripe_charges.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN stripe_charges.status IS 'Stripe''s: pending, succeeded or failed';
COMMENT ON COLUMN stripe_charges.failure_code IS 'Stripe''s code of a failure, such as card_declined; null: none';
COMMENT ON COLUMN stripe_charges.decline_code IS 'The bank''s or Radar''s reason, such as insufficient_funds; null: none';
COMMENT ON COLUMN stripe_charges.decline_reason IS 'The reason in words; null: it did not fail';
COMMENT ON COLUMN stripe_charges.card_brand IS 'visa, mastercard, ...; null: not a card';
COMMENT ON COLUMN stripe_charges.card_last4 IS 'Last four digits of the card; null: not a card';
COMMENT ON COLUMN stripe_charges.card_exp_month IS 'Month in which the card expires; null: not a card';
COMMENT ON COLUMN stripe_charges.card_exp_year IS 'Year in which the card expires; null: not a card';
COMMENT ON COLUMN stripe_charges.card_expired_from IS 'The first day on which the card cannot be charged; null: not a card';
COMMENT ON COLUMN stripe_charges.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_charges.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_charges.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_charges.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_charges.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_charges.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_disputes (
    stripe_dispute_id text NOT NULL,
    livemode boolean NOT NULL,
    stripe_charge_id text NOT NULL,
    stripe_payment_intent_id text,
    status text NOT NULL,
    reason text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    fee bigint NOT NULL,
    fee_currency text,
    movements integer NOT NULL,
    is_charge_refundable boolean NOT NULL,
    evidence_due_at timestamp with time zone,
    has_evidence boolean NOT NULL,
    submissions integer NOT NULL,
    waived_at timestamp with time zone,
    waived_by text,
    waived_reason text,
    claimed_until timestamp with time zone,
    stripe_created timestamp with time zone NOT NULL,
    stripe_as_of_since timestamp with time zone NOT NULL,
    stripe_as_of timestamp with time zone NOT NULL,
    stripe_event_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stripe_disputes_amount_check CHECK ((amount >= 0)),
    CONSTRAINT stripe_disputes_check CHECK ((num_nonnulls(waived_at, waived_by, waived_reason) = ANY (ARRAY[0, 3]))),
    CONSTRAINT stripe_disputes_check1 CHECK ((stripe_as_of_since <= stripe_as_of)),
    CONSTRAINT stripe_disputes_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT stripe_disputes_fee_currency_check CHECK ((fee_currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT stripe_disputes_movements_check CHECK ((movements >= 0)),
    CONSTRAINT stripe_disputes_status_check CHECK ((status = ANY (ARRAY['warning_needs_response'::text, 'warning_under_review'::text, 'warning_closed'::text, 'needs_response'::text, 'under_review'::text, 'appeal_needs_response'::text, 'appeal_under_review'::text, 'lost'::text, 'won'::text, 'prevented'::text]))),
    CONSTRAINT stripe_disputes_submissions_check CHECK ((submissions >= 0))
);
COMMENT ON TABLE stripe_disputes IS 'Disputes: customers who asked their bank for the money back';
COMMENT ON COLUMN stripe_disputes.stripe_dispute_id IS 'du_... or dp_...';
COMMENT ON COLUMN stripe_disputes.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_disputes.stripe_charge_id IS 'ch_... that is disputed';
COMMENT ON COLUMN stripe_disputes.stripe_payment_intent_id IS 'pi_... of the charge; null: none';
COMMENT ON COLUMN stripe_disputes.status IS 'Stripe''s; warning_...: the bank only asks, no money was taken';
COMMENT ON COLUMN stripe_disputes.reason IS 'The bank''s: fraudulent, duplicate, product_not_received, ...';
COMMENT ON COLUMN stripe_disputes.amount IS 'Minor units of currency that are disputed';
COMMENT ON COLUMN stripe_disputes.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN stripe_disputes.fee IS 'Minor units of fee_currency that Stripe charges for it, less what it gave back';
COMMENT ON COLUMN stripe_disputes.fee_currency IS 'The account''s currency; null: no fee';
COMMENT ON COLUMN stripe_disputes.movements IS 'How often money was moved for it: taken, given back';
COMMENT ON COLUMN stripe_disputes.is_charge_refundable IS 'Whether a refund is still possible, and ends it';
COMMENT ON COLUMN stripe_disputes.evidence_due_at IS 'Until when evidence is accepted; null: none is asked for';
COMMENT ON COLUMN stripe_disputes.has_evidence IS 'Whether evidence is staged or submitted';
COMMENT ON COLUMN stripe_disputes.submissions IS 'How often evidence was submitted: Stripe takes it once';
COMMENT ON COLUMN stripe_disputes.waived_at IS 'Since then DISPUTE_POLICY leaves its subscription alone: an operator decided so; null: it does not';
COMMENT ON COLUMN stripe_disputes.waived_by IS 'Who decided it';
COMMENT ON COLUMN stripe_disputes.waived_reason IS 'Why';
COMMENT ON COLUMN stripe_disputes.claimed_until IS 'Until then one request alone writes its evidence at Stripe; null: none does';
COMMENT ON COLUMN stripe_disputes.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_disputes.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_disputes.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_disputes.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_disputes.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_disputes.updated_at IS 'When this row was last changed';

CREATE VIEW billing_cash_lines AS
 SELECT c.livemode,
    c.stripe_created AS at,
    'collected'::text AS kind,
    c.stripe_charge_id AS object_id,
    c.currency,
    c.amount_captured AS amount
   FROM stripe_charges c
  WHERE (c.status = 'succeeded'::text)
UNION ALL
 SELECT r.livemode,
    r.stripe_created AS at,
    'refunded'::text AS kind,
    r.stripe_refund_id AS object_id,
    r.currency,
    r.amount
   FROM stripe_refunds r
  WHERE (r.status <> ALL (ARRAY['failed'::text, 'canceled'::text]))
UNION ALL
 SELECT d.livemode,
    d.stripe_created AS at,
    'disputed'::text AS kind,
    d.stripe_dispute_id AS object_id,
    d.currency,
    d.amount
   FROM stripe_disputes d
  WHERE (d.status = ANY (ARRAY['needs_response'::text, 'under_review'::text, 'appeal_needs_response'::text, 'appeal_under_review'::text, 'lost'::text]))
UNION ALL
 SELECT t.livemode,
    t.at,
    'tax'::text AS kind,
    t.document_id AS object_id,
    t.currency,
    t.tax AS amount
   FROM billing_tax_lines t;
COMMENT ON VIEW billing_cash_lines IS 'Money that came and went, by payment, refund and dispute, and the taxes of documents';
COMMENT ON COLUMN billing_cash_lines.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_cash_lines.at IS 'When: the payment, the refund, the dispute; of taxes, the document';
COMMENT ON COLUMN billing_cash_lines.kind IS 'collected, refunded, disputed or tax';
COMMENT ON COLUMN billing_cash_lines.object_id IS 'Stripe''s id: ch_..., re_..., du_..., in_... or cn_...';
COMMENT ON COLUMN billing_cash_lines.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_cash_lines.amount IS 'Minor units; taxes that were given back are negative';

CREATE VIEW billing_cash AS
 WITH kept AS MATERIALIZED (
         SELECT COALESCE(min(f.day), '-infinity'::date) AS begins_on,
            COALESCE((max(f.day) + 1), '-infinity'::date) AS ends_on
           FROM billing_cash_folds f
        )
 SELECT livemode,
    (date_trunc('month'::text, (day)::timestamp with time zone))::date AS month,
    currency,
    (COALESCE(sum(amount) FILTER (WHERE (kind = 'collected'::text)), (0)::numeric))::bigint AS collected,
    (COALESCE(sum(amount) FILTER (WHERE (kind = 'refunded'::text)), (0)::numeric))::bigint AS refunded,
    (COALESCE(sum(amount) FILTER (WHERE (kind = 'disputed'::text)), (0)::numeric))::bigint AS disputed,
    (COALESCE(sum(amount) FILTER (WHERE (kind = 'tax'::text)), (0)::numeric))::bigint AS tax
   FROM ( SELECT line.livemode,
            ((line.at AT TIME ZONE 'UTC'::text))::date AS day,
            line.currency,
            line.kind,
            line.amount
           FROM billing_cash_lines line
          WHERE (line.at < ( SELECT ((kept.begins_on)::timestamp without time zone AT TIME ZONE 'UTC'::text) AS timezone
                   FROM kept))
        UNION ALL
         SELECT line.livemode,
            ((line.at AT TIME ZONE 'UTC'::text))::date AS timezone,
            line.currency,
            line.kind,
            line.amount
           FROM billing_cash_lines line
          WHERE (line.at >= ( SELECT ((kept.ends_on)::timestamp without time zone AT TIME ZONE 'UTC'::text) AS timezone
                   FROM kept))
        UNION ALL
         SELECT of_day.livemode,
            of_day.day,
            of_day.currency,
            of_day.kind,
            of_day.amount
           FROM (kept
             CROSS JOIN LATERAL billing_cash_by_day_v1(kept.begins_on, kept.ends_on) of_day(day, livemode, currency, kind, number, amount))
          WHERE (isfinite(kept.begins_on) AND (of_day.kind = ANY (ARRAY['collected'::text, 'refunded'::text, 'disputed'::text, 'tax'::text])))) d
  GROUP BY livemode, ((date_trunc('month'::text, (day)::timestamp with time zone))::date), currency;
COMMENT ON VIEW billing_cash IS 'What was collected, refunded and disputed by month and currency, in minor units, and the taxes of its documents';
COMMENT ON COLUMN billing_cash.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_cash.month IS 'The first day of the month, in UTC';
COMMENT ON COLUMN billing_cash.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_cash.collected IS 'What payments brought, before Stripe''s fees';
COMMENT ON COLUMN billing_cash.refunded IS 'What was refunded in the month, of payments of any month';
COMMENT ON COLUMN billing_cash.disputed IS 'What banks took back by disputes of the month that are open or lost';
COMMENT ON COLUMN billing_cash.tax IS 'The taxes of invoices of the month, less those of credit notes and refunds';

CREATE TABLE billing_cash_changes (
    day date NOT NULL,
    changed_in xid8 DEFAULT pg_current_xact_id() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
COMMENT ON TABLE billing_cash_changes IS 'Days of which billing_cash_days may say something else than the rows do now';
COMMENT ON COLUMN billing_cash_changes.day IS 'The day, UTC';
COMMENT ON COLUMN billing_cash_changes.changed_in IS 'The transaction that changed it: no two share a row, so none waits and none is overlooked';

CREATE TABLE billing_cash_days (
    day date NOT NULL,
    livemode boolean NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL,
    number bigint NOT NULL,
    amount bigint NOT NULL
);
COMMENT ON TABLE billing_cash_days IS 'What billing_cash_of_day_v1 says of the days of billing_cash_folds';
COMMENT ON COLUMN billing_cash_days.day IS 'The day, UTC';
COMMENT ON COLUMN billing_cash_days.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_cash_days.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_cash_days.kind IS 'collected, refunded, disputed or tax; failed: payments that first failed on this day; recovered: those of them that have succeeded since';
COMMENT ON COLUMN billing_cash_days.number IS 'How many payments, refunds, disputes, or taxes of documents';
COMMENT ON COLUMN billing_cash_days.amount IS 'Minor units';

CREATE TABLE billing_changes (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    subscription_id uuid,
    invoice_id uuid,
    customer_id uuid,
    subject_id uuid GENERATED ALWAYS AS (COALESCE(subscription_id, invoice_id, customer_id)) STORED NOT NULL,
    kind text NOT NULL,
    request_key text,
    request_hash bytea NOT NULL,
    params jsonb NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    attempted_at timestamp with time zone DEFAULT now() NOT NULL,
    state text NOT NULL,
    stripe_id text,
    last_error text,
    leased_until timestamp with time zone,
    may_be_made boolean DEFAULT false NOT NULL,
    end_service text,
    service_ended_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_changes_attempt_check CHECK ((attempt > 0)),
    CONSTRAINT billing_changes_check CHECK ((num_nonnulls(subscription_id, invoice_id, customer_id) = 1)),
    CONSTRAINT billing_changes_check1 CHECK (((kind = ANY (ARRAY['refund'::text, 'credit_note'::text, 'finalize_invoice'::text, 'pay_invoice'::text, 'mark_paid'::text, 'void_invoice'::text, 'mark_uncollectible'::text, 'delete_invoice'::text])) = (invoice_id IS NOT NULL))),
    CONSTRAINT billing_changes_check2 CHECK (((kind = ANY (ARRAY['balance'::text, 'invoice'::text])) = (customer_id IS NOT NULL))),
    CONSTRAINT billing_changes_check3 CHECK (((end_service IS NULL) OR (invoice_id IS NOT NULL))),
    CONSTRAINT billing_changes_check4 CHECK (((state = 'asking'::text) = (leased_until IS NOT NULL))),
    CONSTRAINT billing_changes_end_service_check CHECK ((end_service = ANY (ARRAY['now'::text, 'period_end'::text]))),
    CONSTRAINT billing_changes_kind_check CHECK ((kind = ANY (ARRAY['change_plan'::text, 'undo_change'::text, 'change_price'::text, 'take_offer'::text, 'apply_coupon'::text, 'remove_coupon'::text, 'enable_tax'::text, 'pause'::text, 'trial'::text, 'cancel'::text, 'resume'::text, 'revive'::text, 'charge'::text, 'withdraw_charge'::text, 'replace_domain'::text, 'refund'::text, 'credit_note'::text, 'finalize_invoice'::text, 'pay_invoice'::text, 'mark_paid'::text, 'void_invoice'::text, 'mark_uncollectible'::text, 'delete_invoice'::text, 'balance'::text, 'invoice'::text]))),
    CONSTRAINT billing_changes_state_check CHECK ((state = ANY (ARRAY['asking'::text, 'unanswered'::text, 'done'::text, 'failed'::text])))
);
COMMENT ON TABLE billing_changes IS 'What /api/billing and commands request from Stripe about subscriptions, invoices and balances, each with the parameters sent under its idempotency key';
COMMENT ON COLUMN billing_changes.id IS 'With attempt, the idempotency key at Stripe';
COMMENT ON COLUMN billing_changes.subscription_id IS 'What is changed; null: an invoice, or what a customer has';
COMMENT ON COLUMN billing_changes.invoice_id IS 'What is refunded, credited, paid or changed; null: something else is';
COMMENT ON COLUMN billing_changes.customer_id IS 'Whose balance is changed, or who is billed; null: something else is changed';
COMMENT ON COLUMN billing_changes.subject_id IS 'subscription_id, invoice_id or customer_id';
COMMENT ON COLUMN billing_changes.kind IS 'What is requested; billing_changes_kind_check has all of them';
COMMENT ON COLUMN billing_changes.request_key IS 'The Idempotency-Key header; null: none given';
COMMENT ON COLUMN billing_changes.request_hash IS 'SHA-256 of the request';
COMMENT ON COLUMN billing_changes.params IS 'What is sent to Stripe, the same in every retry of the attempt';
COMMENT ON COLUMN billing_changes.attempt IS 'Grows only if Stripe has certainly not acted, or would repeat its failure';
COMMENT ON COLUMN billing_changes.attempted_at IS 'When the attempt began: Stripe forgets its idempotency key a day later';
COMMENT ON COLUMN billing_changes.state IS 'asking: under way until leased_until; unanswered: Stripe may have acted, and the same attempt is retried; done; failed: see last_error';
COMMENT ON COLUMN billing_changes.stripe_id IS 'What Stripe created: re_..., cn_..., cbtxn_... or in_...';
COMMENT ON COLUMN billing_changes.last_error IS 'Why Stripe did not do it';
COMMENT ON COLUMN billing_changes.leased_until IS 'Until then the process that asks is taken to be alive';
COMMENT ON COLUMN billing_changes.may_be_made IS 'Of a failed one: Stripe answered with an error of its own, and may have acted all the same';
COMMENT ON COLUMN billing_changes.end_service IS 'Once the money is back the subscription ends: now, or at the end of its period; null: it stays';
COMMENT ON COLUMN billing_changes.service_ended_at IS 'When that was done; null: not yet';
COMMENT ON COLUMN billing_changes.created_at IS 'When it was first requested';
COMMENT ON COLUMN billing_changes.updated_at IS 'When its state last changed';

CREATE TABLE billing_mrr_changes (
    noted_id uuid NOT NULL,
    changed_in xid8 DEFAULT pg_current_xact_id() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
COMMENT ON TABLE billing_mrr_changes IS 'Of whom billing_mrr_days may have something else than the ledger';
COMMENT ON COLUMN billing_mrr_changes.noted_id IS 'A subscription: whoever has it now; or a customer, who had one';
COMMENT ON COLUMN billing_mrr_changes.changed_in IS 'The transaction that changed it: no two share a row, so none waits and none is overlooked';

CREATE TABLE billing_mrr_cohorts (
    livemode boolean NOT NULL,
    currency text NOT NULL,
    cohort date NOT NULL,
    month date NOT NULL,
    began bigint NOT NULL,
    customers bigint NOT NULL,
    began_with numeric NOT NULL,
    amount numeric NOT NULL
)
WITH (fillfactor='50');
COMMENT ON TABLE billing_mrr_cohorts IS 'The sums of billing_mrr_days by the month in which customers began to pay, and the month of the change';
COMMENT ON COLUMN billing_mrr_cohorts.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_cohorts.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_cohorts.cohort IS 'The first day of the month in which they began to pay, UTC';
COMMENT ON COLUMN billing_mrr_cohorts.month IS 'The first day of the month of the changes';
COMMENT ON COLUMN billing_mrr_cohorts.began IS 'How many began in the month';
COMMENT ON COLUMN billing_mrr_cohorts.customers IS 'How many more of them pay than before the month';
COMMENT ON COLUMN billing_mrr_cohorts.began_with IS 'What those who began in the month paid on their first day';
COMMENT ON COLUMN billing_mrr_cohorts.amount IS 'How much more they pay than before the month';

CREATE TABLE billing_mrr_days (
    customer_id uuid NOT NULL,
    livemode boolean NOT NULL,
    currency text NOT NULL,
    day date NOT NULL,
    kind text NOT NULL,
    change numeric NOT NULL,
    amount numeric NOT NULL,
    started_on date NOT NULL
);
COMMENT ON TABLE billing_mrr_days IS 'What billing_customer_mrr has of each customer, as it was last folded';
COMMENT ON COLUMN billing_mrr_days.customer_id IS 'As in billing_customer_mrr';
COMMENT ON COLUMN billing_mrr_days.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_days.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_days.day IS 'The day, UTC';
COMMENT ON COLUMN billing_mrr_days.kind IS 'new, expansion, contraction, churn or reactivation';
COMMENT ON COLUMN billing_mrr_days.change IS 'Minor units per month, not rounded';
COMMENT ON COLUMN billing_mrr_days.amount IS 'What it was at the end of the day, not rounded';
COMMENT ON COLUMN billing_mrr_days.started_on IS 'The first such day of the customer';

CREATE TABLE billing_mrr_folds (
    is_only boolean DEFAULT true NOT NULL,
    folded_until timestamp with time zone NOT NULL,
    CONSTRAINT billing_mrr_folds_is_only_check CHECK (is_only)
);
COMMENT ON TABLE billing_mrr_folds IS 'Until when the ledger is in billing_mrr_days: one row; none before the first time';
COMMENT ON COLUMN billing_mrr_folds.is_only IS 'True';
COMMENT ON COLUMN billing_mrr_folds.folded_until IS 'What lies later in the ledger is in the future, or due to be folded';

CREATE TABLE billing_mrr_ledger (
    subscription_id uuid NOT NULL,
    currency text NOT NULL,
    at timestamp with time zone NOT NULL,
    livemode boolean NOT NULL,
    amount numeric NOT NULL,
    change numeric NOT NULL,
    CONSTRAINT billing_mrr_ledger_change_check CHECK ((change <> (0)::numeric))
);
COMMENT ON TABLE billing_mrr_ledger IS 'Each change of what a subscription adds to the monthly recurring revenue; the sum of changes until a time is the revenue then';
COMMENT ON COLUMN billing_mrr_ledger.subscription_id IS 'The subscription; its row may have been deleted since';
COMMENT ON COLUMN billing_mrr_ledger.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_ledger.at IS 'When it changed, by Stripe''s clock; in the future when a discount will end';
COMMENT ON COLUMN billing_mrr_ledger.livemode IS 'Whether it is in Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_ledger.amount IS 'Minor units per month from then on, not rounded';
COMMENT ON COLUMN billing_mrr_ledger.change IS 'By how much that is more than before';

CREATE VIEW billing_mrr_unfolded AS
 WITH folds AS MATERIALIZED (
         SELECT COALESCE(max(f.folded_until), '-infinity'::timestamp with time zone) AS folded_until,
            GREATEST(max(f.folded_until), now()) AS moment
           FROM billing_mrr_folds f
        ), changed AS MATERIALIZED (
         SELECT c.noted_id AS customer_id
           FROM billing_mrr_changes c
        UNION
         SELECT billing_mrr_customer_v1(c.noted_id) AS billing_mrr_customer_v1
           FROM billing_mrr_changes c
        UNION
         SELECT billing_mrr_customer_v1(l.subscription_id) AS billing_mrr_customer_v1
           FROM (folds
             JOIN billing_mrr_ledger l ON (((l.at > folds.folded_until) AND (l.at <= folds.moment))))
        )
 SELECT kept.livemode,
    kept.currency,
    changed.customer_id,
    kept.day,
    kept.kind,
    kept.change,
    kept.amount,
    kept.started_on,
    '-1'::integer AS times
   FROM (changed
     CROSS JOIN LATERAL ( SELECT k.livemode,
            k.currency,
            k.day,
            k.kind,
            k.change,
            k.amount,
            k.started_on
           FROM billing_mrr_days k
          WHERE (k.customer_id = changed.customer_id)
         OFFSET 0) kept)
UNION ALL
 SELECT added.livemode,
    added.currency,
    changed.customer_id,
    added.day,
    added.kind,
    added.change,
    added.amount,
    added.started_on,
    1 AS times
   FROM ((changed
     CROSS JOIN folds)
     CROSS JOIN LATERAL billing_customer_mrr_v1(changed.customer_id, folds.moment) added(livemode, currency, day, kind, change, amount, started_on));
COMMENT ON VIEW billing_mrr_unfolded IS 'What is still to be added to the sums of the ledger, and taken off them';
COMMENT ON COLUMN billing_mrr_unfolded.livemode IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.currency IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.customer_id IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.day IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.kind IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.change IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.amount IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.started_on IS 'As in billing_mrr_days';
COMMENT ON COLUMN billing_mrr_unfolded.times IS '1: to be added, -1: to be taken off';

CREATE VIEW billing_cohorts AS
 WITH moved AS MATERIALIZED (
         SELECT m.livemode,
            m.currency,
            m.cohort,
            m.month,
            sum(m.began) AS began,
            sum(m.customers) AS customers,
            sum(m.began_with) AS began_with,
            sum(m.amount) AS amount
           FROM ( SELECT k.livemode,
                    k.currency,
                    k.cohort,
                    k.month,
                    k.began,
                    k.customers,
                    k.began_with,
                    k.amount
                   FROM billing_mrr_cohorts k
                UNION ALL
                 SELECT u.livemode,
                    u.currency,
                    (date_trunc('month'::text, (u.started_on)::timestamp with time zone))::date AS date_trunc,
                    (date_trunc('month'::text, (u.day)::timestamp with time zone))::date AS date_trunc,
                        CASE
                            WHEN (u.kind = 'new'::text) THEN u.times
                            ELSE 0
                        END AS "case",
                        CASE
                            WHEN (u.kind = ANY (ARRAY['new'::text, 'reactivation'::text])) THEN u.times
                            WHEN (u.kind = 'churn'::text) THEN (- u.times)
                            ELSE 0
                        END AS "case",
                        CASE
                            WHEN (u.kind = 'new'::text) THEN ((u.times)::numeric * u.change)
                            ELSE (0)::numeric
                        END AS "case",
                    ((u.times)::numeric * u.change)
                   FROM billing_mrr_unfolded u) m
          GROUP BY m.livemode, m.currency, m.cohort, m.month
        )
 SELECT begun.livemode,
    begun.currency,
    begun.cohort,
    months.month,
    begun.began,
    sum(COALESCE(moved.customers, (0)::numeric)) OVER months_of AS customers,
    begun.began_with,
    sum(COALESCE(moved.amount, (0)::numeric)) OVER months_of AS amount
   FROM ((( SELECT m.livemode,
            m.currency,
            m.cohort,
            (sum(m.began))::bigint AS began,
            sum(m.began_with) AS began_with
           FROM moved m
          GROUP BY m.livemode, m.currency, m.cohort
         HAVING (sum(m.began) > (0)::numeric)) begun
     CROSS JOIN LATERAL ( SELECT (each.at)::date AS month
           FROM generate_series((begun.cohort)::timestamp without time zone, date_trunc('month'::text, (now() AT TIME ZONE 'UTC'::text)), '1 mon'::interval) each(at)) months)
     LEFT JOIN moved ON (((moved.livemode = begun.livemode) AND (moved.currency = begun.currency) AND (moved.cohort = begun.cohort) AND (moved.month = months.month))))
  WINDOW months_of AS (PARTITION BY begun.livemode, begun.currency, begun.cohort ORDER BY months.month);
COMMENT ON VIEW billing_cohorts IS 'Retention: of those who began to pay in a month, how many pay what in each month since';
COMMENT ON COLUMN billing_cohorts.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_cohorts.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_cohorts.cohort IS 'The first day of the month in which they began to pay, UTC';
COMMENT ON COLUMN billing_cohorts.month IS 'The first day of a month since then: what is said is of its end';
COMMENT ON COLUMN billing_cohorts.began IS 'How many began';
COMMENT ON COLUMN billing_cohorts.customers IS 'How many of them pay at the end of the month';
COMMENT ON COLUMN billing_cohorts.began_with IS 'What they paid a month on the day they began, minor units, not rounded';
COMMENT ON COLUMN billing_cohorts.amount IS 'What they pay a month at the end of the month';

CREATE TABLE billing_console_sessions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    token_hash bytea NOT NULL,
    key_id text,
    key_proof bytea,
    key_name text NOT NULL,
    person text NOT NULL,
    by_proxy boolean DEFAULT false NOT NULL,
    language text,
    time_zone text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    used_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT billing_console_sessions_check CHECK (((key_id IS NULL) <> (key_proof IS NULL))),
    CONSTRAINT billing_console_sessions_check1 CHECK ((expires_at > created_at)),
    CONSTRAINT billing_console_sessions_key_proof_check CHECK ((octet_length(key_proof) = 32)),
    CONSTRAINT billing_console_sessions_language_check CHECK ((language ~ '^[a-z]{2}$'::text)),
    CONSTRAINT billing_console_sessions_person_check CHECK ((person <> ''::text)),
    CONSTRAINT billing_console_sessions_token_hash_check CHECK ((octet_length(token_hash) = 32))
);
COMMENT ON TABLE billing_console_sessions IS 'Who is signed in to the console, and was in the latest month';
COMMENT ON COLUMN billing_console_sessions.id IS 'Its id, not secret';
COMMENT ON COLUMN billing_console_sessions.token_hash IS 'SHA-256 of what the browser has in its cookie, which is not stored';
COMMENT ON COLUMN billing_console_sessions.key_id IS 'The key that was exchanged for it; null: one of the settings';
COMMENT ON COLUMN billing_console_sessions.key_proof IS 'Of a key of the settings: SHA-256 of the token and the hash of the key';
COMMENT ON COLUMN billing_console_sessions.key_name IS 'The name of the key when it began';
COMMENT ON COLUMN billing_console_sessions.person IS 'Who it is, for the audit log';
COMMENT ON COLUMN billing_console_sessions.by_proxy IS 'Whether a proxy said who it is';
COMMENT ON COLUMN billing_console_sessions.language IS 'ISO 639-1; null: what the browser asks for';
COMMENT ON COLUMN billing_console_sessions.time_zone IS 'A zone of the IANA database, in which times are shown; null: UTC';
COMMENT ON COLUMN billing_console_sessions.created_at IS 'When it began';
COMMENT ON COLUMN billing_console_sessions.used_at IS 'Latest use, to the minute';
COMMENT ON COLUMN billing_console_sessions.expires_at IS 'When it ends at the latest';
COMMENT ON COLUMN billing_console_sessions.ended_at IS 'When it was ended by hand; null: it was not';

CREATE TABLE billing_meter_events (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    number bigint NOT NULL,
    subscription_id uuid NOT NULL,
    meter text NOT NULL,
    stripe_customer_id text NOT NULL,
    livemode boolean NOT NULL,
    value bigint NOT NULL,
    used_at timestamp with time zone NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    first_tried_at timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    last_error text,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    sent_at timestamp with time zone,
    settled_at timestamp with time zone,
    settled_by text,
    settled_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_meter_events_check CHECK (((state = 'sent'::text) = (sent_at IS NOT NULL))),
    CONSTRAINT billing_meter_events_check1 CHECK ((num_nonnulls(settled_at, settled_by, settled_reason) = ANY (ARRAY[0, 3]))),
    CONSTRAINT billing_meter_events_failures_check CHECK ((failures >= 0)),
    CONSTRAINT billing_meter_events_state_check CHECK ((state = ANY ('{waiting,sent,late,refused}'::text[])))
)
WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');
COMMENT ON TABLE billing_meter_events IS 'What Stripe is told of usage: the records of one subscription, meter and hour that came together';
COMMENT ON COLUMN billing_meter_events.id IS 'Ours; the identifier at Stripe';
COMMENT ON COLUMN billing_meter_events.number IS 'The order in which those of a customer and meter are sent';
COMMENT ON COLUMN billing_meter_events.subscription_id IS 'Whose usage it is; no reference, because mPanel may delete the row';
COMMENT ON COLUMN billing_meter_events.meter IS 'What was used';
COMMENT ON COLUMN billing_meter_events.stripe_customer_id IS 'cus_... that Stripe bills for it';
COMMENT ON COLUMN billing_meter_events.livemode IS 'Whether it is for Stripe''s live mode';
COMMENT ON COLUMN billing_meter_events.value IS 'The sum of its records, or the latest of them, as the meter adds up';
COMMENT ON COLUMN billing_meter_events.used_at IS 'When the latest of its records was used: all of them are in the same term';
COMMENT ON COLUMN billing_meter_events.state IS 'waiting; sent: Stripe has it; late: the invoice of its term was final before; refused: Stripe does not take it';
COMMENT ON COLUMN billing_meter_events.first_tried_at IS 'When it was first tried since Stripe certainly did not have it; an identifier is known there for a day';
COMMENT ON COLUMN billing_meter_events.failures IS 'Tries in a row whose outcome is unknown';
COMMENT ON COLUMN billing_meter_events.last_error IS 'Why the latest try failed, or what Stripe refused; null: it did not';
COMMENT ON COLUMN billing_meter_events.next_attempt_at IS 'When it may be tried; a claim moves it on, so that a dead worker costs a minute';
COMMENT ON COLUMN billing_meter_events.sent_at IS 'When Stripe took it, by Stripe''s clock; of one that was found there, ours';
COMMENT ON COLUMN billing_meter_events.settled_at IS 'When an operator had dealt with one that is late or refused; null: it is trouble';
COMMENT ON COLUMN billing_meter_events.settled_by IS 'Who had';
COMMENT ON COLUMN billing_meter_events.settled_reason IS 'What became of it: charged otherwise, or given away';
COMMENT ON COLUMN billing_meter_events.created_at IS 'When its records came';

CREATE TABLE billing_meters (
    event_name text NOT NULL,
    aggregation text NOT NULL,
    stripe_meter_id text,
    livemode boolean,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_meters_aggregation_check CHECK ((aggregation = ANY (ARRAY['sum'::text, 'last'::text]))),
    CONSTRAINT billing_meters_check CHECK (((stripe_meter_id IS NULL) = (livemode IS NULL)))
);
COMMENT ON TABLE billing_meters IS 'What is metered; Stripe''s meters cannot change how they add up, and neither can these';
COMMENT ON COLUMN billing_meters.event_name IS 'Its name in the catalogue, and in meter events at Stripe';
COMMENT ON COLUMN billing_meters.aggregation IS 'sum: what was used adds up; last: the latest value of a term counts';
COMMENT ON COLUMN billing_meters.stripe_meter_id IS 'mtr_... in the mode that livemode says; null: not pushed yet';
COMMENT ON COLUMN billing_meters.livemode IS 'Whether stripe_meter_id belongs to Stripe''s live mode; null: not pushed';
COMMENT ON COLUMN billing_meters.created_at IS 'When this row was created';

CREATE TABLE billing_usage_totals (
    subscription_id uuid NOT NULL,
    meter text NOT NULL,
    term_start timestamp with time zone NOT NULL,
    quantity bigint NOT NULL,
    latest_at timestamp with time zone NOT NULL,
    lifted_at timestamp with time zone,
    lifted_by text,
    lifted_reason text,
    CONSTRAINT billing_usage_totals_check CHECK ((num_nonnulls(lifted_at, lifted_by, lifted_reason) = ANY (ARRAY[0, 3])))
)
WITH (fillfactor='85');
COMMENT ON TABLE billing_usage_totals IS 'What was reported of each meter in the latest term, kept as it comes: what is told of thresholds, and what a limit does, depends on it';
COMMENT ON COLUMN billing_usage_totals.subscription_id IS 'Whose usage it is; no reference, because mPanel may delete the row';
COMMENT ON COLUMN billing_usage_totals.meter IS 'What was used';
COMMENT ON COLUMN billing_usage_totals.term_start IS 'When that term began, as the item had it then';
COMMENT ON COLUMN billing_usage_totals.quantity IS 'The sum of its records, or the latest of them';
COMMENT ON COLUMN billing_usage_totals.latest_at IS 'When the latest of them was used';
COMMENT ON COLUMN billing_usage_totals.lifted_at IS 'When an operator let the subscription go on in this term, although its limit is reached; null: nobody has';
COMMENT ON COLUMN billing_usage_totals.lifted_by IS 'Who has';
COMMENT ON COLUMN billing_usage_totals.lifted_reason IS 'Why';

CREATE TABLE prices (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    product_id uuid NOT NULL,
    billing_cycle text,
    purpose text,
    currency text NOT NULL,
    unit_amount bigint NOT NULL,
    meter text,
    tiers jsonb,
    lookup_key text NOT NULL,
    tax_behavior text,
    stripe_price_id text,
    livemode boolean,
    active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT prices_billing_cycle_check CHECK ((billing_cycle = ANY (ARRAY['monthly'::text, 'quarterly'::text, 'semi-annually'::text, 'annually'::text, 'biennially'::text, 'triennially'::text]))),
    CONSTRAINT prices_check CHECK (((stripe_price_id IS NULL) = (livemode IS NULL))),
    CONSTRAINT prices_check1 CHECK (((purpose IS NULL) OR (billing_cycle IS NULL))),
    CONSTRAINT prices_check2 CHECK (((meter IS NULL) = (tiers IS NULL))),
    CONSTRAINT prices_check3 CHECK (((meter IS NULL) OR ((billing_cycle IS NOT NULL) AND (unit_amount = 0)))),
    CONSTRAINT prices_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT prices_purpose_check CHECK ((purpose = ANY (ARRAY['transfer'::text, 'renewal'::text, 'redemption'::text]))),
    CONSTRAINT prices_tax_behavior_check CHECK ((tax_behavior = ANY (ARRAY['inclusive'::text, 'exclusive'::text]))),
    CONSTRAINT prices_unit_amount_check CHECK ((unit_amount >= 0))
);
COMMENT ON TABLE prices IS 'What a product costs per term; a price is retired, never changed';
COMMENT ON COLUMN prices.id IS 'Our id';
COMMENT ON COLUMN prices.product_id IS 'What is sold';
COMMENT ON COLUMN prices.billing_cycle IS 'The term; null: charged once';
COMMENT ON COLUMN prices.purpose IS 'Of domains: transfer, renewal (each further year) or redemption (getting back an expired one); null: what it costs to buy the product';
COMMENT ON COLUMN prices.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN prices.unit_amount IS 'Minor units of currency for the whole term; 0 if it is billed by usage';
COMMENT ON COLUMN prices.meter IS 'The meter whose usage it bills after each term; null: it is billed before';
COMMENT ON COLUMN prices.tiers IS 'What a unit costs up to which usage in a term, as Stripe has it (graduated); amounts are decimals of minor units';
COMMENT ON COLUMN prices.lookup_key IS 'Stripe''s lookup key, by which `catalog push` finds the price again';
COMMENT ON COLUMN prices.tax_behavior IS 'Whether it contains the taxes; once said it never changes; null: not said';
COMMENT ON COLUMN prices.stripe_price_id IS 'price_... in the mode that livemode says; null: not pushed yet';
COMMENT ON COLUMN prices.livemode IS 'Whether stripe_price_id belongs to Stripe''s live mode; null: not pushed';
COMMENT ON COLUMN prices.active IS 'On sale';
COMMENT ON COLUMN prices.created_at IS 'When this row was created';
COMMENT ON COLUMN prices.updated_at IS 'When this row was last changed';

CREATE TABLE products (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant_id uuid,
    name character varying(255) NOT NULL,
    description text,
    type character varying(50) NOT NULL,
    billing_cycle character varying(50),
    price numeric(10,2) NOT NULL,
    setup_fee numeric(10,2) DEFAULT 0,
    currency character varying(3) DEFAULT 'USD'::character varying,
    taxable boolean DEFAULT true,
    status character varying(50) DEFAULT 'active'::character varying,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    code text,
    kind text,
    product_types text[] DEFAULT '{}'::text[],
    trial_days integer DEFAULT 0,
    max_per_customer integer,
    max_quantity integer DEFAULT 1,
    card_required boolean DEFAULT false,
    free_domain boolean DEFAULT false,
    allowed_changes text[],
    category text,
    features text[] DEFAULT '{}'::text[],
    resources jsonb DEFAULT '{}'::jsonb,
    display_order integer DEFAULT 0,
    usage jsonb,
    tax_code text,
    stripe_product_id text,
    livemode boolean,
    CONSTRAINT billing_products_kind_check CHECK ((kind = ANY (ARRAY['plan'::text, 'addon'::text, 'domain'::text, 'fee'::text]))),
    CONSTRAINT billing_products_max_per_customer_check CHECK ((max_per_customer > 0)),
    CONSTRAINT billing_products_max_quantity_check CHECK ((max_quantity > 0)),
    CONSTRAINT billing_products_trial_days_check CHECK (((trial_days >= 0) AND (trial_days <= 730)))
);
COMMENT ON TABLE products IS 'What is sold; those of this service have a code';
COMMENT ON COLUMN products.code IS 'The planId or add-on id that clients send; null: not sold by this service';
COMMENT ON COLUMN products.kind IS 'plan (the base product of an order), addon, domain (a TLD), fee';
COMMENT ON COLUMN products.product_types IS 'What is provisioned for it: hosting, email, storage, ...';
COMMENT ON COLUMN products.trial_days IS 'Free days before the first charge; 0: no trial';
COMMENT ON COLUMN products.max_per_customer IS 'How many of a plan one customer may have at a time; null: any number';
COMMENT ON COLUMN products.max_quantity IS 'How many of a plan or add-on a subscription may have';
COMMENT ON COLUMN products.card_required IS 'Checkout asks for a card even if nothing is due';
COMMENT ON COLUMN products.free_domain IS 'A term of twelve months or more includes the first domain of the order';
COMMENT ON COLUMN products.allowed_changes IS 'Codes of the plans that a plan may be changed to; null: any';
COMMENT ON COLUMN products.category IS 'Heading on the marketing site';
COMMENT ON COLUMN products.features IS 'Selling points on the plan''s card';
COMMENT ON COLUMN products.resources IS 'Limits that provisioning passes on: disk, mailboxes, ...';
COMMENT ON COLUMN products.display_order IS 'Place in the marketing site''s lists, in ascending order';
COMMENT ON COLUMN products.usage IS 'Of an add-on that is billed by usage: its meter, unit and what is included; null: it has a price';
COMMENT ON COLUMN products.tax_code IS 'txcd_..., Stripe''s category for taxes; null: the account''s default';
COMMENT ON COLUMN products.stripe_product_id IS 'prod_... in the mode that livemode names';
COMMENT ON COLUMN products.livemode IS 'Whether stripe_product_id belongs to Stripe''s live mode; null: not pushed';

CREATE TABLE subscription_items (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    subscription_id uuid NOT NULL,
    price_id uuid,
    stripe_subscription_item_id text,
    stripe_price_id text,
    stripe_product_id text,
    quantity bigint,
    unit_amount bigint,
    currency text NOT NULL,
    recurring_interval text,
    interval_count integer,
    current_period_start timestamp with time zone,
    current_period_end timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT subscription_items_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT subscription_items_interval_count_check CHECK ((interval_count > 0)),
    CONSTRAINT subscription_items_quantity_check CHECK ((quantity >= 0)),
    CONSTRAINT subscription_items_recurring_interval_check CHECK ((recurring_interval = ANY ('{day,week,month,year}'::text[])))
)
WITH (fillfactor='85');
COMMENT ON TABLE subscription_items IS 'What a subscription charges each term; while it is provisional, what was ordered';
COMMENT ON COLUMN subscription_items.id IS 'Our id';
COMMENT ON COLUMN subscription_items.subscription_id IS 'The subscription';
COMMENT ON COLUMN subscription_items.price_id IS 'Price in the catalogue; null: not in it';
COMMENT ON COLUMN subscription_items.stripe_subscription_item_id IS 'si_...; null until Stripe has created it';
COMMENT ON COLUMN subscription_items.stripe_price_id IS 'price_... at Stripe';
COMMENT ON COLUMN subscription_items.stripe_product_id IS 'prod_... of the price: places an item whose price is not in the catalogue';
COMMENT ON COLUMN subscription_items.quantity IS 'Null: metered';
COMMENT ON COLUMN subscription_items.unit_amount IS 'Minor units; null: not a whole number, or tiered';
COMMENT ON COLUMN subscription_items.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN subscription_items.recurring_interval IS 'Unit of the term: day, week, month, year';
COMMENT ON COLUMN subscription_items.interval_count IS 'Units in a term';
COMMENT ON COLUMN subscription_items.current_period_start IS 'Start of the current term';
COMMENT ON COLUMN subscription_items.current_period_end IS 'End of the current term';
COMMENT ON COLUMN subscription_items.created_at IS 'When this row was created';
COMMENT ON COLUMN subscription_items.updated_at IS 'When this row was last changed';

CREATE VIEW billing_usage_limits AS
 SELECT t.subscription_id,
    t.meter,
    product.code AS product_code,
    ((product.usage ->> 'limit'::text))::bigint AS most,
    (product.usage ->> 'at_limit'::text) AS action,
    t.term_start,
    i.current_period_end AS term_end,
    t.quantity,
    (t.quantity >= ((product.usage ->> 'limit'::text))::bigint) AS is_reached,
    ((t.quantity >= ((product.usage ->> 'limit'::text))::bigint) AND ((product.usage ->> 'at_limit'::text) = 'suspend'::text) AND (t.lifted_at IS NULL)) AS suspends,
    t.lifted_at,
    t.lifted_by,
    t.lifted_reason
   FROM (((billing_usage_totals t
     JOIN subscription_items i ON (((i.subscription_id = t.subscription_id) AND (i.current_period_start <= t.term_start))))
     JOIN prices p ON (((p.id = i.price_id) AND (p.meter = t.meter))))
     JOIN products product ON ((product.id = p.product_id)))
  WHERE ((product.usage ->> 'limit'::text) IS NOT NULL);
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

CREATE VIEW billing_current_usage AS
 SELECT s.id AS subscription_id,
    s.customer_id,
    p.meter,
    m.aggregation,
    product.code AS product_code,
    product.name AS product_name,
    (product.usage ->> 'unit'::text) AS unit,
    ((product.usage ->> 'included'::text))::bigint AS included,
    i.current_period_start AS term_start,
    i.current_period_end AS term_end,
    COALESCE(used.quantity, (0)::numeric) AS quantity,
    COALESCE(used.waiting, (0)::bigint) AS waiting,
    COALESCE(used.unbilled, (0)::bigint) AS unbilled,
    p.currency,
    p.tiers,
    s.livemode,
    ((product.usage ->> 'limit'::text))::bigint AS most,
    (product.usage ->> 'at_limit'::text) AS action,
    COALESCE(reached.is_reached, false) AS is_limit_reached,
    COALESCE(reached.suspends, false) AS suspends,
    reached.lifted_at
   FROM ((((((prices p
     JOIN billing_meters m ON ((m.event_name = p.meter)))
     JOIN products product ON ((product.id = p.product_id)))
     JOIN subscription_items i ON (((i.price_id = p.id) AND (i.stripe_subscription_item_id IS NOT NULL))))
     JOIN subscriptions s ON (((s.id = i.subscription_id) AND (s.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])))))
     LEFT JOIN LATERAL ( SELECT l.is_reached,
            l.suspends,
            l.lifted_at
           FROM billing_usage_limits l
          WHERE ((l.subscription_id = s.id) AND (l.meter = p.meter))
         LIMIT 1) reached ON (true))
     CROSS JOIN LATERAL ( SELECT
                CASE m.aggregation
                    WHEN 'sum'::text THEN sum(e.value) FILTER (WHERE (e.state = ANY (ARRAY['waiting'::text, 'sent'::text])))
                    ELSE ((array_agg(e.value ORDER BY e.used_at DESC, e.number DESC) FILTER (WHERE (e.state = ANY (ARRAY['waiting'::text, 'sent'::text]))))[1])::numeric
                END AS quantity,
            count(*) FILTER (WHERE (e.state = 'waiting'::text)) AS waiting,
            count(*) FILTER (WHERE (e.state = ANY (ARRAY['late'::text, 'refused'::text]))) AS unbilled
           FROM billing_meter_events e
          WHERE ((e.subscription_id = s.id) AND (e.meter = p.meter) AND (e.used_at >= i.current_period_start) AND (e.used_at < i.current_period_end))) used);
COMMENT ON VIEW billing_current_usage IS 'What subscriptions that live have used of each meter in their present term';
COMMENT ON COLUMN billing_current_usage.subscription_id IS 'Our id of the subscription';
COMMENT ON COLUMN billing_current_usage.customer_id IS 'The customer record';
COMMENT ON COLUMN billing_current_usage.meter IS 'What is metered';
COMMENT ON COLUMN billing_current_usage.aggregation IS 'sum: what was used adds up; last: the latest value counts';
COMMENT ON COLUMN billing_current_usage.product_code IS 'The add-on that is billed by it';
COMMENT ON COLUMN billing_current_usage.product_name IS 'Its name';
COMMENT ON COLUMN billing_current_usage.unit IS 'What is counted';
COMMENT ON COLUMN billing_current_usage.included IS 'How much of each term costs nothing';
COMMENT ON COLUMN billing_current_usage.term_start IS 'When the term began';
COMMENT ON COLUMN billing_current_usage.term_end IS 'When it ends and is billed';
COMMENT ON COLUMN billing_current_usage.quantity IS 'What was reported of the term and will be billed';
COMMENT ON COLUMN billing_current_usage.waiting IS 'How many meter events Stripe has not been told yet';
COMMENT ON COLUMN billing_current_usage.unbilled IS 'How many it will not bill: billing_trouble has those that are not settled';
COMMENT ON COLUMN billing_current_usage.currency IS 'Of the tiers';
COMMENT ON COLUMN billing_current_usage.tiers IS 'What a unit costs up to which usage, in minor units';
COMMENT ON COLUMN billing_current_usage.livemode IS 'Whether it is in Stripe''s live mode';
COMMENT ON COLUMN billing_current_usage.most IS 'The limit of a term; null: there is none';
COMMENT ON COLUMN billing_current_usage.action IS 'What follows at the limit: tell, or suspend';
COMMENT ON COLUMN billing_current_usage.is_limit_reached IS 'Whether what was reported of the term is the limit, or more';
COMMENT ON COLUMN billing_current_usage.suspends IS 'Whether its services are suspended for it';
COMMENT ON COLUMN billing_current_usage.lifted_at IS 'When an operator lifted that for the rest of the term; null: nobody has';

CREATE VIEW billing_customer_mrr AS
 SELECT livemode,
    currency,
    customer_id,
    day,
    kind,
    change,
    amount,
    started_on
   FROM ( SELECT k.livemode,
            k.currency,
            k.customer_id,
            k.day,
            k.kind,
            k.change,
            k.amount,
            k.started_on,
            1 AS times
           FROM billing_mrr_days k
        UNION ALL
         SELECT u.livemode,
            u.currency,
            u.customer_id,
            u.day,
            u.kind,
            u.change,
            u.amount,
            u.started_on,
            u.times
           FROM billing_mrr_unfolded u) m
  GROUP BY livemode, currency, customer_id, day, kind, change, amount, started_on
 HAVING (sum(times) > 0);
COMMENT ON VIEW billing_customer_mrr IS 'The monthly recurring revenue of each customer, by the days on which it changed';
COMMENT ON COLUMN billing_customer_mrr.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_customer_mrr.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_customer_mrr.customer_id IS 'The customer record; of a subscription whose customer is unknown, the subscription';
COMMENT ON COLUMN billing_customer_mrr.day IS 'The day, UTC';
COMMENT ON COLUMN billing_customer_mrr.kind IS 'new, expansion, contraction, churn or reactivation';
COMMENT ON COLUMN billing_customer_mrr.change IS 'By how much it is more than at the end of the day before, minor units, not rounded';
COMMENT ON COLUMN billing_customer_mrr.amount IS 'What it was at the end of the day, minor units, not rounded';
COMMENT ON COLUMN billing_customer_mrr.started_on IS 'The first such day of the customer';

CREATE TABLE billing_deleted_subscriptions (
    subscription_id uuid NOT NULL,
    stripe_subscription_id text,
    stripe_customer_id text,
    livemode boolean NOT NULL,
    stripe_status text,
    stripe_as_of timestamp with time zone,
    subscription jsonb NOT NULL,
    services jsonb DEFAULT '[]'::jsonb NOT NULL,
    charges jsonb DEFAULT '[]'::jsonb NOT NULL,
    deleted_at timestamp with time zone DEFAULT now() NOT NULL,
    settled_at timestamp with time zone,
    settled_how text,
    claimed_until timestamp with time zone,
    CONSTRAINT billing_deleted_subscriptions_check CHECK (((settled_at IS NULL) = (settled_how IS NULL))),
    CONSTRAINT billing_deleted_subscriptions_settled_how_check CHECK ((settled_how = ANY (ARRAY['restored'::text, 'cancelled'::text])))
);
COMMENT ON TABLE billing_deleted_subscriptions IS 'Subscriptions whose rows were deleted here, by mPanel or by hand: until an operator decides, events of them have no effect';
COMMENT ON COLUMN billing_deleted_subscriptions.subscription_id IS 'Id of the deleted row';
COMMENT ON COLUMN billing_deleted_subscriptions.stripe_subscription_id IS 'sub_...; null: it was not paid';
COMMENT ON COLUMN billing_deleted_subscriptions.stripe_customer_id IS 'cus_... that is charged';
COMMENT ON COLUMN billing_deleted_subscriptions.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN billing_deleted_subscriptions.stripe_status IS 'Stripe''s status, as the latest event says';
COMMENT ON COLUMN billing_deleted_subscriptions.stripe_as_of IS 'What stripe_status describes, by Stripe''s clock';
COMMENT ON COLUMN billing_deleted_subscriptions.subscription IS 'The deleted row';
COMMENT ON COLUMN billing_deleted_subscriptions.services IS 'Its rows of tenant_services: the accounts that were left behind';
COMMENT ON COLUMN billing_deleted_subscriptions.charges IS 'Its rows of subscription_charges';
COMMENT ON COLUMN billing_deleted_subscriptions.deleted_at IS 'When it was deleted';
COMMENT ON COLUMN billing_deleted_subscriptions.settled_at IS 'When an operator decided; null: not yet';
COMMENT ON COLUMN billing_deleted_subscriptions.settled_how IS 'restored: provisioned again; cancelled: cancelled at Stripe';
COMMENT ON COLUMN billing_deleted_subscriptions.claimed_until IS 'Until when the decision of one operator is carried out; others are refused';

CREATE TABLE billing_deliveries (
    message_id text NOT NULL,
    receiver_id uuid NOT NULL,
    subscription_id uuid,
    sequence bigint,
    state text DEFAULT 'waiting'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now(),
    tried_at timestamp with time zone,
    last_status integer,
    last_error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_deliveries_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT billing_deliveries_check CHECK (((state = 'waiting'::text) = (next_attempt_at IS NOT NULL))),
    CONSTRAINT billing_deliveries_check1 CHECK (((state <> 'given_up'::text) OR (last_error IS NOT NULL))),
    CONSTRAINT billing_deliveries_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'delivered'::text, 'given_up'::text])))
)
WITH (fillfactor='70');
COMMENT ON TABLE billing_deliveries IS 'One message for one receiver';
COMMENT ON COLUMN billing_deliveries.message_id IS 'The message';
COMMENT ON COLUMN billing_deliveries.receiver_id IS 'The receiver';
COMMENT ON COLUMN billing_deliveries.subscription_id IS 'As in the message';
COMMENT ON COLUMN billing_deliveries.sequence IS 'As in the message: a later one waits until the first attempt of an earlier one has ended';
COMMENT ON COLUMN billing_deliveries.state IS 'waiting: for its next attempt; delivered: accepted by the receiver; given_up: after the last attempt';
COMMENT ON COLUMN billing_deliveries.attempts IS 'How often it was sent since it was last requested';
COMMENT ON COLUMN billing_deliveries.next_attempt_at IS 'When it is sent next; during an attempt, when another process may repeat it';
COMMENT ON COLUMN billing_deliveries.tried_at IS 'When the latest attempt ended; null: none has';
COMMENT ON COLUMN billing_deliveries.last_status IS 'HTTP status of the latest response; null: none came';
COMMENT ON COLUMN billing_deliveries.last_error IS 'Why the latest attempt failed; null: it did not';
COMMENT ON COLUMN billing_deliveries.created_at IS 'When it was created';

CREATE TABLE billing_discount_terms (
    subscription_id uuid NOT NULL,
    stripe_discount_id text NOT NULL,
    percent_off numeric,
    amount_off bigint,
    currency text,
    duration text,
    stripe_product_ids text[],
    ends_at timestamp with time zone
);
COMMENT ON TABLE billing_discount_terms IS 'The terms of the discounts that billing_revenue_states names, also of those that are gone';
COMMENT ON COLUMN billing_discount_terms.subscription_id IS 'The subscription';
COMMENT ON COLUMN billing_discount_terms.stripe_discount_id IS 'di_...';
COMMENT ON COLUMN billing_discount_terms.percent_off IS 'As in subscription_discounts';
COMMENT ON COLUMN billing_discount_terms.amount_off IS 'As in subscription_discounts';
COMMENT ON COLUMN billing_discount_terms.currency IS 'As in subscription_discounts';
COMMENT ON COLUMN billing_discount_terms.duration IS 'As in subscription_discounts';
COMMENT ON COLUMN billing_discount_terms.stripe_product_ids IS 'As in subscription_discounts';
COMMENT ON COLUMN billing_discount_terms.ends_at IS 'As in subscription_discounts';

CREATE TABLE billing_domain_proofs (
    domain_id uuid NOT NULL,
    token text,
    nameservers text[] DEFAULT '{}'::text[] NOT NULL,
    elsewhere_at timestamp with time zone,
    checked_at timestamp with time zone,
    check_at timestamp with time zone,
    expires_at timestamp with time zone NOT NULL,
    last_error text,
    proven_at timestamp with time zone,
    proven_by text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_domain_proofs_check CHECK (((token IS NOT NULL) OR (check_at IS NULL))),
    CONSTRAINT billing_domain_proofs_check1 CHECK (((proven_at IS NULL) OR (token IS NULL))),
    CONSTRAINT billing_domain_proofs_check2 CHECK (((proven_at IS NULL) = (proven_by IS NULL))),
    CONSTRAINT billing_domain_proofs_proven_by_check CHECK ((proven_by = ANY (ARRAY['txt'::text, 'nameservers'::text, 'operator'::text]))),
    CONSTRAINT billing_domain_proofs_token_check CHECK ((token ~ '^[0-9a-f]{32}$'::text))
);
COMMENT ON TABLE billing_domain_proofs IS 'What buyers are asked for to prove that a domain is theirs, and how far that is; one row for each domain that had to be proven';
COMMENT ON COLUMN billing_domain_proofs.domain_id IS 'The domain of one customer';
COMMENT ON COLUMN billing_domain_proofs.token IS 'Random, for this row alone: part of the TXT record; null: the proof is closed';
COMMENT ON COLUMN billing_domain_proofs.nameservers IS 'Those of ours that it may be delegated to instead; empty: only the TXT record counts';
COMMENT ON COLUMN billing_domain_proofs.elsewhere_at IS 'When it was first seen to be delegated elsewhere: only a later delegation to ours proves something; null: it was not';
COMMENT ON COLUMN billing_domain_proofs.checked_at IS 'When nameservers were last asked; null: not yet';
COMMENT ON COLUMN billing_domain_proofs.check_at IS 'When the worker asks next; null: no more';
COMMENT ON COLUMN billing_domain_proofs.expires_at IS 'When the worker stops asking';
COMMENT ON COLUMN billing_domain_proofs.last_error IS 'What is missing, as it was last seen';
COMMENT ON COLUMN billing_domain_proofs.proven_at IS 'When it was proven; null: it is not';
COMMENT ON COLUMN billing_domain_proofs.proven_by IS 'txt, nameservers, or operator: one has accepted another proof';
COMMENT ON COLUMN billing_domain_proofs.created_at IS 'When it was asked for';

CREATE TABLE billing_domain_renewals (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    domain_id uuid NOT NULL,
    expires_on date,
    state text DEFAULT 'due'::text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    livemode boolean NOT NULL,
    pay_by timestamp with time zone NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    params jsonb,
    stripe_item_id text,
    stripe_invoice_id text,
    failures integer DEFAULT 0 NOT NULL,
    last_error text,
    next_attempt_at timestamp with time zone,
    leased_until timestamp with time zone,
    paid_at timestamp with time zone,
    renewed_at timestamp with time zone,
    given_back_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_domain_renewals_amount_check CHECK ((amount >= 0)),
    CONSTRAINT billing_domain_renewals_attempt_check CHECK ((attempt > 0)),
    CONSTRAINT billing_domain_renewals_check CHECK (((state <> 'charged'::text) OR (num_nonnulls(stripe_item_id, stripe_invoice_id) > 0))),
    CONSTRAINT billing_domain_renewals_check1 CHECK (((expires_on IS NOT NULL) OR ((params ->> 'way'::text) = 'own'::text))),
    CONSTRAINT billing_domain_renewals_check2 CHECK (((state = ANY (ARRAY['paid'::text, 'renewed'::text, 'refused'::text])) = (paid_at IS NOT NULL))),
    CONSTRAINT billing_domain_renewals_check3 CHECK (((state = 'renewed'::text) = (renewed_at IS NOT NULL))),
    CONSTRAINT billing_domain_renewals_check4 CHECK (((given_back_at IS NULL) OR (state = 'refused'::text))),
    CONSTRAINT billing_domain_renewals_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT billing_domain_renewals_failures_check CHECK ((failures >= 0)),
    CONSTRAINT billing_domain_renewals_params_check CHECK (((params ->> 'way'::text) = ANY (ARRAY['plan'::text, 'own'::text]))),
    CONSTRAINT billing_domain_renewals_state_check CHECK ((state = ANY (ARRAY['due'::text, 'charged'::text, 'paid'::text, 'renewed'::text, 'unpaid'::text, 'withdrawn'::text, 'refused'::text])))
);
COMMENT ON TABLE billing_domain_renewals IS 'What is charged for years of domains by themselves, once for each domain and year, and what became of it';
COMMENT ON COLUMN billing_domain_renewals.id IS 'Ours; with attempt, part of the idempotency keys at Stripe and at the registrar';
COMMENT ON COLUMN billing_domain_renewals.domain_id IS 'The domain';
COMMENT ON COLUMN billing_domain_renewals.expires_on IS 'The day of expiry (UTC) that it moves by a year; null: it is the first one of a name that was chosen in place of a lost one';
COMMENT ON COLUMN billing_domain_renewals.state IS 'due; charged: Stripe collects it; paid: the registrar is to renew; renewed: the registrar has it; unpaid: it was not paid in time; withdrawn: the customer does not want it; refused: the registrar does not do it, the money goes back';
COMMENT ON COLUMN billing_domain_renewals.amount IS 'In minor units, as the customer was told, before taxes that are not included';
COMMENT ON COLUMN billing_domain_renewals.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN billing_domain_renewals.livemode IS 'Whether it is charged in Stripe''s live mode';
COMMENT ON COLUMN billing_domain_renewals.pay_by IS 'When it is given up, if it is not paid: the moment of expiry, or later if it was asked for then';
COMMENT ON COLUMN billing_domain_renewals.attempt IS 'Grows only after Stripe has certainly done nothing, or what it did was taken back';
COMMENT ON COLUMN billing_domain_renewals.params IS 'How this attempt is charged: way (plan: a line on the invoice of the plan; own: an invoice of its own), and what Stripe is sent; null: not begun';
COMMENT ON COLUMN billing_domain_renewals.stripe_item_id IS 'ii_... of the line';
COMMENT ON COLUMN billing_domain_renewals.stripe_invoice_id IS 'in_... that it is on; null: on none yet';
COMMENT ON COLUMN billing_domain_renewals.failures IS 'Tries in a row that have failed';
COMMENT ON COLUMN billing_domain_renewals.last_error IS 'Why the latest try failed; null: it did not';
COMMENT ON COLUMN billing_domain_renewals.next_attempt_at IS 'When a worker looks at it; null: there is nothing to do but to wait for Stripe';
COMMENT ON COLUMN billing_domain_renewals.leased_until IS 'Until when one worker has it; null: none has';
COMMENT ON COLUMN billing_domain_renewals.paid_at IS 'When it was found paid';
COMMENT ON COLUMN billing_domain_renewals.renewed_at IS 'When the registrar was seen to have it';
COMMENT ON COLUMN billing_domain_renewals.given_back_at IS 'When the money of a refused one was refunded';
COMMENT ON COLUMN billing_domain_renewals.created_at IS 'When it became due';
COMMENT ON COLUMN billing_domain_renewals.updated_at IS 'When this row was last changed';

CREATE TABLE billing_domains (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    unicode_name text NOT NULL,
    skeleton text NOT NULL,
    registrable text NOT NULL,
    mode text NOT NULL,
    state text DEFAULT 'ordered'::text NOT NULL,
    customer_id uuid,
    subscription_id uuid,
    held_at timestamp with time zone,
    paid_at timestamp with time zone,
    registered_at timestamp with time zone,
    expires_at timestamp with time zone,
    paid_until timestamp with time zone,
    auto_renew boolean DEFAULT false NOT NULL,
    driver text,
    external_ref text,
    name_servers text[] DEFAULT '{}'::text[] NOT NULL,
    auth_code text,
    needs text[] DEFAULT '{}'::text[] NOT NULL,
    generation bigint DEFAULT 0 NOT NULL,
    pending_action text,
    pending_request jsonb,
    is_confirmed boolean DEFAULT false NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    stopped_at timestamp with time zone,
    last_error text,
    inspected_at timestamp with time zone,
    next_attempt_at timestamp with time zone,
    version bigint DEFAULT 0 NOT NULL,
    lease_token uuid,
    leased_until timestamp with time zone,
    price bigint,
    order_total bigint,
    currency text,
    renewal_price bigint,
    coming_price bigint,
    coming_price_from timestamp with time zone,
    replaces_id uuid,
    tell_stripe_at timestamp with time zone,
    given_back_at timestamp with time zone,
    refund_error text,
    refund_attempts integer DEFAULT 0 NOT NULL,
    next_refund_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_domains_check CHECK ((order_total >= price)),
    CONSTRAINT billing_domains_check1 CHECK ((num_nonnulls(customer_id, subscription_id) > 0)),
    CONSTRAINT billing_domains_check10 CHECK (((num_nonnulls(pending_action, next_attempt_at) = 0) OR (driver IS NOT NULL))),
    CONSTRAINT billing_domains_check11 CHECK (((lease_token IS NULL) = (leased_until IS NULL))),
    CONSTRAINT billing_domains_check12 CHECK (((next_refund_at IS NULL) OR (refund_error IS NOT NULL))),
    CONSTRAINT billing_domains_check13 CHECK (((NOT auto_renew) OR (num_nulls(renewal_price, currency) = 0))),
    CONSTRAINT billing_domains_check14 CHECK (((coming_price IS NULL) = (coming_price_from IS NULL))),
    CONSTRAINT billing_domains_check2 CHECK (((state = ANY (ARRAY['ordered'::text, 'verifying'::text, 'released'::text, 'failed'::text])) OR (held_at IS NOT NULL))),
    CONSTRAINT billing_domains_check3 CHECK (((given_back_at IS NULL) OR (state = 'failed'::text))),
    CONSTRAINT billing_domains_check4 CHECK (((state <> ALL (ARRAY['paid'::text, 'registering'::text, 'transferring'::text])) OR (paid_at IS NOT NULL))),
    CONSTRAINT billing_domains_check5 CHECK (((pending_action <> ALL (ARRAY['register'::text, 'transfer'::text])) OR (paid_at IS NOT NULL))),
    CONSTRAINT billing_domains_check6 CHECK (((replaces_id IS NULL) OR (mode = ANY (ARRAY['existing'::text, 'subdomain'::text])) OR (held_at IS NULL) OR (num_nonnulls(paid_at, registered_at) > 0))),
    CONSTRAINT billing_domains_check7 CHECK (((pending_action <> 'renew'::text) OR (paid_until IS NOT NULL))),
    CONSTRAINT billing_domains_check8 CHECK (((state <> 'renewing'::text) OR (paid_until IS NOT NULL))),
    CONSTRAINT billing_domains_check9 CHECK (((pending_action IS NULL) = (pending_request IS NULL))),
    CONSTRAINT billing_domains_coming_price_check CHECK ((coming_price >= 0)),
    CONSTRAINT billing_domains_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT billing_domains_mode_check CHECK ((mode = ANY (ARRAY['register'::text, 'transfer'::text, 'new-or-transfer'::text, 'existing'::text, 'subdomain'::text]))),
    CONSTRAINT billing_domains_name_check CHECK ((name = lower(name))),
    CONSTRAINT billing_domains_pending_action_check CHECK ((pending_action = ANY (ARRAY['register'::text, 'transfer'::text, 'renew'::text, 'set_nameservers'::text, 'set_auto_renew'::text]))),
    CONSTRAINT billing_domains_price_check CHECK ((price >= 0)),
    CONSTRAINT billing_domains_renewal_price_check CHECK ((renewal_price >= 0)),
    CONSTRAINT billing_domains_state_check CHECK ((state = ANY (ARRAY['ordered'::text, 'paid'::text, 'registering'::text, 'transferring'::text, 'verifying'::text, 'active'::text, 'renewing'::text, 'expired'::text, 'redemption'::text, 'transferred_out'::text, 'released'::text, 'failed'::text])))
);
COMMENT ON TABLE billing_domains IS 'The domain names that orders are for, who has got them, and how far their registration is';
COMMENT ON COLUMN billing_domains.id IS 'Our id';
COMMENT ON COLUMN billing_domains.name IS 'In ASCII, lower case, without a dot at the end';
COMMENT ON COLUMN billing_domains.unicode_name IS 'The name as people read it';
COMMENT ON COLUMN billing_domains.skeleton IS 'How the registrable part looks: another one with this skeleton is hard to tell from it';
COMMENT ON COLUMN billing_domains.registrable IS 'The part that is registered, by the public suffix list; names under it are locked together';
COMMENT ON COLUMN billing_domains.mode IS 'How the buyer gets it: register, transfer, new-or-transfer (whichever is possible); existing and subdomain are their own';
COMMENT ON COLUMN billing_domains.state IS 'ordered, paid, registering or transferring (it has been asked for), verifying (the buyer has to prove that it is theirs), active, renewing (a further year is paid), expired, redemption, transferred_out (lost or moved away); released: nobody has it any more; failed: another customer had it, or it could not be registered';
COMMENT ON COLUMN billing_domains.customer_id IS 'Whose it is; null: the subscription does not say';
COMMENT ON COLUMN billing_domains.subscription_id IS 'The subscription whose tenant it belongs to; null: that has ended, and the customer has kept the name';
COMMENT ON COLUMN billing_domains.held_at IS 'Since when others cannot get it: the order was paid, or its trial began; null: not decided, or another customer had it';
COMMENT ON COLUMN billing_domains.paid_at IS 'When its registration was found to be paid for; null: it is not, or there is nothing to pay';
COMMENT ON COLUMN billing_domains.registered_at IS 'When the service said that it was registered or transferred; null: it was not, by us';
COMMENT ON COLUMN billing_domains.expires_at IS 'When its registration expires, as the registrar last said; null: not known';
COMMENT ON COLUMN billing_domains.paid_until IS 'Until when further years are paid for: what expires earlier is renewed; null: only what it was ordered with';
COMMENT ON COLUMN billing_domains.auto_renew IS 'Whether its customer wants further years; the registrar''s own renewal is always off';
COMMENT ON COLUMN billing_domains.driver IS 'The driver that registers it (PROVISIONING_SERVICES.domain); null: the hosting service sees to it, or nobody has to';
COMMENT ON COLUMN billing_domains.external_ref IS 'The registrar''s own name for it';
COMMENT ON COLUMN billing_domains.name_servers IS 'The name servers that it should have; empty: those that it has';
COMMENT ON COLUMN billing_domains.auth_code IS 'The code that allows its transfer, encrypted under ENCRYPTION_KEYS; gone once it was used';
COMMENT ON COLUMN billing_domains.needs IS 'What the registrar needs and nobody has told: auth_code, or fields of the customer';
COMMENT ON COLUMN billing_domains.generation IS 'The number of the latest command to the driver';
COMMENT ON COLUMN billing_domains.pending_action IS 'The command to the driver whose outcome is unknown';
COMMENT ON COLUMN billing_domains.pending_request IS 'Its details, without the auth code';
COMMENT ON COLUMN billing_domains.is_confirmed IS 'The registrar has taken the order, and has not said yet that it is done';
COMMENT ON COLUMN billing_domains.attempts IS 'How often the driver was asked in vain since it last got on';
COMMENT ON COLUMN billing_domains.stopped_at IS 'When the registrar refused a command: a person has to look';
COMMENT ON COLUMN billing_domains.last_error IS 'What the registrar last said against it';
COMMENT ON COLUMN billing_domains.inspected_at IS 'When the registrar last said how it is';
COMMENT ON COLUMN billing_domains.next_attempt_at IS 'When the worker looks at it next; null: only when something changes';
COMMENT ON COLUMN billing_domains.version IS 'Grows with every change that a run of the worker did not make: it looks again';
COMMENT ON COLUMN billing_domains.lease_token IS 'The run that works on it';
COMMENT ON COLUMN billing_domains.leased_until IS 'Until then that run is taken to be alive';
COMMENT ON COLUMN billing_domains.price IS 'What the order says that it costs, less its share of the discount, in minor units; null: nothing, or not known';
COMMENT ON COLUMN billing_domains.order_total IS 'What all of that order costs, less the discount: the name''s part of the first bill is price / order_total';
COMMENT ON COLUMN billing_domains.currency IS 'Of the prices, lower case as Stripe writes it';
COMMENT ON COLUMN billing_domains.renewal_price IS 'What its customer was told that a further year costs, in minor units; null: nothing was told';
COMMENT ON COLUMN billing_domains.coming_price IS 'Another one that they were told of; null: none';
COMMENT ON COLUMN billing_domains.coming_price_from IS 'From when that one is charged';
COMMENT ON COLUMN billing_domains.replaces_id IS 'The name that could not be had, in whose place its customer has chosen this one; null: it was ordered first';
COMMENT ON COLUMN billing_domains.tell_stripe_at IS 'When the worker tells Stripe that the order is for this name now; null: Stripe knows';
COMMENT ON COLUMN billing_domains.given_back_at IS 'When its price was refunded, because it could not be had, or that was settled otherwise';
COMMENT ON COLUMN billing_domains.refund_error IS 'Why its price could not be refunded; null: it was, or nothing has been tried';
COMMENT ON COLUMN billing_domains.refund_attempts IS 'How often the refund of its price was tried in vain';
COMMENT ON COLUMN billing_domains.next_refund_at IS 'When the worker tries again to refund its price; null: at once if there is no refund_error, else a person has to';
COMMENT ON COLUMN billing_domains.created_at IS 'When it was ordered';
COMMENT ON COLUMN billing_domains.updated_at IS 'When this row was last changed';

CREATE TABLE billing_ignored_prices (
    stripe_price_id text NOT NULL,
    reason text NOT NULL,
    set_by text NOT NULL,
    set_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON TABLE billing_ignored_prices IS 'Prices that an operator has declared to give nothing: items at them count as recognized';
COMMENT ON COLUMN billing_ignored_prices.stripe_price_id IS 'price_... at Stripe';
COMMENT ON COLUMN billing_ignored_prices.reason IS 'Why, for other operators';
COMMENT ON COLUMN billing_ignored_prices.set_by IS 'Name of the key or user';
COMMENT ON COLUMN billing_ignored_prices.set_at IS 'When it was set';

CREATE TABLE billing_leniency (
    id bigint NOT NULL,
    subscription_id uuid,
    customer_id uuid,
    grace_days integer,
    not_before timestamp with time zone,
    reason text NOT NULL,
    set_by text NOT NULL,
    set_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_leniency_check CHECK ((num_nonnulls(subscription_id, customer_id) = 1)),
    CONSTRAINT billing_leniency_check1 CHECK ((num_nonnulls(grace_days, not_before) > 0)),
    CONSTRAINT billing_leniency_grace_days_check CHECK (((grace_days >= 0) AND (grace_days <= 3650)))
);
COMMENT ON TABLE billing_leniency IS 'What was agreed about suspension for a debt; what is set for a subscription goes before what is set for its customer';
COMMENT ON COLUMN billing_leniency.id IS 'Our id';
COMMENT ON COLUMN billing_leniency.subscription_id IS 'The subscription; null: all of the customer';
COMMENT ON COLUMN billing_leniency.customer_id IS 'The customer; null: one subscription';
COMMENT ON COLUMN billing_leniency.grace_days IS 'Days that services stay active with a debt; null: GRACE_DAYS';
COMMENT ON COLUMN billing_leniency.not_before IS 'No suspension for a debt before then; null: no such date';
COMMENT ON COLUMN billing_leniency.reason IS 'Why, for other operators';
COMMENT ON COLUMN billing_leniency.set_by IS 'Name of the key or user';
COMMENT ON COLUMN billing_leniency.set_at IS 'When it was set';

CREATE TABLE billing_pauses (
    id bigint NOT NULL,
    subscription_id uuid NOT NULL,
    since timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL,
    begun_at timestamp with time zone,
    ended_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON TABLE billing_pauses IS 'Holds of services while the collection of a subscription is paused: its terms are not paid for';
COMMENT ON COLUMN billing_pauses.id IS 'Our id';
COMMENT ON COLUMN billing_pauses.subscription_id IS 'The paused subscription';
COMMENT ON COLUMN billing_pauses.since IS 'End of the term that is paid for: services are held from the next one on';
COMMENT ON COLUMN billing_pauses.until IS 'Stripe collects again from then on: services are held until a term begins after it';
COMMENT ON COLUMN billing_pauses.begun_at IS 'Since when services are held; null: not yet';
COMMENT ON COLUMN billing_pauses.ended_at IS 'When it was over; null: it stands';
COMMENT ON COLUMN billing_pauses.created_at IS 'When it was asked for';

CREATE TABLE provisioning_holds (
    id bigint NOT NULL,
    subscription_id uuid NOT NULL,
    reason text NOT NULL,
    placed_by text NOT NULL,
    placed_at timestamp with time zone DEFAULT now() NOT NULL,
    lifted_by text,
    lifted_at timestamp with time zone,
    CONSTRAINT provisioning_holds_check CHECK (((lifted_by IS NULL) = (lifted_at IS NULL))),
    CONSTRAINT provisioning_holds_reason_check CHECK ((reason <> ''::text))
);
COMMENT ON TABLE provisioning_holds IS 'Suspensions by an operator, which no payment lifts';
COMMENT ON COLUMN provisioning_holds.id IS 'Our id';
COMMENT ON COLUMN provisioning_holds.subscription_id IS 'The suspended subscription';
COMMENT ON COLUMN provisioning_holds.reason IS 'Reason given by the operator';
COMMENT ON COLUMN provisioning_holds.placed_by IS 'The operator who suspended it';
COMMENT ON COLUMN provisioning_holds.placed_at IS 'Since when it is suspended';
COMMENT ON COLUMN provisioning_holds.lifted_by IS 'The operator who lifted it; null: in force';
COMMENT ON COLUMN provisioning_holds.lifted_at IS 'When it was lifted';

CREATE TABLE provisioning_work (
    subscription_id uuid NOT NULL,
    inputs jsonb NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    done_version bigint DEFAULT 0 NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    wake_at timestamp with time zone,
    lease_token uuid,
    leased_until timestamp with time zone,
    trouble text,
    debt_confirmed_version bigint,
    debt_confirmed_at timestamp with time zone,
    contradicted_since timestamp with time zone,
    decided_until timestamp with time zone,
    decided_reason text,
    debt_unconfirmed_since timestamp with time zone,
    debt_error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT provisioning_work_check CHECK ((done_version <= version)),
    CONSTRAINT provisioning_work_decided_reason_check CHECK ((decided_reason = ANY (ARRAY['disputed'::text, 'ended'::text, 'held'::text, 'paused'::text, 'unpaid'::text, 'used_up'::text]))),
    CONSTRAINT provisioning_work_lease_check CHECK (((lease_token IS NULL) = (leased_until IS NULL)))
)
WITH (fillfactor='85', autovacuum_vacuum_scale_factor='0.02');
COMMENT ON TABLE provisioning_work IS 'Whether the services of each subscription have reached their desired state';
COMMENT ON COLUMN provisioning_work.subscription_id IS 'The subscription';
COMMENT ON COLUMN provisioning_work.inputs IS 'What the desired state is derived from; a change makes a new version and a job';
COMMENT ON COLUMN provisioning_work.version IS 'Grows when inputs change';
COMMENT ON COLUMN provisioning_work.done_version IS 'The latest version whose desired state has been reached';
COMMENT ON COLUMN provisioning_work.attempts IS 'Runs started since the last one that succeeded';
COMMENT ON COLUMN provisioning_work.last_error IS 'What is not done, and why';
COMMENT ON COLUMN provisioning_work.wake_at IS 'When the sweep checks it again; null: nothing to do';
COMMENT ON COLUMN provisioning_work.lease_token IS 'The run that works on it; each write of a run checks for its own token';
COMMENT ON COLUMN provisioning_work.leased_until IS 'Until then no other run works on it; extended while the run lives';
COMMENT ON COLUMN provisioning_work.trouble IS 'What a person has to settle although the work is done';
COMMENT ON COLUMN provisioning_work.debt_confirmed_version IS 'The latest version whose debt Stripe has confirmed: the condition for a suspension';
COMMENT ON COLUMN provisioning_work.debt_confirmed_at IS 'When Stripe confirmed it: it counts for an hour';
COMMENT ON COLUMN provisioning_work.contradicted_since IS 'Since when Stripe calls it unpaid although nothing is owed; a new term does not restart it';
COMMENT ON COLUMN provisioning_work.decided_until IS 'When time alone changes what the latest run decided: the end of a grace or retention period; null: never';
COMMENT ON COLUMN provisioning_work.decided_reason IS 'Why the latest run decided that its services are not active: a bank disputes a payment, it has ended, an operator holds it, it is paused, unpaid, or its usage has reached a limit; null: they are, or nothing is due yet';
COMMENT ON COLUMN provisioning_work.debt_unconfirmed_since IS 'Since when Stripe could not be asked about the debt; null: it could';
COMMENT ON COLUMN provisioning_work.debt_error IS 'Why it could not be asked';
COMMENT ON COLUMN provisioning_work.created_at IS 'When this row was created';
COMMENT ON COLUMN provisioning_work.updated_at IS 'When this row was last changed';

CREATE TABLE tenant_services (
    subscription_id uuid NOT NULL,
    product_type text NOT NULL,
    desired text NOT NULL,
    actual text DEFAULT 'absent'::text NOT NULL,
    driver text NOT NULL,
    server text,
    external_ref text,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    next_attempt_at timestamp with time zone,
    desired_resources jsonb DEFAULT '{}'::jsonb NOT NULL,
    resources jsonb DEFAULT '{}'::jsonb NOT NULL,
    desired_domains text[] DEFAULT '{}'::text[] NOT NULL,
    ordered_domains text[] DEFAULT '{}'::text[] NOT NULL,
    generation bigint DEFAULT 0 NOT NULL,
    pending_action text,
    pending_request jsonb,
    stopped text,
    removed_at timestamp with time zone,
    suspended_by_service text,
    account_id uuid,
    exchanged_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenant_services_actual_check CHECK ((actual = ANY (ARRAY['absent'::text, 'active'::text, 'suspended'::text, 'terminated'::text]))),
    CONSTRAINT tenant_services_check CHECK (((actual = 'absent'::text) OR (external_ref IS NOT NULL))),
    CONSTRAINT tenant_services_check1 CHECK (((stopped IS NULL) OR (next_attempt_at IS NULL))),
    CONSTRAINT tenant_services_check2 CHECK (((stopped IS DISTINCT FROM 'skipped'::text) OR (last_error IS NULL))),
    CONSTRAINT tenant_services_desired_check CHECK ((desired = ANY (ARRAY['active'::text, 'suspended'::text, 'terminated'::text]))),
    CONSTRAINT tenant_services_pending_check CHECK ((((pending_action IS NULL) = (pending_request IS NULL)) AND (pending_action = ANY (ARRAY['create'::text, 'suspend'::text, 'resume'::text, 'change'::text, 'terminate'::text])))),
    CONSTRAINT tenant_services_stopped_check CHECK ((stopped = ANY (ARRAY['refused'::text, 'skipped'::text])))
);
COMMENT ON TABLE tenant_services IS 'The account of a subscription for each product type: what it should be and what it is';
COMMENT ON COLUMN tenant_services.subscription_id IS 'The subscription';
COMMENT ON COLUMN tenant_services.product_type IS 'hosting, email, storage, ...';
COMMENT ON COLUMN tenant_services.desired IS 'What it should be';
COMMENT ON COLUMN tenant_services.actual IS 'What it is, as the driver last reported';
COMMENT ON COLUMN tenant_services.driver IS 'The driver that holds the account';
COMMENT ON COLUMN tenant_services.server IS 'The server that has the account, or is to have it; null: its product type has a single one without a name';
COMMENT ON COLUMN tenant_services.external_ref IS 'The driver''s name for the account';
COMMENT ON COLUMN tenant_services.attempts IS 'Failed commands since the last success';
COMMENT ON COLUMN tenant_services.last_error IS 'Why the latest command failed';
COMMENT ON COLUMN tenant_services.next_attempt_at IS 'When it is retried';
COMMENT ON COLUMN tenant_services.desired_resources IS 'Limits that the account should have';
COMMENT ON COLUMN tenant_services.resources IS 'Limits that the account was last given';
COMMENT ON COLUMN tenant_services.desired_domains IS 'Domains that the service should have registered or transferred, in ASCII';
COMMENT ON COLUMN tenant_services.ordered_domains IS 'Domains that it was told to register or transfer, and has; never told twice';
COMMENT ON COLUMN tenant_services.generation IS 'Counts the commands sent to the driver, which refuses one older than the last it saw';
COMMENT ON COLUMN tenant_services.pending_action IS 'Command sent under this generation whose outcome is unknown';
COMMENT ON COLUMN tenant_services.pending_request IS 'What was sent with it, the same in every retry';
COMMENT ON COLUMN tenant_services.stopped IS 'refused by the driver, or skipped by an operator; until the desired state changes or an operator retries';
COMMENT ON COLUMN tenant_services.removed_at IS 'Since when the subscription no longer includes it';
COMMENT ON COLUMN tenant_services.suspended_by_service IS 'Why the service itself has suspended the account, which we do not resume; null: it has not';
COMMENT ON COLUMN tenant_services.account_id IS 'The subscription under whose id the driver has the account; null: this one';
COMMENT ON COLUMN tenant_services.exchanged_at IS 'When the account came from another subscription; null: it was created for this one';
COMMENT ON COLUMN tenant_services.created_at IS 'When this row was created';
COMMENT ON COLUMN tenant_services.updated_at IS 'When this row was last changed';

CREATE VIEW billing_entitlement_inputs AS
 SELECT w.subscription_id,
    w.inputs,
    w.contradicted_since,
    hold.reason AS hold_reason,
        CASE
            WHEN (pause.id IS NOT NULL) THEN (pause.begun_at IS NOT NULL)
            ELSE NULL::boolean
        END AS held_for_pause,
    COALESCE(limited.suspends, false) AS used_up,
    limited.until AS used_up_until,
        CASE
            WHEN (own.id IS NULL) THEN agreed.grace_days
            ELSE own.grace_days
        END AS grace_days,
        CASE
            WHEN (own.id IS NULL) THEN agreed.not_before
            ELSE own.not_before
        END AS not_before,
    COALESCE(included.products, '[]'::jsonb) AS products,
    COALESCE(included.unplaced, false) AS items_unplaced,
    COALESCE(services.services, '[]'::jsonb) AS services
   FROM ((((((((provisioning_work w
     JOIN subscriptions s ON ((s.id = w.subscription_id)))
     LEFT JOIN provisioning_holds hold ON (((hold.subscription_id = w.subscription_id) AND (hold.lifted_at IS NULL))))
     LEFT JOIN billing_pauses pause ON (((pause.subscription_id = w.subscription_id) AND (pause.ended_at IS NULL))))
     LEFT JOIN billing_leniency own ON ((own.subscription_id = w.subscription_id)))
     LEFT JOIN billing_leniency agreed ON ((agreed.customer_id = s.customer_id)))
     LEFT JOIN LATERAL ( SELECT bool_or(reached.suspends) AS suspends,
            max(reached.term_end) FILTER (WHERE reached.suspends) AS until
           FROM billing_usage_limits reached
          WHERE (reached.subscription_id = w.subscription_id)) limited ON (true))
     LEFT JOIN LATERAL ( SELECT jsonb_agg(jsonb_build_object('code', p.code, 'kind', p.kind, 'name', p.name, 'features', p.features, 'product_types', p.product_types, 'resources', p.resources, 'quantity', COALESCE(i.quantity, (1)::bigint)) ORDER BY (p.kind = 'plan'::text) DESC, p.code) FILTER (WHERE (p.id IS NOT NULL)) AS products,
            bool_or(((p.id IS NULL) AND (ignored.stripe_price_id IS NULL))) AS unplaced
           FROM (((jsonb_to_recordset((w.inputs -> 'items'::text)) i(price text, product text, quantity bigint)
             LEFT JOIN prices ON ((prices.stripe_price_id = i.price)))
             LEFT JOIN products p ON (((p.code IS NOT NULL) AND (p.id = COALESCE(prices.product_id, ( SELECT sold.id
                   FROM products sold
                  WHERE ((sold.stripe_product_id = i.product) AND (sold.code IS NOT NULL))))))))
             LEFT JOIN billing_ignored_prices ignored ON ((ignored.stripe_price_id = i.price)))) included ON (true))
     LEFT JOIN LATERAL ( SELECT jsonb_agg(to_jsonb(service.*) ORDER BY service.product_type) AS services
           FROM tenant_services service
          WHERE (service.subscription_id = s.id)) services ON (true));
COMMENT ON VIEW billing_entitlement_inputs IS 'What the desired state of the services of each subscription is decided from';
COMMENT ON COLUMN billing_entitlement_inputs.subscription_id IS 'The subscription';
COMMENT ON COLUMN billing_entitlement_inputs.inputs IS 'What Stripe says of it, as provisioning_work has it';
COMMENT ON COLUMN billing_entitlement_inputs.contradicted_since IS 'Since when Stripe calls it unpaid although nothing is owed';
COMMENT ON COLUMN billing_entitlement_inputs.hold_reason IS 'Why an operator has suspended it; null: none has';
COMMENT ON COLUMN billing_entitlement_inputs.held_for_pause IS 'Whether a pause of ours has begun, whose terms are not collected; null: there is none';
COMMENT ON COLUMN billing_entitlement_inputs.used_up IS 'Whether its usage of the present term has reached a limit that suspends';
COMMENT ON COLUMN billing_entitlement_inputs.used_up_until IS 'When that term ends';
COMMENT ON COLUMN billing_entitlement_inputs.grace_days IS 'Days of grace that were agreed with it or its customer; null: the host''s rule';
COMMENT ON COLUMN billing_entitlement_inputs.not_before IS 'Before this a debt suspends nothing; null: no such agreement';
COMMENT ON COLUMN billing_entitlement_inputs.products IS 'The catalogue products among its items, the plan first';
COMMENT ON COLUMN billing_entitlement_inputs.items_unplaced IS 'Whether it has items that belong to no product of the catalogue';
COMMENT ON COLUMN billing_entitlement_inputs.services IS 'Its rows of tenant_services';

CREATE TABLE billing_erasure_key (
    singleton boolean DEFAULT true NOT NULL,
    key bytea NOT NULL,
    CONSTRAINT billing_erasure_key_key_check CHECK ((octet_length(key) = 32)),
    CONSTRAINT billing_erasure_key_singleton_check CHECK (singleton)
);
COMMENT ON TABLE billing_erasure_key IS 'The key of billing_email_hash_v1: one row, made with the schema';
COMMENT ON COLUMN billing_erasure_key.singleton IS 'There is one row';
COMMENT ON COLUMN billing_erasure_key.key IS 'Random; in ERASURES_FILE addresses cannot be guessed without it';

CREATE TABLE billing_erasures (
    identifier text NOT NULL,
    kind text NOT NULL,
    reason text NOT NULL,
    erased_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_erasures_kind_check CHECK ((kind = ANY (ARRAY['customer'::text, 'stripe_customer'::text, 'email'::text]))),
    CONSTRAINT billing_erasures_reason_check CHECK ((reason = ANY (ARRAY['request'::text, 'unpaid'::text])))
);
COMMENT ON TABLE billing_erasures IS 'Whose personal data has been erased, without the data: late events, reconcile and a restored backup do not bring it back';
COMMENT ON COLUMN billing_erasures.identifier IS 'Id of the customer record, cus_..., or billing_email_hash_v1 of an e-mail address';
COMMENT ON COLUMN billing_erasures.kind IS 'What the identifier is';
COMMENT ON COLUMN billing_erasures.reason IS 'request: customers erase; unpaid: their orders were never paid (KEEP_UNPAID_ORDERS_DAYS)';
COMMENT ON COLUMN billing_erasures.erased_at IS 'An address only counts for what was created before; who comes back is a new customer';

CREATE TABLE billing_exchange_rates (
    from_currency text NOT NULL,
    to_currency text NOT NULL,
    begins_on date NOT NULL,
    rate numeric NOT NULL,
    set_by text NOT NULL,
    set_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_exchange_rates_check CHECK ((from_currency <> to_currency)),
    CONSTRAINT billing_exchange_rates_from_currency_check CHECK ((from_currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT billing_exchange_rates_rate_check CHECK ((rate > (0)::numeric)),
    CONSTRAINT billing_exchange_rates_to_currency_check CHECK ((to_currency ~ '^[a-z]{3}$'::text))
);
COMMENT ON TABLE billing_exchange_rates IS 'At which rates figures of several currencies are shown as one';
COMMENT ON COLUMN billing_exchange_rates.from_currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_exchange_rates.to_currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_exchange_rates.begins_on IS 'The first day (UTC) on which it counts, until the next one of these currencies';
COMMENT ON COLUMN billing_exchange_rates.rate IS 'How much of to_currency a unit of from_currency is';
COMMENT ON COLUMN billing_exchange_rates.set_by IS 'Who set it';
COMMENT ON COLUMN billing_exchange_rates.set_at IS 'When it was set';

CREATE TABLE billing_kept_payments (
    stripe_invoice_id text NOT NULL,
    subscription_id uuid NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    reason text NOT NULL,
    kept_by text NOT NULL,
    kept_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_kept_payments_amount_check CHECK ((amount > 0)),
    CONSTRAINT billing_kept_payments_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text))
);
COMMENT ON TABLE billing_kept_payments IS 'Payments made after the end of a subscription that an operator has settled without a refund at Stripe and without a revival';
COMMENT ON COLUMN billing_kept_payments.stripe_invoice_id IS 'The invoice that was paid, in_...';
COMMENT ON COLUMN billing_kept_payments.subscription_id IS 'The subscription that had ended';
COMMENT ON COLUMN billing_kept_payments.amount IS 'What had been paid and not refunded, in minor units';
COMMENT ON COLUMN billing_kept_payments.currency IS 'ISO code in lower case';
COMMENT ON COLUMN billing_kept_payments.reason IS 'What was agreed, for other operators';
COMMENT ON COLUMN billing_kept_payments.kept_by IS 'Name of the key or user';
COMMENT ON COLUMN billing_kept_payments.kept_at IS 'When it was settled';

CREATE TABLE billing_key_usage (
    key_id text NOT NULL,
    measure text NOT NULL,
    since timestamp with time zone NOT NULL,
    used bigint NOT NULL,
    CONSTRAINT billing_key_usage_measure_check CHECK ((measure ~ '^(calls|refunds:[a-z]{3})$'::text)),
    CONSTRAINT billing_key_usage_used_check CHECK ((used >= 0))
)
WITH (fillfactor='50');
COMMENT ON TABLE billing_key_usage IS 'What keys with ceilings have used of them in the latest minute or day';
COMMENT ON COLUMN billing_key_usage.key_id IS 'The key';
COMMENT ON COLUMN billing_key_usage.measure IS 'calls, or refunds: and the currency';
COMMENT ON COLUMN billing_key_usage.since IS 'The minute or the day of UTC that is counted';
COMMENT ON COLUMN billing_key_usage.used IS 'Calls, or minor units of the currency';

ALTER TABLE billing_leniency ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME billing_leniency_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE billing_merges (
    id bigint NOT NULL,
    customer_id uuid NOT NULL,
    into_id uuid NOT NULL,
    former jsonb,
    moved jsonb,
    merged_by text NOT NULL,
    merged_at timestamp with time zone DEFAULT now() NOT NULL,
    undone_by text,
    undone_at timestamp with time zone,
    CONSTRAINT billing_merges_check CHECK ((customer_id <> into_id)),
    CONSTRAINT billing_merges_check1 CHECK (((former IS NULL) = (moved IS NULL))),
    CONSTRAINT billing_merges_check2 CHECK (((undone_by IS NULL) = (undone_at IS NULL))),
    CONSTRAINT billing_merges_check3 CHECK (((undone_at IS NULL) OR (former IS NULL)))
);
COMMENT ON TABLE billing_merges IS 'Customer records of one person that were merged by command';
COMMENT ON COLUMN billing_merges.id IS 'Our id';
COMMENT ON COLUMN billing_merges.customer_id IS 'The record that has joined the other one';
COMMENT ON COLUMN billing_merges.into_id IS 'The record that has everything now';
COMMENT ON COLUMN billing_merges.former IS 'What both records said before, to undo it; null: undone, a day is over, or erased';
COMMENT ON COLUMN billing_merges.moved IS 'The ids of what was moved, by table, to undo it; null: as above';
COMMENT ON COLUMN billing_merges.merged_by IS 'The key or user that merged them';
COMMENT ON COLUMN billing_merges.merged_at IS 'When they were merged';
COMMENT ON COLUMN billing_merges.undone_by IS 'The key or user that has undone it; null: nobody';
COMMENT ON COLUMN billing_merges.undone_at IS 'When it was undone; null: it stands';

ALTER TABLE billing_merges ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME billing_merges_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE billing_message_sequences (
    subscription_id uuid NOT NULL,
    latest bigint NOT NULL,
    CONSTRAINT billing_message_sequences_latest_check CHECK ((latest > 0))
)
WITH (fillfactor='85');
COMMENT ON TABLE billing_message_sequences IS 'The number of the latest message of each subscription';
COMMENT ON COLUMN billing_message_sequences.subscription_id IS 'The subscription';
COMMENT ON COLUMN billing_message_sequences.latest IS 'The number';

CREATE TABLE billing_messages (
    id text NOT NULL,
    "position" bigint NOT NULL,
    type text NOT NULL,
    object_id text NOT NULL,
    transition text NOT NULL,
    livemode boolean NOT NULL,
    subscription_id uuid,
    customer_id uuid,
    invoice_id uuid,
    sequence bigint,
    occurred_at timestamp with time zone NOT NULL,
    data jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    addressed_at timestamp with time zone,
    CONSTRAINT billing_messages_check CHECK (((sequence IS NULL) OR ((subscription_id IS NOT NULL) AND (addressed_at IS NOT NULL)))),
    CONSTRAINT billing_messages_data_check CHECK ((jsonb_typeof(data) = 'object'::text)),
    CONSTRAINT billing_messages_id_check CHECK ((id ~ '^msg_[0-9a-f]{32}$'::text)),
    CONSTRAINT billing_messages_sequence_check CHECK ((sequence > 0)),
    CONSTRAINT billing_messages_type_check CHECK ((type ~ '^[a-z_]+\.[a-z_]+$'::text))
);
COMMENT ON TABLE billing_messages IS 'What mPanel is told: one row for each transition. They hold no personal data: names and addresses are added when a message is sent';
COMMENT ON COLUMN billing_messages.id IS 'Hash of type, object and transition: what happens once, or once a term, has the same id after a restored backup too';
COMMENT ON COLUMN billing_messages."position" IS 'Grows with each message';
COMMENT ON COLUMN billing_messages.type IS 'subscription.activated, invoice.paid, ...: docs/messages.md lists them';
COMMENT ON COLUMN billing_messages.object_id IS 'Id of what changed: ours for subscriptions and tenants, Stripe''s for invoices and refunds';
COMMENT ON COLUMN billing_messages.transition IS 'Which transition of the object: what can happen once has a fixed word, a term its start, others their time';
COMMENT ON COLUMN billing_messages.livemode IS 'Whether it is about Stripe''s live mode';
COMMENT ON COLUMN billing_messages.subscription_id IS 'The subscription that it is about; null: none is known';
COMMENT ON COLUMN billing_messages.customer_id IS 'Its customer; null: none is known';
COMMENT ON COLUMN billing_messages.invoice_id IS 'The invoice that it is about, or whose money it is; null: none, or not addressed yet';
COMMENT ON COLUMN billing_messages.sequence IS 'Number among the messages of the subscription, without gaps; null: not addressed yet, or no subscription';
COMMENT ON COLUMN billing_messages.occurred_at IS 'When it happened, by Stripe''s clock where Stripe says so';
COMMENT ON COLUMN billing_messages.data IS 'The object as it was then; amounts in minor units';
COMMENT ON COLUMN billing_messages.created_at IS 'When the transition was recorded here';
COMMENT ON COLUMN billing_messages.addressed_at IS 'When it got its number and its deliveries; null: not yet';

ALTER TABLE billing_messages ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME billing_messages_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE billing_meter_events ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME billing_meter_events_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE billing_moves (
    id bigint NOT NULL,
    subscription_id uuid NOT NULL,
    product_type text NOT NULL,
    from_server text NOT NULL,
    to_server text NOT NULL,
    state text DEFAULT 'creating'::text NOT NULL,
    external_ref text,
    former_ref text,
    generation bigint DEFAULT 0 NOT NULL,
    request jsonb,
    stopped boolean DEFAULT false NOT NULL,
    last_error text,
    begun_by text NOT NULL,
    confirmed_by text,
    cancelled_by text,
    abandoned_by text,
    begun_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT billing_moves_check CHECK ((from_server <> to_server)),
    CONSTRAINT billing_moves_check1 CHECK (((state = ANY (ARRAY['done'::text, 'cancelled'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT billing_moves_check2 CHECK (((state <> ALL (ARRAY['copying'::text, 'terminating'::text, 'done'::text])) OR (external_ref IS NOT NULL))),
    CONSTRAINT billing_moves_check3 CHECK (((state <> ALL (ARRAY['terminating'::text, 'done'::text])) OR ((confirmed_by IS NOT NULL) AND (former_ref IS NOT NULL)))),
    CONSTRAINT billing_moves_check4 CHECK (((state <> ALL (ARRAY['cancelling'::text, 'cancelled'::text])) OR (former_ref IS NULL))),
    CONSTRAINT billing_moves_check5 CHECK (((abandoned_by IS NULL) OR (confirmed_by IS NOT NULL))),
    CONSTRAINT billing_moves_check6 CHECK (((NOT stopped) OR (last_error IS NOT NULL))),
    CONSTRAINT billing_moves_state_check CHECK ((state = ANY (ARRAY['creating'::text, 'copying'::text, 'terminating'::text, 'cancelling'::text, 'done'::text, 'cancelled'::text])))
);
COMMENT ON TABLE billing_moves IS 'Accounts that go, or went, from one server to another';
COMMENT ON COLUMN billing_moves.id IS 'Our id';
COMMENT ON COLUMN billing_moves.subscription_id IS 'The subscription that has the account';
COMMENT ON COLUMN billing_moves.product_type IS 'Its product type';
COMMENT ON COLUMN billing_moves.from_server IS 'The server that had it when the move began';
COMMENT ON COLUMN billing_moves.to_server IS 'The server that gets it';
COMMENT ON COLUMN billing_moves.state IS 'creating: an account is being made at the new server; copying: its data has to be moved; terminating: the account at the old server goes; cancelling: the one at the new server goes; done; cancelled';
COMMENT ON COLUMN billing_moves.external_ref IS 'The new server''s name for the account; null: not known yet';
COMMENT ON COLUMN billing_moves.former_ref IS 'The old server''s name for it, once the new one has the account';
COMMENT ON COLUMN billing_moves.generation IS 'Number of the latest command of this move';
COMMENT ON COLUMN billing_moves.request IS 'What was sent with a command of unknown outcome; null: there is none';
COMMENT ON COLUMN billing_moves.stopped IS 'Whether a server has refused a command: nothing is sent until an operator retries';
COMMENT ON COLUMN billing_moves.last_error IS 'Why the latest command failed';
COMMENT ON COLUMN billing_moves.begun_by IS 'Who has asked for the move';
COMMENT ON COLUMN billing_moves.confirmed_by IS 'Who says that the data was moved: an operator, or the new server itself; null: nobody yet';
COMMENT ON COLUMN billing_moves.cancelled_by IS 'Who has called the move off; null: nobody';
COMMENT ON COLUMN billing_moves.abandoned_by IS 'Who says that the old server is gone for good, so that nothing has to be terminated there; null: nobody';
COMMENT ON COLUMN billing_moves.begun_at IS 'When it was asked for';
COMMENT ON COLUMN billing_moves.updated_at IS 'When this row was last changed';
COMMENT ON COLUMN billing_moves.finished_at IS 'When it was over; null: it is not';

ALTER TABLE billing_moves ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME billing_moves_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE billing_revenue (
    subscription_id uuid NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL,
    stripe_id text NOT NULL,
    livemode boolean NOT NULL,
    customer_id uuid NOT NULL,
    amount numeric NOT NULL,
    taken_off numeric NOT NULL,
    ends_at timestamp with time zone,
    changes_at timestamp with time zone,
    CONSTRAINT billing_revenue_kind_check CHECK ((kind = ANY ('{all,product,coupon}'::text[])))
);
COMMENT ON TABLE billing_revenue IS 'What each subscription adds to billing_revenue_sums: all of it, by product and by coupon';
COMMENT ON COLUMN billing_revenue.subscription_id IS 'The subscription; its row may have been deleted since';
COMMENT ON COLUMN billing_revenue.currency IS 'ISO 4217, lower case, of its items';
COMMENT ON COLUMN billing_revenue.kind IS 'all: one row; product: one for each of its products; coupon: one for each that takes something off it';
COMMENT ON COLUMN billing_revenue.stripe_id IS 'prod_... of the product, or the coupon''s id; empty: of all, or not known';
COMMENT ON COLUMN billing_revenue.livemode IS 'Whether it is in Stripe''s live mode';
COMMENT ON COLUMN billing_revenue.customer_id IS 'Who has it; the subscription itself, if nobody is known';
COMMENT ON COLUMN billing_revenue.amount IS 'Minor units per month after discounts, not rounded; of a coupon: all that the subscription adds';
COMMENT ON COLUMN billing_revenue.taken_off IS 'What coupons take off it, or what this one does: minor units per month, not rounded';
COMMENT ON COLUMN billing_revenue.ends_at IS 'Of a coupon: until when it applies; infinity: no end';
COMMENT ON COLUMN billing_revenue.changes_at IS 'When time alone changes it: the end of a discount; null: never, or said of all';

CREATE TABLE billing_revenue_changes (
    subscription_id uuid NOT NULL,
    changed_in xid8 DEFAULT pg_current_xact_id() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
COMMENT ON TABLE billing_revenue_changes IS 'Subscriptions that may add something else than billing_revenue has';
COMMENT ON COLUMN billing_revenue_changes.subscription_id IS 'The subscription; its row may have been deleted';
COMMENT ON COLUMN billing_revenue_changes.changed_in IS 'The transaction that changed it: no two share a row, so none waits and none is overlooked';

CREATE TABLE billing_revenue_sums (
    livemode boolean NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL,
    stripe_id text NOT NULL,
    subscriptions bigint NOT NULL,
    customers bigint NOT NULL,
    amount numeric NOT NULL,
    taken_off numeric NOT NULL
)
WITH (fillfactor='50');
COMMENT ON TABLE billing_revenue_sums IS 'The sums of billing_revenue; rows change every minute in place, on half-empty pages';
COMMENT ON COLUMN billing_revenue_sums.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_revenue_sums.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_revenue_sums.kind IS 'all, product or coupon';
COMMENT ON COLUMN billing_revenue_sums.stripe_id IS 'As in billing_revenue';
COMMENT ON COLUMN billing_revenue_sums.subscriptions IS 'How many subscriptions have such a row';
COMMENT ON COLUMN billing_revenue_sums.customers IS 'How many different customers they are of';
COMMENT ON COLUMN billing_revenue_sums.amount IS 'Minor units per month, not rounded';
COMMENT ON COLUMN billing_revenue_sums.taken_off IS 'Minor units per month, not rounded';

CREATE VIEW billing_mrr AS
 WITH changed AS MATERIALIZED (
         SELECT c.subscription_id
           FROM billing_revenue_changes c
        UNION
         SELECT r.subscription_id
           FROM billing_revenue r
          WHERE (r.changes_at <= now())
        )
 SELECT livemode,
    currency,
    (sum(subscriptions))::bigint AS subscriptions,
    (round(sum(amount)))::bigint AS mrr
   FROM ( SELECT kept.livemode,
            kept.currency,
            kept.subscriptions,
            kept.amount
           FROM billing_revenue_sums kept
          WHERE (kept.kind = 'all'::text)
        UNION ALL
         SELECT before.livemode,
            before.currency,
            '-1'::integer,
            (- before.amount)
           FROM (changed
             JOIN billing_revenue before ON (((before.subscription_id = changed.subscription_id) AND (before.kind = 'all'::text))))
        UNION ALL
         SELECT added_1.livemode,
            added_1.currency,
            1,
            added_1.amount
           FROM (changed
             CROSS JOIN LATERAL billing_subscription_revenue_v1(changed.subscription_id) added_1(livemode, currency, amount, changes_at))) added
  GROUP BY livemode, currency
 HAVING (sum(subscriptions) > (0)::numeric);
COMMENT ON VIEW billing_mrr IS 'Monthly recurring revenue per currency in minor units, without trials; after discounts, except those for one invoice';
COMMENT ON COLUMN billing_mrr.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr.currency IS 'ISO 4217';
COMMENT ON COLUMN billing_mrr.subscriptions IS 'How many are active or past due';
COMMENT ON COLUMN billing_mrr.mrr IS 'Minor units of currency per month';

CREATE VIEW billing_revenue_now AS
 WITH changed AS MATERIALIZED (
         SELECT c.subscription_id
           FROM billing_revenue_changes c
        UNION
         SELECT r.subscription_id
           FROM billing_revenue r
          WHERE (r.changes_at <= now())
        ), differing AS MATERIALIZED (
         SELECT '-1'::integer AS times,
            before.livemode,
            before.currency,
            before.kind,
            before.stripe_id,
            before.customer_id,
            before.amount,
            before.taken_off,
            NULL::timestamp with time zone AS ends_at
           FROM (changed
             CROSS JOIN LATERAL ( SELECT stored.subscription_id,
                    stored.currency,
                    stored.kind,
                    stored.stripe_id,
                    stored.livemode,
                    stored.customer_id,
                    stored.amount,
                    stored.taken_off,
                    stored.ends_at,
                    stored.changes_at
                   FROM billing_revenue stored
                  WHERE (stored.subscription_id = changed.subscription_id)
                 OFFSET 0) before)
        UNION ALL
         SELECT 1,
            added.livemode,
            added.currency,
            added.kind,
            added.stripe_id,
            added.customer_id,
            added.amount,
            added.taken_off,
            added.ends_at
           FROM (changed
             CROSS JOIN LATERAL billing_subscription_revenue_v2(changed.subscription_id) added(livemode, currency, kind, stripe_id, customer_id, amount, taken_off, ends_at, changes_at))
        )
 SELECT livemode,
    currency,
    kind,
    stripe_id,
    subscriptions,
    customers,
    amount,
    taken_off,
    GREATEST(ends_at, ( SELECT r.ends_at
           FROM billing_revenue r
          WHERE ((r.kind = 'coupon'::text) AND (r.stripe_id = s.stripe_id) AND (r.livemode = s.livemode) AND (r.currency = s.currency) AND (NOT (r.subscription_id IN ( SELECT changed.subscription_id
                   FROM changed))))
          ORDER BY r.ends_at DESC
         LIMIT 1)) AS ends_at
   FROM ( SELECT added.livemode,
            added.currency,
            added.kind,
            added.stripe_id,
            (sum(added.subscriptions))::bigint AS subscriptions,
            (sum(added.customers))::bigint AS customers,
            sum(added.amount) AS amount,
            sum(added.taken_off) AS taken_off,
            max(added.ends_at) AS ends_at
           FROM ( SELECT kept.livemode,
                    kept.currency,
                    kept.kind,
                    kept.stripe_id,
                    kept.subscriptions,
                    kept.customers,
                    kept.amount,
                    kept.taken_off,
                    NULL::timestamp with time zone AS ends_at
                   FROM billing_revenue_sums kept
                UNION ALL
                 SELECT d.livemode,
                    d.currency,
                    d.kind,
                    d.stripe_id,
                    d.times,
                    0,
                    ((d.times)::numeric * d.amount),
                    ((d.times)::numeric * d.taken_off),
                    d.ends_at
                   FROM differing d
                UNION ALL
                 SELECT one.livemode,
                    one.currency,
                    one.kind,
                    one.stripe_id,
                    0,
                    one.times,
                    0,
                    0,
                    NULL::timestamp with time zone
                   FROM (( SELECT d.livemode,
                            d.currency,
                            d.kind,
                            d.stripe_id,
                            d.customer_id,
                            max(d.times) AS times
                           FROM differing d
                          GROUP BY d.livemode, d.currency, d.kind, d.stripe_id, d.customer_id
                         HAVING (max(d.times) = min(d.times))) one
                     LEFT JOIN LATERAL ( SELECT true AS is_there
                           FROM billing_revenue r
                          WHERE ((r.customer_id = one.customer_id) AND (r.kind = one.kind) AND (r.stripe_id = one.stripe_id) AND (r.livemode = one.livemode) AND (r.currency = one.currency) AND (NOT (r.subscription_id IN ( SELECT changed.subscription_id
                                   FROM changed))))
                         LIMIT 1) other ON (true))
                  WHERE (other.is_there IS NULL)) added
          GROUP BY added.livemode, added.currency, added.kind, added.stripe_id) s
  WHERE (subscriptions > 0);
COMMENT ON VIEW billing_revenue_now IS 'Monthly recurring revenue of all, by product and by coupon, not rounded';
COMMENT ON COLUMN billing_revenue_now.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_revenue_now.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_revenue_now.kind IS 'all, product or coupon';
COMMENT ON COLUMN billing_revenue_now.stripe_id IS 'prod_..., or the coupon''s id';
COMMENT ON COLUMN billing_revenue_now.subscriptions IS 'How many that are active or past due have it';
COMMENT ON COLUMN billing_revenue_now.customers IS 'How many different customers they are of';
COMMENT ON COLUMN billing_revenue_now.amount IS 'Minor units per month, after discounts; of a coupon: all that those subscriptions add';
COMMENT ON COLUMN billing_revenue_now.taken_off IS 'Minor units per month that coupons take off it, or that this one does';
COMMENT ON COLUMN billing_revenue_now.ends_at IS 'Of a coupon: when the last of them ends; infinity: one has no end';

CREATE TABLE coupons (
    code text NOT NULL,
    name text NOT NULL,
    percent_off numeric(5,2),
    amount_off bigint,
    currency text,
    duration text NOT NULL,
    duration_in_months integer,
    max_redemptions integer,
    max_per_customer integer,
    expires_at timestamp with time zone,
    products text[] DEFAULT '{}'::text[] NOT NULL,
    first_order_only boolean DEFAULT false NOT NULL,
    retention boolean DEFAULT false NOT NULL,
    minimum_amount bigint,
    amount_off_in jsonb DEFAULT '{}'::jsonb NOT NULL,
    minimum_amount_in jsonb DEFAULT '{}'::jsonb NOT NULL,
    stripe_coupon_id text,
    livemode boolean,
    active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT coupons_amount_off_check CHECK ((amount_off > 0)),
    CONSTRAINT coupons_amount_off_in_check CHECK ((jsonb_typeof(amount_off_in) = 'object'::text)),
    CONSTRAINT coupons_check CHECK ((num_nonnulls(percent_off, amount_off) = 1)),
    CONSTRAINT coupons_check1 CHECK (((num_nonnulls(amount_off, minimum_amount) = 0) = (currency IS NULL))),
    CONSTRAINT coupons_check2 CHECK (((duration = 'repeating'::text) = (duration_in_months IS NOT NULL))),
    CONSTRAINT coupons_check3 CHECK (((stripe_coupon_id IS NULL) = (livemode IS NULL))),
    CONSTRAINT coupons_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT coupons_duration_check CHECK ((duration = ANY (ARRAY['once'::text, 'repeating'::text, 'forever'::text]))),
    CONSTRAINT coupons_duration_in_months_check CHECK ((duration_in_months > 0)),
    CONSTRAINT coupons_max_per_customer_check CHECK ((max_per_customer > 0)),
    CONSTRAINT coupons_max_redemptions_check CHECK ((max_redemptions > 0)),
    CONSTRAINT coupons_minimum_amount_check CHECK ((minimum_amount > 0)),
    CONSTRAINT coupons_minimum_amount_in_check CHECK ((jsonb_typeof(minimum_amount_in) = 'object'::text)),
    CONSTRAINT coupons_percent_off_check CHECK (((percent_off > (0)::numeric) AND (percent_off <= (100)::numeric)))
);
COMMENT ON TABLE coupons IS 'Discounts that a buyer can enter';
COMMENT ON COLUMN coupons.code IS 'What the buyer enters; compared in upper case';
COMMENT ON COLUMN coupons.name IS 'Shown to the buyer and in Stripe';
COMMENT ON COLUMN coupons.percent_off IS 'Percent of the order, or of its products; null: a fixed amount';
COMMENT ON COLUMN coupons.amount_off IS 'Minor units of currency; null: a percentage';
COMMENT ON COLUMN coupons.currency IS 'Of amount_off and minimum_amount';
COMMENT ON COLUMN coupons.duration IS 'once, repeating (for duration_in_months) or forever';
COMMENT ON COLUMN coupons.duration_in_months IS 'Of a repeating coupon';
COMMENT ON COLUMN coupons.max_redemptions IS 'How many orders may have it, open payment pages included; null: any number';
COMMENT ON COLUMN coupons.max_per_customer IS 'How many of them may be one person''s; null: any number';
COMMENT ON COLUMN coupons.expires_at IS 'From then on it cannot be ordered; null: no end';
COMMENT ON COLUMN coupons.products IS 'Codes of the plans and add-ons that it is taken off; empty: everything in the order';
COMMENT ON COLUMN coupons.first_order_only IS 'Only for who has had no subscription before';
COMMENT ON COLUMN coupons.retention IS 'Not for orders: offered to who wants to cancel';
COMMENT ON COLUMN coupons.minimum_amount IS 'What the order must come to before the discount, in minor units of currency; null: any sum';
COMMENT ON COLUMN coupons.amount_off_in IS 'What it takes off in other currencies, minor units by currency: {"jpy": 500}';
COMMENT ON COLUMN coupons.minimum_amount_in IS 'minimum_amount in other currencies, minor units by currency';
COMMENT ON COLUMN coupons.stripe_coupon_id IS 'Coupon at Stripe, and with _ and a currency behind it those of amount_off_in; null: not pushed yet';
COMMENT ON COLUMN coupons.livemode IS 'Whether stripe_coupon_id belongs to Stripe''s live mode; null: not pushed';
COMMENT ON COLUMN coupons.active IS 'Buyers may use it';
COMMENT ON COLUMN coupons.created_at IS 'When this row was created';
COMMENT ON COLUMN coupons.updated_at IS 'When this row was last changed';

CREATE TABLE subscription_discounts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    subscription_id uuid NOT NULL,
    stripe_discount_id text NOT NULL,
    stripe_subscription_item_id text,
    "position" integer NOT NULL,
    stripe_coupon_id text,
    coupon_name text,
    percent_off numeric,
    amount_off bigint,
    currency text,
    duration text,
    stripe_product_ids text[],
    starts_at timestamp with time zone,
    ends_at timestamp with time zone,
    fetched boolean NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT subscription_discounts_amount_off_check CHECK ((amount_off >= 0)),
    CONSTRAINT subscription_discounts_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT subscription_discounts_percent_off_check CHECK (((percent_off >= (0)::numeric) AND (percent_off <= (100)::numeric)))
);
COMMENT ON TABLE subscription_discounts IS 'The discounts of subscriptions and of their items, as Stripe has them';
COMMENT ON COLUMN subscription_discounts.id IS 'Our id';
COMMENT ON COLUMN subscription_discounts.subscription_id IS 'The subscription';
COMMENT ON COLUMN subscription_discounts.stripe_discount_id IS 'di_...';
COMMENT ON COLUMN subscription_discounts.stripe_subscription_item_id IS 'si_... of the only item that it is for; null: the whole subscription';
COMMENT ON COLUMN subscription_discounts."position" IS 'The order in which discounts apply, each to what the ones before left; those of items come first';
COMMENT ON COLUMN subscription_discounts.stripe_coupon_id IS 'The coupon''s id; null: not known yet, Stripe is being asked';
COMMENT ON COLUMN subscription_discounts.coupon_name IS 'What customers see on invoices';
COMMENT ON COLUMN subscription_discounts.percent_off IS 'Percent that it takes off; null: it takes off an amount';
COMMENT ON COLUMN subscription_discounts.amount_off IS 'Minor units of currency that it takes off each invoice; null: it takes off a percentage';
COMMENT ON COLUMN subscription_discounts.currency IS 'ISO 4217, lower case, of amount_off';
COMMENT ON COLUMN subscription_discounts.duration IS 'once, repeating or forever: for one invoice, until ends_at, or always';
COMMENT ON COLUMN subscription_discounts.stripe_product_ids IS 'prod_... of the only products that it is for; null: all';
COMMENT ON COLUMN subscription_discounts.starts_at IS 'When it was given';
COMMENT ON COLUMN subscription_discounts.ends_at IS 'Until when it applies; null: no end';
COMMENT ON COLUMN subscription_discounts.fetched IS 'Whether Stripe was asked for its coupon: events carry ids, and not what a coupon is limited to';
COMMENT ON COLUMN subscription_discounts.created_at IS 'When this row was created';
COMMENT ON COLUMN subscription_discounts.updated_at IS 'When this row was last changed';

CREATE VIEW billing_mrr_by_coupon AS
 SELECT r.livemode,
    r.currency,
    ours.code,
    COALESCE(ours.name, ( SELECT d.coupon_name
           FROM ((( SELECT given.subscription_id
                   FROM billing_revenue given
                  WHERE ((given.kind = 'coupon'::text) AND (given.stripe_id = r.stripe_id))
                  ORDER BY given.ends_at DESC
                 LIMIT 1)
                UNION ALL
                 SELECT noted.subscription_id
                   FROM billing_revenue_changes noted) one
             JOIN subscription_discounts d ON (((d.subscription_id = one.subscription_id) AND (d.stripe_coupon_id = r.stripe_id))))
         LIMIT 1)) AS name,
    r.stripe_id AS stripe_coupon_id,
    r.subscriptions,
    r.customers,
    ((floor(r.taken_off) + ((((r.place)::numeric <= (round(sum(r.taken_off) OVER together) - sum(floor(r.taken_off)) OVER together)))::integer)::numeric))::bigint AS taken_off,
    (round(r.amount))::bigint AS mrr,
    NULLIF(r.ends_at, 'infinity'::timestamp with time zone) AS ends_at
   FROM (( SELECT n.livemode,
            n.currency,
            n.stripe_id,
            n.subscriptions,
            n.customers,
            n.amount,
            n.taken_off,
            n.ends_at,
            row_number() OVER (PARTITION BY n.livemode, n.currency ORDER BY (n.taken_off - floor(n.taken_off)) DESC, n.stripe_id) AS place
           FROM billing_revenue_now n
          WHERE (n.kind = 'coupon'::text)) r
     LEFT JOIN LATERAL ( SELECT c.code,
            c.name
           FROM coupons c
          WHERE ((c.stripe_coupon_id = ANY (ARRAY[r.stripe_id, "left"(r.stripe_id, '-4'::integer)])) AND ((c.stripe_coupon_id = r.stripe_id) OR (r.stripe_id = ((c.stripe_coupon_id || '_'::text) || r.currency))))
         LIMIT 1) ours ON (true))
  WINDOW together AS (PARTITION BY r.livemode, r.currency);
COMMENT ON VIEW billing_mrr_by_coupon IS 'What each coupon takes off the monthly recurring revenue; those for one invoice take nothing off it';
COMMENT ON COLUMN billing_mrr_by_coupon.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_by_coupon.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_by_coupon.code IS 'Its code in the catalogue; null: not in it';
COMMENT ON COLUMN billing_mrr_by_coupon.name IS 'What customers see on invoices';
COMMENT ON COLUMN billing_mrr_by_coupon.stripe_coupon_id IS 'The coupon''s id at Stripe';
COMMENT ON COLUMN billing_mrr_by_coupon.subscriptions IS 'How many that are active or past due have it now';
COMMENT ON COLUMN billing_mrr_by_coupon.customers IS 'How many different customers they are of';
COMMENT ON COLUMN billing_mrr_by_coupon.taken_off IS 'Minor units of currency per month that it takes off';
COMMENT ON COLUMN billing_mrr_by_coupon.mrr IS 'What those subscriptions still add to the monthly recurring revenue: one with two coupons is in both';
COMMENT ON COLUMN billing_mrr_by_coupon.ends_at IS 'When the last of them ends; null: one at least has no end';

CREATE VIEW billing_mrr_by_product AS
 SELECT r.livemode,
    r.currency,
    p.kind,
    p.code,
    p.name,
    r.stripe_id AS stripe_product_id,
    r.subscriptions,
    r.customers,
    ((floor(r.amount) + ((((r.place)::numeric <= (round(sum(r.amount) OVER together) - sum(floor(r.amount)) OVER together)))::integer)::numeric))::bigint AS mrr,
    ((floor(r.taken_off) + ((((r.taken_place)::numeric <= (round(sum(r.taken_off) OVER together) - sum(floor(r.taken_off)) OVER together)))::integer)::numeric))::bigint AS taken_off
   FROM (( SELECT n.livemode,
            n.currency,
            n.stripe_id,
            n.subscriptions,
            n.customers,
            n.amount,
            n.taken_off,
            row_number() OVER (PARTITION BY n.livemode, n.currency ORDER BY (n.amount - floor(n.amount)) DESC, n.stripe_id) AS place,
            row_number() OVER (PARTITION BY n.livemode, n.currency ORDER BY (n.taken_off - floor(n.taken_off)) DESC, n.stripe_id) AS taken_place
           FROM billing_revenue_now n
          WHERE (n.kind = 'product'::text)) r
     LEFT JOIN products p ON (((p.stripe_product_id = r.stripe_id) AND (p.code IS NOT NULL))))
  WINDOW together AS (PARTITION BY r.livemode, r.currency);
COMMENT ON VIEW billing_mrr_by_product IS 'Monthly recurring revenue by plan and add-on; the sums of a currency are those of billing_mrr';
COMMENT ON COLUMN billing_mrr_by_product.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_by_product.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_by_product.kind IS 'plan, addon, domain or fee; null: not in the catalogue';
COMMENT ON COLUMN billing_mrr_by_product.code IS 'Its code in the catalogue; null: not in it';
COMMENT ON COLUMN billing_mrr_by_product.name IS 'Its name in the catalogue';
COMMENT ON COLUMN billing_mrr_by_product.stripe_product_id IS 'prod_...; empty: Stripe did not say';
COMMENT ON COLUMN billing_mrr_by_product.subscriptions IS 'How many that are active or past due have it';
COMMENT ON COLUMN billing_mrr_by_product.customers IS 'How many different customers they are of';
COMMENT ON COLUMN billing_mrr_by_product.mrr IS 'Minor units of currency per month, after discounts, except those for one invoice';
COMMENT ON COLUMN billing_mrr_by_product.taken_off IS 'Minor units of currency per month that coupons take off it';

CREATE TABLE billing_mrr_periods (
    livemode boolean NOT NULL,
    period text NOT NULL,
    starts_on date NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL,
    customers bigint NOT NULL,
    amount numeric NOT NULL
)
WITH (fillfactor='50');
COMMENT ON TABLE billing_mrr_periods IS 'The sums of billing_mrr_days by period; rows of the present one change in place, on half-empty pages';
COMMENT ON COLUMN billing_mrr_periods.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_periods.period IS 'day, week or month';
COMMENT ON COLUMN billing_mrr_periods.starts_on IS 'The first day of the period, UTC';
COMMENT ON COLUMN billing_mrr_periods.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_periods.kind IS 'new, expansion, contraction, churn or reactivation';
COMMENT ON COLUMN billing_mrr_periods.customers IS 'How many rows of billing_mrr_days';
COMMENT ON COLUMN billing_mrr_periods.amount IS 'The sum of their changes';

CREATE VIEW billing_mrr_movements AS
 SELECT livemode,
    period,
    starts_on,
    currency,
    kind,
    (sum(customers))::bigint AS customers,
    sum(amount) AS amount
   FROM ( SELECT k.livemode,
            k.period,
            k.starts_on,
            k.currency,
            k.kind,
            k.customers,
            k.amount
           FROM billing_mrr_periods k
        UNION ALL
         SELECT u.livemode,
            p.period,
            p.starts_on,
            u.currency,
            u.kind,
            u.times,
            ((u.times)::numeric * u.change)
           FROM (billing_mrr_unfolded u
             CROSS JOIN LATERAL ( VALUES ('day'::text,u.day), ('week'::text,(date_trunc('week'::text, (u.day)::timestamp with time zone))::date), ('month'::text,(date_trunc('month'::text, (u.day)::timestamp with time zone))::date)) p(period, starts_on))) m
  GROUP BY livemode, period, starts_on, currency, kind
 HAVING (sum(customers) <> (0)::numeric);
COMMENT ON VIEW billing_mrr_movements IS 'Movements of the monthly recurring revenue by day, week and month: opening and movements are the closing';
COMMENT ON COLUMN billing_mrr_movements.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_movements.period IS 'day, week or month: a query names one of them';
COMMENT ON COLUMN billing_mrr_movements.starts_on IS 'The first day of the period, UTC';
COMMENT ON COLUMN billing_mrr_movements.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_movements.kind IS 'new, expansion, contraction, churn or reactivation';
COMMENT ON COLUMN billing_mrr_movements.customers IS 'Of how many customers; one counts once for each day';
COMMENT ON COLUMN billing_mrr_movements.amount IS 'Minor units per month, not rounded; less than zero for contraction and churn';

CREATE VIEW billing_mrr_whole AS
 SELECT livemode,
    currency,
    customer_id,
    day,
        CASE
            WHEN (number = 1) THEN 'new'::text
            WHEN (amount = change) THEN 'reactivation'::text
            WHEN (amount = (0)::numeric) THEN 'churn'::text
            WHEN (change > (0)::numeric) THEN 'expansion'::text
            ELSE 'contraction'::text
        END AS kind,
    change,
    amount,
    started_on
   FROM ( SELECT changed.livemode,
            changed.currency,
            changed.customer_id,
            changed.day,
            changed.change,
            sum(changed.change) OVER days AS amount,
            row_number() OVER days AS number,
            first_value(changed.day) OVER days AS started_on
           FROM ( SELECT l.livemode,
                    l.currency,
                    COALESCE(s.customer_id, ((gone.subscription ->> 'customer_id'::text))::uuid, l.subscription_id) AS customer_id,
                    ((l.at AT TIME ZONE 'UTC'::text))::date AS day,
                    sum(l.change) AS change
                   FROM ((billing_mrr_ledger l
                     LEFT JOIN subscriptions s ON ((s.id = l.subscription_id)))
                     LEFT JOIN billing_deleted_subscriptions gone ON ((gone.subscription_id = l.subscription_id)))
                  WHERE (l.at <= now())
                  GROUP BY l.livemode, l.currency, COALESCE(s.customer_id, ((gone.subscription ->> 'customer_id'::text))::uuid, l.subscription_id), (((l.at AT TIME ZONE 'UTC'::text))::date)
                 HAVING (sum(l.change) <> (0)::numeric)) changed
          WINDOW days AS (PARTITION BY changed.livemode, changed.currency, changed.customer_id ORDER BY changed.day)) d;
COMMENT ON VIEW billing_mrr_whole IS 'The monthly recurring revenue of each customer, computed from the whole ledger';
COMMENT ON COLUMN billing_mrr_whole.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_whole.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_whole.customer_id IS 'The customer record; of a subscription whose customer is unknown, the subscription';
COMMENT ON COLUMN billing_mrr_whole.day IS 'The day, UTC';
COMMENT ON COLUMN billing_mrr_whole.kind IS 'new, expansion, contraction, churn or reactivation';
COMMENT ON COLUMN billing_mrr_whole.change IS 'By how much it is more than at the end of the day before, minor units, not rounded';
COMMENT ON COLUMN billing_mrr_whole.amount IS 'What it was at the end of the day, minor units, not rounded';
COMMENT ON COLUMN billing_mrr_whole.started_on IS 'The first such day of the customer';

CREATE TABLE billing_noted_users (
    user_id uuid NOT NULL,
    noted_in xid8 DEFAULT pg_current_xact_id() NOT NULL,
    noted_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
COMMENT ON TABLE billing_noted_users IS 'Verified accounts whose address may be that of a customer record without an account';
COMMENT ON COLUMN billing_noted_users.user_id IS 'The account; its row may have been deleted';
COMMENT ON COLUMN billing_noted_users.noted_in IS 'The transaction that changed one of the two: no two share a row, so none waits and none is overlooked';
COMMENT ON COLUMN billing_noted_users.noted_at IS 'A note stays for an hour, and longer while it leads to a record';

CREATE TABLE billing_notes (
    id bigint NOT NULL,
    customer_id uuid NOT NULL,
    body text NOT NULL,
    written_by text NOT NULL,
    person text,
    written_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_notes_body_check CHECK ((body <> ''::text))
);
COMMENT ON TABLE billing_notes IS 'What operators have noted about customers';
COMMENT ON COLUMN billing_notes.id IS 'Our id';
COMMENT ON COLUMN billing_notes.customer_id IS 'About whom';
COMMENT ON COLUMN billing_notes.body IS 'What is noted';
COMMENT ON COLUMN billing_notes.written_by IS 'Name of the key or user';
COMMENT ON COLUMN billing_notes.person IS 'Who wrote it, as far as it is known';
COMMENT ON COLUMN billing_notes.written_at IS 'When it was written';

ALTER TABLE billing_notes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME billing_notes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE billing_planned_changes (
    stripe_schedule_id text NOT NULL,
    subscription_id uuid NOT NULL,
    plan_code text NOT NULL,
    billing_cycle text NOT NULL,
    addon_codes text[] NOT NULL,
    quantities jsonb DEFAULT '{}'::jsonb NOT NULL,
    effective_at timestamp with time zone NOT NULL,
    subtotal bigint NOT NULL,
    amount bigint NOT NULL,
    planned_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON TABLE billing_planned_changes IS 'Subscription schedules at Stripe that were made here: each changes a subscription at the end of a term. It counts while subscriptions.stripe_schedule_id names it';
COMMENT ON COLUMN billing_planned_changes.stripe_schedule_id IS 'sub_sched_...';
COMMENT ON COLUMN billing_planned_changes.subscription_id IS 'What it changes';
COMMENT ON COLUMN billing_planned_changes.plan_code IS 'The plan afterwards';
COMMENT ON COLUMN billing_planned_changes.billing_cycle IS 'The term afterwards';
COMMENT ON COLUMN billing_planned_changes.addon_codes IS 'The add-ons afterwards, sorted';
COMMENT ON COLUMN billing_planned_changes.quantities IS 'Of which there is more than one afterwards, by code';
COMMENT ON COLUMN billing_planned_changes.effective_at IS 'When the change begins: the end of the term in which it was asked for';
COMMENT ON COLUMN billing_planned_changes.subtotal IS 'Minor units of the first term afterwards, before discounts';
COMMENT ON COLUMN billing_planned_changes.amount IS 'Minor units of the first invoice afterwards, as previewed: after discounts, before added taxes and the balance';
COMMENT ON COLUMN billing_planned_changes.planned_at IS 'When Stripe took the change; null: the schedule was made, and changes nothing yet';
COMMENT ON COLUMN billing_planned_changes.created_at IS 'When the schedule was made';

CREATE TABLE billing_price_changes (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    subscription_id uuid NOT NULL,
    old_price_id uuid NOT NULL,
    new_price_id uuid NOT NULL,
    not_before timestamp with time zone NOT NULL,
    effective_at timestamp with time zone NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    announced_at timestamp with time zone DEFAULT now() NOT NULL,
    made_at timestamp with time zone,
    withdrawn_at timestamp with time zone,
    CONSTRAINT billing_price_changes_check CHECK ((old_price_id <> new_price_id)),
    CONSTRAINT billing_price_changes_check1 CHECK ((effective_at >= not_before)),
    CONSTRAINT billing_price_changes_check2 CHECK ((num_nonnulls(made_at, withdrawn_at) < 2))
);
COMMENT ON TABLE billing_price_changes IS 'Another price for those who have an item already: announced to them, and made just before the renewal from which it counts';
COMMENT ON COLUMN billing_price_changes.id IS 'Our id';
COMMENT ON COLUMN billing_price_changes.subscription_id IS 'Whose item it is';
COMMENT ON COLUMN billing_price_changes.old_price_id IS 'What the item costs when it is announced';
COMMENT ON COLUMN billing_price_changes.new_price_id IS 'What it will cost';
COMMENT ON COLUMN billing_price_changes.not_before IS 'No renewal before then has the new price: the day of the change, and the end of the notice';
COMMENT ON COLUMN billing_price_changes.effective_at IS 'The first renewal after that';
COMMENT ON COLUMN billing_price_changes.next_attempt_at IS 'When it is looked at next: shortly before the renewal';
COMMENT ON COLUMN billing_price_changes.announced_at IS 'When it was announced: the notice runs from then on';
COMMENT ON COLUMN billing_price_changes.made_at IS 'When Stripe was given the new price; null: not yet';
COMMENT ON COLUMN billing_price_changes.withdrawn_at IS 'When it was called off, or the item had gone; null: it stands';

CREATE TABLE billing_receivers (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    url text NOT NULL,
    livemode boolean NOT NULL,
    types text[] NOT NULL,
    secret text NOT NULL,
    former_secret text,
    former_secret_until timestamp with time zone,
    failing_since timestamp with time zone,
    disabled_at timestamp with time zone,
    disabled_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT billing_receivers_check CHECK (((former_secret IS NULL) = (former_secret_until IS NULL))),
    CONSTRAINT billing_receivers_check1 CHECK (((disabled_at IS NULL) = (disabled_reason IS NULL))),
    CONSTRAINT billing_receivers_former_secret_check CHECK ((former_secret ~ '^whsec_[0-9A-Za-z+/=]+$'::text)),
    CONSTRAINT billing_receivers_name_check CHECK ((name ~ '^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$'::text)),
    CONSTRAINT billing_receivers_secret_check CHECK ((secret ~ '^whsec_[0-9A-Za-z+/=]+$'::text)),
    CONSTRAINT billing_receivers_types_check CHECK ((cardinality(types) > 0)),
    CONSTRAINT billing_receivers_url_check CHECK ((url ~ '^https?://'::text))
);
COMMENT ON TABLE billing_receivers IS 'Where messages are sent to';
COMMENT ON COLUMN billing_receivers.id IS 'Our id';
COMMENT ON COLUMN billing_receivers.name IS 'Name, chosen by the operator';
COMMENT ON COLUMN billing_receivers.url IS 'Messages are POSTed to it';
COMMENT ON COLUMN billing_receivers.livemode IS 'It gets what is about this mode of Stripe';
COMMENT ON COLUMN billing_receivers.types IS 'The types it gets: invoice.paid, invoice.*, or * for all';
COMMENT ON COLUMN billing_receivers.secret IS 'Key of the signatures, as Standard Webhooks writes it';
COMMENT ON COLUMN billing_receivers.former_secret IS 'The key before the last roll: messages are signed with both for a time';
COMMENT ON COLUMN billing_receivers.former_secret_until IS 'Until then; null: there is only one key';
COMMENT ON COLUMN billing_receivers.failing_since IS 'First failure since the last success; null: the latest attempt succeeded';
COMMENT ON COLUMN billing_receivers.disabled_at IS 'Nothing is sent since then; what there is to send waits. Null: enabled';
COMMENT ON COLUMN billing_receivers.disabled_reason IS 'Why: the operator, or the failure';
COMMENT ON COLUMN billing_receivers.created_at IS 'When it was added';
COMMENT ON COLUMN billing_receivers.created_by IS 'Who added it';

CREATE TABLE billing_reconcile_drift (
    run_id uuid NOT NULL,
    object_type text NOT NULL,
    object_id text NOT NULL,
    field text NOT NULL,
    ours text,
    found text,
    repaired boolean NOT NULL,
    found_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON TABLE billing_reconcile_drift IS 'What differed in a run';
COMMENT ON COLUMN billing_reconcile_drift.run_id IS 'The run';
COMMENT ON COLUMN billing_reconcile_drift.object_type IS 'Stripe''s object type, event, or account';
COMMENT ON COLUMN billing_reconcile_drift.object_id IS 'Id at Stripe; of an account, our subscription and the product type';
COMMENT ON COLUMN billing_reconcile_drift.field IS 'Column of the mirror; object: one side does not have it at all';
COMMENT ON COLUMN billing_reconcile_drift.ours IS 'What we had; null: nothing';
COMMENT ON COLUMN billing_reconcile_drift.found IS 'What Stripe or the driver had; null: nothing';
COMMENT ON COLUMN billing_reconcile_drift.repaired IS 'Whether it no longer differs';
COMMENT ON COLUMN billing_reconcile_drift.found_at IS 'When it was found';

CREATE TABLE billing_reconcile_runs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    started_by text NOT NULL,
    livemode boolean NOT NULL,
    dry_run boolean NOT NULL,
    since_days integer,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    outcome text,
    holder uuid,
    leased_until timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    next_attempt_at timestamp with time zone,
    objects bigint DEFAULT 0 NOT NULL,
    events bigint DEFAULT 0 NOT NULL,
    accounts bigint DEFAULT 0 NOT NULL,
    drift bigint DEFAULT 0 NOT NULL,
    repaired bigint DEFAULT 0 NOT NULL,
    CONSTRAINT billing_reconcile_runs_check CHECK (((finished_at IS NULL) = (outcome IS NULL))),
    CONSTRAINT billing_reconcile_runs_check1 CHECK (((holder IS NULL) = (leased_until IS NULL))),
    CONSTRAINT billing_reconcile_runs_check2 CHECK ((repaired <= drift)),
    CONSTRAINT billing_reconcile_runs_outcome_check CHECK ((outcome = ANY (ARRAY['clean'::text, 'repaired'::text, 'drift'::text, 'abandoned'::text]))),
    CONSTRAINT billing_reconcile_runs_since_days_check CHECK ((since_days > 0)),
    CONSTRAINT billing_reconcile_runs_started_by_check CHECK ((started_by = ANY (ARRAY['schedule'::text, 'api'::text, 'command'::text])))
);
COMMENT ON TABLE billing_reconcile_runs IS 'Comparisons of Stripe with the mirror and the accounts; at most one is unfinished';
COMMENT ON COLUMN billing_reconcile_runs.id IS 'Our id';
COMMENT ON COLUMN billing_reconcile_runs.started_by IS 'schedule: the daily one; api: POST /api/admin/reconcile; command: mpanel-billing reconcile';
COMMENT ON COLUMN billing_reconcile_runs.livemode IS 'Mode of Stripe that it compares';
COMMENT ON COLUMN billing_reconcile_runs.dry_run IS 'It only reports';
COMMENT ON COLUMN billing_reconcile_runs.since_days IS 'Only what was created in that many days before it began; null: everything';
COMMENT ON COLUMN billing_reconcile_runs.started_at IS 'When it was requested';
COMMENT ON COLUMN billing_reconcile_runs.finished_at IS 'Null: it is running, or was stopped and will continue';
COMMENT ON COLUMN billing_reconcile_runs.outcome IS 'clean: nothing differs; repaired: nothing differs any more; drift: something still differs; abandoned: replaced by another run';
COMMENT ON COLUMN billing_reconcile_runs.holder IS 'Token of the process that runs it';
COMMENT ON COLUMN billing_reconcile_runs.leased_until IS 'Until then no other process takes it over';
COMMENT ON COLUMN billing_reconcile_runs.attempts IS 'How often it was started or continued';
COMMENT ON COLUMN billing_reconcile_runs.last_error IS 'Why it last stopped';
COMMENT ON COLUMN billing_reconcile_runs.next_attempt_at IS 'When the sweep continues it; null: only a person does';
COMMENT ON COLUMN billing_reconcile_runs.objects IS 'Stripe objects compared';
COMMENT ON COLUMN billing_reconcile_runs.events IS 'Stripe events looked up in the inbox';
COMMENT ON COLUMN billing_reconcile_runs.accounts IS 'Accounts at the drivers inspected';
COMMENT ON COLUMN billing_reconcile_runs.drift IS 'Objects, events and accounts that differed';
COMMENT ON COLUMN billing_reconcile_runs.repaired IS 'How many of these no longer differ';

CREATE TABLE billing_server_changes (
    product_type text NOT NULL,
    server text NOT NULL,
    placed integer DEFAULT 0 NOT NULL,
    coming integer DEFAULT 0 NOT NULL,
    leaving integer DEFAULT 0 NOT NULL,
    going integer DEFAULT 0 NOT NULL
);
COMMENT ON TABLE billing_server_changes IS 'What has changed since billing_server_places was added up: a row is only inserted, so no writer waits for another';
COMMENT ON COLUMN billing_server_changes.product_type IS 'hosting, email, storage, ...';
COMMENT ON COLUMN billing_server_changes.server IS 'Its name in the setting';
COMMENT ON COLUMN billing_server_changes.placed IS 'How many accounts more take a place; negative: fewer';
COMMENT ON COLUMN billing_server_changes.coming IS 'How many more move here';
COMMENT ON COLUMN billing_server_changes.leaving IS 'How many more move away, and are still in use here';
COMMENT ON COLUMN billing_server_changes.going IS 'How many more have moved away, and are not terminated here yet';

CREATE TABLE billing_server_places (
    product_type text NOT NULL,
    server text NOT NULL,
    placed integer DEFAULT 0 NOT NULL,
    coming integer DEFAULT 0 NOT NULL,
    leaving integer DEFAULT 0 NOT NULL,
    going integer DEFAULT 0 NOT NULL
);
COMMENT ON TABLE billing_server_places IS 'Accounts of each server, without what billing_server_changes adds; see billing_server_load';
COMMENT ON COLUMN billing_server_places.product_type IS 'hosting, email, storage, ...';
COMMENT ON COLUMN billing_server_places.server IS 'Its name in the setting';
COMMENT ON COLUMN billing_server_places.placed IS 'Accounts that take a place: those that are there, may be there, or are to be made';
COMMENT ON COLUMN billing_server_places.coming IS 'Accounts that move here';
COMMENT ON COLUMN billing_server_places.leaving IS 'Accounts that move away, and are still in use here';
COMMENT ON COLUMN billing_server_places.going IS 'Accounts that have moved away, and are not terminated here yet';

CREATE TABLE billing_servers (
    product_type text NOT NULL,
    name text NOT NULL,
    driver text NOT NULL,
    weight integer NOT NULL,
    capacity integer,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    failing_since timestamp with time zone,
    failed_at timestamp with time zone,
    last_error text,
    drained_by text,
    drained_at timestamp with time zone,
    left_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_servers_capacity_check CHECK ((capacity >= 0)),
    CONSTRAINT billing_servers_check CHECK (((failures = 0) = (failing_since IS NULL))),
    CONSTRAINT billing_servers_check1 CHECK (((failures = 0) = (failed_at IS NULL))),
    CONSTRAINT billing_servers_check2 CHECK (((drained_by IS NULL) = (drained_at IS NULL))),
    CONSTRAINT billing_servers_failures_check CHECK ((failures >= 0)),
    CONSTRAINT billing_servers_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text)),
    CONSTRAINT billing_servers_weight_check CHECK (((weight >= 1) AND (weight <= 1000)))
);
COMMENT ON TABLE billing_servers IS 'The servers of product types that have several, as PROVISIONING_SERVICES named them when a worker last started';
COMMENT ON COLUMN billing_servers.product_type IS 'hosting, email, storage, ...';
COMMENT ON COLUMN billing_servers.name IS 'Its name in the setting';
COMMENT ON COLUMN billing_servers.driver IS 'The driver that calls it';
COMMENT ON COLUMN billing_servers.weight IS 'Its share of new accounts, in proportion to the others';
COMMENT ON COLUMN billing_servers.capacity IS 'Accounts that it may have at most; null: any number';
COMMENT ON COLUMN billing_servers.tags IS 'What it offers: an account that needs a tag is only placed on a server that has it';
COMMENT ON COLUMN billing_servers.failures IS 'Commands of unknown outcome since it last answered one; three make it a failing server';
COMMENT ON COLUMN billing_servers.failing_since IS 'When the first of these was; null: there are none';
COMMENT ON COLUMN billing_servers.failed_at IS 'When the last of these was; null: there are none';
COMMENT ON COLUMN billing_servers.last_error IS 'What came of the last of these';
COMMENT ON COLUMN billing_servers.drained_by IS 'Who empties it: it gets no new accounts; null: nobody';
COMMENT ON COLUMN billing_servers.drained_at IS 'Since when it is emptied';
COMMENT ON COLUMN billing_servers.left_at IS 'Since when the setting does not name it any more; null: it does';
COMMENT ON COLUMN billing_servers.created_at IS 'When this row was created';
COMMENT ON COLUMN billing_servers.updated_at IS 'When this row was last changed';

CREATE VIEW billing_server_load AS
 SELECT s.product_type,
    s.name AS server,
    s.driver,
    ((sums.placed + sums.coming) + sums.going) AS accounts,
    sums.coming,
    sums.leaving,
    s.capacity,
    s.weight,
    s.tags,
    ((s.failures >= 3) AND (s.failed_at > (now() - '02:00:00'::interval))) AS is_failing,
    s.failing_since,
    s.failed_at,
    s.last_error,
    s.drained_by,
    s.drained_at,
    s.left_at
   FROM ((billing_servers s
     LEFT JOIN billing_server_places p ON (((p.product_type = s.product_type) AND (p.server = s.name))))
     CROSS JOIN LATERAL ( SELECT (COALESCE(p.placed, 0) + (COALESCE(sum(c.placed), (0)::bigint))::integer) AS placed,
            (COALESCE(p.coming, 0) + (COALESCE(sum(c.coming), (0)::bigint))::integer) AS coming,
            (COALESCE(p.leaving, 0) + (COALESCE(sum(c.leaving), (0)::bigint))::integer) AS leaving,
            (COALESCE(p.going, 0) + (COALESCE(sum(c.going), (0)::bigint))::integer) AS going
           FROM billing_server_changes c
          WHERE ((c.product_type = s.product_type) AND (c.server = s.name))) sums);
COMMENT ON VIEW billing_server_load IS 'What each server of PROVISIONING_SERVICES has to carry, and whether it gets new accounts';
COMMENT ON COLUMN billing_server_load.product_type IS 'hosting, email, storage, ...';
COMMENT ON COLUMN billing_server_load.server IS 'Its name in the setting';
COMMENT ON COLUMN billing_server_load.driver IS 'The driver that calls it';
COMMENT ON COLUMN billing_server_load.accounts IS 'Places that are taken: accounts, those to be made, and those that move here or are not terminated here yet';
COMMENT ON COLUMN billing_server_load.coming IS 'Of these, accounts that move here';
COMMENT ON COLUMN billing_server_load.leaving IS 'Of these, accounts that move away, and are still in use here';
COMMENT ON COLUMN billing_server_load.capacity IS 'Places that it has; null: any number';
COMMENT ON COLUMN billing_server_load.weight IS 'Its share of new accounts, in proportion to the others';
COMMENT ON COLUMN billing_server_load.tags IS 'What it offers';
COMMENT ON COLUMN billing_server_load.is_failing IS 'Whether new accounts are placed elsewhere, because its last three commands or more have failed';
COMMENT ON COLUMN billing_server_load.failing_since IS 'When the first of its commands failed since it last answered one; null: none has';
COMMENT ON COLUMN billing_server_load.failed_at IS 'When the last of them failed';
COMMENT ON COLUMN billing_server_load.last_error IS 'What came of the last of them';
COMMENT ON COLUMN billing_server_load.drained_by IS 'Who empties it; null: nobody';
COMMENT ON COLUMN billing_server_load.drained_at IS 'Since when it is emptied, and gets no new accounts';
COMMENT ON COLUMN billing_server_load.left_at IS 'Since when the setting does not name it any more; null: it does';

CREATE TABLE billing_trials (
    subscription_id uuid NOT NULL,
    product_id uuid NOT NULL,
    customer_id uuid,
    livemode boolean NOT NULL,
    vouched boolean NOT NULL,
    person_hash bytea,
    card_hash bytea,
    earlier_subscription_id uuid,
    matched_by text,
    to_end boolean NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_trials_check CHECK ((earlier_subscription_id <> subscription_id)),
    CONSTRAINT billing_trials_check1 CHECK (((earlier_subscription_id IS NULL) = (matched_by IS NULL))),
    CONSTRAINT billing_trials_check2 CHECK (((NOT to_end) OR (earlier_subscription_id IS NOT NULL))),
    CONSTRAINT billing_trials_matched_by_check CHECK ((matched_by = ANY (ARRAY['customer'::text, 'address'::text, 'card'::text])))
);
COMMENT ON TABLE billing_trials IS 'Trials of plans that have begun, by what their next one is recognised';
COMMENT ON COLUMN billing_trials.subscription_id IS 'The subscription that began with the trial; its row may have been deleted';
COMMENT ON COLUMN billing_trials.product_id IS 'The plan';
COMMENT ON COLUMN billing_trials.customer_id IS 'The customer';
COMMENT ON COLUMN billing_trials.livemode IS 'Whether it is in Stripe''s live mode';
COMMENT ON COLUMN billing_trials.vouched IS 'mPanel vouched for the buyer';
COMMENT ON COLUMN billing_trials.person_hash IS 'Of the mailbox, as in orders';
COMMENT ON COLUMN billing_trials.card_hash IS 'HMAC-SHA256 of the fingerprint that Stripe gives the card''s number; null: no card';
COMMENT ON COLUMN billing_trials.earlier_subscription_id IS 'The trial of the same plan that the person had before; null: it is their first';
COMMENT ON COLUMN billing_trials.matched_by IS 'How the person was recognised: customer, address or card';
COMMENT ON COLUMN billing_trials.to_end IS 'A second trial that ends its subscription (SECOND_TRIALS)';
COMMENT ON COLUMN billing_trials.recorded_at IS 'When the worker recorded it';

CREATE VIEW billing_unpaid_terms AS
 SELECT s.id AS subscription_id,
    s.stripe_subscription_id AS object_id,
    COALESCE(i.due_at, i.finalized_at, i.stripe_created) AS since,
    ((('invoice '::text || i.stripe_invoice_id) || ' is unpaid: '::text) || billing_money_v1(i.amount_remaining, (i.currency)::text)) AS detail,
    i.next_payment_attempt
   FROM ((subscriptions s
     JOIN provisioning_work w ON (((w.subscription_id = s.id) AND ((w.inputs ->> 'owedSince'::text) IS NOT NULL) AND (((w.inputs ->> 'owedSince'::text))::timestamp with time zone <= now()))))
     JOIN invoices i ON (((i.subscription_id = s.id) AND (i.stripe_status = ANY (ARRAY['open'::text, 'uncollectible'::text])) AND (i.billing_reason IS DISTINCT FROM 'manual'::text) AND
        CASE i.collection_method
            WHEN 'send_invoice'::text THEN (COALESCE(i.due_at, '-infinity'::timestamp with time zone) <= now())
            ELSE (i.attempt_count > 0)
        END)))
  WHERE ((s.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])) AND ((s.stripe_status <> ALL (ARRAY['trialing'::text, 'active'::text])) OR (i.due_at <= now()) OR (EXISTS ( SELECT 1
           FROM invoices later
          WHERE ((later.subscription_id = s.id) AND (later.stripe_status = 'paid'::text) AND (later.billing_reason IS DISTINCT FROM 'manual'::text) AND (later.stripe_created > i.stripe_created))))));
COMMENT ON VIEW billing_unpaid_terms IS 'The invoices of terms that are due and unpaid, whether Stripe tries again to collect them or not';
COMMENT ON COLUMN billing_unpaid_terms.subscription_id IS 'The subscription';
COMMENT ON COLUMN billing_unpaid_terms.object_id IS 'sub_...';
COMMENT ON COLUMN billing_unpaid_terms.since IS 'When it was due, else when it was finalized';
COMMENT ON COLUMN billing_unpaid_terms.detail IS 'The invoice and what remains of it';
COMMENT ON COLUMN billing_unpaid_terms.next_payment_attempt IS 'When Stripe tries again; null: not automatically';

CREATE TABLE billing_usage_reports (
    event_id text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    read_at timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    last_error text,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    dropped bigint,
    named bigint,
    detail text,
    settled_at timestamp with time zone,
    settled_by text,
    CONSTRAINT billing_usage_reports_check CHECK ((num_nonnulls(read_at, dropped, named, detail) = ANY (ARRAY[0, 4]))),
    CONSTRAINT billing_usage_reports_check1 CHECK (((settled_at IS NULL) = (settled_by IS NULL))),
    CONSTRAINT billing_usage_reports_failures_check CHECK ((failures >= 0))
);
COMMENT ON TABLE billing_usage_reports IS 'Reports of Stripe, by thin events, of meter events that it took and does not count';
COMMENT ON COLUMN billing_usage_reports.event_id IS 'The thin event';
COMMENT ON COLUMN billing_usage_reports.received_at IS 'When it came';
COMMENT ON COLUMN billing_usage_reports.read_at IS 'When Stripe said what it reports; null: not yet';
COMMENT ON COLUMN billing_usage_reports.failures IS 'Times in a row that Stripe did not say';
COMMENT ON COLUMN billing_usage_reports.last_error IS 'Why, the latest time';
COMMENT ON COLUMN billing_usage_reports.next_attempt_at IS 'When it is asked; a claim moves it on';
COMMENT ON COLUMN billing_usage_reports.dropped IS 'How many meter events it is about';
COMMENT ON COLUMN billing_usage_reports.named IS 'How many of them it names that are ours: Stripe gives samples';
COMMENT ON COLUMN billing_usage_reports.detail IS 'What is wrong with them';
COMMENT ON COLUMN billing_usage_reports.settled_at IS 'When an operator had dealt with those that are not named; null: it is trouble';
COMMENT ON COLUMN billing_usage_reports.settled_by IS 'Who had';

CREATE TABLE checkout_sessions (
    subscription_id uuid NOT NULL,
    attempt integer NOT NULL,
    stripe_session_id text,
    stripe_customer_id text,
    livemode boolean NOT NULL,
    params jsonb NOT NULL,
    url text,
    status text NOT NULL,
    payment_status text,
    recovery_url text,
    recovered_from text,
    stripe_subscription_id text,
    expires_at timestamp with time zone,
    last_error text,
    stripe_as_of_since timestamp with time zone,
    stripe_as_of timestamp with time zone,
    stripe_event_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT checkout_sessions_attempt_check CHECK ((attempt > 0)),
    CONSTRAINT checkout_sessions_check CHECK (((status = ANY (ARRAY['creating'::text, 'failed'::text])) OR (stripe_session_id IS NOT NULL))),
    CONSTRAINT checkout_sessions_check1 CHECK ((stripe_as_of_since <= stripe_as_of)),
    CONSTRAINT checkout_sessions_payment_status_check CHECK ((payment_status = ANY (ARRAY['paid'::text, 'unpaid'::text, 'no_payment_required'::text]))),
    CONSTRAINT checkout_sessions_status_check CHECK ((status = ANY (ARRAY['creating'::text, 'open'::text, 'complete'::text, 'expired'::text, 'failed'::text])))
);
COMMENT ON TABLE checkout_sessions IS 'The Checkout sessions of an order: one per attempt, each with the parameters sent under its idempotency key';
COMMENT ON COLUMN checkout_sessions.subscription_id IS 'The order';
COMMENT ON COLUMN checkout_sessions.attempt IS 'Grows only after a definite failure, or when the buyer returns through a recovery link';
COMMENT ON COLUMN checkout_sessions.stripe_session_id IS 'cs_...; null while it is being created';
COMMENT ON COLUMN checkout_sessions.stripe_customer_id IS 'cus_... made for this order';
COMMENT ON COLUMN checkout_sessions.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN checkout_sessions.params IS 'What is sent to Stripe, byte for byte the same in every retry of the attempt';
COMMENT ON COLUMN checkout_sessions.url IS 'Payment page';
COMMENT ON COLUMN checkout_sessions.status IS 'creating: the request to Stripe is under way; open, complete, expired: Stripe''s status; failed: see last_error';
COMMENT ON COLUMN checkout_sessions.payment_status IS 'Stripe''s: paid, unpaid or no_payment_required';
COMMENT ON COLUMN checkout_sessions.recovery_url IS 'Where the buyer can resume the order after the session has expired';
COMMENT ON COLUMN checkout_sessions.recovered_from IS 'The expired session whose recovery link led to this one';
COMMENT ON COLUMN checkout_sessions.stripe_subscription_id IS 'sub_... that its payment started; null: not paid';
COMMENT ON COLUMN checkout_sessions.expires_at IS 'When Stripe closes the page';
COMMENT ON COLUMN checkout_sessions.last_error IS 'Why it failed';
COMMENT ON COLUMN checkout_sessions.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN checkout_sessions.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock; null: not mirrored yet';
COMMENT ON COLUMN checkout_sessions.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN checkout_sessions.created_at IS 'When this row was created';
COMMENT ON COLUMN checkout_sessions.updated_at IS 'When this row was last changed';

CREATE TABLE orders (
    subscription_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    vouched boolean DEFAULT false NOT NULL,
    person_hash bytea,
    coupon_code text,
    limited boolean DEFAULT false NOT NULL,
    browser_id uuid,
    left_open uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    superseded_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON TABLE orders IS 'What a buyer ordered, to tell a repeated order from a changed one';
COMMENT ON COLUMN orders.subscription_id IS 'The provisional subscription that was made for it';
COMMENT ON COLUMN orders.customer_id IS 'The buyer';
COMMENT ON COLUMN orders.fingerprint IS 'SHA-256 of the canonical order';
COMMENT ON COLUMN orders.vouched IS 'mPanel''s backend vouches for the buyer: the order runs on their own Stripe customer';
COMMENT ON COLUMN orders.person_hash IS 'HMAC-SHA256 of the mailbox that the buyer''s e-mail address leads to: two addresses of one mailbox are one person';
COMMENT ON COLUMN orders.coupon_code IS 'The coupon that it has; null: none';
COMMENT ON COLUMN orders.limited IS 'Its plan or coupon is sold a limited number of times: as long as its page is open, the same order leads to that page';
COMMENT ON COLUMN orders.browser_id IS 'The browser that placed it, by our cookie: it alone may replace the order. Null: placed by mPanel''s backend, or by several browsers';
COMMENT ON COLUMN orders.left_open IS 'Unpaid orders of the last minutes at the same address, from other browsers, that could still be paid when it was placed';
COMMENT ON COLUMN orders.superseded_at IS 'When the buyer ordered something else instead; null: the order stands';
COMMENT ON COLUMN orders.created_at IS 'When it was placed; a repeat is recognised for some minutes';

CREATE TABLE stripe_customers (
    id text NOT NULL,
    customer_id uuid,
    livemode boolean NOT NULL,
    email text,
    name text,
    deleted boolean DEFAULT false NOT NULL,
    stripe_as_of_since timestamp with time zone,
    stripe_as_of timestamp with time zone,
    stripe_event_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stripe_customers_check CHECK ((stripe_as_of_since <= stripe_as_of))
);
COMMENT ON TABLE stripe_customers IS 'Every Stripe customer seen so far and its customer record: an order by an unverified buyer runs on a new one';
COMMENT ON COLUMN stripe_customers.id IS 'cus_...';
COMMENT ON COLUMN stripe_customers.customer_id IS 'Null until an order or a subscription links it';
COMMENT ON COLUMN stripe_customers.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_customers.email IS 'As Stripe has it';
COMMENT ON COLUMN stripe_customers.name IS 'As Stripe has it';
COMMENT ON COLUMN stripe_customers.deleted IS 'Deleted at Stripe';
COMMENT ON COLUMN stripe_customers.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_customers.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe; null: only the id is known';
COMMENT ON COLUMN stripe_customers.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_customers.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_customers.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_events (
    id text NOT NULL,
    type text NOT NULL,
    api_version text,
    created timestamp with time zone,
    livemode boolean NOT NULL,
    object_id text,
    payload jsonb,
    status text NOT NULL,
    reason text,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    next_attempt_at timestamp with time zone,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    applied_at timestamp with time zone,
    CONSTRAINT stripe_events_check CHECK (((status <> 'failed'::text) OR (last_error IS NOT NULL))),
    CONSTRAINT stripe_events_check1 CHECK (((status <> ALL ('{applied,stale}'::text[])) OR (applied_at IS NOT NULL))),
    CONSTRAINT stripe_events_payload_check CHECK (((payload IS NOT NULL) OR (status = ANY ('{applied,stale,ignored}'::text[])))),
    CONSTRAINT stripe_events_status_check CHECK ((status = ANY ('{received,applied,stale,ignored,failed}'::text[])))
)
WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');
COMMENT ON TABLE stripe_events IS 'The inbox: every event that we acknowledged to Stripe';
COMMENT ON COLUMN stripe_events.id IS 'evt_...; takes effect at most once';
COMMENT ON COLUMN stripe_events.type IS 'invoice.paid, customer.subscription.updated, ...';
COMMENT ON COLUMN stripe_events.api_version IS 'Label of the payload; its shape is recognised by its keys';
COMMENT ON COLUMN stripe_events.created IS 'By Stripe''s clock, whole seconds';
COMMENT ON COLUMN stripe_events.livemode IS 'Mode of Stripe that it came from';
COMMENT ON COLUMN stripe_events.object_id IS 'Id of the object that the event is about';
COMMENT ON COLUMN stripe_events.payload IS 'As Stripe sent it; null: pruned by age';
COMMENT ON COLUMN stripe_events.status IS 'received: not applied yet; applied; stale: older than the mirror; ignored: see reason; failed: see last_error';
COMMENT ON COLUMN stripe_events.reason IS 'Why it was ignored, or what is still requested from Stripe';
COMMENT ON COLUMN stripe_events.attempts IS 'How often it was applied or tried';
COMMENT ON COLUMN stripe_events.last_error IS 'Why it failed: a sentence, then the traceback unless it cannot be read';
COMMENT ON COLUMN stripe_events.next_attempt_at IS 'When the sweep retries it';
COMMENT ON COLUMN stripe_events.received_at IS 'When it was committed here';
COMMENT ON COLUMN stripe_events.applied_at IS 'When it was applied, or found stale';

CREATE TABLE stripe_fraud_warnings (
    stripe_fraud_warning_id text NOT NULL,
    livemode boolean NOT NULL,
    stripe_charge_id text NOT NULL,
    stripe_payment_intent_id text,
    fraud_type text NOT NULL,
    actionable boolean NOT NULL,
    stripe_created timestamp with time zone NOT NULL,
    stripe_as_of_since timestamp with time zone NOT NULL,
    stripe_as_of timestamp with time zone NOT NULL,
    stripe_event_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stripe_fraud_warnings_check CHECK ((stripe_as_of_since <= stripe_as_of))
);
COMMENT ON TABLE stripe_fraud_warnings IS 'Early fraud warnings: a bank reports a charge as fraud, before anyone disputes it';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_fraud_warning_id IS 'issfr_...';
COMMENT ON COLUMN stripe_fraud_warnings.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_charge_id IS 'ch_... that is reported';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_payment_intent_id IS 'pi_... of the charge; null: none';
COMMENT ON COLUMN stripe_fraud_warnings.fraud_type IS 'The bank''s: made_with_stolen_card, ...';
COMMENT ON COLUMN stripe_fraud_warnings.actionable IS 'Whether a refund can still avoid a dispute';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_fraud_warnings.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_fraud_warnings.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_refetches (
    object_id text NOT NULL,
    object_type text NOT NULL,
    reason text NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    leased_until timestamp with time zone,
    tied_at timestamp with time zone,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stripe_refetches_object_type_check CHECK ((object_type = ANY (ARRAY['subscription'::text, 'invoice'::text, 'checkout.session'::text, 'customer'::text, 'invoice_payment'::text, 'refund'::text, 'charge'::text, 'credit_note'::text, 'dispute'::text, 'radar.early_fraud_warning'::text, 'tax_id'::text, 'tax_rate'::text])))
);
COMMENT ON TABLE stripe_refetches IS 'Objects to fetch from Stripe, because their events do not decide their state; a row is deleted when the fetched object is applied';
COMMENT ON COLUMN stripe_refetches.object_id IS 'Id at Stripe';
COMMENT ON COLUMN stripe_refetches.object_type IS 'Stripe''s object type';
COMMENT ON COLUMN stripe_refetches.reason IS 'Why it is fetched; awaited: only if its event does not arrive first';
COMMENT ON COLUMN stripe_refetches.version IS 'Grows with each request: a fetch fulfils only the requests made before it began';
COMMENT ON COLUMN stripe_refetches.attempts IS 'Tries since the latest request';
COMMENT ON COLUMN stripe_refetches.last_error IS 'Why the latest try failed';
COMMENT ON COLUMN stripe_refetches.leased_until IS 'Until then only the worker with the lease fetches the object';
COMMENT ON COLUMN stripe_refetches.tied_at IS 'Latest second that snapshots of undecided order may be of: not fetched once the row is of a later one; null: in any case';
COMMENT ON COLUMN stripe_refetches.next_attempt_at IS 'When the sweep fetches it, unless a job was faster';
COMMENT ON COLUMN stripe_refetches.requested_at IS 'When it was first requested';

CREATE TABLE stripe_tax_ids (
    stripe_tax_id_id text NOT NULL,
    livemode boolean NOT NULL,
    stripe_customer_id text NOT NULL,
    type text NOT NULL,
    value text,
    country text,
    verification text,
    verified_name text,
    verified_address text,
    deleted boolean NOT NULL,
    stripe_created timestamp with time zone NOT NULL,
    stripe_as_of_since timestamp with time zone NOT NULL,
    stripe_as_of timestamp with time zone NOT NULL,
    stripe_event_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stripe_tax_ids_check CHECK ((stripe_as_of_since <= stripe_as_of)),
    CONSTRAINT stripe_tax_ids_verification_check CHECK ((verification = ANY ('{pending,verified,unverified,unavailable}'::text[])))
);
COMMENT ON TABLE stripe_tax_ids IS 'Tax ids of Stripe''s customers, with what became of their verification';
COMMENT ON COLUMN stripe_tax_ids.stripe_tax_id_id IS 'txi_...';
COMMENT ON COLUMN stripe_tax_ids.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_tax_ids.stripe_customer_id IS 'cus_... whose it is';
COMMENT ON COLUMN stripe_tax_ids.type IS 'Stripe''s: eu_vat, gb_vat, us_ein, ...';
COMMENT ON COLUMN stripe_tax_ids.value IS 'The id itself; null: erased';
COMMENT ON COLUMN stripe_tax_ids.country IS 'ISO 3166; null: not of one country';
COMMENT ON COLUMN stripe_tax_ids.verification IS 'What a government''s database says of it: pending, verified, unverified, unavailable; null: none has such ids';
COMMENT ON COLUMN stripe_tax_ids.verified_name IS 'Whose it is by that database; null: not said';
COMMENT ON COLUMN stripe_tax_ids.verified_address IS 'Their address by that database; null: not said';
COMMENT ON COLUMN stripe_tax_ids.deleted IS 'Whether the customer has it no more';
COMMENT ON COLUMN stripe_tax_ids.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_tax_ids.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_tax_ids.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_tax_ids.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_tax_ids.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_tax_ids.updated_at IS 'When this row was last changed';

CREATE TABLE tenants (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name character varying(255) NOT NULL,
    domain character varying(255) NOT NULL,
    status character varying(50) DEFAULT 'active'::character varying,
    settings jsonb DEFAULT '{}'::jsonb,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    billing_subscription_id uuid,
    billing_former_domain text
);
COMMENT ON TABLE tenants IS 'Hosting tenants: one per subscription, under its domain';
COMMENT ON COLUMN tenants.billing_subscription_id IS 'The subscription that this tenant was created for; unique: a subscription has at most one tenant';
COMMENT ON COLUMN tenants.billing_former_domain IS 'The domain that it had until its services were terminated; null: it still has its domain';

CREATE VIEW billing_trouble AS
 SELECT 'not_provisioned'::text AS trouble,
    s.id AS subscription_id,
    s.stripe_subscription_id AS object_id,
    w.created_at AS since,
    COALESCE(w.last_error, 'paid, and its services are not ready yet'::text) AS detail
   FROM (subscriptions s
     JOIN provisioning_work w ON ((w.subscription_id = s.id)))
  WHERE ((s.billing_provider = 'stripe'::text) AND ((s.status)::text = 'pending'::text) AND (w.created_at < (now() - '00:05:00'::interval)))
UNION ALL
 SELECT 'provisioning_failed'::text AS trouble,
    t.subscription_id,
    t.product_type AS object_id,
    t.updated_at AS since,
    t.last_error AS detail
   FROM tenant_services t
  WHERE ((t.last_error IS NOT NULL) AND ((t.stopped IS NOT NULL) OR (t.attempts >= 5)))
UNION ALL
 SELECT 'service_missing'::text AS trouble,
    doubtful.subscription_id,
    s.stripe_subscription_id AS object_id,
    w.updated_at AS since,
    ((('Stripe calls it '::text || s.stripe_status) || ' and it is paid, but not active: '::text) || missing.product_types) AS detail
   FROM (((( SELECT undone.subscription_id
           FROM provisioning_work undone
          WHERE ((undone.version > undone.done_version) IS TRUE)
        UNION
         SELECT idle.subscription_id
           FROM tenant_services idle
          WHERE (idle.actual = ANY (ARRAY['absent'::text, 'suspended'::text]))
        UNION
         SELECT homeless.id
           FROM subscriptions homeless
          WHERE ((homeless.tenant_id IS NULL) AND (homeless.stripe_status = ANY (ARRAY['trialing'::text, 'active'::text])))) doubtful
     CROSS JOIN LATERAL ( SELECT paid.stripe_subscription_id,
            paid.stripe_status
           FROM subscriptions paid
          WHERE ((paid.id = doubtful.subscription_id) AND (paid.stripe_status = ANY (ARRAY['trialing'::text, 'active'::text])) AND paid.initial_payment_settled AND (paid.collection_paused IS NOT TRUE) AND ((paid.status)::text <> 'pending'::text))
         OFFSET 0) s)
     CROSS JOIN LATERAL ( SELECT at_rest.updated_at,
            (((at_rest.inputs ->> 'disputedSince'::text) IS NOT NULL) AND (at_rest.done_version >= at_rest.version)) AS is_decided_on_dispute
           FROM provisioning_work at_rest
          WHERE ((at_rest.subscription_id = doubtful.subscription_id) AND (at_rest.updated_at <= (now() - '00:15:00'::interval)))
         OFFSET 0) w)
     CROSS JOIN LATERAL ( SELECT string_agg(DISTINCT given.product_type, ', '::text ORDER BY given.product_type) AS product_types
           FROM ((((subscription_items i
             LEFT JOIN prices p ON ((p.id = i.price_id)))
             JOIN products product ON ((product.id = COALESCE(p.product_id, ( SELECT sold.id
                   FROM products sold
                  WHERE ((sold.stripe_product_id = i.stripe_product_id) AND (sold.code IS NOT NULL)))))))
             CROSS JOIN LATERAL unnest(product.product_types) given(product_type))
             LEFT JOIN tenant_services v ON (((v.subscription_id = i.subscription_id) AND (v.product_type = given.product_type))))
          WHERE ((i.subscription_id = doubtful.subscription_id) AND (i.quantity IS DISTINCT FROM 0) AND (v.actual IS DISTINCT FROM 'active'::text) AND (v.stopped IS DISTINCT FROM 'skipped'::text) AND (v.suspended_by_service IS NULL) AND (NOT (w.is_decided_on_dispute AND (v.desired = 'suspended'::text))))) missing)
  WHERE ((missing.product_types IS NOT NULL) AND (NOT (EXISTS ( SELECT 1
           FROM provisioning_holds h
          WHERE ((h.subscription_id = doubtful.subscription_id) AND (h.lifted_at IS NULL))))) AND (NOT (EXISTS ( SELECT 1
           FROM billing_pauses p
          WHERE ((p.subscription_id = doubtful.subscription_id) AND (p.begun_at IS NOT NULL) AND (p.ended_at IS NULL))))) AND (NOT (EXISTS ( SELECT 1
           FROM billing_usage_limits u
          WHERE ((u.subscription_id = doubtful.subscription_id) AND u.suspends)))) AND (NOT (EXISTS ( SELECT 1
           FROM tenant_services failed
          WHERE ((failed.subscription_id = doubtful.subscription_id) AND (failed.last_error IS NOT NULL))))))
UNION ALL
 SELECT 'active_after_end'::text AS trouble,
    doubtful.subscription_id,
    v.product_type AS object_id,
    w.updated_at AS since,
    ((((('Stripe calls it '::text || s.stripe_status) || ', and its account '::text) || v.external_ref) || ' is still '::text) || v.actual) AS detail
   FROM (((( SELECT undone.subscription_id
           FROM provisioning_work undone
          WHERE ((undone.version > undone.done_version) IS TRUE)
        UNION
         SELECT late.subscription_id
           FROM provisioning_work late
          WHERE (late.wake_at <= (now() - '1 day'::interval))
        UNION
         SELECT unsuspended.subscription_id
           FROM tenant_services unsuspended
          WHERE ((unsuspended.desired = 'suspended'::text) AND (unsuspended.actual = 'active'::text))
        UNION
         SELECT unterminated.subscription_id
           FROM tenant_services unterminated
          WHERE ((unterminated.desired = 'terminated'::text) AND (unterminated.actual = ANY (ARRAY['active'::text, 'suspended'::text])))) doubtful
     CROSS JOIN LATERAL ( SELECT ended.stripe_status
           FROM subscriptions ended
          WHERE ((ended.id = doubtful.subscription_id) AND (ended.stripe_status = ANY (ARRAY['canceled'::text, 'incomplete_expired'::text])))
         OFFSET 0) s)
     CROSS JOIN LATERAL ( SELECT at_rest.updated_at,
            at_rest.decided_until
           FROM provisioning_work at_rest
          WHERE ((at_rest.subscription_id = doubtful.subscription_id) AND (at_rest.updated_at <= (now() - '00:15:00'::interval)))
         OFFSET 0) w)
     JOIN tenant_services v ON (((v.subscription_id = doubtful.subscription_id) AND ((v.actual = 'active'::text) OR ((v.actual = 'suspended'::text) AND ((v.desired = 'terminated'::text) OR (w.decided_until <= (now() - '1 day'::interval))))) AND (v.stopped IS DISTINCT FROM 'skipped'::text) AND (v.last_error IS NULL))))
UNION ALL
 SELECT 'work_failed'::text AS trouble,
    w.subscription_id,
    NULL::text AS object_id,
    w.updated_at AS since,
    w.last_error AS detail
   FROM provisioning_work w
  WHERE ((w.last_error IS NOT NULL) AND (NOT ((w.trouble IS NOT NULL) AND (EXISTS ( SELECT 1
           FROM ((subscriptions s
             JOIN tenants t ON (((t.domain)::text = (s.metadata ->> 'domainValue'::text))))
             JOIN subscriptions first ON (((first.id = t.billing_subscription_id) AND (first.id <> s.id) AND (first.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])))))
          WHERE ((s.id = w.subscription_id) AND (s.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text]))))))) AND ((w.trouble IS NOT NULL) OR (w.last_error ~~ '%; charges: %'::text) OR (NOT (EXISTS ( SELECT 1
           FROM tenant_services v
          WHERE ((v.subscription_id = w.subscription_id) AND starts_with(w.last_error, (v.product_type || ': '::text))))))))
UNION ALL
 SELECT 'domain_stuck'::text AS trouble,
    d.subscription_id,
    d.name AS object_id,
    d.updated_at AS since,
    d.last_error AS detail
   FROM billing_domains d
  WHERE ((d.driver IS NOT NULL) AND (d.last_error IS NOT NULL) AND (d.state <> ALL (ARRAY['failed'::text, 'released'::text, 'transferred_out'::text])) AND ((d.needs = '{}'::text[]) OR (d.stopped_at IS NOT NULL)) AND ((d.stopped_at IS NOT NULL) OR (d.attempts >= 5)))
UNION ALL
 SELECT 'domain_needs'::text AS trouble,
    d.subscription_id,
    d.name AS object_id,
    d.updated_at AS since,
    ('the registrar needs: '::text || array_to_string(d.needs, ', '::text)) AS detail
   FROM billing_domains d
  WHERE ((d.driver IS NOT NULL) AND (d.needs <> '{}'::text[]) AND (d.stopped_at IS NULL) AND (d.state = ANY (ARRAY['paid'::text, 'registering'::text, 'transferring'::text])))
UNION ALL
 SELECT 'domain_failed'::text AS trouble,
    d.subscription_id,
    d.name AS object_id,
    d.updated_at AS since,
    d.last_error AS detail
   FROM billing_domains d
  WHERE ((d.driver IS NOT NULL) AND (d.last_error IS NOT NULL) AND (d.state = 'failed'::text) AND (d.given_back_at IS NULL) AND ((d.refund_error IS NULL) OR ((d.next_refund_at IS NOT NULL) AND (d.refund_attempts < 5))))
UNION ALL
 SELECT 'domain_not_refunded'::text AS trouble,
    d.subscription_id,
    d.name AS object_id,
    d.updated_at AS since,
    (COALESCE((d.last_error || '; not refunded: '::text), 'it could not be obtained; not refunded: '::text) || d.refund_error) AS detail
   FROM billing_domains d
  WHERE ((d.state = 'failed'::text) AND (d.given_back_at IS NULL) AND (d.refund_error IS NOT NULL) AND ((d.next_refund_at IS NULL) OR (d.refund_attempts >= 5)))
UNION ALL
 SELECT 'domain_lost'::text AS trouble,
    d.subscription_id,
    d.name AS object_id,
    d.updated_at AS since,
    d.last_error AS detail
   FROM billing_domains d
  WHERE ((d.driver IS NOT NULL) AND (d.last_error IS NOT NULL) AND (d.state = 'transferred_out'::text))
UNION ALL
 SELECT 'domain_unproven'::text AS trouble,
    d.subscription_id,
    d.name AS object_id,
    p.expires_at AS since,
    COALESCE(p.last_error, 'nobody has looked for the proof'::text) AS detail
   FROM (billing_domain_proofs p
     JOIN billing_domains d ON ((d.id = p.domain_id)))
  WHERE ((p.token IS NOT NULL) AND (p.check_at IS NULL))
UNION ALL
 SELECT 'suspended_by_service'::text AS trouble,
    t.subscription_id,
    t.product_type AS object_id,
    t.updated_at AS since,
    ((('the service itself has suspended the account '::text || t.external_ref) || ': '::text) || t.suspended_by_service) AS detail
   FROM tenant_services t
  WHERE (t.suspended_by_service IS NOT NULL)
UNION ALL
 SELECT 'row_deleted'::text AS trouble,
    d.subscription_id,
    d.stripe_subscription_id AS object_id,
    d.deleted_at AS since,
    (('its row was deleted here; at Stripe it is '::text || COALESCE(d.stripe_status, 'unpaid'::text)) || COALESCE(('; accounts: '::text || accounts.left_behind), ''::text)) AS detail
   FROM (billing_deleted_subscriptions d
     CROSS JOIN LATERAL ( SELECT string_agg((a.value ->> 'product_type'::text), ', '::text ORDER BY (a.value ->> 'product_type'::text)) AS left_behind
           FROM jsonb_array_elements(d.services) a(value)
          WHERE ((a.value ->> 'actual'::text) = ANY (ARRAY['active'::text, 'suspended'::text]))) accounts)
  WHERE ((d.settled_at IS NULL) AND (d.stripe_subscription_id IS NOT NULL) AND ((d.stripe_status IS NULL) OR (d.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])) OR (accounts.left_behind IS NOT NULL)))
UNION ALL
 SELECT 'not_adopted'::text AS trouble,
    a.subscription_id,
    s.stripe_subscription_id AS object_id,
    a.adopted_at AS since,
    ('brought back from Stripe, but '::text || a.problem) AS detail
   FROM (billing_adoptions a
     JOIN subscriptions s ON ((s.id = a.subscription_id)))
  WHERE (a.problem IS NOT NULL)
UNION ALL
 SELECT 'paid_twice'::text AS trouble,
    w.subscription_id,
    first.stripe_subscription_id AS object_id,
    w.updated_at AS since,
    w.last_error AS detail
   FROM (((provisioning_work w
     JOIN subscriptions s ON (((s.id = w.subscription_id) AND (s.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])))))
     JOIN tenants t ON (((t.domain)::text = (s.metadata ->> 'domainValue'::text))))
     JOIN subscriptions first ON (((first.id = t.billing_subscription_id) AND (first.id <> s.id) AND (first.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])))))
  WHERE ((w.last_error IS NOT NULL) AND (w.trouble IS NOT NULL))
UNION ALL
 SELECT 'paid_twice'::text AS trouble,
    first.id AS subscription_id,
    second.stripe_subscription_id AS object_id,
    paid.updated_at AS since,
    ('its order was paid again, through the session '::text || paid.stripe_session_id) AS detail
   FROM (((( SELECT DISTINCT checkout_sessions.subscription_id
           FROM checkout_sessions
          WHERE ((checkout_sessions.status = 'complete'::text) AND (checkout_sessions.attempt > 1))) again
     JOIN subscriptions first ON (((first.id = again.subscription_id) AND (first.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])))))
     JOIN checkout_sessions paid ON (((paid.subscription_id = first.id) AND (paid.stripe_subscription_id <> first.stripe_subscription_id))))
     JOIN subscriptions second ON (((second.stripe_subscription_id = paid.stripe_subscription_id) AND (second.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])))))
UNION ALL
 SELECT 'paid_twice'::text AS trouble,
    s.id AS subscription_id,
    s.stripe_subscription_id AS object_id,
    o.superseded_at AS since,
    'it was paid although the buyer had ordered something else instead'::text AS detail
   FROM (orders o
     JOIN subscriptions s ON (((s.id = o.subscription_id) AND (s.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])))))
  WHERE (o.superseded_at IS NOT NULL)
UNION ALL
 SELECT 'paid_twice'::text AS trouble,
    s.id AS subscription_id,
    first.stripe_subscription_id AS object_id,
    o.created_at AS since,
    'it was paid, and so was an order that was placed minutes before at the same address'::text AS detail
   FROM (((orders o
     JOIN subscriptions s ON (((s.id = o.subscription_id) AND (s.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])))))
     CROSS JOIN LATERAL unnest(o.left_open) before(subscription_id))
     JOIN subscriptions first ON (((first.id = before.subscription_id) AND (first.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])))))
  WHERE (o.left_open <> '{}'::uuid[])
UNION ALL
 SELECT 'trial_twice'::text AS trouble,
    later.id AS subscription_id,
    earlier.stripe_subscription_id AS object_id,
    (later.created_at AT TIME ZONE 'UTC'::text) AS since,
    (('on trial for '::text || product.code) || ', of which the customer had a trial before'::text) AS detail
   FROM ((subscriptions later
     CROSS JOIN LATERAL ( SELECT theirs.stripe_subscription_id
           FROM subscriptions theirs
          WHERE ((theirs.customer_id = later.customer_id) AND (theirs.product_id = later.product_id) AND (theirs.billing_provider = 'stripe'::text) AND (theirs.trial_end IS NOT NULL) AND (theirs.stripe_status IS NOT NULL) AND (ROW(theirs.created_at, theirs.id) < ROW(later.created_at, later.id)))
         OFFSET 0) earlier)
     JOIN products product ON ((product.id = later.product_id)))
  WHERE ((later.stripe_status = 'trialing'::text) AND (NOT (EXISTS ( SELECT 1
           FROM billing_trials recorded
          WHERE (recorded.subscription_id = later.id)))))
UNION ALL
 SELECT 'trial_twice'::text AS trouble,
    trial.subscription_id,
    earlier.stripe_subscription_id AS object_id,
    trial.recorded_at AS since,
    (((('on trial for '::text || product.code) || ', of which the same '::text) ||
        CASE trial.matched_by
            WHEN 'address'::text THEN 'mailbox'::text
            ELSE trial.matched_by
        END) || ' had a trial before'::text) AS detail
   FROM (((billing_trials trial
     JOIN subscriptions later ON (((later.id = trial.subscription_id) AND (later.stripe_status = 'trialing'::text))))
     JOIN products product ON ((product.id = trial.product_id)))
     LEFT JOIN subscriptions earlier ON ((earlier.id = trial.earlier_subscription_id)))
  WHERE (trial.earlier_subscription_id IS NOT NULL)
UNION ALL
 SELECT 'foreign_schedule'::text AS trouble,
    s.id AS subscription_id,
    s.stripe_schedule_id AS object_id,
    s.stripe_as_of AS since,
    'the schedule was not made here, and changes the subscription at Stripe'::text AS detail
   FROM subscriptions s
  WHERE ((s.stripe_schedule_id IS NOT NULL) AND (s.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])) AND (NOT (EXISTS ( SELECT 1
           FROM billing_planned_changes planned
          WHERE (planned.stripe_schedule_id = s.stripe_schedule_id)))))
UNION ALL
 SELECT 'item_unplaced'::text AS trouble,
    i.subscription_id,
    i.stripe_subscription_item_id AS object_id,
    i.updated_at AS since,
    (((((('item '::text || i.stripe_subscription_item_id) || ' at price '::text) || COALESCE(i.stripe_price_id, 'unknown'::text)) || ' of product '::text) || COALESCE(i.stripe_product_id, 'unknown'::text)) || ' is not in the catalogue; it gives nothing, and takes nothing away'::text) AS detail
   FROM (subscription_items i
     JOIN subscriptions s ON (((s.id = i.subscription_id) AND (s.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])))))
  WHERE ((i.price_id IS NULL) AND (i.stripe_subscription_item_id IS NOT NULL) AND (NOT (EXISTS ( SELECT 1
           FROM prices p
          WHERE (p.stripe_price_id = i.stripe_price_id)))) AND (NOT (EXISTS ( SELECT 1
           FROM products p
          WHERE ((p.stripe_product_id = i.stripe_product_id) AND (p.code IS NOT NULL))))) AND (NOT (EXISTS ( SELECT 1
           FROM billing_ignored_prices ignored
          WHERE (ignored.stripe_price_id = i.stripe_price_id)))))
UNION ALL
 SELECT 'overdue'::text AS trouble,
    u.subscription_id,
    u.object_id,
    u.since,
    u.detail
   FROM billing_unpaid_terms u
  WHERE ((u.next_payment_attempt IS NULL) OR (u.next_payment_attempt <= (now() - '1 day'::interval)))
UNION ALL
 SELECT 'nothing_owed'::text AS trouble,
    s.id AS subscription_id,
    s.stripe_subscription_id AS object_id,
    w.updated_at AS since,
    ((('Stripe calls it '::text || s.stripe_status) || ', but no invoice of its terms is due and unpaid'::text) || COALESCE((('; the draft '::text || draft.stripe_invoice_id) || ' waits to be collected'::text), ''::text)) AS detail
   FROM ((subscriptions s
     CROSS JOIN LATERAL ( SELECT work.updated_at,
            work.inputs
           FROM provisioning_work work
          WHERE (work.subscription_id = s.id)
         OFFSET 0) w)
     LEFT JOIN LATERAL ( SELECT i.stripe_invoice_id
           FROM invoices i
          WHERE ((i.subscription_id = s.id) AND (i.stripe_status = 'draft'::text) AND (i.billing_reason IS DISTINCT FROM 'manual'::text))
          ORDER BY i.stripe_created DESC
         LIMIT 1) draft ON (true))
  WHERE ((s.stripe_status = ANY (ARRAY['past_due'::text, 'unpaid'::text, 'paused'::text])) AND ((s.stripe_status <> 'paused'::text) OR ((w.inputs ->> 'pausedBy'::text) = 'first_payment_failure'::text)) AND (NOT (EXISTS ( SELECT 1
           FROM provisioning_work owing
          WHERE ((owing.subscription_id = s.id) AND ((owing.inputs ->> 'owedSince'::text) IS NOT NULL))))))
UNION ALL
 SELECT 'paid_after_end'::text AS trouble,
    w.subscription_id,
    late.invoice AS object_id,
    (i.paid_date AT TIME ZONE 'UTC'::text) AS since,
    (((('invoice '::text || late.invoice) || ' was paid after the subscription had ended: '::text) || billing_money_v1(late.amount, late.currency)) || '; refund it, revive the customer, or declare it settled'::text) AS detail
   FROM ((provisioning_work w
     CROSS JOIN LATERAL jsonb_to_recordset((w.inputs -> 'paidAfterEnd'::text)) late(invoice text, amount bigint, currency text))
     JOIN invoices i ON ((i.stripe_invoice_id = late.invoice)))
  WHERE ((w.inputs ->> 'paidAfterEnd'::text) IS NOT NULL)
UNION ALL
 SELECT 'finalization_failed'::text AS trouble,
    i.subscription_id,
    i.stripe_invoice_id AS object_id,
    i.stripe_created AS since,
    ('Stripe cannot finalize it: '::text || i.finalization_error) AS detail
   FROM invoices i
  WHERE ((i.finalized_at IS NULL) AND (i.stripe_invoice_id IS NOT NULL) AND (i.stripe_status = 'draft'::text) AND (i.finalization_error IS NOT NULL))
UNION ALL
 SELECT 'draft_left'::text AS trouble,
    i.subscription_id,
    i.stripe_invoice_id AS object_id,
    i.stripe_created AS since,
    (('a draft of '::text || billing_money_v1(i.amount_due, (i.currency)::text)) ||
        CASE
            WHEN (i.auto_advance IS FALSE) THEN ', which Stripe does not finalize by itself'::text
            ELSE ''::text
        END) AS detail
   FROM (invoices i
     LEFT JOIN subscriptions s ON ((s.id = i.subscription_id)))
  WHERE ((i.finalized_at IS NULL) AND (i.stripe_invoice_id IS NOT NULL) AND (i.stripe_status = 'draft'::text) AND (i.stripe_created <= (now() - '3 days'::interval)) AND (i.finalization_error IS NULL) AND (s.collection_behavior IS DISTINCT FROM 'keep_as_draft'::text) AND (i.auto_advance OR ((i.billing_reason IS DISTINCT FROM 'manual'::text) AND (s.stripe_status = ANY (ARRAY['trialing'::text, 'active'::text, 'past_due'::text])))))
UNION ALL
 SELECT 'invoice_deleted'::text AS trouble,
    i.subscription_id,
    i.stripe_invoice_id AS object_id,
    i.stripe_as_of AS since,
    ('a draft for a term was deleted at Stripe: '::text || billing_money_v1(i.amount_due, (i.currency)::text)) AS detail
   FROM (invoices i
     JOIN subscriptions s ON (((s.id = i.subscription_id) AND (s.stripe_status <> ALL (ARRAY['canceled'::text, 'incomplete_expired'::text])))))
  WHERE ((i.finalized_at IS NULL) AND (i.stripe_invoice_id IS NOT NULL) AND (i.stripe_status = 'deleted'::text) AND (i.billing_reason IS DISTINCT FROM 'manual'::text) AND (NOT (EXISTS ( SELECT 1
           FROM invoices later
          WHERE ((later.subscription_id = i.subscription_id) AND (later.stripe_created > i.stripe_created) AND (later.billing_reason IS DISTINCT FROM 'manual'::text) AND (later.stripe_status = ANY (ARRAY['open'::text, 'paid'::text])))))))
UNION ALL
 SELECT 'debt_unconfirmed'::text AS trouble,
    w.subscription_id,
    s.stripe_subscription_id AS object_id,
    w.debt_unconfirmed_since AS since,
    ('not suspended, because Stripe does not confirm the debt: '::text || w.debt_error) AS detail
   FROM (provisioning_work w
     JOIN subscriptions s ON ((s.id = w.subscription_id)))
  WHERE (w.debt_unconfirmed_since < (now() - '24:00:00'::interval))
UNION ALL
 SELECT 'event_failed'::text AS trouble,
    NULL::uuid AS subscription_id,
    e.id AS object_id,
    e.received_at AS since,
    ((e.type || ': '::text) || COALESCE("left"(split_part(e.last_error, '
'::text, 1), 200), 'not applied yet'::text)) AS detail
   FROM stripe_events e
  WHERE ((e.status = 'failed'::text) OR ((e.status = 'received'::text) AND (e.received_at <= (now() - '00:15:00'::interval))))
UNION ALL
 SELECT 'refetch_failed'::text AS trouble,
    NULL::uuid AS subscription_id,
    r.object_id,
    r.requested_at AS since,
    r.last_error AS detail
   FROM stripe_refetches r
  WHERE ((r.last_error IS NOT NULL) AND ((r.last_error !~~ 'The payment service is temporarily unavailable%'::text) OR (r.requested_at <= (now() - '01:00:00'::interval))))
UNION ALL
 SELECT 'invoice_unlinked'::text AS trouble,
    NULL::uuid AS subscription_id,
    i.stripe_invoice_id AS object_id,
    i.stripe_created AS since,
    (('its subscription '::text || i.stripe_subscription_id) || ' is not mirrored'::text) AS detail
   FROM invoices i
  WHERE ((i.stripe_subscription_id IS NOT NULL) AND (i.subscription_id IS NULL) AND (NOT (EXISTS ( SELECT 1
           FROM billing_deleted_subscriptions d
          WHERE ((d.stripe_subscription_id = i.stripe_subscription_id) AND (d.settled_at IS NULL))))))
UNION ALL
 SELECT 'subscription_unmirrored'::text AS trouble,
    s.id AS subscription_id,
    s.stripe_subscription_id AS object_id,
    (s.created_at AT TIME ZONE 'UTC'::text) AS since,
    'its Checkout session is complete, but no event of the subscription has arrived'::text AS detail
   FROM subscriptions s
  WHERE ((s.billing_provider = 'stripe'::text) AND (s.stripe_subscription_id IS NOT NULL) AND (s.stripe_status IS NULL))
UNION ALL
 SELECT 'request_unfinished'::text AS trouble,
    s.id AS subscription_id,
    (a.id)::text AS object_id,
    u.since,
    ((((a.action || COALESCE((' of '::text || a.target_id), ''::text)) || ' by '::text) || a.actor) || ': it is unknown whether it took effect'::text) AS detail
   FROM ((billing_audit_unsettled u
     JOIN billing_audit_entries a ON ((a.id = u.entry_id)))
     LEFT JOIN subscriptions s ON ((s.id =
        CASE
            WHEN ((a.target_type = 'subscription'::text) AND (a.target_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'::text)) THEN (a.target_id)::uuid
            ELSE NULL::uuid
        END)))
  WHERE ((u.since <= (now() - '00:15:00'::interval)) AND (NOT (EXISTS ( SELECT 1
           FROM billing_changes c
          WHERE ((c.id = ((a.details ->> 'changeId'::text))::uuid) AND (c.state = 'done'::text))))))
UNION ALL
 SELECT 'drift'::text AS trouble,
    s.id AS subscription_id,
    d.object_id,
    d.found_at AS since,
    ((((((d.object_type || ', '::text) || d.field) || ': ours '::text) || COALESCE(d.ours, 'missing'::text)) || ', found '::text) || COALESCE(d.found, 'missing'::text)) AS detail
   FROM ((( SELECT r.id
           FROM billing_reconcile_runs r
          WHERE ((NOT r.dry_run) AND (r.outcome = ANY (ARRAY['clean'::text, 'repaired'::text, 'drift'::text])) AND (r.started_at >= COALESCE(( SELECT max(whole.started_at) AS max
                   FROM billing_reconcile_runs whole
                  WHERE ((NOT whole.dry_run) AND (whole.since_days IS NULL) AND (whole.outcome = ANY (ARRAY['clean'::text, 'repaired'::text, 'drift'::text])))), '-infinity'::timestamp with time zone)))) latest
     JOIN billing_reconcile_drift d ON (((d.run_id = latest.id) AND (NOT d.repaired))))
     LEFT JOIN subscriptions s ON ((s.stripe_subscription_id = d.object_id)))
UNION ALL
 SELECT 'dispute_unanswered'::text AS trouble,
    billed.subscription_id,
    d.stripe_dispute_id AS object_id,
    d.stripe_created AS since,
    ((((((
        CASE
            WHEN (d.status = 'warning_needs_response'::text) THEN 'the bank asks about '::text
            ELSE 'the bank takes back '::text
        END || billing_money_v1(d.amount, d.currency)) || ' ('::text) || d.reason) || '); evidence is accepted until '::text) || to_char((d.evidence_due_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD HH24:MI'::text)) || ' UTC'::text) AS detail
   FROM (stripe_disputes d
     LEFT JOIN LATERAL ( SELECT i.subscription_id
           FROM (invoice_payments p
             JOIN invoices i ON ((i.stripe_invoice_id = p.stripe_invoice_id)))
          WHERE (p.stripe_payment_intent_id = d.stripe_payment_intent_id)
          ORDER BY p.stripe_created
         OFFSET 0
         LIMIT 1) billed ON (true))
  WHERE ((d.status = ANY (ARRAY['needs_response'::text, 'warning_needs_response'::text, 'appeal_needs_response'::text])) AND (d.evidence_due_at > (now() + '3 days'::interval)))
UNION ALL
 SELECT 'dispute_due'::text AS trouble,
    billed.subscription_id,
    d.stripe_dispute_id AS object_id,
    d.stripe_created AS since,
    ((((((
        CASE
            WHEN (d.status = 'warning_needs_response'::text) THEN 'the bank asks about '::text
            ELSE 'the bank takes back '::text
        END || billing_money_v1(d.amount, d.currency)) || ' ('::text) || d.reason) || '); evidence is accepted until '::text) || to_char((d.evidence_due_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD HH24:MI'::text)) || ' UTC'::text) AS detail
   FROM (stripe_disputes d
     LEFT JOIN LATERAL ( SELECT i.subscription_id
           FROM (invoice_payments p
             JOIN invoices i ON ((i.stripe_invoice_id = p.stripe_invoice_id)))
          WHERE (p.stripe_payment_intent_id = d.stripe_payment_intent_id)
          ORDER BY p.stripe_created
         OFFSET 0
         LIMIT 1) billed ON (true))
  WHERE ((d.status = ANY (ARRAY['needs_response'::text, 'warning_needs_response'::text, 'appeal_needs_response'::text])) AND (d.evidence_due_at > now()) AND (d.evidence_due_at <= (now() + '3 days'::interval)))
UNION ALL
 SELECT 'fraud_warning'::text AS trouble,
    billed.subscription_id,
    w.stripe_fraud_warning_id AS object_id,
    w.stripe_created AS since,
    (((('the bank reports '::text || w.stripe_charge_id) || ' as '::text) || w.fraud_type) || ': a refund avoids a dispute'::text) AS detail
   FROM (stripe_fraud_warnings w
     LEFT JOIN LATERAL ( SELECT i.subscription_id
           FROM (invoice_payments p
             JOIN invoices i ON ((i.stripe_invoice_id = p.stripe_invoice_id)))
          WHERE (p.stripe_payment_intent_id = w.stripe_payment_intent_id)
          ORDER BY p.stripe_created
         OFFSET 0
         LIMIT 1) billed ON (true))
  WHERE (w.actionable AND (w.stripe_created > (now() - '30 days'::interval)))
UNION ALL
 SELECT 'tax_id_unverified'::text AS trouble,
    untaxed.subscription_id,
    t.stripe_tax_id_id AS object_id,
    t.stripe_as_of AS since,
    (((((t.type || ' of '::text) || t.stripe_customer_id) || ' is not known to its database, and '::text) || COALESCE(untaxed.stripe_number, untaxed.stripe_invoice_id)) || ' leaves the tax to them'::text) AS detail
   FROM (stripe_tax_ids t
     CROSS JOIN LATERAL ( SELECT i.subscription_id,
            i.stripe_number,
            i.stripe_invoice_id
           FROM (stripe_customers c
             JOIN invoices i ON ((i.customer_id = c.customer_id)))
          WHERE ((c.id = t.stripe_customer_id) AND (i.stripe_invoice_id IS NOT NULL) AND (i.stripe_customer_id = t.stripe_customer_id) AND (i.stripe_status = ANY (ARRAY['open'::text, 'paid'::text])) AND (i.stripe_created > (now() - '90 days'::interval)) AND (i.taxes @> '[{"reason": "reverse_charge"}]'::jsonb))
          ORDER BY i.stripe_created DESC
         OFFSET 0
         LIMIT 1) untaxed)
  WHERE ((t.verification = 'unverified'::text) AND (NOT t.deleted) AND (NOT (EXISTS ( SELECT 1
           FROM stripe_tax_ids other
          WHERE ((other.stripe_customer_id = t.stripe_customer_id) AND (other.verification = 'verified'::text) AND (NOT other.deleted))
         OFFSET 0))))
UNION ALL
 SELECT 'domain_not_renewed'::text AS trouble,
    own.subscription_id,
    own.name AS object_id,
    COALESCE(r.paid_at, r.updated_at) AS since,
    (charged.year ||
        CASE r.state
            WHEN 'paid'::text THEN (' is paid, and the registrar does not have it yet: '::text || COALESCE(own.last_error, 'no answer'::text))
            ELSE (((' is '::text || r.state) || ': '::text) || r.last_error)
        END) AS detail
   FROM (((billing_domain_renewals r
     JOIN billing_domains own ON ((own.id = r.domain_id)))
     LEFT JOIN invoices i ON ((i.stripe_invoice_id = r.stripe_invoice_id)))
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN (r.expires_on IS NULL) THEN 'the first year of a name in place of a lost one'::text
                    ELSE 'a further year'::text
                END AS year) charged)
  WHERE (((r.last_error IS NOT NULL) OR (r.state = 'paid'::text)) AND
        CASE r.state
            WHEN 'paid'::text THEN (r.paid_at < (now() - '1 day'::interval))
            WHEN 'refused'::text THEN (((own.state = 'active'::text) AND (((own.expires_at AT TIME ZONE 'UTC'::text))::date <= (r.expires_on + 300))) OR ((r.given_back_at IS NULL) AND (((i.amount_refunded + i.amount_credited) >= r.amount) IS NOT TRUE)))
            ELSE (r.failures >= 3)
        END)
UNION ALL
 SELECT 'usage_not_billed'::text AS trouble,
    e.subscription_id,
    (e.id)::text AS object_id,
    e.created_at AS since,
    concat(e.value, ' of ', e.meter, ' until ', to_char((e.used_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD HH24:MI'::text), ' UTC: ',
        CASE e.state
            WHEN 'late'::text THEN 'the invoice of that term was final'::text
            ELSE e.last_error
        END) AS detail
   FROM billing_meter_events e
  WHERE ((e.state = ANY ('{late,refused}'::text[])) AND (e.settled_at IS NULL))
UNION ALL
 SELECT 'usage_unsent'::text AS trouble,
    e.subscription_id,
    (e.id)::text AS object_id,
    e.created_at AS since,
    concat(e.value, ' of ', e.meter, ': ', e.last_error) AS detail
   FROM billing_meter_events e
  WHERE ((e.state = 'waiting'::text) AND (e.failures > 0) AND (e.created_at < (now() - '01:00:00'::interval)))
UNION ALL
 SELECT 'usage_dropped'::text AS trouble,
    NULL::uuid AS subscription_id,
    r.event_id AS object_id,
    r.received_at AS since,
        CASE
            WHEN (r.read_at IS NULL) THEN concat('Stripe does not say of what: ', r.last_error)
            ELSE concat((r.dropped - r.named), ' of ', r.dropped, ' meter events, which are not named: ', r.detail)
        END AS detail
   FROM billing_usage_reports r
  WHERE ((r.settled_at IS NULL) AND ((r.read_at IS NULL) OR (r.named < r.dropped)) AND ((r.read_at IS NOT NULL) OR (r.received_at < (now() - '01:00:00'::interval))))
UNION ALL
 SELECT 'receiver_disabled'::text AS trouble,
    NULL::uuid AS subscription_id,
    r.name AS object_id,
    r.disabled_at AS since,
    ((r.url || ': '::text) || r.disabled_reason) AS detail
   FROM billing_receivers r
  WHERE ((r.disabled_at IS NOT NULL) AND (r.failing_since IS NOT NULL))
UNION ALL
 SELECT 'not_delivered'::text AS trouble,
    d.subscription_id,
    d.message_id AS object_id,
    d.tried_at AS since,
    ((((m.type || ' to '::text) || r.name) || ': '::text) || d.last_error) AS detail
   FROM ((billing_deliveries d
     JOIN billing_messages m ON ((m.id = d.message_id)))
     JOIN billing_receivers r ON ((r.id = d.receiver_id)))
  WHERE (d.state = 'given_up'::text)
UNION ALL
 SELECT 'server_left'::text AS trouble,
    NULL::uuid AS subscription_id,
    s.name AS object_id,
    s.left_at AS since,
    (((('PROVISIONING_SERVICES does not name it for '::text || s.product_type) || ' any more, and it has '::text) || load.accounts) || ' accounts'::text) AS detail
   FROM (billing_servers s
     CROSS JOIN LATERAL ( SELECT there.accounts
           FROM billing_server_load there
          WHERE ((there.product_type = s.product_type) AND (there.server = s.name))
         OFFSET 0) load)
  WHERE ((s.left_at IS NOT NULL) AND (load.accounts > 0))
UNION ALL
 SELECT 'server_failing'::text AS trouble,
    NULL::uuid AS subscription_id,
    s.name AS object_id,
    s.failing_since AS since,
    ((((s.failures || ' commands for '::text) || s.product_type) || ' have failed in a row: '::text) || s.last_error) AS detail
   FROM billing_servers s
  WHERE ((s.failures >= 3) AND (s.failing_since < (now() - '00:15:00'::interval)) AND (s.failed_at > (now() - '02:00:00'::interval)) AND (s.left_at IS NULL))
UNION ALL
 SELECT 'move_failed'::text AS trouble,
    m.subscription_id,
    m.product_type AS object_id,
    m.updated_at AS since,
    ((((('to '::text || m.to_server) || ', '::text) || m.state) || ': '::text) || m.last_error) AS detail
   FROM billing_moves m
  WHERE ((m.finished_at IS NULL) AND (m.last_error IS NOT NULL) AND (m.stopped OR (m.begun_at < (now() - '1 day'::interval))))
UNION ALL
 SELECT 'move_waits'::text AS trouble,
    m.subscription_id,
    m.product_type AS object_id,
    m.updated_at AS since,
    (((((((('nobody has said that the data was moved from '::text || m.from_server) || ' ('::text) || COALESCE(v.external_ref, '-'::text)) || ') to '::text) || m.to_server) || ' ('::text) || m.external_ref) || ')'::text) AS detail
   FROM (billing_moves m
     JOIN tenant_services v ON (((v.subscription_id = m.subscription_id) AND (v.product_type = m.product_type))))
  WHERE ((m.finished_at IS NULL) AND (m.state = 'copying'::text) AND (m.confirmed_by IS NULL) AND (m.updated_at < (now() - '3 days'::interval)));
COMMENT ON VIEW billing_trouble IS 'What a person must act on; empty if all is well. What Stripe or time settles is in billing_watch';
COMMENT ON COLUMN billing_trouble.trouble IS 'Its kind; billing_trouble_kinds says what it means and what settles it';
COMMENT ON COLUMN billing_trouble.subscription_id IS 'The subscription concerned; null: none is known';
COMMENT ON COLUMN billing_trouble.object_id IS 'The object concerned: an id at Stripe, a product type, an entry of the audit log, a meter event, a receiver, a message or a server';
COMMENT ON COLUMN billing_trouble.since IS 'When it began';
COMMENT ON COLUMN billing_trouble.detail IS 'Description';

CREATE TABLE customers (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant_id uuid,
    user_id uuid,
    company_name character varying(255),
    address_line1 character varying(255),
    address_line2 character varying(255),
    city character varying(100),
    state character varying(100),
    postal_code character varying(20),
    country character varying(2),
    phone character varying(50),
    tax_id character varying(100),
    currency character varying(3) DEFAULT 'USD'::character varying,
    credit_balance numeric(10,2) DEFAULT 0,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    email text,
    name text,
    stripe_customer_id text,
    stripe_customer_paid_at timestamp with time zone,
    joined_id uuid,
    joined_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb
);
COMMENT ON TABLE customers IS 'Customers';
COMMENT ON COLUMN customers.email IS 'E-mail address as given; compared in lower case. A customer with an account in mPanel is found by users.email instead';
COMMENT ON COLUMN customers.name IS 'Full name';
COMMENT ON COLUMN customers.stripe_customer_id IS 'Their main Stripe customer (cus_...); all of them are in stripe_customers';
COMMENT ON COLUMN customers.stripe_customer_paid_at IS 'When the payment was made that decided on the main Stripe customer; null: an order that mPanel vouches for, or nothing of ours, decided';
COMMENT ON COLUMN customers.joined_id IS 'The record of their account, once its address was verified and everything here moved there; null: it stands for itself';
COMMENT ON COLUMN customers.joined_at IS 'When it joined that record';
COMMENT ON COLUMN customers.metadata IS 'firstSubscriptionId: the order that created this customer';

CREATE VIEW billing_overview AS
 SELECT s.id AS subscription_id,
    (s.created_at AT TIME ZONE 'UTC'::text) AS ordered_at,
    c.email,
    COALESCE(c.name, (c.company_name)::text) AS customer,
    (s.metadata ->> 'planId'::text) AS plan,
    s.billing_cycle,
    COALESCE(net.amount, s.amount) AS amount,
    s.currency,
    s.status,
    s.stripe_status,
    s.trial_end,
    s.current_period_end,
    ((s.cancel_at_period_end IS TRUE) OR (s.cancel_at IS NOT NULL)) AS will_end,
    COALESCE(t.billing_former_domain, (t.domain)::text) AS tenant_domain,
    t.status AS tenant_status,
    ( SELECT string_agg((((v.product_type || '='::text) || v.actual) ||
                CASE
                    WHEN (v.actual = v.desired) THEN ''::text
                    ELSE ('->'::text || v.desired)
                END), ' '::text ORDER BY v.product_type) AS string_agg
           FROM tenant_services v
          WHERE (v.subscription_id = s.id)) AS services,
    ( SELECT concat_ws(', '::text, ((((i.stripe_status || ' '::text) || billing_money_v1(i.amount_paid, (i.currency)::text)) || ' of '::text) || billing_money_v1(i.amount_due, (i.currency)::text)),
                CASE
                    WHEN (i.amount_refunded > 0) THEN ('refunded '::text || billing_money_v1(i.amount_refunded, (i.currency)::text))
                    ELSE NULL::text
                END,
                CASE
                    WHEN (i.amount_credited > 0) THEN ('credited '::text || billing_money_v1(i.amount_credited, (i.currency)::text))
                    ELSE NULL::text
                END,
                CASE
                    WHEN (i.amount_disputed > 0) THEN ('disputed '::text || billing_money_v1(i.amount_disputed, (i.currency)::text))
                    ELSE NULL::text
                END) AS concat_ws
           FROM invoices i
          WHERE (i.subscription_id = s.id)
          ORDER BY i.stripe_created DESC
         LIMIT 1) AS latest_invoice,
    ( SELECT string_agg(DISTINCT b.trouble, ' '::text ORDER BY b.trouble) AS string_agg
           FROM billing_trouble b
          WHERE (b.subscription_id = s.id)) AS trouble,
    net.discounts,
        CASE
            WHEN ((s.stripe_status = ANY (ARRAY['trialing'::text, 'active'::text, 'past_due'::text])) AND (s.collection_paused IS NOT TRUE) AND (s.cancel_at_period_end IS NOT TRUE) AND ((s.cancel_at IS NULL) OR (s.cancel_at > COALESCE(due.ends_at, s.current_period_end)))) THEN COALESCE(planned.amount, net.next_charge, due.subtotal)
            ELSE NULL::bigint
        END AS next_charge,
    s.stripe_subscription_id,
    s.stripe_customer_id,
    planned.change AS planned_change,
    ( SELECT d.said
           FROM billing_dunning_v1(s.id) d(invoice_id, amount_remaining, currency, attempt_count, next_attempt_at, last_reason, said)) AS dunning,
    ( SELECT string_agg(concat_ws(', '::text, (((own.name || ' '::text) || own.state) || COALESCE((' until '::text || ((own.expires_at AT TIME ZONE 'UTC'::text))::date), ''::text)),
                CASE
                    WHEN own.auto_renew THEN (billing_money_v1(own.renewal_price, own.currency) || ' a year'::text)
                    ELSE NULL::text
                END, ( SELECT r.state
                   FROM billing_domain_renewals r
                  WHERE ((r.domain_id = own.id) AND (r.state <> 'renewed'::text) AND (r.expires_on >= (((own.expires_at AT TIME ZONE 'UTC'::text))::date - 300)))
                  ORDER BY r.expires_on DESC
                 LIMIT 1)), '; '::text ORDER BY own.name) AS string_agg
           FROM billing_domains own
          WHERE ((own.subscription_id = s.id) AND (own.held_at IS NOT NULL) AND (own.state <> ALL (ARRAY['released'::text, 'failed'::text])))) AS domains,
    ( SELECT string_agg((own.name || COALESCE((': '::text || proof.last_error), ''::text)), '; '::text ORDER BY own.name) AS string_agg
           FROM (billing_domains own
             JOIN billing_domain_proofs proof ON ((proof.domain_id = own.id)))
          WHERE ((own.subscription_id = s.id) AND (proof.token IS NOT NULL))) AS to_be_proven
   FROM (((((subscriptions s
     LEFT JOIN LATERAL ( SELECT listed.ends_at,
            (sum(listed.amount))::bigint AS subtotal,
            array_agg(listed.id) AS item_ids
           FROM ( SELECT i.id,
                    COALESCE(i.current_period_end, s.current_period_end) AS ends_at,
                    ((COALESCE(coming.unit_amount, i.unit_amount, (0)::bigint))::numeric * (COALESCE(i.quantity, (0)::bigint))::numeric) AS amount
                   FROM ((subscription_items i
                     LEFT JOIN billing_price_changes c_1 ON (((c_1.subscription_id = i.subscription_id) AND (c_1.old_price_id = i.price_id) AND (c_1.made_at IS NULL) AND (c_1.withdrawn_at IS NULL) AND (c_1.effective_at <= i.current_period_end))))
                     LEFT JOIN prices coming ON ((coming.id = c_1.new_price_id)))
                  WHERE (i.subscription_id = s.id)) listed
          GROUP BY listed.ends_at
          ORDER BY listed.ends_at
         LIMIT 1) due ON (true))
     LEFT JOIN LATERAL ( SELECT ((((p.plan_code || ' '::text) || p.billing_cycle) || ' from '::text) || ((p.effective_at AT TIME ZONE 'UTC'::text))::date) AS change,
                CASE
                    WHEN (p.effective_at <= due.ends_at) THEN p.amount
                    ELSE NULL::bigint
                END AS amount
           FROM billing_planned_changes p
          WHERE ((p.stripe_schedule_id = s.stripe_schedule_id) AND (p.planned_at IS NOT NULL) AND (p.effective_at >= s.current_period_end))) planned ON (true))
     LEFT JOIN LATERAL ( SELECT ( SELECT (round(sum(n.amount)))::bigint AS round
                   FROM billing_net_amounts_v1(s.id, due.item_ids, due.ends_at, true, true) n(item_id, amount)) AS next_charge,
            ( SELECT (round(sum(n.amount)))::bigint AS round
                   FROM billing_net_amounts_v1(s.id, ARRAY( SELECT i.id
                           FROM subscription_items i
                          WHERE (i.subscription_id = s.id)), now(), false, true) n(item_id, amount)) AS amount,
            string_agg(((COALESCE(d.coupon_name, d.stripe_coupon_id, d.stripe_discount_id) || COALESCE(((' -'::text || trim_scale(d.percent_off)) || '%'::text), (' -'::text || billing_money_v1(d.amount_off, d.currency)), ''::text)) ||
                CASE
                    WHEN (d.duration = 'once'::text) THEN ' once'::text
                    ELSE COALESCE((' until '::text || ((d.ends_at AT TIME ZONE 'UTC'::text))::date), ''::text)
                END), ', '::text ORDER BY d."position") AS discounts
           FROM subscription_discounts d
          WHERE (d.subscription_id = s.id)
         HAVING (count(*) > 0)) net ON (true))
     LEFT JOIN customers c ON ((c.id = s.customer_id)))
     LEFT JOIN tenants t ON ((t.id = s.tenant_id)))
  WHERE (s.billing_provider = 'stripe'::text);
COMMENT ON VIEW billing_overview IS 'One line per subscription: customer, plan, amount (minor units per term, after discounts), state, tenant, trouble';
COMMENT ON COLUMN billing_overview.subscription_id IS 'Our id';
COMMENT ON COLUMN billing_overview.ordered_at IS 'When the row was created';
COMMENT ON COLUMN billing_overview.email IS 'The customer''s e-mail address';
COMMENT ON COLUMN billing_overview.customer IS 'The customer''s name, else the company''s';
COMMENT ON COLUMN billing_overview.plan IS 'The planId that was ordered; null: made outside our checkout';
COMMENT ON COLUMN billing_overview.billing_cycle IS 'The term';
COMMENT ON COLUMN billing_overview.amount IS 'Minor units of currency per term, after discounts other than those for one invoice; items of different terms each count once';
COMMENT ON COLUMN billing_overview.currency IS 'ISO 4217';
COMMENT ON COLUMN billing_overview.status IS 'mPanel''s status, or provisional or pending';
COMMENT ON COLUMN billing_overview.stripe_status IS 'Stripe''s status; null: not paid yet';
COMMENT ON COLUMN billing_overview.trial_end IS 'End of the free trial';
COMMENT ON COLUMN billing_overview.current_period_end IS 'Paid until';
COMMENT ON COLUMN billing_overview.will_end IS 'Whether it does not renew';
COMMENT ON COLUMN billing_overview.tenant_domain IS 'Domain of the tenant; of an ended one, the domain that it had';
COMMENT ON COLUMN billing_overview.tenant_status IS 'Status of the tenant';
COMMENT ON COLUMN billing_overview.services IS 'The actual state of each product type and, after an arrow, the desired state if it differs';
COMMENT ON COLUMN billing_overview.latest_invoice IS 'Stripe''s status of the latest invoice, what was paid of what was due, and what was refunded, credited or disputed of it';
COMMENT ON COLUMN billing_overview.trouble IS 'Its kinds of trouble in billing_trouble; null: none';
COMMENT ON COLUMN billing_overview.discounts IS 'Its discounts: coupon, what it takes off, until when; null: none';
COMMENT ON COLUMN billing_overview.next_charge IS 'Minor units of currency that the items whose term ends first cost then, after discounts and a planned change; before taxes, one-off charges and the balance. Null: it does not renew';
COMMENT ON COLUMN billing_overview.stripe_subscription_id IS 'sub_...';
COMMENT ON COLUMN billing_overview.stripe_customer_id IS 'cus_...';
COMMENT ON COLUMN billing_overview.planned_change IS 'Plan and term that it changes to at the end of its term, and from when; null: none';
COMMENT ON COLUMN billing_overview.dunning IS 'Where the attempts to collect its oldest unpaid invoice stand: how many failed, why the last one, when the next is; null: none has failed';
COMMENT ON COLUMN billing_overview.domains IS 'Its domains: state, when each expires, what a further year costs if it is charged, and how far the next one is';
COMMENT ON COLUMN billing_overview.to_be_proven IS 'The domain that its buyer has still to prove, and what is missing; null: none';

ALTER TABLE billing_pauses ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME billing_pauses_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE UNLOGGED TABLE billing_reconcile_marks (
    object_id text NOT NULL
);
COMMENT ON TABLE billing_reconcile_marks IS 'What the unfinished run has found at Stripe; our other objects are fetched by id';
COMMENT ON COLUMN billing_reconcile_marks.object_id IS 'Id at Stripe';

CREATE TABLE billing_reconcile_slices (
    run_id uuid NOT NULL,
    step text NOT NULL,
    subject text NOT NULL,
    part smallint NOT NULL,
    created_from bigint,
    created_before bigint,
    cursor_id text,
    cursor_created bigint,
    marked bigint DEFAULT 0 NOT NULL,
    done boolean DEFAULT false NOT NULL,
    CONSTRAINT billing_reconcile_slices_step_check CHECK ((step = ANY (ARRAY['replay'::text, 'compare'::text, 'absent'::text, 'inspect'::text, 'usage'::text])))
);
COMMENT ON TABLE billing_reconcile_slices IS 'The parts of a run and the progress of each: where a stopped run continues';
COMMENT ON COLUMN billing_reconcile_slices.run_id IS 'The run';
COMMENT ON COLUMN billing_reconcile_slices.step IS 'replay: events that the inbox lacks; compare: Stripe''s objects with ours; absent: ours that Stripe lacks; inspect: accounts at the drivers; usage: Stripe''s sums of it';
COMMENT ON COLUMN billing_reconcile_slices.subject IS 'What is processed, such as subscription';
COMMENT ON COLUMN billing_reconcile_slices.part IS 'Number of the period, from the oldest, 0';
COMMENT ON COLUMN billing_reconcile_slices.created_from IS 'Objects created from this Unix time on belong to it; null: from the beginning';
COMMENT ON COLUMN billing_reconcile_slices.created_before IS 'Objects created before this Unix time belong to it; null: no end';
COMMENT ON COLUMN billing_reconcile_slices.cursor_id IS 'The last object processed; null: none yet';
COMMENT ON COLUMN billing_reconcile_slices.cursor_created IS 'Unix time at which it was created, in case it no longer exists';
COMMENT ON COLUMN billing_reconcile_slices.marked IS 'How many of our rows exist at Stripe';
COMMENT ON COLUMN billing_reconcile_slices.done IS 'Processed to the end';

CREATE VIEW billing_redemptions AS
 SELECT redeemed.coupon_code,
    redeemed.redeemed_at,
        CASE redeemed.kind
            WHEN 'order'::text THEN 'order'::text
            WHEN 'take_offer'::text THEN 'offer'::text
            ELSE 'change'::text
        END AS way,
    s.customer_id,
    c.email AS customer_email,
    s.id AS subscription_id,
    s.stripe_subscription_id,
    s.status,
    s.livemode
   FROM ((( SELECT o.subscription_id,
            o.coupon_code,
            o.created_at AS redeemed_at,
            'order'::text AS kind,
            'done'::text AS state
           FROM orders o
        UNION ALL
         SELECT change.subscription_id,
            (change.params ->> 'coupon_code'::text),
            change.attempted_at,
            change.kind,
            change.state
           FROM billing_changes change) redeemed
     JOIN subscriptions s ON ((s.id = redeemed.subscription_id)))
     LEFT JOIN customers c ON ((c.id = s.customer_id)))
  WHERE ((redeemed.coupon_code IS NOT NULL) AND (redeemed.state = 'done'::text) AND (s.billing_provider = 'stripe'::text) AND ((s.status)::text <> ALL ((ARRAY['provisional'::character varying, 'expired'::character varying])::text[])));
COMMENT ON VIEW billing_redemptions IS 'Who has had which coupon, of the catalogue or a promotion code of Stripe; orders that were never paid are left out';
COMMENT ON COLUMN billing_redemptions.coupon_code IS 'The code, in upper case';
COMMENT ON COLUMN billing_redemptions.redeemed_at IS 'When it was ordered with the coupon, or given it';
COMMENT ON COLUMN billing_redemptions.way IS 'order; change: applied to the running subscription; offer: taken instead of a cancellation';
COMMENT ON COLUMN billing_redemptions.customer_id IS 'The customer record';
COMMENT ON COLUMN billing_redemptions.customer_email IS 'Their address';
COMMENT ON COLUMN billing_redemptions.subscription_id IS 'Our id of the subscription';
COMMENT ON COLUMN billing_redemptions.stripe_subscription_id IS 'Stripe''s id of it';
COMMENT ON COLUMN billing_redemptions.status IS 'mPanel''s status of it now';
COMMENT ON COLUMN billing_redemptions.livemode IS 'Whether it is in Stripe''s live mode';

CREATE TABLE billing_registrar_calls (
    id bigint NOT NULL,
    domain_id uuid NOT NULL,
    driver text NOT NULL,
    action text NOT NULL,
    idempotency_key text NOT NULL,
    request jsonb NOT NULL,
    response jsonb,
    outcome text NOT NULL,
    error text,
    duration_ms integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_registrar_calls_duration_ms_check CHECK ((duration_ms >= 0)),
    CONSTRAINT billing_registrar_calls_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'already_done'::text, 'retryable'::text, 'permanent'::text])))
);
COMMENT ON TABLE billing_registrar_calls IS 'Every command to a registrar, and what came of it';
COMMENT ON COLUMN billing_registrar_calls.id IS 'In the order of the calls';
COMMENT ON COLUMN billing_registrar_calls.domain_id IS 'The domain';
COMMENT ON COLUMN billing_registrar_calls.driver IS 'The driver called';
COMMENT ON COLUMN billing_registrar_calls.action IS 'register, transfer, renew, set_nameservers, set_auto_renew or release';
COMMENT ON COLUMN billing_registrar_calls.idempotency_key IS 'By which the registrar recognises a retry';
COMMENT ON COLUMN billing_registrar_calls.request IS 'What was sent, without registrant and auth code';
COMMENT ON COLUMN billing_registrar_calls.response IS 'What came back, without an auth code; null: nothing';
COMMENT ON COLUMN billing_registrar_calls.outcome IS 'done, already_done, retryable or permanent';
COMMENT ON COLUMN billing_registrar_calls.error IS 'Why it failed';
COMMENT ON COLUMN billing_registrar_calls.duration_ms IS 'Milliseconds';
COMMENT ON COLUMN billing_registrar_calls.created_at IS 'When the call ended';

ALTER TABLE billing_registrar_calls ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME billing_registrar_calls_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE billing_retention (
    subject text NOT NULL,
    pruned_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    pruned_rows bigint DEFAULT 0 NOT NULL,
    pruned_at timestamp with time zone,
    CONSTRAINT billing_retention_subject_check CHECK ((subject = ANY (ARRAY['event_payloads'::text, 'events'::text, 'provisioning_log'::text, 'idempotency_keys'::text, 'job_log'::text, 'messages'::text, 'unpaid_orders'::text, 'access_data'::text, 'usage'::text, 'meter_events'::text])))
);
COMMENT ON TABLE billing_retention IS 'What is pruned by age, and the progress';
COMMENT ON COLUMN billing_retention.subject IS 'What is pruned; how long it is kept is a setting (KEEP_..._DAYS)';
COMMENT ON COLUMN billing_retention.pruned_until IS 'Everything older has been pruned; -infinity: each run begins with the oldest row';
COMMENT ON COLUMN billing_retention.pruned_rows IS 'Rows pruned by all runs together';
COMMENT ON COLUMN billing_retention.pruned_at IS 'When a run last finished';

CREATE TABLE billing_revenue_states (
    subscription_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    livemode boolean NOT NULL,
    billed boolean NOT NULL,
    began_at timestamp with time zone,
    state jsonb NOT NULL
);
COMMENT ON TABLE billing_revenue_states IS 'What a subscription was charged from a time on: a row for each change, by Stripe''s clock';
COMMENT ON COLUMN billing_revenue_states.subscription_id IS 'The subscription; its row may have been deleted since';
COMMENT ON COLUMN billing_revenue_states.at IS 'The time of the event that shows it, or of the answer if it was fetched; of an end, when it ended';
COMMENT ON COLUMN billing_revenue_states.livemode IS 'Whether it is in Stripe''s live mode';
COMMENT ON COLUMN billing_revenue_states.billed IS 'Whether it was active or past due';
COMMENT ON COLUMN billing_revenue_states.began_at IS 'Since when it was charged at the latest, as far as this snapshot says; counts if nothing earlier is known. Null: it does not say';
COMMENT ON COLUMN billing_revenue_states.state IS 'Its currency, and its items and discounts: what its revenue depends on';

CREATE TABLE billing_schema_objects (
    id bigint NOT NULL,
    migration text NOT NULL,
    table_name text NOT NULL,
    column_name text,
    added_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON TABLE billing_schema_objects IS 'What our migrations added to the schema shared with mPanel; read by their down halves';
COMMENT ON COLUMN billing_schema_objects.id IS 'In the order of addition';
COMMENT ON COLUMN billing_schema_objects.migration IS 'Version of the migration that added it';
COMMENT ON COLUMN billing_schema_objects.table_name IS 'The table, in the schema that the migrations run in';
COMMENT ON COLUMN billing_schema_objects.column_name IS 'Null: the whole table is ours to drop';
COMMENT ON COLUMN billing_schema_objects.added_at IS 'When the migration ran';

ALTER TABLE billing_schema_objects ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME billing_schema_objects_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE billing_schema_texts (
    file text NOT NULL,
    digest bytea NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON TABLE billing_schema_texts IS 'The views and routines that `mpanel-billing migrate` has made from the files in sql/';
COMMENT ON COLUMN billing_schema_texts.file IS 'Such as views/billing_trouble.sql; the object has the name of its file';
COMMENT ON COLUMN billing_schema_texts.digest IS 'SHA-256 of the text that was applied';
COMMENT ON COLUMN billing_schema_texts.applied_at IS 'When it was applied';

CREATE TABLE billing_takeovers (
    subscription_id uuid NOT NULL,
    predecessor_id uuid NOT NULL,
    reason text NOT NULL,
    settles text[] DEFAULT '{}'::text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    done_at timestamp with time zone,
    CONSTRAINT billing_takeovers_check CHECK ((subscription_id <> predecessor_id)),
    CONSTRAINT billing_takeovers_reason_check CHECK ((reason = ANY (ARRAY['revived'::text, 'returned'::text, 'adopted'::text])))
);
COMMENT ON TABLE billing_takeovers IS 'Subscriptions that take over the tenant and accounts of one that has ended';
COMMENT ON COLUMN billing_takeovers.subscription_id IS 'The subscription that takes over';
COMMENT ON COLUMN billing_takeovers.predecessor_id IS 'The subscription that has ended';
COMMENT ON COLUMN billing_takeovers.reason IS 'revived: an operator has billed it again; returned: ordered again for the same domain, vouched for; adopted: an operator has joined them';
COMMENT ON COLUMN billing_takeovers.settles IS 'Invoices paid after the end that a revival makes up for, once it is done';
COMMENT ON COLUMN billing_takeovers.created_at IS 'When it was decided';
COMMENT ON COLUMN billing_takeovers.done_at IS 'When the accounts changed hands; null: once the subscription is alive at Stripe';

CREATE VIEW billing_tax AS
 SELECT livemode,
    (date_trunc('month'::text, (at AT TIME ZONE 'UTC'::text)))::date AS period,
    country,
    jurisdiction,
    tax_name,
    rate,
    reason,
    (sum(net))::bigint AS net,
    (sum(tax))::bigint AS tax,
    currency,
    count(DISTINCT ROW(kind, document_id)) AS documents
   FROM billing_tax_lines line
  GROUP BY livemode, ((date_trunc('month'::text, (at AT TIME ZONE 'UTC'::text)))::date), country, jurisdiction, tax_name, rate, reason, currency;
COMMENT ON VIEW billing_tax IS 'Taxes by month, jurisdiction, rate, reason and currency, in minor units; refunds, credit notes and what was voided are negative';
COMMENT ON COLUMN billing_tax.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_tax.period IS 'The first day of the month, in UTC';
COMMENT ON COLUMN billing_tax.country IS 'ISO 3166, whose tax it is; null: the rate does not say it, or is still to be fetched';
COMMENT ON COLUMN billing_tax.jurisdiction IS 'Whose tax it is there, as invoices say';
COMMENT ON COLUMN billing_tax.tax_name IS 'What invoices call it';
COMMENT ON COLUMN billing_tax.rate IS 'In percent';
COMMENT ON COLUMN billing_tax.reason IS 'Stripe''s taxability reason: standard_rated, reverse_charge, customer_exempt, ...';
COMMENT ON COLUMN billing_tax.net IS 'What was sold at the rate, before the tax, in minor units';
COMMENT ON COLUMN billing_tax.tax IS 'The tax, in minor units';
COMMENT ON COLUMN billing_tax.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_tax.documents IS 'How many invoices, credit notes and refunds';

CREATE TABLE billing_tax_notices (
    subscription_id uuid NOT NULL,
    currency text NOT NULL,
    total_before bigint NOT NULL,
    total bigint NOT NULL,
    tax bigint NOT NULL,
    not_before timestamp with time zone NOT NULL,
    told_by text NOT NULL,
    told_at timestamp with time zone DEFAULT now() NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    left_because text,
    enabled_at timestamp with time zone,
    CONSTRAINT billing_tax_notices_check CHECK ((not_before >= told_at)),
    CONSTRAINT billing_tax_notices_currency_check CHECK ((currency = lower(currency)))
);
COMMENT ON TABLE billing_tax_notices IS 'Subscriptions whose customers were told that taxes will be added to their prices';
COMMENT ON COLUMN billing_tax_notices.subscription_id IS 'What is to be taxed';
COMMENT ON COLUMN billing_tax_notices.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_tax_notices.total_before IS 'Minor units of the next invoice without the taxes, when it was told';
COMMENT ON COLUMN billing_tax_notices.total IS 'Minor units of the same invoice with the taxes';
COMMENT ON COLUMN billing_tax_notices.tax IS 'The taxes in it';
COMMENT ON COLUMN billing_tax_notices.not_before IS 'The end of the notice: no invoice that is made before has the taxes';
COMMENT ON COLUMN billing_tax_notices.told_by IS 'Who ordered it, and the taxes with it';
COMMENT ON COLUMN billing_tax_notices.told_at IS 'When it was told';
COMMENT ON COLUMN billing_tax_notices.next_attempt_at IS 'When the worker looks at it next; infinity: it has ended';
COMMENT ON COLUMN billing_tax_notices.left_because IS 'Why the worker left it alone when it last looked; null: it has not';
COMMENT ON COLUMN billing_tax_notices.enabled_at IS 'When Stripe was told to compute them; null: not yet';

CREATE VIEW billing_trouble_kinds AS
 SELECT kind,
    list,
    meaning,
    settled_by,
    command
   FROM ( VALUES ('not_provisioned'::text,'trouble'::text,'An order was paid five minutes ago, and its services are not ready.'::text,'the worker, once the cause that detail names is fixed'::text,'mpanel-billing provision retry SUBSCRIPTION'::text), ('provisioning_failed'::text,'trouble'::text,'A service has refused a command, or failed to carry it out five times in a row. object_id is the product type.'::text,'a command that succeeds, once the cause is fixed; or leaving the service out with provision skip'::text,'mpanel-billing provision retry SUBSCRIPTION'::text), ('service_missing'::text,'trouble'::text,'A subscription is alive at Stripe and paid, and for 15 minutes a service that it includes is missing or suspended, without a hold, a pause, a suspension for a dispute or a usage limit, or an error.'::text,'the worker, if it runs; or another run'::text,'mpanel-billing provision retry SUBSCRIPTION'::text), ('active_after_end'::text,'trouble'::text,'A subscription has ended at Stripe, and an account is still active 15 minutes later, or not terminated a day after its time. object_id is the product type.'::text,'the worker, if it runs; or another run'::text,'mpanel-billing provision retry SUBSCRIPTION'::text), ('work_failed'::text,'trouble'::text,'The work on a subscription has an error of its own, or its tenant got another domain than was ordered.'::text,'a run that succeeds; for a taken domain, an agreement with the buyer and provision settled'::text,'mpanel-billing provision retry SUBSCRIPTION'::text), ('domain_stuck'::text,'trouble'::text,'A registrar refuses what is paid for, cannot be reached, or says something that only a person understands. object_id is the domain.'::text,'a run that succeeds; giving the name up; or help at the registrar, which the next inspection sees'::text,'mpanel-billing domains retry NAME'::text), ('domain_needs'::text,'trouble'::text,'A registrar needs an auth code, or data of the customer, before a domain that is paid for can be ordered. object_id is the domain.'::text,'the auth code, or the data on the customer; the worker looks every hour'::text,'mpanel-billing domains show NAME'::text), ('domain_failed'::text,'trouble'::text,'A domain that was paid for could not be registered, and its price has not gone back. object_id is the domain.'::text,'the refund, which the worker makes; or an agreement with the buyer and domains settled'::text,'mpanel-billing domains show NAME'::text), ('domain_not_refunded'::text,'trouble'::text,'The price of a domain that could not be obtained was to go back, and Stripe refuses the refund, or cannot make it five times in a row. object_id is the domain.'::text,'a refund that succeeds, once the cause is fixed; or another way to give the money back and domains settled'::text,'mpanel-billing domains retry NAME'::text), ('domain_lost'::text,'trouble'::text,'A domain that we had registered has left its registrar, or is not in the account any more. object_id is the domain.'::text,'its return; or domains moved, if its customer has taken it elsewhere'::text,'mpanel-billing domains show NAME'::text), ('domain_unproven'::text,'trouble'::text,'A buyer has not proven in time that the domain of their order is theirs; its tenant still has a name in our zone. object_id is the domain.'::text,'the proof, which is looked for again with the command; domains accept, after another proof; or domains reject'::text,'mpanel-billing domains verify NAME'::text), ('suspended_by_service'::text,'trouble'::text,'The hosting service itself has suspended an account, for example because of abuse; a payment does not resume it. object_id is the product type.'::text,'the service, after it is settled with the service and the buyer; the nightly reconcile or the command records it'::text,'mpanel-billing provision check --fix'::text), ('server_left'::text,'trouble'::text,'A server that has accounts is not in PROVISIONING_SERVICES any more: its accounts get no commands. object_id is the server.'::text,'naming it there again and restarting the workers; or, once it is named, moving its accounts with provision drain'::text,'mpanel-billing provision servers'::text), ('server_failing'::text,'trouble'::text,'For 15 minutes a server has responded to none of its commands, three or more; new accounts are placed elsewhere. object_id is the server.'::text,'a command that it carries out, once the cause is fixed; or moving its accounts with provision drain'::text,'mpanel-billing provision servers'::text), ('move_failed'::text,'trouble'::text,'A server has refused what a move of an account needs, or has not done it for a day. object_id is the product type.'::text,'a command that succeeds, once the cause is fixed; or calling the move off with provision stay'::text,'mpanel-billing provision retry SUBSCRIPTION'::text), ('move_waits'::text,'trouble'::text,'An account has been made at another server, and for three days nobody has said that its data was moved. object_id is the product type.'::text,'moving the data and provision moved; or calling the move off with provision stay'::text,'mpanel-billing provision moves'::text), ('row_deleted'::text,'trouble'::text,'mPanel has deleted a tenant, customer or subscription that Stripe still bills, or whose accounts are left at the services.'::text,'a decision: deleted restore brings it back, deleted cancel with --refund or --no-refund ends it at Stripe'::text,'mpanel-billing deleted restore SUBSCRIPTION'::text), ('not_adopted'::text,'trouble'::text,'A subscription came back from Stripe after a restored backup, but not all of it.'::text,'an agreement with the buyer'::text,'mpanel-billing provision settled SUBSCRIPTION'::text), ('paid_twice'::text,'trouble'::text,'Two living subscriptions pay for one domain or one order, or for two orders of the same minutes at one address; object_id is the other one at Stripe. The first keeps the domain.'::text,'the end of either at Stripe, after the buyer has said which one to keep; or provision settled, if they want both orders'::text,NULL::text), ('domain_not_renewed'::text,'trouble'::text,'A further year of a domain, or the first of one in place of a lost one, cannot be charged, or was paid and the registrar does not do it; or its money could not be given back. object_id is the name.'::text,'a renewal at the registrar, whose expiry then moves; or the end of the domain. What was not given back: a refund of the invoice'::text,'mpanel-billing domains show NAME'::text), ('trial_twice'::text,'trouble'::text,'A customer is on trial for a product of which they, their mailbox or their card had a trial before; object_id is the earlier subscription at Stripe.'::text,'the end of the trial, or of the subscription'::text,NULL::text), ('foreign_schedule'::text,'trouble'::text,'A subscription schedule at Stripe, which was not made here, changes a living subscription; a change that Stripe refuses because of it is 409 subscription_scheduled. object_id is the schedule.'::text,'releasing the schedule at Stripe, or its end'::text,NULL::text), ('item_unplaced'::text,'trouble'::text,'An item of a living subscription belongs to no product of the catalogue; it gives nothing and takes nothing away.'::text,'its product or price in the catalogue, or the declaration that its price gives nothing'::text,'mpanel-billing provision ignore-price PRICE --reason REASON'::text), ('overdue'::text,'trouble'::text,'A term is due and unpaid, and Stripe does not try again to collect it.'::text,'the payment on the hosted page of the invoice, or the end of the subscription at Stripe'::text,NULL::text), ('nothing_owed'::text,'trouble'::text,'Stripe calls a subscription past due or unpaid, and no invoice for its terms is due and unpaid. After grace it is suspended anyway.'::text,'the payment of what Stripe still waits for: the draft that detail names, or another invoice at Stripe'::text,'mpanel-billing provision collect-draft SUBSCRIPTION'::text), ('paid_after_end'::text,'trouble'::text,'An invoice that was open at the end of the subscription was paid afterwards; nothing is terminated until it is settled.'::text,'all of it given back (a refund or a credit note, here or at Stripe) or lost to a bank, a revival, or the statement that it is settled (provision keep-payment)'::text,'mpanel-billing provision revive SUBSCRIPTION'::text), ('finalization_failed'::text,'trouble'::text,'Stripe could not finalize an invoice, and so does not collect it; object_id is the invoice.'::text,'its finalization, after what detail names is corrected at Stripe; or its deletion there'::text,'mpanel-billing provision collect-draft SUBSCRIPTION'::text), ('draft_left'::text,'trouble'::text,'An invoice has been a draft for three days and is not meant to be one: collection is not paused with keep_as_draft, the subscription is not unpaid, and nobody made it by hand.'::text,'its payment or its deletion at Stripe'::text,'mpanel-billing provision collect-draft SUBSCRIPTION'::text), ('invoice_deleted'::text,'trouble'::text,'A draft for a term of a living subscription was deleted at Stripe, and no later term is billed yet.'::text,'the invoice of the next term; what was deleted has to be charged again at Stripe, or given away'::text,NULL::text), ('debt_unconfirmed'::text,'trouble'::text,'A subscription is to be suspended for a debt, and for a day Stripe could not be asked whether the debt still stands.'::text,'a response from Stripe'::text,'mpanel-billing doctor'::text), ('event_failed'::text,'trouble'::text,'An event cannot be applied or read, or has waited for 15 minutes. It is tried 12 times, at most 6 hours apart.'::text,'its next try or a replay, once the cause is fixed; what cannot be read needs an upgrade'::text,'mpanel-billing events replay EVENT'::text), ('refetch_failed'::text,'trouble'::text,'An object could not be fetched from Stripe for an hour, or not be read or written.'::text,'its next try, once the key, the connection or the version is right'::text,'mpanel-billing doctor'::text), ('invoice_unlinked'::text,'trouble'::text,'An invoice names a subscription that has not been received.'::text,'the event of the subscription, or fetching it'::text,'mpanel-billing reconcile --object SUBSCRIPTION'::text), ('subscription_unmirrored'::text,'trouble'::text,'A Checkout session is complete, and its subscription has not been received; the worker fetches it after a minute.'::text,'the worker, if it runs; or fetching it'::text,'mpanel-billing reconcile --object SUBSCRIPTION'::text), ('request_unfinished'::text,'trouble'::text,'A change, refund or portal session was requested, and for 15 minutes it is unknown whether it took effect. object_id is the entry of the audit log.'::text,'the same request again; or audit settle, after a look at Stripe'::text,'mpanel-billing audit settle ENTRY --outcome OUTCOME --reason REASON'::text), ('drift'::text,'trouble'::text,'The latest reconcile found a difference from Stripe that it could not repair.'::text,'a later reconcile that does not find it (docs/reconciliation.md)'::text,'mpanel-billing reconcile --object OBJECT'::text), ('dispute_unanswered'::text,'trouble'::text,'A bank disputes a payment, or asks about it, and waits for evidence.'::text,'evidence that is submitted, or a refund if the bank only asks; three days before the deadline it is dispute_due'::text,'mpanel-billing disputes show DISPUTE'::text), ('dispute_due'::text,'trouble'::text,'A disputed payment is lost within three days, unless evidence is submitted.'::text,'evidence that is submitted, a refund if the bank only asks, or the deadline: then it is lost'::text,'mpanel-billing disputes evidence DISPUTE'::text), ('fraud_warning'::text,'trouble'::text,'A bank reports a payment as fraud, and nobody disputes it yet.'::text,'a refund, a dispute, or 30 days'::text,'mpanel-billing refund INVOICE'::text), ('tax_id_unverified'::text,'trouble'::text,'An invoice leaves the tax to the customer (reverse charge), and their tax id is not known to the government''s database.'::text,'a verified tax id, the end of the wrong one at Stripe, a voided invoice, or 90 days'::text,'mpanel-billing invoice show INVOICE'::text), ('usage_not_billed'::text,'trouble'::text,'Usage came after the invoice of its term was final, or Stripe does not take it: nobody is billed for it. object_id is the meter event.'::text,'usage settle, once it is charged otherwise (charge), or given away'::text,'mpanel-billing usage settle EVENT --reason TEXT'::text), ('usage_unsent'::text,'trouble'::text,'For an hour, Stripe could not be told of usage. object_id is the meter event; what the customer used of that meter since waits behind it.'::text,'the worker, once the cause that detail names is fixed'::text,NULL::text), ('usage_dropped'::text,'trouble'::text,'Stripe reports meter events that it took and does not count, and does not name all of them, or for an hour none. object_id is its event.'::text,'usage settle, once usage compare has shown whose they are and that is charged; or an answer of Stripe'::text,'mpanel-billing usage settle EVENT --reason TEXT'::text), ('receiver_disabled'::text,'trouble'::text,'A receiver of messages has failed for three days, or says that it is gone, and is sent nothing any more. object_id is its name.'::text,'receivers enable, once it works again: it gets all that has waited; or receivers remove'::text,'mpanel-billing receivers enable RECEIVER'::text), ('not_delivered'::text,'trouble'::text,'A message was given up for a receiver: after ten attempts over three days, or because it returned 410. object_id is the message.'::text,'deliveries resend, once the receiver accepts it; or deliveries dismiss'::text,'mpanel-billing deliveries resend MESSAGE'::text), ('dunning'::text,'watch'::text,'A term is due and unpaid, and Stripe will try again to collect it.'::text,'the payment; without one, the last try makes it overdue'::text,NULL::text), ('provisioning_retried'::text,'watch'::text,'A service has failed to carry out a command, and the command is repeated. object_id is the product type.'::text,'a command that succeeds; after five tries it is provisioning_failed'::text,NULL::text), ('debt_unchecked'::text,'watch'::text,'A subscription is to be suspended for a debt, and Stripe could not be asked whether the debt still stands.'::text,'a response from Stripe; after a day it is debt_unconfirmed'::text,NULL::text), ('open_after_end'::text,'watch'::text,'An invoice can still be paid although its subscription has ended.'::text,'its payment, which is paid_after_end; or the termination of the accounts, which voids it first (OPEN_INVOICES_AT_END)'::text,NULL::text), ('event_waiting'::text,'watch'::text,'An event is stored and not applied yet.'::text,'its next try; after 15 minutes it is event_failed'::text,NULL::text), ('dispute_under_review'::text,'watch'::text,'Evidence for a disputed payment was submitted, and the bank decides.'::text,'its decision, which can take three months'::text,NULL::text), ('refetch_retried'::text,'watch'::text,'An object is to be fetched from Stripe, which could not be reached.'::text,'the next try; after an hour it is refetch_failed'::text,NULL::text)) k(kind, list, meaning, settled_by, command);
COMMENT ON VIEW billing_trouble_kinds IS 'What each kind of trouble or watched work means, and what settles it';
COMMENT ON COLUMN billing_trouble_kinds.kind IS 'Its name';
COMMENT ON COLUMN billing_trouble_kinds.list IS 'trouble: a person must act; watch: Stripe or time settles it';
COMMENT ON COLUMN billing_trouble_kinds.meaning IS 'What is wrong, or under way';
COMMENT ON COLUMN billing_trouble_kinds.settled_by IS 'What makes the line go away';
COMMENT ON COLUMN billing_trouble_kinds.command IS 'The command to begin with; null: none';

CREATE TABLE billing_usage (
    id text NOT NULL,
    subscription_id uuid NOT NULL,
    meter text NOT NULL,
    quantity bigint NOT NULL,
    used_at timestamp with time zone NOT NULL,
    latest_second timestamp with time zone,
    meter_event_id uuid NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT billing_usage_id_check CHECK (((length(id) >= 1) AND (length(id) <= 100)))
)
WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');
COMMENT ON TABLE billing_usage IS 'Usage as it was reported: one row for each record, whatever becomes of it at Stripe';
COMMENT ON COLUMN billing_usage.id IS 'The reporter''s: the same record again is not counted again';
COMMENT ON COLUMN billing_usage.subscription_id IS 'Whose usage it is; no reference, because mPanel may delete the row';
COMMENT ON COLUMN billing_usage.meter IS 'What was used';
COMMENT ON COLUMN billing_usage.quantity IS 'How much; negative: a correction';
COMMENT ON COLUMN billing_usage.used_at IS 'When it was used, as it was reported';
COMMENT ON COLUMN billing_usage.latest_second IS 'Of a meter whose latest value counts: the second of used_at, of which there is one record; null: records add up';
COMMENT ON COLUMN billing_usage.meter_event_id IS 'The row of billing_meter_events that tells Stripe; no reference: both come in one statement, and go by age';
COMMENT ON COLUMN billing_usage.received_at IS 'When it was reported';

CREATE VIEW billing_watch AS
 SELECT 'dunning'::text AS trouble,
    u.subscription_id,
    u.object_id,
    u.since,
    ((u.detail || '; Stripe tries again at '::text) || u.next_payment_attempt) AS detail
   FROM billing_unpaid_terms u
  WHERE (u.next_payment_attempt > (now() - '1 day'::interval))
UNION ALL
 SELECT 'provisioning_retried'::text AS trouble,
    t.subscription_id,
    t.product_type AS object_id,
    t.updated_at AS since,
    t.last_error AS detail
   FROM tenant_services t
  WHERE ((t.last_error IS NOT NULL) AND (t.stopped IS NULL) AND (t.attempts < 5))
UNION ALL
 SELECT 'debt_unchecked'::text AS trouble,
    w.subscription_id,
    s.stripe_subscription_id AS object_id,
    w.debt_unconfirmed_since AS since,
    ('not suspended, because Stripe does not confirm the debt: '::text || w.debt_error) AS detail
   FROM (provisioning_work w
     JOIN subscriptions s ON ((s.id = w.subscription_id)))
  WHERE (w.debt_unconfirmed_since >= (now() - '24:00:00'::interval))
UNION ALL
 SELECT 'open_after_end'::text AS trouble,
    w.subscription_id,
    i.stripe_invoice_id AS object_id,
    s.ended_at AS since,
    ((('invoice '::text || i.stripe_invoice_id) || ' can still be paid although the subscription has ended: '::text) || billing_money_v1(i.amount_remaining, (i.currency)::text)) AS detail
   FROM ((provisioning_work w
     JOIN subscriptions s ON ((s.id = w.subscription_id)))
     JOIN invoices i ON (((i.subscription_id = w.subscription_id) AND (i.stripe_status = ANY (ARRAY['open'::text, 'uncollectible'::text])) AND (i.billing_reason IS DISTINCT FROM 'manual'::text))))
  WHERE ((w.inputs ->> 'payableAfterEnd'::text))::boolean
UNION ALL
 SELECT 'event_waiting'::text AS trouble,
    NULL::uuid AS subscription_id,
    e.id AS object_id,
    e.received_at AS since,
    (e.type || ': not applied yet'::text) AS detail
   FROM stripe_events e
  WHERE ((e.status = 'received'::text) AND (e.received_at > (now() - '00:15:00'::interval)))
UNION ALL
 SELECT 'dispute_under_review'::text AS trouble,
    billed.subscription_id,
    d.stripe_dispute_id AS object_id,
    d.stripe_created AS since,
    (((('the bank decides about '::text || billing_money_v1(d.amount, d.currency)) || ' ('::text) || d.reason) || ')'::text) AS detail
   FROM (stripe_disputes d
     LEFT JOIN LATERAL ( SELECT i.subscription_id
           FROM (invoice_payments p
             JOIN invoices i ON ((i.stripe_invoice_id = p.stripe_invoice_id)))
          WHERE (p.stripe_payment_intent_id = d.stripe_payment_intent_id)
          ORDER BY p.stripe_created
         OFFSET 0
         LIMIT 1) billed ON (true))
  WHERE (d.status = ANY (ARRAY['under_review'::text, 'warning_under_review'::text, 'appeal_under_review'::text]))
UNION ALL
 SELECT 'refetch_retried'::text AS trouble,
    NULL::uuid AS subscription_id,
    r.object_id,
    r.requested_at AS since,
    r.last_error AS detail
   FROM stripe_refetches r
  WHERE ((r.last_error ~~ 'The payment service is temporarily unavailable%'::text) AND (r.requested_at > (now() - '01:00:00'::interval)));
COMMENT ON VIEW billing_watch IS 'Work that Stripe or time settles; what a person must act on is trouble';
COMMENT ON COLUMN billing_watch.trouble IS 'Its kind; billing_trouble_kinds says what it means and what settles it';
COMMENT ON COLUMN billing_watch.subscription_id IS 'The subscription concerned; null: none is known';
COMMENT ON COLUMN billing_watch.object_id IS 'The object concerned: an id at Stripe, or a product type';
COMMENT ON COLUMN billing_watch.since IS 'When it began';
COMMENT ON COLUMN billing_watch.detail IS 'Description';

CREATE TABLE catalogue_edits (
    product_id uuid NOT NULL,
    after_subscription_id uuid DEFAULT '00000000-0000-0000-0000-000000000000'::uuid NOT NULL,
    edited_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON TABLE catalogue_edits IS 'Products whose types, resources, limits of usage or Stripe ids have changed, until all their subscriptions have been checked again';
COMMENT ON COLUMN catalogue_edits.product_id IS 'The edited product';
COMMENT ON COLUMN catalogue_edits.after_subscription_id IS 'Subscriptions up to this one have been triggered; the sweep continues after it';
COMMENT ON COLUMN catalogue_edits.edited_at IS 'When it was last edited';

CREATE TABLE domains (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant_id uuid,
    customer_id uuid,
    subscription_id uuid,
    domain_name character varying(255) NOT NULL,
    tld character varying(50) NOT NULL,
    status character varying(50) DEFAULT 'active'::character varying,
    registrar character varying(100),
    registration_date date,
    expiry_date date,
    auto_renew boolean DEFAULT true,
    nameservers jsonb DEFAULT '[]'::jsonb,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP
);
COMMENT ON TABLE domains IS 'Domains that mPanel manages; this service only reads who has them';

CREATE TABLE idempotency_keys (
    key text NOT NULL,
    request_hash bytea NOT NULL,
    subscription_id uuid,
    status integer,
    response jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_check CHECK (((status IS NULL) = (response IS NULL)))
)
WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');
COMMENT ON TABLE idempotency_keys IS 'Responses of create-session by Idempotency-Key, kept for 24 hours';
COMMENT ON COLUMN idempotency_keys.key IS 'The Idempotency-Key header';
COMMENT ON COLUMN idempotency_keys.request_hash IS 'SHA-256 of the request sent with it';
COMMENT ON COLUMN idempotency_keys.subscription_id IS 'The order it led to';
COMMENT ON COLUMN idempotency_keys.status IS 'HTTP status of the response; null: the first request is still running';
COMMENT ON COLUMN idempotency_keys.response IS 'Body of the response';
COMMENT ON COLUMN idempotency_keys.created_at IS 'When it was first used';

CREATE TABLE pgqueuer (
    id bigint NOT NULL,
    priority integer NOT NULL,
    queue_manager_id uuid,
    created timestamp with time zone DEFAULT now() NOT NULL,
    updated timestamp with time zone DEFAULT now() NOT NULL,
    heartbeat timestamp with time zone DEFAULT now() NOT NULL,
    execute_after timestamp with time zone DEFAULT now() NOT NULL,
    status pgqueuer_status NOT NULL,
    entrypoint text NOT NULL,
    dedupe_key text,
    payload bytea,
    headers jsonb,
    attempts integer DEFAULT 0 NOT NULL,
    slot bigint
);
COMMENT ON TABLE pgqueuer IS 'PgQueuer''s jobs, which are only triggers: the work is in provisioning_work, stripe_refetches and stripe_events';

CREATE SEQUENCE pgqueuer_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE pgqueuer_id_seq OWNED BY pgqueuer.id;

CREATE TABLE pgqueuer_log (
    id bigint NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL,
    job_id bigint NOT NULL,
    status pgqueuer_status NOT NULL,
    priority integer NOT NULL,
    entrypoint text NOT NULL,
    traceback jsonb,
    aggregated boolean DEFAULT false
)
WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');
COMMENT ON TABLE pgqueuer_log IS 'What became of PgQueuer''s jobs';

ALTER TABLE pgqueuer_log ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME pgqueuer_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE pgqueuer_schedules (
    id bigint NOT NULL,
    expression text NOT NULL,
    entrypoint text NOT NULL,
    heartbeat timestamp with time zone DEFAULT now() NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL,
    updated timestamp with time zone DEFAULT now() NOT NULL,
    next_run timestamp with time zone DEFAULT now() NOT NULL,
    last_run timestamp with time zone,
    status pgqueuer_status DEFAULT 'queued'::pgqueuer_status
);
COMMENT ON TABLE pgqueuer_schedules IS 'PgQueuer''s schedules: the sweeps';

CREATE SEQUENCE pgqueuer_schedules_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE pgqueuer_schedules_id_seq OWNED BY pgqueuer_schedules.id;

CREATE TABLE pgqueuer_statistics (
    id bigint NOT NULL,
    created timestamp with time zone DEFAULT date_trunc('sec'::text, now()) NOT NULL,
    count bigint NOT NULL,
    priority integer NOT NULL,
    status pgqueuer_status NOT NULL,
    entrypoint text NOT NULL
);
COMMENT ON TABLE pgqueuer_statistics IS 'PgQueuer''s counts, aggregated from its log';

CREATE SEQUENCE pgqueuer_statistics_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE pgqueuer_statistics_id_seq OWNED BY pgqueuer_statistics.id;

ALTER TABLE provisioning_holds ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME provisioning_holds_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE provisioning_log (
    id bigint NOT NULL,
    subscription_id uuid NOT NULL,
    product_type text,
    driver text NOT NULL,
    server text,
    action text NOT NULL,
    idempotency_key text NOT NULL,
    request jsonb NOT NULL,
    response jsonb,
    outcome text NOT NULL,
    error text,
    duration_ms integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT provisioning_log_duration_ms_check CHECK ((duration_ms >= 0)),
    CONSTRAINT provisioning_log_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'already_done'::text, 'retryable'::text, 'permanent'::text])))
)
WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');
COMMENT ON TABLE provisioning_log IS 'Every call to a provisioning driver';
COMMENT ON COLUMN provisioning_log.id IS 'In the order of the calls';
COMMENT ON COLUMN provisioning_log.subscription_id IS 'The subscription';
COMMENT ON COLUMN provisioning_log.product_type IS 'The service';
COMMENT ON COLUMN provisioning_log.driver IS 'The driver called';
COMMENT ON COLUMN provisioning_log.server IS 'The server of the account; null: the product type has a single one without a name';
COMMENT ON COLUMN provisioning_log.action IS 'create, suspend, resume, change, terminate';
COMMENT ON COLUMN provisioning_log.idempotency_key IS 'By which the driver recognises a retry';
COMMENT ON COLUMN provisioning_log.request IS 'What was sent';
COMMENT ON COLUMN provisioning_log.response IS 'What came back; null: nothing';
COMMENT ON COLUMN provisioning_log.outcome IS 'done, already_done, retryable or permanent';
COMMENT ON COLUMN provisioning_log.error IS 'Why it failed';
COMMENT ON COLUMN provisioning_log.duration_ms IS 'Milliseconds';
COMMENT ON COLUMN provisioning_log.created_at IS 'When the call ended';

ALTER TABLE provisioning_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME provisioning_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE stripe_customer_balances (
    stripe_customer_id text NOT NULL,
    currency text NOT NULL,
    balance bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stripe_customer_balances_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text))
);
COMMENT ON TABLE stripe_customer_balances IS 'What Stripe applies to a customer''s next invoice in a currency. Nothing to do with customers.credit_balance, which is mPanel''s';
COMMENT ON COLUMN stripe_customer_balances.stripe_customer_id IS 'cus_...';
COMMENT ON COLUMN stripe_customer_balances.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN stripe_customer_balances.balance IS 'Minor units; negative: credit that is taken off, positive: owed and added';
COMMENT ON COLUMN stripe_customer_balances.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_customer_balances.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_event_polls (
    livemode boolean NOT NULL,
    polled_at timestamp with time zone NOT NULL,
    read_until timestamp with time zone,
    found_at timestamp with time zone,
    found bigint DEFAULT 0 NOT NULL
);
COMMENT ON TABLE stripe_event_polls IS 'When Stripe''s list of events was last read in place of webhooks; one row per mode';
COMMENT ON COLUMN stripe_event_polls.livemode IS 'Mode of Stripe';
COMMENT ON COLUMN stripe_event_polls.polled_at IS 'When the list was last asked for: one worker does, once a minute';
COMMENT ON COLUMN stripe_event_polls.read_until IS 'Events created until then have been read, by Stripe''s clock; null: none yet';
COMMENT ON COLUMN stripe_event_polls.found_at IS 'When events that no webhook had delivered were last stored; null: never';
COMMENT ON COLUMN stripe_event_polls.found IS 'How many events were stored this way';

CREATE TABLE subscription_charges (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    subscription_id uuid NOT NULL,
    "position" smallint NOT NULL,
    kind text NOT NULL,
    code text NOT NULL,
    description text NOT NULL,
    price_id uuid,
    domain text,
    amount bigint,
    currency text,
    state text NOT NULL,
    stripe_id text,
    stripe_created timestamp with time zone,
    attempt integer DEFAULT 1 NOT NULL,
    tried_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT subscription_charges_amount_check CHECK ((amount >= 0)),
    CONSTRAINT subscription_charges_check CHECK (((kind = 'one_time'::text) = (amount IS NOT NULL))),
    CONSTRAINT subscription_charges_check1 CHECK (((amount IS NULL) = (currency IS NULL))),
    CONSTRAINT subscription_charges_check2 CHECK (((state <> 'attached'::text) OR (stripe_id IS NOT NULL))),
    CONSTRAINT subscription_charges_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT subscription_charges_kind_check CHECK ((kind = ANY (ARRAY['one_time'::text, 'discount'::text]))),
    CONSTRAINT subscription_charges_state_check CHECK ((state = ANY (ARRAY['with_checkout'::text, 'waiting'::text, 'attached'::text, 'removed'::text])))
);
COMMENT ON TABLE subscription_charges IS 'One-time charges and the discount of an order: part of the Checkout session or, with a trial, attached to the subscription';
COMMENT ON COLUMN subscription_charges.id IS 'Part of the idempotency key at Stripe';
COMMENT ON COLUMN subscription_charges.subscription_id IS 'The subscription';
COMMENT ON COLUMN subscription_charges."position" IS 'Order of the lines, from 0';
COMMENT ON COLUMN subscription_charges.kind IS 'one_time: a sum; discount: a coupon';
COMMENT ON COLUMN subscription_charges.code IS 'Catalogue code of the domain or fee, or Stripe''s id of the coupon or promotion code';
COMMENT ON COLUMN subscription_charges.description IS 'For the buyer';
COMMENT ON COLUMN subscription_charges.price_id IS 'Our price; null for a discount';
COMMENT ON COLUMN subscription_charges.domain IS 'The name that it is charged for, in ASCII; null: a fee or a discount';
COMMENT ON COLUMN subscription_charges.amount IS 'Minor units; null for a discount';
COMMENT ON COLUMN subscription_charges.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN subscription_charges.state IS 'with_checkout: on the session; waiting: for the subscription of the trial; attached: in Stripe; removed: the trial was cancelled';
COMMENT ON COLUMN subscription_charges.stripe_id IS 'ii_... of an invoice item, or the coupon';
COMMENT ON COLUMN subscription_charges.stripe_created IS 'When Stripe made the invoice item, by its clock: an invoice that is made later includes it';
COMMENT ON COLUMN subscription_charges.attempt IS 'Part of the idempotency key; grows when a removed charge is attached again';
COMMENT ON COLUMN subscription_charges.tried_at IS 'When Stripe was last asked to attach it, with or without success';
COMMENT ON COLUMN subscription_charges.created_at IS 'When this row was created';
COMMENT ON COLUMN subscription_charges.updated_at IS 'When this row was last changed';

CREATE TABLE users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant_id uuid,
    email character varying(255) NOT NULL,
    password_hash character varying(255) NOT NULL,
    first_name character varying(100),
    last_name character varying(100),
    role character varying(50) DEFAULT 'customer'::character varying,
    status character varying(50) DEFAULT 'active'::character varying,
    email_verified boolean DEFAULT false,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP
);
COMMENT ON TABLE users IS 'Accounts in mPanel; this service only reads e-mail addresses';

ALTER TABLE ONLY pgqueuer ALTER COLUMN id SET DEFAULT nextval('pgqueuer_id_seq'::regclass);

ALTER TABLE ONLY pgqueuer_schedules ALTER COLUMN id SET DEFAULT nextval('pgqueuer_schedules_id_seq'::regclass);

ALTER TABLE ONLY pgqueuer_statistics ALTER COLUMN id SET DEFAULT nextval('pgqueuer_statistics_id_seq'::regclass);

ALTER TABLE ONLY billing_access_data
    ADD CONSTRAINT billing_access_data_pkey PRIMARY KEY (subscription_id, product_type);

ALTER TABLE ONLY billing_adoptions
    ADD CONSTRAINT billing_adoptions_pkey PRIMARY KEY (subscription_id);

ALTER TABLE ONLY billing_api_keys
    ADD CONSTRAINT billing_api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_audit_entries
    ADD CONSTRAINT billing_audit_entries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_audit_unsettled
    ADD CONSTRAINT billing_audit_unsettled_pkey PRIMARY KEY (entry_id);

ALTER TABLE ONLY billing_cash_changes
    ADD CONSTRAINT billing_cash_changes_pkey PRIMARY KEY (day, changed_in);

ALTER TABLE ONLY billing_cash_days
    ADD CONSTRAINT billing_cash_days_pkey PRIMARY KEY (day, livemode, currency, kind);

ALTER TABLE ONLY billing_cash_folds
    ADD CONSTRAINT billing_cash_folds_pkey PRIMARY KEY (day);

ALTER TABLE ONLY billing_changes
    ADD CONSTRAINT billing_changes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_console_sessions
    ADD CONSTRAINT billing_console_sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_console_sessions
    ADD CONSTRAINT billing_console_sessions_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY billing_deleted_subscriptions
    ADD CONSTRAINT billing_deleted_subscriptions_pkey PRIMARY KEY (subscription_id);

ALTER TABLE ONLY billing_deliveries
    ADD CONSTRAINT billing_deliveries_pkey PRIMARY KEY (receiver_id, message_id);

ALTER TABLE ONLY billing_discount_terms
    ADD CONSTRAINT billing_discount_terms_pkey PRIMARY KEY (subscription_id, stripe_discount_id);

ALTER TABLE ONLY billing_domain_proofs
    ADD CONSTRAINT billing_domain_proofs_pkey PRIMARY KEY (domain_id);

ALTER TABLE ONLY billing_domain_proofs
    ADD CONSTRAINT billing_domain_proofs_token_key UNIQUE (token);

ALTER TABLE ONLY billing_domain_renewals
    ADD CONSTRAINT billing_domain_renewals_domain_id_expires_on_key UNIQUE (domain_id, expires_on);

ALTER TABLE ONLY billing_domain_renewals
    ADD CONSTRAINT billing_domain_renewals_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_domains
    ADD CONSTRAINT billing_domains_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_domains
    ADD CONSTRAINT billing_domains_subscription_id_name_key UNIQUE (subscription_id, name);

ALTER TABLE ONLY billing_erasure_key
    ADD CONSTRAINT billing_erasure_key_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY billing_erasures
    ADD CONSTRAINT billing_erasures_pkey PRIMARY KEY (identifier);

ALTER TABLE ONLY billing_exchange_rates
    ADD CONSTRAINT billing_exchange_rates_pkey PRIMARY KEY (from_currency, to_currency, begins_on);

ALTER TABLE ONLY billing_ignored_prices
    ADD CONSTRAINT billing_ignored_prices_pkey PRIMARY KEY (stripe_price_id);

ALTER TABLE ONLY billing_kept_payments
    ADD CONSTRAINT billing_kept_payments_pkey PRIMARY KEY (stripe_invoice_id);

ALTER TABLE ONLY billing_key_usage
    ADD CONSTRAINT billing_key_usage_pkey PRIMARY KEY (key_id, measure);

ALTER TABLE ONLY billing_leniency
    ADD CONSTRAINT billing_leniency_customer_id_key UNIQUE (customer_id);

ALTER TABLE ONLY billing_leniency
    ADD CONSTRAINT billing_leniency_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_leniency
    ADD CONSTRAINT billing_leniency_subscription_id_key UNIQUE (subscription_id);

ALTER TABLE ONLY billing_merges
    ADD CONSTRAINT billing_merges_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_message_sequences
    ADD CONSTRAINT billing_message_sequences_pkey PRIMARY KEY (subscription_id);

ALTER TABLE ONLY billing_messages
    ADD CONSTRAINT billing_messages_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_meter_events
    ADD CONSTRAINT billing_meter_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_meters
    ADD CONSTRAINT billing_meters_pkey PRIMARY KEY (event_name);

ALTER TABLE ONLY billing_meters
    ADD CONSTRAINT billing_meters_stripe_meter_id_key UNIQUE (stripe_meter_id);

ALTER TABLE ONLY billing_moves
    ADD CONSTRAINT billing_moves_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_mrr_changes
    ADD CONSTRAINT billing_mrr_changes_pkey PRIMARY KEY (noted_id, changed_in);

ALTER TABLE ONLY billing_mrr_cohorts
    ADD CONSTRAINT billing_mrr_cohorts_pkey PRIMARY KEY (livemode, currency, cohort, month);

ALTER TABLE ONLY billing_mrr_days
    ADD CONSTRAINT billing_mrr_days_pkey PRIMARY KEY (customer_id, livemode, currency, day);

ALTER TABLE ONLY billing_mrr_folds
    ADD CONSTRAINT billing_mrr_folds_pkey PRIMARY KEY (is_only);

ALTER TABLE ONLY billing_mrr_ledger
    ADD CONSTRAINT billing_mrr_ledger_pkey PRIMARY KEY (subscription_id, currency, at);

ALTER TABLE ONLY billing_mrr_periods
    ADD CONSTRAINT billing_mrr_periods_pkey PRIMARY KEY (livemode, period, starts_on, currency, kind);

ALTER TABLE ONLY billing_noted_users
    ADD CONSTRAINT billing_noted_users_pkey PRIMARY KEY (user_id, noted_in);

ALTER TABLE ONLY billing_notes
    ADD CONSTRAINT billing_notes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_pauses
    ADD CONSTRAINT billing_pauses_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_planned_changes
    ADD CONSTRAINT billing_planned_changes_pkey PRIMARY KEY (stripe_schedule_id);

ALTER TABLE ONLY billing_price_changes
    ADD CONSTRAINT billing_price_changes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_receivers
    ADD CONSTRAINT billing_receivers_name_key UNIQUE (name);

ALTER TABLE ONLY billing_receivers
    ADD CONSTRAINT billing_receivers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_reconcile_drift
    ADD CONSTRAINT billing_reconcile_drift_pkey PRIMARY KEY (run_id, object_id, field);

ALTER TABLE ONLY billing_reconcile_marks
    ADD CONSTRAINT billing_reconcile_marks_pkey PRIMARY KEY (object_id);

ALTER TABLE ONLY billing_reconcile_runs
    ADD CONSTRAINT billing_reconcile_runs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_reconcile_slices
    ADD CONSTRAINT billing_reconcile_slices_pkey PRIMARY KEY (run_id, step, subject, part);

ALTER TABLE ONLY billing_registrar_calls
    ADD CONSTRAINT billing_registrar_calls_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_retention
    ADD CONSTRAINT billing_retention_pkey PRIMARY KEY (subject);

ALTER TABLE ONLY billing_revenue_changes
    ADD CONSTRAINT billing_revenue_changes_pkey PRIMARY KEY (changed_in, subscription_id);

ALTER TABLE ONLY billing_revenue
    ADD CONSTRAINT billing_revenue_pkey PRIMARY KEY (subscription_id, currency, kind, stripe_id);

ALTER TABLE ONLY billing_revenue_states
    ADD CONSTRAINT billing_revenue_states_pkey PRIMARY KEY (subscription_id, at);

ALTER TABLE ONLY billing_revenue_sums
    ADD CONSTRAINT billing_revenue_sums_pkey PRIMARY KEY (livemode, currency, kind, stripe_id);

ALTER TABLE ONLY billing_schema_objects
    ADD CONSTRAINT billing_schema_objects_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_schema_texts
    ADD CONSTRAINT billing_schema_texts_pkey PRIMARY KEY (file);

ALTER TABLE ONLY billing_server_places
    ADD CONSTRAINT billing_server_places_pkey PRIMARY KEY (product_type, server);

ALTER TABLE ONLY billing_servers
    ADD CONSTRAINT billing_servers_pkey PRIMARY KEY (product_type, name);

ALTER TABLE ONLY billing_takeovers
    ADD CONSTRAINT billing_takeovers_pkey PRIMARY KEY (subscription_id);

ALTER TABLE ONLY billing_takeovers
    ADD CONSTRAINT billing_takeovers_predecessor_id_key UNIQUE (predecessor_id);

ALTER TABLE ONLY billing_tax_notices
    ADD CONSTRAINT billing_tax_notices_pkey PRIMARY KEY (subscription_id);

ALTER TABLE ONLY billing_trials
    ADD CONSTRAINT billing_trials_pkey PRIMARY KEY (subscription_id);

ALTER TABLE ONLY billing_usage
    ADD CONSTRAINT billing_usage_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_usage_reports
    ADD CONSTRAINT billing_usage_reports_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY billing_usage_totals
    ADD CONSTRAINT billing_usage_totals_pkey PRIMARY KEY (subscription_id, meter);

ALTER TABLE ONLY catalogue_edits
    ADD CONSTRAINT catalogue_edits_pkey PRIMARY KEY (product_id);

ALTER TABLE ONLY checkout_sessions
    ADD CONSTRAINT checkout_sessions_pkey PRIMARY KEY (subscription_id, attempt);

ALTER TABLE ONLY checkout_sessions
    ADD CONSTRAINT checkout_sessions_stripe_session_id_key UNIQUE (stripe_session_id);

ALTER TABLE ONLY coupons
    ADD CONSTRAINT coupons_pkey PRIMARY KEY (code);

ALTER TABLE ONLY coupons
    ADD CONSTRAINT coupons_stripe_coupon_id_key UNIQUE (stripe_coupon_id);

ALTER TABLE ONLY customers
    ADD CONSTRAINT customers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY domains
    ADD CONSTRAINT domains_pkey PRIMARY KEY (id);

ALTER TABLE ONLY idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (key);

ALTER TABLE ONLY invoice_payments
    ADD CONSTRAINT invoice_payments_pkey PRIMARY KEY (stripe_invoice_payment_id);

ALTER TABLE ONLY invoices
    ADD CONSTRAINT invoices_invoice_number_key UNIQUE (invoice_number);

ALTER TABLE ONLY invoices
    ADD CONSTRAINT invoices_pkey PRIMARY KEY (id);

ALTER TABLE ONLY orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (subscription_id);

ALTER TABLE ONLY pgqueuer_log
    ADD CONSTRAINT pgqueuer_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pgqueuer
    ADD CONSTRAINT pgqueuer_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pgqueuer_schedules
    ADD CONSTRAINT pgqueuer_schedules_expression_entrypoint_key UNIQUE (expression, entrypoint);

ALTER TABLE ONLY pgqueuer_schedules
    ADD CONSTRAINT pgqueuer_schedules_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pgqueuer_statistics
    ADD CONSTRAINT pgqueuer_statistics_pkey PRIMARY KEY (id);

ALTER TABLE ONLY prices
    ADD CONSTRAINT prices_pkey PRIMARY KEY (id);

ALTER TABLE ONLY prices
    ADD CONSTRAINT prices_stripe_price_id_key UNIQUE (stripe_price_id);

ALTER TABLE ONLY products
    ADD CONSTRAINT products_pkey PRIMARY KEY (id);

ALTER TABLE ONLY provisioning_holds
    ADD CONSTRAINT provisioning_holds_pkey PRIMARY KEY (id);

ALTER TABLE ONLY provisioning_log
    ADD CONSTRAINT provisioning_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY provisioning_work
    ADD CONSTRAINT provisioning_work_pkey PRIMARY KEY (subscription_id);

ALTER TABLE ONLY stripe_charges
    ADD CONSTRAINT stripe_charges_pkey PRIMARY KEY (stripe_charge_id);

ALTER TABLE ONLY stripe_credit_notes
    ADD CONSTRAINT stripe_credit_notes_pkey PRIMARY KEY (stripe_credit_note_id);

ALTER TABLE ONLY stripe_customer_balances
    ADD CONSTRAINT stripe_customer_balances_pkey PRIMARY KEY (stripe_customer_id, currency);

ALTER TABLE ONLY stripe_customers
    ADD CONSTRAINT stripe_customers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY stripe_disputes
    ADD CONSTRAINT stripe_disputes_pkey PRIMARY KEY (stripe_dispute_id);

ALTER TABLE ONLY stripe_event_polls
    ADD CONSTRAINT stripe_event_polls_pkey PRIMARY KEY (livemode);

ALTER TABLE ONLY stripe_events
    ADD CONSTRAINT stripe_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY stripe_fraud_warnings
    ADD CONSTRAINT stripe_fraud_warnings_pkey PRIMARY KEY (stripe_fraud_warning_id);

ALTER TABLE ONLY stripe_refetches
    ADD CONSTRAINT stripe_refetches_pkey PRIMARY KEY (object_id);

ALTER TABLE ONLY stripe_refunds
    ADD CONSTRAINT stripe_refunds_pkey PRIMARY KEY (stripe_refund_id);

ALTER TABLE ONLY stripe_tax_ids
    ADD CONSTRAINT stripe_tax_ids_pkey PRIMARY KEY (stripe_tax_id_id);

ALTER TABLE ONLY stripe_tax_rates
    ADD CONSTRAINT stripe_tax_rates_pkey PRIMARY KEY (stripe_tax_rate_id);

ALTER TABLE ONLY subscription_charges
    ADD CONSTRAINT subscription_charges_pkey PRIMARY KEY (id);

ALTER TABLE ONLY subscription_charges
    ADD CONSTRAINT subscription_charges_subscription_id_position_key UNIQUE (subscription_id, "position");

ALTER TABLE ONLY subscription_discounts
    ADD CONSTRAINT subscription_discounts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY subscription_items
    ADD CONSTRAINT subscription_items_pkey PRIMARY KEY (id);

ALTER TABLE ONLY subscription_items
    ADD CONSTRAINT subscription_items_stripe_subscription_item_id_key UNIQUE (stripe_subscription_item_id);

ALTER TABLE ONLY subscriptions
    ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tenant_services
    ADD CONSTRAINT tenant_services_pkey PRIMARY KEY (subscription_id, product_type);

ALTER TABLE ONLY tenants
    ADD CONSTRAINT tenants_domain_key UNIQUE (domain);

ALTER TABLE ONLY tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY users
    ADD CONSTRAINT users_tenant_id_email_key UNIQUE (tenant_id, email);

CREATE INDEX billing_access_data_waiting_idx ON billing_access_data USING btree (created_at) WHERE (sealed IS NOT NULL);

CREATE INDEX billing_adoptions_problem_idx ON billing_adoptions USING btree (subscription_id) WHERE (problem IS NOT NULL);

CREATE UNIQUE INDEX billing_api_keys_name_key ON billing_api_keys USING btree (name) WHERE ((revoked_at IS NULL) AND (replaced_by IS NULL));

CREATE INDEX billing_audit_entries_actor_idx ON billing_audit_entries USING btree (actor, entry_id);

CREATE INDEX billing_audit_entries_entry_idx ON billing_audit_entries USING btree (entry_id, id);

CREATE INDEX billing_audit_entries_person_idx ON billing_audit_entries USING btree (person, entry_id) WHERE (person IS NOT NULL);

CREATE INDEX billing_audit_entries_target_idx ON billing_audit_entries USING btree (target_id, entry_id);

CREATE INDEX billing_cash_folds_folded_idx ON billing_cash_folds USING btree (folded_at);

CREATE UNIQUE INDEX billing_changes_asking_key ON billing_changes USING btree (subject_id) WHERE (state = 'asking'::text);

CREATE INDEX billing_changes_coupon_idx ON billing_changes USING btree (((params ->> 'coupon_code'::text))) WHERE ((params ->> 'coupon_code'::text) IS NOT NULL);

CREATE INDEX billing_changes_customer_idx ON billing_changes USING btree (customer_id);

CREATE INDEX billing_changes_invoice_idx ON billing_changes USING btree (invoice_id);

CREATE UNIQUE INDEX billing_changes_request_key_key ON billing_changes USING btree (request_key) WHERE (request_key IS NOT NULL);

CREATE INDEX billing_changes_service_idx ON billing_changes USING btree (updated_at) WHERE ((end_service IS NOT NULL) AND (service_ended_at IS NULL) AND ((state <> 'failed'::text) OR may_be_made));

CREATE INDEX billing_changes_subject_idx ON billing_changes USING btree (subject_id, created_at);

CREATE INDEX billing_changes_subscription_idx ON billing_changes USING btree (subscription_id);

CREATE INDEX billing_checkout_sessions_paid_again_idx ON checkout_sessions USING btree (subscription_id) WHERE ((status = 'complete'::text) AND (attempt > 1));

CREATE INDEX billing_console_sessions_expiry_idx ON billing_console_sessions USING btree (expires_at);

CREATE INDEX billing_console_sessions_key_idx ON billing_console_sessions USING btree (key_id);

CREATE INDEX billing_customers_created_idx ON customers USING btree (created_at);

CREATE INDEX billing_customers_email_idx ON customers USING btree (lower(email));

CREATE INDEX billing_customers_joined_idx ON customers USING btree (joined_at) WHERE (joined_at IS NOT NULL);

CREATE INDEX billing_customers_joined_into_idx ON customers USING btree (joined_id) WHERE (joined_id IS NOT NULL);

CREATE UNIQUE INDEX billing_customers_stripe_customer_key ON customers USING btree (stripe_customer_id);

CREATE INDEX billing_customers_user_idx ON customers USING btree (user_id);

CREATE INDEX billing_customers_words_idx ON customers USING gin (to_tsvector('simple'::regconfig, translate(replace(lower(((((((COALESCE(name, ''::text) || ' '::text) || (COALESCE(company_name, ''::character varying))::text) || ' '::text) || COALESCE(split_part(email, '@'::text, 2), ''::text)) || ' '::text) || translate(COALESCE(regexp_replace(email, '[.][^.@]*$'::text, ''::text), ''::text), '@.+_-'::text, '     '::text))), 'ß'::text, 'ss'::text), 'äöüàáâãåąçćčďđèéêëęěğìíîïıłñńňòóôõøőřśšșşťțùúûůűýÿźżž'::text, 'aouaaaaaacccddeeeeeegiiiiilnnnoooooorssssttuuuuuyyzzz'::text)));

CREATE INDEX billing_deleted_subscriptions_customer_idx ON billing_deleted_subscriptions USING btree (((subscription ->> 'customer_id'::text)));

CREATE INDEX billing_deleted_subscriptions_stripe_idx ON billing_deleted_subscriptions USING btree (stripe_subscription_id) WHERE (settled_at IS NULL);

CREATE INDEX billing_deliveries_due_idx ON billing_deliveries USING btree (receiver_id, next_attempt_at) WHERE (state = 'waiting'::text);

CREATE INDEX billing_deliveries_message_idx ON billing_deliveries USING btree (message_id);

CREATE INDEX billing_deliveries_unfinished_idx ON billing_deliveries USING btree (state, created_at) WHERE (state <> 'delivered'::text);

CREATE INDEX billing_deliveries_untried_idx ON billing_deliveries USING btree (receiver_id, subscription_id, sequence) WHERE ((state = 'waiting'::text) AND (tried_at IS NULL));

CREATE INDEX billing_domain_proofs_due_idx ON billing_domain_proofs USING btree (check_at) WHERE (check_at IS NOT NULL);

CREATE INDEX billing_domain_proofs_unproven_idx ON billing_domain_proofs USING btree (domain_id) WHERE ((token IS NOT NULL) AND (check_at IS NULL));

CREATE UNIQUE INDEX billing_domain_renewals_first_key ON billing_domain_renewals USING btree (domain_id) WHERE (expires_on IS NULL);

CREATE UNIQUE INDEX billing_domain_renewals_open_key ON billing_domain_renewals USING btree (domain_id) WHERE (state = ANY (ARRAY['due'::text, 'charged'::text, 'paid'::text]));

CREATE INDEX billing_domain_renewals_troubled_idx ON billing_domain_renewals USING btree (domain_id) WHERE ((last_error IS NOT NULL) OR (state = 'paid'::text));

CREATE INDEX billing_domain_renewals_unpaid_idx ON billing_domain_renewals USING btree (stripe_invoice_id) WHERE ((state = ANY (ARRAY['charged'::text, 'unpaid'::text, 'withdrawn'::text])) AND (stripe_invoice_id IS NOT NULL));

CREATE INDEX billing_domain_renewals_work_idx ON billing_domain_renewals USING btree (next_attempt_at) WHERE (next_attempt_at IS NOT NULL);

CREATE INDEX billing_domains_created_idx ON billing_domains USING btree (created_at) WHERE (state <> 'ordered'::text);

CREATE INDEX billing_domains_customer_idx ON billing_domains USING btree (customer_id);

CREATE INDEX billing_domains_domain_name_start_idx ON domains USING btree (lower((domain_name)::text) text_pattern_ops);

CREATE INDEX billing_domains_due_idx ON billing_domains USING btree (next_attempt_at) WHERE (next_attempt_at IS NOT NULL);

CREATE INDEX billing_domains_expires_idx ON billing_domains USING btree (expires_at) WHERE ((driver IS NOT NULL) AND (state = 'active'::text));

CREATE UNIQUE INDEX billing_domains_live_key ON billing_domains USING btree (name) WHERE ((held_at IS NOT NULL) AND (state <> ALL (ARRAY['released'::text, 'failed'::text])));

CREATE INDEX billing_domains_lost_idx ON billing_domains USING btree (updated_at) WHERE ((state = 'failed'::text) AND (given_back_at IS NULL) AND ((refund_error IS NULL) OR (next_refund_at IS NOT NULL)));

CREATE INDEX billing_domains_name_idx ON domains USING btree (reverse(lower(
CASE
    WHEN ((domain_name)::text ~~ '%.%'::text) THEN (domain_name)::text
    ELSE (((domain_name)::text || '.'::text) || ltrim((tld)::text, '.'::text))
END)) text_pattern_ops);

CREATE INDEX billing_domains_name_start_idx ON billing_domains USING btree (name text_pattern_ops);

CREATE INDEX billing_domains_not_refunded_idx ON billing_domains USING btree (subscription_id) WHERE ((state = 'failed'::text) AND (given_back_at IS NULL) AND (refund_error IS NOT NULL));

CREATE INDEX billing_domains_registrable_idx ON billing_domains USING btree (registrable);

CREATE INDEX billing_domains_replaces_idx ON billing_domains USING btree (replaces_id);

CREATE UNIQUE INDEX billing_domains_replaces_key ON billing_domains USING btree (replaces_id) WHERE ((replaces_id IS NOT NULL) AND (state <> ALL (ARRAY['released'::text, 'failed'::text])));

CREATE INDEX billing_domains_skeleton_idx ON billing_domains USING btree (skeleton);

CREATE INDEX billing_domains_troubled_idx ON billing_domains USING btree (subscription_id) WHERE ((driver IS NOT NULL) AND ((last_error IS NOT NULL) OR (needs <> '{}'::text[])));

CREATE INDEX billing_domains_untold_idx ON billing_domains USING btree (tell_stripe_at) WHERE (tell_stripe_at IS NOT NULL);

CREATE INDEX billing_invoices_attention_idx ON invoices USING btree (stripe_status, next_payment_attempt, subscription_id, stripe_created) WHERE (((stripe_subscription_id IS NOT NULL) AND (subscription_id IS NULL)) OR ((finalized_at IS NULL) AND (stripe_invoice_id IS NOT NULL)) OR (stripe_status = ANY (ARRAY['open'::text, 'uncollectible'::text])));

CREATE INDEX billing_invoices_customer_idx ON invoices USING btree (customer_id, stripe_created);

CREATE INDEX billing_invoices_open_or_given_back_idx ON invoices USING btree (customer_id) WHERE ((stripe_status = 'open'::text) OR (amount_refunded > 0) OR (amount_credited > 0) OR (disputed_since IS NOT NULL));

CREATE UNIQUE INDEX billing_invoices_stripe_invoice_key ON invoices USING btree (stripe_invoice_id);

CREATE INDEX billing_invoices_stripe_subscription_idx ON invoices USING btree (stripe_subscription_id, stripe_created);

CREATE INDEX billing_invoices_subscription_idx ON invoices USING btree (subscription_id);

CREATE INDEX billing_invoices_taxed_idx ON invoices USING btree (finalized_at) WHERE (taxes IS NOT NULL);

CREATE INDEX billing_invoices_voided_idx ON invoices USING btree (voided_at) WHERE ((voided_at IS NOT NULL) AND (taxes IS NOT NULL));

CREATE INDEX billing_items_other_price_idx ON subscription_items USING btree (stripe_product_id, subscription_id) WHERE (price_id IS NULL);

CREATE INDEX billing_items_price_subscription_idx ON subscription_items USING btree (price_id, subscription_id);

CREATE INDEX billing_items_unknown_price_idx ON subscription_items USING btree (stripe_price_id, subscription_id) WHERE (price_id IS NULL);

CREATE INDEX billing_kept_payments_subscription_idx ON billing_kept_payments USING btree (subscription_id);

CREATE INDEX billing_merges_customer_idx ON billing_merges USING btree (customer_id);

CREATE INDEX billing_merges_into_idx ON billing_merges USING btree (into_id);

CREATE INDEX billing_merges_merged_idx ON billing_merges USING btree (merged_at);

CREATE UNIQUE INDEX billing_merges_standing_key ON billing_merges USING btree (customer_id) WHERE (undone_at IS NULL);

CREATE INDEX billing_merges_undoable_idx ON billing_merges USING btree (merged_at) WHERE (former IS NOT NULL);

CREATE INDEX billing_messages_created_idx ON billing_messages USING btree (created_at);

CREATE INDEX billing_messages_new_idx ON billing_messages USING btree ("position") WHERE (addressed_at IS NULL);

CREATE UNIQUE INDEX billing_messages_position_key ON billing_messages USING btree ("position");

CREATE UNIQUE INDEX billing_messages_sequence_key ON billing_messages USING btree (subscription_id, sequence);

CREATE INDEX billing_meter_events_created_idx ON billing_meter_events USING btree (created_at);

CREATE INDEX billing_meter_events_failing_idx ON billing_meter_events USING btree (subscription_id) WHERE ((state = 'waiting'::text) AND (failures > 0));

CREATE INDEX billing_meter_events_oldest_idx ON billing_meter_events USING btree (created_at) WHERE (state = 'waiting'::text);

CREATE INDEX billing_meter_events_unbilled_idx ON billing_meter_events USING btree (subscription_id) WHERE ((state = ANY ('{late,refused}'::text[])) AND (settled_at IS NULL));

CREATE INDEX billing_meter_events_usage_idx ON billing_meter_events USING btree (subscription_id, meter, used_at);

CREATE INDEX billing_meter_events_waiting_idx ON billing_meter_events USING btree (stripe_customer_id, meter, number) WHERE (state = 'waiting'::text);

CREATE UNIQUE INDEX billing_moves_open_key ON billing_moves USING btree (subscription_id, product_type) WHERE (finished_at IS NULL);

CREATE INDEX billing_moves_subscription_idx ON billing_moves USING btree (subscription_id, product_type);

CREATE INDEX billing_mrr_ledger_at_idx ON billing_mrr_ledger USING btree (at);

CREATE INDEX billing_notes_customer_idx ON billing_notes USING btree (customer_id, id);

CREATE INDEX billing_orders_left_open_idx ON orders USING btree (subscription_id) WHERE (left_open <> '{}'::uuid[]);

CREATE INDEX billing_orders_superseded_idx ON orders USING btree (subscription_id) WHERE (superseded_at IS NOT NULL);

CREATE UNIQUE INDEX billing_pauses_standing_key ON billing_pauses USING btree (subscription_id) WHERE (ended_at IS NULL);

CREATE INDEX billing_pauses_subscription_idx ON billing_pauses USING btree (subscription_id);

CREATE INDEX billing_planned_changes_subscription_idx ON billing_planned_changes USING btree (subscription_id);

CREATE INDEX billing_planned_changes_unplanned_idx ON billing_planned_changes USING btree (created_at) WHERE (planned_at IS NULL);

CREATE INDEX billing_price_changes_due_idx ON billing_price_changes USING btree (next_attempt_at) WHERE ((made_at IS NULL) AND (withdrawn_at IS NULL));

CREATE INDEX billing_price_changes_new_idx ON billing_price_changes USING btree (new_price_id);

CREATE INDEX billing_price_changes_old_idx ON billing_price_changes USING btree (old_price_id);

CREATE UNIQUE INDEX billing_price_changes_standing_key ON billing_price_changes USING btree (subscription_id, old_price_id) WHERE ((made_at IS NULL) AND (withdrawn_at IS NULL));

CREATE INDEX billing_price_changes_subscription_idx ON billing_price_changes USING btree (subscription_id);

CREATE UNIQUE INDEX billing_products_code_key ON products USING btree (code);

CREATE UNIQUE INDEX billing_products_stripe_product_key ON products USING btree (stripe_product_id) WHERE (code IS NOT NULL);

CREATE INDEX billing_reconcile_drift_left_idx ON billing_reconcile_drift USING btree (run_id) WHERE (NOT repaired);

CREATE INDEX billing_reconcile_runs_started_idx ON billing_reconcile_runs USING btree (started_at);

CREATE UNIQUE INDEX billing_reconcile_runs_unfinished_key ON billing_reconcile_runs USING btree ((true)) WHERE (finished_at IS NULL);

CREATE INDEX billing_refetches_failing_idx ON stripe_refetches USING btree (requested_at) WHERE (last_error IS NOT NULL);

CREATE INDEX billing_registrar_calls_domain_idx ON billing_registrar_calls USING btree (domain_id, id);

CREATE INDEX billing_revenue_changing_idx ON billing_revenue USING btree (changes_at) WHERE (changes_at IS NOT NULL);

CREATE INDEX billing_revenue_coupon_idx ON billing_revenue USING btree (stripe_id, ends_at) WHERE (kind = 'coupon'::text);

CREATE INDEX billing_revenue_customer_idx ON billing_revenue USING btree (customer_id, kind, stripe_id);

CREATE INDEX billing_server_changes_idx ON billing_server_changes USING btree (product_type, server);

CREATE INDEX billing_services_idle_idx ON tenant_services USING btree (subscription_id) WHERE (actual = ANY (ARRAY['absent'::text, 'suspended'::text]));

CREATE INDEX billing_services_server_idx ON tenant_services USING btree (product_type, server, subscription_id) WHERE ((server IS NOT NULL) AND ((desired = 'active'::text) OR (actual = ANY (ARRAY['active'::text, 'suspended'::text])) OR (pending_action IS NOT NULL)));

CREATE INDEX billing_services_suspended_there_idx ON tenant_services USING btree (subscription_id) WHERE (suspended_by_service IS NOT NULL);

CREATE INDEX billing_services_unsettled_idx ON tenant_services USING btree (desired, actual) WHERE (((desired = 'active'::text) AND (actual <> 'active'::text)) OR ((desired = 'suspended'::text) AND (actual = 'active'::text)) OR ((desired = 'terminated'::text) AND (actual = ANY (ARRAY['active'::text, 'suspended'::text]))) OR (pending_action IS NOT NULL) OR (stopped IS NOT NULL));

CREATE INDEX billing_subscriptions_attention_idx ON subscriptions USING btree (stripe_status, status, stripe_schedule_id, tenant_id) WHERE (((status)::text = 'pending'::text) OR (stripe_status = ANY (ARRAY['past_due'::text, 'unpaid'::text, 'paused'::text, 'trialing'::text])) OR ((stripe_subscription_id IS NOT NULL) AND (stripe_status IS NULL)) OR (stripe_schedule_id IS NOT NULL) OR ((tenant_id IS NULL) AND (stripe_status = ANY (ARRAY['trialing'::text, 'active'::text]))));

CREATE UNIQUE INDEX billing_subscriptions_checkout_session_key ON subscriptions USING btree (checkout_session_id);

CREATE INDEX billing_subscriptions_customer_idx ON subscriptions USING btree (customer_id, created_at);

CREATE UNIQUE INDEX billing_subscriptions_stripe_subscription_key ON subscriptions USING btree (stripe_subscription_id);

CREATE INDEX billing_subscriptions_trial_idx ON subscriptions USING btree (trial_end) WHERE (stripe_status = 'trialing'::text);

CREATE INDEX billing_subscriptions_trialed_idx ON subscriptions USING btree (trial_end) WHERE (trial_end IS NOT NULL);

CREATE INDEX billing_tax_notices_due_idx ON billing_tax_notices USING btree (next_attempt_at) WHERE (enabled_at IS NULL);

CREATE INDEX billing_tenants_domain_idx ON tenants USING btree (reverse(lower((domain)::text)) text_pattern_ops);

CREATE INDEX billing_tenants_domain_start_idx ON tenants USING btree (lower((domain)::text) text_pattern_ops);

CREATE UNIQUE INDEX billing_tenants_subscription_key ON tenants USING btree (billing_subscription_id);

CREATE INDEX billing_trials_card_idx ON billing_trials USING btree (card_hash);

CREATE INDEX billing_trials_customer_idx ON billing_trials USING btree (customer_id);

CREATE INDEX billing_trials_person_idx ON billing_trials USING btree (person_hash);

CREATE INDEX billing_trials_second_idx ON billing_trials USING btree (subscription_id) WHERE (earlier_subscription_id IS NOT NULL);

CREATE UNIQUE INDEX billing_usage_latest_key ON billing_usage USING btree (subscription_id, meter, latest_second) WHERE (latest_second IS NOT NULL);

CREATE INDEX billing_usage_received_idx ON billing_usage USING btree (received_at);

CREATE INDEX billing_usage_reports_unread_idx ON billing_usage_reports USING btree (next_attempt_at) WHERE (read_at IS NULL);

CREATE INDEX billing_usage_reports_unsettled_idx ON billing_usage_reports USING btree (event_id) WHERE ((settled_at IS NULL) AND ((read_at IS NULL) OR (named < dropped)));

CREATE INDEX billing_usage_subscription_idx ON billing_usage USING btree (subscription_id);

CREATE INDEX billing_users_email_idx ON users USING btree (lower((email)::text));

CREATE INDEX checkout_sessions_open_idx ON checkout_sessions USING btree (updated_at) WHERE (status = ANY (ARRAY['creating'::text, 'open'::text]));

CREATE INDEX idempotency_keys_created_idx ON idempotency_keys USING btree (created_at);

CREATE INDEX idempotency_keys_subscription_idx ON idempotency_keys USING btree (subscription_id);

CREATE INDEX invoice_payments_invoice_idx ON invoice_payments USING btree (stripe_invoice_id);

CREATE INDEX invoice_payments_payment_intent_idx ON invoice_payments USING btree (stripe_payment_intent_id);

CREATE INDEX orders_coupon_idx ON orders USING btree (coupon_code) WHERE (coupon_code IS NOT NULL);

CREATE INDEX orders_created_idx ON orders USING btree (created_at);

CREATE INDEX orders_customer_idx ON orders USING btree (customer_id, created_at DESC);

CREATE INDEX orders_person_idx ON orders USING btree (person_hash);

CREATE INDEX pgqueuer_ep_ea_idx ON pgqueuer USING btree (entrypoint, execute_after) WHERE (status = 'queued'::pgqueuer_status);

CREATE INDEX pgqueuer_ep_prio_id_idx ON pgqueuer USING btree (entrypoint, priority DESC, id) WHERE (status = 'queued'::pgqueuer_status);

CREATE INDEX pgqueuer_log_created ON pgqueuer_log USING btree (created);

CREATE INDEX pgqueuer_log_job_id_status ON pgqueuer_log USING btree (job_id, created DESC);

CREATE INDEX pgqueuer_log_not_aggregated ON pgqueuer_log USING btree ((1)) WHERE (NOT aggregated);

CREATE INDEX pgqueuer_log_status ON pgqueuer_log USING btree (status);

CREATE INDEX pgqueuer_picked_heartbeat_idx ON pgqueuer USING btree (heartbeat) WHERE (status = 'picked'::pgqueuer_status);

CREATE UNIQUE INDEX pgqueuer_picked_slot_idx ON pgqueuer USING btree (entrypoint, slot) WHERE ((status = 'picked'::pgqueuer_status) AND (slot IS NOT NULL));

CREATE INDEX pgqueuer_priority_id_id1_idx ON pgqueuer USING btree (priority, id DESC) INCLUDE (id) WHERE (status = 'queued'::pgqueuer_status);

CREATE INDEX pgqueuer_queue_manager_id_idx ON pgqueuer USING btree (queue_manager_id) WHERE (queue_manager_id IS NOT NULL);

CREATE UNIQUE INDEX pgqueuer_statistics_unique_count ON pgqueuer_statistics USING btree (priority, date_trunc('sec'::text, timezone('UTC'::text, created)), status, entrypoint);

CREATE UNIQUE INDEX pgqueuer_unique_dedupe_key ON pgqueuer USING btree (dedupe_key) WHERE ((status = ANY (ARRAY['queued'::pgqueuer_status, 'picked'::pgqueuer_status])) AND (dedupe_key IS NOT NULL));

CREATE INDEX pgqueuer_updated_id_id1_idx ON pgqueuer USING btree (updated, id DESC) INCLUDE (id) WHERE (status = 'picked'::pgqueuer_status);

CREATE UNIQUE INDEX prices_lookup_key_key ON prices USING btree (lookup_key) WHERE active;

CREATE INDEX prices_meter_idx ON prices USING btree (meter);

CREATE UNIQUE INDEX prices_on_sale_key ON prices USING btree (product_id, currency, COALESCE(billing_cycle, purpose, ''::text)) WHERE active;

CREATE INDEX prices_product_idx ON prices USING btree (product_id);

CREATE UNIQUE INDEX provisioning_holds_standing_key ON provisioning_holds USING btree (subscription_id) WHERE (lifted_at IS NULL);

CREATE INDEX provisioning_holds_subscription_idx ON provisioning_holds USING btree (subscription_id, id);

CREATE INDEX provisioning_log_created_idx ON provisioning_log USING btree (created_at);

CREATE INDEX provisioning_log_subscription_idx ON provisioning_log USING btree (subscription_id, id);

CREATE INDEX provisioning_work_debt_unconfirmed_idx ON provisioning_work USING btree (debt_unconfirmed_since) WHERE (debt_unconfirmed_since IS NOT NULL);

CREATE INDEX provisioning_work_due_idx ON provisioning_work USING btree (wake_at) WHERE (wake_at IS NOT NULL);

CREATE INDEX provisioning_work_owed_idx ON provisioning_work USING btree (subscription_id) WHERE ((inputs ->> 'owedSince'::text) IS NOT NULL);

CREATE INDEX provisioning_work_paid_after_end_idx ON provisioning_work USING btree (subscription_id) WHERE ((inputs ->> 'paidAfterEnd'::text) IS NOT NULL);

CREATE INDEX provisioning_work_payable_after_end_idx ON provisioning_work USING btree (subscription_id) WHERE ((inputs ->> 'payableAfterEnd'::text))::boolean;

CREATE INDEX provisioning_work_troubled_idx ON provisioning_work USING btree (subscription_id) WHERE (last_error IS NOT NULL);

CREATE INDEX provisioning_work_undone_idx ON provisioning_work USING btree (subscription_id) WHERE ((version > done_version) IS TRUE);

CREATE INDEX provisioning_work_used_up_idx ON provisioning_work USING btree (subscription_id) WHERE (decided_reason = 'used_up'::text);

CREATE INDEX stripe_charges_created_idx ON stripe_charges USING brin (stripe_created) WITH (pages_per_range='32', autosummarize='on');

CREATE INDEX stripe_charges_customer_idx ON stripe_charges USING btree (stripe_customer_id, stripe_created);

CREATE INDEX stripe_charges_expiry_idx ON stripe_charges USING btree (card_expired_from) WHERE (status = 'succeeded'::text);

CREATE INDEX stripe_charges_payment_intent_idx ON stripe_charges USING btree (stripe_payment_intent_id);

CREATE INDEX stripe_credit_notes_invoice_idx ON stripe_credit_notes USING btree (stripe_invoice_id);

CREATE INDEX stripe_credit_notes_taxed_idx ON stripe_credit_notes USING btree (stripe_created) WHERE (taxes IS NOT NULL);

CREATE INDEX stripe_credit_notes_voided_idx ON stripe_credit_notes USING btree (voided_at) WHERE ((voided_at IS NOT NULL) AND (taxes IS NOT NULL));

CREATE INDEX stripe_customers_customer_idx ON stripe_customers USING btree (customer_id);

CREATE INDEX stripe_disputes_charge_idx ON stripe_disputes USING btree (stripe_charge_id);

CREATE INDEX stripe_disputes_created_idx ON stripe_disputes USING btree (stripe_created);

CREATE INDEX stripe_disputes_open_idx ON stripe_disputes USING btree (stripe_created) WHERE ((status = ANY (ARRAY['needs_response'::text, 'under_review'::text, 'appeal_needs_response'::text, 'appeal_under_review'::text, 'lost'::text])) AND (waived_at IS NULL));

CREATE INDEX stripe_disputes_payment_intent_idx ON stripe_disputes USING btree (stripe_payment_intent_id);

CREATE INDEX stripe_disputes_unanswered_idx ON stripe_disputes USING btree (evidence_due_at) WHERE (status = ANY (ARRAY['needs_response'::text, 'warning_needs_response'::text, 'appeal_needs_response'::text]));

CREATE INDEX stripe_disputes_under_review_idx ON stripe_disputes USING btree (stripe_created) WHERE (status = ANY (ARRAY['under_review'::text, 'warning_under_review'::text, 'appeal_under_review'::text]));

CREATE INDEX stripe_events_object_idx ON stripe_events USING btree (object_id, created);

CREATE INDEX stripe_events_oldest_unhandled_idx ON stripe_events USING btree (received_at) WHERE (status = ANY (ARRAY['received'::text, 'failed'::text]));

CREATE INDEX stripe_events_received_idx ON stripe_events USING btree (received_at);

CREATE INDEX stripe_events_unhandled_idx ON stripe_events USING btree (next_attempt_at) WHERE (status = ANY (ARRAY['received'::text, 'failed'::text]));

CREATE INDEX stripe_events_without_effect_idx ON stripe_events USING btree (status, received_at) WHERE (status = ANY (ARRAY['stale'::text, 'ignored'::text]));

CREATE INDEX stripe_fraud_warnings_actionable_idx ON stripe_fraud_warnings USING btree (stripe_created) WHERE actionable;

CREATE INDEX stripe_fraud_warnings_payment_intent_idx ON stripe_fraud_warnings USING btree (stripe_payment_intent_id);

CREATE INDEX stripe_refetches_due_idx ON stripe_refetches USING btree (next_attempt_at);

CREATE INDEX stripe_refunds_created_idx ON stripe_refunds USING btree (stripe_created);

CREATE INDEX stripe_refunds_payment_intent_idx ON stripe_refunds USING btree (stripe_payment_intent_id);

CREATE INDEX stripe_tax_ids_customer_idx ON stripe_tax_ids USING btree (stripe_customer_id);

CREATE INDEX stripe_tax_ids_unverified_idx ON stripe_tax_ids USING btree (stripe_as_of) WHERE ((verification = 'unverified'::text) AND (NOT deleted));

CREATE INDEX subscription_charges_price_idx ON subscription_charges USING btree (price_id);

CREATE UNIQUE INDEX subscription_discounts_key ON subscription_discounts USING btree (subscription_id, stripe_discount_id, COALESCE(stripe_subscription_item_id, ''::text));

CREATE INDEX subscription_items_subscription_idx ON subscription_items USING btree (subscription_id);

CREATE UNIQUE INDEX tenant_services_external_ref_key ON tenant_services USING btree (driver, product_type, external_ref, COALESCE(server, ''::text));

CREATE INDEX tenant_services_troubled_idx ON tenant_services USING btree (subscription_id) WHERE (last_error IS NOT NULL);

CREATE STATISTICS provisioning_work_owed_stats ON (inputs ->> 'owedSince'::text) FROM provisioning_work;

CREATE STATISTICS provisioning_work_paid_after_end_stats ON (inputs ->> 'paidAfterEnd'::text) FROM provisioning_work;

CREATE STATISTICS provisioning_work_payable_after_end_stats ON ((inputs ->> 'payableAfterEnd'::text)::boolean) FROM provisioning_work;

CREATE STATISTICS provisioning_work_undone_stats ON (version > done_version) FROM provisioning_work;

CREATE TRIGGER billing_announce_catalogue AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON prices FOR EACH STATEMENT EXECUTE FUNCTION billing_announce_catalogue();

CREATE TRIGGER billing_announce_catalogue AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON products FOR EACH STATEMENT EXECUTE FUNCTION billing_announce_catalogue();

CREATE TRIGGER billing_announce_meter_events AFTER INSERT ON billing_meter_events FOR EACH STATEMENT EXECUTE FUNCTION billing_announce_meter_events();

CREATE TRIGGER billing_announce_meter_events AFTER INSERT ON billing_usage_reports FOR EACH STATEMENT EXECUTE FUNCTION billing_announce_meter_events();

CREATE TRIGGER billing_audit_append_only BEFORE DELETE OR UPDATE ON billing_audit_entries FOR EACH ROW EXECUTE FUNCTION billing_audit_append_only();

CREATE TRIGGER billing_audit_list_unsettled AFTER INSERT ON billing_audit_entries FOR EACH ROW EXECUTE FUNCTION billing_audit_list_unsettled();

CREATE TRIGGER billing_audit_no_truncate BEFORE TRUNCATE ON billing_audit_entries FOR EACH STATEMENT EXECUTE FUNCTION billing_audit_append_only();

CREATE TRIGGER billing_check_domain_state BEFORE UPDATE ON billing_domains FOR EACH ROW WHEN ((old.state IS DISTINCT FROM new.state)) EXECUTE FUNCTION billing_check_domain_state();

CREATE TRIGGER billing_close_proof AFTER UPDATE ON billing_domains FOR EACH ROW WHEN (((old.state = 'verifying'::text) AND (new.state <> 'verifying'::text))) EXECUTE FUNCTION billing_close_proof();

CREATE TRIGGER billing_keep_deleted_subscription BEFORE DELETE ON subscriptions FOR EACH ROW WHEN ((old.billing_provider = 'stripe'::text)) EXECUTE FUNCTION billing_keep_deleted_subscription();

CREATE TRIGGER billing_note_cash AFTER INSERT ON stripe_charges FOR EACH ROW WHEN ((new.stripe_created < (now() - '02:00:00'::interval))) EXECUTE FUNCTION billing_note_cash();

CREATE TRIGGER billing_note_cash AFTER INSERT OR DELETE OR UPDATE ON stripe_disputes FOR EACH ROW EXECUTE FUNCTION billing_note_cash();

CREATE TRIGGER billing_note_cash AFTER INSERT OR DELETE OR UPDATE ON stripe_refunds FOR EACH ROW EXECUTE FUNCTION billing_note_cash();

CREATE TRIGGER billing_note_changed_cash AFTER UPDATE ON stripe_charges FOR EACH ROW WHEN ((((((((old.livemode IS DISTINCT FROM new.livemode) OR (old.stripe_created IS DISTINCT FROM new.stripe_created)) OR (old.currency IS DISTINCT FROM new.currency)) OR (old.status IS DISTINCT FROM new.status)) OR (old.amount IS DISTINCT FROM new.amount)) OR (old.amount_captured IS DISTINCT FROM new.amount_captured)) OR (old.stripe_payment_intent_id IS DISTINCT FROM new.stripe_payment_intent_id))) EXECUTE FUNCTION billing_note_cash();

CREATE TRIGGER billing_note_changed_move AFTER UPDATE ON billing_moves FOR EACH ROW WHEN (((((old.product_type IS DISTINCT FROM new.product_type) OR (old.from_server IS DISTINCT FROM new.from_server)) OR (old.to_server IS DISTINCT FROM new.to_server)) OR (old.state IS DISTINCT FROM new.state))) EXECUTE FUNCTION billing_note_move();

CREATE TRIGGER billing_note_changed_mrr AFTER DELETE OR UPDATE ON billing_mrr_ledger FOR EACH ROW EXECUTE FUNCTION billing_note_mrr();

CREATE TRIGGER billing_note_changed_mrr AFTER UPDATE ON subscriptions FOR EACH ROW WHEN (((old.id IS DISTINCT FROM new.id) OR (old.customer_id IS DISTINCT FROM new.customer_id))) EXECUTE FUNCTION billing_note_mrr();

CREATE TRIGGER billing_note_changed_place AFTER UPDATE ON tenant_services FOR EACH ROW WHEN (((COALESCE(old.server, new.server) IS NOT NULL) AND (((old.product_type IS DISTINCT FROM new.product_type) OR (old.server IS DISTINCT FROM new.server)) OR (((old.desired = 'active'::text) OR (old.actual = ANY (ARRAY['active'::text, 'suspended'::text])) OR (old.pending_action IS NOT NULL)) IS DISTINCT FROM ((new.desired = 'active'::text) OR (new.actual = ANY (ARRAY['active'::text, 'suspended'::text])) OR (new.pending_action IS NOT NULL)))))) EXECUTE FUNCTION billing_note_place();

CREATE TRIGGER billing_note_changed_revenue AFTER UPDATE ON subscription_discounts FOR EACH ROW WHEN ((((((((((((old.subscription_id IS DISTINCT FROM new.subscription_id) OR (old.stripe_discount_id IS DISTINCT FROM new.stripe_discount_id)) OR (old.stripe_subscription_item_id IS DISTINCT FROM new.stripe_subscription_item_id)) OR (old."position" IS DISTINCT FROM new."position")) OR (old.stripe_coupon_id IS DISTINCT FROM new.stripe_coupon_id)) OR (old.percent_off IS DISTINCT FROM new.percent_off)) OR (old.amount_off IS DISTINCT FROM new.amount_off)) OR (old.currency IS DISTINCT FROM new.currency)) OR (old.duration IS DISTINCT FROM new.duration)) OR (old.stripe_product_ids IS DISTINCT FROM new.stripe_product_ids)) OR (old.ends_at IS DISTINCT FROM new.ends_at))) EXECUTE FUNCTION billing_note_revenue();

CREATE TRIGGER billing_note_changed_revenue AFTER UPDATE ON subscription_items FOR EACH ROW WHEN (((((((((old.subscription_id IS DISTINCT FROM new.subscription_id) OR (old.stripe_subscription_item_id IS DISTINCT FROM new.stripe_subscription_item_id)) OR (old.stripe_product_id IS DISTINCT FROM new.stripe_product_id)) OR (old.quantity IS DISTINCT FROM new.quantity)) OR (old.unit_amount IS DISTINCT FROM new.unit_amount)) OR (old.currency IS DISTINCT FROM new.currency)) OR (old.recurring_interval IS DISTINCT FROM new.recurring_interval)) OR (old.interval_count IS DISTINCT FROM new.interval_count))) EXECUTE FUNCTION billing_note_revenue();

CREATE TRIGGER billing_note_changed_revenue AFTER UPDATE ON subscriptions FOR EACH ROW WHEN ((((((COALESCE((old.stripe_status = ANY (ARRAY['active'::text, 'past_due'::text])), false) IS DISTINCT FROM COALESCE((new.stripe_status = ANY (ARRAY['active'::text, 'past_due'::text])), false)) OR (old.id IS DISTINCT FROM new.id)) OR (old.livemode IS DISTINCT FROM new.livemode)) OR (old.currency IS DISTINCT FROM new.currency)) OR (
        CASE
            WHEN (old.stripe_status = ANY (ARRAY['active'::text, 'past_due'::text])) THEN old.customer_id
            ELSE NULL::uuid
        END IS DISTINCT FROM
        CASE
            WHEN (new.stripe_status = ANY (ARRAY['active'::text, 'past_due'::text])) THEN new.customer_id
            ELSE NULL::uuid
        END))) EXECUTE FUNCTION billing_note_revenue();

CREATE TRIGGER billing_note_lost_cash AFTER DELETE ON stripe_charges FOR EACH ROW EXECUTE FUNCTION billing_note_cash();

CREATE TRIGGER billing_note_lost_mrr AFTER DELETE ON subscriptions FOR EACH ROW EXECUTE FUNCTION billing_note_mrr();

CREATE TRIGGER billing_note_lost_place AFTER DELETE ON tenant_services FOR EACH ROW WHEN ((old.server IS NOT NULL)) EXECUTE FUNCTION billing_note_place();

CREATE TRIGGER billing_note_lost_revenue AFTER DELETE ON subscription_items FOR EACH ROW EXECUTE FUNCTION billing_note_revenue();

CREATE TRIGGER billing_note_lost_revenue AFTER DELETE ON subscriptions FOR EACH ROW WHEN ((old.stripe_status = ANY (ARRAY['active'::text, 'past_due'::text]))) EXECUTE FUNCTION billing_note_revenue();

CREATE TRIGGER billing_note_move AFTER INSERT OR DELETE ON billing_moves FOR EACH ROW EXECUTE FUNCTION billing_note_move();

CREATE TRIGGER billing_note_mrr AFTER INSERT OR DELETE OR UPDATE OF subscription ON billing_deleted_subscriptions FOR EACH ROW EXECUTE FUNCTION billing_note_mrr();

CREATE TRIGGER billing_note_new_mrr AFTER INSERT ON billing_mrr_ledger REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION billing_note_mrr();

CREATE TRIGGER billing_note_new_mrr AFTER INSERT ON subscriptions REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION billing_note_mrr();

CREATE TRIGGER billing_note_new_place AFTER INSERT ON tenant_services FOR EACH ROW WHEN ((new.server IS NOT NULL)) EXECUTE FUNCTION billing_note_place();

CREATE TRIGGER billing_note_new_revenue AFTER INSERT ON subscription_items REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION billing_note_revenue();

CREATE TRIGGER billing_note_revenue AFTER INSERT OR DELETE ON subscription_discounts FOR EACH ROW EXECUTE FUNCTION billing_note_revenue();

CREATE TRIGGER billing_note_user AFTER INSERT OR UPDATE OF email, email_verified ON users FOR EACH ROW WHEN (new.email_verified) EXECUTE FUNCTION billing_note_user();

CREATE TRIGGER billing_note_users_of_customer AFTER INSERT OR UPDATE OF email, user_id, joined_id ON customers FOR EACH ROW WHEN (((new.user_id IS NULL) AND (new.joined_id IS NULL) AND (new.email IS NOT NULL))) EXECUTE FUNCTION billing_note_users_of_customer();

CREATE CONSTRAINT TRIGGER billing_record_revenue AFTER INSERT OR UPDATE ON billing_revenue_changes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (
        CASE
            WHEN (current_setting('mpanel_billing.revenue_is_noted'::text, true) = 'on'::text) THEN false
            ELSE (set_config('mpanel_billing.revenue_is_noted'::text, 'on'::text, true) = 'on'::text)
        END) EXECUTE FUNCTION billing_record_revenue();

CREATE TRIGGER billing_tell_credit_note AFTER UPDATE ON stripe_credit_notes FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION billing_tell_credit_note();

CREATE TRIGGER billing_tell_dispute AFTER UPDATE ON stripe_disputes FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION billing_tell_dispute();

CREATE TRIGGER billing_tell_domain AFTER UPDATE ON billing_domains FOR EACH ROW WHEN (((new.state = 'expired'::text) AND (old.state <> 'expired'::text))) EXECUTE FUNCTION billing_tell_domain();

CREATE TRIGGER billing_tell_invoice AFTER UPDATE ON invoices FOR EACH ROW WHEN (((new.stripe_status = ANY (ARRAY['open'::text, 'paid'::text, 'uncollectible'::text])) AND (((old.stripe_status IS DISTINCT FROM new.stripe_status) OR (old.attempt_count IS DISTINCT FROM new.attempt_count)) OR ((old.subscription_id IS NULL) IS DISTINCT FROM (new.subscription_id IS NULL))))) EXECUTE FUNCTION billing_tell_invoice();

CREATE TRIGGER billing_tell_new_credit_note AFTER INSERT ON stripe_credit_notes FOR EACH ROW EXECUTE FUNCTION billing_tell_credit_note();

CREATE TRIGGER billing_tell_new_dispute AFTER INSERT ON stripe_disputes FOR EACH ROW EXECUTE FUNCTION billing_tell_dispute();

CREATE TRIGGER billing_tell_new_invoice AFTER INSERT ON invoices FOR EACH ROW WHEN ((new.stripe_status = ANY (ARRAY['open'::text, 'paid'::text, 'uncollectible'::text]))) EXECUTE FUNCTION billing_tell_invoice();

CREATE TRIGGER billing_tell_new_refund AFTER INSERT ON stripe_refunds FOR EACH ROW EXECUTE FUNCTION billing_tell_refund();

CREATE TRIGGER billing_tell_order AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION billing_tell_order();

CREATE TRIGGER billing_tell_proof AFTER INSERT OR UPDATE OF proven_at, check_at ON billing_domain_proofs FOR EACH ROW EXECUTE FUNCTION billing_tell_proof();

CREATE TRIGGER billing_tell_refund AFTER UPDATE ON stripe_refunds FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION billing_tell_refund();

CREATE TRIGGER billing_tell_service AFTER UPDATE ON tenant_services FOR EACH ROW WHEN (((old.actual = 'active'::text) AND (new.actual = 'active'::text) AND (old.resources IS DISTINCT FROM new.resources))) EXECUTE FUNCTION billing_tell_service();

CREATE TRIGGER billing_tell_subscription AFTER UPDATE ON subscriptions FOR EACH ROW EXECUTE FUNCTION billing_tell_subscription();

CREATE TRIGGER billing_tell_tenant AFTER UPDATE ON tenants FOR EACH ROW WHEN (((new.billing_subscription_id IS NOT NULL) AND ((old.status)::text IS DISTINCT FROM (new.status)::text))) EXECUTE FUNCTION billing_tell_tenant();

CREATE TRIGGER billing_tell_upcoming AFTER INSERT ON stripe_events FOR EACH ROW WHEN ((new.type = 'invoice.upcoming'::text)) EXECUTE FUNCTION billing_tell_upcoming();

CREATE TRIGGER billing_tell_usage AFTER INSERT OR UPDATE ON billing_usage_totals FOR EACH ROW EXECUTE FUNCTION billing_tell_usage();

CREATE TRIGGER tg_pgqueuer_changed AFTER INSERT ON pgqueuer REFERENCING NEW TABLE AS enqueued FOR EACH STATEMENT EXECUTE FUNCTION fn_pgqueuer_changed();

CREATE TRIGGER tg_pgqueuer_ended AFTER DELETE ON pgqueuer FOR EACH STATEMENT EXECUTE FUNCTION fn_pgqueuer_changed();

ALTER TABLE ONLY billing_access_data
    ADD CONSTRAINT billing_access_data_subscription_id_product_type_fkey FOREIGN KEY (subscription_id, product_type) REFERENCES tenant_services(subscription_id, product_type) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY billing_adoptions
    ADD CONSTRAINT billing_adoptions_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_changes
    ADD CONSTRAINT billing_changes_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_changes
    ADD CONSTRAINT billing_changes_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoices(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_changes
    ADD CONSTRAINT billing_changes_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_console_sessions
    ADD CONSTRAINT billing_console_sessions_key_id_fkey FOREIGN KEY (key_id) REFERENCES billing_api_keys(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_deliveries
    ADD CONSTRAINT billing_deliveries_message_id_fkey FOREIGN KEY (message_id) REFERENCES billing_messages(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_deliveries
    ADD CONSTRAINT billing_deliveries_receiver_id_fkey FOREIGN KEY (receiver_id) REFERENCES billing_receivers(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_domain_proofs
    ADD CONSTRAINT billing_domain_proofs_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES billing_domains(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_domain_renewals
    ADD CONSTRAINT billing_domain_renewals_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES billing_domains(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_domains
    ADD CONSTRAINT billing_domains_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_domains
    ADD CONSTRAINT billing_domains_replaces_id_fkey FOREIGN KEY (replaces_id) REFERENCES billing_domains(id) ON DELETE SET NULL;

ALTER TABLE ONLY billing_domains
    ADD CONSTRAINT billing_domains_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY invoices
    ADD CONSTRAINT billing_invoices_subscription_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE SET NULL;

ALTER TABLE ONLY billing_kept_payments
    ADD CONSTRAINT billing_kept_payments_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_key_usage
    ADD CONSTRAINT billing_key_usage_key_id_fkey FOREIGN KEY (key_id) REFERENCES billing_api_keys(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_leniency
    ADD CONSTRAINT billing_leniency_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_leniency
    ADD CONSTRAINT billing_leniency_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_merges
    ADD CONSTRAINT billing_merges_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_merges
    ADD CONSTRAINT billing_merges_into_id_fkey FOREIGN KEY (into_id) REFERENCES customers(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_moves
    ADD CONSTRAINT billing_moves_subscription_id_product_type_fkey FOREIGN KEY (subscription_id, product_type) REFERENCES tenant_services(subscription_id, product_type) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY billing_notes
    ADD CONSTRAINT billing_notes_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_pauses
    ADD CONSTRAINT billing_pauses_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_planned_changes
    ADD CONSTRAINT billing_planned_changes_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_price_changes
    ADD CONSTRAINT billing_price_changes_new_price_id_fkey FOREIGN KEY (new_price_id) REFERENCES prices(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_price_changes
    ADD CONSTRAINT billing_price_changes_old_price_id_fkey FOREIGN KEY (old_price_id) REFERENCES prices(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_price_changes
    ADD CONSTRAINT billing_price_changes_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_reconcile_drift
    ADD CONSTRAINT billing_reconcile_drift_run_id_fkey FOREIGN KEY (run_id) REFERENCES billing_reconcile_runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_reconcile_slices
    ADD CONSTRAINT billing_reconcile_slices_run_id_fkey FOREIGN KEY (run_id) REFERENCES billing_reconcile_runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_registrar_calls
    ADD CONSTRAINT billing_registrar_calls_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES billing_domains(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_takeovers
    ADD CONSTRAINT billing_takeovers_predecessor_id_fkey FOREIGN KEY (predecessor_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_takeovers
    ADD CONSTRAINT billing_takeovers_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY billing_tax_notices
    ADD CONSTRAINT billing_tax_notices_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY tenants
    ADD CONSTRAINT billing_tenants_subscription_fkey FOREIGN KEY (billing_subscription_id) REFERENCES subscriptions(id) ON DELETE SET NULL;

ALTER TABLE ONLY billing_usage_reports
    ADD CONSTRAINT billing_usage_reports_event_id_fkey FOREIGN KEY (event_id) REFERENCES stripe_events(id) ON DELETE CASCADE;

ALTER TABLE ONLY catalogue_edits
    ADD CONSTRAINT catalogue_edits_product_id_fkey FOREIGN KEY (product_id) REFERENCES products(id) ON DELETE CASCADE;

ALTER TABLE ONLY checkout_sessions
    ADD CONSTRAINT checkout_sessions_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY customers
    ADD CONSTRAINT customers_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY customers
    ADD CONSTRAINT customers_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;

ALTER TABLE ONLY domains
    ADD CONSTRAINT domains_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;

ALTER TABLE ONLY domains
    ADD CONSTRAINT domains_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id);

ALTER TABLE ONLY domains
    ADD CONSTRAINT domains_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY idempotency_keys
    ADD CONSTRAINT idempotency_keys_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY invoices
    ADD CONSTRAINT invoices_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;

ALTER TABLE ONLY invoices
    ADD CONSTRAINT invoices_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY orders
    ADD CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;

ALTER TABLE ONLY orders
    ADD CONSTRAINT orders_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY prices
    ADD CONSTRAINT prices_meter_fkey FOREIGN KEY (meter) REFERENCES billing_meters(event_name);

ALTER TABLE ONLY prices
    ADD CONSTRAINT prices_product_id_fkey FOREIGN KEY (product_id) REFERENCES products(id) ON DELETE CASCADE;

ALTER TABLE ONLY products
    ADD CONSTRAINT products_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY provisioning_holds
    ADD CONSTRAINT provisioning_holds_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY provisioning_log
    ADD CONSTRAINT provisioning_log_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY provisioning_work
    ADD CONSTRAINT provisioning_work_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY stripe_customer_balances
    ADD CONSTRAINT stripe_customer_balances_stripe_customer_id_fkey FOREIGN KEY (stripe_customer_id) REFERENCES stripe_customers(id) ON DELETE CASCADE;

ALTER TABLE ONLY stripe_customers
    ADD CONSTRAINT stripe_customers_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;

ALTER TABLE ONLY subscription_charges
    ADD CONSTRAINT subscription_charges_price_id_fkey FOREIGN KEY (price_id) REFERENCES prices(id);

ALTER TABLE ONLY subscription_charges
    ADD CONSTRAINT subscription_charges_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY subscription_discounts
    ADD CONSTRAINT subscription_discounts_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY subscription_items
    ADD CONSTRAINT subscription_items_price_id_fkey FOREIGN KEY (price_id) REFERENCES prices(id);

ALTER TABLE ONLY subscription_items
    ADD CONSTRAINT subscription_items_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY subscriptions
    ADD CONSTRAINT subscriptions_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;

ALTER TABLE ONLY subscriptions
    ADD CONSTRAINT subscriptions_product_id_fkey FOREIGN KEY (product_id) REFERENCES products(id);

ALTER TABLE ONLY subscriptions
    ADD CONSTRAINT subscriptions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY tenant_services
    ADD CONSTRAINT tenant_services_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;

ALTER TABLE ONLY users
    ADD CONSTRAINT users_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;
