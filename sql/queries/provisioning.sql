-- Provisioning: leases, what a run reads, and its results. Each write of a run checks its lease
-- token, and does nothing once another run has taken over. `now` is the time on which decisions are
-- based; null: the database's, which all workers share. Only a command about to be sent waits for
-- the disk, together with everything written before it. Everything else that a crash of the
-- database may lose is repeated under the same numbers, so those commits do not wait
-- (synchronous_commit, per transaction).

-- Tables: tenants, provisioning_work, tenant_services, provisioning_log, billing_leniency, billing_ignored_prices
--
-- CREATE TABLE tenants (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     name character varying(255) NOT NULL,
--     domain character varying(255) NOT NULL,
--     status character varying(50) DEFAULT 'active'::character varying,
--     settings jsonb DEFAULT '{}'::jsonb,
--     created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
--     billing_subscription_id uuid,
--     billing_former_domain text
-- );
-- ALTER TABLE ONLY tenants ADD CONSTRAINT tenants_domain_key UNIQUE (domain);
-- ALTER TABLE ONLY tenants ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY tenants ADD CONSTRAINT billing_tenants_subscription_fkey FOREIGN KEY (billing_subscription_id) REFERENCES subscriptions(id) ON DELETE SET NULL;
-- CREATE INDEX billing_tenants_domain_idx ON tenants USING btree (reverse(lower((domain)::text)) text_pattern_ops);
-- CREATE INDEX billing_tenants_domain_start_idx ON tenants USING btree (lower((domain)::text) text_pattern_ops);
-- CREATE UNIQUE INDEX billing_tenants_subscription_key ON tenants USING btree (billing_subscription_id);
--
-- CREATE TABLE provisioning_work (
--     subscription_id uuid NOT NULL,
--     inputs jsonb NOT NULL,
--     version bigint DEFAULT 1 NOT NULL,
--     done_version bigint DEFAULT 0 NOT NULL,
--     attempts integer DEFAULT 0 NOT NULL,
--     last_error text,
--     wake_at timestamp with time zone,
--     lease_token uuid,
--     leased_until timestamp with time zone,
--     trouble text,
--     debt_confirmed_version bigint,
--     debt_confirmed_at timestamp with time zone,
--     contradicted_since timestamp with time zone,
--     decided_until timestamp with time zone,
--     decided_reason text,
--     debt_unconfirmed_since timestamp with time zone,
--     debt_error text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT provisioning_work_check CHECK ((done_version <= version)),
--     CONSTRAINT provisioning_work_decided_reason_check CHECK ((decided_reason = ANY (ARRAY['disputed'::text, 'ended'::text, 'held'::text, 'paused'::text, 'unpaid'::text, 'used_up'::text]))),
--     CONSTRAINT provisioning_work_lease_check CHECK (((lease_token IS NULL) = (leased_until IS NULL)))
-- )
-- WITH (fillfactor='85', autovacuum_vacuum_scale_factor='0.02');
-- ALTER TABLE ONLY provisioning_work ADD CONSTRAINT provisioning_work_pkey PRIMARY KEY (subscription_id);
-- ALTER TABLE ONLY provisioning_work ADD CONSTRAINT provisioning_work_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX provisioning_work_debt_unconfirmed_idx ON provisioning_work USING btree (debt_unconfirmed_since) WHERE (debt_unconfirmed_since IS NOT NULL);
-- CREATE INDEX provisioning_work_due_idx ON provisioning_work USING btree (wake_at) WHERE (wake_at IS NOT NULL);
-- CREATE INDEX provisioning_work_owed_idx ON provisioning_work USING btree (subscription_id) WHERE ((inputs ->> 'owedSince'::text) IS NOT NULL);
-- CREATE INDEX provisioning_work_paid_after_end_idx ON provisioning_work USING btree (subscription_id) WHERE ((inputs ->> 'paidAfterEnd'::text) IS NOT NULL);
-- CREATE INDEX provisioning_work_payable_after_end_idx ON provisioning_work USING btree (subscription_id) WHERE ((inputs ->> 'payableAfterEnd'::text))::boolean;
-- CREATE INDEX provisioning_work_troubled_idx ON provisioning_work USING btree (subscription_id) WHERE (last_error IS NOT NULL);
-- CREATE INDEX provisioning_work_undone_idx ON provisioning_work USING btree (subscription_id) WHERE ((version > done_version) IS TRUE);
-- CREATE INDEX provisioning_work_used_up_idx ON provisioning_work USING btree (subscription_id) WHERE (decided_reason = 'used_up'::text);
--
-- CREATE TABLE tenant_services (
--     subscription_id uuid NOT NULL,
--     product_type text NOT NULL,
--     desired text NOT NULL,
--     actual text DEFAULT 'absent'::text NOT NULL,
--     driver text NOT NULL,
--     server text,
--     external_ref text,
--     attempts integer DEFAULT 0 NOT NULL,
--     last_error text,
--     next_attempt_at timestamp with time zone,
--     desired_resources jsonb DEFAULT '{}'::jsonb NOT NULL,
--     resources jsonb DEFAULT '{}'::jsonb NOT NULL,
--     desired_domains text[] DEFAULT '{}'::text[] NOT NULL,
--     ordered_domains text[] DEFAULT '{}'::text[] NOT NULL,
--     generation bigint DEFAULT 0 NOT NULL,
--     pending_action text,
--     pending_request jsonb,
--     stopped text,
--     removed_at timestamp with time zone,
--     suspended_by_service text,
--     account_id uuid,
--     exchanged_at timestamp with time zone,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT tenant_services_actual_check CHECK ((actual = ANY (ARRAY['absent'::text, 'active'::text, 'suspended'::text, 'terminated'::text]))),
--     CONSTRAINT tenant_services_check CHECK (((actual = 'absent'::text) OR (external_ref IS NOT NULL))),
--     CONSTRAINT tenant_services_check1 CHECK (((stopped IS NULL) OR (next_attempt_at IS NULL))),
--     CONSTRAINT tenant_services_check2 CHECK (((stopped IS DISTINCT FROM 'skipped'::text) OR (last_error IS NULL))),
--     CONSTRAINT tenant_services_desired_check CHECK ((desired = ANY (ARRAY['active'::text, 'suspended'::text, 'terminated'::text]))),
--     CONSTRAINT tenant_services_pending_check CHECK ((((pending_action IS NULL) = (pending_request IS NULL)) AND (pending_action = ANY (ARRAY['create'::text, 'suspend'::text, 'resume'::text, 'change'::text, 'terminate'::text])))),
--     CONSTRAINT tenant_services_stopped_check CHECK ((stopped = ANY (ARRAY['refused'::text, 'skipped'::text])))
-- );
-- ALTER TABLE ONLY tenant_services ADD CONSTRAINT tenant_services_pkey PRIMARY KEY (subscription_id, product_type);
-- ALTER TABLE ONLY tenant_services ADD CONSTRAINT tenant_services_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX billing_services_idle_idx ON tenant_services USING btree (subscription_id) WHERE (actual = ANY (ARRAY['absent'::text, 'suspended'::text]));
-- CREATE INDEX billing_services_server_idx ON tenant_services USING btree (product_type, server, subscription_id) WHERE ((server IS NOT NULL) AND ((desired = 'active'::text) OR (actual = ANY (ARRAY['active'::text, 'suspended'::text])) OR (pending_action IS NOT NULL)));
-- CREATE INDEX billing_services_suspended_there_idx ON tenant_services USING btree (subscription_id) WHERE (suspended_by_service IS NOT NULL);
-- CREATE INDEX billing_services_unsettled_idx ON tenant_services USING btree (desired, actual) WHERE (((desired = 'active'::text) AND (actual <> 'active'::text)) OR ((desired = 'suspended'::text) AND (actual = 'active'::text)) OR ((desired = 'terminated'::text) AND (actual = ANY (ARRAY['active'::text, 'suspended'::text]))) OR (pending_action IS NOT NULL) OR (stopped IS NOT NULL));
-- CREATE UNIQUE INDEX tenant_services_external_ref_key ON tenant_services USING btree (driver, product_type, external_ref, COALESCE(server, ''::text));
-- CREATE INDEX tenant_services_troubled_idx ON tenant_services USING btree (subscription_id) WHERE (last_error IS NOT NULL);
--
-- CREATE TABLE provisioning_log (
--     id bigint NOT NULL,
--     subscription_id uuid NOT NULL,
--     product_type text,
--     driver text NOT NULL,
--     server text,
--     action text NOT NULL,
--     idempotency_key text NOT NULL,
--     request jsonb NOT NULL,
--     response jsonb,
--     outcome text NOT NULL,
--     error text,
--     duration_ms integer NOT NULL,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT provisioning_log_duration_ms_check CHECK ((duration_ms >= 0)),
--     CONSTRAINT provisioning_log_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'already_done'::text, 'retryable'::text, 'permanent'::text])))
-- )
-- WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='5000');
-- ALTER TABLE ONLY provisioning_log ADD CONSTRAINT provisioning_log_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY provisioning_log ADD CONSTRAINT provisioning_log_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX provisioning_log_created_idx ON provisioning_log USING btree (created_at);
-- CREATE INDEX provisioning_log_subscription_idx ON provisioning_log USING btree (subscription_id, id);
--
-- CREATE TABLE billing_leniency (
--     id bigint NOT NULL,
--     subscription_id uuid,
--     customer_id uuid,
--     grace_days integer,
--     not_before timestamp with time zone,
--     reason text NOT NULL,
--     set_by text NOT NULL,
--     set_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_leniency_check CHECK ((num_nonnulls(subscription_id, customer_id) = 1)),
--     CONSTRAINT billing_leniency_check1 CHECK ((num_nonnulls(grace_days, not_before) > 0)),
--     CONSTRAINT billing_leniency_grace_days_check CHECK (((grace_days >= 0) AND (grace_days <= 3650)))
-- );
-- ALTER TABLE ONLY billing_leniency ADD CONSTRAINT billing_leniency_customer_id_key UNIQUE (customer_id);
-- ALTER TABLE ONLY billing_leniency ADD CONSTRAINT billing_leniency_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY billing_leniency ADD CONSTRAINT billing_leniency_subscription_id_key UNIQUE (subscription_id);
-- ALTER TABLE ONLY billing_leniency ADD CONSTRAINT billing_leniency_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE;
-- ALTER TABLE ONLY billing_leniency ADD CONSTRAINT billing_leniency_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
--
-- CREATE TABLE billing_ignored_prices (
--     stripe_price_id text NOT NULL,
--     reason text NOT NULL,
--     set_by text NOT NULL,
--     set_at timestamp with time zone DEFAULT now() NOT NULL
-- );
-- ALTER TABLE ONLY billing_ignored_prices ADD CONSTRAINT billing_ignored_prices_pkey PRIMARY KEY (stripe_price_id);

