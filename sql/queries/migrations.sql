-- What the migration runner asks of the database.

-- Tables: billing_schema_objects, billing_schema_texts
--
-- CREATE TABLE billing_schema_objects (
--     id bigint NOT NULL,
--     migration text NOT NULL,
--     table_name text NOT NULL,
--     column_name text,
--     added_at timestamp with time zone DEFAULT now() NOT NULL
-- );
-- ALTER TABLE ONLY billing_schema_objects ADD CONSTRAINT billing_schema_objects_pkey PRIMARY KEY (id);
--
-- CREATE TABLE billing_schema_texts (
--     file text NOT NULL,
--     digest bytea NOT NULL,
--     applied_at timestamp with time zone DEFAULT now() NOT NULL
-- );
-- ALTER TABLE ONLY billing_schema_texts ADD CONSTRAINT billing_schema_texts_pkey PRIMARY KEY (file);

-- name: try_migration_lock()$
-- Held by the session, outside of any transaction: CREATE INDEX CONCURRENTLY waits for all other
-- snapshots, so a process that waited inside pg_advisory_lock() would deadlock with it.
SELECT pg_try_advisory_lock(hashtext('mpanel_billing migrations'));

-- name: list_invalid_indexes()
-- A CREATE INDEX CONCURRENTLY that fails leaves an invalid index behind, which IF NOT EXISTS
-- would take for a finished one.
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

-- name: list_applied_versions()
SELECT version
FROM billing_schema_migrations
ORDER BY version;

-- name: list_texts()
-- The applied views and routines, without those that were dropped by other means.
SELECT
    t.file,
    t.digest
FROM billing_schema_texts AS t
WHERE to_regclass(substring(t.file FROM '^views/(.*)\.sql$')) IS NOT NULL
   OR to_regproc(substring(t.file FROM '^routines/(.*)\.sql$')) IS NOT NULL;

-- name: record_text(file, digest)!
INSERT INTO billing_schema_texts (file, digest)
VALUES (:file, :digest)
ON CONFLICT (file) DO UPDATE
SET digest = excluded.digest,
    applied_at = now();

-- name: forget_text(file)!
DELETE FROM billing_schema_texts
WHERE file = :file;

-- name: list_view_rights(views)
-- The statements that give recreated views the owner and grants of the existing ones.
SELECT format('ALTER VIEW %I OWNER TO %I', v.relname, pg_get_userbyid(v.relowner)) AS statement
FROM pg_class AS v
WHERE v.oid = ANY(:views::regclass[])
  AND pg_get_userbyid(v.relowner) <> current_user
UNION ALL
SELECT
    format(
        'GRANT %s%s ON %I TO %s%s',
        held.privilege_type,
        ' (' || quote_ident(held.column_name) || ')',
        held.relname,
        CASE WHEN held.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(held.grantee)) END,
        CASE WHEN held.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
    )
FROM (
    SELECT
        v.relname,
        v.relowner,
        NULL AS column_name,
        g.privilege_type,
        g.grantee,
        g.is_grantable
    FROM pg_class AS v
    CROSS JOIN LATERAL aclexplode(v.relacl) AS g
    WHERE v.oid = ANY(:views::regclass[])
    UNION ALL
    SELECT
        v.relname,
        v.relowner,
        a.attname,
        g.privilege_type,
        g.grantee,
        g.is_grantable
    FROM pg_class AS v
    JOIN pg_attribute AS a
        ON a.attrelid = v.oid
    CROSS JOIN LATERAL aclexplode(a.attacl) AS g
    WHERE v.oid = ANY(:views::regclass[])
) AS held
WHERE held.grantee <> held.relowner;
