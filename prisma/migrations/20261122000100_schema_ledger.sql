-- Remembers what our migrations add to tables that mPanel may own, so that going down takes away
-- exactly that: a column that was there before is neither added nor dropped.

-- migrate:up
CREATE TABLE billing_schema_objects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    table_name text NOT NULL,
    column_name text,
    added_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE billing_schema_objects IS 'What our migrations added to the schema shared with mPanel; read when they are taken back';
COMMENT ON COLUMN billing_schema_objects.migration IS 'Version of the migration that added it';
COMMENT ON COLUMN billing_schema_objects.column_name IS 'Null: the whole table is ours to drop';

CREATE FUNCTION billing_begin_migration() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMPORARY TABLE billing_columns_before ON COMMIT DROP AS
    SELECT c.table_name::text, c.column_name::text
    FROM information_schema.columns AS c
    WHERE c.table_schema = current_schema();
END
$$;
COMMENT ON FUNCTION billing_begin_migration() IS 'Notes the columns that exist before a migration';

CREATE FUNCTION billing_end_migration(version text) RETURNS void LANGUAGE sql AS $$
    WITH added AS (
        SELECT c.table_name::text, c.column_name::text, c.ordinal_position
        FROM information_schema.columns AS c
        WHERE c.table_schema = current_schema()
          AND NOT EXISTS (
              SELECT 1 FROM billing_columns_before AS b
              WHERE b.table_name = c.table_name AND b.column_name = c.column_name
          )
    ),
    placed AS (
        SELECT
            a.table_name,
            CASE WHEN EXISTS (SELECT 1 FROM billing_columns_before AS b WHERE b.table_name = a.table_name)
                THEN a.column_name
            END AS column_name,
            a.ordinal_position
        FROM added AS a
    )
    INSERT INTO billing_schema_objects (migration, table_name, column_name)
    SELECT version, p.table_name, p.column_name
    FROM placed AS p
    GROUP BY p.table_name, p.column_name
    ORDER BY to_regclass(quote_ident(p.table_name))::oid, min(p.ordinal_position)
$$;
COMMENT ON FUNCTION billing_end_migration(text) IS 'Enters into the ledger what the migration has added';

CREATE FUNCTION billing_revert_migration(version text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    entry record;
BEGIN
    FOR entry IN
        SELECT o.id, o.table_name, o.column_name
        FROM billing_schema_objects AS o
        WHERE o.migration = version
        ORDER BY o.id DESC
    LOOP
        IF entry.column_name IS NULL THEN
            EXECUTE format('DROP TABLE %I', entry.table_name);
        ELSE
            EXECUTE format('ALTER TABLE %I DROP COLUMN %I', entry.table_name, entry.column_name);
        END IF;
        DELETE FROM billing_schema_objects WHERE id = entry.id;
    END LOOP;
END
$$;
COMMENT ON FUNCTION billing_revert_migration(text) IS 'Drops what the ledger says that the migration added, youngest first';

-- migrate:down
DROP FUNCTION billing_revert_migration(text);
DROP FUNCTION billing_end_migration(text);
DROP FUNCTION billing_begin_migration();
DROP TABLE billing_schema_objects;
