-- What monitoring reads, at most every few seconds.

-- name: read_figures()
-- All figures as rows (figure, labels, value), without rows for missing values. The cost does not
-- depend on the amount of history: what waits or fails is counted with partial indexes, up to
-- 10,000; the rest is counted while its table is small (less than 16 MB), and then estimated from
-- the planner's statistics.
WITH unhandled AS MATERIALIZED (
    SELECT
        e.status,
        e.received_at
    FROM stripe_events AS e
    WHERE e.status IN ('received', 'failed')
    ORDER BY e.received_at
    LIMIT 10000
),
latest AS MATERIALIZED (
    SELECT
        e.received_at,
        e.created
    FROM stripe_events AS e
    ORDER BY e.received_at DESC
    LIMIT 1000
),
refetches AS MATERIALIZED (
    SELECT r.next_attempt_at
    FROM stripe_refetches AS r
    ORDER BY r.next_attempt_at
    LIMIT 10000
),
failing_refetches AS MATERIALIZED (
    SELECT r.requested_at
    FROM stripe_refetches AS r
    WHERE r.last_error IS NOT NULL
    ORDER BY r.requested_at
    LIMIT 10000
),
jobs AS MATERIALIZED (
    SELECT
        q.entrypoint,
        q.status::text AS status,
        q.execute_after
    FROM pgqueuer AS q
    ORDER BY q.id
    LIMIT 10000
),
unsettled AS MATERIALIZED (
    SELECT
        v.desired,
        v.actual,
        CASE
            WHEN v.stopped IS NOT NULL THEN v.stopped
            WHEN v.next_attempt_at > now() THEN 'waiting'
            ELSE 'due'
        END AS state
    FROM tenant_services AS v
    WHERE (v.desired = 'active' AND v.actual <> 'active')
       OR (v.desired = 'suspended' AND v.actual = 'active')
       OR (v.desired = 'terminated' AND v.actual IN ('active', 'suspended'))
       OR v.pending_action IS NOT NULL
       OR v.stopped IS NOT NULL
    LIMIT 10000
),
unprovisioned AS MATERIALIZED (
    SELECT (
        SELECT w.created_at
        FROM provisioning_work AS w
        WHERE w.subscription_id = s.id
    ) AS created_at
    FROM subscriptions AS s
    WHERE s.status = 'pending'
      AND s.billing_provider = 'stripe'
    LIMIT 10000
),
troubled AS MATERIALIZED (
    SELECT w.subscription_id
    FROM provisioning_work AS w
    WHERE w.last_error IS NOT NULL
    LIMIT 10000
),
under_way AS MATERIALIZED (
    (
        SELECT
            'merges' AS figure,
            CASE WHEN m.undone_at IS NULL THEN 'standing' ELSE 'undone' END AS state
        FROM billing_merges AS m
        WHERE m.merged_at > now() - interval '1 day'
        LIMIT 10000
    )
    UNION ALL
    (
        SELECT
            'tax_notices',
            CASE WHEN n.left_because IS NULL THEN 'running' ELSE 'left' END
        FROM billing_tax_notices AS n
        WHERE n.enabled_at IS NULL
          AND n.next_attempt_at < 'infinity'
        LIMIT 10000
    )
),
reconciled AS MATERIALIZED (
    SELECT
        r.finished_at,
        r.objects,
        r.events,
        r.accounts,
        r.drift,
        r.repaired
    FROM billing_reconcile_runs AS r
    WHERE r.outcome <> 'abandoned'
      AND NOT r.dry_run
    ORDER BY r.started_at DESC
    LIMIT 1
),
sources (figure, table_id, column_name) AS (
    VALUES
        ('inbox_events', 'stripe_events'::regclass::oid, 'status'),
        ('subscriptions', 'subscriptions'::regclass::oid, 'stripe_status'),
        ('services', 'tenant_services'::regclass::oid, 'actual')
),
tables AS MATERIALIZED (
    SELECT
        sources.figure,
        sources.column_name,
        n.nspname,
        c.relname,
        c.reltuples,
        pg_relation_size(c.oid) < 16 * 1024 * 1024 AS small
    FROM sources
    JOIN pg_class AS c
        ON c.oid = sources.table_id
    JOIN pg_namespace AS n
        ON n.oid = c.relnamespace
)
SELECT
    'inbox_events' AS figure,
    ARRAY[known.status] AS labels,
    count(u.status)::float8 AS value
