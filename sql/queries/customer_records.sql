-- What a customer has bought, as mPanel shows it to them: only what Stripe bills, in one mode.

-- name: find_customer(customer_id, user_id, email)$
-- The customer that matches all given references. What was ordered without an account belongs to the
-- account whose verified address it names, also before the sweep has joined the two. For an e-mail
-- address, an account in mPanel wins over what was ordered without one, even one that is not verified:
-- then what others ordered at the address is not shown to it.
WITH found AS (
    SELECT
        named.id,
        named.joined_id,
        0 AS place
    FROM customers AS named
    WHERE named.id = :customer_id::uuid
    UNION ALL
    SELECT
        held.id,
        held.joined_id,
        0
    FROM customers AS held
    WHERE held.user_id = :user_id::uuid
      AND :customer_id::uuid IS NULL
    UNION ALL
    SELECT
        ordered.id,
        ordered.joined_id,
        3
    FROM users AS u
    JOIN customers AS ordered
        ON lower(ordered.email) = lower(u.email)
        AND ordered.user_id IS NULL
    WHERE u.id = :user_id::uuid
      AND u.email_verified
      AND :customer_id::uuid IS NULL
    UNION ALL
    SELECT
        registered.id,
        registered.joined_id,
        CASE WHEN u.email_verified THEN 1 ELSE 2 END
    FROM users AS u
    JOIN customers AS registered
        ON registered.user_id = u.id
    WHERE lower(u.email) = lower(:email::text)
      AND num_nonnulls(:customer_id::uuid, :user_id::uuid) = 0
    UNION ALL
    SELECT
        known.id,
        known.joined_id,
        3
    FROM customers AS known
    WHERE lower(known.email) = lower(:email::text)
      AND known.user_id IS NULL
      AND num_nonnulls(:customer_id::uuid, :user_id::uuid) = 0
)
SELECT c.id
FROM found
JOIN customers AS c
    ON c.id = coalesce(
        (SELECT account.id FROM customers AS account WHERE account.id = found.joined_id),
        found.id
    )
LEFT JOIN users AS account
    ON account.id = c.user_id
WHERE (
      :user_id::uuid IS NULL
      OR c.user_id = :user_id::uuid
      OR (c.user_id IS NULL AND EXISTS (
          SELECT 1
          FROM users AS owner
          WHERE owner.id = :user_id::uuid
            AND owner.email_verified
            AND lower(owner.email) = lower(c.email)
      ))
  )
  AND (
      :email::text IS NULL
      OR lower(account.email) = lower(:email::text)
      OR lower(c.email) = lower(:email::text)
  )
ORDER BY found.place, c.created_at, c.id
LIMIT 1;

-- name: list_stripe_customers(customer_id, subscription_id, currency, livemode)
-- The Stripe customers for which a portal session may be opened, most likely first: that of the
-- named subscription, else the customer's principal one, else those of their subscriptions, running
-- ones first. Unless it is named, a subscription that anyone may have ordered and nobody has paid for
-- does not count: a card that the customer saves there would pay for it.
SELECT candidates.id
FROM (
    SELECT
        s.stripe_customer_id AS id,
        CASE WHEN s.stripe_status IN ('canceled', 'incomplete_expired') THEN 2 ELSE 1 END AS place,
        lower(s.currency) AS currency,
        s.created_at
    FROM subscriptions AS s
    LEFT JOIN orders AS o
        ON o.subscription_id = s.id
    WHERE s.customer_id = :customer_id::uuid
      AND s.billing_provider = 'stripe'
      AND s.livemode = :livemode::boolean
      AND s.stripe_subscription_id IS NOT NULL
      AND (:subscription_id::uuid IS NULL OR s.id = :subscription_id::uuid)
      AND (
          s.id = :subscription_id::uuid
          OR o.vouched IS DISTINCT FROM FALSE
          OR EXISTS (
              SELECT 1
              FROM invoices AS i
              WHERE i.subscription_id = s.id
                AND i.stripe_status = 'paid'
                AND i.amount_paid > 0
          )
      )
    UNION ALL
    SELECT
        c.stripe_customer_id,
        0,
        NULL,
        c.created_at
    FROM customers AS c
    WHERE c.id = :customer_id::uuid
      AND :subscription_id::uuid IS NULL
) AS candidates
LEFT JOIN stripe_customers AS known
    ON known.id = candidates.id
WHERE candidates.id IS NOT NULL
  AND known.deleted IS NOT TRUE
  AND (known.livemode IS NULL OR known.livemode = :livemode::boolean)
