-- Holds of services while the collection of a subscription is paused.

-- Tables: billing_pauses
--
-- CREATE TABLE billing_pauses (
--     id bigint NOT NULL,
--     subscription_id uuid NOT NULL,
--     since timestamp with time zone NOT NULL,
--     until timestamp with time zone NOT NULL,
--     begun_at timestamp with time zone,
--     ended_at timestamp with time zone,
--     created_at timestamp with time zone DEFAULT now() NOT NULL
-- );
-- ALTER TABLE ONLY billing_pauses ADD CONSTRAINT billing_pauses_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY billing_pauses ADD CONSTRAINT billing_pauses_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE UNIQUE INDEX billing_pauses_standing_key ON billing_pauses USING btree (subscription_id) WHERE (ended_at IS NULL);
-- CREATE INDEX billing_pauses_subscription_idx ON billing_pauses USING btree (subscription_id);

-- name: place_pause(subscription_id, since, until)!
-- One that stands is asked for again: until Stripe has heard of it, nothing ends it.
INSERT INTO billing_pauses (subscription_id, since, until)
VALUES (:subscription_id::uuid, :since::timestamptz, :until::timestamptz)
ON CONFLICT (subscription_id) WHERE ended_at IS NULL DO UPDATE
SET until = excluded.until,
    created_at = now();

-- name: withdraw_pause(subscription_id)!
-- Stripe has refused it.
DELETE FROM billing_pauses
WHERE subscription_id = :subscription_id::uuid
  AND begun_at IS NULL
  AND ended_at IS NULL;

-- name: end_pause(subscription_id, until)!
-- What is paid for is served on at once, else from the next term on, which is paid for again. A term that
-- has begun meanwhile is not paid for, also if nobody has noticed it yet.
UPDATE billing_pauses AS p
SET until = least(p.until, :until::timestamptz),
    ended_at = CASE WHEN p.begun_at IS NULL AND (s.current_period_start >= p.since) IS NOT TRUE THEN now() END
FROM subscriptions AS s
WHERE p.subscription_id = :subscription_id::uuid
  AND p.ended_at IS NULL
  AND s.id = p.subscription_id;

-- name: turn_pauses(most)
-- Begins and ends holds by the terms that Stripe has begun. One whose collection was resumed, here or
-- at Stripe, is held until the next term, unless the running one is charged: then it has begun since, and nobody
-- has noticed. A pause that has just been asked for may not have reached Stripe.
UPDATE billing_pauses AS p
SET begun_at = coalesce(p.begun_at, CASE WHEN turn.begins THEN now() END),
    until = turn.until,
    ended_at = CASE WHEN turn.ends THEN now() END
FROM (
    SELECT
        standing.id,
        told.begins,
        told.ends,
        least_until.until
    FROM billing_pauses AS standing
    JOIN subscriptions AS s
        ON s.id = standing.subscription_id
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT 1
            FROM invoices AS i
            WHERE i.stripe_subscription_id = s.stripe_subscription_id
              AND i.billing_reason = 'subscription_cycle'
              AND i.stripe_status IN ('open', 'paid')
              AND i.stripe_created >= s.current_period_start
        ) AS is_charged
    ) AS billed
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN s.collection_paused IS NOT TRUE AND standing.created_at < now() - interval '5 minutes'
                    THEN least(
                        standing.until,
                        greatest(
                            CASE WHEN billed.is_charged THEN s.current_period_start ELSE s.current_period_end END,
                            standing.since
                        )
                    )
                ELSE standing.until
            END AS until
    ) AS least_until
    CROSS JOIN LATERAL (
        SELECT
            s.current_period_start >= standing.since AS begins,
            s.current_period_start >= least_until.until
            OR s.stripe_status IN ('canceled', 'incomplete_expired') AS ends
    ) AS told
    WHERE standing.ended_at IS NULL
      AND ((told.begins AND standing.begun_at IS NULL) OR told.ends OR least_until.until < standing.until)
    ORDER BY standing.id
    LIMIT :most
) AS turn
WHERE p.id = turn.id
  AND p.ended_at IS NULL
RETURNING p.subscription_id;
