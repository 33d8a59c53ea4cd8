-- What buyers order and customers change, recorded before Stripe is asked, so that it happens once.

-- migrate:up
CREATE TABLE orders (
    subscription_id uuid PRIMARY KEY REFERENCES subscriptions ON DELETE CASCADE,
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    fingerprint bytea NOT NULL,
    vouched boolean NOT NULL DEFAULT FALSE,
    person_hash bytea,
    coupon_code text,
    limited boolean NOT NULL DEFAULT FALSE,
    browser_id uuid,
    left_open uuid[] NOT NULL DEFAULT '{}',
    superseded_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_customer_idx ON orders (customer_id, created_at DESC);
CREATE INDEX orders_person_idx ON orders (person_hash);
CREATE INDEX orders_coupon_idx ON orders (coupon_code)
WHERE coupon_code IS NOT NULL;
CREATE INDEX billing_orders_left_open_idx ON orders (subscription_id)
WHERE left_open <> '{}';
CREATE INDEX orders_created_idx ON orders (created_at);
CREATE INDEX billing_orders_superseded_idx ON orders (subscription_id)
WHERE superseded_at IS NOT NULL;
COMMENT ON TABLE orders IS 'What a buyer ordered, to tell a repeated order from a changed one';
COMMENT ON COLUMN orders.subscription_id IS 'The provisional subscription that was made for it';
COMMENT ON COLUMN orders.customer_id IS 'The buyer';
COMMENT ON COLUMN orders.fingerprint IS 'SHA-256 of the canonical order';
COMMENT ON COLUMN orders.vouched IS 'mPanel''s backend vouches for the buyer: the order runs on their own Stripe customer';
COMMENT ON COLUMN orders.person_hash IS 'HMAC-SHA256 of the mailbox that the buyer''s e-mail address leads to: two addresses of one mailbox are one person';
COMMENT ON COLUMN orders.coupon_code IS 'The coupon that it has; null: none';
COMMENT ON COLUMN orders.limited IS 'Its plan or coupon is sold a limited number of times: as long as its page is open, the same order leads to that page';
COMMENT ON COLUMN orders.browser_id IS 'The browser that placed it, by our cookie: it alone may replace the order. Null: placed by mPanel''s backend, or by several browsers';
COMMENT ON COLUMN orders.left_open IS 'Unpaid orders of the last minutes at the same address, from other browsers, that could still be paid when it was placed';
COMMENT ON COLUMN orders.superseded_at IS 'When the buyer ordered something else instead; null: the order stands';
COMMENT ON COLUMN orders.created_at IS 'When it was placed; a repeat is recognised for some minutes';

-- The domain names of orders, and what became of them. An unpaid order holds nothing, so several may want
-- one name.
CREATE TABLE billing_domains (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CHECK (name = lower(name)),
    unicode_name text NOT NULL,
    skeleton text NOT NULL,
    registrable text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('register', 'transfer', 'new-or-transfer', 'existing', 'subdomain')),
    state text NOT NULL DEFAULT 'ordered' CHECK (state IN (
        'ordered', 'paid', 'registering', 'transferring', 'verifying', 'active', 'renewing', 'expired', 'redemption',
        'transferred_out', 'released', 'failed'
    )),
    customer_id uuid REFERENCES customers ON DELETE CASCADE,
    subscription_id uuid REFERENCES subscriptions ON DELETE CASCADE,
    held_at timestamptz,
    paid_at timestamptz,
    registered_at timestamptz,
    expires_at timestamptz,
    paid_until timestamptz,
    auto_renew boolean NOT NULL DEFAULT FALSE,
    driver text,
    external_ref text,
    name_servers text[] NOT NULL DEFAULT '{}',
    auth_code text,
    needs text[] NOT NULL DEFAULT '{}',
    generation bigint NOT NULL DEFAULT 0,
    pending_action text CHECK (pending_action IN ('register', 'transfer', 'renew', 'set_nameservers', 'set_auto_renew')),
    pending_request jsonb,
    is_confirmed boolean NOT NULL DEFAULT FALSE,
    attempts integer NOT NULL DEFAULT 0,
    stopped_at timestamptz,
    last_error text,
    inspected_at timestamptz,
    next_attempt_at timestamptz,
    version bigint NOT NULL DEFAULT 0,
    lease_token uuid,
    leased_until timestamptz,
    price bigint CHECK (price >= 0),
    order_total bigint CHECK (order_total >= price),
    currency text CHECK (currency ~ '^[a-z]{3}$'),
    renewal_price bigint CHECK (renewal_price >= 0),
    coming_price bigint CHECK (coming_price >= 0),
    coming_price_from timestamptz,
    replaces_id uuid REFERENCES billing_domains ON DELETE SET NULL,
    tell_stripe_at timestamptz,
    given_back_at timestamptz,
    refund_error text,
    refund_attempts integer NOT NULL DEFAULT 0,
    next_refund_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (subscription_id, name),
    CHECK (num_nonnulls(customer_id, subscription_id) > 0),
    CHECK (state IN ('ordered', 'verifying', 'released', 'failed') OR held_at IS NOT NULL),
    CHECK (given_back_at IS NULL OR state = 'failed'),
    -- nothing is asked of a registrar before money was paid for it
    CHECK (state NOT IN ('paid', 'registering', 'transferring') OR paid_at IS NOT NULL),
    CHECK (pending_action NOT IN ('register', 'transfer') OR paid_at IS NOT NULL),
    -- another name in place of a lost one is not paid with the order
    CHECK (
        replaces_id IS NULL
        OR mode IN ('existing', 'subdomain')
        OR held_at IS NULL
        OR num_nonnulls(paid_at, registered_at) > 0
    ),
    CHECK (pending_action <> 'renew' OR paid_until IS NOT NULL),
    CHECK (state <> 'renewing' OR paid_until IS NOT NULL),
    CHECK ((pending_action IS NULL) = (pending_request IS NULL)),
    CHECK (num_nonnulls(pending_action, next_attempt_at) = 0 OR driver IS NOT NULL),
    CHECK ((lease_token IS NULL) = (leased_until IS NULL)),
    CHECK (next_refund_at IS NULL OR refund_error IS NOT NULL),
    -- nobody is charged what they were not told
    CHECK (NOT auto_renew OR num_nulls(renewal_price, currency) = 0),
    CHECK ((coming_price IS NULL) = (coming_price_from IS NULL))
);
-- A name has one live row: of two that pay for it at once, one gets it.
CREATE UNIQUE INDEX billing_domains_live_key ON billing_domains (name)
WHERE held_at IS NOT NULL AND state NOT IN ('released', 'failed');
-- One name at a time takes the place of a lost one.
CREATE UNIQUE INDEX billing_domains_replaces_key ON billing_domains (replaces_id)
WHERE replaces_id IS NOT NULL AND state NOT IN ('released', 'failed');
CREATE INDEX billing_domains_replaces_idx ON billing_domains (replaces_id);
CREATE INDEX billing_domains_untold_idx ON billing_domains (tell_stripe_at)
WHERE tell_stripe_at IS NOT NULL;
CREATE INDEX billing_domains_created_idx ON billing_domains (created_at)
WHERE state <> 'ordered';
CREATE INDEX billing_domains_lost_idx ON billing_domains (updated_at)
WHERE state = 'failed' AND given_back_at IS NULL AND (refund_error IS NULL OR next_refund_at IS NOT NULL);
CREATE INDEX billing_domains_not_refunded_idx ON billing_domains (subscription_id)
WHERE state = 'failed' AND given_back_at IS NULL AND refund_error IS NOT NULL;
CREATE INDEX billing_domains_troubled_idx ON billing_domains (subscription_id)
WHERE driver IS NOT NULL AND (last_error IS NOT NULL OR needs <> '{}');
CREATE INDEX billing_domains_due_idx ON billing_domains (next_attempt_at)
WHERE next_attempt_at IS NOT NULL;
CREATE INDEX billing_domains_expires_idx ON billing_domains (expires_at)
WHERE driver IS NOT NULL AND state = 'active';
CREATE INDEX billing_domains_registrable_idx ON billing_domains (registrable);
CREATE INDEX billing_domains_skeleton_idx ON billing_domains (skeleton);
CREATE INDEX billing_domains_customer_idx ON billing_domains (customer_id);
COMMENT ON TABLE billing_domains IS 'The domain names that orders are for, who has got them, and how far their registration is';
COMMENT ON COLUMN billing_domains.id IS 'Our id';
COMMENT ON COLUMN billing_domains.name IS 'In ASCII, lower case, without a dot at the end';
COMMENT ON COLUMN billing_domains.unicode_name IS 'The name as people read it';
COMMENT ON COLUMN billing_domains.skeleton IS 'How the registrable part looks: another one with this skeleton is hard to tell from it';
COMMENT ON COLUMN billing_domains.registrable IS 'The part that is registered, by the public suffix list; names under it are locked together';
COMMENT ON COLUMN billing_domains.mode IS 'How the buyer gets it: register, transfer, new-or-transfer (whichever is possible); existing and subdomain are their own';
COMMENT ON COLUMN billing_domains.state IS 'ordered, paid, registering or transferring (it has been asked for), verifying (the buyer has to prove that it is theirs), active, renewing (a further year is paid), expired, redemption, transferred_out (lost or moved away); released: nobody has it any more; failed: another customer had it, or it could not be registered';
COMMENT ON COLUMN billing_domains.customer_id IS 'Whose it is; null: the subscription does not say';
COMMENT ON COLUMN billing_domains.subscription_id IS 'The subscription whose tenant it belongs to; null: that has ended, and the customer has kept the name';
COMMENT ON COLUMN billing_domains.held_at IS 'Since when others cannot get it: the order was paid, or its trial began; null: not decided, or another customer had it';
COMMENT ON COLUMN billing_domains.paid_at IS 'When its registration was found to be paid for; null: it is not, or there is nothing to pay';
COMMENT ON COLUMN billing_domains.registered_at IS 'When the service said that it was registered or transferred; null: it was not, by us';
COMMENT ON COLUMN billing_domains.expires_at IS 'When its registration expires, as the registrar last said; null: not known';
COMMENT ON COLUMN billing_domains.paid_until IS 'Until when further years are paid for: what expires earlier is renewed; null: only what it was ordered with';
COMMENT ON COLUMN billing_domains.auto_renew IS 'Whether its customer wants further years; the registrar''s own renewal is always off';
COMMENT ON COLUMN billing_domains.driver IS 'The driver that registers it (PROVISIONING_SERVICES.domain); null: the hosting service sees to it, or nobody has to';
COMMENT ON COLUMN billing_domains.external_ref IS 'The registrar''s own name for it';
COMMENT ON COLUMN billing_domains.name_servers IS 'The name servers that it should have; empty: those that it has';
COMMENT ON COLUMN billing_domains.auth_code IS 'The code that allows its transfer, encrypted under ENCRYPTION_KEYS; gone once it was used';
COMMENT ON COLUMN billing_domains.needs IS 'What the registrar needs and nobody has told: auth_code, or fields of the customer';
COMMENT ON COLUMN billing_domains.generation IS 'The number of the latest command to the driver';
COMMENT ON COLUMN billing_domains.pending_action IS 'The command to the driver whose outcome is unknown';
COMMENT ON COLUMN billing_domains.pending_request IS 'Its details, without the auth code';
COMMENT ON COLUMN billing_domains.is_confirmed IS 'The registrar has taken the order, and has not said yet that it is done';
COMMENT ON COLUMN billing_domains.attempts IS 'How often the driver was asked in vain since it last got on';
COMMENT ON COLUMN billing_domains.stopped_at IS 'When the registrar refused a command: a person has to look';
COMMENT ON COLUMN billing_domains.last_error IS 'What the registrar last said against it';
COMMENT ON COLUMN billing_domains.inspected_at IS 'When the registrar last said how it is';
COMMENT ON COLUMN billing_domains.next_attempt_at IS 'When the worker looks at it next; null: only when something changes';
COMMENT ON COLUMN billing_domains.version IS 'Grows with every change that a run of the worker did not make: it looks again';
COMMENT ON COLUMN billing_domains.lease_token IS 'The run that works on it';
COMMENT ON COLUMN billing_domains.leased_until IS 'Until then that run is taken to be alive';
COMMENT ON COLUMN billing_domains.price IS 'What the order says that it costs, less its share of the discount, in minor units; null: nothing, or not known';
COMMENT ON COLUMN billing_domains.order_total IS 'What all of that order costs, less the discount: the name''s part of the first bill is price / order_total';
COMMENT ON COLUMN billing_domains.currency IS 'Of the prices, lower case as Stripe writes it';
COMMENT ON COLUMN billing_domains.renewal_price IS 'What its customer was told that a further year costs, in minor units; null: nothing was told';
COMMENT ON COLUMN billing_domains.coming_price IS 'Another one that they were told of; null: none';
COMMENT ON COLUMN billing_domains.coming_price_from IS 'From when that one is charged';
COMMENT ON COLUMN billing_domains.replaces_id IS 'The name that could not be had, in whose place its customer has chosen this one; null: it was ordered first';
COMMENT ON COLUMN billing_domains.tell_stripe_at IS 'When the worker tells Stripe that the order is for this name now; null: Stripe knows';
COMMENT ON COLUMN billing_domains.given_back_at IS 'When its price was refunded, because it could not be had, or that was settled otherwise';
COMMENT ON COLUMN billing_domains.refund_error IS 'Why its price could not be refunded; null: it was, or nothing has been tried';
COMMENT ON COLUMN billing_domains.refund_attempts IS 'How often the refund of its price was tried in vain';
COMMENT ON COLUMN billing_domains.next_refund_at IS 'When the worker tries again to refund its price; null: at once if there is no refund_error, else a person has to';
COMMENT ON COLUMN billing_domains.created_at IS 'When it was ordered';
COMMENT ON COLUMN billing_domains.updated_at IS 'When this row was last changed';

