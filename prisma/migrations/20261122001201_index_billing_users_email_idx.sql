-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY billing_users_email_idx ON users (lower(email));

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_users_email_idx;
