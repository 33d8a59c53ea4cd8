-- How far old rows have been pruned. The tables that are pruned are vacuumed after each pruning
-- and not only once a fifth of them is dead: their old rows are a small part of them.

-- migrate:up
CREATE TABLE billing_retention (
    subject text PRIMARY KEY CHECK (subject IN (
        'event_payloads', 'events', 'provisioning_log', 'idempotency_keys', 'job_log'
    )),
    pruned_until timestamptz NOT NULL DEFAULT '-infinity',
    pruned_rows bigint NOT NULL DEFAULT 0,
    pruned_at timestamptz
);
COMMENT ON TABLE billing_retention IS 'What is pruned by age, and how far that has come';
COMMENT ON COLUMN billing_retention.subject IS 'What is pruned; how long it is kept is a setting (KEEP_..._DAYS)';
COMMENT ON COLUMN billing_retention.pruned_until IS 'Nothing older is left to look at; -infinity: each run begins with the oldest row';
COMMENT ON COLUMN billing_retention.pruned_rows IS 'How many rows all runs together have pruned';
COMMENT ON COLUMN billing_retention.pruned_at IS 'When a run last came to its end';
INSERT INTO billing_retention (subject)
VALUES ('event_payloads'), ('events'), ('provisioning_log'), ('idempotency_keys'), ('job_log');

ALTER TABLE stripe_events SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
ALTER TABLE provisioning_log SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
ALTER TABLE idempotency_keys SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
ALTER TABLE pgqueuer_log SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);

-- migrate:down
ALTER TABLE pgqueuer_log RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE idempotency_keys RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE provisioning_log RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE stripe_events RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
DROP TABLE billing_retention;
