-- Who holds a domain name. An unpaid order holds none: payment decides, or the
-- beginning of a trial. From then on the name is held, with all that lie under and above it, until the
-- accounts of the subscription have been terminated; if it was registered by us, for its customer from
-- then on. What mPanel's tenants have is held too, and what mPanel manages.

-- Tables: billing_domains, domains
--
-- CREATE TABLE billing_domains (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     name text NOT NULL,
--     unicode_name text NOT NULL,
--     skeleton text NOT NULL,
--     registrable text NOT NULL,
--     mode text NOT NULL,
--     state text DEFAULT 'ordered'::text NOT NULL,
--     customer_id uuid,
--     subscription_id uuid,
--     held_at timestamp with time zone,
--     paid_at timestamp with time zone,
--     registered_at timestamp with time zone,
--     expires_at timestamp with time zone,
--     paid_until timestamp with time zone,
--     auto_renew boolean DEFAULT false NOT NULL,
--     driver text,
--     external_ref text,
--     name_servers text[] DEFAULT '{}'::text[] NOT NULL,
--     auth_code text,
--     needs text[] DEFAULT '{}'::text[] NOT NULL,
--     generation bigint DEFAULT 0 NOT NULL,
--     pending_action text,
--     pending_request jsonb,
--     is_confirmed boolean DEFAULT false NOT NULL,
--     attempts integer DEFAULT 0 NOT NULL,
--     stopped_at timestamp with time zone,
--     last_error text,
--     inspected_at timestamp with time zone,
--     next_attempt_at timestamp with time zone,
--     version bigint DEFAULT 0 NOT NULL,
--     lease_token uuid,
--     leased_until timestamp with time zone,
--     price bigint,
--     order_total bigint,
--     currency text,
--     renewal_price bigint,
--     coming_price bigint,
--     coming_price_from timestamp with time zone,
--     replaces_id uuid,
--     tell_stripe_at timestamp with time zone,
--     given_back_at timestamp with time zone,
--     refund_error text,
--     refund_attempts integer DEFAULT 0 NOT NULL,
--     next_refund_at timestamp with time zone,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_domains_check CHECK ((order_total >= price)),
--     CONSTRAINT billing_domains_check1 CHECK ((num_nonnulls(customer_id, subscription_id) > 0)),
--     CONSTRAINT billing_domains_check10 CHECK (((num_nonnulls(pending_action, next_attempt_at) = 0) OR (driver IS NOT NULL))),
--     CONSTRAINT billing_domains_check11 CHECK (((lease_token IS NULL) = (leased_until IS NULL))),
--     CONSTRAINT billing_domains_check12 CHECK (((next_refund_at IS NULL) OR (refund_error IS NOT NULL))),
--     CONSTRAINT billing_domains_check13 CHECK (((NOT auto_renew) OR (num_nulls(renewal_price, currency) = 0))),
--     CONSTRAINT billing_domains_check14 CHECK (((coming_price IS NULL) = (coming_price_from IS NULL))),
--     CONSTRAINT billing_domains_check2 CHECK (((state = ANY (ARRAY['ordered'::text, 'verifying'::text, 'released'::text, 'failed'::text])) OR (held_at IS NOT NULL))),
--     CONSTRAINT billing_domains_check3 CHECK (((given_back_at IS NULL) OR (state = 'failed'::text))),
--     CONSTRAINT billing_domains_check4 CHECK (((state <> ALL (ARRAY['paid'::text, 'registering'::text, 'transferring'::text])) OR (paid_at IS NOT NULL))),
--     CONSTRAINT billing_domains_check5 CHECK (((pending_action <> ALL (ARRAY['register'::text, 'transfer'::text])) OR (paid_at IS NOT NULL))),
--     CONSTRAINT billing_domains_check6 CHECK (((replaces_id IS NULL) OR (mode = ANY (ARRAY['existing'::text, 'subdomain'::text])) OR (held_at IS NULL) OR (num_nonnulls(paid_at, registered_at) > 0))),
--     CONSTRAINT billing_domains_check7 CHECK (((pending_action <> 'renew'::text) OR (paid_until IS NOT NULL))),
--     CONSTRAINT billing_domains_check8 CHECK (((state <> 'renewing'::text) OR (paid_until IS NOT NULL))),
--     CONSTRAINT billing_domains_check9 CHECK (((pending_action IS NULL) = (pending_request IS NULL))),
--     CONSTRAINT billing_domains_coming_price_check CHECK ((coming_price >= 0)),
--     CONSTRAINT billing_domains_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT billing_domains_mode_check CHECK ((mode = ANY (ARRAY['register'::text, 'transfer'::text, 'new-or-transfer'::text, 'existing'::text, 'subdomain'::text]))),
--     CONSTRAINT billing_domains_name_check CHECK ((name = lower(name))),
--     CONSTRAINT billing_domains_pending_action_check CHECK ((pending_action = ANY (ARRAY['register'::text, 'transfer'::text, 'renew'::text, 'set_nameservers'::text, 'set_auto_renew'::text]))),
--     CONSTRAINT billing_domains_price_check CHECK ((price >= 0)),
--     CONSTRAINT billing_domains_renewal_price_check CHECK ((renewal_price >= 0)),
--     CONSTRAINT billing_domains_state_check CHECK ((state = ANY (ARRAY['ordered'::text, 'paid'::text, 'registering'::text, 'transferring'::text, 'verifying'::text, 'active'::text, 'renewing'::text, 'expired'::text, 'redemption'::text, 'transferred_out'::text, 'released'::text, 'failed'::text])))
-- );
-- ALTER TABLE ONLY billing_domains ADD CONSTRAINT billing_domains_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY billing_domains ADD CONSTRAINT billing_domains_subscription_id_name_key UNIQUE (subscription_id, name);
-- ALTER TABLE ONLY billing_domains ADD CONSTRAINT billing_domains_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY billing_domains ADD CONSTRAINT billing_domains_replaces_id_fkey FOREIGN KEY (replaces_id) REFERENCES billing_domains(id) ON DELETE SET NULL;
-- ALTER TABLE ONLY billing_domains ADD CONSTRAINT billing_domains_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX billing_domains_created_idx ON billing_domains USING btree (created_at) WHERE (state <> 'ordered'::text);
-- CREATE INDEX billing_domains_customer_idx ON billing_domains USING btree (customer_id);
-- CREATE INDEX billing_domains_due_idx ON billing_domains USING btree (next_attempt_at) WHERE (next_attempt_at IS NOT NULL);
-- CREATE INDEX billing_domains_expires_idx ON billing_domains USING btree (expires_at) WHERE ((driver IS NOT NULL) AND (state = 'active'::text));
-- CREATE UNIQUE INDEX billing_domains_live_key ON billing_domains USING btree (name) WHERE ((held_at IS NOT NULL) AND (state <> ALL (ARRAY['released'::text, 'failed'::text])));
-- CREATE INDEX billing_domains_lost_idx ON billing_domains USING btree (updated_at) WHERE ((state = 'failed'::text) AND (given_back_at IS NULL) AND ((refund_error IS NULL) OR (next_refund_at IS NOT NULL)));
-- CREATE INDEX billing_domains_name_start_idx ON billing_domains USING btree (name text_pattern_ops);
-- CREATE INDEX billing_domains_not_refunded_idx ON billing_domains USING btree (subscription_id) WHERE ((state = 'failed'::text) AND (given_back_at IS NULL) AND (refund_error IS NOT NULL));
-- CREATE INDEX billing_domains_registrable_idx ON billing_domains USING btree (registrable);
-- CREATE INDEX billing_domains_replaces_idx ON billing_domains USING btree (replaces_id);
-- CREATE UNIQUE INDEX billing_domains_replaces_key ON billing_domains USING btree (replaces_id) WHERE ((replaces_id IS NOT NULL) AND (state <> ALL (ARRAY['released'::text, 'failed'::text])));
-- CREATE INDEX billing_domains_skeleton_idx ON billing_domains USING btree (skeleton);
-- CREATE INDEX billing_domains_troubled_idx ON billing_domains USING btree (subscription_id) WHERE ((driver IS NOT NULL) AND ((last_error IS NOT NULL) OR (needs <> '{}'::text[])));
-- CREATE INDEX billing_domains_untold_idx ON billing_domains USING btree (tell_stripe_at) WHERE (tell_stripe_at IS NOT NULL);
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
-- CREATE INDEX billing_domains_domain_name_start_idx ON domains USING btree (lower((domain_name)::text) text_pattern_ops);

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
        w.lineage,
        w.imitates
    FROM jsonb_to_recordset(:names::jsonb) AS w (
        name text, registrable text, forms text[], lineage text[], imitates text
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
    UNION ALL
    -- one that it only looks like
    SELECT
        wanted.name,
        t.id,
        t.billing_subscription_id
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT
            seen.id,
            seen.billing_subscription_id
        FROM tenants AS seen
        WHERE reverse(lower(seen.domain)) = reverse(wanted.imitates)
        OFFSET 0
    ) AS t
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
        named.customer_id,
        named.name = wanted.name AS is_same,
        -- what has still to be proven is kept from nobody
        named.state NOT IN ('verifying', 'released', 'failed') AS is_live,
        named.held_at IS NOT NULL AS is_held,
        -- what takes the place of a lost name is paid for by itself
        named.replaces_id IS NULL OR named.paid_at IS NOT NULL OR named.mode IN ('existing', 'subdomain') AS is_paid
    FROM billing_domains AS named
    WHERE named.registrable = wanted.registrable
      AND (
          named.name = wanted.name
          OR named.name LIKE '%.' || wanted.name
          OR wanted.name LIKE '%.' || named.name
      )
    OFFSET 0
) AS other
LEFT JOIN LATERAL (
    SELECT
        s.status,
        s.customer_id
    FROM subscriptions AS s
    WHERE s.id = other.subscription_id
    OFFSET 0
) AS owner ON TRUE
WHERE other.is_live
  AND (
      other.is_held
      OR (
          :subscription_id::uuid IS NULL
          AND other.is_paid
          AND owner.status IN ('pending', 'active', 'suspended')
      )
  )
  AND (other.subscription_id = :subscription_id::uuid) IS NOT TRUE
  AND (
      (coalesce(owner.customer_id, other.customer_id) = :customer_id::uuid) IS NOT TRUE
      -- it is at work for another subscription of theirs: a name has one tenant
      OR (:subscription_id::uuid IS NOT NULL AND other.is_same AND other.subscription_id IS NOT NULL)
  )
  AND NOT EXISTS (
      -- it has the tenant of that one, and its names
      SELECT 1
      FROM billing_takeovers AS takeover
      WHERE takeover.subscription_id = :subscription_id::uuid
        AND takeover.predecessor_id = other.subscription_id
  )
