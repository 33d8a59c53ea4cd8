-- What the runner of the migrations asks of the database itself.

-- name: try_migration_lock()$
-- Held by the session, without a transaction: CREATE INDEX CONCURRENTLY waits for every other
-- snapshot, so whoever waited inside pg_advisory_lock() would deadlock with it.
SELECT pg_try_advisory_lock(hashtext('mpanel_billing migrations'));

-- name: list_invalid_indexes()
-- A CREATE INDEX CONCURRENTLY that failed leaves its index behind, invalid, and IF NOT EXISTS
-- would call that one done.
SELECT
  index_class.relname AS index_name,
  format('DROP INDEX CONCURRENTLY %I.%I', namespace.nspname, index_class.relname) AS drop_statement
FROM pg_index
JOIN pg_class AS index_class ON index_class.oid = pg_index.indexrelid
JOIN pg_namespace AS namespace ON namespace.oid = index_class.relnamespace
WHERE NOT pg_index.indisvalid
  AND index_class.relkind = 'i'
  AND index_class.relname LIKE 'billing\_%'
ORDER BY index_class.relname;

-- name: get_schema_version()$
SELECT max(version)
FROM billing_schema_migrations;