-- name: take_lease(subscription_id, token, lease_seconds, now)^
-- Only if there is something to do. If the run dies, the sweep checks again, at growing intervals.
UPDATE provisioning_work AS w
SET lease_token = :token::uuid,
    leased_until = coalesce(:now::timestamptz, now()) + make_interval(secs => :lease_seconds::float8),
    attempts = w.attempts + 1,
    wake_at = coalesce(:now::timestamptz, now()) + interval '1 minute' * power(2, least(w.attempts, 6)),
    updated_at = now()
FROM (SELECT set_config('synchronous_commit', 'off', TRUE)) AS relaxed
WHERE w.subscription_id = :subscription_id::uuid
  AND (w.leased_until IS NULL OR w.leased_until < coalesce(:now::timestamptz, now()))
  AND (w.version > w.done_version OR w.wake_at <= coalesce(:now::timestamptz, now()))
RETURNING w.version, w.attempts;

-- name: get_lease_seconds(subscription_id, now)$
-- How long the current run may keep its lease without renewing it; null: not leased.
SELECT extract(epoch FROM w.leased_until - coalesce(:now::timestamptz, now()))::float8
FROM provisioning_work AS w
WHERE w.subscription_id = :subscription_id::uuid
  AND w.leased_until >= coalesce(:now::timestamptz, now());

