-- Usage that is billed: its records, and the meter events that tell Stripe of them.

-- Tables: billing_usage, billing_meter_events, billing_usage_totals
--
-- CREATE TABLE billing_usage (
--     id text NOT NULL,
--     subscription_id uuid NOT NULL,
--     meter text NOT NULL,
--     quantity bigint NOT NULL,
--     used_at timestamp with time zone NOT NULL,
--     latest_second timestamp with time zone,
--     meter_event_id uuid NOT NULL,
--     received_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_usage_id_check CHECK (((length(id) >= 1) AND (length(id) <= 100)))
-- )
-- WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');
-- ALTER TABLE ONLY billing_usage ADD CONSTRAINT billing_usage_pkey PRIMARY KEY (id);
-- CREATE UNIQUE INDEX billing_usage_latest_key ON billing_usage USING btree (subscription_id, meter, latest_second) WHERE (latest_second IS NOT NULL);
-- CREATE INDEX billing_usage_received_idx ON billing_usage USING btree (received_at);
-- CREATE INDEX billing_usage_subscription_idx ON billing_usage USING btree (subscription_id);
--
-- CREATE TABLE billing_meter_events (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     number bigint NOT NULL,
--     subscription_id uuid NOT NULL,
--     meter text NOT NULL,
--     stripe_customer_id text NOT NULL,
--     livemode boolean NOT NULL,
--     value bigint NOT NULL,
--     used_at timestamp with time zone NOT NULL,
--     state text DEFAULT 'waiting'::text NOT NULL,
--     first_tried_at timestamp with time zone,
--     failures integer DEFAULT 0 NOT NULL,
--     last_error text,
--     next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
--     sent_at timestamp with time zone,
--     settled_at timestamp with time zone,
--     settled_by text,
--     settled_reason text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_meter_events_check CHECK (((state = 'sent'::text) = (sent_at IS NOT NULL))),
--     CONSTRAINT billing_meter_events_check1 CHECK ((num_nonnulls(settled_at, settled_by, settled_reason) = ANY (ARRAY[0, 3]))),
--     CONSTRAINT billing_meter_events_failures_check CHECK ((failures >= 0)),
--     CONSTRAINT billing_meter_events_state_check CHECK ((state = ANY ('{waiting,sent,late,refused}'::text[])))
-- )
-- WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');
-- ALTER TABLE ONLY billing_meter_events ADD CONSTRAINT billing_meter_events_pkey PRIMARY KEY (id);
-- CREATE INDEX billing_meter_events_created_idx ON billing_meter_events USING btree (created_at);
-- CREATE INDEX billing_meter_events_failing_idx ON billing_meter_events USING btree (subscription_id) WHERE ((state = 'waiting'::text) AND (failures > 0));
-- CREATE INDEX billing_meter_events_oldest_idx ON billing_meter_events USING btree (created_at) WHERE (state = 'waiting'::text);
-- CREATE INDEX billing_meter_events_unbilled_idx ON billing_meter_events USING btree (subscription_id) WHERE ((state = ANY ('{late,refused}'::text[])) AND (settled_at IS NULL));
-- CREATE INDEX billing_meter_events_usage_idx ON billing_meter_events USING btree (subscription_id, meter, used_at);
-- CREATE INDEX billing_meter_events_waiting_idx ON billing_meter_events USING btree (stripe_customer_id, meter, number) WHERE (state = 'waiting'::text);
--
-- CREATE TABLE billing_usage_totals (
--     subscription_id uuid NOT NULL,
--     meter text NOT NULL,
--     term_start timestamp with time zone NOT NULL,
--     quantity bigint NOT NULL,
--     latest_at timestamp with time zone NOT NULL,
--     lifted_at timestamp with time zone,
--     lifted_by text,
--     lifted_reason text,
--     CONSTRAINT billing_usage_totals_check CHECK ((num_nonnulls(lifted_at, lifted_by, lifted_reason) = ANY (ARRAY[0, 3])))
-- )
-- WITH (fillfactor='85');
-- ALTER TABLE ONLY billing_usage_totals ADD CONSTRAINT billing_usage_totals_pkey PRIMARY KEY (subscription_id, meter);

