-- What a person must act on, one row per problem. billing_trouble_kinds has each kind.
-- Each branch begins with the few rows that may be in trouble. OFFSET 0 keeps what is read of others a
-- look-up for each of these: a join would read whole tables, whose pages are cheap to the planner.
CREATE OR REPLACE VIEW billing_trouble AS
SELECT
    'not_provisioned' AS trouble,
    s.id AS subscription_id,
    s.stripe_subscription_id AS object_id,
    w.created_at AS since,
    coalesce(w.last_error, 'paid, and its services are not ready yet') AS detail
FROM subscriptions AS s
JOIN provisioning_work AS w
    ON w.subscription_id = s.id
WHERE s.billing_provider = 'stripe'
  AND s.status = 'pending'
  AND w.created_at < now() - interval '5 minutes'
UNION ALL
SELECT
    'provisioning_failed',
    t.subscription_id,
    t.product_type,
    t.updated_at,
    t.last_error
FROM tenant_services AS t
WHERE t.last_error IS NOT NULL
  AND (t.stopped IS NOT NULL OR t.attempts >= 5)
UNION ALL
SELECT
    'service_missing',
    doubtful.subscription_id,
    s.stripe_subscription_id,
    w.updated_at,
    'Stripe calls it ' || s.stripe_status || ' and it is paid, but not active: ' || missing.product_types
FROM (
    SELECT undone.subscription_id
    FROM provisioning_work AS undone
    WHERE (undone.version > undone.done_version) IS TRUE
    UNION
    SELECT idle.subscription_id
    FROM tenant_services AS idle
    WHERE idle.actual IN ('absent', 'suspended')
    UNION
    SELECT homeless.id
    FROM subscriptions AS homeless
    WHERE homeless.tenant_id IS NULL
      AND homeless.stripe_status IN ('trialing', 'active')
) AS doubtful
CROSS JOIN LATERAL (
    SELECT
        paid.stripe_subscription_id,
        paid.stripe_status
    FROM subscriptions AS paid
    WHERE paid.id = doubtful.subscription_id
      AND paid.stripe_status IN ('trialing', 'active')
      AND paid.initial_payment_settled
      AND paid.collection_paused IS NOT TRUE
      -- shown as not_provisioned
      AND paid.status <> 'pending'
    OFFSET 0
) AS s
CROSS JOIN LATERAL (
    SELECT
        at_rest.updated_at,
        at_rest.inputs ->> 'disputedSince' IS NOT NULL AND at_rest.done_version >= at_rest.version AS is_decided_on_dispute
    FROM provisioning_work AS at_rest
    WHERE at_rest.subscription_id = doubtful.subscription_id
      AND at_rest.updated_at <= now() - interval '15 minutes'
    OFFSET 0
) AS w
CROSS JOIN LATERAL (
    SELECT string_agg(DISTINCT given.product_type, ', ' ORDER BY given.product_type) AS product_types
    FROM subscription_items AS i
    LEFT JOIN prices AS p
        ON p.id = i.price_id
    JOIN products AS product
        ON product.id = coalesce(p.product_id, (
            SELECT sold.id
            FROM products AS sold
            WHERE sold.stripe_product_id = i.stripe_product_id
              AND sold.code IS NOT NULL
        ))
    CROSS JOIN LATERAL unnest(product.product_types) AS given (product_type)
    LEFT JOIN tenant_services AS v
        ON v.subscription_id = i.subscription_id
        AND v.product_type = given.product_type
    WHERE i.subscription_id = doubtful.subscription_id
      AND i.quantity IS DISTINCT FROM 0
      AND v.actual IS DISTINCT FROM 'active'
      AND v.stopped IS DISTINCT FROM 'skipped'
      AND v.suspended_by_service IS NULL
      -- as the worker has decided, for a dispute
      AND NOT (w.is_decided_on_dispute AND v.desired = 'suspended')
) AS missing
WHERE missing.product_types IS NOT NULL
  AND NOT EXISTS (
      SELECT 1
      FROM provisioning_holds AS h
      WHERE h.subscription_id = doubtful.subscription_id
        AND h.lifted_at IS NULL
  )
  AND NOT EXISTS (
      SELECT 1
      FROM billing_pauses AS p
      WHERE p.subscription_id = doubtful.subscription_id
        AND p.begun_at IS NOT NULL
        AND p.ended_at IS NULL
  )
  AND NOT EXISTS (
      SELECT 1
      FROM billing_usage_limits AS u
      WHERE u.subscription_id = doubtful.subscription_id
        AND u.suspends
  )
  -- shown as provisioning_failed or provisioning_retried
  AND NOT EXISTS (
      SELECT 1
      FROM tenant_services AS failed
      WHERE failed.subscription_id = doubtful.subscription_id
        AND failed.last_error IS NOT NULL
  )
