"""The database server, its clock, and our schema."""

import time
from collections.abc import Sequence
from pathlib import Path

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.doctor import repository
from mpanel_billing.doctor.finding import Finding, failed, ok, some, warning
from mpanel_billing.doctor.host import judge_clock
from mpanel_billing.resources import MIGRATIONS
from mpanel_billing.settings import DatabaseSettings

OLDEST_POSTGRES = 16
_PROCESSES = 3
"""Two web processes and a worker, as ecosystem.config.js starts them, each with a pool."""


async def check_server(pool: Pool, settings: DatabaseSettings) -> list[Finding]:
    """Check version, encoding, role and the connection limit."""
    async with acquired(pool) as conn:
        server = await repository.get_server(conn)
    wanted = _PROCESSES * settings.database_pool_max
    findings = [ok("database", f"PostgreSQL {server['version']}; no extension is needed")]
    if server["major"] < OLDEST_POSTGRES:
        text = f"PostgreSQL {server['version']}"
        findings = [failed("database", text, f"PostgreSQL {OLDEST_POSTGRES} or newer is needed")]
    if server["encoding"] != "UTF8":
        text = f"the encoding is {server['encoding']}"
        findings.append(failed("database encoding", text, "use a database in UTF8"))
    if server["standby"]:
        text = "the server is a read-only standby"
        findings.append(failed("database role", text, "point DATABASE_URL at the primary"))
    if server["connections"] < wanted:
        text = f"{server['connections']} allowed; three processes may open {wanted}"
        advice = "raise max_connections, or lower DATABASE_POOL_MAX"
        findings.append(warning("database connections", text, advice))
    return findings


async def check_role(pool: Pool) -> list[Finding]:
    """Check that the role of DATABASE_URL can do no more than the service needs."""
    async with acquired(pool) as conn:
        role = await repository.get_role(conn)
    advice = "use roles of their own (`mpanel-billing database grants`, docs/deployment.md)"
    if role["superuser"]:
        return [warning("database user", f"{role['name']} is a superuser", advice)]
    if role["owner"]:
        text = f"{role['name']} owns the tables, and so may drop them"
        return [warning("database user", text, advice)]
    return [ok("database user", f"{role['name']}, which does not own the tables")]


async def check_database_clock(pool: Pool) -> list[Finding]:
    """Compare our clock with the server's, which times leases and retries."""
    async with acquired(pool) as conn:
        before = time.time()
        theirs = (await repository.get_clock(conn)).timestamp()
        ours = (before + time.time()) / 2
    return [judge_clock("database clock", ours - theirs, "the database server's")]


async def check_schema(pool: Pool, migrations: Path = MIGRATIONS) -> list[Finding]:
    """Compare the applied migrations with this program's files."""
    async with acquired(pool) as conn:
        applied = await repository.list_schema_versions(conn)
    return [judge_schema(applied, _names_of_files(migrations))]


def _names_of_files(migrations: Path) -> list[str]:
    return [path.name for path in migrations.glob("*.sql")]


def judge_schema(applied: set[str], files: Sequence[str]) -> Finding:
    """Judge a database with these versions against a program with these files."""
    known = {name.partition("_")[0]: name for name in sorted(files)}
    pending = [name for version, name in known.items() if version not in applied]
    if not applied:
        return failed("schema", "is missing", "run `mpanel-billing migrate up`")
    if pending:
        text = f"migrations are pending: {some(pending, most=2)}"
        return failed("schema", text, "run `mpanel-billing migrate up`")
    if unknown := sorted(applied - known.keys()):
        text = f"the database is ahead of this program by {some(unknown, most=2)}"
        return warning("schema", text, "update this program, unless a rollout is in progress")
    return ok("schema", f"at {max(known)}, no pending migrations")
