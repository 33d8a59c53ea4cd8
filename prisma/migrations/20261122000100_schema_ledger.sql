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

CREATE FUNCTION billing_end_migration(version text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_schema_objects (migration, table_name, column_name)
    SELECT
        version,
        c.table_name,
        CASE WHEN existing.table_name IS NOT NULL THEN c.column_name END
    FROM information_schema.columns AS c
    LEFT JOIN (SELECT DISTINCT b.table_name FROM billing_columns_before AS b) AS existing
        ON existing.table_name = c.table_name
    WHERE c.table_schema = current_schema()
      AND (existing.table_name IS NOT NULL OR c.ordinal_position = 1)
      AND NOT EXISTS (
          SELECT 1
          FROM billing_columns_before AS b
          WHERE b.table_name = c.table_name
            AND b.column_name = c.column_name
      )
    ORDER BY to_regclass(quote_ident(c.table_name))::oid, c.ordinal_position;
END
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