-- name: store_records(records, owner_id, livemode)
-- All that can be stored, in one statement; each place gets stored, known (its id or its second was there
-- before) or why it is not. Records of one subscription, meter and hour become one meter event. The hours are counted from
-- the start of the present term: others begin whole days apart from it, so that no hour is in two.
WITH given AS MATERIALIZED (
    SELECT
        r.place,
        r.id,
        r.subscription_id,
        r.meter,
        r.quantity,
        r.used_at
    FROM jsonb_to_recordset(:records::jsonb) AS r (
        place integer,
        id text,
        subscription_id uuid,
        meter text,
        quantity bigint,
        used_at timestamptz
    )
),
checked AS MATERIALIZED (
    SELECT
        given.place,
        given.id,
        given.subscription_id,
        given.meter,
        given.quantity,
        given.used_at,
        s.stripe_customer_id,
        -- the mirror may not know the next term yet
        CASE
            WHEN given.used_at >= item.current_period_end THEN item.current_period_end
            ELSE item.current_period_start
        END AS term_start,
        item.is_limited,
        CASE item.aggregation WHEN 'last' THEN date_trunc('second', given.used_at) END AS latest_second,
        floor(extract(EPOCH FROM given.used_at - item.current_period_start) / 3600) AS hour,
        CASE
            WHEN known.id IS NOT NULL THEN 'known'
            WHEN s.id IS NULL THEN 'unknown_subscription'
            WHEN item.meter IS NULL THEN 'not_metered'
            WHEN given.quantity < 0 AND item.aggregation <> 'sum' THEN 'negative_quantity'
            WHEN given.used_at < now() - interval '35 days' THEN 'too_old'
            WHEN given.used_at > now() + interval '5 minutes' THEN 'in_future'
            WHEN given.used_at >= s.ended_at THEN 'subscription_ended'
        END AS outcome
    FROM given
    LEFT JOIN billing_usage AS known
        ON known.id = given.id
    LEFT JOIN subscriptions AS s
        ON s.id = given.subscription_id
        AND s.billing_provider = 'stripe'
        AND s.livemode = :livemode::boolean
        AND (:owner_id::uuid IS NULL OR s.customer_id = :owner_id::uuid)
    LEFT JOIN LATERAL (
        SELECT
            p.meter,
            m.aggregation,
            i.current_period_start,
            i.current_period_end,
            product.usage ->> 'limit' IS NOT NULL AS is_limited
        FROM subscription_items AS i
        JOIN prices AS p
            ON p.id = i.price_id
            AND p.meter = given.meter
        JOIN billing_meters AS m
            ON m.event_name = p.meter
        JOIN products AS product
            ON product.id = p.product_id
        WHERE i.subscription_id = s.id
          AND i.stripe_subscription_item_id IS NOT NULL
        ORDER BY i.current_period_start DESC
        LIMIT 1
    ) AS item ON TRUE
),
hours AS MATERIALIZED (
    SELECT
        of_one.subscription_id,
        of_one.meter,
        of_one.hour,
        gen_random_uuid() AS event_id
    FROM (
        SELECT DISTINCT
            c.subscription_id,
            c.meter,
            c.hour
        FROM checked AS c
        WHERE c.outcome IS NULL
    ) AS of_one
),
firsts AS MATERIALIZED (
    SELECT DISTINCT ON (c.id)
        c.place,
        c.id,
        c.subscription_id,
        c.meter,
        c.quantity,
        c.used_at,
        c.latest_second,
        hours.event_id
    FROM checked AS c
    JOIN hours
        ON hours.subscription_id = c.subscription_id
        AND hours.meter = c.meter
        AND hours.hour = c.hour
    WHERE c.outcome IS NULL
    ORDER BY c.id, c.place
),
stored AS (
    -- in one order: two calls with the same records wait for each other, and never both
    INSERT INTO billing_usage (id, subscription_id, meter, quantity, used_at, latest_second, meter_event_id)
    SELECT
        firsts.id,
        firsts.subscription_id,
        firsts.meter,
        firsts.quantity,
        firsts.used_at,
        firsts.latest_second,
        firsts.event_id
    FROM firsts
    ORDER BY firsts.subscription_id, firsts.meter, firsts.latest_second, firsts.id
    ON CONFLICT DO NOTHING
    RETURNING id, subscription_id, meter, quantity, used_at, meter_event_id
),
made AS (
    INSERT INTO billing_meter_events (id, subscription_id, meter, stripe_customer_id, livemode, value, used_at)
    SELECT
        stored.meter_event_id,
        stored.subscription_id,
        stored.meter,
        s.stripe_customer_id,
        s.livemode,
        CASE m.aggregation
            WHEN 'sum' THEN sum(stored.quantity)
            ELSE (array_agg(stored.quantity ORDER BY stored.used_at DESC, stored.id DESC))[1]
        END,
        max(stored.used_at)
    FROM stored
    JOIN subscriptions AS s
        ON s.id = stored.subscription_id
    JOIN billing_meters AS m
        ON m.event_name = stored.meter
    GROUP BY
        stored.meter_event_id,
        stored.subscription_id,
        stored.meter,
        s.stripe_customer_id,
        s.livemode,
        m.aggregation
    ORDER BY max(stored.used_at)
    RETURNING subscription_id, meter, value, used_at
),
counted AS (
    INSERT INTO billing_usage_totals AS t (subscription_id, meter, term_start, quantity, latest_at)
    SELECT
        made.subscription_id,
        made.meter,
        term.term_start,
        CASE m.aggregation
            WHEN 'sum' THEN sum(made.value)
            ELSE (array_agg(made.value ORDER BY made.used_at DESC))[1]
        END,
        max(made.used_at)
    FROM made
    JOIN (
        SELECT
            c.subscription_id,
            c.meter,
            max(c.term_start) AS term_start
        FROM checked AS c
        WHERE c.outcome IS NULL
        GROUP BY c.subscription_id, c.meter
    ) AS term
        ON term.subscription_id = made.subscription_id
        AND term.meter = made.meter
        AND term.term_start <= made.used_at
    JOIN billing_meters AS m
        ON m.event_name = made.meter
    GROUP BY
        made.subscription_id,
        made.meter,
        term.term_start,
        m.aggregation
    ORDER BY made.subscription_id, made.meter
    ON CONFLICT (subscription_id, meter) DO UPDATE
    SET
        term_start = excluded.term_start,
        quantity = CASE
            WHEN t.term_start < excluded.term_start THEN excluded.quantity
            WHEN (SELECT m.aggregation FROM billing_meters AS m WHERE m.event_name = t.meter) = 'sum'
                THEN t.quantity + excluded.quantity
            WHEN t.latest_at <= excluded.latest_at THEN excluded.quantity
            ELSE t.quantity
        END,
        latest_at = greatest(t.latest_at, excluded.latest_at),
        lifted_at = CASE WHEN t.term_start = excluded.term_start THEN t.lifted_at END,
        lifted_by = CASE WHEN t.term_start = excluded.term_start THEN t.lifted_by END,
        lifted_reason = CASE WHEN t.term_start = excluded.term_start THEN t.lifted_reason END
    WHERE t.term_start <= excluded.term_start
    RETURNING t.subscription_id
)
SELECT
    c.place,
    coalesce(c.outcome, CASE WHEN stored.id IS NOT NULL THEN 'stored' ELSE 'known' END) AS outcome,
    coalesce(c.is_limited, FALSE) AS is_limited
