"""The role of the service may do what its processes need, and nothing else."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from mpanel_billing.database import privileges, repository
from mpanel_billing.database.grants import RoleNameError, grants
from mpanel_billing.database.privileges import RUNTIME, Need, Process, excess, listed, missing
from mpanel_billing.database.queries import Connection
from mpanel_billing.dev.parse_trees import MPANELS
from mpanel_billing.dev.postgres import SUPERUSER, EmbeddedPostgres
from mpanel_billing.dev.privileges import derive_needs, queries_of_no_process
from tests.commands import run_command
from tests.granted import refused_queries
from tests.postgres import Databases

ODD = """odd "role" of 'O\\Neil'; $$ --\n"""


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """The superuser's, who owns the tables."""
    connected = await asyncpg.connect(database_url)
    yield connected
    await connected.close()


@pytest.fixture(scope="session")
def role(databases: Databases, worker_id: str) -> str:
    """A role without any rights; those that a test gives it end with the test's database."""
    name = f"{ODD}{worker_id}"
    databases.execute(f"CREATE ROLE {quoted(name)} LOGIN")
    return name


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def give(
    connection: Connection,
    role: str,
    processes: tuple[Process, ...] = RUNTIME,
    *,
    add_only: bool = False,
) -> frozenset[Need]:
    """Run what the command prints, and return what the role may do now."""
    await connection.execute(grants(SUPERUSER, role, processes, add_only=add_only))
    return await repository.list_privileges(connection, role)


@asynccontextmanager
async def acting_as(url: str, role: str) -> AsyncIterator[Connection]:
    connected = await asyncpg.connect(url, user=role)
    yield connected
    await connected.close()


async def test_the_file_names_each_privilege_that_a_query_needs(database_url: str) -> None:
    derived = await derive_needs(database_url)
    written = {process: privileges.needs_of([process]) for process in Process}
    for process, needs in derived.items():
        lacking, idle = needs - written[process], written[process] - needs
        assert listed(lacking) == [], f"{process} needs more: make schema"
        assert listed(idle) == [], f"{process} needs less: make schema"
    assert privileges.FILE.read_text() == privileges.as_toml(derived), "run: make schema"


@pytest.mark.parametrize("process", Process)
async def test_a_process_may_run_all_its_queries(
    database_url: str, connection: Connection, role: str, process: Process
) -> None:
    await give(connection, role, (process,))
    async with acting_as(database_url, role) as session:
        assert await refused_queries(session, process) == {}


def test_every_query_belongs_to_a_process_or_to_the_migrations() -> None:
    others = {name for name in queries_of_no_process() if not name.startswith("migrations.")}
    assert {name.partition(".")[0] for name in others} == {"privileges"}


def test_the_web_process_may_less_than_the_worker_and_both_less_than_commands() -> None:
    web, runtime = privileges.needs_of([Process.WEB]), privileges.needs_of(RUNTIME)
    assert {Need("DELETE", "pgqueuer"), Need("TRUNCATE", "pgqueuer")} & web == set()
    assert Need("DELETE", "pgqueuer") in runtime
    assert Need("INSERT", "billing_api_keys") not in runtime
    assert Need("INSERT", "billing_api_keys") in privileges.needs_of(Process)


def test_nobody_empties_a_table() -> None:
    granted = {need.privilege for need in privileges.needs_of(Process)}
    assert granted == {"SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE", "USAGE"}


def test_of_mpanels_tables_the_service_gets_columns() -> None:
    on_mpanels = {need for need in privileges.needs_of(RUNTIME) if need.object in MPANELS}
    assert all(need.column for need in on_mpanels)
    assert {need.object for need in on_mpanels} == MPANELS
    users = {need for need in privileges.needs_of(Process) if need.object == "users"}
    assert {need.privilege for need in users} == {"SELECT"}
    assert None not in {need.column for need in users}
    assert "password_hash" not in {need.column for need in users}


@pytest.mark.parametrize("processes", [(Process.WEB,), RUNTIME, tuple(Process)])
async def test_a_role_has_exactly_what_it_needs_however_often_it_is_granted(
    connection: Connection, role: str, processes: tuple[Process, ...]
) -> None:
    await connection.execute("CREATE TABLE invoice_items (id integer)")
    first = await give(connection, role, processes)
    assert (listed(missing(first, processes)), listed(excess(first, processes))) == ([], [])
    assert await give(connection, role, processes) == first


