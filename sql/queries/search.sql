-- What an operator searches for: by any id, an e-mail address, a domain, words of a name.

-- name: find_by_id(least, greatest)
-- Our ids from one to another, whatever they are of.
SELECT 'customer' AS object_type, c.id::text AS object_id, c.id AS customer_id, NULL::uuid AS subscription_id
FROM customers AS c
WHERE c.id BETWEEN :least::uuid AND :greatest::uuid
UNION ALL
SELECT 'account', c.user_id::text, c.id, NULL
FROM customers AS c
WHERE c.user_id BETWEEN :least::uuid AND :greatest::uuid
UNION ALL
SELECT 'subscription', s.id::text, s.customer_id, s.id
FROM subscriptions AS s
WHERE s.id BETWEEN :least::uuid AND :greatest::uuid
UNION ALL
SELECT 'invoice', i.id::text, coalesce(i.customer_id, s.customer_id), i.subscription_id
FROM invoices AS i
LEFT JOIN subscriptions AS s
    ON s.id = i.subscription_id
WHERE i.id BETWEEN :least::uuid AND :greatest::uuid
UNION ALL
SELECT 'tenant', t.id::text, s.customer_id, s.id
FROM tenants AS t
JOIN subscriptions AS s
    ON s.id = t.billing_subscription_id
WHERE t.id BETWEEN :least::uuid AND :greatest::uuid
UNION ALL
SELECT 'domain', d.name, d.customer_id, d.subscription_id
FROM billing_domains AS d
WHERE d.id BETWEEN :least::uuid AND :greatest::uuid
LIMIT 200;

-- name: find_by_stripe_id(id)
-- One of Stripe's ids or a message's, if a row has it.
SELECT 'customer' AS object_type, k.id AS object_id, k.customer_id, NULL::uuid AS subscription_id
FROM stripe_customers AS k
WHERE k.id = :id::text
UNION ALL
SELECT 'subscription', s.stripe_subscription_id, s.customer_id, s.id
FROM subscriptions AS s
WHERE s.stripe_subscription_id = :id::text
UNION ALL
SELECT 'subscription_item', i.stripe_subscription_item_id, s.customer_id, s.id
FROM subscription_items AS i
JOIN subscriptions AS s
    ON s.id = i.subscription_id
WHERE i.stripe_subscription_item_id = :id::text
UNION ALL
SELECT 'checkout.session', c.stripe_session_id, s.customer_id, s.id
FROM checkout_sessions AS c
JOIN subscriptions AS s
    ON s.id = c.subscription_id
WHERE c.stripe_session_id = :id::text
UNION ALL
SELECT 'invoice', i.stripe_invoice_id, coalesce(i.customer_id, s.customer_id), i.subscription_id
FROM invoices AS i
LEFT JOIN subscriptions AS s
    ON s.id = i.subscription_id
WHERE i.stripe_invoice_id = :id::text
UNION ALL
SELECT 'payment_intent', p.stripe_payment_intent_id, coalesce(i.customer_id, s.customer_id), i.subscription_id
FROM invoice_payments AS p
JOIN invoices AS i
    ON i.stripe_invoice_id = p.stripe_invoice_id
LEFT JOIN subscriptions AS s
    ON s.id = i.subscription_id
WHERE p.stripe_payment_intent_id = :id::text
UNION ALL
SELECT 'refund', r.stripe_refund_id, coalesce(i.customer_id, s.customer_id), i.subscription_id
FROM stripe_refunds AS r
JOIN invoice_payments AS p
    ON p.stripe_payment_intent_id = r.stripe_payment_intent_id
JOIN invoices AS i
    ON i.stripe_invoice_id = p.stripe_invoice_id
LEFT JOIN subscriptions AS s
    ON s.id = i.subscription_id
WHERE r.stripe_refund_id = :id::text
UNION ALL
SELECT 'charge', h.stripe_charge_id, k.customer_id, NULL
FROM stripe_charges AS h
JOIN stripe_customers AS k
    ON k.id = h.stripe_customer_id
WHERE h.stripe_charge_id = :id::text
UNION ALL
SELECT 'dispute', d.stripe_dispute_id, k.customer_id, NULL
FROM stripe_disputes AS d
JOIN stripe_charges AS h
    ON h.stripe_charge_id = d.stripe_charge_id