-- name: prolong_lease(subscription_id, token, lease_seconds, now)!
UPDATE provisioning_work AS w
SET leased_until = coalesce(:now::timestamptz, now()) + make_interval(secs => :lease_seconds::float8)
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid;

-- name: break_off(subscription_id, token, error, retry_seconds, now)$
-- An interrupted run returns its lease; this is not an error.
UPDATE provisioning_work AS w
SET lease_token = NULL,
    leased_until = NULL,
    last_error = coalesce(:error::text, w.last_error),
    wake_at = coalesce(:now::timestamptz, now()) + make_interval(secs => :retry_seconds::float8),
    updated_at = now()
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid
RETURNING TRUE;

-- name: get_work(subscription_id, token, now)^
-- One row with everything that the desired state depends on, as of one moment. Not part of the
-- statement that takes the lease: that one may have to wait for the mirror, and would read what was
-- there before.
SELECT
    coalesce(:now::timestamptz, now()) AS now,
    w.version,
    w.attempts,
    (
        w.debt_confirmed_version = w.version
        AND w.debt_confirmed_at > coalesce(:now::timestamptz, now()) - interval '1 hour'
    ) IS TRUE AS debt_confirmed,
    e.contradicted_since,
    e.inputs,
    s.stripe_subscription_id,
    s.stripe_customer_id,
    s.livemode,
    s.tenant_id,
    s.metadata ->> 'domainMode' AS domain_mode,
    s.metadata ->> 'domainValue' AS domain_value,
    coalesce(s.metadata -> 'furtherDomains', '[]') AS further_domains,
    coalesce(c.email, s.metadata ->> 'customerEmail') AS email,
    c.name AS customer_name,
    c.company_name,
    t.domain AS tenant_domain,
    CASE WHEN o.vouched THEN s.customer_id END AS vouched_customer_id,
    coalesce(named.states, '{}') AS domain_states,
    coalesce(named.at_registrar, '[]') AS at_registrar,
    coalesce(named.paid_alone, '[]') AS paid_alone,
    coalesce(rivals.pages, '[]') AS rival_pages,
    e.hold_reason,
    e.held_for_pause,
    e.used_up,
    takeover.predecessor_id,
    adoption.source AS adopted_from,
    adoption.subscription_id IS NOT NULL AND adoption.inspected_at IS NULL AS to_inspect,
    e.grace_days,
    e.not_before,
    e.products,
    e.items_unplaced,
    e.services,
    coalesce(extras.charges, '[]') AS charges
FROM provisioning_work AS w
JOIN billing_entitlement_inputs AS e
    ON e.subscription_id = w.subscription_id
JOIN subscriptions AS s
    ON s.id = w.subscription_id
LEFT JOIN customers AS c
    ON c.id = s.customer_id
LEFT JOIN tenants AS t
    ON t.id = s.tenant_id
LEFT JOIN orders AS o
    ON o.subscription_id = w.subscription_id
LEFT JOIN billing_takeovers AS takeover
    ON takeover.subscription_id = w.subscription_id
    AND takeover.done_at IS NULL
LEFT JOIN billing_adoptions AS adoption
    ON adoption.subscription_id = w.subscription_id
