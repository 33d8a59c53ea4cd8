-- Who holds a domain name. An unpaid order holds none: payment decides, or the
-- beginning of a trial. From then on the name is held, with all that lie under and above it, until the
-- accounts of the subscription have been terminated. What mPanel's tenants have is
-- held too, and what mPanel manages.

-- Tables: order_domains, domains
--
-- CREATE TABLE order_domains (
--     subscription_id uuid NOT NULL,
--     domain text NOT NULL,
--     registrable text NOT NULL,
--     state text DEFAULT 'ordered'::text NOT NULL,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT order_domains_state_check CHECK ((state = ANY (ARRAY['ordered'::text, 'held'::text, 'refused'::text, 'released'::text])))
-- );
-- ALTER TABLE ONLY order_domains ADD CONSTRAINT order_domains_pkey PRIMARY KEY (subscription_id, domain);
-- ALTER TABLE ONLY order_domains ADD CONSTRAINT order_domains_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX order_domains_registrable_idx ON order_domains USING btree (registrable);
--
-- CREATE TABLE domains (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     tenant_id uuid,
--     customer_id uuid,
--     subscription_id uuid,
--     domain_name character varying(255) NOT NULL,
--     tld character varying(50) NOT NULL,
--     status character varying(50) DEFAULT 'active'::character varying,
--     registrar character varying(100),
--     registration_date date,
--     expiry_date date,
--     auto_renew boolean DEFAULT true,
--     nameservers jsonb DEFAULT '[]'::jsonb,
--     metadata jsonb DEFAULT '{}'::jsonb,
--     created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP
-- );
-- ALTER TABLE ONLY domains ADD CONSTRAINT domains_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY domains ADD CONSTRAINT domains_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY domains ADD CONSTRAINT domains_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id);
-- ALTER TABLE ONLY domains ADD CONSTRAINT domains_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

-- name: lock_names(registrable)
-- One transaction at a time for the names in a registrable domain: two orders for a name, or for one
-- under the other, never pass each other unseen.
SELECT pg_advisory_xact_lock(hashtextextended('domain:' || names.name, 0))
FROM unnest(:registrable::text[]) WITH ORDINALITY AS names (name, position)
ORDER BY names.position;

-- name: list_taken(names, customer_id, subscription_id, tenant_id)
-- customer_id: mPanel vouches for this customer; null: it does not. subscription_id: a paid order asks
-- for its names, whose tenant has or will have tenant_id; null: a new order asks, and the names of a
-- paid order are taken before the worker has seen it.
WITH wanted AS MATERIALIZED (
    SELECT
        w.name,
        w.registrable,
        w.forms,
        w.lineage
    FROM jsonb_to_recordset(:names::jsonb) AS w (
        name text, registrable text, forms text[], lineage text[]
    )
),
had AS (
    -- the same name, or one above it
    SELECT
        wanted.name,
        t.id AS tenant_id,
        t.billing_subscription_id
    FROM wanted
    CROSS JOIN LATERAL unnest(wanted.lineage) AS upper (name)
    JOIN tenants AS t
        ON reverse(lower(t.domain)) = reverse(upper.name)
    UNION ALL
    -- one under it: in an order of bytes, / follows the dot
    SELECT
        wanted.name,
        t.id,
        t.billing_subscription_id
    FROM wanted
    CROSS JOIN LATERAL unnest(wanted.forms) AS form (name)
    JOIN tenants AS t
        ON reverse(lower(t.domain)) ~>=~ (reverse(form.name) || '.')
        AND reverse(lower(t.domain)) ~<~ (reverse(form.name) || '/')
),
managed AS (
    -- the same of the domains that mPanel manages, written with their top-level domain or beside it
    SELECT
        wanted.name,
        d.status,
        d.customer_id,
        d.subscription_id,
        d.tenant_id
    FROM wanted
    CROSS JOIN LATERAL unnest(wanted.lineage) AS upper (name)
    JOIN domains AS d
        ON reverse(lower(CASE WHEN d.domain_name LIKE '%.%' THEN d.domain_name ELSE d.domain_name || '.' || ltrim(d.tld, '.') END))
            = reverse(upper.name)
    UNION ALL
    SELECT
        wanted.name,
        d.status,
        d.customer_id,
        d.subscription_id,
        d.tenant_id
    FROM wanted
    CROSS JOIN LATERAL unnest(wanted.forms) AS form (name)
    JOIN domains AS d
        ON reverse(lower(CASE WHEN d.domain_name LIKE '%.%' THEN d.domain_name ELSE d.domain_name || '.' || ltrim(d.tld, '.') END))
            ~>=~ (reverse(form.name) || '.')
        AND reverse(lower(CASE WHEN d.domain_name LIKE '%.%' THEN d.domain_name ELSE d.domain_name || '.' || ltrim(d.tld, '.') END))
            ~<~ (reverse(form.name) || '/')
)
SELECT had.name
FROM had
WHERE (had.billing_subscription_id = :subscription_id::uuid) IS NOT TRUE
  -- left behind when the subscription's row was deleted
  AND (had.tenant_id = :tenant_id::uuid) IS NOT TRUE
  -- mPanel's own tenants do not say whose they are
  AND (:customer_id::uuid = (
      SELECT s.customer_id
      FROM subscriptions AS s
      WHERE s.id = had.billing_subscription_id
  )) IS NOT TRUE
