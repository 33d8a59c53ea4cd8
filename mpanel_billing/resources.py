"""The files that are not Python: queries, views, routines, migrations, the default files."""

from pathlib import Path

_PACKAGE = Path(__file__).parent
_INSTALLED = _PACKAGE / "_resources"

ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent
"""Holds `sql`, `prisma` and `catalog`: inside an installed package, else the top of the source
tree."""

SQL = ROOT / "sql"
QUERIES = SQL / "queries"
MIGRATIONS = ROOT / "prisma" / "migrations"
DEFAULT_CATALOGUE = ROOT / "catalog" / "migrahosting.toml"
DEFAULT_RESERVED_DOMAINS = ROOT / "catalog" / "reserved-domains.txt"
