-- The tables that are ours alone.

-- migrate:up
CREATE TABLE prices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    billing_cycle text CHECK (billing_cycle IN (
        'monthly', 'quarterly', 'semi-annually', 'annually', 'biennially', 'triennially'
    )),
    currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    unit_amount bigint NOT NULL CHECK (unit_amount >= 0),
    lookup_key text NOT NULL,
    stripe_price_id text UNIQUE,
    livemode boolean,
    active boolean NOT NULL DEFAULT TRUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((stripe_price_id IS NULL) = (livemode IS NULL))
);
-- A price never changes: a new amount is a new row, and at most one row is on sale.
CREATE UNIQUE INDEX prices_on_sale_key ON prices (product_id, currency, coalesce(billing_cycle, ''))
WHERE active;
CREATE UNIQUE INDEX prices_lookup_key_key ON prices (lookup_key)
WHERE active;
CREATE INDEX prices_product_idx ON prices (product_id);
COMMENT ON TABLE prices IS 'What a product costs per term; rows are retired, never changed';
COMMENT ON COLUMN prices.id IS 'Ours';
COMMENT ON COLUMN prices.product_id IS 'What is sold';
COMMENT ON COLUMN prices.billing_cycle IS 'The term; null: charged once';
COMMENT ON COLUMN prices.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN prices.unit_amount IS 'Minor units of currency for the whole term';
COMMENT ON COLUMN prices.lookup_key IS 'Stripe''s lookup key, by which catalog push finds the price again';
COMMENT ON COLUMN prices.stripe_price_id IS 'price_... in the mode that livemode says; null: not pushed yet';
COMMENT ON COLUMN prices.livemode IS 'Mode of Stripe that stripe_price_id belongs to; null: not pushed';
COMMENT ON COLUMN prices.active IS 'On sale';
COMMENT ON COLUMN prices.created_at IS 'When this row was made';
COMMENT ON COLUMN prices.updated_at IS 'When this row was last changed';

CREATE TABLE coupons (
    code text PRIMARY KEY,
    name text NOT NULL,
    percent_off numeric(5, 2) CHECK (percent_off > 0 AND percent_off <= 100),
    amount_off bigint CHECK (amount_off > 0),
    currency text CHECK (currency ~ '^[a-z]{3}$'),
    duration text NOT NULL CHECK (duration IN ('once', 'repeating', 'forever')),
    duration_in_months integer CHECK (duration_in_months > 0),
    stripe_coupon_id text UNIQUE,
    livemode boolean,
    active boolean NOT NULL DEFAULT TRUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(percent_off, amount_off) = 1),
    CHECK ((amount_off IS NULL) = (currency IS NULL)),
    CHECK ((duration = 'repeating') = (duration_in_months IS NOT NULL)),
    CHECK ((stripe_coupon_id IS NULL) = (livemode IS NULL))
);
COMMENT ON TABLE coupons IS 'Discounts that a buyer can name';
COMMENT ON COLUMN coupons.code IS 'What the buyer types; compared in upper case';
COMMENT ON COLUMN coupons.name IS 'For the buyer and in Stripe';
COMMENT ON COLUMN coupons.percent_off IS 'Percent of the whole order; null: a fixed sum';
COMMENT ON COLUMN coupons.amount_off IS 'Minor units of currency; null: a percentage';
COMMENT ON COLUMN coupons.currency IS 'Of amount_off';
COMMENT ON COLUMN coupons.duration IS 'once, repeating (for duration_in_months) or forever';
COMMENT ON COLUMN coupons.duration_in_months IS 'Of a repeating one';
COMMENT ON COLUMN coupons.stripe_coupon_id IS 'Coupon at Stripe; null: not pushed yet';
COMMENT ON COLUMN coupons.livemode IS 'Mode of Stripe that stripe_coupon_id belongs to; null: not pushed';
COMMENT ON COLUMN coupons.active IS 'Can be named';
COMMENT ON COLUMN coupons.created_at IS 'When this row was made';
COMMENT ON COLUMN coupons.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_customers (
    id text PRIMARY KEY,
    customer_id uuid REFERENCES customers ON DELETE CASCADE,
    livemode boolean NOT NULL,
    email text,
    name text,
    deleted boolean NOT NULL DEFAULT FALSE,
    stripe_as_of_since timestamptz,
    stripe_as_of timestamptz,
    stripe_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (stripe_as_of_since <= stripe_as_of)
);
CREATE INDEX stripe_customers_customer_idx ON stripe_customers (customer_id);
COMMENT ON TABLE stripe_customers IS 'Every Stripe customer we have met, and whose it is in our books: an order by a buyer without proof of identity runs on a fresh one';
COMMENT ON COLUMN stripe_customers.id IS 'cus_...';
COMMENT ON COLUMN stripe_customers.customer_id IS 'Null until an order or a subscription tells whose it is';
COMMENT ON COLUMN stripe_customers.livemode IS 'Mode of Stripe that the ids belong to';
COMMENT ON COLUMN stripe_customers.email IS 'As Stripe has it';
COMMENT ON COLUMN stripe_customers.name IS 'As Stripe has it';
COMMENT ON COLUMN stripe_customers.deleted IS 'Deleted at Stripe';
COMMENT ON COLUMN stripe_customers.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_customers.stripe_as_of IS 'Null: known by id only so far';
COMMENT ON COLUMN stripe_customers.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_customers.created_at IS 'When this row was made';
COMMENT ON COLUMN stripe_customers.updated_at IS 'When this row was last changed';

