-- Begins the transaction of an order: takes the buyer's lock, claims the request's Idempotency-Key, and
-- returns what the order depends on as of then. One round trip, in several statements: what is read has
-- to be newer than the lock. A key that another request has, or that has its response, ends it there.
-- The record that an order by anyone joins is that of an account whose address is verified, else what
-- was ordered before without an account. Anyone can open an account with an address of others, so one
-- that is not verified does not get their orders (docs/decisions/0019).
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_begin_order_v1(
    buyer text,
    email text,
    existing_customer uuid,
    idempotency_key text,
    idempotency_hash bytea,
    for_livemode boolean,
    within interval,
    price_ids uuid[],
    price_versions text[]
)
RETURNS TABLE (
    same_request boolean,
    keyed_id uuid,
    response jsonb,
    on_sale boolean,
    customer_id uuid,
    recent jsonb
)
LANGUAGE plpgsql
SET enable_hashjoin = off
SET enable_material = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    claimed record;
BEGIN
    -- one order at a time per buyer: a double click waits
    PERFORM pg_advisory_xact_lock(hashtextextended('buyer:' || lower(billing_begin_order_v1.buyer), 0));
    same_request := TRUE;
    IF billing_begin_order_v1.idempotency_key IS NOT NULL THEN
        -- waits for another process that claims the same key; the update makes the statement lock and
        -- return the row of an earlier claim. After a day the key may be used for another request, even
        -- if it has not been pruned yet
        INSERT INTO idempotency_keys AS k (key, request_hash)
        VALUES (billing_begin_order_v1.idempotency_key, billing_begin_order_v1.idempotency_hash)
        ON CONFLICT (key) DO UPDATE
        SET (request_hash, subscription_id, status, response, created_at) = (
            SELECT
                CASE WHEN is_over THEN excluded.request_hash ELSE k.request_hash END,
                CASE WHEN NOT is_over THEN k.subscription_id END,
                CASE WHEN NOT is_over THEN k.status END,
                CASE WHEN NOT is_over THEN k.response END,
                CASE WHEN is_over THEN excluded.created_at ELSE k.created_at END
            FROM (SELECT k.created_at < now() - interval '24 hours' AS is_over) AS age
        )
        RETURNING
            k.request_hash = billing_begin_order_v1.idempotency_hash AS same_request,
            k.subscription_id,
            k.response
        INTO claimed;
        same_request := claimed.same_request;
        keyed_id := claimed.subscription_id;
        response := claimed.response;
        IF NOT same_request OR response IS NOT NULL THEN
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;

    customer_id := billing_begin_order_v1.existing_customer;
    IF customer_id IS NULL THEN
        customer_id := (
            SELECT c.id
            FROM (
                SELECT
                    held.id,
                    held.created_at,
                    TRUE AS has_account
                FROM users AS u
                JOIN customers AS held
                    ON held.user_id = u.id
                WHERE lower(u.email) = lower(billing_begin_order_v1.email)
                  AND u.email_verified
                UNION ALL
                SELECT
                    known.id,
                    known.created_at,
                    FALSE
                FROM customers AS known
                WHERE lower(known.email) = lower(billing_begin_order_v1.email)
                  AND known.user_id IS NULL
                  AND known.joined_id IS NULL
            ) AS c
            ORDER BY c.has_account DESC, c.created_at, c.id
            LIMIT 1
        );
        IF customer_id IS NOT NULL THEN
            -- of an mPanel customer whose address only users has
            UPDATE customers AS c
            SET email = billing_begin_order_v1.email
            WHERE c.id = billing_begin_order_v1.customer_id
              AND c.email IS NULL;
        END IF;
    END IF;

    -- the order was priced by the catalogue in the memory of its process, which may have been edited
    on_sale := (
        SELECT count(*) = cardinality(billing_begin_order_v1.price_ids)
        FROM unnest(billing_begin_order_v1.price_ids, billing_begin_order_v1.price_versions)
            AS priced (id, version)
        JOIN prices AS p
            ON p.id = priced.id
            AND p.active
        JOIN products AS sold
            ON sold.id = p.product_id
            AND sold.status = 'active'
        WHERE priced.version = concat_ws('/', p.livemode, p.stripe_price_id, sold.updated_at)
    );

    -- the customer's recent unpaid orders, each with its latest session, newest first; also the order that
    -- the key led to, and one that takes what is limited while it can be paid, however old
    recent := (
        SELECT jsonb_agg(
            jsonb_build_object(
                'subscription_id', o.subscription_id,
                'fingerprint', encode(o.fingerprint, 'hex'),
                'vouched', o.vouched,
                'browser_id', o.browser_id,
                'attempt', latest.attempt,
                'status', latest.status,
                'params', latest.params,
                'stripe_session_id', latest.stripe_session_id,
                'stripe_customer_id', latest.stripe_customer_id,
                'url', latest.url
            )
            ORDER BY o.created_at DESC
        )
        FROM orders AS o
        JOIN subscriptions AS s
            ON s.id = o.subscription_id
            AND s.status = 'provisional'
            AND s.livemode = billing_begin_order_v1.for_livemode
        JOIN LATERAL (
            SELECT
                c.attempt,
                c.status,
                c.params,
                c.stripe_session_id,
                c.stripe_customer_id,
                c.url,
                c.expires_at
            FROM checkout_sessions AS c
            WHERE c.subscription_id = o.subscription_id
            ORDER BY c.attempt DESC
            LIMIT 1
        ) AS latest ON TRUE
        WHERE o.customer_id = billing_begin_order_v1.customer_id
          AND (
              o.created_at > now() - billing_begin_order_v1.within
              OR o.subscription_id = billing_begin_order_v1.keyed_id
              OR (o.limited AND latest.status = 'open' AND latest.expires_at > now())
          )
    );
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION billing_begin_order_v1(text, text, uuid, text, bytea, boolean, interval, uuid[], text[]) IS 'Begins the transaction of an order: the lock, the key, and what the order depends on';