FROM unnest(ARRAY['received', 'failed']) AS known (status)
LEFT JOIN unhandled AS u
    ON u.status = known.status
GROUP BY known.status
UNION ALL
SELECT
    'inbox_oldest_seconds',
    ARRAY[known.status],
    coalesce(extract(epoch FROM now() - min(u.received_at)), 0)::float8
FROM unnest(ARRAY['received', 'failed']) AS known (status)
LEFT JOIN unhandled AS u
    ON u.status = known.status
GROUP BY known.status
UNION ALL
-- what was received long after it was created came from Stripe's list: no webhook has brought it
SELECT
    'webhook_latest_seconds',
    ARRAY[]::text[],
    greatest(extract(epoch FROM now() - max(l.received_at)), 0)::float8
FROM latest AS l
WHERE coalesce(l.received_at < l.created + interval '1 hour', TRUE)
HAVING count(*) > 0
UNION ALL
SELECT
    'event_poll_found_seconds',
    ARRAY[]::text[],
    extract(epoch FROM now() - max(p.found_at))::float8
FROM stripe_event_polls AS p
WHERE p.found_at IS NOT NULL
HAVING count(*) > 0
UNION ALL
SELECT
    'refetches',
    ARRAY[CASE WHEN r.next_attempt_at < now() THEN 'due' ELSE 'later' END],
    count(*)::float8
FROM refetches AS r
GROUP BY r.next_attempt_at < now()
UNION ALL
SELECT
    'refetches_due_oldest_seconds',
    ARRAY[]::text[],
    greatest(coalesce(extract(epoch FROM now() - min(r.next_attempt_at)), 0), 0)::float8
FROM refetches AS r
UNION ALL
SELECT
    'refetches_failing',
    ARRAY[]::text[],
    count(*)::float8
FROM failing_refetches AS r
UNION ALL
SELECT
    'refetches_failing_oldest_seconds',
    ARRAY[]::text[],
    coalesce(extract(epoch FROM now() - min(r.requested_at)), 0)::float8
FROM failing_refetches AS r
UNION ALL
SELECT
    'products_on_sale',
    ARRAY[given.product_type],
    count(*)::float8
FROM products AS p
CROSS JOIN LATERAL unnest(p.product_types) AS given (product_type)
WHERE p.code IS NOT NULL
  AND p.status = 'active'
GROUP BY given.product_type
UNION ALL
SELECT
    'queue_jobs',
    ARRAY[j.entrypoint, j.status],
    count(*)::float8
FROM jobs AS j
GROUP BY j.entrypoint, j.status
UNION ALL
SELECT
    'queue_oldest_seconds',
    ARRAY[]::text[],
    greatest(coalesce(extract(epoch FROM now() - min(j.execute_after)), 0), 0)::float8
FROM jobs AS j
WHERE j.status = 'queued'
UNION ALL
SELECT
    'services_unsettled',
    ARRAY[u.desired, u.actual, u.state],
    count(*)::float8
FROM unsettled AS u
GROUP BY u.desired, u.actual, u.state
UNION ALL
SELECT
    'orders_unprovisioned',
    ARRAY[]::text[],
    count(*)::float8
FROM unprovisioned AS u
UNION ALL
SELECT
    'orders_unprovisioned_oldest_seconds',
    ARRAY[]::text[],
    coalesce(extract(epoch FROM now() - min(u.created_at)), 0)::float8
FROM unprovisioned AS u
UNION ALL
SELECT
    'access_data_waiting',
    ARRAY[]::text[],
    count(*)::float8
FROM (
    SELECT
    FROM billing_access_data AS kept
    WHERE kept.sealed IS NOT NULL
    LIMIT 10000
) AS waiting
UNION ALL
SELECT
    'provisioning_troubled',
    ARRAY[]::text[],
    count(*)::float8
FROM troubled AS t
UNION ALL
SELECT
    'domain_renewals',
    ARRAY[r.state],
    count(*)::float8
FROM billing_domain_renewals AS r
WHERE r.state IN ('due', 'charged', 'paid')
GROUP BY r.state
UNION ALL
SELECT
    'domain_renewals_paid_oldest_seconds',
    ARRAY[]::text[],
    coalesce(extract(epoch FROM now() - min(r.paid_at)), 0)::float8
FROM billing_domain_renewals AS r
WHERE r.state = 'paid'
UNION ALL
SELECT
    'usage_waiting',
    ARRAY[]::text[],
    count(*)::float8