JOIN stripe_customers AS k
    ON k.id = h.stripe_customer_id
WHERE d.stripe_dispute_id = :id::text
UNION ALL
SELECT 'credit_note', n.stripe_credit_note_id, coalesce(i.customer_id, s.customer_id), i.subscription_id
FROM stripe_credit_notes AS n
JOIN invoices AS i
    ON i.stripe_invoice_id = n.stripe_invoice_id
LEFT JOIN subscriptions AS s
    ON s.id = i.subscription_id
WHERE n.stripe_credit_note_id = :id::text
UNION ALL
SELECT 'message', m.id, s.customer_id, s.id
FROM billing_messages AS m
JOIN subscriptions AS s
    ON s.id = m.subscription_id
WHERE m.id = :id::text;

-- name: list_mentioned(id)
-- Which other objects the events about an object name, or an event names: the nearest first.
SELECT mentioned.id
FROM stripe_events AS e
CROSS JOIN LATERAL (
    SELECT e.payload #> '{data,object}' AS body
    OFFSET 0
) AS about
CROSS JOIN LATERAL (
    VALUES
    (1, e.object_id),
    (2, about.body ->> 'subscription'),
    (3, about.body #>> '{parent,subscription_details,subscription}'),
    (4, about.body ->> 'invoice'),
    (5, about.body ->> 'payment_intent'),
    (6, about.body ->> 'charge'),
    (7, about.body ->> 'customer')
) AS mentioned (nearness, id)
WHERE (e.id = :id::text OR e.object_id = :id::text)
  AND mentioned.id <> :id::text
GROUP BY mentioned.id
ORDER BY min(mentioned.nearness)
LIMIT 10;

-- name: find_by_email(email)
-- Of a customer record, or of an account in mPanel.
SELECT 'email' AS object_type, c.email AS object_id, c.id AS customer_id, NULL::uuid AS subscription_id
FROM customers AS c
WHERE lower(c.email) = lower(:email::text)
UNION ALL
SELECT 'account', u.email, c.id, NULL
FROM users AS u
JOIN customers AS c
    ON c.user_id = u.id
WHERE lower(u.email) = lower(:email::text)
LIMIT 200;

-- name: find_by_domain(name, forms, registrable)
-- The name itself or names under it: of tenants, domains and orders. In an order of bytes, / follows the dot,
-- and no name has it.
WITH wanted AS (
    SELECT reverse(form.name) AS reversed
    FROM unnest(:forms::text[]) AS form (name)
),
spans AS (
    SELECT wanted.reversed AS first, wanted.reversed AS last FROM wanted
    UNION ALL
    SELECT wanted.reversed || '.', wanted.reversed || '/' FROM wanted
)
SELECT 'tenant' AS object_type, t.domain::text AS object_id, s.customer_id, s.id AS subscription_id
FROM spans
CROSS JOIN LATERAL (
    -- the limit tells the planner that these are few: it takes them for a ninth of all, and compiles the query
    SELECT
        named.domain,
        named.billing_subscription_id
    FROM tenants AS named
    WHERE reverse(lower(named.domain)) ~>=~ spans.first
      AND reverse(lower(named.domain)) ~<=~ spans.last
    LIMIT 200
) AS t
JOIN subscriptions AS s
    ON s.id = t.billing_subscription_id
UNION ALL
SELECT 'domain', d.domain_name::text, d.customer_id, d.subscription_id
FROM spans
JOIN domains AS d
    ON reverse(lower(CASE WHEN d.domain_name LIKE '%.%' THEN d.domain_name ELSE d.domain_name || '.' || ltrim(d.tld, '.') END))
        ~>=~ spans.first
    AND reverse(lower(CASE WHEN d.domain_name LIKE '%.%' THEN d.domain_name ELSE d.domain_name || '.' || ltrim(d.tld, '.') END))
        ~<=~ spans.last
UNION ALL
SELECT 'order', o.name, coalesce(s.customer_id, o.customer_id), s.id
FROM billing_domains AS o
LEFT JOIN subscriptions AS s
    ON s.id = o.subscription_id
WHERE o.registrable = :registrable::text
  AND (o.name = :name::text OR o.name LIKE '%.' || :name::text)
LIMIT 200;

-- name: find_by_domain_start(least, greatest, most)
-- Names in an order of bytes from one to another: of tenants, domains and orders.
(
    SELECT 'tenant' AS object_type, t.domain::text AS object_id, s.customer_id, s.id AS subscription_id
    FROM tenants AS t
    JOIN subscriptions AS s
        ON s.id = t.billing_subscription_id
    WHERE lower(t.domain) ~>=~ :least::text
      AND lower(t.domain) ~<=~ :greatest::text
    LIMIT :most
)
UNION ALL
(
    SELECT 'domain', d.domain_name::text, d.customer_id, d.subscription_id
    FROM domains AS d
    WHERE lower(d.domain_name) ~>=~ :least::text
      AND lower(d.domain_name) ~<=~ :greatest::text
    LIMIT :most
)
UNION ALL
(
    SELECT 'order', o.name, coalesce(s.customer_id, o.customer_id), s.id
    FROM billing_domains AS o
    LEFT JOIN subscriptions AS s
        ON s.id = o.subscription_id
    WHERE o.name ~>=~ :least::text
      AND o.name ~<=~ :greatest::text
    LIMIT :most
);

-- name: find_by_words(words, most)
-- Customers whose name, company and e-mail address have these beginnings of words; latest first. The expression is that
-- of billing_customers_words_idx. What many have is found among the latest: the index would read all that have it. Whole
-- words come next: of a beginning, the index reads all that have it, even if another word is rare. Of more than a thousand it
-- reads any thousand: the words have to be more exact.
WITH worded AS NOT MATERIALIZED (
    SELECT
        c.id,
        coalesce(c.name, c.company_name, c.email) AS said,
        c.created_at,
        to_tsvector(
            'simple',
            translate(
                replace(
                    lower(
                        coalesce(c.name, '') || ' ' || coalesce(c.company_name, '')
                        || ' ' || coalesce(split_part(c.email, '@', 2), '')
                        || ' ' || translate(coalesce(regexp_replace(c.email, '[.][^.@]*$', ''), ''), '@.+_-', '     ')
                    ),
                    'ß',
                    'ss'
                ),
                'äöüàáâãåąçćčďđèéêëęěğìíîïıłñńňòóôõøőřśšșşťțùúûůűýÿźżž',
                'aouaaaaaacccddeeeeeegiiiiilnnnoooooorssssttuuuuuyyzzz'
            )
        ) AS words
    FROM customers AS c
),
of_latest AS MATERIALIZED (
    SELECT
        latest.id,
        latest.said,
        latest.created_at
    FROM (
        SELECT *
        FROM worded
        ORDER BY worded.created_at DESC
        LIMIT 300
    ) AS latest
    WHERE latest.words @@ (:words::text)::tsquery
    LIMIT :most
),
of_whole_words AS MATERIALIZED (
    SELECT
        worded.id,
        worded.said,
        worded.created_at
    FROM worded
    WHERE worded.words @@ replace(:words::text, ':*', '')::tsquery
      AND (SELECT count(*) FROM of_latest) < :most
    LIMIT 1000
),
of_all AS (
    SELECT
        worded.id,
        worded.said,
        worded.created_at
    FROM worded
    WHERE worded.words @@ (:words::text)::tsquery
      AND (SELECT count(*) FROM of_latest) < :most
      AND (SELECT count(*) FROM of_whole_words) < :most
    LIMIT 1000
)
SELECT 'name' AS object_type, found.said AS object_id, found.id AS customer_id, NULL::uuid AS subscription_id
FROM (
    SELECT * FROM of_all
    UNION
    SELECT * FROM of_whole_words
    UNION
    SELECT * FROM of_latest
) AS found
ORDER BY found.created_at DESC, found.id
LIMIT :most;

-- name: list_customers(ids)
-- What tells customers apart, and whose records they have joined.
SELECT
    c.id,
    c.user_id,
    c.name,
    c.company_name,
    c.email,
    c.joined_id,
    ARRAY(
        SELECT k.id
        FROM stripe_customers AS k
        WHERE k.customer_id = c.id
        ORDER BY k.id = c.stripe_customer_id DESC, k.id
    ) AS stripe_customer_ids,
    (
        SELECT count(*)
        FROM subscriptions AS s
        WHERE s.customer_id = c.id
          AND s.billing_provider = 'stripe'
    ) AS subscription_count
FROM customers AS c
WHERE c.id = ANY(:ids::uuid[])
ORDER BY c.created_at DESC, c.id;

-- name: list_subscriptions(customer_ids, subscription_ids, most)
-- Of each customer those that were found, and the latest.
SELECT
    s.id,
    s.customer_id,
    s.stripe_subscription_id,
    s.metadata ->> 'planId' AS plan_id,
    s.billing_cycle,
    s.status,
    s.stripe_status,
    s.current_period_end,
    coalesce(t.billing_former_domain, t.domain) AS domain,
    (SELECT d.said FROM billing_dunning_v1(s.id) AS d) AS dunning
FROM unnest(:customer_ids::uuid[]) AS asked (customer_id)
CROSS JOIN LATERAL (
    SELECT either.id
    FROM (
        SELECT
            found.id,
            found.created_at,
            1 AS place
        FROM subscriptions AS found
        WHERE found.id = ANY(:subscription_ids::uuid[])
          AND found.customer_id = asked.customer_id
          AND found.billing_provider = 'stripe'
        UNION ALL
        (
            SELECT
                latest.id,
                latest.created_at,
                2
            FROM subscriptions AS latest
            WHERE latest.customer_id = asked.customer_id
              AND latest.billing_provider = 'stripe'
            ORDER BY latest.created_at DESC, latest.id
            LIMIT :most
        )
    ) AS either
    GROUP BY either.id, either.created_at
    ORDER BY min(either.place), either.created_at DESC, either.id
    LIMIT :most
) AS listed
JOIN subscriptions AS s
    ON s.id = listed.id
LEFT JOIN tenants AS t
    ON t.id = s.tenant_id
ORDER BY s.customer_id, s.created_at DESC, s.id;

-- name: show_customer(customer_id)^
-- A customer record as one person reads it.
SELECT
    c.id,
    c.user_id,
    c.name,
    c.company_name,
    c.email,
    c.phone,
    concat_ws(
        ', ',
        nullif(c.address_line1, ''),
        nullif(c.address_line2, ''),
        nullif(concat_ws(' ', c.postal_code, c.city), ''),
        nullif(c.state, ''),
        c.country
    ) AS address,
    c.tax_id,
    c.joined_id,
    c.created_at AT TIME ZONE 'UTC' AS created_at,
    c.metadata ->> 'erasedAt' AS erased_at,
    ARRAY(
        SELECT k.id
        FROM stripe_customers AS k
        WHERE k.customer_id = c.id
        ORDER BY k.id = c.stripe_customer_id DESC, k.id
    ) AS stripe_customer_ids
FROM customers AS c
WHERE c.id = :customer_id::uuid;

-- name: list_customer_subscriptions(customer_id, most)
-- As in billing_overview, latest first, with an operator's suspension; without what is computed for no reader.
SELECT
    o.subscription_id,
    o.ordered_at,
    o.plan,
    o.billing_cycle,
    o.amount,
    o.currency,
    o.status,
    o.stripe_status,
    o.current_period_end,
    o.will_end,
    o.tenant_domain,
    o.domains,
    o.services,
    o.discounts,
    o.next_charge,
    o.planned_change,
    o.dunning,
    o.stripe_subscription_id,
    h.reason AS held_for
FROM (
    SELECT s.id
    FROM subscriptions AS s
    WHERE s.customer_id = :customer_id::uuid
      AND s.billing_provider = 'stripe'
    ORDER BY s.created_at DESC, s.id
    LIMIT :most
) AS listed
JOIN billing_overview AS o
    ON o.subscription_id = listed.id
LEFT JOIN provisioning_holds AS h
    ON h.subscription_id = listed.id
    AND h.lifted_at IS NULL
ORDER BY o.ordered_at DESC, o.subscription_id;

-- name: list_customer_trouble(customer_id, most)
-- Of the subscriptions above, with what it means and what settles it.
SELECT
    b.trouble,
    k.meaning,
    k.settled_by,
    b.subscription_id,
    b.object_id,
    b.since,
    b.detail
FROM billing_trouble AS b
JOIN billing_trouble_kinds AS k
    ON k.kind = b.trouble
-- an array, so that each branch of the view looks them all up at once: not each branch for each of them
WHERE b.subscription_id = ANY(ARRAY(
    SELECT s.id
    FROM subscriptions AS s
    WHERE s.customer_id = :customer_id::uuid
      AND s.billing_provider = 'stripe'
    ORDER BY s.created_at DESC, s.id
    LIMIT :most
))
ORDER BY b.since, b.trouble;

-- name: list_subscription_trouble(subscription_id)
SELECT
    b.trouble,
    k.meaning,
    k.settled_by,
    b.subscription_id,
    b.object_id,
    b.since,
    b.detail
FROM billing_trouble AS b
JOIN billing_trouble_kinds AS k
    ON k.kind = b.trouble
WHERE b.subscription_id = :subscription_id::uuid
ORDER BY b.since, b.trouble;

-- name: list_customer_invoices(customer_id, most)
-- The latest invoices at Stripe, with what was refunded of each; amounts in minor units.
SELECT
    i.id,
    i.stripe_invoice_id,
    i.stripe_number,
    i.stripe_status,
    i.stripe_created,
    lower(i.currency) AS currency,
    coalesce((
        SELECT sum((tax.value ->> 'amount')::bigint)
        FROM jsonb_array_elements(i.taxes) AS tax
    ), 0)::bigint AS total_tax,
    i.amount_due,
    i.amount_paid,
    i.amount_remaining,
    coalesce(i.amount_disputed, 0) AS amount_disputed,
    i.next_payment_attempt,
    (
        SELECT coalesce(sum(r.amount), 0)::bigint
        FROM invoice_payments AS p
        JOIN stripe_refunds AS r
            ON r.stripe_payment_intent_id = p.stripe_payment_intent_id
            AND r.status NOT IN ('failed', 'canceled')
        WHERE p.stripe_invoice_id = i.stripe_invoice_id
    ) AS amount_refunded
FROM invoices AS i
WHERE i.customer_id = :customer_id::uuid
  AND i.stripe_invoice_id IS NOT NULL
ORDER BY i.stripe_created DESC, i.id
LIMIT :most;

-- name: list_customer_debts(customer_id)
-- What they owe on open invoices, in minor units of each currency.
SELECT
    lower(i.currency) AS currency,
    sum(i.amount_remaining)::bigint AS amount,
    count(*) AS invoices
FROM invoices AS i
WHERE i.customer_id = :customer_id::uuid
  AND i.stripe_invoice_id IS NOT NULL
  AND i.stripe_status = 'open'
  AND i.amount_remaining > 0
GROUP BY lower(i.currency)
ORDER BY lower(i.currency);

-- name: list_customer_changes(customer_id, subscription_ids, most)
-- What operators and keys have done about a customer, these subscriptions, and the invoices and disputes of the customer,
-- latest first. Of the invoices those of which something was given back, those that are owed, and the latest.
WITH billed AS MATERIALIZED (
    SELECT
        i.id,
        i.stripe_invoice_id
    FROM invoices AS i
    WHERE i.customer_id = :customer_id::uuid
      AND i.stripe_invoice_id IS NOT NULL
      AND (i.amount_refunded > 0 OR i.amount_credited > 0 OR i.disputed_since IS NOT NULL OR i.stripe_status = 'open')
    UNION
    (
        SELECT
            i.id,
            i.stripe_invoice_id
        FROM invoices AS i
        WHERE i.customer_id = :customer_id::uuid
          AND i.stripe_invoice_id IS NOT NULL
        ORDER BY i.stripe_created DESC
        LIMIT 200
    )
),
targets AS MATERIALIZED (
    SELECT :customer_id::uuid::text AS id
    UNION
    SELECT listed.id::text FROM unnest(:subscription_ids::uuid[]) AS listed (id)
    UNION
    SELECT billed.id::text FROM billed
    UNION
    SELECT d.stripe_dispute_id
    FROM billed
    JOIN invoice_payments AS p
        ON p.stripe_invoice_id = billed.stripe_invoice_id
    JOIN stripe_disputes AS d
        ON d.stripe_payment_intent_id = p.stripe_payment_intent_id
)
SELECT
    a.began_at,
    a.actor,
    a.person,
    a.action,
    a.outcome,
    a.error,
    a.details #>> '{params,metadata,planId}' AS to_plan
FROM targets AS target
CROSS JOIN LATERAL (
    SELECT *
    FROM billing_audit_entries AS entry
    WHERE entry.target_id = target.id
      AND entry.id = (
          SELECT max(later.id)
          FROM billing_audit_entries AS later
          WHERE later.entry_id = entry.entry_id
      )
    ORDER BY entry.entry_id DESC
    LIMIT :most
) AS a
ORDER BY a.began_at DESC
LIMIT :most;

-- name: list_customer_payments(customer_id, most)
-- The latest attempts to charge them, with why one was declined, and for which invoice.
SELECT
    h.stripe_charge_id,
    h.stripe_created,
    h.amount,
    h.amount_refunded,
    h.currency,
    h.status,
    h.decline_reason,
    coalesce(h.decline_code, h.failure_code) AS code,
    h.card_brand,
    h.card_last4,
    coalesce(paid.id, tried.id) AS invoice_id,
    CASE WHEN paid.id IS NULL THEN tried.stripe_number ELSE paid.stripe_number END AS stripe_number
FROM stripe_customers AS k
CROSS JOIN LATERAL (
    SELECT *
    FROM stripe_charges AS charged
    WHERE charged.stripe_customer_id = k.id
    ORDER BY charged.stripe_created DESC
    LIMIT :most
) AS h
LEFT JOIN LATERAL (
    SELECT
        i.id,
        i.stripe_number
    FROM invoice_payments AS p
    JOIN invoices AS i
        ON i.stripe_invoice_id = p.stripe_invoice_id
    WHERE p.stripe_payment_intent_id = h.stripe_payment_intent_id
    ORDER BY p.stripe_created
    LIMIT 1
) AS paid ON TRUE
LEFT JOIN LATERAL (
    -- as billing_declined_v1: Stripe tells of an invoice's payment once it is paid
    SELECT
        i.id,
        i.stripe_number
    FROM (
        SELECT
            earlier.id,
            earlier.stripe_number,
            earlier.stripe_customer_id,
            earlier.stripe_created,
            earlier.stripe_payment_intent_id,
            earlier.amount_due,
            earlier.attempt_count
        FROM invoices AS earlier
        WHERE h.status = 'failed'
          AND paid.id IS NULL
          AND earlier.customer_id = k.customer_id
          AND earlier.stripe_created <= h.stripe_created
        ORDER BY earlier.stripe_created DESC
        LIMIT 200
    ) AS i
    WHERE i.stripe_customer_id = h.stripe_customer_id
      AND i.attempt_count > 0
      AND i.stripe_payment_intent_id IS NULL
      AND i.amount_due = h.amount
    ORDER BY i.stripe_created DESC
    LIMIT 1
) AS tried ON TRUE
WHERE k.customer_id = :customer_id::uuid
ORDER BY h.stripe_created DESC, h.stripe_charge_id
LIMIT :most;

-- name: list_customer_returns(customer_id, most)
-- What was given back to them, the latest first: refunds, and credit notes with what they gave back. Of their invoices
-- those of which something was, and the latest: a refund that failed gave nothing back.
WITH billed AS MATERIALIZED (
    SELECT
        i.id,
        i.stripe_invoice_id,
        i.stripe_number
    FROM invoices AS i
    WHERE i.customer_id = :customer_id::uuid
      AND i.stripe_invoice_id IS NOT NULL
      AND (i.amount_refunded > 0 OR i.amount_credited > 0)
    UNION
    (
        SELECT
            i.id,
            i.stripe_invoice_id,
            i.stripe_number
        FROM invoices AS i
        WHERE i.customer_id = :customer_id::uuid
          AND i.stripe_invoice_id IS NOT NULL
        ORDER BY i.stripe_created DESC
        LIMIT 200
    )
)
SELECT
    'refund' AS kind,
    r.stripe_refund_id AS id,
    r.stripe_created,
    r.amount,
    r.currency,
    r.status,
    r.reason,
    billed.id AS invoice_id,
    billed.stripe_number
FROM billed
JOIN invoice_payments AS p
    ON p.stripe_invoice_id = billed.stripe_invoice_id
JOIN stripe_refunds AS r
    ON r.stripe_payment_intent_id = p.stripe_payment_intent_id
UNION ALL
SELECT
    'credit_note',
    n.stripe_credit_note_id,
    n.stripe_created,
    n.amount,
    n.currency,
    n.status,
    n.reason,
    billed.id,
    billed.stripe_number
FROM billed
JOIN stripe_credit_notes AS n
    ON n.stripe_invoice_id = billed.stripe_invoice_id
ORDER BY stripe_created DESC, id
LIMIT :most;