CREATE TABLE subscription_items (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    price_id uuid REFERENCES prices,
    stripe_subscription_item_id text UNIQUE,
    stripe_price_id text,
    quantity bigint CHECK (quantity >= 0),
    unit_amount bigint,
    currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    recurring_interval text CHECK (recurring_interval IN ('day', 'week', 'month', 'year')),
    interval_count integer CHECK (interval_count > 0),
    current_period_start timestamptz,
    current_period_end timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX subscription_items_subscription_idx ON subscription_items (subscription_id);
CREATE INDEX subscription_items_price_idx ON subscription_items (price_id);
COMMENT ON TABLE subscription_items IS 'What a subscription charges each term; of a provisional one, what was ordered';
COMMENT ON COLUMN subscription_items.id IS 'Ours';
COMMENT ON COLUMN subscription_items.subscription_id IS 'The subscription that it belongs to';
COMMENT ON COLUMN subscription_items.price_id IS 'Our price; null: not of our catalogue';
COMMENT ON COLUMN subscription_items.stripe_subscription_item_id IS 'si_...; null until Stripe has made it';
COMMENT ON COLUMN subscription_items.stripe_price_id IS 'price_... at Stripe';
COMMENT ON COLUMN subscription_items.quantity IS 'Null: metered';
COMMENT ON COLUMN subscription_items.unit_amount IS 'Minor units; null: not a whole number, or tiered';
COMMENT ON COLUMN subscription_items.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN subscription_items.recurring_interval IS 'Unit of its term: day, week, month, year';
COMMENT ON COLUMN subscription_items.interval_count IS 'Units in a term';
COMMENT ON COLUMN subscription_items.current_period_start IS 'Start of the term that is running';
COMMENT ON COLUMN subscription_items.current_period_end IS 'End of the term that is running';
COMMENT ON COLUMN subscription_items.created_at IS 'When this row was made';
COMMENT ON COLUMN subscription_items.updated_at IS 'When this row was last changed';

CREATE TABLE subscription_charges (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    position smallint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('one_time', 'discount')),
    code text NOT NULL,
    description text NOT NULL,
    price_id uuid REFERENCES prices,
    amount bigint CHECK (amount >= 0),
    currency text CHECK (currency ~ '^[a-z]{3}$'),
    state text NOT NULL CHECK (state IN ('with_checkout', 'waiting', 'attached', 'removed')),
    stripe_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (subscription_id, position),
    CHECK ((kind = 'one_time') = (amount IS NOT NULL)),
    CHECK ((amount IS NULL) = (currency IS NULL)),
    CHECK (state <> 'attached' OR stripe_id IS NOT NULL)
);
CREATE INDEX subscription_charges_price_idx ON subscription_charges (price_id);
COMMENT ON TABLE subscription_charges IS 'What an order costs once, and its discount: charged with Checkout, or attached to the subscription when a trial makes it wait';
COMMENT ON COLUMN subscription_charges.id IS 'Ours, and part of the idempotency key at Stripe';
COMMENT ON COLUMN subscription_charges.subscription_id IS 'The subscription that it belongs to';
COMMENT ON COLUMN subscription_charges.position IS 'Order of the lines, from 0';
COMMENT ON COLUMN subscription_charges.kind IS 'one_time: a sum; discount: a coupon';
COMMENT ON COLUMN subscription_charges.code IS 'Catalogue code of the domain or fee, or the coupon';
COMMENT ON COLUMN subscription_charges.description IS 'For the buyer';
COMMENT ON COLUMN subscription_charges.price_id IS 'Our price; null for a discount';
COMMENT ON COLUMN subscription_charges.amount IS 'Minor units; null for a discount';
COMMENT ON COLUMN subscription_charges.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN subscription_charges.state IS 'with_checkout: on the session; waiting: for the trial subscription; attached: in Stripe; removed: the trial was cancelled';
COMMENT ON COLUMN subscription_charges.stripe_id IS 'ii_... of an invoice item, or the coupon';
COMMENT ON COLUMN subscription_charges.created_at IS 'When this row was made';
COMMENT ON COLUMN subscription_charges.updated_at IS 'When this row was last changed';

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
COMMENT ON TABLE checkout_sessions IS 'The Checkout sessions of an order: one an attempt, each with the params frozen under its idempotency key';
COMMENT ON COLUMN checkout_sessions.subscription_id IS 'The order';
COMMENT ON COLUMN checkout_sessions.attempt IS 'Grows only after a definite failure, or when the buyer comes back by a recovery link';
COMMENT ON COLUMN checkout_sessions.stripe_session_id IS 'cs_...; null while Stripe is asked';
COMMENT ON COLUMN checkout_sessions.stripe_customer_id IS 'cus_... made for this order';
COMMENT ON COLUMN checkout_sessions.livemode IS 'Mode of Stripe that the ids belong to';
COMMENT ON COLUMN checkout_sessions.params IS 'What was sent to Stripe, byte for byte the same in every retry of the attempt';
COMMENT ON COLUMN checkout_sessions.url IS 'Payment page';
COMMENT ON COLUMN checkout_sessions.status IS 'creating: Stripe is asked; open, complete, expired: Stripes words; failed: see last_error';
COMMENT ON COLUMN checkout_sessions.payment_status IS 'Stripes word: paid, unpaid or no_payment_required';
COMMENT ON COLUMN checkout_sessions.recovery_url IS 'Where the buyer of an expired session can take the order up again';
COMMENT ON COLUMN checkout_sessions.recovered_from IS 'The expired session whose recovery link led here';
COMMENT ON COLUMN checkout_sessions.expires_at IS 'When Stripe closes the page';
COMMENT ON COLUMN checkout_sessions.last_error IS 'Why it failed';
COMMENT ON COLUMN checkout_sessions.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN checkout_sessions.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripes clock; null: Stripe has not told of it';
COMMENT ON COLUMN checkout_sessions.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN checkout_sessions.created_at IS 'When this row was made';
COMMENT ON COLUMN checkout_sessions.updated_at IS 'When this row was last changed';

