-- Usage that is billed: what was reported, and the meter events by which Stripe is told of it.
-- Why: docs/decisions/0055-usage-is-sent-by-the-hour.md.

-- migrate:up
CREATE TABLE billing_meter_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number bigint GENERATED ALWAYS AS IDENTITY,
    subscription_id uuid NOT NULL,
    meter text NOT NULL,
    stripe_customer_id text NOT NULL,
    livemode boolean NOT NULL,
    value bigint NOT NULL,
    used_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state = ANY ('{waiting,sent,late,refused}')),
    first_tried_at timestamptz,
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    last_error text,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    settled_at timestamptz,
    settled_by text,
    settled_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    CHECK (num_nonnulls(settled_at, settled_by, settled_reason) IN (0, 3))
);
CREATE INDEX billing_meter_events_waiting_idx ON billing_meter_events (stripe_customer_id, meter, number)
WHERE state = 'waiting';
CREATE INDEX billing_meter_events_oldest_idx ON billing_meter_events (created_at)
WHERE state = 'waiting';
CREATE INDEX billing_meter_events_usage_idx ON billing_meter_events (subscription_id, meter, used_at);
CREATE INDEX billing_meter_events_created_idx ON billing_meter_events (created_at);
CREATE INDEX billing_meter_events_unbilled_idx ON billing_meter_events (subscription_id)
WHERE state = ANY ('{late,refused}') AND settled_at IS NULL;
CREATE INDEX billing_meter_events_failing_idx ON billing_meter_events (subscription_id)
WHERE state = 'waiting' AND failures > 0;
COMMENT ON TABLE billing_meter_events IS 'What Stripe is told of usage: the records of one subscription, meter and hour that came together';
COMMENT ON COLUMN billing_meter_events.id IS 'Ours; the identifier at Stripe';
COMMENT ON COLUMN billing_meter_events.number IS 'The order in which those of a customer and meter are sent';
COMMENT ON COLUMN billing_meter_events.subscription_id IS 'Whose usage it is; no reference, because mPanel may delete the row';
COMMENT ON COLUMN billing_meter_events.meter IS 'What was used';
COMMENT ON COLUMN billing_meter_events.stripe_customer_id IS 'cus_... that Stripe bills for it';
COMMENT ON COLUMN billing_meter_events.livemode IS 'Whether it is for Stripe''s live mode';
COMMENT ON COLUMN billing_meter_events.value IS 'The sum of its records, or the latest of them, as the meter adds up';
COMMENT ON COLUMN billing_meter_events.used_at IS 'When the latest of its records was used: all of them are in the same term';
COMMENT ON COLUMN billing_meter_events.state IS 'waiting; sent: Stripe has it; late: the invoice of its term was final before; refused: Stripe does not take it';
COMMENT ON COLUMN billing_meter_events.first_tried_at IS 'When it was first tried since Stripe certainly did not have it; an identifier is known there for a day';
COMMENT ON COLUMN billing_meter_events.failures IS 'Tries in a row whose outcome is unknown';
COMMENT ON COLUMN billing_meter_events.last_error IS 'Why the latest try failed, or what Stripe refused; null: it did not';
COMMENT ON COLUMN billing_meter_events.next_attempt_at IS 'When it may be tried; a claim moves it on, so that a dead worker costs a minute';
COMMENT ON COLUMN billing_meter_events.sent_at IS 'When Stripe took it, by Stripe''s clock; of one that was found there, ours';
COMMENT ON COLUMN billing_meter_events.settled_at IS 'When an operator had dealt with one that is late or refused; null: it is trouble';
COMMENT ON COLUMN billing_meter_events.settled_by IS 'Who had';
COMMENT ON COLUMN billing_meter_events.settled_reason IS 'What became of it: charged otherwise, or given away';
COMMENT ON COLUMN billing_meter_events.created_at IS 'When its records came';

CREATE TABLE billing_usage (
    id text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 100),
    subscription_id uuid NOT NULL,
    meter text NOT NULL,
    quantity bigint NOT NULL,
    used_at timestamptz NOT NULL,
    latest_second timestamptz,
    meter_event_id uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX billing_usage_subscription_idx ON billing_usage (subscription_id);