GROUP BY candidates.id
HAVING :currency::text IS NULL
    OR bool_or(candidates.currency = :currency::text)
ORDER BY min(candidates.place), max(candidates.created_at) DESC, candidates.id;

-- name: list_subscription_ids(customer_id, livemode, before_at, before_id, most)
-- Newest first, without orders that were never paid; the next page begins after the last row of this
-- one.
SELECT
    s.id,
    s.created_at AT TIME ZONE 'UTC' AS created_at
FROM subscriptions AS s
WHERE s.customer_id = :customer_id::uuid
  AND s.billing_provider = 'stripe'
  AND s.livemode = :livemode::boolean
  AND s.stripe_subscription_id IS NOT NULL
  AND (
      :before_id::uuid IS NULL
      OR (s.created_at, s.id) < (:before_at::timestamptz AT TIME ZONE 'UTC', :before_id::uuid)
  )
ORDER BY s.created_at DESC, s.id DESC
LIMIT :most;

-- name: list_subscriptions(subscription_ids, livemode)
SELECT
    s.id,
    s.customer_id,
    s.created_at AT TIME ZONE 'UTC' AS created_at,
    s.status,
    s.stripe_status,
    s.stripe_subscription_id,
    s.stripe_customer_id,
    s.billing_cycle,
    s.currency,
    s.amount,
    s.current_period_start,
    s.current_period_end,
    s.trial_end,
    coalesce(s.cancel_at_period_end, FALSE) AS cancel_at_period_end,
    s.cancel_at,
    s.canceled_at,
    s.ended_at,
    coalesce(s.collection_paused, FALSE) AS collection_paused,
    t.id AS tenant_id,
    coalesce(t.billing_former_domain, t.domain) AS tenant_domain,
    t.status AS tenant_status,
    due.at AS due_at,
    due.subtotal AS due_subtotal,
    net.amount AS due_net,
    coalesce((
        SELECT b.balance
        FROM stripe_customer_balances AS b
        WHERE b.stripe_customer_id = s.stripe_customer_id
          AND b.currency = s.currency
    ), 0) AS balance,
    coalesce(discounted.discounts, '[]') AS discounts,
    coalesce(charged.items, '[]') AS items,
    (
        SELECT jsonb_build_object(
            'schedule_id', p.stripe_schedule_id,
            'plan_code', p.plan_code,
            'plan_name', (SELECT product.name FROM products AS product WHERE product.code = p.plan_code),
            'billing_cycle', p.billing_cycle,
            'addon_codes', p.addon_codes,
            'quantities', p.quantities,
            'effective_at', p.effective_at,
            'subtotal', p.subtotal,
            'amount', p.amount,
            'is_pending', p.planned_at IS NOT NULL AND p.effective_at >= s.current_period_end
        )
        FROM billing_planned_changes AS p
        WHERE p.stripe_schedule_id = s.stripe_schedule_id
    ) AS planned,
    (
        SELECT p.since
        FROM billing_pauses AS p
        WHERE p.subscription_id = s.id
          AND p.ended_at IS NULL
    ) AS held_from,
    (
        SELECT p.until
        FROM billing_pauses AS p
        WHERE p.subscription_id = s.id
          AND p.ended_at IS NULL
    ) AS held_until,
    (SELECT to_jsonb(d) - 'said' FROM billing_dunning_v1(s.id) AS d) AS dunning,
    CASE WHEN s.pending_update_expires_at IS NOT NULL THEN (
        -- its invoice is the latest of those for changes; the invoice's webhook may come later
        SELECT jsonb_build_object(
            'expires_at', s.pending_update_expires_at,
            'url', (array_agg(i.hosted_invoice_url ORDER BY i.stripe_created DESC))[1],
            'amount', (array_agg(i.amount_remaining ORDER BY i.stripe_created DESC))[1]
        )
        FROM invoices AS i
        WHERE i.subscription_id = s.id
          AND i.stripe_status = 'open'
          AND i.billing_reason = 'subscription_update'
    ) END AS pending_update
FROM subscriptions AS s
LEFT JOIN tenants AS t
    ON t.id = s.tenant_id