UNION ALL
SELECT
    'active_after_end',
    doubtful.subscription_id,
    v.product_type,
    w.updated_at,
    'Stripe calls it ' || s.stripe_status || ', and its account ' || v.external_ref || ' is still ' || v.actual
FROM (
    SELECT undone.subscription_id
    FROM provisioning_work AS undone
    WHERE (undone.version > undone.done_version) IS TRUE
    UNION
    SELECT late.subscription_id
    FROM provisioning_work AS late
    WHERE late.wake_at <= now() - interval '1 day'
    UNION
    SELECT unsuspended.subscription_id
    FROM tenant_services AS unsuspended
    WHERE unsuspended.desired = 'suspended'
      AND unsuspended.actual = 'active'
    UNION
    SELECT unterminated.subscription_id
    FROM tenant_services AS unterminated
    WHERE unterminated.desired = 'terminated'
      AND unterminated.actual IN ('active', 'suspended')
) AS doubtful
CROSS JOIN LATERAL (
    SELECT ended.stripe_status
    FROM subscriptions AS ended
    WHERE ended.id = doubtful.subscription_id
      AND ended.stripe_status IN ('canceled', 'incomplete_expired')
    OFFSET 0
) AS s
CROSS JOIN LATERAL (
    SELECT
        at_rest.updated_at,
        at_rest.decided_until
    FROM provisioning_work AS at_rest
    WHERE at_rest.subscription_id = doubtful.subscription_id
      AND at_rest.updated_at <= now() - interval '15 minutes'
    OFFSET 0
) AS w
JOIN tenant_services AS v
    ON v.subscription_id = doubtful.subscription_id
    AND (
        v.actual = 'active'
        OR (v.actual = 'suspended' AND (v.desired = 'terminated' OR w.decided_until <= now() - interval '1 day'))
    )
    AND v.stopped IS DISTINCT FROM 'skipped'
    AND v.last_error IS NULL
UNION ALL
SELECT
    'work_failed',
    w.subscription_id,
    NULL,
    w.updated_at,
    w.last_error
FROM provisioning_work AS w
WHERE w.last_error IS NOT NULL
  AND NOT (w.trouble IS NOT NULL AND EXISTS (
      -- shown as paid_twice
      SELECT 1
      FROM subscriptions AS s
      JOIN tenants AS t
          ON t.domain = s.metadata ->> 'domainValue'
      JOIN subscriptions AS first
          ON first.id = t.billing_subscription_id
          AND first.id <> s.id
          AND first.stripe_status NOT IN ('canceled', 'incomplete_expired')
      WHERE s.id = w.subscription_id
        AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')
  ))
  -- the error of a service, or that one waits for another, is shown as the trouble of a service
  AND (w.trouble IS NOT NULL OR w.last_error LIKE '%; charges: %' OR NOT EXISTS (
      SELECT 1
      FROM tenant_services AS v
      WHERE v.subscription_id = w.subscription_id
        AND starts_with(w.last_error, v.product_type || ': ')
  ))
UNION ALL
SELECT
    'domain_stuck',
    d.subscription_id,
    d.name,
    d.updated_at,
    d.last_error
FROM billing_domains AS d
WHERE d.driver IS NOT NULL
  AND d.last_error IS NOT NULL
  AND d.state NOT IN ('failed', 'released', 'transferred_out')
  AND (d.needs = '{}' OR d.stopped_at IS NOT NULL)
  AND (d.stopped_at IS NOT NULL OR d.attempts >= 5)
UNION ALL
SELECT
    'domain_needs',
    d.subscription_id,
    d.name,
    d.updated_at,
    'the registrar needs: ' || array_to_string(d.needs, ', ')
FROM billing_domains AS d
WHERE d.driver IS NOT NULL
  AND d.needs <> '{}'
  AND d.stopped_at IS NULL
  AND d.state IN ('paid', 'registering', 'transferring')
UNION ALL
SELECT
    'domain_failed',
    d.subscription_id,
    d.name,
    d.updated_at,
    d.last_error
FROM billing_domains AS d
WHERE d.driver IS NOT NULL
  AND d.last_error IS NOT NULL
  AND d.state = 'failed'
  AND d.given_back_at IS NULL
  -- shown as domain_not_refunded
  AND (d.refund_error IS NULL OR (d.next_refund_at IS NOT NULL AND d.refund_attempts < 5))
