-- The inbox of Stripe's events, what is fetched from Stripe, and the objects for which mPanel has no
-- table. The snapshot types declare once what a statement that writes a snapshot takes; statements read
-- them with jsonb_populate_recordset. Running code depends on these types: they only ever grow.

-- migrate:up
CREATE TABLE stripe_events (
    id text PRIMARY KEY,
    type text NOT NULL,
    api_version text,
    created timestamptz,
    livemode boolean NOT NULL,
    object_id text,
    payload jsonb,
    -- a list that is one constant: CHECK constraints are parsed again for each statement that writes
    status text NOT NULL CHECK (status = ANY ('{received,applied,stale,ignored,failed}')),
    reason text,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    next_attempt_at timestamptz,
    received_at timestamptz NOT NULL DEFAULT now(),
    applied_at timestamptz,
    CHECK (status <> 'failed' OR last_error IS NOT NULL),
    CHECK (status <> ALL ('{applied,stale}') OR applied_at IS NOT NULL),
    CONSTRAINT stripe_events_payload_check CHECK (payload IS NOT NULL OR status = ANY ('{applied,stale,ignored}'))
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
CREATE INDEX stripe_events_object_idx ON stripe_events (object_id, created);
CREATE INDEX stripe_events_unhandled_idx ON stripe_events (next_attempt_at)
WHERE status IN ('received', 'failed');
CREATE INDEX stripe_events_oldest_unhandled_idx ON stripe_events (received_at)
WHERE status IN ('received', 'failed');
CREATE INDEX stripe_events_received_idx ON stripe_events (received_at);
CREATE INDEX stripe_events_without_effect_idx ON stripe_events (status, received_at)
WHERE status IN ('stale', 'ignored');
COMMENT ON TABLE stripe_events IS 'The inbox: every event that we acknowledged to Stripe';
COMMENT ON COLUMN stripe_events.id IS 'evt_...; takes effect at most once';
COMMENT ON COLUMN stripe_events.type IS 'invoice.paid, customer.subscription.updated, ...';
COMMENT ON COLUMN stripe_events.api_version IS 'Label of the payload; its shape is recognised by its keys';
COMMENT ON COLUMN stripe_events.created IS 'By Stripe''s clock, whole seconds';
COMMENT ON COLUMN stripe_events.livemode IS 'Mode of Stripe that it came from';
COMMENT ON COLUMN stripe_events.object_id IS 'Id of the object that the event is about';
COMMENT ON COLUMN stripe_events.payload IS 'As Stripe sent it; null: pruned by age';
COMMENT ON COLUMN stripe_events.status IS 'received: not applied yet; applied; stale: older than the mirror; ignored: see reason; failed: see last_error';
COMMENT ON COLUMN stripe_events.reason IS 'Why it was ignored, or what is still requested from Stripe';
COMMENT ON COLUMN stripe_events.attempts IS 'How often it was applied or tried';
COMMENT ON COLUMN stripe_events.last_error IS 'Why it failed: a sentence, then the traceback unless it cannot be read';
COMMENT ON COLUMN stripe_events.next_attempt_at IS 'When the sweep retries it';
COMMENT ON COLUMN stripe_events.received_at IS 'When it was committed here';
COMMENT ON COLUMN stripe_events.applied_at IS 'When it was applied, or found stale';

CREATE TABLE stripe_refetches (
    object_id text PRIMARY KEY,
    object_type text NOT NULL CHECK (object_type IN (
        'subscription', 'invoice', 'checkout.session', 'customer', 'invoice_payment', 'refund',
        'charge', 'credit_note', 'dispute', 'radar.early_fraud_warning', 'tax_id', 'tax_rate'
    )),
    reason text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    leased_until timestamptz,
    tied_at timestamptz,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    requested_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stripe_refetches_due_idx ON stripe_refetches (next_attempt_at);
CREATE INDEX billing_refetches_failing_idx ON stripe_refetches (requested_at)
WHERE last_error IS NOT NULL;
COMMENT ON TABLE stripe_refetches IS 'Objects to fetch from Stripe, because their events do not decide their state; a row is deleted when the fetched object is applied';
COMMENT ON COLUMN stripe_refetches.object_id IS 'Id at Stripe';
COMMENT ON COLUMN stripe_refetches.object_type IS 'Stripe''s object type';
COMMENT ON COLUMN stripe_refetches.reason IS 'Why it is fetched; awaited: only if its event does not arrive first';
COMMENT ON COLUMN stripe_refetches.version IS 'Grows with each request: a fetch fulfils only the requests made before it began';
COMMENT ON COLUMN stripe_refetches.attempts IS 'Tries since the latest request';
COMMENT ON COLUMN stripe_refetches.last_error IS 'Why the latest try failed';
COMMENT ON COLUMN stripe_refetches.leased_until IS 'Until then only the worker with the lease fetches the object';
COMMENT ON COLUMN stripe_refetches.tied_at IS 'Latest second that snapshots of undecided order may be of: not fetched once the row is of a later one; null: in any case';
COMMENT ON COLUMN stripe_refetches.next_attempt_at IS 'When the sweep fetches it, unless a job was faster';
COMMENT ON COLUMN stripe_refetches.requested_at IS 'When it was first requested';

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
COMMENT ON COLUMN invoice_payments.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN invoice_payments.stripe_payment_intent_id IS 'pi_...';
COMMENT ON COLUMN invoice_payments.stripe_charge_id IS 'ch_..., if there is no payment intent';
COMMENT ON COLUMN invoice_payments.amount_paid IS 'Minor units of currency';
COMMENT ON COLUMN invoice_payments.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN invoice_payments.status IS 'Stripe''s: open, paid or canceled';
COMMENT ON COLUMN invoice_payments.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN invoice_payments.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN invoice_payments.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN invoice_payments.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN invoice_payments.created_at IS 'When this row was created';
COMMENT ON COLUMN invoice_payments.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_refunds (
    stripe_refund_id text PRIMARY KEY,
    livemode boolean NOT NULL,
    stripe_payment_intent_id text,
    stripe_charge_id text,
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    status text NOT NULL CHECK (status IN (
        'pending', 'requires_action', 'succeeded', 'failed', 'canceled'
    )),
    reason text,
    failure_reason text,
    stripe_created timestamptz NOT NULL,
    stripe_as_of_since timestamptz NOT NULL,
    stripe_as_of timestamptz NOT NULL,
    stripe_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (stripe_as_of_since <= stripe_as_of)
);
CREATE INDEX stripe_refunds_payment_intent_idx ON stripe_refunds (stripe_payment_intent_id);
CREATE INDEX stripe_refunds_created_idx ON stripe_refunds (stripe_created);
COMMENT ON TABLE stripe_refunds IS 'Refunds; invoice_payments names the invoice, by the payment intent';
COMMENT ON COLUMN stripe_refunds.stripe_refund_id IS 're_...';
COMMENT ON COLUMN stripe_refunds.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_refunds.stripe_payment_intent_id IS 'pi_... that is refunded; null: a charge without one';
COMMENT ON COLUMN stripe_refunds.stripe_charge_id IS 'ch_... that is refunded';
COMMENT ON COLUMN stripe_refunds.amount IS 'Minor units of currency';
COMMENT ON COLUMN stripe_refunds.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN stripe_refunds.status IS 'Stripe''s; failed and canceled refunds moved no money';
COMMENT ON COLUMN stripe_refunds.reason IS 'Stripe''s: duplicate, fraudulent, requested_by_customer; null: none given';
COMMENT ON COLUMN stripe_refunds.failure_reason IS 'Why it failed, in Stripe''s words, as lost_or_stolen_card; null: it did not, or Stripe does not say';
COMMENT ON COLUMN stripe_refunds.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_refunds.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_refunds.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_refunds.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_refunds.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_refunds.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_charges (
    stripe_charge_id text PRIMARY KEY,
    livemode boolean NOT NULL,
    stripe_payment_intent_id text,
    stripe_customer_id text,
    amount bigint NOT NULL CHECK (amount >= 0),
    amount_captured bigint NOT NULL CHECK (amount_captured >= 0),
    amount_refunded bigint NOT NULL CHECK (amount_refunded >= 0),
    currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    status text NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    failure_code text,
    decline_code text,
    decline_reason text,
    card_brand text,
    card_last4 text,
    card_exp_month smallint CHECK (card_exp_month BETWEEN 1 AND 12),
    card_exp_year smallint,
    card_expired_from date GENERATED ALWAYS AS (
        make_date(card_exp_year + card_exp_month / 12, card_exp_month % 12 + 1, 1)
    ) STORED,
    stripe_created timestamptz NOT NULL,
    stripe_as_of_since timestamptz NOT NULL,
    stripe_as_of timestamptz NOT NULL,
    stripe_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (stripe_as_of_since <= stripe_as_of)
);
CREATE INDEX stripe_charges_payment_intent_idx ON stripe_charges (stripe_payment_intent_id);
CREATE INDEX stripe_charges_expiry_idx ON stripe_charges (card_expired_from)
WHERE status = 'succeeded';
CREATE INDEX stripe_charges_customer_idx ON stripe_charges (stripe_customer_id, stripe_created);
-- for sums of months; rows come in this order, and to write one costs it nothing
CREATE INDEX stripe_charges_created_idx ON stripe_charges USING brin (stripe_created)
WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE stripe_charges IS 'What was charged or declined, with the card';
COMMENT ON COLUMN stripe_charges.stripe_charge_id IS 'ch_... or py_...';
COMMENT ON COLUMN stripe_charges.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_charges.stripe_payment_intent_id IS 'pi_... that it belongs to; null: none';
COMMENT ON COLUMN stripe_charges.stripe_customer_id IS 'cus_... that was charged; null: none';
COMMENT ON COLUMN stripe_charges.amount IS 'Minor units of currency that were asked for';
COMMENT ON COLUMN stripe_charges.amount_captured IS 'Minor units that were taken';
COMMENT ON COLUMN stripe_charges.amount_refunded IS 'Minor units of it that were refunded';
COMMENT ON COLUMN stripe_charges.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN stripe_charges.status IS 'Stripe''s: pending, succeeded or failed';
COMMENT ON COLUMN stripe_charges.failure_code IS 'Stripe''s code of a failure, such as card_declined; null: none';
COMMENT ON COLUMN stripe_charges.decline_code IS 'The bank''s or Radar''s reason, such as insufficient_funds; null: none';
COMMENT ON COLUMN stripe_charges.decline_reason IS 'The reason in words; null: it did not fail';
COMMENT ON COLUMN stripe_charges.card_brand IS 'visa, mastercard, ...; null: not a card';
COMMENT ON COLUMN stripe_charges.card_last4 IS 'Last four digits of the card; null: not a card';
COMMENT ON COLUMN stripe_charges.card_exp_month IS 'Month in which the card expires; null: not a card';
COMMENT ON COLUMN stripe_charges.card_exp_year IS 'Year in which the card expires; null: not a card';
COMMENT ON COLUMN stripe_charges.card_expired_from IS 'The first day on which the card cannot be charged; null: not a card';
COMMENT ON COLUMN stripe_charges.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_charges.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_charges.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_charges.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_charges.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_charges.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_credit_notes (
    stripe_credit_note_id text PRIMARY KEY,
    livemode boolean NOT NULL,
    stripe_invoice_id text NOT NULL,
    stripe_customer_id text,
    stripe_number text,
    status text NOT NULL CHECK (status IN ('issued', 'void')),
    amount bigint NOT NULL CHECK (amount >= 0),
    amount_before_payment bigint NOT NULL CHECK (amount_before_payment >= 0),
    amount_refunded bigint NOT NULL CHECK (amount_refunded >= 0),
    amount_to_balance bigint NOT NULL CHECK (amount_to_balance >= 0),
    amount_out_of_band bigint NOT NULL CHECK (amount_out_of_band >= 0),
    refunds jsonb,
    taxes jsonb,
    voided_at timestamptz,
    currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    reason text,
    memo text,
    pdf text,
    stripe_created timestamptz NOT NULL,
    stripe_as_of_since timestamptz NOT NULL,
    stripe_as_of timestamptz NOT NULL,
    stripe_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (stripe_as_of_since <= stripe_as_of)
);
CREATE INDEX stripe_credit_notes_invoice_idx ON stripe_credit_notes (stripe_invoice_id);
CREATE INDEX stripe_credit_notes_taxed_idx ON stripe_credit_notes (stripe_created)
WHERE taxes IS NOT NULL;
CREATE INDEX stripe_credit_notes_voided_idx ON stripe_credit_notes (voided_at)
WHERE voided_at IS NOT NULL AND taxes IS NOT NULL;
COMMENT ON TABLE stripe_credit_notes IS 'Credit notes: what was taken off an invoice, and how it was given back';
COMMENT ON COLUMN stripe_credit_notes.stripe_credit_note_id IS 'cn_...';
COMMENT ON COLUMN stripe_credit_notes.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_credit_notes.stripe_invoice_id IS 'in_... that it corrects';
COMMENT ON COLUMN stripe_credit_notes.stripe_customer_id IS 'cus_... of the invoice';
COMMENT ON COLUMN stripe_credit_notes.stripe_number IS 'Stripe''s number, printed on it';
COMMENT ON COLUMN stripe_credit_notes.status IS 'Stripe''s: issued or void';
COMMENT ON COLUMN stripe_credit_notes.amount IS 'Minor units of currency in all, with taxes';
COMMENT ON COLUMN stripe_credit_notes.amount_before_payment IS 'Minor units that lowered what was still to be paid';
COMMENT ON COLUMN stripe_credit_notes.amount_refunded IS 'Minor units given back by refunds; stripe_refunds has these too';
COMMENT ON COLUMN stripe_credit_notes.amount_to_balance IS 'Minor units added to the customer''s balance';
COMMENT ON COLUMN stripe_credit_notes.amount_out_of_band IS 'Minor units given back outside of Stripe';
COMMENT ON COLUMN stripe_credit_notes.refunds IS 'The refunds that give back a part of it: refund, amount in minor units; null: none';
COMMENT ON COLUMN stripe_credit_notes.taxes IS 'What of it is taxes, by rate, as invoices.taxes has them; null: none';
COMMENT ON COLUMN stripe_credit_notes.voided_at IS 'When it was voided; null: it is not';
COMMENT ON COLUMN stripe_credit_notes.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN stripe_credit_notes.reason IS 'Stripe''s: duplicate, fraudulent, order_change, product_unsatisfactory; null: none given';
COMMENT ON COLUMN stripe_credit_notes.memo IS 'What it says to the customer';
COMMENT ON COLUMN stripe_credit_notes.pdf IS 'The PDF at Stripe';
COMMENT ON COLUMN stripe_credit_notes.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_credit_notes.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_credit_notes.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_credit_notes.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_credit_notes.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_credit_notes.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_disputes (
    stripe_dispute_id text PRIMARY KEY,
    livemode boolean NOT NULL,
    stripe_charge_id text NOT NULL,
    stripe_payment_intent_id text,
    status text NOT NULL CHECK (status IN (
        'warning_needs_response',
        'warning_under_review',
        'warning_closed',
        'needs_response',
        'under_review',
        'appeal_needs_response',
        'appeal_under_review',
        'lost',
        'won',
        'prevented'
    )),
    reason text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    fee bigint NOT NULL,
    fee_currency text CHECK (fee_currency ~ '^[a-z]{3}$'),
    movements integer NOT NULL CHECK (movements >= 0),
    is_charge_refundable boolean NOT NULL,
    evidence_due_at timestamptz,
    has_evidence boolean NOT NULL,
    submissions integer NOT NULL CHECK (submissions >= 0),
    waived_at timestamptz,
    waived_by text,
    waived_reason text,
    CHECK (num_nonnulls(waived_at, waived_by, waived_reason) IN (0, 3)),
    claimed_until timestamptz,
    stripe_created timestamptz NOT NULL,
    stripe_as_of_since timestamptz NOT NULL,
    stripe_as_of timestamptz NOT NULL,
    stripe_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (stripe_as_of_since <= stripe_as_of)
);
CREATE INDEX stripe_disputes_payment_intent_idx ON stripe_disputes (stripe_payment_intent_id);
CREATE INDEX stripe_disputes_charge_idx ON stripe_disputes (stripe_charge_id);
CREATE INDEX stripe_disputes_created_idx ON stripe_disputes (stripe_created);
CREATE INDEX stripe_disputes_open_idx ON stripe_disputes (stripe_created)
WHERE status IN ('needs_response', 'under_review', 'appeal_needs_response', 'appeal_under_review', 'lost')
    AND waived_at IS NULL;
CREATE INDEX stripe_disputes_under_review_idx ON stripe_disputes (stripe_created)
WHERE status IN ('under_review', 'warning_under_review', 'appeal_under_review');
CREATE INDEX stripe_disputes_unanswered_idx ON stripe_disputes (evidence_due_at)
WHERE status IN ('needs_response', 'warning_needs_response', 'appeal_needs_response');
COMMENT ON TABLE stripe_disputes IS 'Disputes: customers who asked their bank for the money back';
COMMENT ON COLUMN stripe_disputes.stripe_dispute_id IS 'du_... or dp_...';
COMMENT ON COLUMN stripe_disputes.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_disputes.stripe_charge_id IS 'ch_... that is disputed';
COMMENT ON COLUMN stripe_disputes.stripe_payment_intent_id IS 'pi_... of the charge; null: none';
COMMENT ON COLUMN stripe_disputes.status IS 'Stripe''s; warning_...: the bank only asks, no money was taken';
COMMENT ON COLUMN stripe_disputes.reason IS 'The bank''s: fraudulent, duplicate, product_not_received, ...';
COMMENT ON COLUMN stripe_disputes.amount IS 'Minor units of currency that are disputed';
COMMENT ON COLUMN stripe_disputes.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN stripe_disputes.fee IS 'Minor units of fee_currency that Stripe charges for it, less what it gave back';
COMMENT ON COLUMN stripe_disputes.fee_currency IS 'The account''s currency; null: no fee';
COMMENT ON COLUMN stripe_disputes.movements IS 'How often money was moved for it: taken, given back';
COMMENT ON COLUMN stripe_disputes.is_charge_refundable IS 'Whether a refund is still possible, and ends it';
COMMENT ON COLUMN stripe_disputes.evidence_due_at IS 'Until when evidence is accepted; null: none is asked for';
COMMENT ON COLUMN stripe_disputes.has_evidence IS 'Whether evidence is staged or submitted';
COMMENT ON COLUMN stripe_disputes.submissions IS 'How often evidence was submitted: Stripe takes it once';
COMMENT ON COLUMN stripe_disputes.waived_at IS 'Since then DISPUTE_POLICY leaves its subscription alone: an operator decided so; null: it does not';
COMMENT ON COLUMN stripe_disputes.waived_by IS 'Who decided it';
COMMENT ON COLUMN stripe_disputes.waived_reason IS 'Why';
COMMENT ON COLUMN stripe_disputes.claimed_until IS 'Until then one request alone writes its evidence at Stripe; null: none does';
COMMENT ON COLUMN stripe_disputes.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_disputes.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_disputes.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_disputes.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_disputes.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_disputes.updated_at IS 'When this row was last changed';

CREATE TABLE stripe_fraud_warnings (
    stripe_fraud_warning_id text PRIMARY KEY,
    livemode boolean NOT NULL,
    stripe_charge_id text NOT NULL,
    stripe_payment_intent_id text,
    fraud_type text NOT NULL,
    actionable boolean NOT NULL,
    stripe_created timestamptz NOT NULL,
    stripe_as_of_since timestamptz NOT NULL,
    stripe_as_of timestamptz NOT NULL,
    stripe_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (stripe_as_of_since <= stripe_as_of)
);
CREATE INDEX stripe_fraud_warnings_payment_intent_idx ON stripe_fraud_warnings (stripe_payment_intent_id);
CREATE INDEX stripe_fraud_warnings_actionable_idx ON stripe_fraud_warnings (stripe_created)
WHERE actionable;
COMMENT ON TABLE stripe_fraud_warnings IS 'Early fraud warnings: a bank reports a charge as fraud, before anyone disputes it';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_fraud_warning_id IS 'issfr_...';
COMMENT ON COLUMN stripe_fraud_warnings.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_charge_id IS 'ch_... that is reported';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_payment_intent_id IS 'pi_... of the charge; null: none';
COMMENT ON COLUMN stripe_fraud_warnings.fraud_type IS 'The bank''s: made_with_stolen_card, ...';
COMMENT ON COLUMN stripe_fraud_warnings.actionable IS 'Whether a refund can still avoid a dispute';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_created IS 'When Stripe created it';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_fraud_warnings.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_fraud_warnings.created_at IS 'When this row was created';
COMMENT ON COLUMN stripe_fraud_warnings.updated_at IS 'When this row was last changed';

CREATE TYPE billing_subscription_snapshot AS (
    subscription_id uuid,
    customer_id uuid,
    object_id text,
    stripe_customer_id text,
    livemode boolean,
    stripe_status text,
    currency text,
    amount bigint,
    price numeric,
    current_period_start timestamptz,
    current_period_end timestamptz,
    started_at timestamptz,
    trial_end timestamptz,
    cancel_at_period_end boolean,
    cancel_at timestamptz,
    canceled_at timestamptz,
    ended_at timestamptz,
    cancellation_reason text,
    cancellation_feedback text,
    collection_paused boolean,
    collection_behavior text,
    stripe_schedule_id text,
    pending_update_expires_at timestamptz,
    paused_by text,
    paused_at timestamptz,
    items jsonb,
    entitled_items jsonb,
    items_complete boolean,
    discounts jsonb,
    since timestamptz,
    as_of timestamptz,
    event_id text
);
COMMENT ON TYPE billing_subscription_snapshot IS 'A Stripe subscription as the mirror writes it; items holds an array of billing_subscription_item_snapshot, entitled_items what of it services depend on';

CREATE TYPE billing_subscription_item_snapshot AS (
    stripe_subscription_item_id text,
    stripe_price_id text,
    stripe_product_id text,
    quantity bigint,
    unit_amount bigint,
    currency text,
    recurring_interval text,
    interval_count integer,
    current_period_start timestamptz,
    current_period_end timestamptz
);
COMMENT ON TYPE billing_subscription_item_snapshot IS 'An item of a Stripe subscription as the mirror writes it';

CREATE TYPE billing_invoice_snapshot AS (
    object_id text,
    invoice_number text,
    status text,
    subtotal numeric,
    tax_amount numeric,
    total numeric,
    currency text,
    due_date timestamptz,
    paid_at timestamptz,
    livemode boolean,
    stripe_subscription_id text,
    stripe_customer_id text,
    stripe_number text,
    stripe_status text,
    billing_reason text,
    collection_method text,
    auto_advance boolean,
    finalization_error text,
    finalized_at timestamptz,
    amount_invoiced bigint,
    amount_due bigint,
    amount_paid bigint,
    amount_remaining bigint,
    period_start timestamptz,
    period_end timestamptz,
    attempt_count integer,
    next_payment_attempt timestamptz,
    hosted_invoice_url text,
    invoice_pdf text,
    stripe_payment_intent_id text,
    stripe_created timestamptz,
    since timestamptz,
    as_of timestamptz,
    event_id text,
    tax_rate numeric,
    taxes jsonb,
    voided_at timestamptz
);
COMMENT ON TYPE billing_invoice_snapshot IS 'A Stripe invoice as the mirror writes it';

-- Asking Stripe for events while buyers are on a payment page and no webhook arrives.
CREATE TABLE stripe_event_polls (
    livemode boolean PRIMARY KEY,
    polled_at timestamptz NOT NULL,
    read_until timestamptz,
    found_at timestamptz,
    found bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE stripe_event_polls IS 'When Stripe''s list of events was last read in place of webhooks; one row per mode';
COMMENT ON COLUMN stripe_event_polls.livemode IS 'Mode of Stripe';
COMMENT ON COLUMN stripe_event_polls.polled_at IS 'When the list was last asked for: one worker does, once a minute';
COMMENT ON COLUMN stripe_event_polls.read_until IS 'Events created until then have been read, by Stripe''s clock; null: none yet';
COMMENT ON COLUMN stripe_event_polls.found_at IS 'When events that no webhook had delivered were last stored; null: never';
COMMENT ON COLUMN stripe_event_polls.found IS 'How many events were stored this way';

-- migrate:down
DROP TABLE stripe_event_polls;
DROP TYPE billing_invoice_snapshot;
DROP TYPE billing_subscription_item_snapshot;
DROP TYPE billing_subscription_snapshot;
DROP TABLE stripe_fraud_warnings;
DROP TABLE stripe_disputes;
DROP TABLE stripe_credit_notes;
DROP TABLE stripe_charges;
DROP TABLE stripe_refunds;
DROP TABLE invoice_payments;
DROP TABLE stripe_refetches;
DROP TABLE stripe_events;