CREATE FUNCTION billing_check_domain_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state, NEW.state) NOT IN (
        ('ordered', 'paid'), ('ordered', 'verifying'), ('ordered', 'active'), ('ordered', 'released'), ('ordered', 'failed'),
        ('paid', 'registering'), ('paid', 'transferring'), ('paid', 'active'), ('paid', 'released'), ('paid', 'failed'),
        ('registering', 'transferring'), ('registering', 'active'), ('registering', 'released'), ('registering', 'failed'),
        ('transferring', 'active'), ('transferring', 'released'), ('transferring', 'failed'),
        ('verifying', 'active'), ('verifying', 'released'), ('verifying', 'failed'),
        ('active', 'renewing'), ('active', 'expired'), ('active', 'redemption'), ('active', 'transferred_out'), ('active', 'released'),
        ('renewing', 'active'), ('renewing', 'expired'), ('renewing', 'redemption'), ('renewing', 'transferred_out'), ('renewing', 'released'),
        ('expired', 'renewing'), ('expired', 'active'), ('expired', 'redemption'), ('expired', 'transferred_out'), ('expired', 'released'),
        ('redemption', 'renewing'), ('redemption', 'active'), ('redemption', 'expired'), ('redemption', 'transferred_out'), ('redemption', 'released'),
        ('transferred_out', 'active'), ('transferred_out', 'released')
    ) THEN
        RAISE EXCEPTION 'The domain % does not go from % to %.', NEW.name, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION billing_check_domain_state() IS 'Holds the life of a domain: which state may follow which';
