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

-- Runs at the end of a transaction that has changed what subscriptions are charged, once for all of them: several
-- statements write one. With the rights of its owner, as billing_note_revenue.
-- The first note of a transaction calls it, and says so in a setting that only the transaction sees; what is noted after it
-- has run calls it again. A savepoint that is rolled back takes note, call and setting with it.
-- Between a step down and the next up there are no routines; what is changed then is recorded with the next change.
CREATE FUNCTION billing_record_revenue() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM
        set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE),
        set_config('mpanel_billing.revenue_is_noted', 'off', TRUE);
    IF to_regprocedure('billing_record_noted_v1()') IS NOT NULL THEN
        PERFORM billing_record_noted_v1();
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_record_revenue() IS 'Keeps the ledger of the subscriptions whose revenue a transaction may have changed, with the rights of its owner';
REVOKE EXECUTE ON FUNCTION billing_record_revenue() FROM PUBLIC;
CREATE CONSTRAINT TRIGGER billing_record_revenue
AFTER INSERT OR UPDATE ON billing_revenue_changes
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (
    CASE
        WHEN current_setting('mpanel_billing.revenue_is_noted', TRUE) = 'on' THEN FALSE
        ELSE set_config('mpanel_billing.revenue_is_noted', 'on', TRUE) = 'on'
    END
) EXECUTE FUNCTION billing_record_revenue();

-- What is kept of the ledger, so that nobody has to read all of it: the movements of each customer, and the sums of all by
-- period and by cohort. The worker brings them up to date every minute; what it has not yet is in the view
-- billing_mrr_unfolded (docs/decisions/0068-movements-kept-as-sums.md).
CREATE TABLE billing_mrr_days (
    customer_id uuid NOT NULL,
    livemode boolean NOT NULL,
    currency text NOT NULL,
    day date NOT NULL,
    kind text NOT NULL,
    change numeric NOT NULL,
    amount numeric NOT NULL,
    started_on date NOT NULL,
    PRIMARY KEY (customer_id, livemode, currency, day)
);
COMMENT ON TABLE billing_mrr_days IS 'What billing_customer_mrr has of each customer, as it was last folded';
COMMENT ON COLUMN billing_mrr_days.customer_id IS 'As in billing_customer_mrr';
COMMENT ON COLUMN billing_mrr_days.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_days.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_days.day IS 'The day, UTC';
COMMENT ON COLUMN billing_mrr_days.kind IS 'new, expansion, contraction, churn or reactivation';
COMMENT ON COLUMN billing_mrr_days.change IS 'Minor units per month, not rounded';
COMMENT ON COLUMN billing_mrr_days.amount IS 'What it was at the end of the day, not rounded';
COMMENT ON COLUMN billing_mrr_days.started_on IS 'The first such day of the customer';

CREATE TABLE billing_mrr_periods (
    livemode boolean NOT NULL,
    period text NOT NULL,
    starts_on date NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL,
    customers bigint NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (livemode, period, starts_on, currency, kind)
) WITH (fillfactor = 50);
COMMENT ON TABLE billing_mrr_periods IS 'The sums of billing_mrr_days by period; rows of the present one change in place, on half-empty pages';
COMMENT ON COLUMN billing_mrr_periods.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_periods.period IS 'day, week or month';
COMMENT ON COLUMN billing_mrr_periods.starts_on IS 'The first day of the period, UTC';
COMMENT ON COLUMN billing_mrr_periods.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_periods.kind IS 'new, expansion, contraction, churn or reactivation';
COMMENT ON COLUMN billing_mrr_periods.customers IS 'How many rows of billing_mrr_days';
COMMENT ON COLUMN billing_mrr_periods.amount IS 'The sum of their changes';

CREATE TABLE billing_mrr_cohorts (
    livemode boolean NOT NULL,
    currency text NOT NULL,
    cohort date NOT NULL,
    month date NOT NULL,
    began bigint NOT NULL,
    customers bigint NOT NULL,
    began_with numeric NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (livemode, currency, cohort, month)
) WITH (fillfactor = 50);
COMMENT ON TABLE billing_mrr_cohorts IS 'The sums of billing_mrr_days by the month in which customers began to pay, and the month of the change';
COMMENT ON COLUMN billing_mrr_cohorts.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_mrr_cohorts.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_mrr_cohorts.cohort IS 'The first day of the month in which they began to pay, UTC';
COMMENT ON COLUMN billing_mrr_cohorts.month IS 'The first day of the month of the changes';
COMMENT ON COLUMN billing_mrr_cohorts.began IS 'How many began in the month';
COMMENT ON COLUMN billing_mrr_cohorts.customers IS 'How many more of them pay than before the month';
COMMENT ON COLUMN billing_mrr_cohorts.began_with IS 'What those who began in the month paid on their first day';
COMMENT ON COLUMN billing_mrr_cohorts.amount IS 'How much more they pay than before the month';