CREATE TABLE orders (
    subscription_id uuid PRIMARY KEY REFERENCES subscriptions ON DELETE CASCADE,
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    fingerprint bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_customer_idx ON orders (customer_id, created_at DESC);
COMMENT ON TABLE orders IS 'What a buyer asked for, to know a repeated order from a changed one';
COMMENT ON COLUMN orders.subscription_id IS 'The provisional subscription that was made for it';
COMMENT ON COLUMN orders.customer_id IS 'Who ordered, in our books';
COMMENT ON COLUMN orders.fingerprint IS 'SHA-256 of the canonical order';
COMMENT ON COLUMN orders.created_at IS 'When it was ordered; repeats are known by it for some minutes';

CREATE TABLE invoice_payments (
    stripe_invoice_payment_id text PRIMARY KEY,
    stripe_invoice_id text NOT NULL,
    livemode boolean NOT NULL,
    stripe_payment_intent_id text,
    stripe_charge_id text,
    amount_paid bigint,
    currency text,
    status text NOT NULL CHECK (status IN ('open', 'paid', 'canceled')),
    stripe_created timestamptz NOT NULL,
    stripe_as_of_since timestamptz NOT NULL,
    stripe_as_of timestamptz NOT NULL,
    stripe_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (stripe_as_of_since <= stripe_as_of)
);
CREATE INDEX invoice_payments_invoice_idx ON invoice_payments (stripe_invoice_id);
CREATE INDEX invoice_payments_payment_intent_idx ON invoice_payments (stripe_payment_intent_id);
COMMENT ON TABLE invoice_payments IS 'Which payment settled which invoice';
COMMENT ON COLUMN invoice_payments.stripe_invoice_payment_id IS 'inpay_...';
COMMENT ON COLUMN invoice_payments.stripe_invoice_id IS 'in_... that it pays';
COMMENT ON COLUMN invoice_payments.livemode IS 'Mode of Stripe that the ids belong to';
COMMENT ON COLUMN invoice_payments.stripe_payment_intent_id IS 'pi_...';
COMMENT ON COLUMN invoice_payments.stripe_charge_id IS 'ch_..., where there is no payment intent';
COMMENT ON COLUMN invoice_payments.amount_paid IS 'Minor units of currency';
COMMENT ON COLUMN invoice_payments.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN invoice_payments.status IS 'Stripes word: open, paid or canceled';
COMMENT ON COLUMN invoice_payments.stripe_created IS 'When Stripe made it';
COMMENT ON COLUMN invoice_payments.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN invoice_payments.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN invoice_payments.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN invoice_payments.created_at IS 'When this row was made';
COMMENT ON COLUMN invoice_payments.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_events (
    id text PRIMARY KEY,
    type text NOT NULL,
    api_version text,
    created timestamptz,
    livemode boolean NOT NULL,
    object_id text,
    payload jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('received', 'applied', 'stale', 'ignored', 'failed')),
    reason text,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    next_attempt_at timestamptz,
    received_at timestamptz NOT NULL DEFAULT now(),
    applied_at timestamptz,
    CHECK (status <> 'failed' OR last_error IS NOT NULL),
    CHECK (status NOT IN ('applied', 'stale') OR applied_at IS NOT NULL)
);
CREATE INDEX stripe_events_object_idx ON stripe_events (object_id, created);
CREATE INDEX stripe_events_unhandled_idx ON stripe_events (next_attempt_at)
WHERE status IN ('received', 'failed');
CREATE INDEX stripe_events_oldest_unhandled_idx ON stripe_events (received_at)
WHERE status IN ('received', 'failed');
CREATE INDEX stripe_events_received_idx ON stripe_events (received_at);
COMMENT ON TABLE stripe_events IS 'The inbox: every event that Stripe was told is safe with us';
COMMENT ON COLUMN stripe_events.id IS 'evt_...; takes effect at most once';
COMMENT ON COLUMN stripe_events.type IS 'invoice.paid, customer.subscription.updated, ...';
COMMENT ON COLUMN stripe_events.api_version IS 'Label of the payload; its shape is read off its keys';
COMMENT ON COLUMN stripe_events.created IS 'By Stripe''s clock, whole seconds';
COMMENT ON COLUMN stripe_events.livemode IS 'Mode of Stripe that it came from';
COMMENT ON COLUMN stripe_events.object_id IS 'Id of the object that the event is about';
COMMENT ON COLUMN stripe_events.payload IS 'As Stripe sent it';
COMMENT ON COLUMN stripe_events.status IS 'received: kept, not applied yet; stale: older than the mirror; ignored: for the reason given; failed: see last_error';
COMMENT ON COLUMN stripe_events.reason IS 'Why it was ignored, or what is still asked for';
COMMENT ON COLUMN stripe_events.attempts IS 'How often applying it was tried';
COMMENT ON COLUMN stripe_events.last_error IS 'Where the latest try failed';
COMMENT ON COLUMN stripe_events.next_attempt_at IS 'When the sweep tries a failed one again';
COMMENT ON COLUMN stripe_events.received_at IS 'When it was committed here';
COMMENT ON COLUMN stripe_events.applied_at IS 'When it took effect, or was found stale';

