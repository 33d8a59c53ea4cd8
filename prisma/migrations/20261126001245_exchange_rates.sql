-- Rates that the operator sets, for figures of several currencies as one.

-- migrate:up
CREATE TABLE billing_exchange_rates (
    from_currency text NOT NULL CHECK (from_currency ~ '^[a-z]{3}$'),
    to_currency text NOT NULL CHECK (to_currency ~ '^[a-z]{3}$'),
    begins_on date NOT NULL,
    rate numeric NOT NULL CHECK (rate > 0),
    set_by text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (from_currency, to_currency, begins_on),
    CHECK (from_currency <> to_currency)
);
COMMENT ON TABLE billing_exchange_rates IS 'At which rates figures of several currencies are shown as one';
COMMENT ON COLUMN billing_exchange_rates.from_currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_exchange_rates.to_currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_exchange_rates.begins_on IS 'The first day (UTC) on which it counts, until the next one of these currencies';
COMMENT ON COLUMN billing_exchange_rates.rate IS 'How much of to_currency a unit of from_currency is';
COMMENT ON COLUMN billing_exchange_rates.set_by IS 'Who set it';
COMMENT ON COLUMN billing_exchange_rates.set_at IS 'When it was set';

-- migrate:down
DROP TABLE billing_exchange_rates;
