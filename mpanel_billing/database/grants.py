"""The SQL that gives a role what the processes need that run as it, and nothing else."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from mpanel_billing.database.privileges import Process, grouped, needs_of
from mpanel_billing.errors import BillingError
from mpanel_billing.resources import SQL

_LONGEST_NAME = 63
"""In bytes; PostgreSQL cuts longer names off."""
_RESERVED = frozenset({"public", "none"})
_KINDS = {"EXECUTE": "FUNCTION ", "USAGE": "SEQUENCE "}
_WIDTH = 100


class RoleNameError(BillingError):
    """No role can have this name, or not this part."""

    code = "role_name"


def grants(owner: str, runtime: str, processes: Sequence[Process], *, add_only: bool) -> str:
    """Return a transaction that grants `runtime` what these processes need in the schema public.

    It begins by taking all away that the role was granted there, unless `add_only`. Run it as the
    owner of the tables or as a superuser. Raises RoleNameError.
    """
    _check_names(owner, runtime)
    steps = [
        f"-- What {' and '.join(processes)} may do as {_one_line(runtime)}.",
        "BEGIN;",
        "SET LOCAL search_path = pg_catalog, public;",
        f"SET LOCAL mpanel_billing.owner = {_literal(owner)};",
        f"SET LOCAL mpanel_billing.runtime = {_literal(runtime)};",
        _file("check"),
        *([] if add_only else [_file("take_away")]),
        *_statements(_identifier(runtime), processes),
        _file("verify"),
        "COMMIT;",
    ]
    return "\n".join(steps) + "\n"


def _check_names(owner: str, runtime: str) -> None:
    for name in (owner, runtime):
        if not name or "\0" in name or len(name.encode()) > _LONGEST_NAME:
            raise RoleNameError(f"{name!r} is not the name of a role: 1 to {_LONGEST_NAME} bytes")
        if name.lower() in _RESERVED or name.startswith("pg_"):
            raise RoleNameError(f"{name!r} is reserved by PostgreSQL: choose a role of its own")
    if owner == runtime:
        raise RoleNameError(
            f"{owner!r} cannot be both: an owner may do anything with its tables, so the service "
            "needs another role"
        )


def _statements(role: str, processes: Iterable[Process]) -> Iterator[str]:
    yield f"GRANT USAGE ON SCHEMA public TO {role};"
    for privilege, objects in grouped(needs_of(processes)).items():
        whole = ", ".join(name for name, columns in objects.items() if not columns)
        if whole:
            yield _statement(f"GRANT {privilege} ON {_KINDS.get(privilege, '')}{whole}", role)
        for name, columns in objects.items():
            if columns:
                yield _statement(f"GRANT {privilege} ({', '.join(columns)}) ON {name}", role)


def _statement(grant: str, role: str) -> str:
    return f"{textwrap.fill(grant, _WIDTH, subsequent_indent='    ')}\n    TO {role};"


def _file(name: str) -> str:
    return (SQL / "grants" / f"{name}.sql").read_text().rstrip()


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    """Quote a text so that it means the same whatever `standard_conforming_strings` is."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _one_line(name: str) -> str:
    return name.encode("unicode_escape").decode()
