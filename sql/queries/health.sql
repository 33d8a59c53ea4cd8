-- What monitoring asks.

-- name: answer()$
SELECT 1;

-- name: get_health()^
-- Ages in seconds of what should not grow old; null where there is nothing of the kind.
SELECT
    (
        SELECT extract(epoch FROM now() - min(e.received_at))::bigint
        FROM stripe_events AS e
        WHERE e.status IN ('received', 'failed')
    ) AS oldest_unapplied_event_seconds,
    (
        SELECT extract(epoch FROM now() - min(w.updated_at))::bigint
        FROM provisioning_work AS w
        JOIN subscriptions AS s
            ON s.id = w.subscription_id
        WHERE s.status = 'pending'
    ) AS oldest_unprovisioned_order_seconds;