LEFT JOIN LATERAL (
    SELECT
        jsonb_object_agg(own.name, CASE
            WHEN own.state = 'failed' THEN 'refused'
            WHEN own.state = 'released' THEN 'released'
            WHEN own.state = 'verifying' THEN 'verifying'
            WHEN own.held_at IS NULL THEN 'ordered'
            WHEN lost.id IS NOT NULL THEN 'chosen'
            WHEN own.registered_at IS NOT NULL THEN 'registered'
            WHEN proof.proven_at IS NOT NULL THEN 'proven'
            ELSE 'held'
        END) AS states,
        jsonb_agg(own.name) FILTER (WHERE own.driver IS NOT NULL) AS at_registrar,
        jsonb_agg(own.name) FILTER (WHERE own.replaces_id IS NOT NULL AND own.paid_at IS NOT NULL) AS paid_alone
    FROM billing_domains AS own
    LEFT JOIN billing_domain_proofs AS proof
        ON proof.domain_id = own.id
    LEFT JOIN billing_domains AS lost
        ON lost.id = own.replaces_id
        AND lost.subscription_id = own.subscription_id
    WHERE own.subscription_id = w.subscription_id
) AS named ON TRUE
LEFT JOIN LATERAL (
    -- payment pages of others for a name that it holds, or for one under or above
    SELECT jsonb_agg(DISTINCT jsonb_build_object(
        'subscription_id', page.subscription_id,
        'session_id', page.stripe_session_id
    )) AS pages
    FROM billing_domains AS own
    JOIN billing_domains AS wanted
        ON wanted.registrable = own.registrable
        AND wanted.subscription_id <> own.subscription_id
        AND wanted.state = 'ordered'
        AND wanted.held_at IS NULL
        AND (
            wanted.name = own.name
            OR wanted.name LIKE '%.' || own.name
            OR own.name LIKE '%.' || wanted.name
        )
    JOIN subscriptions AS rival
        ON rival.id = wanted.subscription_id
        AND rival.status = 'provisional'
        AND rival.livemode = s.livemode
    JOIN checkout_sessions AS page
        ON page.subscription_id = rival.id
        AND page.status IN ('creating', 'open')
    LEFT JOIN orders AS placed
        ON placed.subscription_id = rival.id
    WHERE own.subscription_id = w.subscription_id
      AND own.held_at IS NOT NULL
      AND own.state NOT IN ('released', 'failed')
      AND (placed.vouched AND rival.customer_id = s.customer_id) IS NOT TRUE
) AS rivals ON TRUE
LEFT JOIN LATERAL (
    SELECT jsonb_agg(
        to_jsonb(charge) || jsonb_build_object('lost', EXISTS (
            SELECT 1
            FROM billing_domains AS own
            WHERE own.subscription_id = charge.subscription_id
              AND own.name = charge.domain
              AND own.state = 'failed'
              -- what was paid for is refunded instead
              AND own.paid_at IS NULL
        ))
        ORDER BY charge.position
    ) AS charges
    FROM subscription_charges AS charge
    WHERE charge.subscription_id = s.id
      AND charge.state <> 'with_checkout'
) AS extras ON TRUE
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid;

-- name: list_unpaid_invoices(subscription_id)
SELECT i.stripe_invoice_id
FROM invoices AS i
WHERE i.subscription_id = :subscription_id::uuid
  AND i.stripe_status IN ('open', 'uncollectible')
ORDER BY i.stripe_created;

-- name: list_open_term_invoices(subscription_id)
SELECT i.stripe_invoice_id
FROM invoices AS i
WHERE i.subscription_id = :subscription_id::uuid
  AND i.stripe_status IN ('open', 'uncollectible')
  AND i.billing_reason IS DISTINCT FROM 'manual'
ORDER BY i.stripe_created;

-- name: note_debt_confirmed(subscription_id, token, version, now)!
UPDATE provisioning_work AS w
SET debt_confirmed_version = :version::bigint,
    debt_confirmed_at = coalesce(:now::timestamptz, now()),
    debt_unconfirmed_since = NULL,
    debt_error = NULL,
    updated_at = now()
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid;

-- name: note_debt_unconfirmed(subscription_id, token, error, now)!
UPDATE provisioning_work AS w
SET debt_unconfirmed_since = coalesce(w.debt_unconfirmed_since, :now::timestamptz, now()),
    debt_error = :error::text,
    updated_at = now()
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid;

-- name: make_tenant(subscription_id, mirror_key, id, name, domain, trouble)^
-- Returns nothing if the domain is taken: it is never shared nor taken away; or if the subscription
-- has a tenant. The mirror holds the advisory lock while it derives: it must not read the
-- subscription before this and write after it.
WITH mirror AS MATERIALIZED (
    SELECT
        pg_advisory_xact_lock(hashtextextended(:mirror_key, 0)),
        set_config('synchronous_commit', 'off', TRUE)
),
made AS (
    INSERT INTO tenants (id, name, domain, status, billing_subscription_id)
    SELECT
        :id::uuid,
        :name,
        :domain,
        'pending',
        :subscription_id::uuid
    FROM mirror
    ON CONFLICT DO NOTHING
    RETURNING id, domain, billing_subscription_id
),
linked AS (
    UPDATE subscriptions AS s
    SET tenant_id = made.id,
        updated_at = now()
    FROM made
    WHERE s.id = made.billing_subscription_id
),
invoiced AS MATERIALIZED (
    -- an invoice that is locked is skipped: waiting for it could be a deadlock. It gets its tenant
    -- when the run ends, as does one that the mirror has written just before
    SELECT i.id
    FROM mirror
    CROSS JOIN invoices AS i
    WHERE i.subscription_id = :subscription_id::uuid
      AND i.tenant_id IS NULL
    FOR NO KEY UPDATE OF i SKIP LOCKED
),
linked_invoices AS (
    UPDATE invoices AS i
    SET tenant_id = made.id,
        updated_at = now()
    FROM made
    CROSS JOIN invoiced
    WHERE i.id = invoiced.id
),
noted AS (
    UPDATE provisioning_work AS w
    SET trouble = concat_ws(' ', w.trouble, :trouble::text)
    FROM made
    WHERE w.subscription_id = made.billing_subscription_id
      AND :trouble::text IS NOT NULL
)
SELECT
    made.id,
    made.domain