FROM checked AS c
LEFT JOIN firsts
    ON firsts.place = c.place
LEFT JOIN stored
    ON stored.id = firsts.id
ORDER BY c.place;

-- name: list_known(records)
-- Why records are not stored that could be: their id is known, or their second.
SELECT
    r.place,
    CASE
        WHEN known.id IS NULL THEN 'second_taken'
        WHEN (known.subscription_id, known.meter, known.quantity, known.used_at)
            IS DISTINCT FROM (r.subscription_id, r.meter, r.quantity, r.used_at) THEN 'id_reused'
        ELSE 'duplicate'
    END AS outcome
FROM jsonb_to_recordset(:records::jsonb) AS r (
    place integer,
    id text,
    subscription_id uuid,
    meter text,
    quantity bigint,
    used_at timestamptz
)
LEFT JOIN billing_usage AS known
    ON known.id = r.id;

-- name: claim_heads(most, seconds, livemode)
-- Stripe takes one call at a time for each customer and meter: their first waiting events, if they are due.
WITH heads AS (
    SELECT e.id
    FROM billing_meter_events AS e
    WHERE e.id = ANY(ARRAY(
        SELECT first.id
        FROM billing_waiting_usage_v1() AS first
        WHERE first.next_attempt_at <= now()
        ORDER BY first.next_attempt_at
        LIMIT :most::integer
    ))
      AND e.state = 'waiting'
      AND e.next_attempt_at <= now()
      AND e.livemode = :livemode::boolean
    FOR UPDATE SKIP LOCKED
)
UPDATE billing_meter_events AS e
SET
    next_attempt_at = now() + make_interval(secs => :seconds::float),
    first_tried_at = coalesce(e.first_tried_at, now())
