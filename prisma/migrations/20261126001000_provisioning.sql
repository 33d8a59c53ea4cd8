-- The services of each subscription, and what drives them to their desired state with any number of workers.

-- migrate:up
CREATE TABLE provisioning_work (
    subscription_id uuid PRIMARY KEY REFERENCES subscriptions ON DELETE CASCADE,
    inputs jsonb NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    done_version bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    wake_at timestamptz,
    lease_token uuid,
    leased_until timestamptz,
    trouble text,
    debt_confirmed_version bigint,
    debt_confirmed_at timestamptz,
    contradicted_since timestamptz,
    decided_until timestamptz,
    decided_reason text CHECK (decided_reason IN ('disputed', 'ended', 'held', 'paused', 'unpaid', 'used_up')),
    debt_unconfirmed_since timestamptz,
    debt_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (done_version <= version),
    CONSTRAINT provisioning_work_lease_check CHECK ((lease_token IS NULL) = (leased_until IS NULL))
-- Two of three updates change when the row is due, which is indexed: vacuum has to remove their index
-- entries, and comes ten times as early as by default. The others stay on their page.
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX provisioning_work_due_idx ON provisioning_work (wake_at)
WHERE wake_at IS NOT NULL;
-- Few rows are undone, owe or were paid after their end. The planner has to know, or it reads the whole
-- table instead of the index: it takes a third of all rows for undone and nearly all for owing. The
-- statistics of a comparison count only for `IS TRUE`, so the index has it too.
CREATE INDEX provisioning_work_undone_idx ON provisioning_work (subscription_id)
WHERE (version > done_version) IS TRUE;
CREATE STATISTICS provisioning_work_undone_stats ON (version > done_version) FROM provisioning_work;
CREATE STATISTICS provisioning_work_owed_stats ON (inputs ->> 'owedSince') FROM provisioning_work;
CREATE STATISTICS provisioning_work_paid_after_end_stats ON (inputs ->> 'paidAfterEnd')
FROM provisioning_work;
CREATE STATISTICS provisioning_work_payable_after_end_stats ON ((inputs ->> 'payableAfterEnd')::boolean)
FROM provisioning_work;
CREATE INDEX provisioning_work_used_up_idx ON provisioning_work (subscription_id)
WHERE decided_reason = 'used_up';
CREATE INDEX provisioning_work_troubled_idx ON provisioning_work (subscription_id)
WHERE last_error IS NOT NULL;
CREATE INDEX provisioning_work_debt_unconfirmed_idx ON provisioning_work (debt_unconfirmed_since)
WHERE debt_unconfirmed_since IS NOT NULL;
CREATE INDEX provisioning_work_owed_idx ON provisioning_work (subscription_id)
WHERE inputs ->> 'owedSince' IS NOT NULL;
CREATE INDEX provisioning_work_paid_after_end_idx ON provisioning_work (subscription_id)
WHERE inputs ->> 'paidAfterEnd' IS NOT NULL;
CREATE INDEX provisioning_work_payable_after_end_idx ON provisioning_work (subscription_id)
WHERE (inputs ->> 'payableAfterEnd')::boolean;
COMMENT ON TABLE provisioning_work IS 'Whether the services of each subscription have reached their desired state';
COMMENT ON COLUMN provisioning_work.subscription_id IS 'The subscription';
COMMENT ON COLUMN provisioning_work.inputs IS 'What the desired state is derived from; a change makes a new version and a job';
COMMENT ON COLUMN provisioning_work.version IS 'Grows when inputs change';
COMMENT ON COLUMN provisioning_work.done_version IS 'The latest version whose desired state has been reached';
COMMENT ON COLUMN provisioning_work.attempts IS 'Runs started since the last one that succeeded';
COMMENT ON COLUMN provisioning_work.last_error IS 'What is not done, and why';
COMMENT ON COLUMN provisioning_work.wake_at IS 'When the sweep checks it again; null: nothing to do';
COMMENT ON COLUMN provisioning_work.lease_token IS 'The run that works on it; each write of a run checks for its own token';
COMMENT ON COLUMN provisioning_work.leased_until IS 'Until then no other run works on it; extended while the run lives';
COMMENT ON COLUMN provisioning_work.trouble IS 'What a person has to settle although the work is done';
COMMENT ON COLUMN provisioning_work.debt_confirmed_version IS 'The latest version whose debt Stripe has confirmed: the condition for a suspension';
COMMENT ON COLUMN provisioning_work.debt_confirmed_at IS 'When Stripe confirmed it: it counts for an hour';
COMMENT ON COLUMN provisioning_work.contradicted_since IS 'Since when Stripe calls it unpaid although nothing is owed; a new term does not restart it';
COMMENT ON COLUMN provisioning_work.decided_until IS 'When time alone changes what the latest run decided: the end of a grace or retention period; null: never';
COMMENT ON COLUMN provisioning_work.decided_reason IS 'Why the latest run decided that its services are not active: a bank disputes a payment, it has ended, an operator holds it, it is paused, unpaid, or its usage has reached a limit; null: they are, or nothing is due yet';
COMMENT ON COLUMN provisioning_work.debt_unconfirmed_since IS 'Since when Stripe could not be asked about the debt; null: it could';
COMMENT ON COLUMN provisioning_work.debt_error IS 'Why it could not be asked';
COMMENT ON COLUMN provisioning_work.created_at IS 'When this row was created';
COMMENT ON COLUMN provisioning_work.updated_at IS 'When this row was last changed';

CREATE TABLE billing_leniency (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id uuid UNIQUE REFERENCES subscriptions ON DELETE CASCADE,
    customer_id uuid UNIQUE REFERENCES customers ON DELETE CASCADE,
    grace_days integer CHECK (grace_days BETWEEN 0 AND 3650),
    not_before timestamptz,
    reason text NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(subscription_id, customer_id) = 1),
    CHECK (num_nonnulls(grace_days, not_before) > 0)
);
COMMENT ON TABLE billing_leniency IS 'What was agreed about suspension for a debt; what is set for a subscription goes before what is set for its customer';
COMMENT ON COLUMN billing_leniency.id IS 'Our id';
COMMENT ON COLUMN billing_leniency.subscription_id IS 'The subscription; null: all of the customer';
COMMENT ON COLUMN billing_leniency.customer_id IS 'The customer; null: one subscription';
COMMENT ON COLUMN billing_leniency.grace_days IS 'Days that services stay active with a debt; null: GRACE_DAYS';
COMMENT ON COLUMN billing_leniency.not_before IS 'No suspension for a debt before then; null: no such date';
COMMENT ON COLUMN billing_leniency.reason IS 'Why, for other operators';
COMMENT ON COLUMN billing_leniency.set_by IS 'Name of the key or user';
COMMENT ON COLUMN billing_leniency.set_at IS 'When it was set';

