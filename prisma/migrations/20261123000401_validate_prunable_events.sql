-- The check holds for every row that was here before: the payload could not be null.

-- migrate:up
ALTER TABLE stripe_events VALIDATE CONSTRAINT stripe_events_payload_check;

-- migrate:down