CREATE TABLE stripe_refetches (
    object_id text PRIMARY KEY,
    object_type text NOT NULL CHECK (object_type IN (
        'subscription', 'invoice', 'checkout.session', 'customer', 'invoice_payment'
    )),
    reason text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    leased_until timestamptz,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    requested_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stripe_refetches_due_idx ON stripe_refetches (next_attempt_at);
COMMENT ON TABLE stripe_refetches IS 'Objects to ask Stripe about, because events alone do not tell their state; a row goes when the answer is applied';
COMMENT ON COLUMN stripe_refetches.object_id IS 'Id at Stripe';
COMMENT ON COLUMN stripe_refetches.object_type IS 'Stripes word for what it is';
COMMENT ON COLUMN stripe_refetches.reason IS 'Why events are not enough; awaited: one should come by itself';
COMMENT ON COLUMN stripe_refetches.version IS 'Grows with each request: an answer clears only the requests made before it was asked for';
COMMENT ON COLUMN stripe_refetches.attempts IS 'Tries since the latest request';
COMMENT ON COLUMN stripe_refetches.last_error IS 'Why the latest try failed';
COMMENT ON COLUMN stripe_refetches.leased_until IS 'Until then one worker alone asks Stripe about the object';
COMMENT ON COLUMN stripe_refetches.next_attempt_at IS 'When the sweep asks, unless a job was faster';
COMMENT ON COLUMN stripe_refetches.requested_at IS 'When it was first wished for';

CREATE TABLE provisioning_work (
    subscription_id uuid PRIMARY KEY REFERENCES subscriptions ON DELETE CASCADE,
    inputs jsonb NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    done_version bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    wake_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (done_version <= version)
);
CREATE INDEX provisioning_work_due_idx ON provisioning_work (wake_at)
WHERE wake_at IS NOT NULL;
CREATE INDEX provisioning_work_troubled_idx ON provisioning_work (subscription_id)
WHERE last_error IS NOT NULL;
COMMENT ON TABLE provisioning_work IS 'Which subscriptions are not yet where the mirror wants them';
COMMENT ON COLUMN provisioning_work.subscription_id IS 'The subscription that it belongs to';
COMMENT ON COLUMN provisioning_work.inputs IS 'What the desired state was derived from; a change makes a new version and a job';
COMMENT ON COLUMN provisioning_work.version IS 'Grows when inputs change';
COMMENT ON COLUMN provisioning_work.done_version IS 'The version that the world has been brought to';
COMMENT ON COLUMN provisioning_work.last_error IS 'What is not done, and why';
COMMENT ON COLUMN provisioning_work.wake_at IS 'When the sweep looks again; null: at rest';
COMMENT ON COLUMN provisioning_work.created_at IS 'When this row was made';
COMMENT ON COLUMN provisioning_work.updated_at IS 'When this row was last changed';

CREATE TABLE tenant_services (
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    product_type text NOT NULL,
    desired text NOT NULL CHECK (desired IN ('active', 'suspended', 'terminated')),
    actual text NOT NULL DEFAULT 'absent' CHECK (actual IN ('absent', 'active', 'suspended', 'terminated')),
    driver text NOT NULL,
    external_ref text,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    next_attempt_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription_id, product_type),
    CHECK (actual = 'absent' OR external_ref IS NOT NULL)
);
CREATE UNIQUE INDEX tenant_services_external_ref_key ON tenant_services (driver, product_type, external_ref);
CREATE INDEX tenant_services_troubled_idx ON tenant_services (subscription_id)
WHERE last_error IS NOT NULL;
COMMENT ON TABLE tenant_services IS 'The account of a subscription for each product type: what it should be and what it is';
COMMENT ON COLUMN tenant_services.subscription_id IS 'The subscription that it belongs to';
COMMENT ON COLUMN tenant_services.product_type IS 'hosting, email, storage, ...';
COMMENT ON COLUMN tenant_services.desired IS 'What it should be';
COMMENT ON COLUMN tenant_services.actual IS 'What the driver has answered that it is';
COMMENT ON COLUMN tenant_services.driver IS 'Who has the account';
COMMENT ON COLUMN tenant_services.external_ref IS 'The driver''s name for the account';
COMMENT ON COLUMN tenant_services.attempts IS 'Failed orders since the last success';
COMMENT ON COLUMN tenant_services.last_error IS 'Why the latest order failed';
COMMENT ON COLUMN tenant_services.next_attempt_at IS 'When it is tried again';
COMMENT ON COLUMN tenant_services.created_at IS 'When this row was made';
COMMENT ON COLUMN tenant_services.updated_at IS 'When this row was last changed';

