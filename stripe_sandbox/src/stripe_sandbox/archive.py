"""The SQLite file behind a store: its objects, as far as they are not in memory, and snapshots.

Bodies are compressed JSON; the first object of a kind is the dictionary for the others, so that an
invoice takes about 500 bytes. A temporary file has Python's own format instead, which is ten times
as fast: nothing but this process reads it.
"""

import json
import marshal
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from stripe_sandbox.documents import Document, ReadOnly

APPLICATION_ID = 0x5342_4F58
FORMAT = 2
"""The format of the file; a release that changes it counts up, and refuses other ones."""

SCHEMA = f"""
CREATE TABLE documents (
  kind TEXT NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (kind, place)
) WITHOUT ROWID;
CREATE TABLE dictionaries (kind TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE snapshots (name TEXT PRIMARY KEY, moment INTEGER NOT NULL, objects INTEGER NOT NULL);
CREATE TABLE snapshot_documents (
  name TEXT NOT NULL, kind TEXT NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (name, kind, place)
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""

JSON = json.JSONEncoder(separators=(",", ":"), check_circular=False)
"""Made once: `json.dumps` makes an encoder for each object."""

WINDOW_BITS, MEMORY_LEVEL = 14, 8
MAX_DICTIONARY = 12_000
"""Bytes of a dictionary: with an object they have to fit into the window of compression."""


class StateFileError(Exception):
    """A state file that cannot be used; says why, and what to do."""


class Row(NamedTuple):
    """An object where it lies: its kind, its place among them, its id."""

    kind: str
    place: int
    id: str


class Snapshot(NamedTuple):
    """A kept state: its name, the sandbox's time then (Unix), how many objects it has."""

    name: str
    moment: int
    objects: int


class Archive:
    """A file, or without a path a temporary one that is gone at the end.

    WAL without fsync: what is committed survives a crash of the process, not of the machine, and a
    write takes well under a millisecond.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._connection = _open(path) if path else _temporary()
        self._dictionaries = self._read_dictionaries()

    def rows(self) -> Iterator[Row]:
        """Iterate over all objects without their bodies, by kind, oldest first."""
        query = "SELECT kind, place, id FROM documents ORDER BY kind, place"
        yield from map(Row._make, self._connection.execute(query))

    def bodies(self, kind: str) -> Iterator[Document]:
        """Iterate over the objects of a kind, oldest first."""
        query = "SELECT body FROM documents WHERE kind = ? ORDER BY place"
        for (body,) in self._connection.execute(query, [kind]):
            yield self._unpack(kind, body)

    def read(self, kind: str, place: int) -> Document:
        """Return an object."""
        query = "SELECT body FROM documents WHERE kind = ? AND place = ?"
        (body,) = self._connection.execute(query, [kind, place]).fetchone()
        return self._unpack(kind, body)

    def write(self, kept: Iterable[tuple[Row, ReadOnly]], gone: Iterable[tuple[str, int]]) -> None:
        """Write objects and delete others, by kind and place, in one transaction."""
        with self._transaction():
            self._connection.executemany("DELETE FROM documents WHERE kind = ? AND place = ?", gone)
            self._connection.executemany(
                "INSERT OR REPLACE INTO documents (kind, place, id, body) VALUES (?, ?, ?, ?)",
                ((*row, self._pack(row.kind, document)) for row, document in kept),
            )

    def clear(self) -> None:
        """Delete all objects; snapshots stay."""
        self._connection.execute("DELETE FROM documents")

    def keep_snapshot(self, name: str, moment: int) -> Snapshot:
        """Copy all objects under a name, in place of an earlier snapshot of that name."""
        with self._transaction():
            self._drop_snapshot(name)
            self._connection.execute(
                "INSERT INTO snapshot_documents SELECT ?, kind, place, id, body FROM documents",
                [name],
            )
            self._connection.execute(
                "INSERT INTO snapshots SELECT ?, ?, count(*) FROM documents", [name, moment]
            )
        return next(one for one in self.snapshots() if one.name == name)

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots, by name."""
        query = "SELECT name, moment, objects FROM snapshots ORDER BY name"
        return [Snapshot._make(row) for row in self._connection.execute(query)]

    def restore_snapshot(self, name: str) -> None:
        """Put the objects of a snapshot in place of the present ones."""
        with self._transaction():
            self._connection.execute("DELETE FROM documents")
            self._connection.execute(
                "INSERT INTO documents SELECT kind, place, id, body FROM snapshot_documents"
                " WHERE name = ?",
                [name],
            )

    def drop_snapshot(self, name: str) -> None:
        """Delete a snapshot, if there is one of that name."""
        with self._transaction():
            self._drop_snapshot(name)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _drop_snapshot(self, name: str) -> None:
        self._connection.execute("DELETE FROM snapshot_documents WHERE name = ?", [name])
        self._connection.execute("DELETE FROM snapshots WHERE name = ?", [name])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            self._dictionaries = self._read_dictionaries()
            raise
        self._connection.execute("COMMIT")

    def _read_dictionaries(self) -> dict[str, bytes]:
        return dict(self._connection.execute("SELECT kind, body FROM dictionaries"))

    def _pack(self, kind: str, document: ReadOnly) -> bytes:
        text = JSON.encode(document).encode() if self.path else marshal.dumps(dict(document))
        packer = zlib.compressobj(
            1, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL, zdict=self._dictionary(kind, text)
        )
        return packer.compress(text) + packer.flush()

    def _dictionary(self, kind: str, text: bytes) -> bytes:
        if kind not in self._dictionaries:
            self._dictionaries[kind] = text[:MAX_DICTIONARY]
            self._connection.execute(
                "INSERT INTO dictionaries (kind, body) VALUES (?, ?)",
                [kind, self._dictionaries[kind]],
            )
        return self._dictionaries[kind]

    def _unpack(self, kind: str, body: bytes) -> Document:
        try:
            unpacker = zlib.decompressobj(WINDOW_BITS, zdict=self._dictionaries[kind])
            text = unpacker.decompress(body)
            document: Document = json.loads(text) if self.path else marshal.loads(text)  # noqa: S302
        except (KeyError, ValueError, zlib.error):
            raise damaged(self.path, f"an object of kind {kind} cannot be read") from None
        return document