CREATE TRIGGER billing_check_domain_state
BEFORE UPDATE ON billing_domains
FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
EXECUTE FUNCTION billing_check_domain_state();

-- Kept as long as the domain: what was ordered at a registrar, and when.
CREATE TABLE billing_registrar_calls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain_id uuid NOT NULL REFERENCES billing_domains ON DELETE CASCADE,
    driver text NOT NULL,
    action text NOT NULL,
    idempotency_key text NOT NULL,
    request jsonb NOT NULL,
    response jsonb,
    outcome text NOT NULL CHECK (outcome IN ('done', 'already_done', 'retryable', 'permanent')),
    error text,
    duration_ms integer NOT NULL CHECK (duration_ms >= 0),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX billing_registrar_calls_domain_idx ON billing_registrar_calls (domain_id, id);
COMMENT ON TABLE billing_registrar_calls IS 'Every command to a registrar, and what came of it';
COMMENT ON COLUMN billing_registrar_calls.id IS 'In the order of the calls';
COMMENT ON COLUMN billing_registrar_calls.domain_id IS 'The domain';
COMMENT ON COLUMN billing_registrar_calls.driver IS 'The driver called';
COMMENT ON COLUMN billing_registrar_calls.action IS 'register, transfer, renew, set_nameservers, set_auto_renew or release';
COMMENT ON COLUMN billing_registrar_calls.idempotency_key IS 'By which the registrar recognises a retry';
COMMENT ON COLUMN billing_registrar_calls.request IS 'What was sent, without registrant and auth code';
COMMENT ON COLUMN billing_registrar_calls.response IS 'What came back, without an auth code; null: nothing';
COMMENT ON COLUMN billing_registrar_calls.outcome IS 'done, already_done, retryable or permanent';
COMMENT ON COLUMN billing_registrar_calls.error IS 'Why it failed';
COMMENT ON COLUMN billing_registrar_calls.duration_ms IS 'Milliseconds';
COMMENT ON COLUMN billing_registrar_calls.created_at IS 'When the call ended';