CREATE TABLE billing_ignored_prices (
    stripe_price_id text PRIMARY KEY,
    reason text NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE billing_ignored_prices IS 'Prices that an operator has declared to give nothing: items at them count as recognized';
COMMENT ON COLUMN billing_ignored_prices.stripe_price_id IS 'price_... at Stripe';
COMMENT ON COLUMN billing_ignored_prices.reason IS 'Why, for other operators';
COMMENT ON COLUMN billing_ignored_prices.set_by IS 'Name of the key or user';
COMMENT ON COLUMN billing_ignored_prices.set_at IS 'When it was set';

CREATE TABLE tenant_services (
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    product_type text NOT NULL,
    desired text NOT NULL CHECK (desired IN ('active', 'suspended', 'terminated')),
    actual text NOT NULL DEFAULT 'absent' CHECK (actual IN ('absent', 'active', 'suspended', 'terminated')),
    driver text NOT NULL,
    server text,
    external_ref text,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    next_attempt_at timestamptz,
    desired_resources jsonb NOT NULL DEFAULT '{}',
    resources jsonb NOT NULL DEFAULT '{}',
    desired_domains text[] NOT NULL DEFAULT '{}',
    ordered_domains text[] NOT NULL DEFAULT '{}',
    generation bigint NOT NULL DEFAULT 0,
    pending_action text,
    pending_request jsonb,
    stopped text,
    removed_at timestamptz,
    suspended_by_service text,
    account_id uuid,
    exchanged_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription_id, product_type),
    CHECK (actual = 'absent' OR external_ref IS NOT NULL),
    CONSTRAINT tenant_services_pending_check CHECK (
        (pending_action IS NULL) = (pending_request IS NULL)
        AND pending_action IN ('create', 'suspend', 'resume', 'change', 'terminate')
    ),
    CONSTRAINT tenant_services_stopped_check CHECK (stopped IN ('refused', 'skipped')),
    CHECK (stopped IS NULL OR next_attempt_at IS NULL),
    CHECK (stopped IS DISTINCT FROM 'skipped' OR last_error IS NULL)
);
-- each server has names of its own for its accounts
CREATE UNIQUE INDEX tenant_services_external_ref_key ON tenant_services (
    driver, product_type, external_ref, coalesce(server, '')
);
-- the accounts that take a place on a server: those that are there, may be there, or are to be made
CREATE INDEX billing_services_server_idx ON tenant_services (product_type, server, subscription_id)
WHERE server IS NOT NULL
  AND (desired = 'active' OR actual IN ('active', 'suspended') OR pending_action IS NOT NULL);