FROM (
    SELECT
    FROM billing_meter_events AS e
    WHERE e.state = 'waiting'
    LIMIT 10000
) AS waiting
UNION ALL
SELECT
    'usage_waiting_oldest_seconds',
    ARRAY[]::text[],
    coalesce(extract(epoch FROM now() - min(e.created_at)), 0)::float8
FROM billing_meter_events AS e
WHERE e.state = 'waiting'
UNION ALL
SELECT
    known.figure,
    ARRAY[known.state],
    count(u.state)::float8
FROM (
    VALUES
        ('merges', 'standing'),
        ('merges', 'undone'),
        ('tax_notices', 'running'),
        ('tax_notices', 'left')
) AS known (figure, state)
LEFT JOIN under_way AS u
    ON u.figure = known.figure
   AND u.state = known.state
GROUP BY
    known.figure,
    known.state
UNION ALL
SELECT
    'worker_swept_seconds',
    ARRAY[]::text[],
    extract(epoch FROM now() - max(coalesce(c.last_run, c.created)))::float8
FROM pgqueuer_schedules AS c
WHERE c.entrypoint = 'sweep'
HAVING count(*) > 0
UNION ALL
SELECT
    'reconcile_finished_seconds',
    ARRAY[]::text[],
    extract(epoch FROM now() - r.finished_at)::float8
FROM reconciled AS r
UNION ALL
SELECT
    'reconcile',
    ARRAY[counts.kind],
    counts.number::float8
FROM reconciled AS r
CROSS JOIN LATERAL (
    VALUES
        ('objects', r.objects),
        ('events', r.events),
        ('accounts', r.accounts),
        ('drift', r.drift),
        ('repaired', r.repaired)
) AS counts (kind, number)
UNION ALL
SELECT
    t.figure,
    ARRAY[counted.status],
    counted.number::float8
FROM tables AS t
CROSS JOIN LATERAL (
    SELECT
        e.status,
        count(*) AS number
    FROM stripe_events AS e
    WHERE t.small
      AND e.status NOT IN ('received', 'failed')
    GROUP BY e.status
) AS counted
WHERE t.figure = 'inbox_events'
UNION ALL
SELECT
    t.figure,
    ARRAY[counted.stripe_status],
    counted.number::float8
FROM tables AS t
CROSS JOIN LATERAL (
    SELECT
        s.stripe_status,
        count(*) AS number
    FROM subscriptions AS s
    WHERE t.small
      AND s.stripe_status IS NOT NULL
    GROUP BY s.stripe_status
) AS counted
WHERE t.figure = 'subscriptions'
UNION ALL
SELECT
    t.figure,
    ARRAY[counted.actual],
    counted.number::float8
FROM tables AS t
CROSS JOIN LATERAL (
    SELECT
        v.actual,
        count(*) AS number
    FROM tenant_services AS v
    WHERE t.small
    GROUP BY v.actual
) AS counted
WHERE t.figure = 'services'
UNION ALL
SELECT
    t.figure,
    ARRAY[common.found],
    round(t.reltuples * common.fraction)::float8
FROM tables AS t
CROSS JOIN LATERAL (
    SELECT
        p.most_common_vals::text::text[] AS found,
        p.most_common_freqs AS fractions
    FROM pg_stats AS p
    WHERE p.schemaname = t.nspname
      AND p.tablename = t.relname
      AND p.attname = t.column_name
    LIMIT 1  -- there is one; it keeps the planner from reading the whole catalogue
) AS estimated
CROSS JOIN LATERAL unnest(estimated.found, estimated.fractions) AS common (found, fraction)
WHERE NOT t.small
  AND t.reltuples > 0
  AND NOT (t.figure = 'inbox_events' AND common.found IN ('received', 'failed'));

-- name: read_trouble()
-- How many rows of billing_trouble there are of each kind, 0 included.
-- The view is read once: joined with the kinds, it would be once for each.
WITH counted AS MATERIALIZED (
    SELECT
        t.trouble,
        count(*) AS number
    FROM billing_trouble AS t
    GROUP BY t.trouble
)
SELECT
    'trouble' AS figure,
    ARRAY[k.kind] AS labels,
    coalesce(counted.number, 0)::float8 AS value
FROM billing_trouble_kinds AS k
LEFT JOIN counted
    ON counted.trouble = k.kind
WHERE k.list = 'trouble';

