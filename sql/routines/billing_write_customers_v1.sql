-- When a customer is deleted at Stripe, the link from the customer record is removed, so that the
-- next order creates a new one. An event has the balance in the customer's own currency only.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_write_customers_v1(snapshots jsonb)
RETURNS void
LANGUAGE plpgsql
SET enable_hashjoin = off
SET enable_material = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    WITH snapshots AS MATERIALIZED (
        SELECT s.*
        FROM jsonb_to_recordset(billing_write_customers_v1.snapshots) AS s (
            object_id text,
            livemode boolean,
            email text,
            name text,
            deleted boolean,
            balances jsonb,
            balances_complete boolean,
            since timestamptz,
            as_of timestamptz,
            event_id text
        )
    ),
    written AS (
        INSERT INTO stripe_customers AS mirror (
            id,
            livemode,
            email,
            name,
            deleted,
            stripe_as_of_since,
            stripe_as_of,
            stripe_event_id
        )
        SELECT
            s.object_id,
            s.livemode,
            s.email,
            s.name,
            s.deleted,
            s.since,
            s.as_of,
            s.event_id
        FROM snapshots AS s
        ON CONFLICT (id) DO UPDATE
        SET email = CASE WHEN excluded.deleted THEN mirror.email ELSE excluded.email END,
            name = CASE WHEN excluded.deleted THEN mirror.name ELSE excluded.name END,
            deleted = excluded.deleted,
            stripe_as_of_since = excluded.stripe_as_of_since,
            stripe_as_of = excluded.stripe_as_of,
            stripe_event_id = excluded.stripe_event_id,
            updated_at = now()
        RETURNING id, email, name, deleted
    ),
    cleared AS (
        DELETE FROM stripe_customer_balances AS b
        USING snapshots AS s
        WHERE b.stripe_customer_id = s.object_id
          AND s.balances_complete
          AND NOT s.balances ? b.currency
        RETURNING b.currency
    ),
    balanced AS (
        -- a balance of zero needs no row, unless there has been another one
        INSERT INTO stripe_customer_balances AS b (stripe_customer_id, currency, balance)
        SELECT
            s.object_id,
            listed.currency,
            listed.balance::bigint
        FROM snapshots AS s
        CROSS JOIN LATERAL jsonb_each_text(s.balances) AS listed (currency, balance)
        WHERE listed.balance <> '0'
           OR EXISTS (
               SELECT 1
               FROM stripe_customer_balances AS before
               WHERE before.stripe_customer_id = s.object_id
                 AND before.currency = listed.currency
               -- a look-up for each, and no hash of the whole table
               OFFSET 0
           )
        ON CONFLICT (stripe_customer_id, currency) DO UPDATE
        SET balance = excluded.balance,
            updated_at = now()
        WHERE b.balance <> excluded.balance
        RETURNING b.currency
    )
    -- what someone paid for at the address of an account does not rename its owner
    UPDATE customers AS c
    SET email = CASE WHEN c.user_id IS NULL OR c.stripe_customer_paid_at IS NULL THEN coalesce(w.email, c.email) ELSE c.email END,
        name = CASE
            -- an invoice is made out to the company; who orders for it keeps their name
            WHEN w.name = c.company_name THEN c.name
            WHEN c.user_id IS NULL OR c.stripe_customer_paid_at IS NULL THEN coalesce(w.name, c.name)
            ELSE c.name
        END,
        stripe_customer_id = CASE WHEN w.deleted THEN NULL ELSE c.stripe_customer_id END,
        stripe_customer_paid_at = CASE WHEN w.deleted THEN NULL ELSE c.stripe_customer_paid_at END,
        updated_at = now()
    FROM written AS w
    WHERE c.stripe_customer_id = w.id;
END
$$;
COMMENT ON FUNCTION billing_write_customers_v1(jsonb) IS 'Writes snapshots of customers, with their balances';