CREATE INDEX tenant_services_troubled_idx ON tenant_services (subscription_id)
WHERE last_error IS NOT NULL;
CREATE INDEX billing_services_idle_idx ON tenant_services (subscription_id)
    WHERE actual IN ('absent', 'suspended');
CREATE INDEX billing_services_suspended_there_idx ON tenant_services (subscription_id)
WHERE suspended_by_service IS NOT NULL;
CREATE INDEX billing_services_unsettled_idx ON tenant_services (desired, actual)
WHERE (desired = 'active' AND actual <> 'active')
   OR (desired = 'suspended' AND actual = 'active')
   OR (desired = 'terminated' AND actual IN ('active', 'suspended'))
   OR pending_action IS NOT NULL
   OR stopped IS NOT NULL;
COMMENT ON TABLE tenant_services IS 'The account of a subscription for each product type: what it should be and what it is';
COMMENT ON COLUMN tenant_services.subscription_id IS 'The subscription';
COMMENT ON COLUMN tenant_services.product_type IS 'hosting, email, storage, ...';
COMMENT ON COLUMN tenant_services.desired IS 'What it should be';
COMMENT ON COLUMN tenant_services.actual IS 'What it is, as the driver last reported';
COMMENT ON COLUMN tenant_services.driver IS 'The driver that holds the account';
COMMENT ON COLUMN tenant_services.server IS 'The server that has the account, or is to have it; null: its product type has a single one without a name';
COMMENT ON COLUMN tenant_services.external_ref IS 'The driver''s name for the account';
COMMENT ON COLUMN tenant_services.attempts IS 'Failed commands since the last success';
COMMENT ON COLUMN tenant_services.last_error IS 'Why the latest command failed';
COMMENT ON COLUMN tenant_services.next_attempt_at IS 'When it is retried';
COMMENT ON COLUMN tenant_services.desired_resources IS 'Limits that the account should have';
COMMENT ON COLUMN tenant_services.resources IS 'Limits that the account was last given';
COMMENT ON COLUMN tenant_services.desired_domains IS 'Domains that the service should have registered or transferred, in ASCII';
COMMENT ON COLUMN tenant_services.ordered_domains IS 'Domains that it was told to register or transfer, and has; never told twice';
COMMENT ON COLUMN tenant_services.generation IS 'Counts the commands sent to the driver, which refuses one older than the last it saw';
COMMENT ON COLUMN tenant_services.pending_action IS 'Command sent under this generation whose outcome is unknown';
COMMENT ON COLUMN tenant_services.pending_request IS 'What was sent with it, the same in every retry';
COMMENT ON COLUMN tenant_services.stopped IS 'refused by the driver, or skipped by an operator; until the desired state changes or an operator retries';
COMMENT ON COLUMN tenant_services.removed_at IS 'Since when the subscription no longer includes it';
COMMENT ON COLUMN tenant_services.suspended_by_service IS 'Why the service itself has suspended the account, which we do not resume; null: it has not';
COMMENT ON COLUMN tenant_services.account_id IS 'The subscription under whose id the driver has the account; null: this one';
COMMENT ON COLUMN tenant_services.exchanged_at IS 'When the account came from another subscription; null: it was created for this one';
COMMENT ON COLUMN tenant_services.created_at IS 'When this row was created';
COMMENT ON COLUMN tenant_services.updated_at IS 'When this row was last changed';