CREATE TABLE provisioning_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    product_type text,
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
CREATE INDEX provisioning_log_subscription_idx ON provisioning_log (subscription_id, id);
CREATE INDEX provisioning_log_created_idx ON provisioning_log (created_at);
COMMENT ON TABLE provisioning_log IS 'Every call to a provisioning driver';
COMMENT ON COLUMN provisioning_log.id IS 'In the order of the calls';
COMMENT ON COLUMN provisioning_log.subscription_id IS 'The subscription that it belongs to';
COMMENT ON COLUMN provisioning_log.product_type IS 'Service that the call was about';
COMMENT ON COLUMN provisioning_log.driver IS 'Who was called';
COMMENT ON COLUMN provisioning_log.action IS 'create, suspend, resume, change, terminate';
COMMENT ON COLUMN provisioning_log.idempotency_key IS 'By which the driver knows a repetition';
COMMENT ON COLUMN provisioning_log.request IS 'What was sent';
COMMENT ON COLUMN provisioning_log.response IS 'What came back; null: nothing did';
COMMENT ON COLUMN provisioning_log.outcome IS 'done, already_done, retryable or permanent';
COMMENT ON COLUMN provisioning_log.error IS 'Why it failed';
COMMENT ON COLUMN provisioning_log.duration_ms IS 'Milliseconds';
COMMENT ON COLUMN provisioning_log.created_at IS 'When it was over';

