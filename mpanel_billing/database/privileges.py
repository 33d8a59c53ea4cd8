"""What each process needs to be allowed in the database: `sql/privileges.toml`.

`make schema` derives the file from the queries that the process can run.
"""

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from mpanel_billing.resources import SQL

FILE = SQL / "privileges.toml"


class Process(StrEnum):
    """A kind of process with a set of privileges of its own."""

    WEB = "web"
    WORKER = "worker"
    COMMANDS = "commands"
    KEYS = "keys"
    """Making API keys in the console, which no web process may unless it is granted."""


class Need(NamedTuple):
    """A privilege on an object; or on a column, as `sql/privileges.toml` says."""

    privilege: str
    object: str
    column: str | None = None

    @property
    def of_object(self) -> "Need":
        """The same privilege on the whole object."""
        return Need(self.privilege, self.object)


RUNTIME = (Process.WEB, Process.WORKER)

_MARKS: Mapping[Process, Need] = {
    Process.WEB: Need("INSERT", "stripe_events"),
    Process.WORKER: Need("DELETE", "pgqueuer"),
    Process.COMMANDS: Need("INSERT", "catalogue_edits"),
    Process.KEYS: Need("INSERT", "billing_api_keys"),
}
"""The privilege that tells which processes a role was made for."""

_GIVEN_TO_ALL = "EXECUTE"
"""By default everyone may call functions; ours run with the rights of their callers."""


def needs_of(processes: Iterable[Process]) -> frozenset[Need]:
    """Return what a role needs that runs these processes."""
    return merged(need for process in processes for need in _all_needs()[process])


def processes_of(held: frozenset[Need]) -> tuple[Process, ...]:
    """Return the processes that a role with these privileges was made for."""
    return tuple(process for process, mark in _MARKS.items() if mark in held)


def missing(held: frozenset[Need], processes: Iterable[Process]) -> list[Need]:
    """Return what a role that runs these processes lacks, in order."""
    lacking = {n for n in needs_of(processes) if n not in held and n.of_object not in held}
    return sorted(lacking, key=_order)


def excess(held: frozenset[Need], processes: Iterable[Process]) -> list[Need]:
    """Return what a role may do that these processes do not need, in order."""
    needs = needs_of(processes)
    more = {n for n in held if n not in needs and n.of_object not in needs}
    return sorted((n for n in more if n.privilege != _GIVEN_TO_ALL), key=_order)


def listed(needs: Sequence[Need]) -> list[str]:
    """Return needs as a person reads them, such as `SELECT on users (email, id)`."""
    return [
        f"{privilege} on {name}" + (f" ({', '.join(columns)})" if columns else "")
        for privilege, objects in grouped(needs).items()
        for name, columns in objects.items()
    ]


def grouped(needs: Iterable[Need]) -> Mapping[str, Mapping[str, list[str]]]:
    """Return the columns by privilege and object, in order; none for a whole object."""
    groups: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for need in sorted(merged(needs), key=_order):
        groups[need.privilege][need.object] += [need.column] if need.column else []
    return groups


def as_toml(needs: Mapping[Process, Iterable[Need]]) -> str:
    """Return the text of the file for these needs; an empty list is a whole object."""
    lines = [
        "# What each process needs to be allowed: `make schema` derives it, so do not edit it.",
        "# The columns are listed of tables that mPanel may own, and those of keys that change;",
        "# [] is the whole object.",
    ]
    for process, needed in needs.items():
        for privilege, objects in grouped(needed).items():
            lines += ["", f"[{process}.{privilege}]"]
            for name, columns in objects.items():
                quoted = ", ".join(f'"{column}"' for column in columns)
                lines.append(f"{name} = [{quoted}]")
    return "\n".join(lines) + "\n"


def merged(needs: Iterable[Need]) -> frozenset[Need]:
    """Leave out columns of which the whole table is needed."""
    every = frozenset(needs)
    return frozenset(n for n in every if n.column is None or n.of_object not in every)


def _order(need: Need) -> tuple[str, str, str]:
    return (need.privilege, need.object, need.column or "")


@cache
def _all_needs() -> Mapping[Process, frozenset[Need]]:
    read = tomllib.loads(FILE.read_text())
    return {process: frozenset(_needs_in(read.get(process, {}))) for process in Process}


def _needs_in(table: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[Need]:
    for privilege, objects in table.items():
        for name, columns in objects.items():
            whole = Need(privilege, name)
            yield from (whole._replace(column=column) for column in columns)
            yield from [] if columns else [whole]
