-- An order by somebody who has proved nothing never touches one that mPanel's backend has sent.

-- migrate:up
ALTER TABLE orders
    ADD COLUMN vouched boolean NOT NULL DEFAULT FALSE;
COMMENT ON COLUMN orders.vouched IS 'mPanel''s backend vouches for the buyer: it runs on her own Stripe customer';

-- migrate:down
ALTER TABLE orders
    DROP COLUMN vouched;
