-- What a service answers when it has made an account, for its owner to log in with.

-- migrate:up
CREATE TABLE billing_access_data (
    subscription_id uuid NOT NULL,
    product_type text NOT NULL,
    generation bigint NOT NULL,
    sealed text,
    created_at timestamptz NOT NULL DEFAULT now(),
    handed_out_at timestamptz,
    handed_out_to text,
    PRIMARY KEY (subscription_id, product_type),
    -- an account that is taken over keeps it
    FOREIGN KEY (subscription_id, product_type) REFERENCES tenant_services ON UPDATE CASCADE ON DELETE CASCADE,
    CHECK ((handed_out_at IS NULL) = (handed_out_to IS NULL)),
    -- once and no more
    CHECK (handed_out_at IS NULL OR sealed IS NULL)
);
CREATE INDEX billing_access_data_waiting_idx ON billing_access_data (created_at)
WHERE sealed IS NOT NULL;
COMMENT ON TABLE billing_access_data IS 'Access data of accounts, from when they are made until they are handed out, once';
COMMENT ON COLUMN billing_access_data.subscription_id IS 'The subscription that has the account';
COMMENT ON COLUMN billing_access_data.product_type IS 'Its product type';
COMMENT ON COLUMN billing_access_data.generation IS 'Number of the command that made the account';
COMMENT ON COLUMN billing_access_data.sealed IS 'User name, server and one-time link, encrypted under ENCRYPTION_KEYS; null: handed out, or too old';
COMMENT ON COLUMN billing_access_data.created_at IS 'When the service answered it';
COMMENT ON COLUMN billing_access_data.handed_out_at IS 'When it was handed out; null: it was not';
COMMENT ON COLUMN billing_access_data.handed_out_to IS 'The key or user that got it';

-- migrate:down
DROP TABLE billing_access_data;
