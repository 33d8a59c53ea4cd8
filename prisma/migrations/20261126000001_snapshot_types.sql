-- What a snapshot of Stripe's objects holds, declared once for all statements that write one. They
-- read it with jsonb_populate_recordset. Code that runs reads these types: they only ever grow.

-- migrate:up
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
    billing_cycle text,
    current_period_start timestamptz,
    current_period_end timestamptz,
    trial_end timestamptz,
    cancel_at_period_end boolean,
    cancel_at timestamptz,
    canceled_at timestamptz,
    ended_at timestamptz,
    collection_paused boolean,
    items jsonb,
    items_complete boolean,
    since timestamptz,
    as_of timestamptz,
    event_id text
);
COMMENT ON TYPE billing_subscription_snapshot IS 'A Stripe subscription as the mirror writes it; items holds an array of billing_subscription_item_snapshot';

CREATE TYPE billing_subscription_item_snapshot AS (
    stripe_subscription_item_id text,
    stripe_price_id text,
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
    event_id text
);
COMMENT ON TYPE billing_invoice_snapshot IS 'A Stripe invoice as the mirror writes it';

-- migrate:down
DROP TYPE billing_invoice_snapshot;
DROP TYPE billing_subscription_item_snapshot;
DROP TYPE billing_subscription_snapshot;