UNION
-- names that it only looks like; those in plain ASCII look like nothing else
SELECT wanted.name
FROM wanted
CROSS JOIN LATERAL (
    SELECT
        named.subscription_id,
        named.customer_id,
        named.held_at IS NOT NULL AS is_held,
        named.replaces_id IS NULL OR named.paid_at IS NOT NULL OR named.mode IN ('existing', 'subdomain') AS is_paid
    FROM billing_domains AS named
    WHERE named.skeleton = wanted.imitates
      AND named.registrable <> wanted.registrable
      AND named.state NOT IN ('verifying', 'released', 'failed')
    OFFSET 0
) AS seen
LEFT JOIN LATERAL (
    SELECT
        s.status,
        s.customer_id
    FROM subscriptions AS s
    WHERE s.id = seen.subscription_id
    OFFSET 0
) AS owner ON TRUE
WHERE (
    seen.is_held
    OR (
        :subscription_id::uuid IS NULL
        AND seen.is_paid
        AND owner.status IN ('pending', 'active', 'suspended')
    )
)
  AND (coalesce(owner.customer_id, seen.customer_id) = :customer_id::uuid) IS NOT TRUE
  AND (seen.subscription_id = :subscription_id::uuid) IS NOT TRUE;

-- name: list_kept(names, customer_id)
-- Names that the customer has kept since the end of the subscription that they came with.
SELECT own.name
FROM billing_domains AS own
WHERE own.name = ANY(:names::text[])
  AND own.customer_id = :customer_id::uuid
  AND own.subscription_id IS NULL
  AND own.held_at IS NOT NULL
  AND own.state NOT IN ('released', 'failed');