UNION ALL
SELECT
    'domain_not_refunded',
    d.subscription_id,
    d.name,
    d.updated_at,
    coalesce(d.last_error || '; not refunded: ', 'it could not be obtained; not refunded: ') || d.refund_error
FROM billing_domains AS d
WHERE d.state = 'failed'
  AND d.given_back_at IS NULL
  AND d.refund_error IS NOT NULL
  AND (d.next_refund_at IS NULL OR d.refund_attempts >= 5)
UNION ALL
SELECT
    'domain_lost',
    d.subscription_id,
    d.name,
    d.updated_at,
    d.last_error
FROM billing_domains AS d
WHERE d.driver IS NOT NULL
  AND d.last_error IS NOT NULL
  AND d.state = 'transferred_out'
UNION ALL
SELECT
    'domain_unproven',
    d.subscription_id,
    d.name,
    p.expires_at,
    coalesce(p.last_error, 'nobody has looked for the proof')
FROM billing_domain_proofs AS p
JOIN billing_domains AS d
    ON d.id = p.domain_id
WHERE p.token IS NOT NULL
  AND p.check_at IS NULL
UNION ALL
SELECT
    'suspended_by_service',
    t.subscription_id,
    t.product_type,
    t.updated_at,
    'the service itself has suspended the account ' || t.external_ref || ': ' || t.suspended_by_service
FROM tenant_services AS t
WHERE t.suspended_by_service IS NOT NULL
UNION ALL
SELECT
    'row_deleted',
    d.subscription_id,
    d.stripe_subscription_id,
    d.deleted_at,
    'its row was deleted here; at Stripe it is ' || coalesce(d.stripe_status, 'unpaid')
    || coalesce('; accounts: ' || accounts.left_behind, '')
FROM billing_deleted_subscriptions AS d
CROSS JOIN LATERAL (
    SELECT string_agg(a.value ->> 'product_type', ', ' ORDER BY a.value ->> 'product_type') AS left_behind
    FROM jsonb_array_elements(d.services) AS a (value)
    WHERE a.value ->> 'actual' IN ('active', 'suspended')
) AS accounts
WHERE d.settled_at IS NULL
  AND d.stripe_subscription_id IS NOT NULL
  AND (
      d.stripe_status IS NULL
      OR d.stripe_status NOT IN ('canceled', 'incomplete_expired')
      OR accounts.left_behind IS NOT NULL
  )
UNION ALL
SELECT
    'not_adopted',
    a.subscription_id,
    s.stripe_subscription_id,
    a.adopted_at,
    'brought back from Stripe, but ' || a.problem
FROM billing_adoptions AS a
JOIN subscriptions AS s
    ON s.id = a.subscription_id
WHERE a.problem IS NOT NULL
UNION ALL
SELECT
    'paid_twice',
    w.subscription_id,
    first.stripe_subscription_id,
    w.updated_at,
    w.last_error
FROM provisioning_work AS w
JOIN subscriptions AS s
    ON s.id = w.subscription_id
    AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')
-- the subscription that holds the domain this one was bought for, while both are being paid
JOIN tenants AS t
    ON t.domain = s.metadata ->> 'domainValue'
JOIN subscriptions AS first
    ON first.id = t.billing_subscription_id
    AND first.id <> s.id
    AND first.stripe_status NOT IN ('canceled', 'incomplete_expired')
WHERE w.last_error IS NOT NULL
  AND w.trouble IS NOT NULL
UNION ALL
SELECT
    'paid_twice',
    first.id,
    second.stripe_subscription_id,
    paid.updated_at,
    'its order was paid again, through the session ' || paid.stripe_session_id
FROM (
    SELECT DISTINCT subscription_id
    FROM checkout_sessions
    WHERE status = 'complete'
      AND attempt > 1
) AS again
JOIN subscriptions AS first
    ON first.id = again.subscription_id
    AND first.stripe_status NOT IN ('canceled', 'incomplete_expired')
JOIN checkout_sessions AS paid
    ON paid.subscription_id = first.id
    AND paid.stripe_subscription_id <> first.stripe_subscription_id
JOIN subscriptions AS second
    ON second.stripe_subscription_id = paid.stripe_subscription_id
    AND second.stripe_status NOT IN ('canceled', 'incomplete_expired')
UNION ALL
SELECT
    'paid_twice',
    s.id,
    s.stripe_subscription_id,
    o.superseded_at,
    'it was paid although the buyer had ordered something else instead'
FROM orders AS o
JOIN subscriptions AS s
    ON s.id = o.subscription_id
    AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')