UNION
SELECT managed.name
FROM managed
WHERE managed.status IS DISTINCT FROM 'expired'
  AND managed.status IS DISTINCT FROM 'cancelled'
  AND (managed.customer_id = :customer_id::uuid) IS NOT TRUE
  AND (managed.subscription_id = :subscription_id::uuid) IS NOT TRUE
  AND (managed.tenant_id = :tenant_id::uuid) IS NOT TRUE
UNION
SELECT wanted.name
FROM wanted
CROSS JOIN LATERAL (
    -- OFFSET 0 keeps this a look-up for each row instead of a join, however large the tables
    SELECT
        named.subscription_id,
        named.state
    FROM order_domains AS named
    WHERE named.registrable = wanted.registrable
      AND (
          named.domain = wanted.name
          OR named.domain LIKE '%.' || wanted.name
          OR wanted.name LIKE '%.' || named.domain
      )
    OFFSET 0
) AS other
CROSS JOIN LATERAL (
    SELECT
        s.status,
        s.customer_id
    FROM subscriptions AS s
    WHERE s.id = other.subscription_id
    OFFSET 0
) AS owner
WHERE (
    other.state = 'held'
    OR (
        :subscription_id::uuid IS NULL
        AND other.state = 'ordered'
        AND owner.status IN ('pending', 'active', 'suspended')
    )
)
  AND (other.subscription_id = :subscription_id::uuid) IS NOT TRUE
  AND (owner.customer_id = :customer_id::uuid) IS NOT TRUE
  AND NOT EXISTS (
      -- it has the tenant of that one, and its names
      SELECT 1
      FROM billing_takeovers AS takeover
      WHERE takeover.subscription_id = :subscription_id::uuid
        AND takeover.predecessor_id = other.subscription_id
  );

-- name: settle_names(subscription_id, token, names, trouble)$
-- What a paid order gets of the names that it was for.
WITH held AS (
    SELECT w.subscription_id
    FROM provisioning_work AS w
    WHERE w.subscription_id = :subscription_id::uuid
      AND w.lease_token = :token::uuid
    FOR NO KEY UPDATE
),
settled AS (
    INSERT INTO order_domains AS own (subscription_id, domain, registrable, state)
    SELECT
        held.subscription_id,
        n.name,
        n.registrable,
        n.state
    FROM held
    CROSS JOIN jsonb_to_recordset(:names::jsonb) AS n (name text, registrable text, state text)
    ON CONFLICT (subscription_id, domain) DO UPDATE
    SET state = excluded.state
),
noted AS (
    UPDATE provisioning_work AS w
    SET trouble = :trouble::text
    FROM held
    WHERE w.subscription_id = held.subscription_id
      AND :trouble::text IS NOT NULL
)
SELECT TRUE
FROM held;

-- name: call_off_rivals(subscription_ids)!
-- Unpaid orders for a name that another order has got. If one is paid by its recovery link after all,
-- it shows in billing_trouble.
WITH called_off AS (
    UPDATE orders AS o
    SET superseded_at = now()
    WHERE o.subscription_id = ANY(:subscription_ids::uuid[])
      AND o.superseded_at IS NULL
)
UPDATE checkout_sessions AS c
SET status = 'failed',
    last_error = 'its domain was taken by another order',
    updated_at = now()
WHERE c.subscription_id = ANY(:subscription_ids::uuid[])
  AND c.status = 'creating';
