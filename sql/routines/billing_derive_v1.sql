-- Derives from the mirrored rows, in whatever order they came: status, links of invoices, the
-- payment, and the work of provisioning. Returns the rows whose status changed, and the new work.
-- What only invoices decide is read and written by statements of its own, and what was ordered here is read by one:
-- most subscriptions that are new have neither, and to set up a statement takes longer than to run it.
-- OFFSET 0 keeps each EXISTS a look-up; else a whole table may be hashed to answer for a few rows.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_derive_v1(stripe_subscription_ids text[], subscription_ids uuid[])
RETURNS TABLE (subscription_id uuid, changed boolean, work_version bigint)
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
$$;
COMMENT ON FUNCTION billing_derive_v1(text[], uuid[]) IS 'Derives status, links, payment and work of subscriptions from the mirrored rows; returns those whose status changed, and the new work';
