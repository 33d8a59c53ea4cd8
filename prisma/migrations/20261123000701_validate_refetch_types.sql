-- In a transaction of its own: reading the rows needs no lock that keeps anybody from writing.

-- migrate:up
ALTER TABLE stripe_refetches VALIDATE CONSTRAINT stripe_refetches_object_type_check;

-- migrate:down