WHERE o.superseded_at IS NOT NULL
UNION ALL
SELECT
    'paid_twice',
    s.id,
    first.stripe_subscription_id,
    o.created_at,
    'it was paid, and so was an order that was placed minutes before at the same address'
FROM orders AS o
JOIN subscriptions AS s
    ON s.id = o.subscription_id
    AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')
-- the browser could not prove that the page before was its own, so both could be paid
CROSS JOIN LATERAL unnest(o.left_open) AS before (subscription_id)
JOIN subscriptions AS first
    ON first.id = before.subscription_id
    AND first.stripe_status NOT IN ('canceled', 'incomplete_expired')
WHERE o.left_open <> '{}'
UNION ALL
SELECT
    'trial_twice',
    later.id,
    earlier.stripe_subscription_id,
    later.created_at AT TIME ZONE 'UTC',
    'on trial for ' || product.code || ', of which the customer had a trial before'
FROM subscriptions AS later
CROSS JOIN LATERAL (
    SELECT theirs.stripe_subscription_id
    FROM subscriptions AS theirs
    WHERE theirs.customer_id = later.customer_id
      AND theirs.product_id = later.product_id
      AND theirs.billing_provider = 'stripe'
      AND theirs.trial_end IS NOT NULL
      AND theirs.stripe_status IS NOT NULL
      AND (theirs.created_at, theirs.id) < (later.created_at, later.id)
    OFFSET 0
) AS earlier
JOIN products AS product
    ON product.id = later.product_id
WHERE later.stripe_status = 'trialing'
  -- what has been recorded is below: which of two trials is the first was decided then
  AND NOT EXISTS (
      SELECT 1
      FROM billing_trials AS recorded
      WHERE recorded.subscription_id = later.id
  )
UNION ALL
SELECT
    'trial_twice',
    trial.subscription_id,
    earlier.stripe_subscription_id,
    trial.recorded_at,
    'on trial for ' || product.code || ', of which the same '
    || CASE trial.matched_by WHEN 'address' THEN 'mailbox' ELSE trial.matched_by END || ' had a trial before'
FROM billing_trials AS trial
JOIN subscriptions AS later
    ON later.id = trial.subscription_id
    AND later.stripe_status = 'trialing'
JOIN products AS product
    ON product.id = trial.product_id
LEFT JOIN subscriptions AS earlier
    ON earlier.id = trial.earlier_subscription_id
WHERE trial.earlier_subscription_id IS NOT NULL
UNION ALL
SELECT
    'foreign_schedule',
    s.id,
    s.stripe_schedule_id,
    s.stripe_as_of,
    'the schedule was not made here, and changes the subscription at Stripe'
FROM subscriptions AS s
WHERE s.stripe_schedule_id IS NOT NULL
  AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')
  AND NOT EXISTS (
      SELECT 1
      FROM billing_planned_changes AS planned
      WHERE planned.stripe_schedule_id = s.stripe_schedule_id
  )
UNION ALL
SELECT
    'item_unplaced',
    i.subscription_id,
    i.stripe_subscription_item_id,
    i.updated_at,
    'item ' || i.stripe_subscription_item_id || ' at price ' || coalesce(i.stripe_price_id, 'unknown')
    || ' of product ' || coalesce(i.stripe_product_id, 'unknown') || ' is not in the catalogue; it gives nothing, and takes nothing away'
FROM subscription_items AS i
JOIN subscriptions AS s
    ON s.id = i.subscription_id
    AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')
WHERE i.price_id IS NULL
  AND i.stripe_subscription_item_id IS NOT NULL
  AND NOT EXISTS (
      SELECT 1
      FROM prices AS p
      WHERE p.stripe_price_id = i.stripe_price_id
  )
  AND NOT EXISTS (
      SELECT 1
      FROM products AS p
      WHERE p.stripe_product_id = i.stripe_product_id
        AND p.code IS NOT NULL
  )
  AND NOT EXISTS (
      SELECT 1
      FROM billing_ignored_prices AS ignored
      WHERE ignored.stripe_price_id = i.stripe_price_id
  )
UNION ALL
SELECT
    'overdue',
    u.subscription_id,
    u.object_id,
    u.since,
    u.detail
FROM billing_unpaid_terms AS u
-- a try that is a day late has been lost
WHERE (u.next_payment_attempt IS NULL OR u.next_payment_attempt <= now() - interval '1 day')
UNION ALL
SELECT
    'nothing_owed',
    s.id,
    s.stripe_subscription_id,
    w.updated_at,
    'Stripe calls it ' || s.stripe_status || ', but no invoice of its terms is due and unpaid'
    || coalesce('; the draft ' || draft.stripe_invoice_id || ' waits to be collected', '')
