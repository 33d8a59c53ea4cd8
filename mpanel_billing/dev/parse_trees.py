"""The privileges that a statement needs, as PostgreSQL itself sees it.

PostgreSQL prints the parse tree of each statement that it prepares, with the columns that it reads
and writes. It parses the body of a function no earlier than it runs, so there the words count.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mpanel_billing.database.privileges import Need
from mpanel_billing.database.queries import Connection

PRINTING = {"client_min_messages": "log", "debug_print_parse": "on", "debug_pretty_print": "off"}
"""Settings of a session in which statements are examined."""

MPANELS = frozenset(
    {"tenants", "users", "products", "customers", "subscriptions", "invoices", "domains"}
)
"""Tables that mPanel may own: their columns are granted one by one."""

_GUARDED = frozenset({"billing_api_keys"})
"""Tables of our own that say who may do what: only the columns that change are granted."""

_PRIVILEGES = {1: "INSERT", 2: "SELECT", 4: "UPDATE", 8: "DELETE"}
_OFFSET = 7
"""In a set of columns PostgreSQL counts from its first system column; 0 is the whole row."""
_ANY = {"SELECT": "id", "UPDATE": "updated_at"}
"""The column of mPanel's tables to grant where one is enough: to count rows, and to lock them."""

_PERMISSIONS = re.compile(
    r"\{RTEPERMISSIONINFO :relid (\d+) :inh \w+ :requiredPerms (\d+) :checkAsUser \d+"
    r" :selectedCols \(b([ \d]*)\) :insertedCols \(b([ \d]*)\) :updatedCols \(b([ \d]*)\)\}"
)
_CALLED = re.compile(r":funcid (\d+)")
_LOCKED = re.compile(r"^LOCK TABLE (\w+)", re.MULTILINE)

_READ = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)")
_INSERTED = re.compile(r"\bINSERT INTO (\w+)(?:\s+AS \w+)?\s*\(([^)]*)\)")
_UPDATED = re.compile(
    r"\bUPDATE (\w+)|\bINSERT INTO (\w+)(?:(?!\bINSERT INTO\b)[^;])*\bDO UPDATE\b"
)
_DELETED = re.compile(r"\bDELETE FROM (\w+)")
_ASSIGNED = re.compile(r"(?:\bSET|,)\s+(\w+) = ")


class UnclearNeedError(Exception):
    """A statement reads whole rows of users, with their passwords: it has to name the columns."""


class Schema(NamedTuple):
    """Tables and routines by oid, the columns of each table by number, the bodies of routines."""

    tables: Mapping[int, str]
    columns: Mapping[str, Mapping[int, str]]
    routines: Mapping[int, str]
    bodies: Mapping[str, str]


async def examine(conn: Connection, schema: Schema, statement: str) -> frozenset[Need]:
    """Prepare a statement, in a session with PRINTING, and return what it needs."""
    printed: list[str] = []

    def note(_: Connection, message: object) -> None:
        printed.append(getattr(message, "detail", None) or "")

    conn.add_log_listener(note)
    try:
        await conn.prepare(statement)
    finally:
        conn.remove_log_listener(note)
    tree = " ".join(" ".join(printed).split())
    return frozenset((*_permissions(tree, schema), *_locks(statement), *_calls(tree, schema)))


def _permissions(tree: str, schema: Schema) -> Iterator[Need]:
    for relid, required, *column_sets in _PERMISSIONS.findall(tree):
        table = schema.tables.get(int(relid))
        if table is None:  # of PostgreSQL's own catalogue
            continue
        selected, inserted, updated = (list(map(int, each.split())) for each in column_sets)
        sets = {"SELECT": selected, "INSERT": inserted, "UPDATE": updated, "DELETE": []}
        for bit, privilege in _PRIVILEGES.items():
            if int(required) & bit:
                yield from _on_columns(schema, table, privilege, sets[privilege])


def _on_columns(
    schema: Schema, table: str, privilege: str, numbers: Sequence[int]
) -> Iterator[Need]:
    if table == "users" and _OFFSET in numbers:
        raise UnclearNeedError(f"whole rows of {table}")
    if not _by_column(privilege, table) or _OFFSET in numbers:
        yield Need(privilege, table)
        return
    names = [schema.columns[table][number - _OFFSET] for number in numbers]
    for name in names or [_ANY[privilege]]:
        yield Need(privilege, table, name)


def _by_column(privilege: str, table: str) -> bool:
    if table in MPANELS:
        return privilege != "DELETE"
    return table in _GUARDED and privilege == "UPDATE"


def _locks(statement: str) -> Iterator[Need]:
    for table in _LOCKED.findall(statement):
        yield Need("UPDATE", table)


def _calls(tree: str, schema: Schema) -> Iterator[Need]:
    for oid in set(map(int, _CALLED.findall(tree))) & schema.routines.keys():
        yield Need("EXECUTE", schema.routines[oid])
        yield from needs_of_routine(schema, schema.routines[oid])


def needs_of_routine(schema: Schema, name: str) -> Iterator[Need]:
    """Yield what a routine needs that runs with the rights of its caller.

    Each word that is a column of a table it reads counts as read.
    """
    body = re.sub(r"--.*", "", schema.bodies[name])
    words = set(re.findall(r"\w+", body))
    yield from _reads(schema, body, words)
    yield from _writes(schema, body)
    for other in words & schema.bodies.keys() - {name}:
        yield Need("EXECUTE", other)
        yield from needs_of_routine(schema, other)


def _reads(schema: Schema, body: str, words: set[str]) -> Iterator[Need]:
    for table in set(_READ.findall(body)) & schema.columns.keys():
        yield from _named(schema, "SELECT", table, words)


def _writes(schema: Schema, body: str) -> Iterator[Need]:
    assigned = set(_ASSIGNED.findall(body))
    for table, columns in _INSERTED.findall(body):
        yield from _named(schema, "INSERT", table, set(re.findall(r"\w+", columns)))
    for table in {name for pair in _UPDATED.findall(body) for name in pair} & schema.columns.keys():
        yield from _named(schema, "UPDATE", table, assigned)
    for table in _DELETED.findall(body):
        yield Need("DELETE", table)


def _named(schema: Schema, privilege: str, table: str, words: set[str]) -> Iterator[Need]:
    if not _by_column(privilege, table):
        yield Need(privilege, table)
        return
    for column in words.intersection(schema.columns[table].values()):
        yield Need(privilege, table, column)