FROM heads
WHERE e.id = heads.id
RETURNING e.id;

-- name: get_claimed(id, seconds)^
-- What is to be sent. is_late: the invoice of its term is final; without an invoice a day later, too. Of a
-- subscription that has ended only a draft can still bill it.
-- doubtful: it was tried so long ago that Stripe may have forgotten its identifier. A worker that was killed while it
-- sent it has noted no failure.
SELECT
    e.id,
    e.meter,
    e.stripe_customer_id,
    e.value,
    e.used_at,
    m.aggregation,
    m.stripe_meter_id,
    e.failures,
    e.first_tried_at < now() - interval '23 hours' AS doubtful,
    -- the first claim is the moment of the first try
    e.failures > 0 OR e.first_tried_at < e.next_attempt_at - make_interval(secs => :seconds::float) AS was_tried,
    (s.ended_at IS NOT NULL OR e.used_at < term.current_period_start) AND NOT EXISTS (
        SELECT 1
        FROM invoices AS draft
        WHERE draft.subscription_id = e.subscription_id
          AND draft.stripe_status = 'draft'
          AND draft.period_start <= e.used_at
    ) AND (
        s.ended_at IS NOT NULL
        OR term.current_period_start < now() - interval '1 day'
        OR EXISTS (
            SELECT 1
            FROM invoices AS final
            WHERE final.subscription_id = e.subscription_id
              AND final.stripe_status NOT IN ('draft', 'deleted')
              AND final.period_start <= e.used_at
              AND final.period_end > e.used_at
        )
    ) AS is_late
FROM billing_meter_events AS e
JOIN billing_meters AS m
    ON m.event_name = e.meter
LEFT JOIN subscriptions AS s
    ON s.id = e.subscription_id
LEFT JOIN LATERAL (
    SELECT i.current_period_start
    FROM subscription_items AS i
    JOIN prices AS p
        ON p.id = i.price_id
        AND p.meter = e.meter
    WHERE i.subscription_id = e.subscription_id
    ORDER BY i.current_period_start DESC
    LIMIT 1
) AS term ON TRUE
WHERE e.id = :id::uuid
  AND e.state = 'waiting';

-- name: finish_event(id, state, sent_at, error, seconds)$
-- Note what became of it, and claim the next one of its lane. Returns the id of that, null if none is due.
WITH done AS (
    UPDATE billing_meter_events
    SET
        state = :state::text,
        sent_at = :sent_at::timestamptz,
        failures = 0,
        last_error = :error::text
    WHERE id = :id::uuid
      AND state = 'waiting'
    RETURNING id, stripe_customer_id, meter
),
following AS (
    SELECT e.id
    FROM billing_meter_events AS e
    JOIN done
        ON done.stripe_customer_id = e.stripe_customer_id
        AND done.meter = e.meter
        AND done.id <> e.id
    WHERE e.state = 'waiting'
      AND e.next_attempt_at <= now()
    ORDER BY e.number
    LIMIT 1
    FOR UPDATE OF e SKIP LOCKED
)
UPDATE billing_meter_events AS e
SET
    next_attempt_at = now() + make_interval(secs => :seconds::float),
    first_tried_at = coalesce(e.first_tried_at, now())
FROM following
WHERE e.id = following.id
RETURNING e.id;

-- name: retry_event(id, error, seconds)!
-- Note that its outcome is unknown.
UPDATE billing_meter_events AS e
SET
    failures = e.failures + 1,
    last_error = :error::text,
    next_attempt_at = now() + make_interval(secs => :seconds::float)
WHERE e.id = :id::uuid
  AND e.state = 'waiting';