FROM made;

-- name: adopt_tenant(subscription_id, mirror_key, id)^
-- The tenant of the subscription, if an earlier run that lost its lease has created it, or if it was
-- left behind when the subscription's row was deleted.
WITH mirror AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended(:mirror_key, 0))
),
left_behind AS (
    UPDATE tenants AS t
    SET billing_subscription_id = :subscription_id::uuid
    FROM mirror
    WHERE t.id = :id::uuid
      AND t.billing_subscription_id IS NULL
    RETURNING t.id, t.domain
),
own AS (
    SELECT
        t.id,
        t.domain
    FROM mirror
    CROSS JOIN tenants AS t
    WHERE t.billing_subscription_id = :subscription_id::uuid
    UNION ALL
    SELECT
        left_behind.id,
        left_behind.domain
    FROM left_behind
)
UPDATE subscriptions AS s
SET tenant_id = own.id,
    updated_at = now()
FROM own
WHERE s.id = :subscription_id::uuid
RETURNING own.id, own.domain;

-- name: rename_tenant(subscription_id, token, domain)$
-- The tenant gets the name that its customer has proven, or chosen; null if another tenant has it.
UPDATE tenants AS t
SET domain = :domain,
    updated_at = CURRENT_TIMESTAMP
FROM provisioning_work AS w
WHERE t.billing_subscription_id = w.subscription_id
  AND w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid
  AND NOT EXISTS (SELECT 1 FROM tenants AS other WHERE other.domain = :domain)
RETURNING t.domain;

-- name: write_desired(subscription_id, token, desired, domains, registrar, now)
-- A service whose desired state is new or has changed starts again, and is returned. It stays with
-- the driver that has its account. A domain is named to a service once it is paid for; those of `domains`
-- to the registrar's driver, which the sweep and a job of their own have see to them.
WITH held AS (
    SELECT
        w.subscription_id,
        set_config('synchronous_commit', 'off', TRUE)
    FROM provisioning_work AS w
    WHERE w.subscription_id = :subscription_id::uuid
      AND w.lease_token = :token::uuid
    FOR NO KEY UPDATE
),
paid AS (
    UPDATE billing_domains AS own
    SET state = 'paid',
        paid_at = now(),
        updated_at = now()
    FROM held
    CROSS JOIN jsonb_to_recordset(:desired::jsonb) AS wanted (domains text[])
    WHERE own.subscription_id = held.subscription_id
      AND own.name = ANY(wanted.domains)
      AND own.name <> ALL(:domains::text[])
      AND own.state = 'ordered'
      AND own.held_at IS NOT NULL
),
paid_at_registrar AS (
    UPDATE billing_domains AS own
    SET state = 'paid',
        paid_at = now(),
        driver = :registrar::text,
        next_attempt_at = coalesce(:now::timestamptz, now()),
        updated_at = now()
    FROM held
    WHERE own.subscription_id = held.subscription_id
      AND own.name = ANY(:domains::text[])
      AND own.state = 'ordered'
      AND own.held_at IS NOT NULL
)
INSERT INTO tenant_services AS service (
    subscription_id,
    product_type,
    desired,
    desired_resources,
    desired_domains,
    removed_at,
    driver
)
SELECT
    held.subscription_id,
    wanted.product_type,
    wanted.desired,
    wanted.resources,
    wanted.domains,
    wanted.removed_at,
    wanted.driver
FROM held
CROSS JOIN jsonb_to_recordset(:desired::jsonb) AS wanted (
    product_type text,
    desired text,
    resources jsonb,
    domains text[],
    removed_at timestamptz,
    driver text
)
ON CONFLICT (subscription_id, product_type) DO UPDATE
SET desired = excluded.desired,
    desired_resources = excluded.desired_resources,
    desired_domains = excluded.desired_domains,
    removed_at = excluded.removed_at,
    driver = CASE
        WHEN service.actual IN ('absent', 'terminated') AND service.pending_action IS NULL THEN excluded.driver
        ELSE service.driver
    END,
    attempts = 0,
    stopped = NULL,
    last_error = NULL,
    next_attempt_at = NULL,
    updated_at = now()
WHERE (service.desired, service.desired_resources, service.desired_domains, service.removed_at IS NULL)
    IS DISTINCT FROM (excluded.desired, excluded.desired_resources, excluded.desired_domains, excluded.removed_at IS NULL)
RETURNING to_jsonb(service) AS service;