CREATE TABLE billing_takeovers (
    subscription_id uuid PRIMARY KEY REFERENCES subscriptions ON DELETE CASCADE,
    predecessor_id uuid NOT NULL UNIQUE REFERENCES subscriptions ON DELETE CASCADE,
    reason text NOT NULL CHECK (reason IN ('revived', 'returned', 'adopted')),
    settles text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    CHECK (subscription_id <> predecessor_id)
);
COMMENT ON TABLE billing_takeovers IS 'Subscriptions that take over the tenant and accounts of one that has ended';
COMMENT ON COLUMN billing_takeovers.subscription_id IS 'The subscription that takes over';
COMMENT ON COLUMN billing_takeovers.predecessor_id IS 'The subscription that has ended';
COMMENT ON COLUMN billing_takeovers.reason IS 'revived: an operator has billed it again; returned: ordered again for the same domain, vouched for; adopted: an operator has joined them';
COMMENT ON COLUMN billing_takeovers.settles IS 'Invoices paid after the end that a revival makes up for, once it is done';
COMMENT ON COLUMN billing_takeovers.created_at IS 'When it was decided';
COMMENT ON COLUMN billing_takeovers.done_at IS 'When the accounts changed hands; null: once the subscription is alive at Stripe';

CREATE TABLE billing_kept_payments (
    stripe_invoice_id text PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    reason text NOT NULL,
    kept_by text NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX billing_kept_payments_subscription_idx ON billing_kept_payments (subscription_id);
COMMENT ON TABLE billing_kept_payments IS 'Payments made after the end of a subscription that an operator has settled without a refund at Stripe and without a revival';
COMMENT ON COLUMN billing_kept_payments.stripe_invoice_id IS 'The invoice that was paid, in_...';
COMMENT ON COLUMN billing_kept_payments.subscription_id IS 'The subscription that had ended';
COMMENT ON COLUMN billing_kept_payments.amount IS 'What had been paid and not refunded, in minor units';
COMMENT ON COLUMN billing_kept_payments.currency IS 'ISO code in lower case';
COMMENT ON COLUMN billing_kept_payments.reason IS 'What was agreed, for other operators';
COMMENT ON COLUMN billing_kept_payments.kept_by IS 'Name of the key or user';
COMMENT ON COLUMN billing_kept_payments.kept_at IS 'When it was settled';

CREATE TABLE provisioning_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    product_type text,
    driver text NOT NULL,
    server text,
    action text NOT NULL,
    idempotency_key text NOT NULL,
    request jsonb NOT NULL,
    response jsonb,
    outcome text NOT NULL CHECK (outcome IN ('done', 'already_done', 'retryable', 'permanent')),
    error text,
    duration_ms integer NOT NULL CHECK (duration_ms >= 0),
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
CREATE INDEX provisioning_log_subscription_idx ON provisioning_log (subscription_id, id);
CREATE INDEX provisioning_log_created_idx ON provisioning_log (created_at);
COMMENT ON TABLE provisioning_log IS 'Every call to a provisioning driver';
COMMENT ON COLUMN provisioning_log.id IS 'In the order of the calls';
COMMENT ON COLUMN provisioning_log.subscription_id IS 'The subscription';
COMMENT ON COLUMN provisioning_log.product_type IS 'The service';
COMMENT ON COLUMN provisioning_log.driver IS 'The driver called';
COMMENT ON COLUMN provisioning_log.server IS 'The server of the account; null: the product type has a single one without a name';
COMMENT ON COLUMN provisioning_log.action IS 'create, suspend, resume, change, terminate';
COMMENT ON COLUMN provisioning_log.idempotency_key IS 'By which the driver recognises a retry';
COMMENT ON COLUMN provisioning_log.request IS 'What was sent';
COMMENT ON COLUMN provisioning_log.response IS 'What came back; null: nothing';
COMMENT ON COLUMN provisioning_log.outcome IS 'done, already_done, retryable or permanent';
COMMENT ON COLUMN provisioning_log.error IS 'Why it failed';
COMMENT ON COLUMN provisioning_log.duration_ms IS 'Milliseconds';
COMMENT ON COLUMN provisioning_log.created_at IS 'When the call ended';

CREATE TABLE provisioning_holds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    reason text NOT NULL CHECK (reason <> ''),
    placed_by text NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now(),
    lifted_by text,
    lifted_at timestamptz,
    CHECK ((lifted_by IS NULL) = (lifted_at IS NULL))
);
CREATE UNIQUE INDEX provisioning_holds_standing_key ON provisioning_holds (subscription_id)
WHERE lifted_at IS NULL;
CREATE INDEX provisioning_holds_subscription_idx ON provisioning_holds (subscription_id, id);
COMMENT ON TABLE provisioning_holds IS 'Suspensions by an operator, which no payment lifts';
COMMENT ON COLUMN provisioning_holds.id IS 'Our id';
COMMENT ON COLUMN provisioning_holds.subscription_id IS 'The suspended subscription';
COMMENT ON COLUMN provisioning_holds.reason IS 'Reason given by the operator';
COMMENT ON COLUMN provisioning_holds.placed_by IS 'The operator who suspended it';
COMMENT ON COLUMN provisioning_holds.placed_at IS 'Since when it is suspended';
COMMENT ON COLUMN provisioning_holds.lifted_by IS 'The operator who lifted it; null: in force';
COMMENT ON COLUMN provisioning_holds.lifted_at IS 'When it was lifted';