-- name: list_owned(names, registrable, customer_id)
-- Names that we have registered or transferred for the customer: nobody has to pay for that again. And
-- those at work for a subscription of theirs that lives: a name has one tenant.
SELECT
    own.name,
    bool_or(owner.is_alive IS TRUE) AS is_at_work
FROM billing_domains AS own
LEFT JOIN LATERAL (
    SELECT
        s.customer_id,
        s.status IN ('pending', 'active', 'suspended') AS is_alive
    FROM subscriptions AS s
    WHERE s.id = own.subscription_id
    OFFSET 0
) AS owner ON TRUE
WHERE own.registrable = ANY(:registrable::text[])
  AND own.name = ANY(:names::text[])
  AND coalesce(owner.customer_id, own.customer_id) = :customer_id::uuid
  AND own.state NOT IN ('verifying', 'released', 'failed')
  AND (own.registered_at IS NOT NULL OR owner.is_alive)
GROUP BY own.name;

-- name: drop_ordered(subscription_id, names)
-- Makes place for the rows of names that the customer has already. Returns in whose place they were chosen.
DELETE FROM billing_domains AS own
WHERE own.subscription_id = :subscription_id::uuid
  AND own.name = ANY(:names::text[])
  AND own.held_at IS NULL
RETURNING own.name, own.replaces_id;

