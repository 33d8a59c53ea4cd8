-- Refunds, mirrored like invoices and their payments.

-- migrate:up
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
    stripe_created timestamptz NOT NULL,
    stripe_as_of_since timestamptz NOT NULL,
    stripe_as_of timestamptz NOT NULL,
    stripe_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (stripe_as_of_since <= stripe_as_of)
);
CREATE INDEX stripe_refunds_payment_intent_idx ON stripe_refunds (stripe_payment_intent_id);
COMMENT ON TABLE stripe_refunds IS 'Money given back; invoice_payments tells of which invoice, by the payment intent';
COMMENT ON COLUMN stripe_refunds.stripe_refund_id IS 're_...';
COMMENT ON COLUMN stripe_refunds.livemode IS 'Mode of Stripe that the ids belong to';
COMMENT ON COLUMN stripe_refunds.stripe_payment_intent_id IS 'pi_... that is given back; null: a charge without one';
COMMENT ON COLUMN stripe_refunds.stripe_charge_id IS 'ch_... that is given back';
COMMENT ON COLUMN stripe_refunds.amount IS 'Minor units of currency';
COMMENT ON COLUMN stripe_refunds.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN stripe_refunds.status IS 'Stripes word; failed and canceled ones gave nothing back';
COMMENT ON COLUMN stripe_refunds.reason IS 'Stripes word: duplicate, fraudulent, requested_by_customer; null: none was given';
COMMENT ON COLUMN stripe_refunds.stripe_created IS 'When Stripe made it';
COMMENT ON COLUMN stripe_refunds.stripe_as_of_since IS 'Earliest moment that the mirrored snapshot may describe';
COMMENT ON COLUMN stripe_refunds.stripe_as_of IS 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock';
COMMENT ON COLUMN stripe_refunds.stripe_event_id IS 'The event whose snapshot this row mirrors; null: fetched from Stripe';
COMMENT ON COLUMN stripe_refunds.created_at IS 'When this row was made';
COMMENT ON COLUMN stripe_refunds.updated_at IS 'When this row was last changed';

ALTER TABLE stripe_refetches
    -- one more kind of object may be asked for: whatever was allowed still is
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT stripe_refetches_object_type_check,
    ADD CONSTRAINT stripe_refetches_object_type_check CHECK (object_type IN (
        'subscription', 'invoice', 'checkout.session', 'customer', 'invoice_payment', 'refund'
    )) NOT VALID;

-- migrate:down
DELETE FROM stripe_refetches
WHERE object_type = 'refund';
ALTER TABLE stripe_refetches
    DROP CONSTRAINT stripe_refetches_object_type_check,
    ADD CONSTRAINT stripe_refetches_object_type_check CHECK (object_type IN (
        'subscription', 'invoice', 'checkout.session', 'customer', 'invoice_payment'
    ));
DROP TABLE stripe_refunds;