-- name: begin_command(subscription_id, token, product_type, action, generation, request, actual, resources, domains)$
-- Recorded before the driver is called, so that after a crash the call is known to have been
-- possible. The row of the lease is locked: either a run that takes over reads the command, or this
-- run loses. domains: those that the command orders at a registrar.
WITH held AS (
    SELECT w.subscription_id
    FROM provisioning_work AS w
    WHERE w.subscription_id = :subscription_id::uuid
      AND w.lease_token = :token::uuid
    FOR NO KEY UPDATE
),
asked AS (
    UPDATE billing_domains AS own
    SET state = CASE WHEN own.mode = 'transfer' THEN 'transferring' ELSE 'registering' END,
        updated_at = now()
    FROM held
    WHERE own.subscription_id = held.subscription_id
      AND own.name = ANY(:domains::text[])
      AND own.state = 'paid'
      AND own.driver IS NULL
)
UPDATE tenant_services AS service
SET pending_action = :action,
    pending_request = :request,
    generation = :generation,
    actual = :actual,
    resources = :resources,
    updated_at = now()
FROM held
WHERE service.subscription_id = held.subscription_id
  AND service.product_type = :product_type
RETURNING TRUE;

-- name: adopt_account(subscription_id, token, product_type, driver, server, actual, external_ref, resources, suspended_by_service, generation, domains)!
-- An account that the service has for a subscription that was brought back.
INSERT INTO tenant_services AS service (
    subscription_id,
    product_type,
    desired,
    actual,
    driver,
    server,
    external_ref,
    resources,
    desired_resources,
    ordered_domains,
    suspended_by_service,
    generation
)
SELECT
    w.subscription_id,
    :product_type::text,
    :actual::text,
    :actual::text,
    :driver::text,
    :server::text,
    :external_ref::text,
    coalesce(:resources::jsonb, '{}'),
    coalesce(:resources::jsonb, '{}'),
    :domains::text[],
    :suspended_by_service::text,
    coalesce(:generation::bigint, 1)
FROM provisioning_work AS w
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid
ON CONFLICT (subscription_id, product_type) DO UPDATE
SET actual = excluded.actual,
    driver = excluded.driver,
    server = excluded.server,
    external_ref = excluded.external_ref,
    resources = coalesce(:resources::jsonb, service.resources),
    ordered_domains = ARRAY(
        SELECT DISTINCT unnest(service.ordered_domains || excluded.ordered_domains)
    ),
    suspended_by_service = excluded.suspended_by_service,
    generation = greatest(service.generation, excluded.generation),
    updated_at = now();

-- name: store_finding(subscription_id, token, product_type, actual, external_ref, resources, suspended_by_service, generation)$
-- What the service reports of an account before a command is sent.
UPDATE tenant_services AS service
SET actual = :actual,
    external_ref = coalesce(:external_ref, service.external_ref),
    resources = coalesce(:resources, service.resources),
    suspended_by_service = :suspended_by_service,
    generation = greatest(service.generation, :generation::bigint),
    pending_action = NULL,
    pending_request = NULL,
    attempts = 0,
    stopped = CASE WHEN service.stopped = 'skipped' THEN 'skipped' END,
    last_error = NULL,
    next_attempt_at = NULL,
    updated_at = now()
FROM provisioning_work AS w
WHERE service.subscription_id = :subscription_id::uuid
  AND service.product_type = :product_type
  AND w.subscription_id = service.subscription_id
  AND w.lease_token = :token::uuid
RETURNING to_jsonb(service) AS service;

-- name: store_result(subscription_id, token, product_type, generation, driver, server, action, idempotency_key, request, response, outcome, error, duration_ms, stays_pending, actual, external_ref, resources, ordered_domains, retry_seconds, now)$
-- The state in which a driver's result leaves a service. Done: as commanded. Retryable: the command
-- stays pending. Permanent: the driver has certainly done nothing, and will not. The call is logged
-- even if another run has taken over.
WITH logged AS (
    INSERT INTO provisioning_log (
        subscription_id,
        product_type,
        driver,
        server,
        action,
        idempotency_key,
        request,
        response,
        outcome,
        error,
        duration_ms
    )
    VALUES (
        :subscription_id::uuid,
        :product_type,
        :driver,
        :server,
        :action,
        :idempotency_key,
        :request,
        :response,
        :outcome,
        :error,
        :duration_ms
    )
)
UPDATE tenant_services AS service
SET actual = :actual,
    external_ref = coalesce(:external_ref, service.external_ref),
    resources = :resources,
    ordered_domains = :ordered_domains::text[],
    suspended_by_service = CASE WHEN :actual::text = 'suspended' THEN service.suspended_by_service END,
    pending_action = CASE WHEN :stays_pending::boolean THEN service.pending_action END,
    pending_request = CASE WHEN :stays_pending::boolean THEN service.pending_request END,
    attempts = CASE WHEN :error::text IS NULL THEN 0 ELSE service.attempts + 1 END,
    -- what an operator has skipped since the command was sent stays so
    stopped = CASE
        WHEN service.stopped = 'skipped' THEN 'skipped'
        WHEN :outcome::text = 'permanent' THEN 'refused'
    END,
    last_error = CASE WHEN service.stopped IS DISTINCT FROM 'skipped' THEN :error::text END,
    next_attempt_at = CASE
        WHEN service.stopped IS NULL
            THEN coalesce(:now::timestamptz, now()) + make_interval(secs => :retry_seconds::float8)
    END,
    updated_at = now()
FROM provisioning_work AS w
CROSS JOIN (SELECT set_config('synchronous_commit', 'off', TRUE)) AS relaxed
WHERE service.subscription_id = :subscription_id::uuid
  AND service.product_type = :product_type
  AND service.generation = :generation
  AND w.subscription_id = service.subscription_id
  AND w.lease_token = :token::uuid