def _temporary() -> sqlite3.Connection:
    """Return a database in an unnamed temporary file."""
    connection = sqlite3.connect("", isolation_level=None)
    connection.execute("PRAGMA journal_mode = MEMORY")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(SCHEMA)
    return connection


def _open(path: Path) -> sqlite3.Connection:
    """Open a state file, or create it; raises StateFileError."""
    try:
        if not path.exists():
            _create(path)
        connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            _prepare(path, connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.OperationalError as error:
        reason = "another sandbox is using this file" if "locked" in str(error) else str(error)
        raise StateFileError(f"{path}: {reason}") from None
    except sqlite3.DatabaseError as error:
        raise damaged(path, str(error)) from None
    except OSError as error:
        raise StateFileError(f"{path}: {error.strerror}") from None
    return connection


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    """Take the file for this process, and check it."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    _check(path, connection)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _create(path: Path) -> None:
    """Create the file beside its place and move it there: killed half-way, there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    connection = sqlite3.connect(unfinished, isolation_level=None)
    connection.executescript(SCHEMA)
    connection.close()
    unfinished.rename(path)


def _check(path: Path, connection: sqlite3.Connection) -> None:
    """Raise StateFileError unless the file is whole and of this format."""
    if path.stat().st_size == 0:
        raise damaged(path, "it is empty")
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application_id, version) != (APPLICATION_ID, FORMAT):
        raise StateFileError(
            f"{path}: not a state file of this release (its format is "
            f"{version if application_id == APPLICATION_ID else 'unknown'}, not {FORMAT}); "
            "delete it, or name another"
        )
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise damaged(path, found)


def damaged(path: Path | None, reason: str) -> StateFileError:
    """Return the error about a file that cannot be read any more."""
    name = path or "temporary file"
    return StateFileError(
        f"{name}: the state file is damaged ({reason}); delete it, or put a copy in its place"
    )