CREATE TABLE idempotency_keys (
    key text PRIMARY KEY,
    request_hash bytea NOT NULL,
    subscription_id uuid REFERENCES subscriptions ON DELETE CASCADE,
    status integer,
    response jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((status IS NULL) = (response IS NULL))
);
CREATE INDEX idempotency_keys_created_idx ON idempotency_keys (created_at);
CREATE INDEX idempotency_keys_subscription_idx ON idempotency_keys (subscription_id);
COMMENT ON TABLE idempotency_keys IS 'The answers of create-session by Idempotency-Key, kept for 24 hours';
COMMENT ON COLUMN idempotency_keys.key IS 'The clients own name for its request';
COMMENT ON COLUMN idempotency_keys.request_hash IS 'SHA-256 of what was sent under it';
COMMENT ON COLUMN idempotency_keys.subscription_id IS 'The order it led to';
COMMENT ON COLUMN idempotency_keys.status IS 'HTTP status of the answer; null: the first request is still running';
COMMENT ON COLUMN idempotency_keys.response IS 'The answer';
COMMENT ON COLUMN idempotency_keys.created_at IS 'When it was first used';

-- migrate:down
DROP TABLE idempotency_keys;
DROP TABLE provisioning_log;
DROP TABLE tenant_services;
DROP TABLE provisioning_work;
DROP TABLE stripe_refetches;
DROP TABLE stripe_events;
DROP TABLE invoice_payments;
DROP TABLE orders;
DROP TABLE checkout_sessions;
DROP TABLE subscription_charges;
DROP TABLE subscription_items;
DROP TABLE stripe_customers;
DROP TABLE coupons;
DROP TABLE prices;
