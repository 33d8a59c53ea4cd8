-- What operators note about customers.

-- Tables: billing_notes
--
-- CREATE TABLE billing_notes (
--     id bigint NOT NULL,
--     customer_id uuid NOT NULL,
--     body text NOT NULL,
--     written_by text NOT NULL,
--     person text,
--     written_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_notes_body_check CHECK ((body <> ''::text))
-- );
-- ALTER TABLE ONLY billing_notes ADD CONSTRAINT billing_notes_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY billing_notes ADD CONSTRAINT billing_notes_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;
-- CREATE INDEX billing_notes_customer_idx ON billing_notes USING btree (customer_id, id);

-- name: add_note(customer_id, body, written_by, person)$
-- Nothing if there is no such customer.
INSERT INTO billing_notes (customer_id, body, written_by, person)
SELECT
    c.id,
    :body,
    :written_by,
    :person
FROM customers AS c
WHERE c.id = :customer_id::uuid
RETURNING id;

-- name: lock_notes(customer_id)!
-- Until the end of the transaction, for whoever notes something about the same customer.
SELECT pg_advisory_xact_lock(hashtextextended('note:' || :customer_id::uuid::text, 0));

-- name: find_same_note(customer_id, body, written_by, person, seconds)$
-- What the same person has noted with the same words a moment ago.
SELECT n.id
FROM billing_notes AS n
WHERE n.customer_id = :customer_id::uuid
  AND n.body = :body
  AND n.written_by = :written_by
  AND n.person IS NOT DISTINCT FROM :person::text
  AND n.written_at > now() - make_interval(secs => :seconds::float8)
ORDER BY n.id DESC
LIMIT 1;

-- name: list_notes(customer_id, most)
-- The latest first; also of records that have joined.
SELECT
    n.body,
    n.written_by,
    n.person,
    n.written_at
FROM (
    SELECT :customer_id::uuid AS id
    UNION ALL
    SELECT c.id
    FROM customers AS c
    WHERE c.joined_id = :customer_id::uuid
) AS about
CROSS JOIN LATERAL (
    SELECT *
    FROM billing_notes AS noted
    WHERE noted.customer_id = about.id
    ORDER BY noted.id DESC
    LIMIT :most
) AS n
ORDER BY n.id DESC
LIMIT :most;
