-- Applies snapshots whose order is clear: their object has no row yet, or one that is older by a whole second;
-- and those that were decided in Python against the version of the row that is still stored (`seen`).
-- Of these, what `is_newer` is written, the others have no effect; either may have a `question` for Stripe.
-- Derives what follows, and asks for it to be done. Returns the ids that it has
-- applied and leaves the others untouched. The same statements write, derive and trigger as on the
-- full path, in the same order; what else is decided there in Python is not written here:
-- * a subscription whose row was deleted here, or whose order is missing;
-- * a session without an order, or the second one with which its order was paid, unless that was seen;
-- * a customer whose personal data has been erased.
-- Jobs get the headers. The caller holds the locks of the objects. Those of subscriptions that only the rows
-- name are taken here, those of invoices first: if it `waits`, else lock_not_available if another transaction
-- has one.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_apply_snapshots_v1(
    customers jsonb,
    charges jsonb,
    refunds jsonb,
    payments jsonb,
    invoices jsonb,
    subscriptions jsonb,
    sessions jsonb,
    headers jsonb,
    waits boolean
)
RETURNS text[]
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
COMMENT ON FUNCTION billing_apply_snapshots_v1(jsonb, jsonb, jsonb, jsonb, jsonb, jsonb, jsonb, jsonb, boolean) IS 'Applies snapshots whose order is clear or was decided, with all that follows; returns their ids and leaves the others untouched';