-- name: read_servers()
-- What servers have to carry, and the moves that are not over; with the troubles, as it counts accounts.
SELECT
    figures.figure,
    ARRAY[load.product_type, load.server] AS labels,
    figures.value
FROM billing_server_load AS load
CROSS JOIN LATERAL (
    VALUES
        ('server_accounts', load.accounts::float8),
        ('server_capacity', load.capacity::float8),
        ('server_failing', load.is_failing::integer::float8)
) AS figures (figure, value)
WHERE figures.value IS NOT NULL
UNION ALL
SELECT
    'moves',
    ARRAY[known.state],
    count(m.id)::float8
FROM unnest(ARRAY['creating', 'copying', 'terminating', 'cancelling']) AS known (state)
LEFT JOIN billing_moves AS m
    ON m.state = known.state
    AND m.finished_at IS NULL
GROUP BY known.state;

-- name: read_money()
-- What the business earns, by currency and mode, of the currencies in which something has recurred; movements and payments of
-- the last 30 days, today included (UTC). From what is kept, and the rows of the latest days.
WITH earning AS MATERIALIZED (
    SELECT
        m.currency,
        m.livemode,
        sum(CASE WHEN m.kind IN ('new', 'reactivation') THEN m.customers WHEN m.kind = 'churn' THEN -m.customers END) AS customers
    FROM billing_mrr_movements AS m
    WHERE m.period = 'month'
    GROUP BY m.currency, m.livemode
),
moved AS (
    SELECT
        e.currency,
        e.livemode,
        known.kind,
        coalesce(sum(m.customers), 0) AS customers,
        coalesce(sum(m.amount), 0) AS amount
    FROM earning AS e
    CROSS JOIN unnest(ARRAY['new', 'expansion', 'reactivation', 'contraction', 'churn']) AS known (kind)
    LEFT JOIN (
        SELECT
            d.currency,
            d.livemode,
            d.kind,
            d.customers,
            d.amount
        FROM billing_mrr_movements AS d
        WHERE d.period = 'day'
          AND d.starts_on > (now() AT TIME ZONE 'UTC')::date - 30
    ) AS m
        ON m.currency = e.currency
        AND m.livemode = e.livemode
        AND m.kind = known.kind
    GROUP BY e.currency, e.livemode, known.kind
),
paid AS (
    SELECT
        e.currency,
        e.livemode,
        known.kind,
        coalesce(sum(d.number), 0) AS number,
        coalesce(sum(d.amount), 0) AS amount
    FROM earning AS e
    CROSS JOIN unnest(ARRAY['collected', 'refunded', 'disputed', 'failed', 'recovered']) AS known (kind)
    LEFT JOIN billing_cash_by_day_v1(
        (now() AT TIME ZONE 'UTC')::date - 29, (now() AT TIME ZONE 'UTC')::date + 1
    ) AS d
        ON d.currency = e.currency
        AND d.livemode = e.livemode
        AND d.kind = known.kind
    GROUP BY e.currency, e.livemode, known.kind
)
SELECT
    figures.figure,
    ARRAY[e.currency, e.livemode::text] AS labels,
    figures.value
FROM earning AS e
LEFT JOIN billing_mrr AS r
    ON r.currency = e.currency
    AND r.livemode = e.livemode
CROSS JOIN LATERAL (
    VALUES ('mrr', coalesce(r.mrr, 0)::float8), ('mrr_customers', coalesce(e.customers, 0)::float8)
) AS figures (figure, value)
UNION ALL
SELECT
    figures.figure,
    ARRAY[moved.currency, moved.livemode::text, moved.kind],
    figures.value
FROM moved
CROSS JOIN LATERAL (
    VALUES ('mrr_moved', moved.amount::float8), ('mrr_moved_customers', moved.customers::float8)
) AS figures (figure, value)
UNION ALL
SELECT
    figures.figure,
    ARRAY[paid.currency, paid.livemode::text, paid.kind],
    figures.value
FROM paid
CROSS JOIN LATERAL (
    VALUES ('payments', paid.number::float8), ('payments_amount', paid.amount::float8)
) AS figures (figure, value);

-- name: has_waiting_jobs(seconds)$
-- Whether a job has been due for so many seconds, in a database that takes writes.
SELECT current_setting('transaction_read_only') = 'off'
   AND EXISTS (
       SELECT 1
       FROM pgqueuer AS q
       WHERE q.status = 'queued'
         AND q.execute_after < now() - make_interval(secs => :seconds)
   );
