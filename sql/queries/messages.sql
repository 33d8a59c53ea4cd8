-- Messages to mPanel, their receivers and deliveries.

-- Tables: billing_receivers, billing_messages, billing_message_sequences, billing_deliveries
--
-- CREATE TABLE billing_receivers (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     name text NOT NULL,
--     url text NOT NULL,
--     livemode boolean NOT NULL,
--     types text[] NOT NULL,
--     secret text NOT NULL,
--     former_secret text,
--     former_secret_until timestamp with time zone,
--     failing_since timestamp with time zone,
--     disabled_at timestamp with time zone,
--     disabled_reason text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     created_by text NOT NULL,
--     CONSTRAINT billing_receivers_check CHECK (((former_secret IS NULL) = (former_secret_until IS NULL))),
--     CONSTRAINT billing_receivers_check1 CHECK (((disabled_at IS NULL) = (disabled_reason IS NULL))),
--     CONSTRAINT billing_receivers_former_secret_check CHECK ((former_secret ~ '^whsec_[0-9A-Za-z+/=]+$'::text)),
--     CONSTRAINT billing_receivers_name_check CHECK ((name ~ '^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$'::text)),
--     CONSTRAINT billing_receivers_secret_check CHECK ((secret ~ '^whsec_[0-9A-Za-z+/=]+$'::text)),
--     CONSTRAINT billing_receivers_types_check CHECK ((cardinality(types) > 0)),
--     CONSTRAINT billing_receivers_url_check CHECK ((url ~ '^https?://'::text))
-- );
-- ALTER TABLE ONLY billing_receivers ADD CONSTRAINT billing_receivers_name_key UNIQUE (name);
-- ALTER TABLE ONLY billing_receivers ADD CONSTRAINT billing_receivers_pkey PRIMARY KEY (id);
--
-- CREATE TABLE billing_messages (
--     id text NOT NULL,
--     "position" bigint NOT NULL,
--     type text NOT NULL,
--     object_id text NOT NULL,
--     transition text NOT NULL,
--     livemode boolean NOT NULL,
--     subscription_id uuid,
--     customer_id uuid,
--     invoice_id uuid,
--     sequence bigint,
--     occurred_at timestamp with time zone NOT NULL,
--     data jsonb NOT NULL,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     addressed_at timestamp with time zone,
--     CONSTRAINT billing_messages_check CHECK (((sequence IS NULL) OR ((subscription_id IS NOT NULL) AND (addressed_at IS NOT NULL)))),
--     CONSTRAINT billing_messages_data_check CHECK ((jsonb_typeof(data) = 'object'::text)),
--     CONSTRAINT billing_messages_id_check CHECK ((id ~ '^msg_[0-9a-f]{32}$'::text)),
--     CONSTRAINT billing_messages_sequence_check CHECK ((sequence > 0)),
--     CONSTRAINT billing_messages_type_check CHECK ((type ~ '^[a-z_]+\.[a-z_]+$'::text))
-- );
-- ALTER TABLE ONLY billing_messages ADD CONSTRAINT billing_messages_pkey PRIMARY KEY (id);
-- CREATE INDEX billing_messages_created_idx ON billing_messages USING btree (created_at);
-- CREATE INDEX billing_messages_new_idx ON billing_messages USING btree ("position") WHERE (addressed_at IS NULL);
-- CREATE UNIQUE INDEX billing_messages_position_key ON billing_messages USING btree ("position");
-- CREATE UNIQUE INDEX billing_messages_sequence_key ON billing_messages USING btree (subscription_id, sequence);
--
-- CREATE TABLE billing_message_sequences (
--     subscription_id uuid NOT NULL,
--     latest bigint NOT NULL,
--     CONSTRAINT billing_message_sequences_latest_check CHECK ((latest > 0))
-- )
-- WITH (fillfactor='85');
-- ALTER TABLE ONLY billing_message_sequences ADD CONSTRAINT billing_message_sequences_pkey PRIMARY KEY (subscription_id);
--
-- CREATE TABLE billing_deliveries (
--     message_id text NOT NULL,
--     receiver_id uuid NOT NULL,
--     subscription_id uuid,
--     sequence bigint,
--     state text DEFAULT 'waiting'::text NOT NULL,
--     attempts integer DEFAULT 0 NOT NULL,
--     next_attempt_at timestamp with time zone DEFAULT now(),
--     tried_at timestamp with time zone,
--     last_status integer,
--     last_error text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_deliveries_attempts_check CHECK ((attempts >= 0)),
--     CONSTRAINT billing_deliveries_check CHECK (((state = 'waiting'::text) = (next_attempt_at IS NOT NULL))),
--     CONSTRAINT billing_deliveries_check1 CHECK (((state <> 'given_up'::text) OR (last_error IS NOT NULL))),
--     CONSTRAINT billing_deliveries_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'delivered'::text, 'given_up'::text])))
-- )
-- WITH (fillfactor='70');
-- ALTER TABLE ONLY billing_deliveries ADD CONSTRAINT billing_deliveries_pkey PRIMARY KEY (receiver_id, message_id);
-- ALTER TABLE ONLY billing_deliveries ADD CONSTRAINT billing_deliveries_message_id_fkey FOREIGN KEY (message_id) REFERENCES billing_messages(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY billing_deliveries ADD CONSTRAINT billing_deliveries_receiver_id_fkey FOREIGN KEY (receiver_id) REFERENCES billing_receivers(id) ON DELETE CASCADE;
-- CREATE INDEX billing_deliveries_due_idx ON billing_deliveries USING btree (receiver_id, next_attempt_at) WHERE (state = 'waiting'::text);
-- CREATE INDEX billing_deliveries_message_idx ON billing_deliveries USING btree (message_id);
-- CREATE INDEX billing_deliveries_unfinished_idx ON billing_deliveries USING btree (state, created_at) WHERE (state <> 'delivered'::text);
-- CREATE INDEX billing_deliveries_untried_idx ON billing_deliveries USING btree (receiver_id, subscription_id, sequence) WHERE ((state = 'waiting'::text) AND (tried_at IS NULL));

-- name: insert_receiver(name, url, livemode, types, secret, created_by)$
-- Returns nothing if one of that name exists.
INSERT INTO billing_receivers (name, url, livemode, types, secret, created_by)
VALUES (:name, :url, :livemode::boolean, :types::text[], :secret, :created_by)
ON CONFLICT (name) DO NOTHING
RETURNING TRUE;

-- name: list_receivers()
-- Without their secrets.
SELECT
    r.name,
    r.url,
    r.livemode,
    r.types,
    r.former_secret_until,
    r.failing_since,
    r.disabled_at,
    r.disabled_reason,
    r.created_at,
    r.created_by,
    count(d.message_id) FILTER (WHERE d.state = 'waiting') AS waiting,
    count(d.message_id) FILTER (WHERE d.state = 'given_up') AS given_up
FROM billing_receivers AS r
LEFT JOIN billing_deliveries AS d
    ON d.receiver_id = r.id
    AND d.state IN ('waiting', 'given_up')
GROUP BY r.id
ORDER BY r.name;

-- name: change_receiver(name, url, types)$
-- Null: it stays.
UPDATE billing_receivers
SET url = coalesce(:url, url),
    types = coalesce(:types::text[], types)
WHERE name = :name
RETURNING TRUE;

-- name: roll_secret(name, secret, hours)$
-- The key until now signs beside the new one for some hours; 0: no longer.
UPDATE billing_receivers
SET former_secret = CASE WHEN :hours::integer > 0 THEN secret END,
    former_secret_until = CASE WHEN :hours::integer > 0 THEN now() + make_interval(hours => :hours::integer) END,
    secret = :secret
WHERE name = :name
RETURNING TRUE;

-- name: disable_receiver(name, reason, by_operator)$
-- What waits stays for later. Who disables it knows that it fails.
UPDATE billing_receivers
SET disabled_at = now(),
    disabled_reason = :reason,
    failing_since = CASE WHEN NOT :by_operator::boolean THEN failing_since END
WHERE name = :name
  AND disabled_at IS NULL
RETURNING TRUE;

-- name: enable_receiver(name)$
WITH enabled AS (
    UPDATE billing_receivers
    SET disabled_at = NULL,
        disabled_reason = NULL,
        failing_since = NULL
    WHERE name = :name
      AND disabled_at IS NOT NULL
    RETURNING id
),
resumed AS (
    UPDATE billing_deliveries AS d
    SET next_attempt_at = now(),
        attempts = 0
    FROM enabled
    WHERE d.receiver_id = enabled.id
      AND d.state = 'waiting'
),
notified AS MATERIALIZED (
    SELECT pg_notify('billing_messages', '') FROM enabled
)
SELECT TRUE FROM notified;

-- name: delete_receiver(name)$
DELETE FROM billing_receivers
WHERE name = :name
RETURNING TRUE;

-- name: has_receiver(name)$
SELECT TRUE FROM billing_receivers AS r WHERE r.name = :name;

-- name: silence_messages()$
-- Of what this transaction changes.
SELECT set_config('mpanel_billing.messages', 'off', TRUE);

-- name: lock_addressing(key)$
-- One process at a time gives numbers. In a statement of its own: the next one has to see what the
-- process before has committed.
SELECT pg_try_advisory_xact_lock(hashtextextended(:key, 0));

-- name: address_messages(most)$
-- Gives new messages their numbers, and a delivery for each receiver of their type.
WITH fresh AS MATERIALIZED (
    SELECT
        m.id,
        m.position,
        m.type,
        m.livemode,
        coalesce(m.subscription_id, billed.subscription_id) AS subscription_id,
        coalesce(m.customer_id, billed.customer_id) AS customer_id,
        billed.id AS invoice_id
    FROM billing_messages AS m
    LEFT JOIN LATERAL (
        -- an invoice gets its subscription later in its transaction; a refund names a payment; of a debt
        -- it is the oldest one
        SELECT
            i.id,
            i.subscription_id,
            i.customer_id
        FROM invoices AS i
        WHERE i.stripe_invoice_id = CASE split_part(m.type, '.', 1)
            WHEN 'invoice' THEN m.object_id
            WHEN 'refund' THEN (
                SELECT p.stripe_invoice_id
                FROM stripe_refunds AS r
                JOIN invoice_payments AS p
                    ON p.stripe_payment_intent_id = r.stripe_payment_intent_id
                WHERE r.stripe_refund_id = m.object_id
                ORDER BY p.stripe_created
                LIMIT 1
            )
            WHEN 'credit_note' THEN (
                SELECT n.stripe_invoice_id
                FROM stripe_credit_notes AS n
                WHERE n.stripe_credit_note_id = m.object_id
            )
            WHEN 'dispute' THEN (
                SELECT p.stripe_invoice_id
                FROM stripe_disputes AS d
                JOIN invoice_payments AS p
                    ON p.stripe_payment_intent_id = d.stripe_payment_intent_id
                WHERE d.stripe_dispute_id = m.object_id
                ORDER BY p.stripe_created
                LIMIT 1
            )
            ELSE (
                SELECT owed.stripe_invoice_id
                FROM invoices AS owed
                WHERE owed.subscription_id = m.subscription_id
                  AND owed.stripe_status IN ('open', 'uncollectible')
                  AND owed.billing_reason IS DISTINCT FROM 'manual'
                  AND (m.type = 'subscription.past_due' OR m.data #>> '{suspension,reason}' = 'unpaid')
                ORDER BY owed.stripe_created, owed.id
                LIMIT 1
            )
        END
    ) AS billed
        ON TRUE
    WHERE m.addressed_at IS NULL
    ORDER BY m.position
    LIMIT :most::integer
),
counted AS (
    INSERT INTO billing_message_sequences AS c (subscription_id, latest)
    SELECT
        f.subscription_id,
        count(*)
    FROM fresh AS f
    WHERE f.subscription_id IS NOT NULL
    GROUP BY f.subscription_id
    ON CONFLICT (subscription_id) DO UPDATE
    SET latest = c.latest + excluded.latest
    RETURNING c.subscription_id, c.latest
),
numbered AS (
    SELECT
        f.id,
        f.type,
        f.livemode,
        f.subscription_id,
        f.customer_id,
        f.invoice_id,
        c.latest + 1 - row_number() OVER (PARTITION BY f.subscription_id ORDER BY f.position DESC) AS sequence
    FROM fresh AS f
    LEFT JOIN counted AS c
        ON c.subscription_id = f.subscription_id
),
addressed AS (
    UPDATE billing_messages AS m
    SET subscription_id = n.subscription_id,
        customer_id = n.customer_id,
        invoice_id = n.invoice_id,
        sequence = n.sequence,
        addressed_at = now()
    FROM numbered AS n
    WHERE m.id = n.id
),
sent AS (
    INSERT INTO billing_deliveries (message_id, receiver_id, subscription_id, sequence)
    SELECT
        n.id,
        r.id,
        n.subscription_id,
        n.sequence
    FROM numbered AS n
    JOIN billing_receivers AS r
        ON r.livemode = n.livemode
    WHERE billing_is_wanted(n.type, r.types)
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM numbered;

-- name: list_due_receivers()
-- Who has something to be sent now, and in how many seconds each of the others has.
SELECT
    r.id,
    extract(epoch FROM soonest.next_attempt_at - now())::float8 AS seconds
FROM billing_receivers AS r
CROSS JOIN LATERAL (
    SELECT d.next_attempt_at
    FROM billing_deliveries AS d
    WHERE d.receiver_id = r.id
      AND d.state = 'waiting'
    ORDER BY d.next_attempt_at
    LIMIT 1
) AS soonest
WHERE r.disabled_at IS NULL;

-- name: claim_deliveries(receiver_id, most, lease_seconds)
-- Takes what is due for a receiver; one at a time while it fails. Of a subscription only the earliest
-- that has not been tried. If this process dies, another repeats them once the lease is over.
WITH due AS MATERIALIZED (
    SELECT d.message_id
    FROM billing_deliveries AS d
    WHERE d.receiver_id = :receiver_id::uuid
      AND d.state = 'waiting'
      AND d.next_attempt_at <= now()
      AND NOT EXISTS (
          SELECT 1
          FROM billing_deliveries AS earlier
          WHERE earlier.receiver_id = d.receiver_id
            AND earlier.subscription_id = d.subscription_id
            AND earlier.sequence < d.sequence
            AND earlier.state = 'waiting'
            AND earlier.tried_at IS NULL
      )
    ORDER BY d.next_attempt_at, d.message_id
    LIMIT (
        SELECT CASE
            WHEN r.disabled_at IS NOT NULL THEN 0
            WHEN r.failing_since IS NULL THEN :most::integer
            ELSE 1
        END
        FROM billing_receivers AS r
        WHERE r.id = :receiver_id::uuid
    )
    FOR UPDATE SKIP LOCKED
),
claimed AS (
    UPDATE billing_deliveries AS d
    SET attempts = d.attempts + 1,
        next_attempt_at = now() + make_interval(secs => :lease_seconds::float8)
    FROM due
    WHERE d.receiver_id = :receiver_id::uuid
      AND d.message_id = due.message_id
    RETURNING d.message_id, d.attempts
)
SELECT
    claimed.attempts,
    r.name AS receiver,
    r.url,
    r.secret,
    CASE WHEN r.former_secret_until > now() THEN r.former_secret END AS former_secret,
    m.id,
    m.type,
    m.livemode,
    m.subscription_id,
    m.sequence,
    m.occurred_at,
    m.data,
    s.stripe_subscription_id,
    s.metadata ->> 'domainValue' AS ordered_domain,
    s.tenant_id,
    coalesce(t.billing_former_domain, t.domain) AS tenant_domain,
    p.code AS plan_code,
    p.name AS plan_name,
    c.id AS customer_id,
    c.user_id,
    c.stripe_customer_id,
    c.name AS customer_name,
    c.company_name,
    c.email,
    named.domain,
    billed.invoice,
    paid.card
FROM claimed
JOIN billing_messages AS m
    ON m.id = claimed.message_id
JOIN billing_receivers AS r
    ON r.id = :receiver_id::uuid
LEFT JOIN subscriptions AS s
    ON s.id = m.subscription_id
LEFT JOIN tenants AS t
    ON t.id = s.tenant_id
LEFT JOIN products AS p
    ON p.id = s.product_id
LEFT JOIN customers AS told
    ON told.id = coalesce(s.customer_id, m.customer_id)
LEFT JOIN customers AS c
    ON c.id = coalesce(told.joined_id, told.id)
LEFT JOIN LATERAL (
    SELECT jsonb_build_object(
        'id', d.id,
        'name', d.name,
        'unicodeName', d.unicode_name,
        'mode', d.mode,
        'state', d.state,
        'proof', billing_proof_asked_v1(d.id)
    ) AS domain
    FROM billing_domains AS d
    WHERE d.id = CASE WHEN m.type LIKE 'domain.%' OR m.type = 'price.changing' THEN m.object_id::uuid END
) AS named ON TRUE
LEFT JOIN LATERAL (
    SELECT jsonb_build_object(
        'id', i.id,
        'stripeInvoiceId', i.stripe_invoice_id,
        'number', i.stripe_number,
        'status', i.stripe_status,
        'currency', lower(i.currency),
        'amountDue', i.amount_due,
        'amountPaid', i.amount_paid,
        'amountRemaining', i.amount_remaining,
        'dueAt', i.due_at,
        'nextPaymentAttempt', i.next_payment_attempt,
        'lastDecline', to_jsonb(declined),
        'hostedInvoiceUrl', i.hosted_invoice_url,
        'invoicePdf', i.invoice_pdf
    ) AS invoice
    FROM invoices AS i
    LEFT JOIN LATERAL billing_declined_v1(
        i.stripe_customer_id, i.stripe_created, i.stripe_payment_intent_id, i.amount_due
    ) AS declined ON TRUE
    WHERE i.id = m.invoice_id
) AS billed ON TRUE
LEFT JOIN LATERAL (
    SELECT jsonb_build_object('last4', h.card_last4) AS card
    FROM stripe_charges AS h
    WHERE m.type = 'card.expiring'
      AND h.stripe_customer_id = s.stripe_customer_id
      AND h.status = 'succeeded'
      AND h.card_brand = m.data #>> '{card,brand}'
      AND h.card_exp_month = (m.data #>> '{card,expMonth}')::smallint
      AND h.card_exp_year = (m.data #>> '{card,expYear}')::smallint
    ORDER BY h.stripe_created DESC
    LIMIT 1
) AS paid ON TRUE
ORDER BY m.position;

-- name: note_delivered(receiver_id, message_id, status)!
WITH delivered AS (
    UPDATE billing_deliveries
    SET state = 'delivered',
        next_attempt_at = NULL,
        tried_at = now(),
        last_status = :status::integer,
        last_error = NULL
    WHERE receiver_id = :receiver_id::uuid
      AND message_id = :message_id
)
UPDATE billing_receivers
SET failing_since = NULL
WHERE id = :receiver_id::uuid
  AND failing_since IS NOT NULL;

-- name: note_failed(receiver_id, message_id, status, error, retry_seconds)$
-- Null as retry_seconds: it is given up. Returns since when the receiver fails.
WITH failed AS (
    UPDATE billing_deliveries
    SET state = CASE WHEN :retry_seconds::float8 IS NULL THEN 'given_up' ELSE 'waiting' END,
        next_attempt_at = now() + make_interval(secs => :retry_seconds::float8),
        tried_at = now(),
        last_status = :status::integer,
        last_error = :error
    WHERE receiver_id = :receiver_id::uuid
      AND message_id = :message_id
      AND state = 'waiting'
)
UPDATE billing_receivers
SET failing_since = coalesce(failing_since, now())
WHERE id = :receiver_id::uuid
RETURNING failing_since;

-- name: list_deliveries(state, receiver, subscription_id, most)
-- The latest message first. One branch runs: what is not delivered is found among just that, what is
-- about a subscription by it, and everything else backwards from the latest message.
WITH chosen AS (
    (
        SELECT
            d.message_id,
            d.receiver_id
        FROM billing_deliveries AS d
        JOIN billing_receivers AS r
            ON r.id = d.receiver_id
        WHERE d.state <> 'delivered'
          AND d.state = :state::text
          AND :subscription_id::uuid IS NULL
          AND r.name = coalesce(:receiver::text, r.name)
        ORDER BY d.created_at DESC
        LIMIT :most::integer
    )
    UNION ALL
    (
        SELECT
            d.message_id,
            d.receiver_id
        FROM billing_messages AS m
        JOIN billing_deliveries AS d
            ON d.message_id = m.id
        JOIN billing_receivers AS r
            ON r.id = d.receiver_id
        WHERE m.subscription_id = :subscription_id::uuid
          AND d.state = coalesce(:state::text, d.state)
          AND r.name = coalesce(:receiver::text, r.name)
        ORDER BY m.sequence DESC
        LIMIT :most::integer
    )
    UNION ALL
    (
        SELECT
            d.message_id,
            d.receiver_id
        FROM billing_messages AS m
        JOIN billing_deliveries AS d
            ON d.message_id = m.id
        JOIN billing_receivers AS r
            ON r.id = d.receiver_id
        WHERE coalesce(:state::text, 'delivered') = 'delivered'
          AND :subscription_id::uuid IS NULL
          AND d.state = coalesce(:state::text, d.state)
          AND r.name = coalesce(:receiver::text, r.name)
        ORDER BY m.position DESC
        LIMIT :most::integer
    )
)
SELECT
    m.id,
    m.type,
    m.object_id,
    m.subscription_id,
    m.sequence,
    m.occurred_at,
    r.name AS receiver,
    d.state,
    d.attempts,
    d.tried_at,
    CASE WHEN r.disabled_at IS NULL THEN d.next_attempt_at END AS next_attempt_at,
    d.last_status,
    d.last_error
FROM chosen
JOIN billing_deliveries AS d
    ON d.receiver_id = chosen.receiver_id
    AND d.message_id = chosen.message_id
JOIN billing_messages AS m
    ON m.id = d.message_id
JOIN billing_receivers AS r
    ON r.id = d.receiver_id
ORDER BY m.position DESC, r.name;

-- name: get_message(id)^
SELECT
    m.id,
    m.type,
    m.object_id,
    m.transition,
    m.livemode,
    m.subscription_id,
    m.sequence,
    m.occurred_at,
    m.created_at,
    m.data
FROM billing_messages AS m
WHERE m.id = :id;

-- name: list_deliveries_of(id)
SELECT
    r.name AS receiver,
    d.state,
    d.attempts,
    d.tried_at,
    CASE WHEN r.disabled_at IS NULL THEN d.next_attempt_at END AS next_attempt_at,
    d.last_status,
    d.last_error
FROM billing_deliveries AS d
JOIN billing_receivers AS r
    ON r.id = d.receiver_id
WHERE d.message_id = :id
ORDER BY r.name;

-- name: resend(id, receiver, since, until, only_given_up)$
-- Sends again what matches, under the same ids. A receiver that is named gets what it was not sent
-- before too, if it is of its types. Returns how many. A single message is found by its time.
WITH bounds AS (
    SELECT
        coalesce(:since::timestamptz, named.created_at, '-infinity') AS since,
        coalesce(:until::timestamptz, named.created_at + interval '1 microsecond', 'infinity') AS until
    FROM (
        SELECT (SELECT n.created_at FROM billing_messages AS n WHERE n.id = :id::text) AS created_at
    ) AS named
),
requested AS (
    INSERT INTO billing_deliveries AS d (message_id, receiver_id, subscription_id, sequence)
    SELECT
        m.id,
        r.id,
        m.subscription_id,
        m.sequence
    FROM billing_messages AS m
    JOIN billing_receivers AS r
        ON r.livemode = m.livemode
    LEFT JOIN billing_deliveries AS before
        ON before.message_id = m.id
        AND before.receiver_id = r.id
    WHERE m.addressed_at IS NOT NULL
      AND (:id::text IS NULL OR m.id = :id::text)
      AND m.created_at >= (SELECT bounds.since FROM bounds)
      AND m.created_at < (SELECT bounds.until FROM bounds)
      AND r.name = coalesce(:receiver::text, r.name)
      AND (NOT :only_given_up::boolean OR before.state = 'given_up')
      AND (
          before.message_id IS NOT NULL
          OR (:receiver::text IS NOT NULL AND billing_is_wanted(m.type, r.types))
      )
    ON CONFLICT (receiver_id, message_id) DO UPDATE
    SET state = 'waiting',
        attempts = 0,
        next_attempt_at = excluded.next_attempt_at,
        tried_at = NULL
    RETURNING message_id
),
notified AS MATERIALIZED (
    SELECT pg_notify('billing_messages', '')
    FROM (SELECT 1 FROM requested LIMIT 1) AS one
)
SELECT
    count(*),
    (SELECT count(*) FROM notified) AS notifications
FROM requested;

-- name: dismiss(id, receiver)$
-- What was given up, and will not be sent again. Returns how many deliveries that were.
WITH dismissed AS (
    DELETE FROM billing_deliveries AS d
    USING billing_receivers AS r
    WHERE r.id = d.receiver_id
      AND d.message_id = :id
      AND d.state = 'given_up'
      AND r.name = coalesce(:receiver::text, r.name)
    RETURNING d.message_id
)
SELECT count(*) FROM dismissed;

-- name: record_trial_endings(days)$
-- Those that end within some days, once each.
SELECT count(billing_record_message(
    'trial.ending',
    s.id::text,
    extract(epoch FROM s.trial_end)::text,
    s.livemode,
    s.id,
    s.customer_id,
    now(),
    jsonb_build_object('subscription', billing_subscription_message(
        jsonb_populate_record(NULL::subscriptions, jsonb_build_object(
            'id', s.id,
            'stripe_subscription_id', s.stripe_subscription_id,
            'status', s.status,
            'stripe_status', s.stripe_status,
            'product_id', s.product_id,
            'metadata', s.metadata,
            'billing_cycle', s.billing_cycle,
            'amount', s.amount,
            'currency', s.currency,
            'current_period_start', s.current_period_start,
            'current_period_end', s.current_period_end,
            'trial_end', s.trial_end,
            'cancel_at_period_end', s.cancel_at_period_end,
            'cancel_at', s.cancel_at,
            'ended_at', s.ended_at
        ))
    ))
))
FROM subscriptions AS s
WHERE s.stripe_status = 'trialing'
  AND s.trial_end BETWEEN now() AND now() + make_interval(days => :days::integer);

-- name: record_expiring_cards(days)$
-- The card that paid last, of a subscription that goes on, if it expires within some days: once each. A
-- charge with another card settles it.
SELECT count(billing_record_message(
    'card.expiring',
    s.id::text,
    card.card_brand || ' ' || card.card_expired_from,
    s.livemode,
    s.id,
    s.customer_id,
    now(),
    jsonb_build_object('card', jsonb_build_object(
        'brand', card.card_brand,
        'expMonth', card.card_exp_month,
        'expYear', card.card_exp_year,
        'nextChargeAt', s.current_period_end
    ))
))
FROM (
    SELECT DISTINCT soon.stripe_customer_id
    FROM stripe_charges AS soon
    WHERE soon.card_expired_from BETWEEN current_date AND current_date + :days::integer
      AND soon.status = 'succeeded'
      AND EXISTS (SELECT 1 FROM billing_receivers)
) AS named
JOIN subscriptions AS s
    ON s.stripe_customer_id = named.stripe_customer_id
    AND s.stripe_status IN ('trialing', 'active', 'past_due')
    AND s.cancel_at_period_end IS NOT TRUE
    AND s.cancel_at IS NULL
CROSS JOIN LATERAL (
    SELECT
        c.card_brand,
        c.card_exp_month,
        c.card_exp_year,
        c.card_expired_from
    FROM stripe_charges AS c
    WHERE c.stripe_customer_id = s.stripe_customer_id
      AND c.status = 'succeeded'
    ORDER BY c.stripe_created DESC
    LIMIT 1
) AS card
WHERE card.card_expired_from BETWEEN current_date AND current_date + :days::integer;
