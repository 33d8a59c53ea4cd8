"""`python -m mpanel_billing.dev.schema`: write down the schema as the migrations leave it.

All of it in `sql/schema.sql`; in each file of `sql/queries` the tables that its line "Tables"
names, so that they are next to the statements about them; and in `sql/privileges.toml` what each
process needs to be allowed.
"""

import asyncio
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mpanel_billing.database import privileges
from mpanel_billing.database.migrations import TABLE, migrate
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.dev.privileges import derive_needs
from mpanel_billing.resources import QUERIES, SQL

SCHEMA = SQL / "schema.sql"

_NOTE = """\
-- The schema as the migrations, views and routines leave it on an empty database. Do not edit:
-- `make schema` writes it.
"""
_NOISE = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\..*|\\(un)?restrict .*)\n", re.MULTILINE)
_HEADER = re.compile(r"^-- Tables: (.+)\n(?:--.*\n)*", re.MULTILINE)
_TABLE = re.compile(r"^CREATE (?:UNLOGGED )?TABLE (\w+) \(.*?;$", re.MULTILINE | re.DOTALL)
_INDEX = re.compile(r"^CREATE (?:UNIQUE )?INDEX \w+ ON (\w+) .*;$", re.MULTILINE)
_CONSTRAINT = re.compile(r"^ALTER TABLE ONLY (\w+)\n    ADD CONSTRAINT .*;$", re.MULTILINE)


def dump_schema(bin_dir: Path, url: str) -> str:
    """Return the schema of a database without what differs between machines and days."""
    command = [
        str(bin_dir / "pg_dump"),
        "--schema-only",
        "--no-owner",
        "--no-privileges",
        "--restrict-key=x",
        f"--exclude-table={TABLE}",
        f"--dbname={url}",
    ]
    dump = subprocess.run(command, capture_output=True, check=True, text=True).stdout  # noqa: S603
    statements = _NOISE.sub("", dump).replace("public.", "").replace("\t", "    ")
    spaced = re.sub(r"\n{3,}", "\n\n", statements)
    return _NOTE + "\n" + re.sub(r"\n\n(?=COMMENT )", "\n", spaced).strip() + "\n"


def with_tables(queries: str, schema: str) -> str:
    """Return the text of a file of queries with the tables in its header as `schema` has them."""
    tables = _tables_of(schema)
    return _HEADER.sub(lambda header: _header(header[1], tables), queries)


def _header(names: str, tables: Mapping[str, str]) -> str:
    lines = "\n\n".join(tables[name] for name in names.split(", ")).splitlines()
    return "\n".join([f"-- Tables: {names}", "--", *(f"-- {line}".rstrip() for line in lines), ""])


def _tables_of(schema: str) -> dict[str, str]:
    """Return the definition of each table, its keys and its indexes."""
    parts = {match[1]: [match[0]] for match in _TABLE.finditer(schema)}
    for pattern in (_CONSTRAINT, _INDEX):
        for match in pattern.finditer(schema):
            parts[match[1]].append(re.sub(r"\s+", " ", match[0]))
    return {table: "\n".join(statements) for table, statements in parts.items()}


def main() -> None:
    """Migrate a new database and write its schema down."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedPostgres(Path(folder) / "postgres", durable=False) as server,
    ):
        asyncio.run(migrate(server.url("postgres")))
        schema = dump_schema(server.bin_dir, server.url("postgres"))
        needs = asyncio.run(derive_needs(server.url("postgres")))
    privileges.FILE.write_text(privileges.as_toml(needs))
    SCHEMA.write_text(schema)
    for path in QUERIES.glob("*.sql"):
        path.write_text(with_tables(path.read_text(), schema))


if __name__ == "__main__":
    main()
