-- What waits for a person, as lists of the console.

-- name: list_trouble(kind, most)
-- Of one kind or of each the oldest, how many there are, and the command that the runbook begins with: many of
-- one kind do not hide another.
WITH listed AS MATERIALIZED (
    SELECT *
    FROM (
        SELECT
            b.trouble,
            b.subscription_id,
            b.object_id,
            b.since,
            b.detail,
            count(*) OVER (PARTITION BY b.trouble) AS many,
            row_number() OVER (PARTITION BY b.trouble ORDER BY b.since, b.object_id) AS place
        FROM billing_trouble AS b
        WHERE :kind::text IS NULL
           OR b.trouble = :kind::text
    ) AS numbered
    WHERE numbered.place <= :most
)
SELECT
    listed.trouble,
    k.meaning,
    k.settled_by,
    k.command,
    listed.subscription_id,
    listed.object_id,
    listed.since,
    listed.detail,
    listed.many,
    s.customer_id,
    coalesce(c.company_name, c.name, c.email) AS customer
FROM listed
JOIN billing_trouble_kinds AS k
    ON k.kind = listed.trouble
LEFT JOIN subscriptions AS s
    ON s.id = listed.subscription_id
LEFT JOIN customers AS c
    ON c.id = s.customer_id
ORDER BY listed.since, listed.trouble, listed.object_id;

-- name: list_watched(kind, most)
-- What Stripe or time settles, likewise.
WITH listed AS MATERIALIZED (
    SELECT *
    FROM (
        SELECT
            b.trouble,
            b.subscription_id,
            b.object_id,
            b.since,
            b.detail,
            count(*) OVER (PARTITION BY b.trouble) AS many,
            row_number() OVER (PARTITION BY b.trouble ORDER BY b.since, b.object_id) AS place
        FROM billing_watch AS b
        WHERE :kind::text IS NULL
           OR b.trouble = :kind::text
    ) AS numbered
    WHERE numbered.place <= :most
)
SELECT
    listed.trouble,
    k.meaning,
    k.settled_by,
    k.command,
    listed.subscription_id,
    listed.object_id,
    listed.since,
    listed.detail,
    listed.many,
    s.customer_id,
    coalesce(c.company_name, c.name, c.email) AS customer
FROM listed
JOIN billing_trouble_kinds AS k
    ON k.kind = listed.trouble
LEFT JOIN subscriptions AS s
    ON s.id = listed.subscription_id
LEFT JOIN customers AS c
    ON c.id = s.customer_id
ORDER BY listed.since, listed.trouble, listed.object_id;

-- name: list_debtors(livemode, most)
-- Open invoices whose payment has failed or is late; whom Stripe tries next comes first, and whom it does
-- not try again last. In the order of the index, so that it ends after `most`.
SELECT
    i.id,
    i.stripe_number,
    i.stripe_invoice_id,
    i.amount_due,
    i.amount_remaining,
    lower(i.currency) AS currency,
    i.due_at,
    i.attempt_count,
    i.next_payment_attempt,
    i.subscription_id,
    i.hosted_invoice_url,
    c.id AS customer_id,
    coalesce(c.company_name, c.name, c.email) AS customer,
    why.reason
FROM invoices AS i
LEFT JOIN subscriptions AS s
    ON s.id = i.subscription_id
LEFT JOIN customers AS c
    ON c.id = coalesce(i.customer_id, s.customer_id)
LEFT JOIN LATERAL billing_declined_v1(
    i.stripe_customer_id, i.stripe_created, i.stripe_payment_intent_id, i.amount_due
) AS why ON TRUE
WHERE i.stripe_status = 'open'
  AND i.livemode = :livemode::boolean
  AND i.amount_remaining > 0
  AND (i.attempt_count > 0 OR i.due_at <= now())
ORDER BY i.next_payment_attempt, i.id
LIMIT :most;

-- name: list_trials(livemode, most)
-- Trials by their end, in the order of the index, with what is charged then.
WITH trials AS MATERIALIZED (
    SELECT
        s.id,
        s.customer_id,
        s.trial_end
    FROM subscriptions AS s
    WHERE s.stripe_status = 'trialing'
      AND s.livemode = :livemode::boolean
    ORDER BY s.trial_end, s.id
    LIMIT :most
)
SELECT
    trials.id,
    trials.trial_end,
    o.plan,
    lower(o.currency) AS currency,
    o.will_end,
    o.next_charge,
    c.id AS customer_id,
    coalesce(c.company_name, c.name, c.email) AS customer
FROM trials
CROSS JOIN LATERAL (
    SELECT
        one.plan,
        one.currency,
        one.will_end,
        one.next_charge
    FROM billing_overview AS one
    WHERE one.subscription_id = trials.id
    OFFSET 0
) AS o
LEFT JOIN customers AS c
    ON c.id = trials.customer_id
ORDER BY trials.trial_end, trials.id;