FORBIDDEN = {
    "its password": "SELECT password_hash FROM users",
    "a whole user": "SELECT * FROM users",
    "to change a user": "UPDATE users SET email = email",
    "a table of mPanel's": "SELECT * FROM invoice_items",
    "to create a table": "CREATE TABLE mine (id integer)",
    "to create a function": "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql RETURN 1",
    "to create a schema": "CREATE SCHEMA mine",
    "to add a column": "ALTER TABLE orders ADD COLUMN mine integer",
    "to drop a table": "DROP TABLE stripe_events",
    "to drop an index": "DROP INDEX billing_domains_name_idx",
    "to disable a trigger": "ALTER TABLE billing_audit_entries DISABLE TRIGGER ALL",
    "to use the trigger that runs as the owner": "CREATE TEMP TABLE mine (id integer);"
    " CREATE TRIGGER mine BEFORE DELETE ON mine FOR EACH ROW"
    " EXECUTE FUNCTION billing_keep_deleted_subscription()",
    "to replace a trigger": "CREATE TRIGGER mine AFTER INSERT ON subscriptions"
    " EXECUTE FUNCTION billing_keep_deleted_subscription()",
    "to empty a table": "TRUNCATE stripe_events",
    "to delete a subscription": "DELETE FROM subscriptions",
    "to delete a customer": "DELETE FROM customers",
    "to change the audit log": "UPDATE billing_audit_entries SET outcome = 'done'",
    "to delete from the audit log": "DELETE FROM billing_audit_entries",
    "to make a key": "INSERT INTO billing_api_keys (name) VALUES ('mine')",
    "to give a key more scopes": "UPDATE billing_api_keys SET scopes = '{admin}'",
    "to bring a revoked key back": "UPDATE billing_api_keys SET revoked_at = NULL",
    "to give a key a limit of its own": "UPDATE billing_api_keys SET refunds_per_day = 1000000",
    "to become the owner": f"SET ROLE {SUPERUSER}",
    "to write the migrations' table": "DELETE FROM billing_schema_migrations",
}


_SHAPES = "SELECT oid, relname, relnatts, relacl::text FROM pg_class ORDER BY oid"


async def test_nothing_else_is_allowed(
    database_url: str, connection: Connection, role: str
) -> None:
    await connection.execute(
        "CREATE TABLE invoice_items (id integer);"
        "INSERT INTO users (email, password_hash) VALUES ('ada@example.com', 'x')"
    )
    await give(connection, role)
    before = await connection.fetch(_SHAPES)
    allowed = []
    async with acting_as(database_url, role) as session:
        for what, statement in FORBIDDEN.items():
            try:
                await session.execute(statement)
            except asyncpg.InsufficientPrivilegeError:
                continue
            allowed.append(what)
    assert allowed == []
    assert await connection.fetch(_SHAPES) == before
    assert await connection.fetchval("SELECT count(*) FROM users") == 1
    assert await connection.fetchval("SELECT count(*) FROM billing_schema_migrations") > 0


async def test_a_role_that_runs_less_now_loses_the_rest_unless_rights_are_only_added(
    connection: Connection, role: str
) -> None:
    await connection.execute("CREATE TABLE invoice_items (id integer)")
    await give(connection, role)
    await connection.execute(
        f"GRANT ALL ON invoice_items, stripe_events TO {quoted(role)};"
        f"GRANT UPDATE (email) ON users TO {quoted(role)};"
        f"GRANT CREATE ON SCHEMA public TO {quoted(role)};"
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {quoted(role)}"
    )
    kept = await give(connection, role, (Process.WEB,), add_only=True)
    assert {Need("DELETE", "pgqueuer"), Need("TRUNCATE", "invoice_items")} <= kept
    left = await give(connection, role, (Process.WEB,))
    assert excess(left, [Process.WEB]) == []
    await connection.execute("CREATE TABLE later (id integer)")
    later = await repository.list_privileges(connection, role)
    assert {need for need in later if need.object == "later"} == set()
    row = await repository.get_role(connection, role)
    assert (row["superuser"], row["owner"], row["creates"]) == (False, False, False)


