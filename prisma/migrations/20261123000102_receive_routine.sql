-- The short way of an event: what most of them are is kept and applied in one round trip, in a
-- transaction of its own. Each statement in here sees what was committed when it began, so those
-- after the locks see all that happened before the locks were had.
-- Answers the ids of the events that are done. The others, and whatever would need a wait, are left
-- untouched for the ordinary way; an event that is in the inbox already breaks the whole call off.

-- migrate:up
CREATE FUNCTION billing_receive_routine(
    keys text[], events jsonb, payloads text[], invoices jsonb, subscriptions jsonb
)
RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    written text[] := '{}';
BEGIN
    -- the same locks as those of lock_objects, but never waited for, and so in any order
    IF NOT (
        SELECT bool_and(pg_try_advisory_xact_lock(hashtextextended(named.key, 0)))
        FROM unnest(keys) AS named (key)
    ) THEN
        RETURN;
    END IF;
    IF invoices <> '[]' THEN
        written := ARRAY(
            SELECT i.object_id
            FROM billing_write_invoices(invoices, 'routine') AS i
        );
    END IF;
    IF subscriptions <> '[]' THEN
        written := written || ARRAY(
            SELECT s.object_id
            FROM billing_write_subscriptions(subscriptions, 'routine') AS s
        );
    END IF;
    IF written = '{}' THEN
        RETURN;
    END IF;
    RETURN QUERY
    INSERT INTO stripe_events (
        id,
        type,
        api_version,
        created,
        livemode,
        object_id,
        payload,
        status,
        applied_at
    )
    SELECT
        e.id,
        e.type,
        e.api_version,
        e.created,
        e.livemode,
        e.object_id,
        e.payload::jsonb,
        'applied',
        now()
    FROM ROWS FROM (
        jsonb_to_recordset(events) AS (
            id text,
            type text,
            api_version text,
            created timestamptz,
            livemode boolean,
            object_id text
        ),
        unnest(payloads)
    ) AS e (id, type, api_version, created, livemode, object_id, payload)
    WHERE e.object_id = ANY(written)
    RETURNING id;
END
$$;
COMMENT ON FUNCTION billing_receive_routine(text[], jsonb, text[], jsonb, jsonb) IS 'Keeps and applies events that are newer than their rows and move nothing that is derived; answers their ids, and leaves the others untouched';

-- migrate:down
DROP FUNCTION billing_receive_routine(text[], jsonb, text[], jsonb, jsonb);
