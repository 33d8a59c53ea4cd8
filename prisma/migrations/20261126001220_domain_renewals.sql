-- Years of domains that are charged by themselves: one row for each domain and year, from the charge to the
-- registrar's answer. Also the first year of a name that was chosen in place of one that could not be had.
-- Why: docs/decisions/0049-a-renewal-is-a-row.md.

-- migrate:up
CREATE TABLE billing_domain_renewals (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    domain_id uuid NOT NULL REFERENCES billing_domains ON DELETE CASCADE,
    expires_on date,
    state text NOT NULL DEFAULT 'due' CHECK (state IN (
        'due', 'charged', 'paid', 'renewed', 'unpaid', 'withdrawn', 'refused'
    )),
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    livemode boolean NOT NULL,
    pay_by timestamptz NOT NULL,
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    params jsonb CHECK (params ->> 'way' IN ('plan', 'own')),
    stripe_item_id text,
    stripe_invoice_id text,
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    last_error text,
    next_attempt_at timestamptz,
    leased_until timestamptz,
    paid_at timestamptz,
    renewed_at timestamptz,
    given_back_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- a year is charged once
    UNIQUE (domain_id, expires_on),
    CHECK (state <> 'charged' OR num_nonnulls(stripe_item_id, stripe_invoice_id) > 0),
    -- no line of the plan's invoice pays for a first year
    CHECK (expires_on IS NOT NULL OR params ->> 'way' = 'own'),
    -- the registrar is asked for nothing that was not paid
    CHECK ((state IN ('paid', 'renewed', 'refused')) = (paid_at IS NOT NULL)),
    CHECK ((state = 'renewed') = (renewed_at IS NOT NULL)),
    CHECK (given_back_at IS NULL OR state = 'refused')
);
-- Also if somebody moves the day of expiry while it is charged.
CREATE UNIQUE INDEX billing_domain_renewals_open_key ON billing_domain_renewals (domain_id)
WHERE state IN ('due', 'charged', 'paid');
CREATE UNIQUE INDEX billing_domain_renewals_first_key ON billing_domain_renewals (domain_id)
WHERE expires_on IS NULL;
CREATE INDEX billing_domain_renewals_work_idx ON billing_domain_renewals (next_attempt_at)
WHERE next_attempt_at IS NOT NULL;
CREATE INDEX billing_domain_renewals_unpaid_idx ON billing_domain_renewals (stripe_invoice_id)
WHERE state IN ('charged', 'unpaid', 'withdrawn') AND stripe_invoice_id IS NOT NULL;
CREATE INDEX billing_domain_renewals_troubled_idx ON billing_domain_renewals (domain_id)
WHERE last_error IS NOT NULL OR state = 'paid';
COMMENT ON TABLE billing_domain_renewals IS 'What is charged for years of domains by themselves, once for each domain and year, and what became of it';
COMMENT ON COLUMN billing_domain_renewals.id IS 'Ours; with attempt, part of the idempotency keys at Stripe and at the registrar';
COMMENT ON COLUMN billing_domain_renewals.domain_id IS 'The domain';
COMMENT ON COLUMN billing_domain_renewals.expires_on IS 'The day of expiry (UTC) that it moves by a year; null: it is the first one of a name that was chosen in place of a lost one';
COMMENT ON COLUMN billing_domain_renewals.state IS 'due; charged: Stripe collects it; paid: the registrar is to renew; renewed: the registrar has it; unpaid: it was not paid in time; withdrawn: the customer does not want it; refused: the registrar does not do it, the money goes back';
COMMENT ON COLUMN billing_domain_renewals.amount IS 'In minor units, as the customer was told, before taxes that are not included';
COMMENT ON COLUMN billing_domain_renewals.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN billing_domain_renewals.livemode IS 'Whether it is charged in Stripe''s live mode';
COMMENT ON COLUMN billing_domain_renewals.pay_by IS 'When it is given up, if it is not paid: the moment of expiry, or later if it was asked for then';
COMMENT ON COLUMN billing_domain_renewals.attempt IS 'Grows only after Stripe has certainly done nothing, or what it did was taken back';
COMMENT ON COLUMN billing_domain_renewals.params IS 'How this attempt is charged: way (plan: a line on the invoice of the plan; own: an invoice of its own), and what Stripe is sent; null: not begun';
COMMENT ON COLUMN billing_domain_renewals.stripe_item_id IS 'ii_... of the line';
COMMENT ON COLUMN billing_domain_renewals.stripe_invoice_id IS 'in_... that it is on; null: on none yet';
COMMENT ON COLUMN billing_domain_renewals.failures IS 'Tries in a row that have failed';
COMMENT ON COLUMN billing_domain_renewals.last_error IS 'Why the latest try failed; null: it did not';
COMMENT ON COLUMN billing_domain_renewals.next_attempt_at IS 'When a worker looks at it; null: there is nothing to do but to wait for Stripe';
COMMENT ON COLUMN billing_domain_renewals.leased_until IS 'Until when one worker has it; null: none has';
COMMENT ON COLUMN billing_domain_renewals.paid_at IS 'When it was found paid';
COMMENT ON COLUMN billing_domain_renewals.renewed_at IS 'When the registrar was seen to have it';
COMMENT ON COLUMN billing_domain_renewals.given_back_at IS 'When the money of a refused one was refunded';
COMMENT ON COLUMN billing_domain_renewals.created_at IS 'When it became due';
COMMENT ON COLUMN billing_domain_renewals.updated_at IS 'When this row was last changed';

CREATE FUNCTION billing_domain_message(
    id uuid,
    state text,
    expires_at timestamptz,
    auto_renew boolean,
    renewal_price bigint,
    currency text
) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('domain', jsonb_build_object(
        'id', id,
        'state', state,
        'expiresAt', expires_at,
        'autoRenew', auto_renew,
        'renewalPrice', renewal_price,
        'currency', currency
    ))
$$;
COMMENT ON FUNCTION billing_domain_message(uuid, text, timestamptz, boolean, bigint, text) IS 'A domain as messages tell it; its name is added when one is sent';

CREATE FUNCTION billing_tell_domain() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'domain.expired',
        NEW.id::text,
        extract(epoch FROM NEW.expires_at)::text,
        s.livemode,
        NEW.subscription_id,
        NEW.customer_id,
        now(),
        billing_domain_message(
            NEW.id, NEW.state, NEW.expires_at, NEW.auto_renew, NEW.renewal_price, NEW.currency
        )
    )
    FROM (
        SELECT theirs.livemode
        FROM subscriptions AS theirs
        WHERE theirs.customer_id = NEW.customer_id
          AND theirs.livemode IS NOT NULL
        ORDER BY theirs.id IS NOT DISTINCT FROM NEW.subscription_id DESC, theirs.created_at DESC
        LIMIT 1
    ) AS s;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_domain() IS 'Records domain.expired, once for each day of expiry';
CREATE TRIGGER billing_tell_domain AFTER UPDATE ON billing_domains
FOR EACH ROW WHEN (NEW.state = 'expired' AND OLD.state <> 'expired')
EXECUTE FUNCTION billing_tell_domain();
REVOKE EXECUTE ON FUNCTION billing_tell_domain() FROM PUBLIC;

-- migrate:down
DROP TRIGGER billing_tell_domain ON billing_domains;
DROP FUNCTION billing_tell_domain();
DROP FUNCTION billing_domain_message(uuid, text, timestamptz, boolean, bigint, text);
DROP TABLE billing_domain_renewals;