RETURNING to_jsonb(service) AS service, pg_notify('billing_subscription', service.subscription_id::text);

-- name: finish_work(subscription_id, token, version, mirror_key, done, error, wake_at, reason, retry_seconds, status, tenant_status, contradicted_since, now)^
-- Ends the run and returns its lease, unless the work has changed. The sweep checks again when time
-- alone changes the desired state, or when the first failed service is due. The status words follow
-- (null: they stay). The mirror's own (provisional, cancelled, expired) are not changed here; the
-- mirror must not read the status before this and write after it, hence its lock. A tenant whose
-- services are all terminated gives up its domain: the name is free for the next order.
WITH mirror AS MATERIALIZED (
    SELECT
        pg_advisory_xact_lock(hashtextextended(:mirror_key, 0)),
        set_config('synchronous_commit', 'off', TRUE)
),
finished AS (
    UPDATE provisioning_work AS w
    SET lease_token = NULL,
        leased_until = NULL,
        done_version = CASE WHEN :done::boolean THEN w.version ELSE w.done_version END,
        attempts = CASE WHEN :done::boolean THEN 0 ELSE w.attempts END,
        last_error = coalesce(:error::text, w.trouble),
        -- a run that got this far had no debt to confirm, or Stripe has confirmed it
        debt_unconfirmed_since = NULL,
        debt_error = NULL,
        contradicted_since = :contradicted_since::timestamptz,
        decided_until = :wake_at::timestamptz,
        decided_reason = :reason::text,
        wake_at = least(
            :wake_at::timestamptz,
            coalesce(:now::timestamptz, now()) + make_interval(secs => :retry_seconds::float8),
            (
                SELECT min(service.next_attempt_at)
                FROM tenant_services AS service
                WHERE service.subscription_id = w.subscription_id
            )
        ),
        updated_at = now()
    FROM mirror
    WHERE w.subscription_id = :subscription_id::uuid
      AND w.lease_token = :token::uuid
      AND w.version = :version
    RETURNING
        w.subscription_id,
        w.attempts,
        w.wake_at,
        -- of a tenant that has no accounts any more
        :done::boolean AND coalesce(:tenant_status::text = 'cancelled', FALSE) AS releases_domain
),
moved AS (
    UPDATE subscriptions AS s
    SET status = :status::text,
        updated_at = now()
    FROM finished
    WHERE s.id = finished.subscription_id
      AND s.status IN ('pending', 'active', 'suspended')
      AND s.status <> :status::text
    RETURNING s.id
),
tenant AS (
    UPDATE tenants AS t
    SET status = :tenant_status::text,
        domain = CASE WHEN finished.releases_domain THEN 'ended-' || t.id || '.invalid' ELSE t.domain END,
        billing_former_domain = CASE
            WHEN finished.releases_domain THEN coalesce(t.billing_former_domain, t.domain)
            ELSE t.billing_former_domain
        END,
        updated_at = CURRENT_TIMESTAMP
    FROM finished
    JOIN subscriptions AS s
        ON s.id = finished.subscription_id
    WHERE t.id = s.tenant_id
      AND t.billing_subscription_id = s.id
      AND :tenant_status::text IS NOT NULL
      AND (
          t.status IS DISTINCT FROM :tenant_status::text
          OR (finished.releases_domain AND t.billing_former_domain IS NULL)
      )
    RETURNING s.id
),
registered AS (
    -- what the service has confirmed, also of an account that was brought back
    UPDATE billing_domains AS own
    SET state = 'active',
        registered_at = coalesce(own.registered_at, :now::timestamptz, now()),
        updated_at = now()
    FROM finished
    JOIN tenant_services AS service
        ON service.subscription_id = finished.subscription_id
    WHERE own.subscription_id = finished.subscription_id
      AND NOT finished.releases_domain
      AND own.name = ANY(service.ordered_domains)
      AND own.held_at IS NOT NULL
      AND own.driver IS NULL
      AND own.state IN ('ordered', 'paid', 'registering', 'transferring')
),
names AS (
    -- what was registered stays its customer's, also if the run that ordered it did not get this far
    UPDATE billing_domains AS own
    SET state = CASE
            WHEN kept.is_kept AND own.driver IS NOT NULL THEN own.state
            WHEN kept.is_kept THEN 'active'
            ELSE 'released'
        END,
        subscription_id = CASE WHEN NOT kept.is_kept THEN own.subscription_id END,
        registered_at = CASE
            WHEN kept.is_kept AND own.driver IS NULL THEN coalesce(own.registered_at, :now::timestamptz, now())
            ELSE own.registered_at
        END,
        updated_at = now()
    FROM finished
    JOIN billing_domains AS named
        ON named.subscription_id = finished.subscription_id
    CROSS JOIN LATERAL (
        SELECT
            named.customer_id IS NOT NULL
            AND named.held_at IS NOT NULL
            AND (
                named.registered_at IS NOT NULL
                -- what was paid for is still registered, also after the end
                OR named.driver IS NOT NULL
                OR EXISTS (
                    SELECT 1
                    FROM tenant_services AS service
                    WHERE service.subscription_id = named.subscription_id
                      AND named.name = ANY(service.ordered_domains)
                      -- of the buyer's own, the service was told that it is theirs
                      AND named.mode NOT IN ('existing', 'subdomain')
                )
            ) AS is_kept
    ) AS kept
    WHERE own.id = named.id
      AND finished.releases_domain
      AND own.state NOT IN ('released', 'failed')
),
invoiced AS MATERIALIZED (
    -- invoices that were written while the tenant was created; locked ones are skipped, as there
    SELECT
        i.id,
        s.tenant_id
    FROM finished
    JOIN subscriptions AS s
        ON s.id = finished.subscription_id
    JOIN invoices AS i
        ON i.subscription_id = s.id
    WHERE i.tenant_id IS NULL
      AND s.tenant_id IS NOT NULL
    FOR NO KEY UPDATE OF i SKIP LOCKED
),
linked_invoices AS (
    UPDATE invoices AS i
    SET tenant_id = invoiced.tenant_id,
        updated_at = now()
    FROM invoiced
    WHERE i.id = invoiced.id
),
notified AS MATERIALIZED (
    SELECT pg_notify('billing_subscription', changed.id::text)
    FROM (
        SELECT id FROM moved
        UNION
        SELECT id FROM tenant
    ) AS changed
)
SELECT
    finished.attempts,
    extract(epoch FROM finished.wake_at - coalesce(:now::timestamptz, now()))::float8 AS wake_seconds,
    (SELECT count(*) FROM notified) AS notifications