-- name: attach_kept(subscription_id, names, customer_id, replaces)!
-- replaces: in whose place they were chosen, by name.
UPDATE billing_domains AS own
SET subscription_id = :subscription_id::uuid,
    replaces_id = (:replaces::jsonb ->> own.name)::uuid,
    updated_at = now()
WHERE own.name = ANY(:names::text[])
  AND own.customer_id = :customer_id::uuid
  AND own.subscription_id IS NULL
  AND own.held_at IS NOT NULL
  AND own.state NOT IN ('released', 'failed');

-- name: list_covered(names, customer_id)
-- Those of the names that lie in what the customer has proven, or had registered by us.
SELECT DISTINCT wanted.name
FROM jsonb_to_recordset(:names::jsonb) AS wanted (name text, registrable text)
JOIN billing_domains AS own
    ON own.registrable = wanted.registrable
    AND (wanted.name = own.name OR wanted.name LIKE '%.' || own.name)
LEFT JOIN billing_domain_proofs AS p
    ON p.domain_id = own.id
WHERE own.customer_id = :customer_id::uuid
  AND own.held_at IS NOT NULL
  -- what has left them, or is about to be anybody's, proves nothing any more
  AND own.state IN ('active', 'renewing', 'expired')
  AND (own.registered_at IS NOT NULL OR p.proven_at IS NOT NULL);