-- Stripe knows seconds only, and does not say which of two values of one is the latest.
CREATE UNIQUE INDEX billing_usage_latest_key ON billing_usage (subscription_id, meter, latest_second)
WHERE latest_second IS NOT NULL;
CREATE INDEX billing_usage_received_idx ON billing_usage (received_at);
COMMENT ON TABLE billing_usage IS 'Usage as it was reported: one row for each record, whatever becomes of it at Stripe';
COMMENT ON COLUMN billing_usage.id IS 'The reporter''s: the same record again is not counted again';
COMMENT ON COLUMN billing_usage.subscription_id IS 'Whose usage it is; no reference, because mPanel may delete the row';
COMMENT ON COLUMN billing_usage.meter IS 'What was used';
COMMENT ON COLUMN billing_usage.quantity IS 'How much; negative: a correction';
COMMENT ON COLUMN billing_usage.used_at IS 'When it was used, as it was reported';
COMMENT ON COLUMN billing_usage.latest_second IS 'Of a meter whose latest value counts: the second of used_at, of which there is one record; null: records add up';
COMMENT ON COLUMN billing_usage.meter_event_id IS 'The row of billing_meter_events that tells Stripe; no reference: both come in one statement, and go by age';
COMMENT ON COLUMN billing_usage.received_at IS 'When it was reported';

-- What is old is pruned in order: a vacuum at one per cent keeps the batches cheap.
ALTER TABLE billing_usage SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
ALTER TABLE billing_meter_events SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);

CREATE TABLE billing_usage_totals (
    subscription_id uuid NOT NULL,
    meter text NOT NULL,
    term_start timestamptz NOT NULL,
    quantity bigint NOT NULL,
    latest_at timestamptz NOT NULL,
    lifted_at timestamptz,
    lifted_by text,
    lifted_reason text,
    PRIMARY KEY (subscription_id, meter),
    CHECK (num_nonnulls(lifted_at, lifted_by, lifted_reason) IN (0, 3))
) WITH (fillfactor = 85);
COMMENT ON TABLE billing_usage_totals IS 'What was reported of each meter in the latest term, kept as it comes: what is told of thresholds, and what a limit does, depends on it';
COMMENT ON COLUMN billing_usage_totals.subscription_id IS 'Whose usage it is; no reference, because mPanel may delete the row';
COMMENT ON COLUMN billing_usage_totals.meter IS 'What was used';
COMMENT ON COLUMN billing_usage_totals.term_start IS 'When that term began, as the item had it then';
COMMENT ON COLUMN billing_usage_totals.quantity IS 'The sum of its records, or the latest of them';
COMMENT ON COLUMN billing_usage_totals.latest_at IS 'When the latest of them was used';
COMMENT ON COLUMN billing_usage_totals.lifted_at IS 'When an operator let the subscription go on in this term, although its limit is reached; null: nobody has';
COMMENT ON COLUMN billing_usage_totals.lifted_by IS 'Who has';
COMMENT ON COLUMN billing_usage_totals.lifted_reason IS 'Why';

