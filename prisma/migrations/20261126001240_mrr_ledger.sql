-- The ledger of the monthly recurring revenue. What is kept of a subscription are the states in which it was seen,
-- dated by Stripe; the ledger is computed from them, so it does not depend on the order in which they came. How and
-- why: docs/decisions/0063-the-mrr-ledger.md.

-- migrate:up
CREATE TABLE billing_revenue_states (
    subscription_id uuid NOT NULL,
    at timestamptz NOT NULL,
    livemode boolean NOT NULL,
    billed boolean NOT NULL,
    began_at timestamptz,
    state jsonb NOT NULL,
    PRIMARY KEY (subscription_id, at)
);
COMMENT ON TABLE billing_revenue_states IS 'What a subscription was charged from a time on: a row for each change, by Stripe''s clock';
COMMENT ON COLUMN billing_revenue_states.subscription_id IS 'The subscription; its row may have been deleted since';
COMMENT ON COLUMN billing_revenue_states.at IS 'The time of the event that shows it, or of the answer if it was fetched; of an end, when it ended';
COMMENT ON COLUMN billing_revenue_states.livemode IS 'Whether it is in Stripe''s live mode';
COMMENT ON COLUMN billing_revenue_states.billed IS 'Whether it was active or past due';
COMMENT ON COLUMN billing_revenue_states.began_at IS 'Since when it was charged at the latest, as far as this snapshot says; counts if nothing earlier is known. Null: it does not say';
COMMENT ON COLUMN billing_revenue_states.state IS 'Its currency, and its items and discounts: what its revenue depends on';

-- What a discount takes off never changes, but is learned later than that a subscription has it.
CREATE TABLE billing_discount_terms (
    subscription_id uuid NOT NULL,
    stripe_discount_id text NOT NULL,
    percent_off numeric,
    amount_off bigint,
    currency text,
    duration text,
    stripe_product_ids text[],
    ends_at timestamptz,
    PRIMARY KEY (subscription_id, stripe_discount_id)
);
COMMENT ON TABLE billing_discount_terms IS 'The terms of the discounts that billing_revenue_states names, also of those that are gone';
COMMENT ON COLUMN billing_discount_terms.subscription_id IS 'The subscription';
COMMENT ON COLUMN billing_discount_terms.stripe_discount_id IS 'di_...';
COMMENT ON COLUMN billing_discount_terms.percent_off IS 'As in subscription_discounts';
COMMENT ON COLUMN billing_discount_terms.amount_off IS 'As in subscription_discounts';
COMMENT ON COLUMN billing_discount_terms.currency IS 'As in subscription_discounts';
COMMENT ON COLUMN billing_discount_terms.duration IS 'As in subscription_discounts';
COMMENT ON COLUMN billing_discount_terms.stripe_product_ids IS 'As in subscription_discounts';
COMMENT ON COLUMN billing_discount_terms.ends_at IS 'As in subscription_discounts';

CREATE TABLE billing_mrr_ledger (
    subscription_id uuid NOT NULL,
    currency text NOT NULL,
    at timestamptz NOT NULL,
    livemode boolean NOT NULL,
    amount numeric NOT NULL,
    change numeric NOT NULL CHECK (change <> 0),
    PRIMARY KEY (subscription_id, currency, at)
);
CREATE INDEX billing_mrr_ledger_at_idx ON billing_mrr_ledger (at);
COMMENT ON TABLE billing_mrr_ledger IS 'Each change of what a subscription adds to the monthly recurring revenue; the sum of changes until a time is the revenue then';
COMMENT ON COLUMN billing_mrr_ledger.subscription_id IS 'The subscription; its row may have been deleted since';
COMMENT ON COLUMN billing_mrr_ledger.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_ledger.at IS 'When it changed, by Stripe''s clock; in the future when a discount will end';
COMMENT ON COLUMN billing_mrr_ledger.livemode IS 'Whether it is in Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_ledger.amount IS 'Minor units per month from then on, not rounded';
COMMENT ON COLUMN billing_mrr_ledger.change IS 'By how much that is more than before';

-- Runs at the end of a transaction that has changed what a subscription is charged, once for each subscription:
-- several statements write one. With the rights of its owner, as billing_note_revenue.
-- Between a step down and the next up there are no routines; what is changed then is recorded with the next change.
CREATE FUNCTION billing_record_revenue() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF to_regprocedure('billing_record_revenue_v1(uuid)') IS NOT NULL THEN
        PERFORM billing_record_revenue_v1(NEW.subscription_id);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_record_revenue() IS 'Keeps the ledger of a subscription whose revenue may have changed, with the rights of its owner';
REVOKE EXECUTE ON FUNCTION billing_record_revenue() FROM PUBLIC;
CREATE CONSTRAINT TRIGGER billing_record_revenue
AFTER INSERT ON billing_revenue_changes
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION billing_record_revenue();

-- migrate:down
DROP TRIGGER billing_record_revenue ON billing_revenue_changes;
DROP FUNCTION billing_record_revenue();
DROP TABLE billing_mrr_ledger;
DROP TABLE billing_discount_terms;
DROP TABLE billing_revenue_states;
