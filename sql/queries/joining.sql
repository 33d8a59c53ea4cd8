-- What was ordered without an account joins the account whose verified address it names.

-- Tables: billing_noted_users
--
-- CREATE TABLE billing_noted_users (
--     user_id uuid NOT NULL,
--     noted_in xid8 DEFAULT pg_current_xact_id() NOT NULL,
--     noted_at timestamp with time zone DEFAULT now() NOT NULL
-- )
-- WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
-- ALTER TABLE ONLY billing_noted_users ADD CONSTRAINT billing_noted_users_pkey PRIMARY KEY (user_id, noted_in);

-- name: list_joinable(most)
-- Of the accounts that are noted. The account's own record, if mPanel has made one, else null. Also records that
-- joined within the last hour and were written to meanwhile, by an order or an event that began before.
WITH verified AS (
    SELECT DISTINCT ON (c.created_at, c.id)
        c.id,
        c.email,
        u.id AS user_id,
        held.id AS account_id
    FROM (SELECT DISTINCT n.user_id FROM billing_noted_users AS n) AS noted
    -- OFFSET 0 keeps these look-ups, however many the planner expects
    CROSS JOIN LATERAL (
        SELECT known.email
        FROM users AS known
        WHERE known.id = noted.user_id
        OFFSET 0
    ) AS named
    CROSS JOIN LATERAL (
        SELECT
            ordered.id,
            ordered.email,
            ordered.created_at
        FROM customers AS ordered
        WHERE lower(ordered.email) = lower(named.email)
          AND ordered.user_id IS NULL
          AND ordered.joined_id IS NULL
        OFFSET 0
    ) AS c
    CROSS JOIN LATERAL (
        -- mPanel may have several accounts of an address
        SELECT
            account.id,
            account.created_at
        FROM users AS account
        WHERE lower(account.email) = lower(c.email)
          AND account.email_verified
        OFFSET 0
    ) AS u
    LEFT JOIN LATERAL (
        SELECT account.id
        FROM customers AS account
        WHERE account.user_id = u.id
        ORDER BY account.created_at, account.id
        LIMIT 1
    ) AS held ON TRUE
    ORDER BY c.created_at, c.id, held.id IS NULL, u.created_at, u.id
    LIMIT :most
)
SELECT
    verified.id,
    verified.email,
    verified.user_id,
    verified.account_id
FROM verified
UNION ALL
SELECT
    c.id,
    c.id::text,
    NULL,
    c.joined_id
FROM customers AS c
WHERE c.joined_at > now() - interval '1 hour'
  AND EXISTS (
      SELECT 1
      FROM subscriptions AS s
      WHERE s.customer_id = c.id
      UNION ALL
      SELECT 1
      FROM invoices AS i
      WHERE i.customer_id = c.id
      UNION ALL
      SELECT 1
      FROM stripe_customers AS known
      WHERE known.customer_id = c.id
  );

-- name: forget_noted()!
-- An hour is longer than a transaction takes that does not see the note, nor the note it. What leads to a
-- record stays until that has joined.
DELETE FROM billing_noted_users AS n
WHERE n.noted_at < now() - interval '1 hour'
  AND NOT EXISTS (
      SELECT 1
      FROM users AS u
      JOIN customers AS c
          ON lower(c.email) = lower(u.email)
          AND c.user_id IS NULL
          AND c.joined_id IS NULL
      WHERE u.id = n.user_id
        AND u.email_verified
      -- a look-up for each, and no hash of the whole table
      OFFSET 0
  );

-- name: list_stripe_objects(customer_id)^
-- What events of the record lock.
SELECT
    (
        SELECT coalesce(array_agg(s.stripe_subscription_id), '{}')
        FROM subscriptions AS s
        WHERE s.customer_id = :customer_id::uuid
          AND s.stripe_subscription_id IS NOT NULL
    ) AS subscriptions,
    (
        SELECT coalesce(array_agg(known.id), '{}')
        FROM stripe_customers AS known
        WHERE known.customer_id = :customer_id::uuid
    ) AS customers;

-- name: give_to_account(customer_id, user_id)$
-- mPanel has made no record for the account: this one becomes it. Null: the address is not verified any
-- more, or a record was made meanwhile.
UPDATE customers AS c
SET user_id = u.id,
    updated_at = now()
FROM users AS u
WHERE c.id = :customer_id::uuid
  AND c.user_id IS NULL
  AND u.id = :user_id::uuid
  AND u.email_verified
  AND lower(u.email) = lower(c.email)
  AND NOT EXISTS (
      SELECT 1
      FROM customers AS held
      WHERE held.user_id = u.id
  )
