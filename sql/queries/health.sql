-- For health checks.

-- name: ping()$
SELECT 1;

-- name: is_read_only()$
-- A standby is, and so is what default_transaction_read_only makes so.
SELECT current_setting('transaction_read_only')::boolean;
