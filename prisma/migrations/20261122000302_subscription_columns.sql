-- Our columns on mPanel's subscriptions; see product_columns.

-- migrate:up
ALTER TABLE subscriptions
    ADD COLUMN IF NOT EXISTS billing_provider text
        CONSTRAINT billing_subscriptions_provider_check CHECK (billing_provider = 'stripe'),
    ADD COLUMN IF NOT EXISTS livemode boolean,
    ADD COLUMN IF NOT EXISTS stripe_status text
        CONSTRAINT billing_subscriptions_stripe_status_check CHECK (stripe_status IN (
            'incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'unpaid', 'paused', 'canceled'
        )),
    ADD COLUMN IF NOT EXISTS stripe_customer_id text,
    ADD COLUMN IF NOT EXISTS stripe_subscription_id text,
    ADD COLUMN IF NOT EXISTS stripe_payment_intent_id text,
    ADD COLUMN IF NOT EXISTS checkout_session_id text,
    ADD COLUMN IF NOT EXISTS currency text
        CONSTRAINT billing_subscriptions_currency_check CHECK (currency ~ '^[a-z]{3}$'),
    ADD COLUMN IF NOT EXISTS amount bigint,
    ADD COLUMN IF NOT EXISTS current_period_start timestamptz,
    ADD COLUMN IF NOT EXISTS current_period_end timestamptz,
    ADD COLUMN IF NOT EXISTS trial_end timestamptz,
    ADD COLUMN IF NOT EXISTS cancel_at_period_end boolean,
    ADD COLUMN IF NOT EXISTS cancel_at timestamptz,
    ADD COLUMN IF NOT EXISTS canceled_at timestamptz,
    ADD COLUMN IF NOT EXISTS ended_at timestamptz,
    ADD COLUMN IF NOT EXISTS collection_paused boolean,
    ADD COLUMN IF NOT EXISTS initial_payment_settled boolean,
    ADD COLUMN IF NOT EXISTS stripe_as_of_since timestamptz,
    ADD COLUMN IF NOT EXISTS stripe_as_of timestamptz,
    ADD COLUMN IF NOT EXISTS stripe_event_id text;

ALTER TABLE subscriptions
    ADD CONSTRAINT billing_subscriptions_status_check CHECK (
        billing_provider IS NULL
        OR status IN ('provisional', 'pending', 'active', 'suspended', 'cancelled', 'expired')
    ) NOT VALID,
    ADD CONSTRAINT billing_subscriptions_not_due_in_mpanel_check CHECK (
        billing_provider IS NULL
        OR (auto_renew IS FALSE AND next_billing_date IS NULL)
    ) NOT VALID,
    ADD CONSTRAINT billing_subscriptions_mirror_check CHECK (
        billing_provider IS NULL
        OR (
            livemode IS NOT NULL
            AND currency IS NOT NULL
            AND amount IS NOT NULL
            AND (stripe_status IS NULL) = (stripe_as_of IS NULL)
            AND (stripe_as_of IS NULL) = (stripe_as_of_since IS NULL)
            AND stripe_as_of_since <= stripe_as_of
        )
    ) NOT VALID;

SELECT billing_record_additions('20261122000302');
SELECT billing_describe('subscriptions', described.column_name, described.description)
FROM (VALUES
    ('billing_provider', '"stripe": Stripe bills this row, and mPanel''s own biller must never see it as due; null: a row of mPanel''s'),
    ('livemode', 'Mode of Stripe that the ids belong to'),
    ('stripe_status', 'Stripe''s own word; status has ours'),
    ('stripe_customer_id', 'cus_... that is charged; a fresh one for each order by an unproved buyer'),
    ('stripe_subscription_id', 'sub_...; null until the order is paid'),
    ('stripe_payment_intent_id', 'Payment of the latest invoice that had one'),
    ('checkout_session_id', 'The latest Checkout session of the order; older ones are in checkout_sessions'),
    ('currency', 'ISO 4217, lower case as Stripe writes it'),
    ('amount', 'Recurring sum per term in minor units of currency, before discounts; price has it in major units'),
    ('current_period_start', 'The earliest start among the items'),
    ('current_period_end', 'The earliest end among the items'),
    ('trial_end', 'End of the free trial; null: there was none'),
    ('cancel_at_period_end', 'It ends with the current period'),
    ('cancel_at', 'It ends at this moment'),
    ('canceled_at', 'When the cancellation was asked for'),
    ('ended_at', 'When it ended'),
    ('collection_paused', 'Stripe collects no payment for now (pause_collection)'),
    ('initial_payment_settled', 'The first invoice is paid or was $0: the condition for provisioning the first time'),
    ('stripe_as_of_since', 'Earliest moment that the mirrored snapshot may describe; equals stripe_as_of unless it was fetched'),
    ('stripe_as_of', 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock'),
    ('stripe_event_id', 'The event whose snapshot this row mirrors; null: fetched from Stripe')
) AS described (column_name, description);

-- migrate:down
SELECT billing_revert_additions('20261122000302');