FROM subscriptions AS s
CROSS JOIN LATERAL (
    SELECT
        work.updated_at,
        work.inputs
    FROM provisioning_work AS work
    WHERE work.subscription_id = s.id
    OFFSET 0
) AS w
LEFT JOIN LATERAL (
    SELECT i.stripe_invoice_id
    FROM invoices AS i
    WHERE i.subscription_id = s.id
      AND i.stripe_status = 'draft'
      AND i.billing_reason IS DISTINCT FROM 'manual'
    ORDER BY i.stripe_created DESC
    LIMIT 1
) AS draft ON TRUE
WHERE s.stripe_status IN ('past_due', 'unpaid', 'paused')
  AND (s.stripe_status <> 'paused' OR w.inputs ->> 'pausedBy' = 'first_payment_failure')
  -- looked up in the index of those that owe: most of these do
  AND NOT EXISTS (
      SELECT 1
      FROM provisioning_work AS owing
      WHERE owing.subscription_id = s.id
        AND owing.inputs ->> 'owedSince' IS NOT NULL
  )
UNION ALL
SELECT
    'paid_after_end',
    w.subscription_id,
    late.invoice,
    i.paid_date AT TIME ZONE 'UTC',
    'invoice ' || late.invoice || ' was paid after the subscription had ended: '
    || billing_money_v1(late.amount, late.currency) || '; refund it, revive the customer, or declare it settled'
FROM provisioning_work AS w
CROSS JOIN LATERAL jsonb_to_recordset(w.inputs -> 'paidAfterEnd') AS late (
    invoice text,
    amount bigint,
    currency text
)
JOIN invoices AS i
    ON i.stripe_invoice_id = late.invoice
WHERE w.inputs ->> 'paidAfterEnd' IS NOT NULL
UNION ALL
SELECT
    'finalization_failed',
    i.subscription_id,
    i.stripe_invoice_id,
    i.stripe_created,
    'Stripe cannot finalize it: ' || i.finalization_error
FROM invoices AS i
WHERE i.finalized_at IS NULL
  AND i.stripe_invoice_id IS NOT NULL
  AND i.stripe_status = 'draft'
  AND i.finalization_error IS NOT NULL
UNION ALL
SELECT
    'draft_left',
    i.subscription_id,
    i.stripe_invoice_id,
    i.stripe_created,
    'a draft of ' || billing_money_v1(i.amount_due, i.currency)
    || CASE WHEN i.auto_advance IS FALSE THEN ', which Stripe does not finalize by itself' ELSE '' END
FROM invoices AS i
LEFT JOIN subscriptions AS s
    ON s.id = i.subscription_id
WHERE i.finalized_at IS NULL
  AND i.stripe_invoice_id IS NOT NULL
  AND i.stripe_status = 'draft'
  AND i.stripe_created <= now() - interval '3 days'
  AND i.finalization_error IS NULL
  AND s.collection_behavior IS DISTINCT FROM 'keep_as_draft'
  -- one that is made by hand is meant to be a draft, and so are those of an unpaid subscription
  AND (
      i.auto_advance
      OR (i.billing_reason IS DISTINCT FROM 'manual' AND s.stripe_status IN ('trialing', 'active', 'past_due'))
  )
UNION ALL
SELECT
    'invoice_deleted',
    i.subscription_id,
    i.stripe_invoice_id,
    i.stripe_as_of,
    'a draft for a term was deleted at Stripe: ' || billing_money_v1(i.amount_due, i.currency)
FROM invoices AS i
JOIN subscriptions AS s
    ON s.id = i.subscription_id
    AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')
WHERE i.finalized_at IS NULL
  AND i.stripe_invoice_id IS NOT NULL
  AND i.stripe_status = 'deleted'
  AND i.billing_reason IS DISTINCT FROM 'manual'
  AND NOT EXISTS (
      SELECT 1
      FROM invoices AS later
      WHERE later.subscription_id = i.subscription_id
        AND later.stripe_created > i.stripe_created
        AND later.billing_reason IS DISTINCT FROM 'manual'
        AND later.stripe_status IN ('open', 'paid')
  )
UNION ALL
SELECT
    'debt_unconfirmed',
    w.subscription_id,
    s.stripe_subscription_id,
    w.debt_unconfirmed_since,
    'not suspended, because Stripe does not confirm the debt: ' || w.debt_error
FROM provisioning_work AS w
JOIN subscriptions AS s
    ON s.id = w.subscription_id
WHERE w.debt_unconfirmed_since < now() - interval '24 hours'
UNION ALL
SELECT
    'event_failed',
    NULL,
    e.id,
    e.received_at,
    -- the first line is the sentence, before the traceback
    e.type || ': ' || coalesce(left(split_part(e.last_error, E'\n', 1), 200), 'not applied yet')