CREATE TABLE billing_pauses (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    begun_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX billing_pauses_standing_key ON billing_pauses (subscription_id)
WHERE ended_at IS NULL;
CREATE INDEX billing_pauses_subscription_idx ON billing_pauses (subscription_id);
COMMENT ON TABLE billing_pauses IS 'Holds of services while the collection of a subscription is paused: its terms are not paid for';
COMMENT ON COLUMN billing_pauses.id IS 'Our id';
COMMENT ON COLUMN billing_pauses.subscription_id IS 'The paused subscription';
COMMENT ON COLUMN billing_pauses.since IS 'End of the term that is paid for: services are held from the next one on';
COMMENT ON COLUMN billing_pauses.until IS 'Stripe collects again from then on: services are held until a term begins after it';
COMMENT ON COLUMN billing_pauses.begun_at IS 'Since when services are held; null: not yet';
COMMENT ON COLUMN billing_pauses.ended_at IS 'When it was over; null: it stands';
COMMENT ON COLUMN billing_pauses.created_at IS 'When it was asked for';

-- migrate:down
DROP TABLE billing_pauses;
DROP TABLE provisioning_holds;
DROP TABLE provisioning_log;
DROP TABLE billing_kept_payments;
DROP TABLE billing_takeovers;
DROP TABLE tenant_services;
DROP TABLE billing_ignored_prices;
DROP TABLE billing_leniency;
DROP TABLE provisioning_work;