CREATE TABLE checkout_sessions (
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    attempt integer NOT NULL CHECK (attempt > 0),
    stripe_session_id text UNIQUE,
    stripe_customer_id text,
    livemode boolean NOT NULL,
    params jsonb NOT NULL,
    url text,
    status text NOT NULL CHECK (status IN ('creating', 'open', 'complete', 'expired', 'failed')),
    payment_status text CHECK (payment_status IN ('paid', 'unpaid', 'no_payment_required')),
    recovery_url text,
    recovered_from text,
    stripe_subscription_id text,
    expires_at timestamptz,
    last_error text,
    stripe_as_of_since timestamptz,
    stripe_as_of timestamptz,
    stripe_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription_id, attempt),
    CHECK (status IN ('creating', 'failed') OR stripe_session_id IS NOT NULL),
    CHECK (stripe_as_of_since <= stripe_as_of)
);
CREATE INDEX checkout_sessions_open_idx ON checkout_sessions (updated_at)
WHERE status IN ('creating', 'open');
CREATE INDEX billing_checkout_sessions_paid_again_idx ON checkout_sessions (subscription_id)
WHERE status = 'complete' AND attempt > 1;
COMMENT ON TABLE checkout_sessions IS 'The Checkout sessions of an order: one per attempt, each with the parameters sent under its idempotency key';
COMMENT ON COLUMN checkout_sessions.subscription_id IS 'The order';
COMMENT ON COLUMN checkout_sessions.attempt IS 'Grows only after a definite failure, or when the buyer returns through a recovery link';
COMMENT ON COLUMN checkout_sessions.stripe_session_id IS 'cs_...; null while it is being created';
COMMENT ON COLUMN checkout_sessions.stripe_customer_id IS 'cus_... made for this order';
COMMENT ON COLUMN checkout_sessions.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN checkout_sessions.params IS 'What is sent to Stripe, byte for byte the same in every retry of the attempt';
COMMENT ON COLUMN checkout_sessions.url IS 'Payment page';
COMMENT ON COLUMN checkout_sessions.status IS 'creating: the request to Stripe is under way; open, complete, expired: Stripe''s status; failed: see last_error';
COMMENT ON COLUMN checkout_sessions.payment_status IS 'Stripe''s: paid, unpaid or no_payment_required';
COMMENT ON COLUMN checkout_sessions.recovery_url IS 'Where the buyer can resume the order after the session has expired';
COMMENT ON COLUMN checkout_sessions.recovered_from IS 'The expired session whose recovery link led to this one';
COMMENT ON COLUMN checkout_sessions.stripe_subscription_id IS 'sub_... that its payment started; null: not paid';
COMMENT ON COLUMN checkout_sessions.expires_at IS 'When Stripe closes the page';
COMMENT ON COLUMN checkout_sessions.last_error IS 'Why it failed';
COMMENT ON COLUMN checkout_sessions.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN checkout_sessions.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock; null: not mirrored yet';
COMMENT ON COLUMN checkout_sessions.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN checkout_sessions.created_at IS 'When this row was created';
COMMENT ON COLUMN checkout_sessions.updated_at IS 'When this row was last changed';