LEFT JOIN LATERAL (
    SELECT
        jsonb_agg(
            jsonb_build_object(
                'id', i.id,
                'stripe_id', i.stripe_subscription_item_id,
                'product_id', product.id,
                'code', product.code,
                'kind', product.kind,
                'name', product.name,
                'quantity', i.quantity,
                'unit_amount', i.unit_amount,
                'currency', i.currency,
                'recurring_interval', i.recurring_interval,
                'interval_count', i.interval_count,
                'current_period_end', i.current_period_end,
                'coming_price', coming.stripe_price_id,
                'coming_unit_amount', coming.unit_amount,
                'coming_at', c.effective_at,
                'metered', p.meter IS NOT NULL
            )
            ORDER BY product.kind = 'plan' DESC NULLS LAST, product.code, i.id
        ) AS items
    FROM subscription_items AS i
    LEFT JOIN prices AS p
        ON p.id = i.price_id
    LEFT JOIN products AS product
        ON product.id = p.product_id
    LEFT JOIN billing_price_changes AS c
        ON c.subscription_id = i.subscription_id
        AND c.old_price_id = i.price_id
        AND c.made_at IS NULL
        AND c.withdrawn_at IS NULL
    LEFT JOIN prices AS coming
        ON coming.id = c.new_price_id
    WHERE i.subscription_id = s.id
) AS charged ON TRUE
LEFT JOIN LATERAL (
    -- items may have different terms: the next invoice has those that end first
    SELECT
        listed.ends_at AS at,
        sum(listed.amount)::bigint AS subtotal,
        array_agg(listed.id) AS item_ids
    FROM (
        SELECT
            i.id,
            coalesce(i.current_period_end, s.current_period_end) AS ends_at,
            coalesce(coming.unit_amount, i.unit_amount, 0)::numeric * coalesce(i.quantity, 0) AS amount
        FROM subscription_items AS i
        LEFT JOIN billing_price_changes AS c
            ON c.subscription_id = i.subscription_id
            AND c.old_price_id = i.price_id
            AND c.made_at IS NULL
            AND c.withdrawn_at IS NULL
            AND c.effective_at <= i.current_period_end
        LEFT JOIN prices AS coming
            ON coming.id = c.new_price_id
        WHERE i.subscription_id = s.id
    ) AS listed
    GROUP BY listed.ends_at
    ORDER BY listed.ends_at
    LIMIT 1
) AS due ON TRUE
LEFT JOIN LATERAL (
    SELECT round(sum(n.amount))::bigint AS amount
    FROM billing_net_amounts_v1(s.id, due.item_ids, due.at, TRUE, TRUE) AS n
) AS net ON TRUE
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
        'stripe_id', d.stripe_discount_id,
        'stripe_item_id', d.stripe_subscription_item_id,
        'coupon', d.stripe_coupon_id,
        'name', d.coupon_name,
        'percent_off', d.percent_off::float8,
        'amount_off', d.amount_off,
        'currency', d.currency,
        'duration', d.duration,
        'ends_at', d.ends_at,
        'item_id', i.id
    ) ORDER BY d.position) AS discounts
    FROM subscription_discounts AS d
    LEFT JOIN subscription_items AS i
        ON i.stripe_subscription_item_id = d.stripe_subscription_item_id
    WHERE d.subscription_id = s.id
) AS discounted ON TRUE
WHERE s.id = ANY(:subscription_ids::uuid[])
  AND s.billing_provider = 'stripe'
  AND s.livemode = :livemode::boolean
ORDER BY s.created_at DESC, s.id DESC;

-- name: list_balances(customer_id, livemode)
-- What Stripe applies to the next invoices of a customer.
SELECT
    b.stripe_customer_id,
    b.currency,
    b.balance
FROM stripe_customers AS c
JOIN stripe_customer_balances AS b
    ON b.stripe_customer_id = c.id
WHERE c.customer_id = :customer_id::uuid
  AND c.livemode = :livemode::boolean
  AND b.balance <> 0
ORDER BY b.stripe_customer_id, b.currency;

-- name: find_running(customer_id, stripe_customer_id)$
SELECT s.stripe_subscription_id
FROM subscriptions AS s
WHERE s.customer_id = :customer_id::uuid
  AND s.billing_provider = 'stripe'
  AND s.stripe_customer_id = :stripe_customer_id
  AND s.stripe_status IN ('trialing', 'active', 'past_due')
ORDER BY s.created_at DESC
LIMIT 1;

-- name: get_balance(stripe_customer_id, currency)$
SELECT b.balance
FROM stripe_customer_balances AS b
WHERE b.stripe_customer_id = :stripe_customer_id
  AND b.currency = :currency;