FROM stripe_events AS e
WHERE e.status = 'failed'
   OR (e.status = 'received' AND e.received_at <= now() - interval '15 minutes')
UNION ALL
SELECT
    'refetch_failed',
    NULL,
    r.object_id,
    r.requested_at,
    r.last_error
FROM stripe_refetches AS r
WHERE r.last_error IS NOT NULL
  AND (
      r.last_error NOT LIKE 'The payment service is temporarily unavailable%'
      OR r.requested_at <= now() - interval '1 hour'
  )
UNION ALL
SELECT
    'invoice_unlinked',
    NULL,
    i.stripe_invoice_id,
    i.stripe_created,
    'its subscription ' || i.stripe_subscription_id || ' is not mirrored'
FROM invoices AS i
WHERE i.stripe_subscription_id IS NOT NULL
  AND i.subscription_id IS NULL
  -- shown as row_deleted
  AND NOT EXISTS (
      SELECT 1
      FROM billing_deleted_subscriptions AS d
      WHERE d.stripe_subscription_id = i.stripe_subscription_id
        AND d.settled_at IS NULL
  )
UNION ALL
SELECT
    'subscription_unmirrored',
    s.id,
    s.stripe_subscription_id,
    s.created_at AT TIME ZONE 'UTC',
    'its Checkout session is complete, but no event of the subscription has arrived'
FROM subscriptions AS s
WHERE s.billing_provider = 'stripe'
  AND s.stripe_subscription_id IS NOT NULL
  AND s.stripe_status IS NULL
UNION ALL
SELECT
    'request_unfinished',
    s.id,
    a.id::text,
    u.since,
    a.action || coalesce(' of ' || a.target_id, '') || ' by ' || a.actor || ': it is unknown whether it took effect'
FROM billing_audit_unsettled AS u
JOIN billing_audit_entries AS a
    ON a.id = u.entry_id
LEFT JOIN subscriptions AS s
    ON s.id = CASE
        WHEN a.target_type = 'subscription' AND a.target_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
            THEN a.target_id::uuid
    END
WHERE u.since <= now() - interval '15 minutes'
  -- the same request may have been repeated: a sweep writes down the outcome
  AND NOT EXISTS (
      SELECT 1
      FROM billing_changes AS c
      WHERE c.id = (a.details ->> 'changeId')::uuid
        AND c.state = 'done'
  )
UNION ALL
SELECT
    'drift',
    s.id,
    d.object_id,
    d.found_at,
    d.object_type || ', ' || d.field || ': ours ' || coalesce(d.ours, 'missing')
    || ', found ' || coalesce(d.found, 'missing')
FROM (
    -- the latest complete run, and partial runs since then
    SELECT r.id
    FROM billing_reconcile_runs AS r
    WHERE NOT r.dry_run
      AND r.outcome IN ('clean', 'repaired', 'drift')
      AND r.started_at >= coalesce((
          SELECT max(whole.started_at)
          FROM billing_reconcile_runs AS whole
          WHERE NOT whole.dry_run
            AND whole.since_days IS NULL
            AND whole.outcome IN ('clean', 'repaired', 'drift')
      ), '-infinity')
) AS latest
JOIN billing_reconcile_drift AS d
    ON d.run_id = latest.id
    AND NOT d.repaired
LEFT JOIN subscriptions AS s
    ON s.stripe_subscription_id = d.object_id
