-- The payload of an event that is done may be pruned by age; one that is not done keeps its own.

-- migrate:up
-- Whoever reads a payload has always met rows without one: those that a join does not find.
-- squawk-ignore ban-drop-not-null
ALTER TABLE stripe_events ALTER COLUMN payload DROP NOT NULL;
ALTER TABLE stripe_events ADD CONSTRAINT stripe_events_payload_check
CHECK (payload IS NOT NULL OR status IN ('applied', 'stale', 'ignored')) NOT VALID;
COMMENT ON COLUMN stripe_events.payload IS 'As Stripe sent it; null: pruned by age';

-- migrate:down
ALTER TABLE stripe_events DROP CONSTRAINT stripe_events_payload_check;
UPDATE stripe_events
SET payload = '{}'
WHERE payload IS NULL;
ALTER TABLE stripe_events ALTER COLUMN payload SET NOT NULL;
COMMENT ON COLUMN stripe_events.payload IS 'As Stripe sent it';