-- name: list_invoice_ids_of_subscription(subscription_id, livemode, status, before_at, before_id, most)
-- Newest first, of a status; else without drafts.
SELECT i.id
FROM invoices AS i
WHERE i.subscription_id = :subscription_id::uuid
  AND i.stripe_invoice_id IS NOT NULL
  AND i.livemode = :livemode::boolean
  AND CASE
      WHEN :status::text IS NULL THEN i.stripe_status NOT IN ('draft', 'deleted')
      ELSE i.stripe_status = :status::text
  END
  AND (
      :before_id::uuid IS NULL
      OR (i.stripe_created, i.id) < (:before_at::timestamptz, :before_id::uuid)
  )
ORDER BY i.stripe_created DESC, i.id DESC
LIMIT :most;

-- name: list_invoice_ids_of_customer(customer_id, livemode, status, before_at, before_id, most)
-- The same for all invoices of the customer.
SELECT i.id
FROM invoices AS i
WHERE i.customer_id = :customer_id::uuid
  AND i.stripe_invoice_id IS NOT NULL
  AND i.livemode = :livemode::boolean
  AND CASE
      WHEN :status::text IS NULL THEN i.stripe_status NOT IN ('draft', 'deleted')
      ELSE i.stripe_status = :status::text
  END
  AND (
      :before_id::uuid IS NULL
      OR (i.stripe_created, i.id) < (:before_at::timestamptz, :before_id::uuid)
  )
ORDER BY i.stripe_created DESC, i.id DESC
LIMIT :most;

-- name: list_invoices(invoice_ids, livemode)
SELECT
    i.id,
    i.customer_id,
    i.subscription_id,
    i.stripe_invoice_id,
    i.stripe_number,
    i.stripe_status,
    i.billing_reason,
    lower(i.currency) AS currency,
    coalesce(i.amount_invoiced, i.amount_due) + coalesce((
        SELECT sum(n.amount_before_payment)
        FROM stripe_credit_notes AS n
        WHERE n.stripe_invoice_id = i.stripe_invoice_id
          AND n.status = 'issued'
    ), 0)::bigint AS total,
    coalesce((
        SELECT sum((tax.value ->> 'amount')::bigint)
        FROM jsonb_array_elements(i.taxes) AS tax
    ), 0)::bigint AS total_tax,
    coalesce(i.amount_invoiced, i.amount_due) AS amount_invoiced,
    i.amount_due,
    i.amount_paid,
    i.amount_remaining,
    i.amount_refunded,
    i.amount_credited,
    i.amount_disputed,
    i.period_start,
    i.period_end,
    i.stripe_created,
    i.paid_date AT TIME ZONE 'UTC' AS paid_at,
    i.next_payment_attempt,
    i.hosted_invoice_url,
    i.invoice_pdf
FROM invoices AS i
WHERE i.id = ANY(:invoice_ids::uuid[])
  AND i.stripe_invoice_id IS NOT NULL
  AND i.livemode = :livemode::boolean
ORDER BY i.stripe_created DESC, i.id DESC;

-- name: list_taxes(invoice_id)
SELECT
    rate.display_name AS name,
    rate.country,
    coalesce(rate.jurisdiction, rate.state_code, rate.country) AS jurisdiction,
    rate.percentage AS rate,
    line.inclusive,
    line.reason,
    line.net,
    line.amount AS tax
FROM invoices AS i
CROSS JOIN LATERAL ROWS FROM (
    jsonb_to_recordset(i.taxes) AS (tax_rate text, inclusive boolean, reason text, net bigint, amount bigint)
) WITH ORDINALITY AS line (tax_rate, inclusive, reason, net, amount, place)
LEFT JOIN LATERAL (
    -- OFFSET 0 keeps this a look-up for each line
    SELECT r.*
    FROM stripe_tax_rates AS r
    WHERE r.stripe_tax_rate_id = line.tax_rate
    OFFSET 0
) AS rate ON TRUE
WHERE i.id = :invoice_id::uuid
ORDER BY line.place;

-- name: list_payments(stripe_invoice_id)
-- How an invoice was paid, and what of it has been or is being refunded.
SELECT
    p.stripe_payment_intent_id,
    p.amount_paid,
    coalesce(sum(r.amount) FILTER (WHERE r.status NOT IN ('failed', 'canceled')), 0)::bigint AS amount_refunded,
    NOT EXISTS (
        SELECT 1
        FROM stripe_disputes AS d
        WHERE d.stripe_payment_intent_id = p.stripe_payment_intent_id
          AND NOT d.is_charge_refundable
    ) AS is_refundable
