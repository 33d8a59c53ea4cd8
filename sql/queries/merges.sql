-- Two customer records of one person are merged, and apart again. move_records and inherit_principal in joining.sql
-- are part of it.

-- Tables: billing_merges
--
-- CREATE TABLE billing_merges (
--     id bigint NOT NULL,
--     customer_id uuid NOT NULL,
--     into_id uuid NOT NULL,
--     former jsonb,
--     moved jsonb,
--     merged_by text NOT NULL,
--     merged_at timestamp with time zone DEFAULT now() NOT NULL,
--     undone_by text,
--     undone_at timestamp with time zone,
--     CONSTRAINT billing_merges_check CHECK ((customer_id <> into_id)),
--     CONSTRAINT billing_merges_check1 CHECK (((former IS NULL) = (moved IS NULL))),
--     CONSTRAINT billing_merges_check2 CHECK (((undone_by IS NULL) = (undone_at IS NULL))),
--     CONSTRAINT billing_merges_check3 CHECK (((undone_at IS NULL) OR (former IS NULL)))
-- );
-- ALTER TABLE ONLY billing_merges ADD CONSTRAINT billing_merges_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY billing_merges ADD CONSTRAINT billing_merges_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY billing_merges ADD CONSTRAINT billing_merges_into_id_fkey FOREIGN KEY (into_id) REFERENCES customers(id) ON DELETE CASCADE;
-- CREATE INDEX billing_merges_customer_idx ON billing_merges USING btree (customer_id);
-- CREATE INDEX billing_merges_into_idx ON billing_merges USING btree (into_id);
-- CREATE INDEX billing_merges_merged_idx ON billing_merges USING btree (merged_at);
-- CREATE UNIQUE INDEX billing_merges_standing_key ON billing_merges USING btree (customer_id) WHERE (undone_at IS NULL);
-- CREATE INDEX billing_merges_undoable_idx ON billing_merges USING btree (merged_at) WHERE (former IS NOT NULL);

-- name: get_pair(customer_id, into_id)^
-- Both records, locked.
WITH locked AS MATERIALIZED (
    SELECT
        c.id,
        c.user_id,
        c.joined_id,
        c.email
    FROM customers AS c
    WHERE c.id IN (:customer_id::uuid, :into_id::uuid)
    ORDER BY c.id
    FOR NO KEY UPDATE
)
SELECT
    gone.user_id,
    gone.joined_id,
    gone.email,
    kept.user_id AS into_user_id,
    kept.joined_id AS into_joined_id,
    kept.email AS into_email
FROM locked AS gone
JOIN locked AS kept
    ON kept.id = :into_id::uuid
WHERE gone.id = :customer_id::uuid;

-- name: preview_merge(customer_id, into_id)^
-- Both records as they are, and how much of each kind moves; of invoices those at Stripe, which have an index. Nothing
-- is locked.
SELECT
    gone.id AS customer_id,
    coalesce(gone.company_name, gone.name, gone.email) AS customer,
    gone.email,
    gone.user_id,
    gone.joined_id,
    kept.id AS into_id,
    coalesce(kept.company_name, kept.name, kept.email) AS into_customer,
    kept.email AS into_email,
    kept.user_id AS into_user_id,
    kept.joined_id AS into_joined_id,
    (SELECT count(*) FROM subscriptions AS s WHERE s.customer_id = gone.id) AS subscriptions,
    (
        SELECT count(*)
        FROM invoices AS i
        WHERE i.customer_id = gone.id
          AND i.stripe_invoice_id IS NOT NULL
    ) AS invoices,
    (SELECT count(*) FROM stripe_customers AS k WHERE k.customer_id = gone.id) AS stripe_customers,
    (SELECT count(*) FROM billing_domains AS d WHERE d.customer_id = gone.id) AS domains
FROM customers AS gone
JOIN customers AS kept
    ON kept.id = :into_id::uuid
WHERE gone.id = :customer_id::uuid;

-- name: list_buyers(ids)
SELECT DISTINCT c.email
FROM customers AS c
WHERE c.id = ANY(:ids::uuid[])
  AND c.email IS NOT NULL;

