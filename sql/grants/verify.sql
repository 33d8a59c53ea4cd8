-- What the role may do by other ways than these grants.
DO $$
DECLARE
    runtime text := current_setting('mpanel_billing.runtime');
BEGIN
    IF has_column_privilege(runtime, 'public.users', 'password_hash', 'SELECT') THEN
        RAISE EXCEPTION 'the role "%" can read users.password_hash, by a grant to PUBLIC or to a role that it is a member of', runtime;
    END IF;
    IF has_schema_privilege(runtime, 'public', 'CREATE') THEN
        RAISE WARNING 'the role "%" can create tables in the schema public, as everyone can: REVOKE CREATE ON SCHEMA public FROM PUBLIC', runtime;
    END IF;
    IF NOT has_database_privilege(runtime, current_database(), 'CONNECT') THEN
        RAISE WARNING 'the role "%" cannot connect: %', runtime, format(
            'GRANT CONNECT ON DATABASE %I TO %I', current_database(), runtime
        );
    END IF;
END
$$;
