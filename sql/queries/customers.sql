-- Stripe's customers, and the customer record of each.

-- Tables: customers, users, stripe_customers, stripe_customer_balances
--
-- CREATE TABLE customers (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     tenant_id uuid,
--     user_id uuid,
--     company_name character varying(255),
--     address_line1 character varying(255),
--     address_line2 character varying(255),
--     city character varying(100),
--     state character varying(100),
--     postal_code character varying(20),
--     country character varying(2),
--     phone character varying(50),
--     tax_id character varying(100),
--     currency character varying(3) DEFAULT 'USD'::character varying,
--     credit_balance numeric(10,2) DEFAULT 0,
--     created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     email text,
--     name text,
--     stripe_customer_id text,
--     stripe_customer_paid_at timestamp with time zone,
--     joined_id uuid,
--     joined_at timestamp with time zone,
--     metadata jsonb DEFAULT '{}'::jsonb
-- );
-- ALTER TABLE ONLY customers ADD CONSTRAINT customers_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY customers ADD CONSTRAINT customers_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY customers ADD CONSTRAINT customers_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
-- CREATE INDEX billing_customers_created_idx ON customers USING btree (created_at);
-- CREATE INDEX billing_customers_email_idx ON customers USING btree (lower(email));
-- CREATE INDEX billing_customers_joined_idx ON customers USING btree (joined_at) WHERE (joined_at IS NOT NULL);
-- CREATE INDEX billing_customers_joined_into_idx ON customers USING btree (joined_id) WHERE (joined_id IS NOT NULL);
-- CREATE UNIQUE INDEX billing_customers_stripe_customer_key ON customers USING btree (stripe_customer_id);
-- CREATE INDEX billing_customers_user_idx ON customers USING btree (user_id);
-- CREATE INDEX billing_customers_words_idx ON customers USING gin (to_tsvector('simple'::regconfig, translate(replace(lower(((((((COALESCE(name, ''::text) || ' '::text) || (COALESCE(company_name, ''::character varying))::text) || ' '::text) || COALESCE(split_part(email, '@'::text, 2), ''::text)) || ' '::text) || translate(COALESCE(regexp_replace(email, '[.][^.@]*$'::text, ''::text), ''::text), '@.+_-'::text, ' '::text))), 'ß'::text, 'ss'::text), 'äöüàáâãåąçćčďđèéêëęěğìíîïıłñńňòóôõøőřśšșşťțùúûůűýÿźżž'::text, 'aouaaaaaacccddeeeeeegiiiiilnnnoooooorssssttuuuuuyyzzz'::text)));
--
-- CREATE TABLE users (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     tenant_id uuid,
--     email character varying(255) NOT NULL,
--     password_hash character varying(255) NOT NULL,
--     first_name character varying(100),
--     last_name character varying(100),
--     role character varying(50) DEFAULT 'customer'::character varying,
--     status character varying(50) DEFAULT 'active'::character varying,
--     email_verified boolean DEFAULT false,
--     created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP
-- );
-- ALTER TABLE ONLY users ADD CONSTRAINT users_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY users ADD CONSTRAINT users_tenant_id_email_key UNIQUE (tenant_id, email);
-- ALTER TABLE ONLY users ADD CONSTRAINT users_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;
-- CREATE INDEX billing_users_email_idx ON users USING btree (lower((email)::text));
--
-- CREATE TABLE stripe_customers (
--     id text NOT NULL,
--     customer_id uuid,
--     livemode boolean NOT NULL,
--     email text,
--     name text,
--     deleted boolean DEFAULT false NOT NULL,
--     stripe_as_of_since timestamp with time zone,
--     stripe_as_of timestamp with time zone,
--     stripe_event_id text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT stripe_customers_check CHECK ((stripe_as_of_since <= stripe_as_of))
-- );
-- ALTER TABLE ONLY stripe_customers ADD CONSTRAINT stripe_customers_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY stripe_customers ADD CONSTRAINT stripe_customers_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;
-- CREATE INDEX stripe_customers_customer_idx ON stripe_customers USING btree (customer_id);
--
-- CREATE TABLE stripe_customer_balances (
--     stripe_customer_id text NOT NULL,
--     currency text NOT NULL,
--     balance bigint NOT NULL,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT stripe_customer_balances_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text))
-- );
-- ALTER TABLE ONLY stripe_customer_balances ADD CONSTRAINT stripe_customer_balances_pkey PRIMARY KEY (stripe_customer_id, currency);
-- ALTER TABLE ONLY stripe_customer_balances ADD CONSTRAINT stripe_customer_balances_stripe_customer_id_fkey FOREIGN KEY (stripe_customer_id) REFERENCES stripe_customers(id) ON DELETE CASCADE;

-- name: write_snapshots(snapshots)!
SELECT billing_write_customers_v1(:snapshots::jsonb);

-- name: list_compared(object_ids)
SELECT
    c.id AS object_id,
    c.stripe_as_of AS as_of,
    c.stripe_event_id AS event_id,
    c.email,
    c.name,
    c.deleted,
    (
        SELECT jsonb_object_agg(b.currency, b.balance)
        FROM stripe_customer_balances AS b
        WHERE b.stripe_customer_id = c.id
    ) AS balances,
    EXISTS (
        SELECT 1
        FROM billing_erasures AS x
        WHERE x.identifier = c.id
    ) AS erased
FROM stripe_customers AS c
WHERE c.id = ANY(:object_ids::text[])
  AND c.stripe_as_of IS NOT NULL;

-- name: find_absent(after, most, livemode, started_at)^
WITH stretch AS MATERIALIZED (
    SELECT
        c.id AS object_id,
        c.livemode,
        c.deleted,
        c.stripe_as_of AS as_of
    FROM stripe_customers AS c
    WHERE c.id > :after
    ORDER BY c.id
    LIMIT :most
)
SELECT
    count(*) AS looked_at,
    max(t.object_id) AS last_id,
    array_agg(t.object_id ORDER BY t.object_id) FILTER (
        WHERE t.livemode = :livemode
          AND NOT t.deleted
          AND t.as_of < :started_at::timestamptz
          AND m.object_id IS NULL
    ) AS absent
FROM stretch AS t
LEFT JOIN billing_reconcile_marks AS m
    ON m.object_id = t.object_id;
