-- Asking Stripe's list of events while no webhook arrives.

-- Tables: stripe_event_polls
--
-- CREATE TABLE stripe_event_polls (
--     livemode boolean NOT NULL,
--     polled_at timestamp with time zone NOT NULL,
--     read_until timestamp with time zone,
--     found_at timestamp with time zone,
--     found bigint DEFAULT 0 NOT NULL
-- );
-- ALTER TABLE ONLY stripe_event_polls ADD CONSTRAINT stripe_event_polls_pkey PRIMARY KEY (livemode);

-- name: claim_poll(livemode, quiet_seconds, interval_seconds)^
-- Only one worker gets the row. Returns nothing if no buyer can be on a payment page, if a webhook
-- has come within `quiet_seconds`, or if the list was read within `interval_seconds`. What a poll
-- itself has stored is no webhook.
WITH waiting AS (
    SELECT min(c.created_at) AS since
    FROM checkout_sessions AS c
    WHERE c.status IN ('creating', 'open')
      AND c.livemode = :livemode::boolean
      -- a session can be paid until it expires, and its events take a moment
      AND coalesce(c.expires_at, c.created_at + interval '1 day') > now() - interval '1 hour'
)
INSERT INTO stripe_event_polls AS p (livemode, polled_at)
SELECT
    :livemode::boolean,
    now()
FROM waiting
LEFT JOIN stripe_event_polls AS earlier
    ON earlier.livemode = :livemode::boolean
WHERE waiting.since IS NOT NULL
  AND NOT EXISTS (
      SELECT 1
      FROM stripe_events AS e
      WHERE e.livemode = :livemode::boolean
        AND e.received_at > greatest(
            now() - make_interval(secs => :quiet_seconds::double precision),
            earlier.found_at
        )
  )
ON CONFLICT (livemode) DO UPDATE
SET polled_at = excluded.polled_at
WHERE p.polled_at <= now() - make_interval(secs => :interval_seconds::double precision)
RETURNING
    p.polled_at,
    p.read_until,
    (SELECT waiting.since FROM waiting) AS waiting_since;

-- name: finish_poll(livemode, polled_at, read_until, found)!
-- Unless another worker has polled since.
UPDATE stripe_event_polls AS p
SET read_until = coalesce(:read_until::timestamptz, p.read_until),
    found_at = CASE WHEN :found::bigint > 0 THEN now() ELSE p.found_at END,
    found = p.found + :found::bigint
WHERE p.livemode = :livemode::boolean
  AND p.polled_at = :polled_at::timestamptz;