FROM finished;

-- name: renew_edited(most)
-- The next subscriptions of a product whose catalogue entry was edited: each gets a new version of
-- its work, so that a run that has read the old entry repeats.
WITH edit AS (
    SELECT
        e.product_id,
        e.after_subscription_id
    FROM catalogue_edits AS e
    ORDER BY e.edited_at, e.product_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
),
page AS MATERIALIZED (
    SELECT sold.subscription_id
    FROM edit
    JOIN prices AS p
        ON p.product_id = edit.product_id
    CROSS JOIN LATERAL (
        SELECT i.subscription_id
        FROM subscription_items AS i
        WHERE i.price_id = p.id
          AND i.subscription_id > edit.after_subscription_id
        ORDER BY i.subscription_id
        LIMIT :most::integer
    ) AS sold
    UNION
    -- at a price that is not in the catalogue
    SELECT sold.subscription_id
    FROM edit
    JOIN products AS product
        ON product.id = edit.product_id
    CROSS JOIN LATERAL (
        SELECT i.subscription_id
        FROM subscription_items AS i
        WHERE i.price_id IS NULL
          AND i.stripe_product_id = product.stripe_product_id
          AND i.subscription_id > edit.after_subscription_id
        ORDER BY i.subscription_id
        LIMIT :most::integer
    ) AS sold
    ORDER BY subscription_id
    LIMIT :most::integer
),
gone_on AS (
    UPDATE catalogue_edits AS e
    SET after_subscription_id = (
        SELECT page.subscription_id
        FROM page
        ORDER BY page.subscription_id DESC
        LIMIT 1
    )
    FROM edit
    WHERE e.product_id = edit.product_id
      AND (SELECT count(*) FROM page) = :most::integer
),
finished AS (
    DELETE FROM catalogue_edits AS e
    USING edit
    WHERE e.product_id = edit.product_id
      AND (SELECT count(*) FROM page) < :most::integer
),
locked AS MATERIALIZED (
    -- by key, however many the planner expects: its plan is made for any page
    SELECT w.subscription_id
    FROM provisioning_work AS w
    WHERE w.subscription_id = ANY(ARRAY(SELECT page.subscription_id FROM page))
    ORDER BY w.subscription_id
    FOR NO KEY UPDATE OF w
)
UPDATE provisioning_work AS w
SET version = w.version + 1,
    attempts = 0,
    -- not after a minute: while many jobs wait, the sweep would find only these due
    wake_at = now() + interval '15 minutes',
    updated_at = now()
WHERE w.subscription_id = ANY(ARRAY(SELECT locked.subscription_id FROM locked))
RETURNING w.subscription_id, w.version;

-- name: has_edits()$
SELECT EXISTS (SELECT 1 FROM catalogue_edits);

-- name: list_undone_work(most, now)
-- Whose trigger may be lost: no run has failed and planned another. Leased: a run is under way, or was
-- lost.
SELECT
    w.subscription_id,
    w.version,
    coalesce(w.leased_until >= coalesce(:now::timestamptz, now()), FALSE) AS is_leased
FROM provisioning_work AS w
WHERE (w.version > w.done_version) IS TRUE
  AND w.last_error IS NULL
LIMIT :most;

-- name: list_due_work(most, now)
SELECT
    w.subscription_id,
    w.version
FROM provisioning_work AS w
WHERE w.wake_at <= coalesce(:now::timestamptz, now())
  AND (w.leased_until IS NULL OR w.leased_until < coalesce(:now::timestamptz, now()))
ORDER BY w.wake_at
LIMIT :most;

-- name: list_held(subscription_id)
-- The accounts that a subscription has at the services.
SELECT
    service.product_type,
    service.driver,
    service.server,
    service.external_ref,
    service.account_id,
    service.resources
FROM tenant_services AS service
WHERE service.subscription_id = :subscription_id::uuid
  AND service.actual IN ('active', 'suspended')
  AND service.removed_at IS NULL
ORDER BY service.product_type;
