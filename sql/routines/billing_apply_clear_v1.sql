-- Applies the snapshots of events whose order is clear: their object has no row yet, or one that is
-- older by a whole second. Derives what follows, and asks for it to be done. Returns the ids that it has
-- applied and leaves the others untouched. The same statements write, derive and trigger as on the
-- full path, in the same order; what is decided there in Python is not written here:
-- * two snapshots of the same second, or the older one;
-- * a subscription whose row was deleted here, or whose order is missing;
-- * a session without an order, or the second one with which its order was paid;
-- * a customer whose personal data has been erased.
-- Jobs get the headers. The caller holds the locks of the objects. Those of subscriptions that only the rows name are tried
-- for here; lock_not_available if another transaction has one.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_apply_clear_v1(
    customers jsonb,
    charges jsonb,
    refunds jsonb,
    payments jsonb,
    invoices jsonb,
    subscriptions jsonb,
    sessions jsonb,
    headers jsonb
)
RETURNS text[]
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    applied text[] := '{}';
    clear jsonb;
    ids text[];
    named text[];
    touched text[] := '{}';
    ordered uuid[] := '{}';
    repaid text[];
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
            jsonb_agg(s.snapshot),
            array_agg(s.snapshot ->> 'object_id')
        INTO clear, ids
        FROM jsonb_array_elements(billing_apply_clear_v1.customers) AS s (snapshot)
        WHERE NOT EXISTS (
            SELECT 1
            FROM stripe_customers AS mirror
            WHERE mirror.id = s.snapshot ->> 'object_id'
              AND mirror.stripe_as_of >= (s.snapshot ->> 'since')::timestamptz
        )
          AND NOT EXISTS (
              SELECT 1
              FROM billing_erasures AS erased
              WHERE erased.identifier IN (
                  s.snapshot ->> 'object_id', billing_email_hash_v1(s.snapshot ->> 'email')
              )
          );
        IF clear IS NOT NULL THEN
            PERFORM billing_write_customers_v1(clear);
            applied := applied || ids;
        END IF;
    END IF;
    IF charges IS NOT NULL THEN
        SELECT
            jsonb_agg(s.snapshot),
            array_agg(s.snapshot ->> 'object_id')
        INTO clear, ids
        FROM jsonb_array_elements(billing_apply_clear_v1.charges) AS s (snapshot)
        WHERE NOT EXISTS (
            SELECT 1
            FROM stripe_charges AS mirror
            WHERE mirror.stripe_charge_id = s.snapshot ->> 'object_id'
              AND mirror.stripe_as_of >= (s.snapshot ->> 'since')::timestamptz
        )
          AND NOT EXISTS (
              SELECT 1
              FROM billing_erasures AS erased
              WHERE erased.identifier = s.snapshot ->> 'stripe_customer_id'
          );
        IF clear IS NOT NULL THEN
            PERFORM billing_write_charges_v1(clear);
            applied := applied || ids;
        END IF;
    END IF;
    IF refunds IS NOT NULL THEN
        SELECT
            jsonb_agg(s.snapshot),
            array_agg(s.snapshot ->> 'object_id')
        INTO clear, ids
        FROM jsonb_array_elements(billing_apply_clear_v1.refunds) AS s (snapshot)
        WHERE NOT EXISTS (
            SELECT 1
            FROM stripe_refunds AS mirror
            WHERE mirror.stripe_refund_id = s.snapshot ->> 'object_id'
              AND mirror.stripe_as_of >= (s.snapshot ->> 'since')::timestamptz
        );
        IF clear IS NOT NULL THEN
            PERFORM billing_write_refunds_v1(clear);
            applied := applied || ids;
        END IF;
    END IF;
    IF payments IS NOT NULL THEN
        SELECT
            jsonb_agg(s.snapshot),
            array_agg(s.snapshot ->> 'object_id')
        INTO clear, ids
        FROM jsonb_array_elements(billing_apply_clear_v1.payments) AS s (snapshot)
        WHERE NOT EXISTS (
            SELECT 1
            FROM invoice_payments AS mirror
            WHERE mirror.stripe_invoice_payment_id = s.snapshot ->> 'object_id'
              AND mirror.stripe_as_of >= (s.snapshot ->> 'since')::timestamptz
        );
        IF clear IS NOT NULL THEN
            PERFORM billing_write_invoice_payments_v1(clear);
            applied := applied || ids;
        END IF;
    END IF;
    IF invoices IS NOT NULL THEN
        SELECT jsonb_agg(s.snapshot)
        INTO clear
        FROM jsonb_array_elements(billing_apply_clear_v1.invoices) AS s (snapshot)
        WHERE NOT EXISTS (
            SELECT 1
            FROM invoices AS mirror
            WHERE mirror.stripe_invoice_id = s.snapshot ->> 'object_id'
              AND mirror.stripe_as_of >= (s.snapshot ->> 'since')::timestamptz
        );
        IF clear IS NOT NULL THEN
            SELECT
                array_agg(w.object_id),
                array_agg(s.snapshot ->> 'stripe_subscription_id') FILTER (WHERE w.affects_derived)
            INTO ids, named
            FROM billing_write_invoices_v1(clear, 'decided') AS w
            JOIN jsonb_array_elements(clear) AS s (snapshot)
                ON s.snapshot ->> 'object_id' = w.object_id;
            applied := applied || ids;
            touched := touched || named;
        END IF;
    END IF;
    IF subscriptions IS NOT NULL THEN
        SELECT
            jsonb_agg(s.snapshot || jsonb_build_object(
                'subscription_id', coalesce(placed.subscription_id::text, s.snapshot ->> 'new_subscription_id'),
                'customer_id', coalesce(placed.customer_id::text, s.snapshot ->> 'new_customer_id')
            )),
            coalesce(
                jsonb_agg(DISTINCT jsonb_build_object(
                    'object_type', 'customer',
                    'object_id', s.snapshot ->> 'stripe_customer_id',
                    'reason', 'unknown customer'
                )) FILTER (
                    WHERE placed.as_of IS NULL
                      AND placed.customer_id IS NULL
                ),
                '[]'
            )
        INTO clear, requests
        FROM jsonb_array_elements(billing_apply_clear_v1.subscriptions) AS s (snapshot)
        CROSS JOIN LATERAL billing_place_subscription_v1(
            s.snapshot ->> 'object_id',
            s.snapshot ->> 'stripe_customer_id',
            (s.snapshot ->> 'order_id')::uuid
        ) AS placed
        WHERE (placed.as_of < (s.snapshot ->> 'since')::timestamptz) IS NOT FALSE
          AND placed.deleted_id IS NULL
          AND NOT placed.order_is_missing;
        IF clear IS NOT NULL THEN
            SELECT
                array_agg(w.object_id),
                array_agg(w.object_id) FILTER (WHERE w.affects_derived)
            INTO ids, named
            FROM billing_write_subscriptions_v1(clear, 'decided') AS w;
            applied := applied || ids;
            touched := touched || named;
            SELECT requests || coalesce(jsonb_agg(jsonb_build_object(
                'object_type', 'subscription', 'object_id', lacking.object_id, 'reason', lacking.reason
            )), '[]')
            INTO requests
            FROM (
                SELECT
                    s.snapshot ->> 'object_id' AS object_id,
                    CASE
                        WHEN s.snapshot -> 'discounts' <> '[]' AND EXISTS (
                            SELECT 1
                            FROM subscription_discounts AS d
                            WHERE d.subscription_id = (s.snapshot ->> 'subscription_id')::uuid
                              AND NOT d.fetched
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
            )),
            array_agg(s.snapshot ->> 'object_id'),
            array_agg(placed.subscription_id),
            array_agg(s.snapshot ->> 'stripe_subscription_id')
        INTO clear, ids, ordered, named
        FROM jsonb_array_elements(billing_apply_clear_v1.sessions) AS s (snapshot)
        CROSS JOIN LATERAL billing_place_session_v1(
            s.snapshot ->> 'object_id',
            (s.snapshot ->> 'order_id')::uuid,
            (s.snapshot ->> 'attempt')::integer,
            s.snapshot ->> 'stripe_customer_id'
        ) AS placed
        WHERE (placed.as_of < (s.snapshot ->> 'since')::timestamptz) IS NOT FALSE
          AND (placed.order_stripe_subscription_id <> s.snapshot ->> 'stripe_subscription_id') IS NOT TRUE;
        IF clear IS NOT NULL THEN
            PERFORM billing_write_sessions_v1(clear);
            applied := applied || ids;
            touched := touched || named;
        END IF;
    END IF;

    -- payments, refunds, and sessions without a subscription, do not name theirs
    IF payments IS NOT NULL OR refunds IS NOT NULL OR ordered <> '{}' THEN
        SELECT touched || array_agg(found.stripe_subscription_id)
        INTO touched
        FROM (
            SELECT i.stripe_subscription_id
            FROM jsonb_array_elements(billing_apply_clear_v1.payments) AS s (snapshot)
            JOIN invoices AS i
                ON i.stripe_invoice_id = s.snapshot ->> 'stripe_invoice_id'
            WHERE s.snapshot ->> 'object_id' = ANY(applied)
            UNION
            SELECT i.stripe_subscription_id
            FROM jsonb_array_elements(billing_apply_clear_v1.refunds) AS s (snapshot)
            JOIN invoice_payments AS p
                ON p.stripe_payment_intent_id = s.snapshot ->> 'stripe_payment_intent_id'
            JOIN invoices AS i
                ON i.stripe_invoice_id = p.stripe_invoice_id
            WHERE s.snapshot ->> 'object_id' = ANY(applied)
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
    IF EXISTS (
        SELECT 1
        FROM unnest(touched) AS told (id)
        WHERE NOT pg_try_advisory_xact_lock(hashtextextended('sub:' || told.id, 0))
    ) THEN
        RAISE EXCEPTION 'another transaction has a subscription of these' USING ERRCODE = 'lock_not_available';
    END IF;

    IF refunds IS NOT NULL THEN
        SELECT array_agg(DISTINCT p.stripe_invoice_id)
        INTO repaid
        FROM jsonb_array_elements(billing_apply_clear_v1.refunds) AS s (snapshot)
        JOIN invoice_payments AS p
            ON p.stripe_payment_intent_id = s.snapshot ->> 'stripe_payment_intent_id'
        WHERE s.snapshot ->> 'object_id' = ANY(applied);
        IF EXISTS (
            SELECT 1
            FROM unnest(repaid) AS told (id)
            WHERE NOT pg_try_advisory_xact_lock(hashtextextended('in:' || told.id, 0))
        ) THEN
            RAISE EXCEPTION 'another transaction has an invoice of these' USING ERRCODE = 'lock_not_available';
        END IF;
        PERFORM billing_note_taken_back_v1(repaid);
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
COMMENT ON FUNCTION billing_apply_clear_v1(jsonb, jsonb, jsonb, jsonb, jsonb, jsonb, jsonb, jsonb) IS 'Applies the snapshots of events whose order is clear, with all that follows; returns their ids and leaves the others untouched';