FROM invoice_payments AS p
LEFT JOIN stripe_refunds AS r
    ON r.stripe_payment_intent_id = p.stripe_payment_intent_id
WHERE p.stripe_invoice_id = :stripe_invoice_id
  AND p.status = 'paid'
  AND p.amount_paid > 0
  AND p.stripe_payment_intent_id IS NOT NULL
GROUP BY p.stripe_invoice_payment_id
ORDER BY p.stripe_created, p.stripe_invoice_payment_id;

-- name: get_refund(stripe_refund_id)^
SELECT
    r.stripe_refund_id,
    r.amount,
    r.currency,
    r.status,
    r.reason,
    r.stripe_created
FROM stripe_refunds AS r
WHERE r.stripe_refund_id = :stripe_refund_id;

-- name: list_refund_statuses(stripe_invoice_id)
SELECT
    r.stripe_refund_id,
    r.status
FROM invoice_payments AS p
JOIN stripe_refunds AS r
    ON r.stripe_payment_intent_id = p.stripe_payment_intent_id
WHERE p.stripe_invoice_id = :stripe_invoice_id;

-- name: list_refunds(stripe_invoice_id)
-- The refunds of an invoice's payments, the latest first.
SELECT DISTINCT
    r.stripe_refund_id,
    r.amount,
    r.currency,
    r.status,
    r.reason,
    r.stripe_created
FROM invoice_payments AS p
JOIN stripe_refunds AS r
    ON r.stripe_payment_intent_id = p.stripe_payment_intent_id
WHERE p.stripe_invoice_id = :stripe_invoice_id
ORDER BY r.stripe_created DESC, r.stripe_refund_id DESC;

-- name: list_credit_notes(stripe_invoice_id, stripe_credit_note_id)
-- The credit notes of an invoice, the latest first; or one of them.
SELECT
    n.stripe_credit_note_id,
    n.stripe_number,
    n.status,
    n.amount,
    n.amount_before_payment,
    n.amount_refunded,
    n.amount_to_balance,
    n.amount_out_of_band,
    n.currency,
    n.reason,
    n.memo,
    n.pdf,
    n.stripe_created
FROM stripe_credit_notes AS n
WHERE n.stripe_invoice_id = :stripe_invoice_id
  AND (:stripe_credit_note_id::text IS NULL OR n.stripe_credit_note_id = :stripe_credit_note_id)
ORDER BY n.stripe_created DESC, n.stripe_credit_note_id DESC;

-- name: list_dispute_statuses(stripe_invoice_id)
SELECT
    d.stripe_dispute_id,
    d.status
FROM invoice_payments AS p
JOIN stripe_disputes AS d
    ON d.stripe_payment_intent_id = p.stripe_payment_intent_id
WHERE p.stripe_invoice_id = :stripe_invoice_id;

-- name: find_draft(subscription_id)$
-- The latest invoice for a term that is not settled. An open one may have been a draft when an earlier
-- try finalized it and stopped.
SELECT i.stripe_invoice_id
FROM invoices AS i
WHERE i.subscription_id = :subscription_id::uuid
  AND i.stripe_status IN ('draft', 'open')
  AND i.billing_reason IS DISTINCT FROM 'manual'
ORDER BY i.stripe_status = 'draft' DESC, i.stripe_created DESC
LIMIT 1;

-- name: list_ids_of_invoices(stripe_invoice_ids)
SELECT
    i.stripe_invoice_id,
    i.id
FROM invoices AS i
WHERE i.stripe_invoice_id = ANY(:stripe_invoice_ids::text[]);

-- name: find_invoice(name, livemode)$
-- By our id or Stripe's.
SELECT i.id
FROM invoices AS i
WHERE i.livemode = :livemode::boolean
  AND i.stripe_invoice_id IS NOT NULL
  AND (
      i.stripe_invoice_id = :name
      OR i.id = CASE WHEN pg_input_is_valid(:name, 'uuid') THEN :name::text::uuid END
  );

-- name: list_attempts(payment_intents)
-- What was charged or declined, the oldest first.
SELECT
    c.stripe_created,
    c.amount,
    c.currency,
    c.status,
    c.decline_reason,
    c.card_brand,
    c.card_last4
FROM stripe_charges AS c
WHERE c.stripe_payment_intent_id = ANY(:payment_intents::text[])
ORDER BY c.stripe_created, c.stripe_charge_id;
