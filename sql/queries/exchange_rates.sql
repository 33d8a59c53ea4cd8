-- Rates for figures of several currencies as one.

-- Tables: billing_exchange_rates
--
-- CREATE TABLE billing_exchange_rates (
--     from_currency text NOT NULL,
--     to_currency text NOT NULL,
--     begins_on date NOT NULL,
--     rate numeric NOT NULL,
--     set_by text NOT NULL,
--     set_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT billing_exchange_rates_check CHECK ((from_currency <> to_currency)),
--     CONSTRAINT billing_exchange_rates_from_currency_check CHECK ((from_currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT billing_exchange_rates_rate_check CHECK ((rate > (0)::numeric)),
--     CONSTRAINT billing_exchange_rates_to_currency_check CHECK ((to_currency ~ '^[a-z]{3}$'::text))
-- );
-- ALTER TABLE ONLY billing_exchange_rates ADD CONSTRAINT billing_exchange_rates_pkey PRIMARY KEY (from_currency, to_currency, begins_on);

-- name: list_rates()
SELECT
    r.from_currency,
    r.to_currency,
    r.begins_on,
    r.rate,
    r.set_by,
    r.set_at
FROM billing_exchange_rates AS r
ORDER BY r.from_currency, r.to_currency, r.begins_on;

-- name: set_rate(from_currency, to_currency, begins_on, rate, set_by)$
-- Returns the rate that it replaces, if there is one of that day.
WITH former AS (
    SELECT r.rate
    FROM billing_exchange_rates AS r
    WHERE r.from_currency = :from_currency::text
      AND r.to_currency = :to_currency::text
      AND r.begins_on = :begins_on::date
),
stored AS (
    INSERT INTO billing_exchange_rates (from_currency, to_currency, begins_on, rate, set_by)
    VALUES (:from_currency::text, :to_currency::text, :begins_on::date, :rate::numeric, :set_by::text)
    ON CONFLICT (from_currency, to_currency, begins_on) DO UPDATE
    SET rate = excluded.rate,
        set_by = excluded.set_by,
        set_at = now()
)
SELECT former.rate FROM former;

-- name: remove_rate(from_currency, to_currency, begins_on)$
-- Returns the rate; null: there is none of that day.
DELETE FROM billing_exchange_rates
WHERE from_currency = :from_currency::text
  AND to_currency = :to_currency::text
  AND begins_on = :begins_on::date
RETURNING rate;
