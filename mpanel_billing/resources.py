"""Where the files that are not Python are: queries, migrations, the default catalogue."""

from pathlib import Path

_PACKAGE = Path(__file__).parent
_INSTALLED = _PACKAGE / "_resources"

ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent
"""The folder that holds `sql`, `prisma` and `catalog`: inside an installed package, else the
top of the source tree."""

QUERIES = ROOT / "sql" / "queries"
MIGRATIONS = ROOT / "prisma" / "migrations"
DEFAULT_CATALOGUE = ROOT / "catalog" / "migrahosting.toml"