UNION ALL
SELECT
    'dispute_unanswered',
    billed.subscription_id,
    d.stripe_dispute_id,
    d.stripe_created,
    CASE WHEN d.status = 'warning_needs_response' THEN 'the bank asks about ' ELSE 'the bank takes back ' END
    || billing_money_v1(d.amount, d.currency) || ' (' || d.reason || '); evidence is accepted until '
    || to_char(d.evidence_due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
FROM stripe_disputes AS d
LEFT JOIN LATERAL (
    SELECT i.subscription_id
    FROM invoice_payments AS p
    JOIN invoices AS i
        ON i.stripe_invoice_id = p.stripe_invoice_id
    WHERE p.stripe_payment_intent_id = d.stripe_payment_intent_id
    ORDER BY p.stripe_created
    LIMIT 1
    OFFSET 0
) AS billed ON TRUE
WHERE d.status IN ('needs_response', 'warning_needs_response', 'appeal_needs_response')
  AND d.evidence_due_at > now() + interval '3 days'
UNION ALL
SELECT
    'dispute_due',
    billed.subscription_id,
    d.stripe_dispute_id,
    d.stripe_created,
    CASE WHEN d.status = 'warning_needs_response' THEN 'the bank asks about ' ELSE 'the bank takes back ' END
    || billing_money_v1(d.amount, d.currency) || ' (' || d.reason || '); evidence is accepted until '
    || to_char(d.evidence_due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
FROM stripe_disputes AS d
LEFT JOIN LATERAL (
    SELECT i.subscription_id
    FROM invoice_payments AS p
    JOIN invoices AS i
        ON i.stripe_invoice_id = p.stripe_invoice_id
    WHERE p.stripe_payment_intent_id = d.stripe_payment_intent_id
    ORDER BY p.stripe_created
    LIMIT 1
    OFFSET 0
) AS billed ON TRUE
WHERE d.status IN ('needs_response', 'warning_needs_response', 'appeal_needs_response')
  AND d.evidence_due_at > now()
  AND d.evidence_due_at <= now() + interval '3 days'
UNION ALL
SELECT
    'fraud_warning',
    billed.subscription_id,
    w.stripe_fraud_warning_id,
    w.stripe_created,
    'the bank reports ' || w.stripe_charge_id || ' as ' || w.fraud_type || ': a refund avoids a dispute'
FROM stripe_fraud_warnings AS w
LEFT JOIN LATERAL (
    SELECT i.subscription_id
    FROM invoice_payments AS p
    JOIN invoices AS i
        ON i.stripe_invoice_id = p.stripe_invoice_id
    WHERE p.stripe_payment_intent_id = w.stripe_payment_intent_id
    ORDER BY p.stripe_created
    LIMIT 1
    OFFSET 0
) AS billed ON TRUE
WHERE w.actionable
  AND w.stripe_created > now() - interval '30 days'
UNION ALL
SELECT
    'tax_id_unverified',
    untaxed.subscription_id,
    t.stripe_tax_id_id,
    t.stripe_as_of,
    t.type || ' of ' || t.stripe_customer_id || ' is not known to its database, and '
    || coalesce(untaxed.stripe_number, untaxed.stripe_invoice_id) || ' leaves the tax to them'
FROM stripe_tax_ids AS t
CROSS JOIN LATERAL (
    SELECT
        i.subscription_id,
        i.stripe_number,
        i.stripe_invoice_id
    FROM stripe_customers AS c
    JOIN invoices AS i
        ON i.customer_id = c.customer_id
    WHERE c.id = t.stripe_customer_id
      AND i.stripe_invoice_id IS NOT NULL
      AND i.stripe_customer_id = t.stripe_customer_id
      AND i.stripe_status IN ('open', 'paid')
      AND i.stripe_created > now() - interval '90 days'
      AND i.taxes @> '[{"reason": "reverse_charge"}]'
    ORDER BY i.stripe_created DESC
    LIMIT 1
    OFFSET 0
) AS untaxed
WHERE t.verification = 'unverified'
  AND NOT t.deleted
  AND NOT EXISTS (
      SELECT 1
      FROM stripe_tax_ids AS other
      WHERE other.stripe_customer_id = t.stripe_customer_id
        AND other.verification = 'verified'
        AND NOT other.deleted
      OFFSET 0
  )
UNION ALL
SELECT
    'domain_not_renewed',
    own.subscription_id,
    own.name,
    coalesce(r.paid_at, r.updated_at),
    charged.year || CASE r.state
        WHEN 'paid' THEN ' is paid, and the registrar does not have it yet: ' || coalesce(own.last_error, 'no answer')
        ELSE ' is ' || r.state || ': ' || r.last_error
    END
FROM billing_domain_renewals AS r
JOIN billing_domains AS own
    ON own.id = r.domain_id
LEFT JOIN invoices AS i
    ON i.stripe_invoice_id = r.stripe_invoice_id
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN r.expires_on IS NULL THEN 'the first year of a name in place of a lost one'
        ELSE 'a further year'
    END AS year
) AS charged
WHERE (r.last_error IS NOT NULL OR r.state = 'paid')
  AND CASE r.state
      WHEN 'paid' THEN r.paid_at < now() - interval '1 day'
      WHEN 'refused' THEN
          (own.state = 'active' AND (own.expires_at AT TIME ZONE 'UTC')::date <= r.expires_on + 300)
          OR (r.given_back_at IS NULL AND (i.amount_refunded + i.amount_credited >= r.amount) IS NOT TRUE)
      ELSE r.failures >= 3
  END
UNION ALL
SELECT
    'usage_not_billed',
    e.subscription_id,
    e.id::text,
    e.created_at,
    concat(
        e.value, ' of ', e.meter, ' until ', to_char(e.used_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), ' UTC: ',
        CASE e.state WHEN 'late' THEN 'the invoice of that term was final' ELSE e.last_error END
    )
FROM billing_meter_events AS e
WHERE e.state = ANY ('{late,refused}')
  AND e.settled_at IS NULL
UNION ALL
SELECT
    'usage_unsent',
    e.subscription_id,
    e.id::text,
    e.created_at,
    concat(e.value, ' of ', e.meter, ': ', e.last_error)
FROM billing_meter_events AS e
WHERE e.state = 'waiting'
  AND e.failures > 0
  AND e.created_at < now() - interval '1 hour'
UNION ALL
SELECT
    'usage_dropped',
    NULL,
    r.event_id,
    r.received_at,
    CASE
        WHEN r.read_at IS NULL THEN concat('Stripe does not say of what: ', r.last_error)
        ELSE concat(r.dropped - r.named, ' of ', r.dropped, ' meter events, which are not named: ', r.detail)
    END
FROM billing_usage_reports AS r
WHERE r.settled_at IS NULL
  AND (r.read_at IS NULL OR r.named < r.dropped)
  AND (r.read_at IS NOT NULL OR r.received_at < now() - interval '1 hour')
UNION ALL
SELECT
    'receiver_disabled',
    NULL,
    r.name,
    r.disabled_at,
    r.url || ': ' || r.disabled_reason
FROM billing_receivers AS r
WHERE r.disabled_at IS NOT NULL
  AND r.failing_since IS NOT NULL
UNION ALL
SELECT
    'not_delivered',
    d.subscription_id,
    d.message_id,
    d.tried_at,
    m.type || ' to ' || r.name || ': ' || d.last_error
FROM billing_deliveries AS d
JOIN billing_messages AS m
    ON m.id = d.message_id
JOIN billing_receivers AS r
    ON r.id = d.receiver_id
WHERE d.state = 'given_up'
UNION ALL
SELECT
    'server_left',
    NULL,
    s.name,
    s.left_at,
    'PROVISIONING_SERVICES does not name it for ' || s.product_type || ' any more, and it has ' || load.accounts || ' accounts'
FROM billing_servers AS s
CROSS JOIN LATERAL (
    SELECT there.accounts
    FROM billing_server_load AS there
    WHERE there.product_type = s.product_type
      AND there.server = s.name
    OFFSET 0
) AS load
WHERE s.left_at IS NOT NULL
  AND load.accounts > 0
UNION ALL
SELECT
    'server_failing',
    NULL,
    s.name,
    s.failing_since,
    s.failures || ' commands for ' || s.product_type || ' have failed in a row: ' || s.last_error
FROM billing_servers AS s
WHERE s.failures >= 3
  AND s.failing_since < now() - interval '15 minutes'
  AND s.failed_at > now() - interval '2 hours'
  AND s.left_at IS NULL
UNION ALL
SELECT
    'move_failed',
    m.subscription_id,
    m.product_type,
    m.updated_at,
    'to ' || m.to_server || ', ' || m.state || ': ' || m.last_error
FROM billing_moves AS m
WHERE m.finished_at IS NULL
  AND m.last_error IS NOT NULL
  AND (m.stopped OR m.begun_at < now() - interval '1 day')
UNION ALL
SELECT
    'move_waits',
    m.subscription_id,
    m.product_type,
    m.updated_at,
    'nobody has said that the data was moved from ' || m.from_server || ' (' || coalesce(v.external_ref, '-') || ') to '
    || m.to_server || ' (' || m.external_ref || ')'
FROM billing_moves AS m
JOIN tenant_services AS v
    ON v.subscription_id = m.subscription_id
    AND v.product_type = m.product_type
WHERE m.finished_at IS NULL
  AND m.state = 'copying'
  AND m.confirmed_by IS NULL
  AND m.updated_at < now() - interval '3 days';
COMMENT ON VIEW billing_trouble IS 'What a person must act on; empty if all is well. What Stripe or time settles is in billing_watch';
COMMENT ON COLUMN billing_trouble.trouble IS 'Its kind; billing_trouble_kinds says what it means and what settles it';
COMMENT ON COLUMN billing_trouble.subscription_id IS 'The subscription concerned; null: none is known';
COMMENT ON COLUMN billing_trouble.object_id IS 'The object concerned: an id at Stripe, a product type, an entry of the audit log, a meter event, a receiver, a message or a server';
COMMENT ON COLUMN billing_trouble.since IS 'When it began';
COMMENT ON COLUMN billing_trouble.detail IS 'Description';
