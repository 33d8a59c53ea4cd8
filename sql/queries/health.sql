-- What health checks ask.

-- name: answer()$
SELECT 1;