-- name: settle_names(subscription_id, token, names, proofs, trouble)$
-- What a paid order gets of the names that it was for. proofs: what their buyer has to prove first.
WITH held AS (
    SELECT
        w.subscription_id,
        s.customer_id
    FROM provisioning_work AS w
    JOIN subscriptions AS s
        ON s.id = w.subscription_id
    WHERE w.subscription_id = :subscription_id::uuid
      AND w.lease_token = :token::uuid
    FOR NO KEY UPDATE OF w
),
settled AS (
    INSERT INTO billing_domains AS own (
        subscription_id,
        customer_id,
        name,
        unicode_name,
        skeleton,
        registrable,
        mode,
        state,
        held_at
    )
    SELECT
        held.subscription_id,
        held.customer_id,
        n.name,
        n.unicode_name,
        n.skeleton,
        n.registrable,
        n.mode,
        n.state,
        CASE WHEN n.state NOT IN ('verifying', 'failed') THEN now() END
    FROM held
    CROSS JOIN jsonb_to_recordset(:names::jsonb) AS n (
        name text, unicode_name text, skeleton text, registrable text, mode text, state text
    )
    ON CONFLICT (subscription_id, name) DO UPDATE
    SET state = excluded.state,
        customer_id = excluded.customer_id,
        held_at = excluded.held_at,
        updated_at = now()
    RETURNING own.id, own.name
),
asked AS (
    INSERT INTO billing_domain_proofs (domain_id, token, nameservers, check_at, expires_at)
    SELECT
        settled.id,
        p.token,
        p.nameservers,
        now(),
        now() + make_interval(secs => p.seconds)
    FROM jsonb_to_recordset(:proofs::jsonb) AS p (name text, token text, nameservers text[], seconds float8)
    JOIN settled
        ON settled.name = p.name
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

-- name: list_lost(livemode, most)
-- What was paid for names that could not be obtained, with their part of the taxes. What another customer
-- had when a trial began is not charged at all.
SELECT
    own.id,
    own.name,
    bill.id AS invoice_id,
    least(
        billing_chargeable_v1(own.price::numeric * bill.amount_invoiced / own.order_total, bill.currency),
        bill.amount_invoiced
    )::bigint AS amount,
    own.refund_attempts AS attempts
FROM billing_domains AS own
CROSS JOIN LATERAL (
    -- OFFSET 0 keeps these look-ups for each row
    SELECT 1 AS found
    FROM subscriptions AS s
    WHERE s.id = own.subscription_id
      AND s.livemode = :livemode::boolean
    OFFSET 0
) AS ours
CROSS JOIN LATERAL (
    SELECT c.stripe_created
    FROM subscription_charges AS c
    WHERE c.subscription_id = own.subscription_id
      AND c.domain = own.name
      AND (c.state = 'with_checkout' OR (c.state = 'attached' AND own.paid_at IS NOT NULL))
    OFFSET 0
) AS charged
CROSS JOIN LATERAL (
    SELECT
        i.id,
        i.stripe_status,
        i.amount_invoiced,
        i.currency
    FROM invoices AS i
    WHERE i.subscription_id = own.subscription_id
      AND i.billing_reason IS DISTINCT FROM 'manual'
      -- that of the end of a trial, which has what was added to it before; its beginning may be of the same second
      AND (
          charged.stripe_created IS NULL
          OR (i.stripe_created >= charged.stripe_created AND i.billing_reason <> 'subscription_create')
      )
    ORDER BY i.stripe_created, i.id
    LIMIT 1
) AS bill
WHERE own.state = 'failed'
  AND own.given_back_at IS NULL
  AND (own.refund_error IS NULL OR own.next_refund_at <= now())
  AND own.price > 0
  AND bill.stripe_status = 'paid'
  AND bill.amount_invoiced > 0
ORDER BY own.updated_at
LIMIT :most;

-- name: note_given_back(id)!
UPDATE billing_domains AS own
SET given_back_at = now(),
    refund_error = NULL,
    next_refund_at = NULL,
    updated_at = now()
WHERE own.id = :id::uuid
  AND own.given_back_at IS NULL;

-- name: note_not_given_back(id, error, retry_seconds)!
-- retry_seconds: until the worker tries again; null: it was refused, and a person has to do it.
UPDATE billing_domains AS own
SET refund_error = :error::text,
    refund_attempts = own.refund_attempts + 1,
    next_refund_at = now() + make_interval(secs => :retry_seconds::float8),
    updated_at = now()
WHERE own.id = :id::uuid
  AND own.given_back_at IS NULL;

-- name: retry_refund(name, registrable, id)$
-- The worker tries again now to refund what could not be obtained, whatever was refused; null id: for whomever.
UPDATE billing_domains AS own
SET refund_attempts = 0,
    next_refund_at = now(),
    updated_at = now()
WHERE own.registrable = :registrable::text
  AND own.name = :name::text
  AND own.state = 'failed'
  AND own.given_back_at IS NULL
  AND own.refund_error IS NOT NULL
  AND (:id::uuid IS NULL OR own.id = :id::uuid)
RETURNING own.id;

-- name: settle_failed(name, registrable)$
-- What could not be obtained and cannot be refunded here, or cost nothing, is settled with its buyer.
UPDATE billing_domains AS own
SET given_back_at = now(),
    updated_at = now()
WHERE own.registrable = :registrable::text
  AND own.name = :name::text
  AND own.state = 'failed'
  AND own.given_back_at IS NULL
  AND ((own.refund_error IS NOT NULL AND own.next_refund_at IS NULL) OR coalesce(own.price, 0) = 0)
RETURNING own.id;

-- name: list_domains(state, most)
-- Newest first, without what is only ordered.
SELECT
    own.name,
    own.unicode_name,
    own.mode,
    own.state,
    own.subscription_id,
    own.customer_id,
    own.held_at,
    own.paid_at,
    own.registered_at,
    own.given_back_at,
    own.expires_at,
    own.auto_renew,
    own.driver,
    own.needs,
    own.refund_error,
    own.last_error,
    own.created_at,
    p.proven_at,
    p.proven_by,
    billing_proof_asked_v1(own.id) AS proof
FROM billing_domains AS own
LEFT JOIN billing_domain_proofs AS p
    ON p.domain_id = own.id
WHERE own.state <> 'ordered'
  AND (:state::text IS NULL OR own.state = :state::text)
ORDER BY own.created_at DESC
LIMIT :most;

-- name: list_of_customer(customer_id, most)
SELECT
    own.name,
    own.unicode_name,
    own.mode,
    own.state,
    own.subscription_id,
    own.customer_id,
    own.held_at,
    own.paid_at,
    own.registered_at,
    own.given_back_at,
    own.expires_at,
    own.auto_renew,
    own.driver,
    own.needs,
    own.refund_error,
    own.last_error,
    own.created_at,
    p.proven_at,
    p.proven_by,
    billing_proof_asked_v1(own.id) AS proof
FROM billing_domains AS own
LEFT JOIN billing_domain_proofs AS p
    ON p.domain_id = own.id
WHERE own.customer_id = :customer_id::uuid
ORDER BY own.created_at DESC, own.name
LIMIT :most;

-- name: list_of_name(name, registrable)
-- All rows of a name, the live one first.
SELECT
    own.name,
    own.unicode_name,
    own.mode,
    own.state,
    own.subscription_id,
    own.customer_id,
    own.held_at,
    own.paid_at,
    own.registered_at,
    own.given_back_at,
    own.expires_at,
    own.auto_renew,
    own.driver,
    own.needs,
    own.refund_error,
    own.last_error,
    own.created_at,
    p.proven_at,
    p.proven_by,
    billing_proof_asked_v1(own.id) AS proof
FROM billing_domains AS own
LEFT JOIN billing_domain_proofs AS p
    ON p.domain_id = own.id
WHERE own.registrable = :registrable::text
  AND own.name = :name::text
ORDER BY own.held_at IS NOT NULL AND own.state NOT IN ('released', 'failed') DESC, own.created_at DESC;

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

-- name: hand_in_auth_code(name, registrable, subscription_id, auth_code)$
-- For a transfer that is to be asked for, or was refused. The next command has a number of its own, as it
-- says something else. subscription_id: only of this one; null: whoever has the name.
UPDATE billing_domains AS own
SET auth_code = :auth_code::text,
    version = own.version + 1,
    generation = own.generation + 1,
    attempts = 0,
    stopped_at = NULL,
    needs = '{}',
    next_attempt_at = CASE WHEN own.driver IS NOT NULL THEN now() END,
    updated_at = now()
WHERE own.registrable = :registrable::text
  AND own.name = :name::text
  AND own.mode IN ('transfer', 'new-or-transfer')
  AND own.state IN ('ordered', 'paid', 'registering', 'transferring')
  AND NOT own.is_confirmed
  AND (own.held_at IS NOT NULL OR :subscription_id::uuid IS NOT NULL)
  AND (:subscription_id::uuid IS NULL OR own.subscription_id = :subscription_id::uuid)
RETURNING own.id;