CREATE TABLE billing_mrr_folds (
    is_only boolean PRIMARY KEY DEFAULT TRUE CHECK (is_only),
    folded_until timestamptz NOT NULL
);
COMMENT ON TABLE billing_mrr_folds IS 'Until when the ledger is in billing_mrr_days: one row; none before the first time';
COMMENT ON COLUMN billing_mrr_folds.is_only IS 'True';
COMMENT ON COLUMN billing_mrr_folds.folded_until IS 'What lies later in the ledger is in the future, or due to be folded';

CREATE TABLE billing_mrr_changes (
    noted_id uuid NOT NULL,
    changed_in xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (noted_id, changed_in)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE billing_mrr_changes IS 'Of whom billing_mrr_days may have something else than the ledger';
COMMENT ON COLUMN billing_mrr_changes.noted_id IS 'A subscription: whoever has it now; or a customer, who had one';
COMMENT ON COLUMN billing_mrr_changes.changed_in IS 'The transaction that changed it: no two share a row, so none waits and none is overlooked';

-- With the rights of its owner, as billing_note_revenue. A subscription that changes its customer changes the past of two.
CREATE FUNCTION billing_note_mrr() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog
SET enable_seqscan = off AS $$
DECLARE
    changed uuid[];
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF TG_LEVEL = 'STATEMENT' AND TG_TABLE_NAME = 'billing_mrr_ledger' THEN
        changed := ARRAY(SELECT w.subscription_id FROM written AS w);
    ELSIF TG_LEVEL = 'STATEMENT' THEN
        -- those that come back: of a new one nothing is in the ledger yet
        changed := ARRAY(
            SELECT w.id
            FROM written AS w
            WHERE EXISTS (SELECT 1 FROM billing_mrr_ledger AS l WHERE l.subscription_id = w.id OFFSET 0)
        );
    ELSIF TG_TABLE_NAME = 'billing_mrr_ledger' THEN
        changed := ARRAY[OLD.subscription_id, NEW.subscription_id];
    ELSIF TG_TABLE_NAME = 'billing_deleted_subscriptions' THEN
        changed := ARRAY[
            OLD.subscription_id, (OLD.subscription ->> 'customer_id')::uuid, NEW.subscription_id
        ];
    ELSE
        changed := ARRAY[OLD.id, OLD.customer_id, NEW.id];
    END IF;
    IF changed = '{}' THEN
        RETURN NULL;
    END IF;
    INSERT INTO billing_mrr_changes (noted_id)
    SELECT noted.id
    FROM unnest(changed) AS noted (id)
    WHERE noted.id IS NOT NULL
    UNION
    SELECT (gone.subscription ->> 'customer_id')::uuid
    FROM billing_deleted_subscriptions AS gone
    WHERE gone.subscription_id = ANY(changed)
      AND gone.subscription ->> 'customer_id' IS NOT NULL
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_mrr() IS 'Notes of whom the ledger has changed, with the rights of its owner';
REVOKE EXECUTE ON FUNCTION billing_note_mrr() FROM PUBLIC;
-- a statement writes the entries of many new subscriptions: one call for all
CREATE TRIGGER billing_note_new_mrr
AFTER INSERT ON billing_mrr_ledger
REFERENCING NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION billing_note_mrr();
CREATE TRIGGER billing_note_changed_mrr
AFTER UPDATE OR DELETE ON billing_mrr_ledger
FOR EACH ROW EXECUTE FUNCTION billing_note_mrr();
CREATE TRIGGER billing_note_mrr
AFTER INSERT OR DELETE OR UPDATE OF subscription ON billing_deleted_subscriptions
FOR EACH ROW EXECUTE FUNCTION billing_note_mrr();

-- migrate:down
DROP TRIGGER billing_note_mrr ON billing_deleted_subscriptions;
DROP TRIGGER billing_note_changed_mrr ON billing_mrr_ledger;
DROP TRIGGER billing_note_new_mrr ON billing_mrr_ledger;
DROP FUNCTION billing_note_mrr();
DROP TABLE billing_mrr_changes;
DROP TABLE billing_mrr_folds;
DROP TABLE billing_mrr_cohorts;
DROP TABLE billing_mrr_periods;
DROP TABLE billing_mrr_days;
DROP TRIGGER billing_record_revenue ON billing_revenue_changes;
DROP FUNCTION billing_record_revenue();
DROP TABLE billing_mrr_ledger;
DROP TABLE billing_discount_terms;
DROP TABLE billing_revenue_states;
