-- Fills customers.email from mPanel's users. mPanel's own triggers are disabled meanwhile: none of its
-- columns change, so updated_at keeps its value and no listener is notified. Later customers get
-- their address when they order (find_customer in sql/queries/checkout.sql).

-- migrate:up
DO $$
DECLARE
    resting text[];
    name text;
BEGIN
    SELECT coalesce(array_agg(t.tgname), '{}')
    INTO resting
    FROM pg_trigger AS t
    WHERE t.tgrelid = 'customers'::regclass
      AND NOT t.tgisinternal
      AND t.tgenabled = 'O';

    FOREACH name IN ARRAY resting LOOP
        EXECUTE format('ALTER TABLE customers DISABLE TRIGGER %I', name);
    END LOOP;

    UPDATE customers AS c
    SET email = u.email
    FROM users AS u
    WHERE u.id = c.user_id
      AND c.email IS NULL;

    FOREACH name IN ARRAY resting LOOP
        EXECUTE format('ALTER TABLE customers ENABLE TRIGGER %I', name);
    END LOOP;
END
$$;

-- migrate:down

