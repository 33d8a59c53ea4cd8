-- Mirrored disputes; set-based like invoices.sql.

-- Tables: stripe_disputes
--
-- CREATE TABLE stripe_disputes (
--     stripe_dispute_id text NOT NULL,
--     livemode boolean NOT NULL,
--     stripe_charge_id text NOT NULL,
--     stripe_payment_intent_id text,
--     status text NOT NULL,
--     reason text NOT NULL,
--     amount bigint NOT NULL,
--     currency text NOT NULL,
--     fee bigint NOT NULL,
--     fee_currency text,
--     movements integer NOT NULL,
--     is_charge_refundable boolean NOT NULL,
--     evidence_due_at timestamp with time zone,
--     has_evidence boolean NOT NULL,
--     submissions integer NOT NULL,
--     waived_at timestamp with time zone,
--     waived_by text,
--     waived_reason text,
--     claimed_until timestamp with time zone,
--     stripe_created timestamp with time zone NOT NULL,
--     stripe_as_of_since timestamp with time zone NOT NULL,
--     stripe_as_of timestamp with time zone NOT NULL,
--     stripe_event_id text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT stripe_disputes_amount_check CHECK ((amount >= 0)),
--     CONSTRAINT stripe_disputes_check CHECK ((num_nonnulls(waived_at, waived_by, waived_reason) = ANY (ARRAY[0, 3]))),
--     CONSTRAINT stripe_disputes_check1 CHECK ((stripe_as_of_since <= stripe_as_of)),
--     CONSTRAINT stripe_disputes_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT stripe_disputes_fee_currency_check CHECK ((fee_currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT stripe_disputes_movements_check CHECK ((movements >= 0)),
--     CONSTRAINT stripe_disputes_status_check CHECK ((status = ANY (ARRAY['warning_needs_response'::text, 'warning_under_review'::text, 'warning_closed'::text, 'needs_response'::text, 'under_review'::text, 'appeal_needs_response'::text, 'appeal_under_review'::text, 'lost'::text, 'won'::text, 'prevented'::text]))),
--     CONSTRAINT stripe_disputes_submissions_check CHECK ((submissions >= 0))
-- );
-- ALTER TABLE ONLY stripe_disputes ADD CONSTRAINT stripe_disputes_pkey PRIMARY KEY (stripe_dispute_id);
-- CREATE INDEX stripe_disputes_charge_idx ON stripe_disputes USING btree (stripe_charge_id);
-- CREATE INDEX stripe_disputes_created_idx ON stripe_disputes USING btree (stripe_created);
-- CREATE INDEX stripe_disputes_open_idx ON stripe_disputes USING btree (stripe_created) WHERE ((status = ANY (ARRAY['needs_response'::text, 'under_review'::text, 'appeal_needs_response'::text, 'appeal_under_review'::text, 'lost'::text])) AND (waived_at IS NULL));
-- CREATE INDEX stripe_disputes_payment_intent_idx ON stripe_disputes USING btree (stripe_payment_intent_id);
-- CREATE INDEX stripe_disputes_unanswered_idx ON stripe_disputes USING btree (evidence_due_at) WHERE (status = ANY (ARRAY['needs_response'::text, 'warning_needs_response'::text, 'appeal_needs_response'::text]));
-- CREATE INDEX stripe_disputes_under_review_idx ON stripe_disputes USING btree (stripe_created) WHERE (status = ANY (ARRAY['under_review'::text, 'warning_under_review'::text, 'appeal_under_review'::text]));

-- name: list_stored(object_ids, sinces)
SELECT
    i.object_id,
    mirror.stripe_as_of_since AS since,
    mirror.stripe_as_of AS as_of,
    mirror.stripe_event_id AS event_id,
    mirror.status,
    mirror.submissions,
    mirror.movements,
    e.type AS event_type,
    e.payload
FROM unnest(:object_ids::text[], :sinces::timestamptz[]) AS i (object_id, since)
JOIN stripe_disputes AS mirror
    ON mirror.stripe_dispute_id = i.object_id
LEFT JOIN stripe_events AS e
    ON e.id = mirror.stripe_event_id
    AND i.since <= mirror.stripe_as_of;

-- name: write_snapshots(snapshots)!
SELECT billing_write_disputes_v1(:snapshots::jsonb);

-- name: list_compared(object_ids)
SELECT
    t.stripe_dispute_id AS object_id,
    t.stripe_as_of AS as_of,
    t.stripe_event_id AS event_id,
    t.stripe_charge_id,
    t.stripe_payment_intent_id,
    t.status,
    t.reason,
    t.amount,
    t.currency,
    t.fee,
    t.fee_currency,
    t.movements,
    t.is_charge_refundable,
    t.evidence_due_at,
    t.has_evidence,
    t.submissions
FROM stripe_disputes AS t
WHERE t.stripe_dispute_id = ANY(:object_ids::text[]);

-- name: find_absent(after, most, livemode, started_at)^
WITH stretch AS MATERIALIZED (
    SELECT
        f.stripe_dispute_id AS object_id,
        f.livemode,
        f.stripe_as_of AS as_of
    FROM stripe_disputes AS f
    WHERE f.stripe_dispute_id > :after
    ORDER BY f.stripe_dispute_id
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

-- name: list_disputes(dispute_id, customer_id, only_open, livemode, after, most)
-- The latest first, or, of those that wait for an answer, the most urgent; or one of them. Of a customer,
-- if one is named; those that come after the dispute `after`. One without a date is the least urgent.
-- Each branch finds its few by an index: of all disputes, most are settled long ago. Those that wait are
-- few, whoever has them; others of a customer are found through all of their payments.
WITH candidates AS (
    SELECT named.stripe_dispute_id
    FROM stripe_disputes AS named
    WHERE named.stripe_dispute_id = :dispute_id::text
    UNION
    SELECT paid.stripe_dispute_id
    FROM stripe_customers AS k
    JOIN stripe_charges AS h
        ON h.stripe_customer_id = k.id
    JOIN stripe_disputes AS paid
        ON paid.stripe_charge_id = h.stripe_charge_id
    WHERE k.customer_id = :customer_id::uuid
      AND NOT :only_open::boolean
    UNION
    SELECT owed.stripe_dispute_id
    FROM invoices AS i
    JOIN invoice_payments AS p
        ON p.stripe_invoice_id = i.stripe_invoice_id
    JOIN stripe_disputes AS owed
        ON owed.stripe_payment_intent_id = p.stripe_payment_intent_id
    WHERE i.customer_id = :customer_id::uuid
      AND NOT :only_open::boolean
    UNION
    SELECT unanswered.stripe_dispute_id
    FROM stripe_disputes AS unanswered
    WHERE :only_open::boolean
      AND :dispute_id::text IS NULL
      AND unanswered.status IN ('needs_response', 'warning_needs_response', 'appeal_needs_response')
    UNION
    (
        SELECT latest.stripe_dispute_id
        FROM stripe_disputes AS latest
        WHERE NOT :only_open::boolean
          AND :dispute_id::text IS NULL
          AND :customer_id::uuid IS NULL
          AND latest.livemode = :livemode::boolean
          AND latest.stripe_created <= coalesce((
              SELECT l.stripe_created
              FROM stripe_disputes AS l
              WHERE l.stripe_dispute_id = :after::text
          ), 'infinity')
          AND (
              :after::text IS NULL
              OR (latest.stripe_created, latest.stripe_dispute_id) < (
                  SELECT
                      l.stripe_created,
                      l.stripe_dispute_id
                  FROM stripe_disputes AS l
                  WHERE l.stripe_dispute_id = :after::text
              )
          )
        ORDER BY latest.stripe_created DESC, latest.stripe_dispute_id DESC
        LIMIT :most
    )
)
SELECT
    d.stripe_dispute_id,
    d.status,
    d.reason,
    d.amount,
    d.currency,
    d.fee,
    d.fee_currency,
    d.is_charge_refundable,
    d.evidence_due_at,
    d.has_evidence,
    d.submissions,
    d.waived_at,
    d.waived_by,
    d.waived_reason,
    d.stripe_created,
    d.stripe_charge_id,
    d.stripe_payment_intent_id,
    billed.stripe_number,
    billed.stripe_invoice_id,
    billed.invoice_id,
    billed.subscription_id,
    c.id AS customer_id,
    coalesce(c.company_name, c.name, c.email) AS customer
FROM candidates
CROSS JOIN LATERAL (
    SELECT *
    FROM stripe_disputes AS candidate
    WHERE candidate.stripe_dispute_id = candidates.stripe_dispute_id
    OFFSET 0
) AS d
LEFT JOIN stripe_charges AS charged
    ON charged.stripe_charge_id = d.stripe_charge_id
LEFT JOIN stripe_customers AS payer
    ON payer.id = charged.stripe_customer_id
LEFT JOIN LATERAL (
    SELECT
        i.id AS invoice_id,
        i.stripe_number,
        i.stripe_invoice_id,
        i.subscription_id,
        i.customer_id
    FROM invoice_payments AS p
    JOIN invoices AS i
        ON i.stripe_invoice_id = p.stripe_invoice_id
    WHERE p.stripe_payment_intent_id = d.stripe_payment_intent_id
    ORDER BY p.stripe_created
    LIMIT 1
) AS billed ON TRUE
LEFT JOIN customers AS c
    ON c.id = coalesce(billed.customer_id, payer.customer_id)
WHERE d.livemode = :livemode::boolean
  AND (:dispute_id::text IS NULL OR d.stripe_dispute_id = :dispute_id::text)
  AND (:customer_id::uuid IS NULL OR coalesce(billed.customer_id, payer.customer_id) = :customer_id::uuid)
  AND (
      :after::text IS NULL
      OR (
          CASE WHEN :only_open::boolean THEN coalesce(-extract(epoch FROM d.evidence_due_at), '-Infinity') ELSE 0 END,
          d.stripe_created,
          d.stripe_dispute_id
      ) < (
          SELECT
              CASE WHEN :only_open::boolean THEN coalesce(-extract(epoch FROM l.evidence_due_at), '-Infinity') ELSE 0 END,
              l.stripe_created,
              l.stripe_dispute_id
          FROM stripe_disputes AS l
          WHERE l.stripe_dispute_id = :after::text
      )
  )
  AND (
      NOT :only_open::boolean
      OR d.status IN ('needs_response', 'warning_needs_response', 'appeal_needs_response')
  )
ORDER BY
    CASE WHEN :only_open::boolean THEN d.evidence_due_at END,
    d.stripe_created DESC,
    d.stripe_dispute_id DESC
LIMIT :most;

-- name: get_evidence(stripe_dispute_id, livemode)^
-- What our records say about a disputed payment: who ordered what, for which time, and what was served.
SELECT
    c.name AS customer_name,
    c.email,
    concat_ws(', ', c.address_line1, c.address_line2, c.city, c.state, c.postal_code, c.country) AS address,
    s.id AS subscription_id,
    s.created_at AT TIME ZONE 'UTC' AS ordered_at,
    product.name AS plan,
    s.billing_cycle,
    i.stripe_number,
    i.period_start,
    i.period_end,
    coalesce(t.billing_former_domain, t.domain) AS domain,
    (
        SELECT jsonb_agg(jsonb_build_object('at', l.created_at, 'action', l.action, 'service', l.product_type) ORDER BY l.created_at)
        FROM provisioning_log AS l
        WHERE l.subscription_id = s.id
          AND l.outcome = 'done'
    ) AS served,
    (
        SELECT jsonb_agg(jsonb_build_object('at', o.stripe_created, 'charge', o.stripe_charge_id, 'amount', o.amount, 'currency', o.currency) ORDER BY o.stripe_created)
        FROM stripe_charges AS o
        WHERE o.stripe_customer_id = s.stripe_customer_id
          AND o.status = 'succeeded'
          AND o.stripe_charge_id <> d.stripe_charge_id
    ) AS other_charges
FROM stripe_disputes AS d
LEFT JOIN invoice_payments AS p
    ON p.stripe_payment_intent_id = d.stripe_payment_intent_id
LEFT JOIN invoices AS i
    ON i.stripe_invoice_id = p.stripe_invoice_id
LEFT JOIN subscriptions AS s
    ON s.id = i.subscription_id
LEFT JOIN products AS product
    ON product.id = s.product_id
LEFT JOIN customers AS c
    ON c.id = coalesce(s.customer_id, i.customer_id)
LEFT JOIN tenants AS t
    ON t.id = s.tenant_id
WHERE d.stripe_dispute_id = :stripe_dispute_id
  AND d.livemode = :livemode::boolean
ORDER BY p.stripe_created
LIMIT 1;

-- name: claim_evidence(stripe_dispute_id, lease_seconds)$
-- Null: another request is writing the evidence. Returns what release_evidence needs.
UPDATE stripe_disputes AS d
SET claimed_until = clock_timestamp() + make_interval(secs => :lease_seconds::float8)
WHERE d.stripe_dispute_id = :stripe_dispute_id
  AND (d.claimed_until IS NULL OR d.claimed_until < clock_timestamp())
RETURNING d.claimed_until;

-- name: release_evidence(stripe_dispute_id, claimed_until)!
UPDATE stripe_disputes AS d
SET claimed_until = NULL
WHERE d.stripe_dispute_id = :stripe_dispute_id
  AND d.claimed_until = :claimed_until::timestamptz;

-- name: waive(stripe_dispute_id, waived_by, waived_reason)$
UPDATE stripe_disputes
SET waived_at = now(),
    waived_by = :waived_by,
    waived_reason = :waived_reason,
    updated_at = now()
WHERE stripe_dispute_id = :stripe_dispute_id
  AND waived_at IS NULL
RETURNING stripe_payment_intent_id;

-- name: list_to_end(livemode, most)
-- Subscriptions that go on although a bank has taken money of them: what is lost for half a year is past.
SELECT DISTINCT ON (s.id)
    s.id AS subscription_id,
    d.stripe_dispute_id
FROM stripe_disputes AS d
JOIN invoice_payments AS p
    ON p.stripe_payment_intent_id = d.stripe_payment_intent_id
JOIN invoices AS i
    ON i.stripe_invoice_id = p.stripe_invoice_id
JOIN subscriptions AS s
    ON s.id = i.subscription_id
WHERE d.status IN ('needs_response', 'under_review', 'appeal_needs_response', 'appeal_under_review', 'lost')
  AND d.waived_at IS NULL
  AND d.livemode = :livemode::boolean
  AND d.stripe_created > now() - interval '180 days'
  AND s.stripe_status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
ORDER BY s.id, d.stripe_created
LIMIT :most;