REFUSED = {
    "ALTER ROLE {role} SUPERUSER": "is SUPERUSER: it needs none of that",
    "ALTER ROLE {role} CREATEROLE CREATEDB": "is CREATEROLE, CREATEDB: it needs none of that",
    "ALTER ROLE {role} BYPASSRLS": "is BYPASSRLS",
    "GRANT postgres TO {role}": 'is a member of "pg_database_owner", "postgres", and has all',
    "GRANT pg_read_all_data TO {role}": 'is a member of "pg_read_all_data"',
    "GRANT pg_execute_server_program TO {role}": 'is a member of "pg_execute_server_program"',
    "CREATE TABLE mine (); ALTER TABLE mine OWNER TO {role}": "owns mine, and so may do anything",
    "GRANT SELECT ON users TO PUBLIC": "can read users.password_hash",
    "DROP TABLE billing_schema_migrations": "run `mpanel-billing migrate up` first",
    "ALTER TABLE billing_schema_migrations OWNER TO pg_monitor": 'belong to "pg_monitor", not to',
}


@asynccontextmanager
async def undone(connection: Connection) -> AsyncIterator[None]:
    """A transaction that is rolled back: what it does to roles would stay for other tests."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def give_within(connection: Connection, owner: str, role: str) -> None:
    """Run what the command prints, without its own transaction, so that it can be undone."""
    sql = grants(owner, role, RUNTIME, add_only=False)
    assert sql.count("\nBEGIN;\n") == sql.count("\nCOMMIT;\n") == 1
    async with connection.transaction():
        await connection.execute(sql.replace("\nBEGIN;\n", "\n").replace("\nCOMMIT;\n", "\n"))


@pytest.mark.parametrize(("first", "reason"), REFUSED.items())
async def test_what_makes_grants_pointless_is_refused_and_changes_nothing(
    connection: Connection, role: str, first: str, reason: str
) -> None:
    async with undone(connection):
        await connection.execute(first.format(role=quoted(role)))
        before = await connection.fetch(_SHAPES)
        with pytest.raises(asyncpg.RaiseError, match=re.escape(reason)):
            await give_within(connection, SUPERUSER, role)
        assert await connection.fetch(_SHAPES) == before


@pytest.mark.parametrize(("owner", "runtime"), [("nobody", "mine"), (SUPERUSER, "nobody")])
async def test_a_role_that_does_not_exist_is_named(
    connection: Connection, owner: str, runtime: str
) -> None:
    with pytest.raises(asyncpg.RaiseError, match='there is no role "nobody"'):
        await give_within(connection, owner, runtime)


@pytest.mark.parametrize(
    ("owner", "runtime", "reason"),
    [
        ("mpanel", "mpanel", "cannot be both"),
        ("mpanel", "PUBLIC", "is reserved"),
        ("mpanel", "pg_monitor", "is reserved"),
        ("none", "mine", "is reserved"),
        ("mpanel", "", "is not the name of a role"),
        ("mpanel", "x" * 64, "is not the name of a role"),
        ("mpanel", "a\0b", "is not the name of a role"),
    ],
)
def test_what_is_no_role_is_refused(owner: str, runtime: str, reason: str) -> None:
    with pytest.raises(RoleNameError, match=reason):
        grants(owner, runtime, RUNTIME, add_only=False)


async def test_the_command_prints_it_and_runs_nothing(
    database_url: str, connection: Connection, role: str, postgres: EmbeddedPostgres
) -> None:
    words = ("database", "grants", "--owner", SUPERUSER, "--runtime", role)
    printed = await run_command("postgresql://nobody@127.0.0.1:1/nothing", *words, "--web-only")
    assert (printed.status, printed.err) == (0, "")
    assert printed.out == grants(SUPERUSER, role, (Process.WEB,), add_only=False)
    assert Need("INSERT", "stripe_events") not in await repository.list_privileges(connection, role)
    psql = [str(postgres.bin_dir / "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", database_url]
    ran = await asyncio.to_thread(
        subprocess.run, psql, input=printed.out, text=True, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    held = await repository.list_privileges(connection, role)
    assert privileges.processes_of(held) == (Process.WEB,)
