-- What the role was granted before, also for tables that will be created.
DO $$
DECLARE
    owner text := current_setting('mpanel_billing.owner');
    runtime text := current_setting('mpanel_billing.runtime');
    held record;
BEGIN
    FOR held IN
        SELECT
            CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
            c.oid::regclass::text AS name
        FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace
          AND EXISTS (
              SELECT 1
              FROM aclexplode(c.relacl) AS g
              WHERE g.grantee = quote_ident(runtime)::regrole
              UNION ALL
              SELECT 1
              FROM pg_attribute AS a
              CROSS JOIN LATERAL aclexplode(a.attacl) AS g
              WHERE a.attrelid = c.oid
                AND g.grantee = quote_ident(runtime)::regrole
          )
        UNION ALL
        SELECT
            'FUNCTION',
            p.oid::regprocedure::text
        FROM pg_proc AS p
        CROSS JOIN LATERAL aclexplode(p.proacl) AS g
        WHERE p.pronamespace = 'public'::regnamespace
          AND g.grantee = quote_ident(runtime)::regrole
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %I', held.kind, held.name, runtime);
    END LOOP;
    EXECUTE format('REVOKE ALL ON SCHEMA public FROM %I', runtime);
    EXECUTE format(
        'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public REVOKE ALL ON TABLES FROM %I', owner, runtime
    );
    EXECUTE format(
        'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public REVOKE ALL ON SEQUENCES FROM %I', owner, runtime
    );
END
$$;
