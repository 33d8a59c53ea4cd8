-- Who may do what: the schema as `make schema` derives needs from it, and the grants as they are.

-- name: list_columns()
-- Of tables and views in our schema, with those of the system, such as xmax.
SELECT
    c.oid::bigint AS table_oid,
    c.relname::text AS table_name,
    a.attnum::integer AS number,
    a.attname::text AS column_name
FROM pg_class AS c
JOIN pg_attribute AS a
    ON a.attrelid = c.oid
    AND NOT a.attisdropped
WHERE c.relnamespace = current_schema()::regnamespace
  AND c.relkind IN ('r', 'v')
ORDER BY c.relname, a.attnum;

-- name: list_sequences()
-- Those that a column's default reads. An identity column needs no privilege on its sequence.
SELECT
    t.relname::text AS table_name,
    s.relname::text AS sequence_name
FROM pg_class AS s
JOIN pg_depend AS d
    ON d.classid = 'pg_class'::regclass
    AND d.objid = s.oid
    AND d.deptype = 'a'
JOIN pg_class AS t
    ON t.oid = d.refobjid
WHERE s.relkind = 'S'
  AND s.relnamespace = current_schema()::regnamespace
ORDER BY s.relname;

-- name: list_routines()
-- With the tables whose triggers they are, if they run with the rights of who fires them.
SELECT
    p.oid::bigint AS routine_oid,
    p.proname::text AS name,
    p.prosrc AS body,
    coalesce(
        array_agg(DISTINCT c.relname::text) FILTER (WHERE c.relname IS NOT NULL AND NOT p.prosecdef),
        '{}'
    ) AS triggered_by
FROM pg_proc AS p
LEFT JOIN pg_trigger AS t
    ON t.tgfoid = p.oid
LEFT JOIN pg_class AS c
    ON c.oid = t.tgrelid
WHERE p.pronamespace = current_schema()::regnamespace
GROUP BY p.oid
ORDER BY p.proname;

-- name: list_privileges(role)
-- What a role may do in the schema public, whether by a grant of its own, to PUBLIC, or to a role that
-- it is a member of; columns where it may not do it with the whole table.
WITH relations AS (
    SELECT
        c.oid,
        c.relname,
        c.relkind
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace
      AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')
      -- an extension grants what is its own to PUBLIC
      AND NOT EXISTS (
          SELECT 1
          FROM pg_depend AS d
          WHERE d.classid = 'pg_class'::regclass
            AND d.objid = c.oid
            AND d.deptype = 'e'
      )
),
on_relations AS (
    SELECT
        r.oid,
        r.relname,
        p.privilege,
        p.of_columns,
        has_table_privilege(:role::name, r.oid, p.privilege) AS held
    FROM relations AS r
    CROSS JOIN (VALUES
        ('SELECT', TRUE), ('INSERT', TRUE), ('UPDATE', TRUE), ('DELETE', FALSE), ('TRUNCATE', FALSE),
        ('REFERENCES', TRUE), ('TRIGGER', FALSE)
    ) AS p (privilege, of_columns)
    WHERE r.relkind <> 'S'
)
SELECT
    o.privilege,
    o.relname::text AS object,
    NULL AS column_name
FROM on_relations AS o
WHERE o.held
UNION ALL
SELECT
    o.privilege,
    o.relname::text,
    a.attname::text
FROM on_relations AS o
JOIN pg_attribute AS a
    ON a.attrelid = o.oid
    AND NOT a.attisdropped
WHERE NOT o.held
  AND o.of_columns
  AND has_column_privilege(:role::name, o.oid, a.attnum, o.privilege)
UNION ALL
SELECT
    p.privilege,
    r.relname::text,
    NULL
FROM relations AS r
CROSS JOIN (VALUES ('USAGE'), ('SELECT'), ('UPDATE')) AS p (privilege)
WHERE r.relkind = 'S'
  AND has_sequence_privilege(:role::name, r.oid, p.privilege)
UNION ALL
SELECT
    'EXECUTE',
    p.proname::text,
    NULL
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace
  AND has_function_privilege(:role::name, p.oid, 'EXECUTE');

-- name: get_role(role)^
-- What a role may do that no grant on a table says.
SELECT
    r.rolname::text AS name,
    r.rolsuper AS superuser,
    has_schema_privilege(r.rolname, 'public', 'CREATE') AS creates,
    EXISTS (
        SELECT 1
        FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace
          AND pg_has_role(r.oid, c.relowner, 'MEMBER')
    ) AS owner
FROM pg_roles AS r
WHERE r.rolname = coalesce(:role::name, current_user);

-- name: list_runtime_roles()
-- Roles that were granted to store events, and do not own the table.
SELECT pg_get_userbyid(g.grantee)::text AS role
FROM pg_class AS c
CROSS JOIN LATERAL aclexplode(c.relacl) AS g
WHERE c.oid = to_regclass('public.stripe_events')
  AND g.privilege_type = 'INSERT'
  AND g.grantee NOT IN (0, c.relowner)
ORDER BY 1;
