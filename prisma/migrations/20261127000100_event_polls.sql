-- Asking Stripe for events while buyers are on a payment page and no webhook arrives.

-- migrate:up
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