RETURNING c.id;

-- name: join_account(customer_id, account_id)^
-- Null: the address is not verified any more, or the account's record is gone. Returns the principal
-- Stripe customer that the record had. What is known of the person goes with it: nothing stays in the
-- record that an erasure of the account would miss. It completes the account's only if it was paid for.
WITH joined AS (
    UPDATE customers AS c
    SET joined_id = account.id,
        joined_at = coalesce(c.joined_at, now()),
        stripe_customer_id = NULL,
        stripe_customer_paid_at = NULL,
        tax_id = NULL,
        email = NULL,
        name = NULL,
        company_name = NULL,
        phone = NULL,
        address_line1 = NULL,
        address_line2 = NULL,
        city = NULL,
        state = NULL,
        postal_code = NULL,
        country = NULL,
        updated_at = now()
    FROM customers AS account
    LEFT JOIN users AS u
        ON u.id = account.user_id
    CROSS JOIN customers AS before
    WHERE c.id = :customer_id::uuid
      AND c.user_id IS NULL
      AND before.id = c.id
      AND account.id = :account_id::uuid
      AND (
          c.joined_id = account.id
          OR (c.joined_id IS NULL AND u.email_verified AND lower(u.email) = lower(c.email))
      )
    RETURNING
        account.id AS account_id,
        before.stripe_customer_id,
        before.stripe_customer_paid_at,
        before.email,
        before.name,
        before.company_name,
        before.phone,
        before.address_line1,
        before.address_line2,
        before.city,
        before.state,
        before.postal_code,
        before.country
),
completed AS (
    UPDATE customers AS account
    SET email = coalesce(account.email, joined.email),
        name = coalesce(account.name, joined.name),
        company_name = coalesce(account.company_name, joined.company_name),
        phone = coalesce(account.phone, joined.phone),
        address_line1 = coalesce(account.address_line1, joined.address_line1),
        address_line2 = coalesce(account.address_line2, joined.address_line2),
        city = coalesce(account.city, joined.city),
        state = coalesce(account.state, joined.state),
        postal_code = coalesce(account.postal_code, joined.postal_code),
        country = coalesce(account.country, joined.country),
        updated_at = now()
    FROM joined
    WHERE account.id = joined.account_id
      AND joined.stripe_customer_id IS NOT NULL
)
SELECT
    joined.stripe_customer_id,
    joined.stripe_customer_paid_at
FROM joined;

-- name: move_records(customer_id, account_id)!
-- Everything that names the customer. An agreement that the account has already goes on to count.
WITH subscribed AS (
    UPDATE subscriptions
    SET customer_id = :account_id::uuid,
        updated_at = now()
    WHERE customer_id = :customer_id::uuid
),
invoiced AS (
    UPDATE invoices
    SET customer_id = :account_id::uuid,
        updated_at = now()
    WHERE customer_id = :customer_id::uuid
),
known AS (
    UPDATE stripe_customers
    SET customer_id = :account_id::uuid,
        updated_at = now()
    WHERE customer_id = :customer_id::uuid
),
changed AS (
    UPDATE billing_changes
    SET customer_id = :account_id::uuid,
        updated_at = now()
    WHERE customer_id = :customer_id::uuid
),
tried AS (
    UPDATE billing_trials
    SET customer_id = :account_id::uuid
    WHERE customer_id = :customer_id::uuid
),
named AS (
    UPDATE billing_domains
    SET customer_id = :account_id::uuid
    WHERE customer_id = :customer_id::uuid
),
agreed AS (
    UPDATE billing_leniency
    SET customer_id = :account_id::uuid
    WHERE customer_id = :customer_id::uuid
      AND NOT EXISTS (
          SELECT 1
          FROM billing_leniency AS own
          WHERE own.customer_id = :account_id::uuid
      )
)
UPDATE orders
SET customer_id = :account_id::uuid
WHERE customer_id = :customer_id::uuid;

-- name: inherit_principal(account_id, stripe_customer_id, paid_at)!
-- As in derive: where there is none, or a later payment decided.
UPDATE customers AS c
SET stripe_customer_id = :stripe_customer_id::text,
    stripe_customer_paid_at = :paid_at::timestamptz,
    tax_id = billing_tax_id_of_v1(c.tax_id, c.stripe_customer_id, :stripe_customer_id::text),
    updated_at = now()
WHERE c.id = :account_id::uuid
  AND (
      c.stripe_customer_id IS NULL
      OR (c.stripe_customer_paid_at, c.stripe_customer_id) > (:paid_at::timestamptz, :stripe_customer_id::text)
  );
