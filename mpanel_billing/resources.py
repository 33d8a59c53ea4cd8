"""The files that are not Python: queries, views, routines, migrations, the default files."""

from pathlib import Path

_PACKAGE = Path(__file__).parent
_INSTALLED = _PACKAGE / "_resources"

IS_PACKAGED = _INSTALLED.is_dir()
"""Whether this is an installed package, not a source tree."""

ROOT = _INSTALLED if IS_PACKAGED else _PACKAGE.parent
"""Holds these files: inside an installed package, else the top of the source tree."""

SQL = ROOT / "sql"
QUERIES = SQL / "queries"
MIGRATIONS = ROOT / "prisma" / "migrations"
DEFAULT_CATALOGUE = ROOT / "catalog" / "migrahosting.toml"
DEFAULT_RESERVED_DOMAINS = ROOT / "catalog" / "reserved-domains.txt"

FOR_OPERATORS = (".env.example", "ecosystem.config.js", "catalog", "deploy", "docs")
"""What `mpanel-billing unpack` writes: files and folders below ROOT."""