-- name: note_missing(id)!
-- Note that Stripe certainly does not have it: its identifier counts from now.
UPDATE billing_meter_events AS e
SET
    failures = 0,
    first_tried_at = now()
WHERE e.id = :id::uuid
  AND e.state = 'waiting';

-- name: get_sent_sum(id, since, until)$
-- What Stripe has been sent of the same customer and meter from one time to another.
SELECT coalesce(sum(other.value), 0)
FROM billing_meter_events AS e
JOIN billing_meter_events AS other
    ON other.subscription_id = e.subscription_id
    AND other.meter = e.meter
    AND other.stripe_customer_id = e.stripe_customer_id
    AND other.state = 'sent'
    AND other.used_at >= :since::timestamptz
    AND other.used_at < :until::timestamptz
WHERE e.id = :id::uuid;

-- name: seconds_to_next()$
-- When the next event is due; null: none waits.
SELECT greatest(extract(EPOCH FROM min(first.next_attempt_at) - now()), 0)::float
FROM billing_waiting_usage_v1() AS first;

-- name: settle_event(id, by, reason)$
-- Note that an operator has dealt with usage that Stripe does not bill; null if none waits for that.
UPDATE billing_meter_events AS e
SET
    settled_at = now(),
    settled_by = :by::text,
    settled_reason = :reason::text
WHERE e.id = :id::uuid
  AND e.state = ANY ('{late,refused}')
  AND e.settled_at IS NULL
RETURNING e.subscription_id;

-- name: renew_limited(subscription_ids)
-- A new version of the work of those that a limit suspends and that are not decided so, or the other
-- way round. Another reason to suspend, which goes before a limit, is not decided again.
WITH turned AS MATERIALIZED (
    SELECT w.subscription_id
    FROM provisioning_work AS w
    WHERE w.subscription_id = ANY(:subscription_ids::uuid[])
      AND CASE
          WHEN EXISTS (
              SELECT 1
              FROM billing_usage_limits AS reached
              WHERE reached.subscription_id = w.subscription_id
                AND reached.suspends
          ) THEN coalesce(w.decided_reason, '') NOT IN ('used_up', 'held', 'disputed', 'ended')
          ELSE w.decided_reason = 'used_up'
      END
    ORDER BY w.subscription_id
    FOR NO KEY UPDATE OF w
)
UPDATE provisioning_work AS w
SET version = w.version + 1,
    attempts = 0,
    wake_at = now() + interval '1 minute',
    updated_at = now()
FROM turned
WHERE w.subscription_id = turned.subscription_id
RETURNING w.subscription_id, w.version;

-- name: renew_freed(most)
-- A new version of the work of those that are suspended for a limit which does not suspend them now:
-- a term has begun.
WITH freed AS MATERIALIZED (
    SELECT w.subscription_id
    FROM provisioning_work AS w
    WHERE w.decided_reason = 'used_up'
      AND w.version = w.done_version
      AND NOT EXISTS (
          SELECT 1
          FROM billing_usage_limits AS reached
          WHERE reached.subscription_id = w.subscription_id
            AND reached.suspends
      )
    ORDER BY w.subscription_id
    LIMIT :most::integer
    FOR NO KEY UPDATE OF w
)
UPDATE provisioning_work AS w
SET version = w.version + 1,
    attempts = 0,
    wake_at = now() + interval '1 minute',
    updated_at = now()
FROM freed
WHERE w.subscription_id = freed.subscription_id
RETURNING w.subscription_id, w.version;

-- name: lift_limits(subscription_id, by, reason)
UPDATE billing_usage_totals AS t
SET
    lifted_at = now(),
    lifted_by = :by::text,
    lifted_reason = :reason::text
FROM billing_usage_limits AS reached
WHERE reached.subscription_id = :subscription_id::uuid
  AND reached.suspends
  AND t.subscription_id = reached.subscription_id
  AND t.meter = reached.meter
  AND t.term_start = reached.term_start
  AND t.lifted_at IS NULL
RETURNING t.meter;

-- name: list_lifted(subscription_id)
-- The meters whose limit would suspend a subscription now, had nobody lifted it for the term.
SELECT l.meter
FROM billing_usage_limits AS l
WHERE l.subscription_id = :subscription_id::uuid
  AND l.is_reached
  AND l.action = 'suspend'
  AND l.lifted_at IS NOT NULL;