CREATE TABLE billing_usage_reports (
    event_id text PRIMARY KEY REFERENCES stripe_events ON DELETE CASCADE,
    received_at timestamptz NOT NULL DEFAULT now(),
    read_at timestamptz,
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    last_error text,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    dropped bigint,
    named bigint,
    detail text,
    settled_at timestamptz,
    settled_by text,
    CHECK (num_nonnulls(read_at, dropped, named, detail) IN (0, 4)),
    CHECK ((settled_at IS NULL) = (settled_by IS NULL))
);
CREATE INDEX billing_usage_reports_unread_idx ON billing_usage_reports (next_attempt_at)
WHERE read_at IS NULL;
CREATE INDEX billing_usage_reports_unsettled_idx ON billing_usage_reports (event_id)
WHERE settled_at IS NULL AND (read_at IS NULL OR named < dropped);
COMMENT ON TABLE billing_usage_reports IS 'Reports of Stripe, by thin events, of meter events that it took and does not count';
COMMENT ON COLUMN billing_usage_reports.event_id IS 'The thin event';
COMMENT ON COLUMN billing_usage_reports.received_at IS 'When it came';
COMMENT ON COLUMN billing_usage_reports.read_at IS 'When Stripe said what it reports; null: not yet';
COMMENT ON COLUMN billing_usage_reports.failures IS 'Times in a row that Stripe did not say';
COMMENT ON COLUMN billing_usage_reports.last_error IS 'Why, the latest time';
COMMENT ON COLUMN billing_usage_reports.next_attempt_at IS 'When it is asked; a claim moves it on';
COMMENT ON COLUMN billing_usage_reports.dropped IS 'How many meter events it is about';
COMMENT ON COLUMN billing_usage_reports.named IS 'How many of them it names that are ours: Stripe gives samples';
COMMENT ON COLUMN billing_usage_reports.detail IS 'What is wrong with them';
COMMENT ON COLUMN billing_usage_reports.settled_at IS 'When an operator had dealt with those that are not named; null: it is trouble';
COMMENT ON COLUMN billing_usage_reports.settled_by IS 'Who had';

CREATE FUNCTION billing_tell_usage() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
DECLARE
    before bigint := 0;
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF TG_OP = 'UPDATE' AND OLD.term_start = NEW.term_start THEN
        before := OLD.quantity;
    END IF;
    PERFORM billing_record_message(
        reached.type, s.id::text,
        concat_ws(' ', NEW.meter, reached.quantity, extract(epoch FROM NEW.term_start)::bigint),
        s.livemode, s.id, s.customer_id, now(),
        jsonb_build_object('usage', jsonb_build_object(
            'meter', NEW.meter,
            'product', jsonb_build_object('code', product.code, 'name', product.name),
            'unit', product.usage -> 'unit',
            'included', product.usage -> 'included',
            'quantity', NEW.quantity,
            'termStart', i.current_period_start,
            'termEnd', i.current_period_end
        ) || reached.of_it)
    )
    FROM subscription_items AS i
    JOIN prices AS p
        ON p.id = i.price_id
        AND p.meter = NEW.meter
    JOIN products AS product
        ON product.id = p.product_id
    JOIN subscriptions AS s
        ON s.id = i.subscription_id
    CROSS JOIN LATERAL (
        SELECT
            'usage.threshold_reached' AS type,
            told.threshold::bigint AS quantity,
            jsonb_build_object('threshold', told.threshold::bigint) AS of_it
        FROM jsonb_array_elements_text(product.usage -> 'notify_at') AS told (threshold)
        UNION ALL
        SELECT
            'usage.limit_reached',
            (product.usage ->> 'limit')::bigint,
            jsonb_build_object('limit', product.usage -> 'limit', 'action', product.usage -> 'at_limit')
    ) AS reached
    WHERE i.subscription_id = NEW.subscription_id
      AND reached.quantity > before
      AND reached.quantity <= NEW.quantity;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_usage() IS 'Records usage.threshold_reached and usage.limit_reached';
CREATE TRIGGER billing_tell_usage
AFTER INSERT OR UPDATE ON billing_usage_totals
FOR EACH ROW EXECUTE FUNCTION billing_tell_usage();

CREATE FUNCTION billing_announce_meter_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('billing_usage', '');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_announce_meter_events() IS 'Tells workers that there is usage to send, or a report of it to read';
CREATE TRIGGER billing_announce_meter_events
AFTER INSERT ON billing_meter_events
FOR EACH STATEMENT EXECUTE FUNCTION billing_announce_meter_events();

CREATE TRIGGER billing_announce_meter_events
AFTER INSERT ON billing_usage_reports
FOR EACH STATEMENT EXECUTE FUNCTION billing_announce_meter_events();

-- migrate:down
DROP TABLE billing_usage_reports;
DROP TABLE billing_usage_totals;
DROP FUNCTION billing_tell_usage();
DROP TABLE billing_usage;
DROP TABLE billing_meter_events;
DROP FUNCTION billing_announce_meter_events();
