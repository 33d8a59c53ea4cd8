-- For health checks.

-- name: ping()$
SELECT 1;
