-- Receives events in one round trip and its own transaction: takes the locks, applies each event whose order is
-- clear, and keeps it. Returns a row for each event that is done, with its status, or `duplicate` if it is in the
-- inbox already; and one for each that is left, with what is stored of its object. Those have no effect:
-- what is newer is decided in Python, which calls again with the decisions. `seen` identifies the row that was
-- written of an applied invoice, or the one that is stored.
-- Two statements come first for what is most frequent: the renewal of a continuing subscription and its
-- invoice, which affect nothing derived. They write what the writers of subscriptions and invoices
-- would write of existing rows. billing_apply_snapshots_v1 takes the rest. `renewals` are the subscriptions
-- that may be renewals: not just created, without discounts, and with all their items.
-- A type that is not in the batch costs nothing: to set up a statement takes longer than to write
-- a row with it.
-- `keys` are the locks, `holders` the objects that need them. Unless it `waits`, an advisory lock that is taken is not
-- waited for: its object is left. Nor is a row lock for long; that one aborts the whole call.
-- With `waits` the keys are in the order that all transactions share.
-- Joins that read whole tables are disabled: they pay off while tables are small, but plans are kept.
-- The statements have to begin after the locks are taken to see what was committed before: hence a
-- function.
-- Code that is running calls it by its name and its parameters: a change of either is a _v4.

CREATE OR REPLACE FUNCTION billing_receive_events_v3(
    keys text[],
    holders text[],
    waits boolean,
    livemode boolean,
    ids text[],
    types text[],
    api_versions text[],
    createds text[],
    object_ids text[],
    statuses text[],
    reasons text[],
    payloads text[],
    customers jsonb,
    charges jsonb,
    refunds jsonb,
    payments jsonb,
    bills jsonb,
    invoices jsonb,
    renewals jsonb,
    subscriptions jsonb,
    sessions jsonb,
    headers jsonb
)
RETURNS TABLE (
    id text,
    outcome text,
    since timestamptz,
    as_of timestamptz,
    event_id text,
    event_type text,
    payload jsonb,
    seen text,
    facts jsonb
)
LANGUAGE plpgsql
SET enable_hashjoin = off
SET enable_material = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
SET lock_timeout = '100ms'
SET plan_cache_mode = force_generic_plan
AS $$
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
$$;
COMMENT ON FUNCTION billing_receive_events_v3(text[], text[], boolean, boolean, text[], text[], text[], text[], text[], text[], text[], text[], jsonb, jsonb, jsonb, jsonb, jsonb, jsonb, jsonb, jsonb, jsonb, jsonb) IS 'Keeps and applies the events whose order is clear or was decided, with all that follows; returns what became of each, and what is stored where it was left';
