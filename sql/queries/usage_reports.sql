-- Reports of Stripe of meter events that it took and does not count.
--
-- Tables: billing_usage_reports
--
-- CREATE TABLE billing_usage_reports (
--     event_id text NOT NULL,
--     received_at timestamp with time zone DEFAULT now() NOT NULL,
--     read_at timestamp with time zone,
--     failures integer DEFAULT 0 NOT NULL,
--     last_error text,
--     next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
--     dropped bigint,
--     named bigint,
--     detail text,
--     settled_at timestamp with time zone,
--     settled_by text,
--     CONSTRAINT billing_usage_reports_check CHECK ((num_nonnulls(read_at, dropped, named, detail) = ANY (ARRAY[0, 4]))),
--     CONSTRAINT billing_usage_reports_check1 CHECK (((settled_at IS NULL) = (settled_by IS NULL))),
--     CONSTRAINT billing_usage_reports_failures_check CHECK ((failures >= 0))
-- );
-- ALTER TABLE ONLY billing_usage_reports ADD CONSTRAINT billing_usage_reports_pkey PRIMARY KEY (event_id);
-- ALTER TABLE ONLY billing_usage_reports ADD CONSTRAINT billing_usage_reports_event_id_fkey FOREIGN KEY (event_id) REFERENCES stripe_events(id) ON DELETE CASCADE;
-- CREATE INDEX billing_usage_reports_unread_idx ON billing_usage_reports USING btree (next_attempt_at) WHERE (read_at IS NULL);
-- CREATE INDEX billing_usage_reports_unsettled_idx ON billing_usage_reports USING btree (event_id) WHERE ((settled_at IS NULL) AND ((read_at IS NULL) OR (named < dropped)));

-- name: note_report(event_id)!
INSERT INTO billing_usage_reports (event_id)
VALUES (:event_id::text)
ON CONFLICT (event_id) DO NOTHING;

-- name: claim_report(seconds, livemode)$
UPDATE billing_usage_reports AS r
SET next_attempt_at = now() + make_interval(secs => :seconds::float)
WHERE r.event_id = (
    SELECT due.event_id
    FROM billing_usage_reports AS due
    JOIN stripe_events AS e
        ON e.id = due.event_id
        AND e.livemode = :livemode::boolean
    WHERE due.read_at IS NULL
      AND due.next_attempt_at <= now()
    ORDER BY due.next_attempt_at
    LIMIT 1
    FOR UPDATE OF due SKIP LOCKED
)
RETURNING r.event_id;

-- name: retry_report(event_id, error)!
-- Ever later, up to an hour.
UPDATE billing_usage_reports AS r
SET
    failures = r.failures + 1,
    last_error = :error::text,
    next_attempt_at = now() + least(interval '1 minute' * power(2, r.failures), interval '1 hour')
WHERE r.event_id = :event_id::text
  AND r.read_at IS NULL;

-- name: finish_report(event_id, dropped, detail, errors)!
-- What it names is not billed, whether Stripe was thought to have it or that was not known.
WITH given AS MATERIALIZED (
    SELECT
        g.id,
        g.error
    FROM jsonb_to_recordset(:errors::jsonb) AS g (id uuid, error text)
),
named AS MATERIALIZED (
    SELECT
        e.id,
        min(given.error) AS error
    FROM given
    JOIN billing_meter_events AS e
        ON e.id = given.id
    GROUP BY e.id
),
refused AS (
    UPDATE billing_meter_events AS e
    SET
        state = 'refused',
        sent_at = NULL,
        failures = 0,
        last_error = named.error
    FROM named
    WHERE e.id = named.id
      AND e.state = ANY ('{waiting,sent}')
    RETURNING e.id
)
UPDATE billing_usage_reports AS r
SET
    read_at = now(),
    last_error = NULL,
    dropped = :dropped::bigint,
    named = (SELECT count(*) FROM named),
    detail = :detail::text
WHERE r.event_id = :event_id::text
  AND r.read_at IS NULL;

-- name: settle_report(event_id, by)$
UPDATE billing_usage_reports AS r
SET
    settled_at = now(),
    settled_by = :by::text
WHERE r.event_id = :event_id::text
  AND r.settled_at IS NULL
  AND (r.read_at IS NULL OR r.named < r.dropped)
RETURNING r.event_id;

-- name: seconds_to_report()$
SELECT greatest(extract(EPOCH FROM min(r.next_attempt_at) - now()), 0)::float
FROM billing_usage_reports AS r
WHERE r.read_at IS NULL;
