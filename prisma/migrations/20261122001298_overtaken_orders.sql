-- An order that its buyer has changed is called off; Stripe's recovery link may bring it back all the same.

-- migrate:up
ALTER TABLE orders
    ADD COLUMN overtaken_at timestamptz;
COMMENT ON COLUMN orders.overtaken_at IS 'When the buyer ordered something else instead; null: it stands';

-- migrate:down
ALTER TABLE orders
    DROP COLUMN overtaken_at;