-- name: merge(customer_id, into_id, merged_by)^
-- The record is noted and blanked, and points to the other one, which gets its account in mPanel if it has none.
-- Returns the principal Stripe customer that the record had. Everything else is moved by move_records.
WITH noted AS (
    INSERT INTO billing_merges (customer_id, into_id, former, moved, merged_by)
    SELECT
        gone.id,
        kept.id,
        jsonb_build_object(
            'customer', jsonb_build_object(
                'user_id', gone.user_id,
                'stripe_customer_id', gone.stripe_customer_id,
                'stripe_customer_paid_at', gone.stripe_customer_paid_at,
                'tax_id', gone.tax_id,
                'email', gone.email,
                'name', gone.name,
                'company_name', gone.company_name,
                'phone', gone.phone,
                'address_line1', gone.address_line1,
                'address_line2', gone.address_line2,
                'city', gone.city,
                'state', gone.state,
                'postal_code', gone.postal_code,
                'country', gone.country
            ),
            'into', jsonb_build_object(
                'user_id', kept.user_id,
                'stripe_customer_id', kept.stripe_customer_id,
                'stripe_customer_paid_at', kept.stripe_customer_paid_at
            )
        ),
        jsonb_build_object(
            'subscriptions', ARRAY(SELECT s.id FROM subscriptions AS s WHERE s.customer_id = gone.id),
            'invoices', ARRAY(SELECT i.id FROM invoices AS i WHERE i.customer_id = gone.id),
            'stripe_customers', ARRAY(SELECT k.id FROM stripe_customers AS k WHERE k.customer_id = gone.id),
            'billing_changes', ARRAY(SELECT h.id FROM billing_changes AS h WHERE h.customer_id = gone.id),
            'billing_trials', ARRAY(SELECT t.subscription_id FROM billing_trials AS t WHERE t.customer_id = gone.id),
            'billing_domains', ARRAY(SELECT d.id FROM billing_domains AS d WHERE d.customer_id = gone.id),
            'billing_leniency', ARRAY(SELECT a.id FROM billing_leniency AS a WHERE a.customer_id = gone.id),
            'orders', ARRAY(SELECT o.subscription_id FROM orders AS o WHERE o.customer_id = gone.id)
        ),
        :merged_by::text
    FROM customers AS gone
    JOIN customers AS kept
        ON kept.id = :into_id::uuid
    WHERE gone.id = :customer_id::uuid
    RETURNING former
),
given AS (
    UPDATE customers AS kept
    SET user_id = coalesce(kept.user_id, (noted.former #>> '{customer,user_id}')::uuid),
        updated_at = now()
    FROM noted
    WHERE kept.id = :into_id::uuid
),
blanked AS (
    UPDATE customers AS gone
    SET joined_id = :into_id::uuid,
        joined_at = now(),
        user_id = NULL,
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
    FROM noted
    WHERE gone.id = :customer_id::uuid
)
SELECT
    noted.former #>> '{customer,stripe_customer_id}' AS stripe_customer_id,
    (noted.former #>> '{customer,stripe_customer_paid_at}')::timestamptz AS stripe_customer_paid_at
FROM noted;

-- name: get_undoable(customer_id)^
-- The merge of a record that stands, and whether a day is over.
SELECT
    m.id,
    m.into_id,
    m.former IS NOT NULL AND m.merged_at > now() - interval '1 day' AS is_undoable
FROM billing_merges AS m
WHERE m.customer_id = :customer_id::uuid
  AND m.undone_at IS NULL;

-- name: list_merges(before, most)
-- The latest first. What the record had is on it again, if the merge was undone, or in what is noted for a day.
SELECT
    m.id,
    m.customer_id,
    coalesce(
        gone.company_name,
        gone.name,
        m.former #>> '{customer,company_name}',
        m.former #>> '{customer,name}',
        gone.email,
        m.former #>> '{customer,email}'
    ) AS customer,
    m.into_id,
    coalesce(kept.company_name, kept.name, kept.email) AS into_customer,
    m.merged_by,
    m.merged_at,
    m.undone_by,
    m.undone_at,
    m.former IS NOT NULL AND m.merged_at > now() - interval '1 day' AS is_undoable
FROM billing_merges AS m
JOIN customers AS gone
    ON gone.id = m.customer_id
JOIN customers AS kept
    ON kept.id = m.into_id
WHERE m.id < :before::bigint
ORDER BY m.id DESC
LIMIT :most;

-- name: show_merge(customer_id)^
-- The merge of a record that stands, and how much of each kind would go back.
SELECT
    m.customer_id,
    coalesce(m.former #>> '{customer,company_name}', m.former #>> '{customer,name}', m.former #>> '{customer,email}') AS customer,
    m.former #>> '{customer,email}' AS email,
    m.into_id,
    coalesce(kept.company_name, kept.name, kept.email) AS into_customer,
    m.merged_by,
    m.merged_at,
    m.merged_at + interval '1 day' AS undoable_until,
    m.former IS NOT NULL AND m.merged_at > now() - interval '1 day' AS is_undoable,
    jsonb_array_length(coalesce(m.moved -> 'subscriptions', '[]')) AS subscriptions,
    jsonb_array_length(coalesce(m.moved -> 'invoices', '[]')) AS invoices,
    jsonb_array_length(coalesce(m.moved -> 'stripe_customers', '[]')) AS stripe_customers,
    jsonb_array_length(coalesce(m.moved -> 'billing_domains', '[]')) AS domains
FROM billing_merges AS m
JOIN customers AS kept
    ON kept.id = m.into_id
WHERE m.customer_id = :customer_id::uuid
  AND m.undone_at IS NULL;

-- name: undo_into(id)!
-- The record that had everything: what it got from the other one goes, in a statement of its own, because one Stripe
-- customer is the principal of one record only.
UPDATE customers AS kept
SET user_id = CASE
        WHEN kept.user_id = (m.former #>> '{customer,user_id}')::uuid THEN was.user_id
        ELSE kept.user_id
    END,
    stripe_customer_id = CASE
        WHEN m.moved -> 'stripe_customers' ? kept.stripe_customer_id THEN was.stripe_customer_id
        ELSE kept.stripe_customer_id
    END,
    stripe_customer_paid_at = CASE
        WHEN m.moved -> 'stripe_customers' ? kept.stripe_customer_id THEN was.stripe_customer_paid_at
        ELSE kept.stripe_customer_paid_at
    END,
    tax_id = CASE
        WHEN m.moved -> 'stripe_customers' ? kept.stripe_customer_id
            THEN billing_tax_id_of_v1(kept.tax_id, kept.stripe_customer_id, was.stripe_customer_id)
        ELSE kept.tax_id
    END,
    updated_at = now()
FROM billing_merges AS m
CROSS JOIN LATERAL jsonb_to_record(m.former -> 'into') AS was (
    user_id uuid,
    stripe_customer_id text,
    stripe_customer_paid_at timestamptz
)
WHERE m.id = :id::bigint
  AND kept.id = m.into_id;

-- name: undo(id, undone_by)!
-- Everything that was moved goes back, with what has come since for the record's own Stripe customers. What was
-- changed in the other record since, by an order or a payment, stays.
WITH merge AS MATERIALIZED (
    SELECT
        m.customer_id,
        m.into_id,
        m.former,
        m.moved,
        ARRAY(SELECT jsonb_array_elements_text(m.moved -> 'stripe_customers')) AS stripe_customers
    FROM billing_merges AS m
    WHERE m.id = :id::bigint
),
undone AS (
    UPDATE billing_merges AS m
    SET former = NULL,
        moved = NULL,
        undone_by = :undone_by::text,
        undone_at = now()
    WHERE m.id = :id::bigint
),
restored AS (
    UPDATE customers AS gone
    SET joined_id = NULL,
        joined_at = NULL,
        user_id = was.user_id,
        stripe_customer_id = was.stripe_customer_id,
        stripe_customer_paid_at = was.stripe_customer_paid_at,
        tax_id = billing_tax_id_of_v1(was.tax_id, NULL, was.stripe_customer_id),
        email = was.email,
        name = was.name,
        company_name = was.company_name,
        phone = was.phone,
        address_line1 = was.address_line1,
        address_line2 = was.address_line2,
        city = was.city,
        state = was.state,
        postal_code = was.postal_code,
        country = was.country,
        updated_at = now()
    FROM merge
    CROSS JOIN LATERAL jsonb_to_record(merge.former -> 'customer') AS was (
        user_id uuid,
        stripe_customer_id text,
        stripe_customer_paid_at timestamptz,
        tax_id text,
        email text,
        name text,
        company_name text,
        phone text,
        address_line1 text,
        address_line2 text,
        city text,
        state text,
        postal_code text,
        country text
    )
    WHERE gone.id = merge.customer_id
),
subscribed AS (
    UPDATE subscriptions AS s
    SET customer_id = merge.customer_id,
        updated_at = now()
    FROM merge
    WHERE s.customer_id = merge.into_id
      AND (merge.moved -> 'subscriptions' ? s.id::text OR s.stripe_customer_id = ANY(merge.stripe_customers))
),
invoiced AS (
    UPDATE invoices AS i
    SET customer_id = merge.customer_id,
        updated_at = now()
    FROM merge
    WHERE i.customer_id = merge.into_id
      AND (merge.moved -> 'invoices' ? i.id::text OR i.stripe_customer_id = ANY(merge.stripe_customers))
),
known AS (
    UPDATE stripe_customers AS k
    SET customer_id = merge.customer_id,
        updated_at = now()
    FROM merge
    WHERE k.customer_id = merge.into_id
      AND k.id = ANY(merge.stripe_customers)
),
changed AS (
    UPDATE billing_changes AS h
    SET customer_id = merge.customer_id,
        updated_at = now()
    FROM merge
    WHERE h.customer_id = merge.into_id
      AND merge.moved -> 'billing_changes' ? h.id::text
),
tried AS (
    UPDATE billing_trials AS t
    SET customer_id = merge.customer_id
    FROM merge
    WHERE t.customer_id = merge.into_id
      AND merge.moved -> 'billing_trials' ? t.subscription_id::text
),
named AS (
    UPDATE billing_domains AS d
    SET customer_id = merge.customer_id
    FROM merge
    WHERE d.customer_id = merge.into_id
      AND merge.moved -> 'billing_domains' ? d.id::text
),
agreed AS (
    UPDATE billing_leniency AS a
    SET customer_id = merge.customer_id
    FROM merge
    WHERE a.customer_id = merge.into_id
      AND merge.moved -> 'billing_leniency' @> to_jsonb(a.id)
)
UPDATE orders AS o
SET customer_id = merge.customer_id
FROM merge
WHERE o.customer_id = merge.into_id
  AND merge.moved -> 'orders' ? o.subscription_id::text;

-- name: forget_former()!
-- A day later a merge cannot be undone, and nothing of the person is kept twice.
UPDATE billing_merges AS m
SET former = NULL,
    moved = NULL
WHERE m.former IS NOT NULL
  AND m.merged_at < now() - interval '1 day';

-- name: get_customer(customer_id)^
SELECT
    c.user_id,
    c.joined_id
FROM customers AS c
WHERE c.id = :customer_id::uuid
FOR NO KEY UPDATE;

-- name: find_of_user(user_id)^
-- Whether mPanel has the account, and the record that it has.
SELECT
    u.id AS user_id,
    u.email,
    (
        SELECT held.id
        FROM customers AS held
        WHERE held.user_id = u.id
        ORDER BY held.created_at, held.id
        LIMIT 1
    ) AS customer_id
FROM users AS u
WHERE u.id = :user_id::uuid;

-- name: link_user(customer_id, user_id)!
UPDATE customers AS c
SET user_id = :user_id::uuid,
    updated_at = now()
WHERE c.id = :customer_id::uuid;

-- name: preview_link(customer_id)^
-- The record as it is; not locked.
SELECT
    c.id AS customer_id,
    coalesce(c.company_name, c.name, c.email) AS customer,
    c.email,
    c.user_id,
    c.joined_id
FROM customers AS c
WHERE c.id = :customer_id::uuid;
