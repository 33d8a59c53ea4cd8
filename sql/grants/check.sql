-- Who gets the rights, and that no rights which it has already make them pointless.
DO $$
DECLARE
    owner text := current_setting('mpanel_billing.owner');
    runtime text := current_setting('mpanel_billing.runtime');
    role pg_roles;
    problem text;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = owner) THEN
        RAISE EXCEPTION 'there is no role "%", which is to own the tables', owner;
    END IF;
    SELECT * INTO role FROM pg_roles WHERE rolname = runtime;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no role "%"', runtime
            USING HINT = format('CREATE ROLE %I LOGIN; then give it a password with \password', runtime);
    END IF;
    IF to_regclass('public.billing_schema_migrations') IS NULL THEN
        RAISE EXCEPTION 'there are no tables to grant anything on: run `mpanel-billing migrate up` first';
    END IF;
    SELECT pg_get_userbyid(c.relowner)
    INTO problem
    FROM pg_class AS c
    WHERE c.oid = to_regclass('public.billing_schema_migrations')
      AND pg_get_userbyid(c.relowner) <> owner;
    IF FOUND THEN
        RAISE EXCEPTION 'the tables belong to "%", not to "%"', problem, owner;
    END IF;
    problem := concat_ws(
        ', ',
        CASE WHEN role.rolsuper THEN 'SUPERUSER' END,
        CASE WHEN role.rolbypassrls THEN 'BYPASSRLS' END,
        CASE WHEN role.rolcreaterole THEN 'CREATEROLE' END,
        CASE WHEN role.rolcreatedb THEN 'CREATEDB' END,
        CASE WHEN role.rolreplication THEN 'REPLICATION' END
    );
    IF problem <> '' THEN
        RAISE EXCEPTION 'the role "%" is %: it needs none of that', runtime, problem
            USING HINT = 'choose a role of its own for the service';
    END IF;
    SELECT string_agg(format('"%s"', r.rolname), ', ' ORDER BY r.rolname)
    INTO problem
    FROM pg_roles AS r
    WHERE r.oid <> role.oid
      AND pg_has_role(role.oid, r.oid, 'MEMBER')
      AND (
          r.rolname = owner
          OR r.rolsuper
          OR (r.rolname LIKE 'pg\_%' AND r.rolname NOT IN (
              'pg_monitor', 'pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables'
          ))
          OR EXISTS (
              SELECT 1
              FROM pg_class AS c
              WHERE c.relnamespace = 'public'::regnamespace
                AND c.relowner = r.oid
          )
      );
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'the role "%" is a member of %, and has all their rights', runtime, problem;
    END IF;
    SELECT c.relname
    INTO problem
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace
      AND c.relowner = role.oid
    ORDER BY c.relname
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the role "%" owns %, and so may do anything with it', runtime, problem;
    END IF;
END
$$;