-- name: list_current(subscription_id)
SELECT
    u.meter,
    u.aggregation,
    u.product_code,
    u.product_name,
    u.unit,
    u.included,
    u.term_start,
    u.term_end,
    u.quantity::bigint AS quantity,
    u.waiting,
    u.unbilled,
    u.currency,
    u.tiers,
    u.most,
    u.action,
    u.is_limit_reached,
    u.suspends,
    u.lifted_at,
    now() AS at
FROM billing_current_usage AS u
WHERE u.subscription_id = :subscription_id::uuid
ORDER BY u.meter;

-- name: list_sent(after_subscription, after_meter, most, lag_seconds, subscription_id, since, livemode)
-- What Stripe was sent of the present term of each meter, and of the one before it if something was
-- used then: up to what waits or was sent just now. A page has all of its meters, also those of which
-- there is nothing to compare.
WITH page AS MATERIALIZED (
    SELECT
        s.id AS subscription_id,
        s.stripe_subscription_id,
        s.stripe_customer_id,
        s.ended_at,
        p.meter,
        m.stripe_meter_id,
        m.aggregation,
        i.current_period_start AS term_start,
        make_interval(months => (
            i.interval_count * CASE i.recurring_interval WHEN 'year' THEN 12 ELSE 1 END
        )::integer) AS term
    FROM prices AS p
    JOIN billing_meters AS m
        ON m.event_name = p.meter
        AND m.livemode = :livemode::boolean
        AND m.stripe_meter_id IS NOT NULL
    JOIN subscription_items AS i
        ON i.price_id = p.id
        AND i.stripe_subscription_item_id IS NOT NULL
    JOIN subscriptions AS s
        ON s.id = i.subscription_id
        AND s.livemode = :livemode::boolean
        AND (
            s.stripe_status NOT IN ('canceled', 'incomplete_expired')
            OR s.ended_at > now() - interval '35 days'
        )
    WHERE (:subscription_id::uuid IS NULL OR s.id = :subscription_id::uuid)
      AND (s.id, p.meter) > (:after_subscription::uuid, :after_meter::text)
    ORDER BY s.id, p.meter
    LIMIT :most::integer
)
SELECT
    page.subscription_id,
    page.stripe_subscription_id,
    page.stripe_customer_id,
    page.meter,
    page.stripe_meter_id,
    bounds.since,
    bounds.until,
    coalesce(sent.quantity, 0)::bigint AS quantity,
    bounds.since < bounds.until AND (NOT terms.is_over OR sent.events > 0) AS is_compared
FROM page
CROSS JOIN LATERAL (
    VALUES
        (TRUE, page.term_start - page.term, page.term_start),
        (
            FALSE,
            page.term_start,
            least(page.ended_at, now() - make_interval(secs => :lag_seconds::float))
        )
) AS terms (is_over, began_at, ended_at)
CROSS JOIN LATERAL (
    SELECT min(e.used_at) AS used_at
    FROM billing_meter_events AS e
    WHERE e.subscription_id = page.subscription_id
      AND e.meter = page.meter
      AND e.used_at >= terms.began_at
      AND e.used_at < terms.ended_at
      AND (e.state = 'waiting' OR e.sent_at > now() - make_interval(secs => :lag_seconds::float))
) AS unsettled
CROSS JOIN LATERAL (
    SELECT
        date_trunc('minute', greatest(
            terms.began_at,
            now() - interval '35 days' + interval '1 minute',
            :since::timestamptz
        )) AS since,
        date_trunc('minute', least(terms.ended_at, unsettled.used_at)) AS until
) AS bounds
CROSS JOIN LATERAL (
    SELECT
        CASE page.aggregation
            WHEN 'sum' THEN sum(e.value)
            ELSE (array_agg(e.value ORDER BY e.used_at DESC, e.number DESC))[1]
        END AS quantity,
        count(*) AS events
    FROM billing_meter_events AS e
    WHERE e.subscription_id = page.subscription_id
      AND e.meter = page.meter
      AND e.state = 'sent'
      AND e.used_at >= bounds.since
      AND e.used_at < bounds.until
) AS sent
ORDER BY page.subscription_id, page.meter, bounds.since;
