-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_users_email_idx ON users (lower(email));

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_users_email_idx;
