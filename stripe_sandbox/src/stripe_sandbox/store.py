"""The sandbox's objects, in memory, with transactions.

Readers get copies or read-only views; changes take effect through `put`. A failed transaction is
rolled back; a committed one is reported to the listeners.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

from stripe_sandbox.documents import Document, ReadOnly


@dataclass(frozen=True)
class Change:
    """One object after a transaction; `document` is None if it was deleted."""

    kind: str
    id: str
    document: ReadOnly | None


Listener = Callable[[list[Change]], None]


class Store:
    """Objects by kind and id, in order of creation."""

    def __init__(self) -> None:
        self._documents: defaultdict[str, dict[str, Document]] = defaultdict(dict)
        self._ids: defaultdict[str, list[str]] = defaultdict(list)
        self._places: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._journal: dict[tuple[str, str], Document | None] | None = None
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Call the listener with the changes of each committed transaction."""
        self._listeners.append(listener)

    def has(self, object_id: str) -> bool:
        """Return whether any object has the id."""
        return any(object_id in documents for documents in self._documents.values())

    def is_empty(self) -> bool:
        """Return whether there is no object at all."""
        return not any(self._documents.values())

    def get(self, kind: str, object_id: str) -> Document | None:
        """Return a copy of the object, or None."""
        return deepcopy(self._documents[kind].get(object_id))

    def peek(self, kind: str, object_id: str) -> ReadOnly | None:
        """Return the object itself, read-only, or None."""
        return self._documents[kind].get(object_id)

    def all(self, kind: str) -> Iterator[ReadOnly]:
        """Iterate over the objects of a kind, oldest first, read-only."""
        return iter(tuple(self._documents[kind].values()))

    def newest_first(self, kind: str, after: str | None = None) -> Iterator[ReadOnly]:
        """Iterate over the objects of a kind, newest first, read-only.

        `after` skips to behind the object with that id, in constant time; raises KeyError if it
        does not exist. The store must not change during the iteration.
        """
        ids, documents = self._ids[kind], self._documents[kind]
        if after is not None and after not in documents:
            raise KeyError(after)
        start = len(ids) if after is None else self._places[kind][after]
        older = (documents.get(ids[place]) for place in range(start - 1, -1, -1))
        return (document for document in older if document is not None)

    def put(self, kind: str, document: ReadOnly) -> None:
        """Store a copy of the object under its id."""
        self._remember(kind, document["id"])
        self._find_place(kind, document["id"])
        self._documents[kind][document["id"]] = deepcopy(dict(document))

    def delete(self, kind: str, object_id: str) -> None:
        """Delete the object."""
        self._remember(kind, object_id)
        del self._documents[kind][object_id]

    def clear(self) -> None:
        """Delete everything."""
        with self.transaction():
            for kind, documents in self._documents.items():
                for object_id in tuple(documents):
                    self.delete(kind, object_id)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the block's changes, or roll them back on an error; nested blocks join."""
        if self._journal is not None:
            yield
            return
        self._journal = {}
        try:
            yield
        except BaseException:
            self._roll_back(self._journal)
            self._journal = None
            raise
        changed, self._journal = self._journal, None
        self._announce([*changed])

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Roll back what the block changes, also within a transaction."""
        outer, self._journal = self._journal, {}
        try:
            yield
        finally:
            self._roll_back(self._journal)
            self._journal = outer

    def load(self, kind: str, document: Document) -> None:
        """Store an object as it is, without transaction or listeners."""
        self._find_place(kind, document["id"])
        self._documents[kind][document["id"]] = document

    def _find_place(self, kind: str, object_id: str) -> None:
        """Give a new object the next place; it keeps it."""
        if object_id not in self._places[kind]:
            self._places[kind][object_id] = len(self._ids[kind])
            self._ids[kind].append(object_id)

    def _remember(self, kind: str, object_id: str) -> None:
        if self._journal is None:
            raise RuntimeError("a change outside a transaction")
        self._journal.setdefault((kind, object_id), self._documents[kind].get(object_id))

    def _roll_back(self, journal: dict[tuple[str, str], Document | None]) -> None:
        for (kind, object_id), before in journal.items():
            if before is None:
                self._documents[kind].pop(object_id, None)
            else:
                self._documents[kind][object_id] = before

    def _announce(self, changed: list[tuple[str, str]]) -> None:
        changes = [Change(kind, id_, self._documents[kind].get(id_)) for kind, id_ in changed]
        if changes:
            for listener in self._listeners:
                listener(changes)
