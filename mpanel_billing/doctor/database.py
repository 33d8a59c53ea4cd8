"""The database server, its clock, and our schema in it."""

import time
from collections.abc import Sequence
from pathlib import Path

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.doctor import repository
from mpanel_billing.doctor.clock import judge_clock
from mpanel_billing.doctor.finding import Finding, failed, ok, some, warning
from mpanel_billing.resources import MIGRATIONS
from mpanel_billing.settings import DatabaseSettings

OLDEST_POSTGRES = 16
_PROCESSES = 3
"""Two web processes and a worker, as ecosystem.config.js starts them, each with a pool."""


async def look_at_server(pool: Pool, settings: DatabaseSettings) -> list[Finding]:
    """Look at version, encoding, role and room for our connections."""
    async with acquired(pool) as conn:
        server = await repository.get_server(conn)
    wanted = _PROCESSES * settings.database_pool_max
    findings = [ok("database", f"PostgreSQL {server['version']}; no extension is needed")]
    if server["major"] < OLDEST_POSTGRES:
        text = f"PostgreSQL {server['version']}"
        findings = [failed("database", text, f"PostgreSQL {OLDEST_POSTGRES} or newer is needed")]
    if server["encoding"] != "UTF8":
        text = f"its encoding is {server['encoding']}"
        findings.append(failed("database encoding", text, "names need a database in UTF8"))
    if server["standby"]:
        text = "this server is a standby, and takes no writes"
        findings.append(failed("database role", text, "let DATABASE_URL name the primary"))
    if server["connections"] < wanted:
        text = f"{server['connections']} allowed; three processes may open {wanted}"
        advice = "raise max_connections, or lower DATABASE_POOL_MAX"
        findings.append(warning("database connections", text, advice))
    return findings


async def look_at_database_clock(pool: Pool) -> list[Finding]:
    """Compare our clock with the server's, by which leases and retries are timed."""
    async with acquired(pool) as conn:
        before = time.time()
        theirs = (await repository.get_clock(conn)).timestamp()
        ours = (before + time.time()) / 2
    return [judge_clock("database clock", ours - theirs, "the database server's")]


async def look_at_schema(pool: Pool, migrations: Path = MIGRATIONS) -> list[Finding]:
    """Compare what has been migrated with the files of this program."""
    async with acquired(pool) as conn:
        applied = await repository.list_schema_versions(conn)
    return [judge_schema(applied, _names_of_files(migrations))]


def _names_of_files(migrations: Path) -> list[str]:
    return [path.name for path in migrations.glob("*.sql")]


def judge_schema(applied: set[str], files: Sequence[str]) -> Finding:
    """Say whether a database with these versions is what a program with these files needs."""
    known = {name.partition("_")[0]: name for name in sorted(files)}
    pending = [name for version, name in known.items() if version not in applied]
    if not applied:
        return failed("schema", "there is none of ours", "run `make migrate`")
    if pending:
        text = f"migrations are pending: {some(pending, most=2)}"
        return failed("schema", text, "run `make migrate`")
    if unknown := sorted(applied - known.keys()):
        text = f"the database is ahead of this program, by {some(unknown, most=2)}"
        return warning(
            "schema", text, "update this program, unless a newer one is being rolled out"
        )
    return ok("schema", f"at {max(known)}, no migration is pending")