CREATE TABLE subscription_charges (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    position smallint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('one_time', 'discount')),
    code text NOT NULL,
    description text NOT NULL,
    price_id uuid REFERENCES prices,
    domain text,
    amount bigint CHECK (amount >= 0),
    currency text CHECK (currency ~ '^[a-z]{3}$'),
    state text NOT NULL CHECK (state IN ('with_checkout', 'waiting', 'attached', 'removed')),
    stripe_id text,
    stripe_created timestamptz,
    attempt integer NOT NULL DEFAULT 1,
    tried_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (subscription_id, position),
    CHECK ((kind = 'one_time') = (amount IS NOT NULL)),
    CHECK ((amount IS NULL) = (currency IS NULL)),
    CHECK (state <> 'attached' OR stripe_id IS NOT NULL)
);
CREATE INDEX subscription_charges_price_idx ON subscription_charges (price_id);
COMMENT ON TABLE subscription_charges IS 'One-time charges and the discount of an order: part of the Checkout session or, with a trial, attached to the subscription';
COMMENT ON COLUMN subscription_charges.id IS 'Part of the idempotency key at Stripe';
COMMENT ON COLUMN subscription_charges.subscription_id IS 'The subscription';
COMMENT ON COLUMN subscription_charges.position IS 'Order of the lines, from 0';
COMMENT ON COLUMN subscription_charges.kind IS 'one_time: a sum; discount: a coupon';
COMMENT ON COLUMN subscription_charges.code IS 'Catalogue code of the domain or fee, or Stripe''s id of the coupon or promotion code';
COMMENT ON COLUMN subscription_charges.description IS 'For the buyer';
COMMENT ON COLUMN subscription_charges.price_id IS 'Our price; null for a discount';
COMMENT ON COLUMN subscription_charges.domain IS 'The name that it is charged for, in ASCII; null: a fee or a discount';
COMMENT ON COLUMN subscription_charges.amount IS 'Minor units; null for a discount';
COMMENT ON COLUMN subscription_charges.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN subscription_charges.state IS 'with_checkout: on the session; waiting: for the subscription of the trial; attached: in Stripe; removed: the trial was cancelled';
COMMENT ON COLUMN subscription_charges.stripe_id IS 'ii_... of an invoice item, or the coupon';
COMMENT ON COLUMN subscription_charges.stripe_created IS 'When Stripe made the invoice item, by its clock: an invoice that is made later includes it';
COMMENT ON COLUMN subscription_charges.attempt IS 'Part of the idempotency key; grows when a removed charge is attached again';
COMMENT ON COLUMN subscription_charges.tried_at IS 'When Stripe was last asked to attach it, with or without success';
COMMENT ON COLUMN subscription_charges.created_at IS 'When this row was created';
COMMENT ON COLUMN subscription_charges.updated_at IS 'When this row was last changed';

