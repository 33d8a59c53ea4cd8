-- Rows that are changed with every renewal keep some room beside them: then a change stays on its
-- page, and touches none of the table's indexes. What is there already is left as it is. Where
-- mPanel has set a fillfactor of its own, that stays.

-- migrate:up
ALTER TABLE subscription_items SET (fillfactor = 85);
DO $$
DECLARE
    mpanels text;
BEGIN
    FOREACH mpanels IN ARRAY ARRAY['subscriptions', 'invoices'] LOOP
        IF NOT EXISTS (
            SELECT 1
            FROM pg_class AS c
            JOIN pg_options_to_table(c.reloptions) AS o
                ON o.option_name = 'fillfactor'
            WHERE c.oid = mpanels::regclass
        ) THEN
            EXECUTE format('ALTER TABLE %I SET (fillfactor = 85)', mpanels);
        END IF;
    END LOOP;
END
$$;

-- migrate:down
DO $$
DECLARE
    ours text;
BEGIN
    FOREACH ours IN ARRAY ARRAY['subscription_items', 'subscriptions', 'invoices'] LOOP
        IF EXISTS (
            SELECT 1
            FROM pg_class AS c
            JOIN pg_options_to_table(c.reloptions) AS o
                ON o.option_name = 'fillfactor'
                AND o.option_value = '85'
            WHERE c.oid = ours::regclass
        ) THEN
            EXECUTE format('ALTER TABLE %I RESET (fillfactor)', ours);
        END IF;
    END LOOP;
END
$$;
