"""Persists the store in a SQLite file."""

import json
import sqlite3
from pathlib import Path

from stripe_sandbox.store import Change, Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
  position INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (kind, id)
)
"""
UPSERT = """
INSERT INTO documents (kind, id, body) VALUES (?, ?, ?)
ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body
"""


class Archive:
    """A file that mirrors a store, one SQLite transaction per store transaction.

    WAL without fsync: committed data survives a crash of the process, not of the machine, and a
    write takes well under a millisecond.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(SCHEMA)

    def attach(self, store: Store) -> None:
        """Load the file into the store, then record every change."""
        rows = self._connection.execute("SELECT kind, body FROM documents ORDER BY position")
        for kind, body in rows:
            store.load(kind, json.loads(body))
        store.subscribe(self._write)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _write(self, changes: list[Change]) -> None:
        kept = [(c.kind, c.id, json.dumps(c.document)) for c in changes if c.document is not None]
        gone = [(c.kind, c.id) for c in changes if c.document is None]
        self._connection.execute("BEGIN")
        self._connection.executemany(UPSERT, kept)
        self._connection.executemany("DELETE FROM documents WHERE kind = ? AND id = ?", gone)
        self._connection.execute("COMMIT")
