"""Views and routines: one file each in `sql/views` and `sql/routines`, applied when it has changed.

Unlike a migration, such a file holds the complete current text and is edited in place. Its name is
the name of its object. Why: docs/decisions/0015-repeatable-views-and-routines.md.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

import asyncpg

from mpanel_billing.database import repository
from mpanel_billing.database.queries import Connection

_KINDS = {"routines": "FUNCTION", "views": "VIEW"}


def texts_of(sql: Path) -> dict[str, str]:
    """Return the texts by file, such as `views/billing_mrr.sql`, in the order to apply them."""
    paths = [path for kind in _KINDS for path in (sql / kind).glob("*.sql")]
    return _in_order({f"{path.parent.name}/{path.name}": path.read_text() for path in paths})


async def apply(connection: Connection, texts: Mapping[str, str]) -> list[str]:
    """Bring all views and routines up to `texts` in one transaction; return the changed files.

    Raises asyncpg's errors, for example if a view that has to be dropped is used by another.
    """
    applied = await _applied(connection)
    changed = [file for file in texts if applied.get(file) != _digest(texts[file])]
    obsolete = [file for file in applied if file not in texts]
    if not changed and not obsolete:
        return []
    async with connection.transaction():
        await _drop(connection, obsolete)
        try:
            async with connection.transaction():
                await _create(connection, changed, texts)
        except asyncpg.InvalidTableDefinitionError:
            await _replace(connection, [file for file in texts if file in applied], texts, changed)
    return [f"sql/{file}" for file in changed]


async def remove(connection: Connection) -> None:
    """Drop all views and routines that `apply` has created."""
    async with connection.transaction():
        await _drop(connection, list(await _applied(connection)))


async def _applied(connection: Connection) -> Mapping[str, bytes]:
    try:
        return await repository.list_texts(connection)
    except asyncpg.UndefinedTableError:
        return {}


async def _replace(
    connection: Connection,
    existing: Sequence[str],
    texts: Mapping[str, str],
    changed: Iterable[str],
) -> None:
    """Drop all our views, and recreate them with their owner and grants."""
    views = [file for file in existing if _kind(file) == "VIEW"]
    rights = await repository.list_view_rights(connection, [_name(view) for view in views])
    await _drop(connection, views)
    await _create(connection, [file for file in texts if file in {*changed, *views}], texts)
    for right in rights:
        await connection.execute(right)


async def _create(connection: Connection, files: Iterable[str], texts: Mapping[str, str]) -> None:
    for file in files:
        try:
            await connection.execute(texts[file])
        except asyncpg.PostgresError as error:
            error.add_note(f"sql/{file}")
            raise
        await repository.record_text(connection, file, _digest(texts[file]))


async def _drop(connection: Connection, files: Sequence[str]) -> None:
    """Drop objects, all views in one statement: they may depend on one another.

    Views go first, because they may use functions.
    """
    for kind in reversed(_KINDS.values()):
        if names := [_name(file) for file in files if _kind(file) == kind]:
            await connection.execute(f"DROP {kind} {', '.join(names)}")
    for file in files:
        await repository.forget_text(connection, file)


def _in_order(texts: Mapping[str, str]) -> dict[str, str]:
    """Order texts so that each comes after those whose objects it names."""
    words = {file: set(re.findall(r"\w+", text)) for file, text in texts.items()}
    needs = {
        file: {other for other in texts if other != file and _name(other) in words[file]}
        for file in sorted(texts)
    }
    return {file: texts[file] for file in TopologicalSorter(needs).static_order()}


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _name(file: str) -> str:
    return Path(file).stem


def _kind(file: str) -> str:
    return _KINDS[Path(file).parent.name]