-- name: list_domains(which, most)
-- `troubled`: what a registrar or a refund is not done with, the longest first. `expiring`: what a registrar's driver
-- has, by its day of expiry. `unproven`: those that their buyers have still to prove, first those that the worker no longer
-- looks for, then by its next look. `latest`: those ordered last. Each ends after `most` entries of an index.
WITH listed AS MATERIALIZED (
    (
        SELECT
            d.id,
            d.updated_at AS place
        FROM billing_domains AS d
        WHERE :which::text = 'troubled'
          AND d.driver IS NOT NULL
          AND (d.last_error IS NOT NULL OR d.needs <> '{}'::text[])
          AND d.state NOT IN ('released', 'failed')
        ORDER BY d.updated_at
        LIMIT :most
    )
    UNION ALL
    (
        SELECT
            d.id,
            d.updated_at
        FROM billing_domains AS d
        WHERE :which::text = 'troubled'
          AND d.state = 'failed'
          AND d.given_back_at IS NULL
          AND d.refund_error IS NOT NULL
        ORDER BY d.updated_at
        LIMIT :most
    )
    UNION ALL
    (
        SELECT
            d.id,
            d.expires_at
        FROM billing_domains AS d
        WHERE :which::text = 'expiring'
          AND d.driver IS NOT NULL
          AND d.state = 'active'
          AND d.expires_at IS NOT NULL
        ORDER BY d.expires_at
        LIMIT :most
    )
    UNION ALL
    (
        SELECT
            p.domain_id,
            '-infinity'
        FROM billing_domain_proofs AS p
        WHERE :which::text = 'unproven'
          AND p.token IS NOT NULL
          AND p.check_at IS NULL
        ORDER BY p.domain_id
        LIMIT :most
    )
    UNION ALL
    (
        SELECT
            p.domain_id,
            p.check_at
        FROM billing_domain_proofs AS p
        WHERE :which::text = 'unproven'
          AND p.check_at IS NOT NULL
        ORDER BY p.check_at
        LIMIT :most
    )
    UNION ALL
    (
        SELECT
            d.id,
            to_timestamp(-extract(epoch FROM d.created_at))
        FROM billing_domains AS d
        WHERE :which::text = 'latest'
          AND d.state <> 'ordered'
        ORDER BY d.created_at DESC
        LIMIT :most
    )
)
SELECT
    d.id,
    d.name,
    d.unicode_name,
    d.mode,
    d.state,
    d.subscription_id,
    d.expires_at,
    d.auto_renew,
    d.driver,
    d.needs,
    coalesce(d.refund_error, d.last_error, proof.last_error) AS error,
    d.refund_error IS NOT NULL AND d.given_back_at IS NULL AS is_refund,
    d.attempts,
    coalesce(d.next_attempt_at, proof.check_at) AS next_attempt_at,
    d.created_at,
    c.id AS customer_id,
    coalesce(c.company_name, c.name, c.email) AS customer
FROM listed
JOIN billing_domains AS d
    ON d.id = listed.id
LEFT JOIN billing_domain_proofs AS proof
    ON proof.domain_id = d.id
    AND proof.token IS NOT NULL
LEFT JOIN subscriptions AS s
    ON s.id = d.subscription_id
LEFT JOIN customers AS c
    ON c.id = coalesce(d.customer_id, s.customer_id)
ORDER BY listed.place, d.id
LIMIT :most;

-- name: get_domain(id)^
SELECT
    d.id,
    d.name,
    d.unicode_name,
    d.state,
    d.subscription_id,
    d.expires_at,
    d.driver,
    d.needs,
    coalesce(d.refund_error, d.last_error) AS error,
    d.refund_error IS NOT NULL AND d.given_back_at IS NULL AS is_refund,
    d.price,
    lower(d.currency) AS currency
FROM billing_domains AS d
WHERE d.id = :id::uuid;

-- name: find_domains(names, subscription_ids)
-- By name and subscription, which may be null; the latest of the same comes last.
SELECT
    d.id,
    d.name,
    d.subscription_id
FROM unnest(:names::text[], :subscription_ids::uuid[]) AS named (name, subscription_id)
JOIN billing_domains AS d
    ON d.name = named.name
    AND d.subscription_id IS NOT DISTINCT FROM named.subscription_id
ORDER BY d.created_at, d.id;

-- name: find_invoices(names)
-- By their ids at Stripe; or what was paid by a payment that a bank warns of.
SELECT
    i.stripe_invoice_id AS name,
    i.id
FROM invoices AS i
WHERE i.stripe_invoice_id = ANY (:names::text[])
UNION ALL
SELECT
    w.stripe_fraud_warning_id,
    i.id
FROM stripe_fraud_warnings AS w
JOIN invoice_payments AS p
    ON p.stripe_payment_intent_id = w.stripe_payment_intent_id
JOIN invoices AS i
    ON i.stripe_invoice_id = p.stripe_invoice_id
WHERE w.stripe_fraud_warning_id = ANY (:names::text[]);