-- Without references: who has had a trial is remembered when mPanel deletes their rows.
CREATE TABLE billing_trials (
    subscription_id uuid PRIMARY KEY,
    product_id uuid NOT NULL,
    customer_id uuid,
    livemode boolean NOT NULL,
    vouched boolean NOT NULL,
    person_hash bytea,
    card_hash bytea,
    earlier_subscription_id uuid,
    matched_by text CHECK (matched_by IN ('customer', 'address', 'card')),
    to_end boolean NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CHECK (earlier_subscription_id <> subscription_id),
    CHECK ((earlier_subscription_id IS NULL) = (matched_by IS NULL)),
    CHECK (NOT to_end OR earlier_subscription_id IS NOT NULL)
);
CREATE INDEX billing_trials_customer_idx ON billing_trials (customer_id);
CREATE INDEX billing_trials_person_idx ON billing_trials (person_hash);
CREATE INDEX billing_trials_card_idx ON billing_trials (card_hash);
CREATE INDEX billing_trials_second_idx ON billing_trials (subscription_id)
WHERE earlier_subscription_id IS NOT NULL;
COMMENT ON TABLE billing_trials IS 'Trials of plans that have begun, by what their next one is recognised';
COMMENT ON COLUMN billing_trials.subscription_id IS 'The subscription that began with the trial; its row may have been deleted';
COMMENT ON COLUMN billing_trials.product_id IS 'The plan';
COMMENT ON COLUMN billing_trials.customer_id IS 'The customer';
COMMENT ON COLUMN billing_trials.livemode IS 'Whether it is in Stripe''s live mode';
COMMENT ON COLUMN billing_trials.vouched IS 'mPanel vouched for the buyer';
COMMENT ON COLUMN billing_trials.person_hash IS 'Of the mailbox, as in orders';
COMMENT ON COLUMN billing_trials.card_hash IS 'HMAC-SHA256 of the fingerprint that Stripe gives the card''s number; null: no card';
COMMENT ON COLUMN billing_trials.earlier_subscription_id IS 'The trial of the same plan that the person had before; null: it is their first';
COMMENT ON COLUMN billing_trials.matched_by IS 'How the person was recognised: customer, address or card';
COMMENT ON COLUMN billing_trials.to_end IS 'A second trial that ends its subscription (SECOND_TRIALS)';
COMMENT ON COLUMN billing_trials.recorded_at IS 'When the worker recorded it';

