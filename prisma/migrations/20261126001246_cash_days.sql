-- What came and went on each day, kept so that a year of payments need not be read to show its months.
-- How and why: docs/decisions/0068-movements-kept-as-sums.md.

-- migrate:up
CREATE TABLE billing_cash_days (
    day date NOT NULL,
    livemode boolean NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL,
    number bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (day, livemode, currency, kind)
);
COMMENT ON TABLE billing_cash_days IS 'What billing_cash_of_day_v1 says of the days of billing_cash_folds';
COMMENT ON COLUMN billing_cash_days.day IS 'The day, UTC';
COMMENT ON COLUMN billing_cash_days.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_cash_days.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_cash_days.kind IS 'collected, refunded, disputed or tax; failed: payments that first failed on this day; recovered: those of them that have succeeded since';
COMMENT ON COLUMN billing_cash_days.number IS 'How many payments, refunds, disputes, or taxes of documents';
COMMENT ON COLUMN billing_cash_days.amount IS 'Minor units';

CREATE TABLE billing_cash_folds (
    day date PRIMARY KEY,
    folded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX billing_cash_folds_folded_idx ON billing_cash_folds (folded_at);
COMMENT ON TABLE billing_cash_folds IS 'The days that billing_cash_days has: none of the latest, which still change';
COMMENT ON COLUMN billing_cash_folds.day IS 'The day, UTC';
COMMENT ON COLUMN billing_cash_folds.folded_at IS 'When it was computed; each is again, in turn';

CREATE TABLE billing_cash_changes (
    day date NOT NULL,
    changed_in xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (day, changed_in)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE billing_cash_changes IS 'Days of which billing_cash_days may say something else than the rows do now';
COMMENT ON COLUMN billing_cash_changes.day IS 'The day, UTC';
COMMENT ON COLUMN billing_cash_changes.changed_in IS 'The transaction that changed it: no two share a row, so none waits and none is overlooked';

-- With the rights of its owner, as billing_note_revenue. Rows of the last day need no note: their days are not kept yet. What a
-- charge of the last hours may change in an older day, fold_cash looks for.
CREATE FUNCTION billing_note_cash() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    INSERT INTO billing_cash_changes (day)
    SELECT (changed.at AT TIME ZONE 'UTC')::date
    FROM unnest(ARRAY[OLD.stripe_created, NEW.stripe_created]) AS changed (at)
    WHERE changed.at < now() - interval '1 day'
    UNION
    -- a payment that had failed before has succeeded
    SELECT (failed.stripe_created AT TIME ZONE 'UTC')::date
    FROM stripe_charges AS failed
    WHERE failed.stripe_payment_intent_id IN (OLD.stripe_payment_intent_id, NEW.stripe_payment_intent_id)
      AND failed.status = 'failed'
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_cash() IS 'Notes the day of a payment, refund or dispute that is known or changed late, with the rights of its owner';
REVOKE EXECUTE ON FUNCTION billing_note_cash() FROM PUBLIC;
CREATE TRIGGER billing_note_cash
AFTER INSERT ON stripe_charges
FOR EACH ROW WHEN (NEW.stripe_created < now() - interval '2 hours')
EXECUTE FUNCTION billing_note_cash();
CREATE TRIGGER billing_note_changed_cash
AFTER UPDATE ON stripe_charges
FOR EACH ROW WHEN (
    (OLD.livemode, OLD.stripe_created, OLD.currency, OLD.status, OLD.amount, OLD.amount_captured, OLD.stripe_payment_intent_id)
    IS DISTINCT FROM
    (NEW.livemode, NEW.stripe_created, NEW.currency, NEW.status, NEW.amount, NEW.amount_captured, NEW.stripe_payment_intent_id)
) EXECUTE FUNCTION billing_note_cash();
CREATE TRIGGER billing_note_lost_cash
AFTER DELETE ON stripe_charges
FOR EACH ROW EXECUTE FUNCTION billing_note_cash();
CREATE TRIGGER billing_note_cash
AFTER INSERT OR UPDATE OR DELETE ON stripe_refunds
FOR EACH ROW EXECUTE FUNCTION billing_note_cash();
CREATE TRIGGER billing_note_cash
AFTER INSERT OR UPDATE OR DELETE ON stripe_disputes
FOR EACH ROW EXECUTE FUNCTION billing_note_cash();

-- migrate:down
DROP TRIGGER billing_note_cash ON stripe_disputes;
DROP TRIGGER billing_note_cash ON stripe_refunds;
DROP TRIGGER billing_note_lost_cash ON stripe_charges;
DROP TRIGGER billing_note_changed_cash ON stripe_charges;
DROP TRIGGER billing_note_cash ON stripe_charges;
DROP FUNCTION billing_note_cash();
DROP TABLE billing_cash_changes;
DROP TABLE billing_cash_folds;
DROP TABLE billing_cash_days;
