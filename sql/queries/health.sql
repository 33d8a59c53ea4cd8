-- What monitoring asks.

-- name: answer()$
SELECT 1;