CREATE TABLE idempotency_keys (
    key text PRIMARY KEY,
    request_hash bytea NOT NULL,
    subscription_id uuid REFERENCES subscriptions ON DELETE CASCADE,
    status integer,
    response jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((status IS NULL) = (response IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
CREATE INDEX idempotency_keys_created_idx ON idempotency_keys (created_at);
CREATE INDEX idempotency_keys_subscription_idx ON idempotency_keys (subscription_id);
COMMENT ON TABLE idempotency_keys IS 'Responses of create-session by Idempotency-Key, kept for 24 hours';
COMMENT ON COLUMN idempotency_keys.key IS 'The Idempotency-Key header';
COMMENT ON COLUMN idempotency_keys.request_hash IS 'SHA-256 of the request sent with it';
COMMENT ON COLUMN idempotency_keys.subscription_id IS 'The order it led to';
COMMENT ON COLUMN idempotency_keys.status IS 'HTTP status of the response; null: the first request is still running';
COMMENT ON COLUMN idempotency_keys.response IS 'Body of the response';
COMMENT ON COLUMN idempotency_keys.created_at IS 'When it was first used';

CREATE TABLE billing_changes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subscription_id uuid REFERENCES subscriptions ON DELETE CASCADE,
    invoice_id uuid, -- references invoices: see invoice_links, which locks that table
    customer_id uuid REFERENCES customers ON DELETE CASCADE,
    subject_id uuid NOT NULL GENERATED ALWAYS AS (coalesce(subscription_id, invoice_id, customer_id)) STORED,
    kind text NOT NULL CHECK (kind IN (
        'change_plan', 'undo_change', 'change_price', 'take_offer', 'apply_coupon', 'remove_coupon', 'enable_tax', 'pause', 'trial', 'cancel', 'resume', 'revive', 'charge', 'withdraw_charge', 'replace_domain', 'refund', 'credit_note',
        'finalize_invoice', 'pay_invoice', 'mark_paid', 'void_invoice', 'mark_uncollectible', 'delete_invoice',
        'balance', 'invoice'
    )),
    request_key text,
    request_hash bytea NOT NULL,
    params jsonb NOT NULL,
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    attempted_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL CHECK (state IN ('asking', 'unanswered', 'done', 'failed')),
    stripe_id text,
    last_error text,
    leased_until timestamptz,
    may_be_made boolean NOT NULL DEFAULT FALSE,
    end_service text CHECK (end_service IN ('now', 'period_end')),
    service_ended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(subscription_id, invoice_id, customer_id) = 1),
    CHECK ((kind IN (
        'refund', 'credit_note', 'finalize_invoice', 'pay_invoice', 'mark_paid', 'void_invoice', 'mark_uncollectible',
        'delete_invoice'
    )) = (invoice_id IS NOT NULL)),
    CHECK ((kind IN ('balance', 'invoice')) = (customer_id IS NOT NULL)),
    CHECK (end_service IS NULL OR invoice_id IS NOT NULL),
    CHECK ((state = 'asking') = (leased_until IS NOT NULL))
);
CREATE UNIQUE INDEX billing_changes_request_key_key ON billing_changes (request_key)
WHERE request_key IS NOT NULL;
-- Two changes of one subscription, or two refunds of one invoice, never run at the same time.
CREATE UNIQUE INDEX billing_changes_asking_key ON billing_changes (subject_id)
WHERE state = 'asking';
CREATE INDEX billing_changes_subject_idx ON billing_changes (subject_id, created_at);
CREATE INDEX billing_changes_subscription_idx ON billing_changes (subscription_id);
CREATE INDEX billing_changes_invoice_idx ON billing_changes (invoice_id);
CREATE INDEX billing_changes_customer_idx ON billing_changes (customer_id);
CREATE INDEX billing_changes_service_idx ON billing_changes (updated_at)
WHERE end_service IS NOT NULL AND service_ended_at IS NULL AND (state <> 'failed' OR may_be_made);
CREATE INDEX billing_changes_coupon_idx ON billing_changes ((params ->> 'coupon_code'))
WHERE (params ->> 'coupon_code') IS NOT NULL;
COMMENT ON TABLE billing_changes IS 'What /api/billing and commands request from Stripe about subscriptions, invoices and balances, each with the parameters sent under its idempotency key';
COMMENT ON COLUMN billing_changes.id IS 'With attempt, the idempotency key at Stripe';
COMMENT ON COLUMN billing_changes.subscription_id IS 'What is changed; null: an invoice, or what a customer has';
COMMENT ON COLUMN billing_changes.invoice_id IS 'What is refunded, credited, paid or changed; null: something else is';
COMMENT ON COLUMN billing_changes.customer_id IS 'Whose balance is changed, or who is billed; null: something else is changed';
COMMENT ON COLUMN billing_changes.subject_id IS 'subscription_id, invoice_id or customer_id';
COMMENT ON COLUMN billing_changes.kind IS 'What is requested; billing_changes_kind_check has all of them';
COMMENT ON COLUMN billing_changes.request_key IS 'The Idempotency-Key header; null: none given';
COMMENT ON COLUMN billing_changes.request_hash IS 'SHA-256 of the request';
COMMENT ON COLUMN billing_changes.params IS 'What is sent to Stripe, the same in every retry of the attempt';
COMMENT ON COLUMN billing_changes.attempt IS 'Grows only if Stripe has certainly not acted, or would repeat its failure';
COMMENT ON COLUMN billing_changes.attempted_at IS 'When the attempt began: Stripe forgets its idempotency key a day later';
COMMENT ON COLUMN billing_changes.state IS 'asking: under way until leased_until; unanswered: Stripe may have acted, and the same attempt is retried; done; failed: see last_error';
COMMENT ON COLUMN billing_changes.stripe_id IS 'What Stripe created: re_..., cn_..., cbtxn_... or in_...';
COMMENT ON COLUMN billing_changes.last_error IS 'Why Stripe did not do it';
COMMENT ON COLUMN billing_changes.leased_until IS 'Until then the process that asks is taken to be alive';
COMMENT ON COLUMN billing_changes.may_be_made IS 'Of a failed one: Stripe answered with an error of its own, and may have acted all the same';
COMMENT ON COLUMN billing_changes.end_service IS 'Once the money is back the subscription ends: now, or at the end of its period; null: it stays';
COMMENT ON COLUMN billing_changes.service_ended_at IS 'When that was done; null: not yet';
COMMENT ON COLUMN billing_changes.created_at IS 'When it was first requested';
COMMENT ON COLUMN billing_changes.updated_at IS 'When its state last changed';

CREATE TABLE billing_planned_changes (
    stripe_schedule_id text PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    plan_code text NOT NULL,
    billing_cycle text NOT NULL,
    addon_codes text[] NOT NULL,
    quantities jsonb NOT NULL DEFAULT '{}',
    effective_at timestamptz NOT NULL,
    subtotal bigint NOT NULL,
    amount bigint NOT NULL,
    planned_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX billing_planned_changes_subscription_idx ON billing_planned_changes (subscription_id);
CREATE INDEX billing_planned_changes_unplanned_idx ON billing_planned_changes (created_at)
WHERE planned_at IS NULL;
COMMENT ON TABLE billing_planned_changes IS 'Subscription schedules at Stripe that were made here: each changes a subscription at the end of a term. It counts while subscriptions.stripe_schedule_id names it';
COMMENT ON COLUMN billing_planned_changes.stripe_schedule_id IS 'sub_sched_...';
COMMENT ON COLUMN billing_planned_changes.subscription_id IS 'What it changes';
COMMENT ON COLUMN billing_planned_changes.plan_code IS 'The plan afterwards';
COMMENT ON COLUMN billing_planned_changes.billing_cycle IS 'The term afterwards';
COMMENT ON COLUMN billing_planned_changes.addon_codes IS 'The add-ons afterwards, sorted';
COMMENT ON COLUMN billing_planned_changes.quantities IS 'Of which there is more than one afterwards, by code';
COMMENT ON COLUMN billing_planned_changes.effective_at IS 'When the change begins: the end of the term in which it was asked for';
COMMENT ON COLUMN billing_planned_changes.subtotal IS 'Minor units of the first term afterwards, before discounts';
COMMENT ON COLUMN billing_planned_changes.amount IS 'Minor units of the first invoice afterwards, as previewed: after discounts, before added taxes and the balance';
COMMENT ON COLUMN billing_planned_changes.planned_at IS 'When Stripe took the change; null: the schedule was made, and changes nothing yet';
COMMENT ON COLUMN billing_planned_changes.created_at IS 'When the schedule was made';

CREATE TABLE billing_price_changes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    old_price_id uuid NOT NULL REFERENCES prices ON DELETE CASCADE,
    new_price_id uuid NOT NULL REFERENCES prices ON DELETE CASCADE,
    not_before timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    announced_at timestamptz NOT NULL DEFAULT now(),
    made_at timestamptz,
    withdrawn_at timestamptz,
    CHECK (old_price_id <> new_price_id),
    CHECK (effective_at >= not_before),
    CHECK (num_nonnulls(made_at, withdrawn_at) < 2)
);
CREATE UNIQUE INDEX billing_price_changes_standing_key ON billing_price_changes (subscription_id, old_price_id)
WHERE made_at IS NULL AND withdrawn_at IS NULL;
CREATE INDEX billing_price_changes_due_idx ON billing_price_changes (next_attempt_at)
WHERE made_at IS NULL AND withdrawn_at IS NULL;
CREATE INDEX billing_price_changes_subscription_idx ON billing_price_changes (subscription_id);
CREATE INDEX billing_price_changes_old_idx ON billing_price_changes (old_price_id);
CREATE INDEX billing_price_changes_new_idx ON billing_price_changes (new_price_id);
COMMENT ON TABLE billing_price_changes IS 'Another price for those who have an item already: announced to them, and made just before the renewal from which it counts';
COMMENT ON COLUMN billing_price_changes.id IS 'Our id';
COMMENT ON COLUMN billing_price_changes.subscription_id IS 'Whose item it is';
COMMENT ON COLUMN billing_price_changes.old_price_id IS 'What the item costs when it is announced';
COMMENT ON COLUMN billing_price_changes.new_price_id IS 'What it will cost';
COMMENT ON COLUMN billing_price_changes.not_before IS 'No renewal before then has the new price: the day of the change, and the end of the notice';
COMMENT ON COLUMN billing_price_changes.effective_at IS 'The first renewal after that';
COMMENT ON COLUMN billing_price_changes.next_attempt_at IS 'When it is looked at next: shortly before the renewal';
COMMENT ON COLUMN billing_price_changes.announced_at IS 'When it was announced: the notice runs from then on';
COMMENT ON COLUMN billing_price_changes.made_at IS 'When Stripe was given the new price; null: not yet';
COMMENT ON COLUMN billing_price_changes.withdrawn_at IS 'When it was called off, or the item had gone; null: it stands';

-- migrate:down
DROP TABLE billing_price_changes;
DROP TABLE billing_planned_changes;
DROP TABLE billing_changes;
DROP TABLE idempotency_keys;
DROP TABLE billing_trials;
DROP TABLE subscription_charges;
DROP TABLE checkout_sessions;
DROP TABLE billing_registrar_calls;
DROP TABLE billing_domains;
DROP FUNCTION billing_check_domain_state();
DROP TABLE orders;
