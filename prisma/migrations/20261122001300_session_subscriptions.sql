-- Which subscription each session has led to: an order that was paid through two of its sessions has
-- two of them.

-- migrate:up
ALTER TABLE checkout_sessions
    ADD COLUMN stripe_subscription_id text;
COMMENT ON COLUMN checkout_sessions.stripe_subscription_id IS 'sub_... that its payment began; null: not paid';

-- migrate:down
ALTER TABLE checkout_sessions
    DROP COLUMN stripe_subscription_id;
