-- Records what our migrations add to tables that mPanel may own, so that going down removes exactly
-- that: a column that existed before is neither added, dropped nor described. Also records which
-- views and routines have been applied.

-- migrate:up
CREATE TABLE billing_schema_objects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    table_name text NOT NULL,
    column_name text,
    added_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE billing_schema_objects IS 'What our migrations added to the schema shared with mPanel; read by their down halves';
COMMENT ON COLUMN billing_schema_objects.id IS 'In the order of addition';
COMMENT ON COLUMN billing_schema_objects.migration IS 'Version of the migration that added it';
COMMENT ON COLUMN billing_schema_objects.table_name IS 'The table, in the schema that the migrations run in';
COMMENT ON COLUMN billing_schema_objects.column_name IS 'Null: the whole table is ours to drop';
COMMENT ON COLUMN billing_schema_objects.added_at IS 'When the migration ran';

CREATE FUNCTION billing_record_additions(version text) RETURNS void LANGUAGE sql AS $$
    -- What this transaction has added to the catalog. Comparing before and after would also count
    -- what mPanel adds in the meantime, in a session of its own.
    INSERT INTO billing_schema_objects (migration, table_name, column_name)
    SELECT
        version,
        added_table.relname,
        CASE WHEN first_column.xmin <> pg_current_xact_id()::xid THEN added.attname END
    FROM pg_attribute AS added
    JOIN pg_class AS added_table
        ON added_table.oid = added.attrelid
    JOIN pg_attribute AS first_column
        ON first_column.attrelid = added.attrelid
        AND first_column.attnum = 1
    WHERE added_table.relnamespace = current_schema()::regnamespace
      AND added_table.relkind = 'r'
      AND added.attnum > 0
      AND NOT added.attisdropped
      AND added.xmin = pg_current_xact_id()::xid
      AND (added.attnum = 1 OR first_column.xmin <> pg_current_xact_id()::xid)
    ORDER BY added.attrelid, added.attnum;
$$;
COMMENT ON FUNCTION billing_record_additions(text) IS 'Records the tables and columns that this transaction has added';

CREATE FUNCTION billing_describe(described_table text, described_column text, description text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1
        FROM billing_schema_objects AS o
        WHERE o.table_name = described_table
          AND o.column_name IS NOT DISTINCT FROM described_column
    ) THEN
        RETURN;
    END IF;
    IF described_column IS NULL THEN
        EXECUTE format('COMMENT ON TABLE %I IS %L', described_table, description);
    ELSE
        EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', described_table, described_column, description);
    END IF;
END
$$;
COMMENT ON FUNCTION billing_describe(text, text, text) IS 'Comments on a column or, without one, on a table, unless mPanel had it before us';

CREATE FUNCTION billing_revert_additions(version text) RETURNS void LANGUAGE plpgsql AS $$
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
COMMENT ON FUNCTION billing_revert_additions(text) IS 'Drops what the migration added according to the ledger, newest first';

CREATE TABLE billing_schema_texts (
    file text PRIMARY KEY,
    digest bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE billing_schema_texts IS 'The views and routines that `mpanel-billing migrate` has made from the files in sql/';
COMMENT ON COLUMN billing_schema_texts.file IS 'Such as views/billing_trouble.sql; the object has the name of its file';
COMMENT ON COLUMN billing_schema_texts.digest IS 'SHA-256 of the text that was applied';
COMMENT ON COLUMN billing_schema_texts.applied_at IS 'When it was applied';

-- migrate:down
DROP TABLE billing_schema_texts;
DROP FUNCTION billing_revert_additions(text);
DROP FUNCTION billing_describe(text, text, text);
DROP FUNCTION billing_record_additions(text);
DROP TABLE billing_schema_objects;
