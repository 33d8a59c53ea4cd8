"""The sandbox's objects, with transactions.

Readers get copies or read-only views; changes take effect through `put`. A failed transaction is
rolled back; a committed one is reported to the listeners. Those objects that were used last are in
memory, the others in the archive.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from stripe_sandbox.archive import Archive, Row, Snapshot
from stripe_sandbox.documents import Document, ReadOnly, copied
from stripe_sandbox.journal import Before, Change, Key
from stripe_sandbox.lookups import LOOKUPS, Lookups

WARM = 10_000
"""How many objects stay in memory: about 100 MB."""

Listener = Callable[[list[Change]], None]


class Store:
    """Objects by kind and id, in order of creation; `warm` is how many stay in memory."""

    def __init__(self, *, warm: int = WARM) -> None:
        self._most = warm
        self._warm: OrderedDict[Key, Document] = OrderedDict()
        self._shared: dict[Key, Document] = {}
        self._unwritten: dict[Key, None] = {}
        self._gone: list[tuple[str, int]] = []
        self._ids: defaultdict[str, list[str | None]] = defaultdict(list)
        self._places: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._lookups = Lookups()
        self._journal: dict[Key, Before] | None = None
        self._listeners: list[Listener] = []
        self._restarted: list[Callable[[], None]] = []
        self._file: Archive | None = None
        self._is_kept = False

    def subscribe(self, listener: Listener, restarted: Callable[[], None] | None = None) -> None:
        """Call the listener with the changes of each committed transaction.

        `restarted` is called when all objects have been replaced at once.
        """
        self._listeners.append(listener)
        if restarted:
            self._restarted.append(restarted)

    def open(self, path: Path) -> None:
        """Load a state file, and write every change to it; raises StateFileError."""
        self._file = Archive(path)
        self._is_kept = True
        self._load(self._file)

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def has(self, object_id: str) -> bool:
        """Return whether any object has the id."""
        for places in self._places.values():  # noqa: SIM110 - each new id asks: half the time
            if object_id in places:
                return True
        return False

    def kind_of(self, object_id: str) -> str | None:
        """Return the kind of the object with an id, if there is one that the API knows."""
        kinds = (kind for kind, places in self._places.items() if object_id in places)
        return next((kind for kind in kinds if not kind.startswith("_")), None)

    def is_empty(self) -> bool:
        """Return whether there is no object at all."""
        return not any(self._places.values())

    def count(self, kind: str) -> int:
        """Return how many objects of a kind there are."""
        return len(self._places[kind])

    def get(self, kind: str, object_id: str) -> Document | None:
        """Return a copy of the object, or None."""
        found = self._find(kind, object_id)
        return None if found is None else copied(found)

    def peek(self, kind: str, object_id: str) -> ReadOnly | None:
        """Return the object itself, read-only, or None."""
        return self._find(kind, object_id)

    def all(self, kind: str) -> Iterator[ReadOnly]:
        """Iterate over the objects of a kind, oldest first, read-only.

        Reads every one of them; `where` does not.
        """
        return self._scan(kind, tuple(self._ids[kind]))

    def where(self, kind: str, name: str, value: str) -> Iterator[ReadOnly]:
        """Iterate over the objects of a kind with a value in a field, oldest first, read-only.

        Raises KeyError for a field that is not in `lookups.LOOKUPS`.
        """
        ids = self._lookups.ids(kind, name, value)
        found = (self._find(kind, id_) for id_ in sorted(ids, key=self._places[kind].__getitem__))
        return (document for document in found if document is not None)

    def newest_first(
        self, kind: str, after: str | None = None, *, having: tuple[str, str] | None = None
    ) -> Iterator[ReadOnly]:
        """Iterate over the objects of a kind, newest first, read-only.

        `after` skips to behind the object with that id, in constant time; raises KeyError if it
        does not exist. `having` are a field of `lookups.LOOKUPS` and its value. The store must not
        change during the iteration.
        """
        ids, places = self._ids[kind], self._places[kind]
        start = len(ids) if after is None else places[after]
        if having:
            mine = sorted((places[one] for one in self._lookups.ids(kind, *having)), reverse=True)
            return self._scan(kind, (ids[place] for place in mine if place < start))
        return self._scan(kind, (ids[place] for place in range(start - 1, -1, -1)))

    def put(self, kind: str, document: ReadOnly) -> None:
        """Store a copy of the object under its id."""
        self.adopt(kind, copied(document))

    def adopt(self, kind: str, document: Document) -> None:
        """Store the object itself, which nobody may change from then on."""
        before = self._remember(kind, document["id"])
        self._lookups.move(kind, before, document)
        if before is None:
            self._give_place(kind, document["id"])
        self._keep_warm((kind, document["id"]), document)

    def delete(self, kind: str, object_id: str) -> None:
        """Delete the object."""
        before = self._remember(kind, object_id)
        self._lookups.move(kind, before, None)
        self._ids[kind][self._places[kind].pop(object_id)] = None
        self._warm.pop((kind, object_id), None)

    def load(self, kind: str, document: Document) -> None:
        """Store a new object as it is, without transaction or listeners.

        It stays in memory: it shares parts with others.
        """
        key = kind, document["id"]
        self._lookups.move(kind, None, document)
        self._give_place(*key)
        self._shared[key] = document
        self._unwritten[key] = None

    def clear(self) -> None:
        """Delete all objects; snapshots stay."""
        if self._file:
            self._file.clear()
        self._restart()

    def keep_snapshot(self, name: str, moment: int) -> Snapshot:
        """Keep all objects under a name, with the sandbox's Unix time.

        An earlier snapshot of that name is replaced.
        """
        self._write([*self._unwritten])
        return self._archive().keep_snapshot(name, moment)

    def snapshots(self) -> Mapping[str, Snapshot]:
        """Return the snapshots by name."""
        return {one.name: one for one in self._archive().snapshots()}

    def restore_snapshot(self, name: str) -> None:
        """Put the objects of a snapshot in place of the present ones."""
        self._archive().restore_snapshot(name)
        self._restart()

    def drop_snapshot(self, name: str) -> None:
        """Delete a snapshot."""
        self._archive().drop_snapshot(name)

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
        journal, self._journal = self._journal, None
        self._commit(journal)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Roll back what the block changes, also within a transaction."""
        outer, self._journal = self._journal, {}
        try:
            yield
        finally:
            self._roll_back(self._journal)
            self._journal = outer

    def _find(self, kind: str, object_id: str) -> Document | None:
        """Return the object, which then is in memory."""
        key = kind, object_id
        found = self._warm.get(key)
        if found is not None:
            self._warm.move_to_end(key)
            return found
        found = self._look(kind, object_id)
        if found is not None and key not in self._shared:
            self._keep_warm(key, found)
        return found

    def _look(self, kind: str, object_id: str) -> Document | None:
        """Return the object from where it is, and leave it there."""
        key = kind, object_id
        if object_id not in self._places[kind]:
            return None
        found = self._warm.get(key) or self._shared.get(key)
        return found or self._archive().read(kind, self._places[kind][object_id])

    def _scan(self, kind: str, ids: Iterable[str | None]) -> Iterator[ReadOnly]:
        found = (self._look(kind, object_id) for object_id in ids if object_id is not None)
        return (document for document in found if document is not None)

    def _keep_warm(self, key: Key, document: Document) -> None:
        self._warm[key] = document
        self._warm.move_to_end(key)
        if self._journal is None:
            self._cool()

    def _cool(self) -> None:
        """Leave the objects that were not used for the longest time to the archive."""
        surplus = len(self._warm) - self._most
        if surplus <= 0:
            return
        coldest = [*islice(self._warm, surplus + self._most // 10)]
        self._write([key for key in coldest if key in self._unwritten])
        for key in coldest:
            del self._warm[key]

    def _give_place(self, kind: str, object_id: str) -> None:
        """Give a new object the next place."""
        self._places[kind][object_id] = len(self._ids[kind])
        self._ids[kind].append(object_id)

    def _remember(self, kind: str, object_id: str) -> Document | None:
        """Return the object as it is; the journal keeps it as it was before the transaction."""
        if self._journal is None:
            raise RuntimeError("a change outside a transaction")
        current = self._find(kind, object_id)
        before = Before(self._places[kind].get(object_id), current)
        self._journal.setdefault((kind, object_id), before)
        return current

    def _roll_back(self, journal: Mapping[Key, Before]) -> None:
        for (kind, object_id), before in journal.items():
            self._lookups.move(kind, self._find(kind, object_id), before.document)
            place = self._places[kind].pop(object_id, None)
            self._warm.pop((kind, object_id), None)
            if place is not None:
                self._ids[kind][place] = None
            if before.place is not None and before.document is not None:
                self._places[kind][object_id] = before.place
                self._ids[kind][before.place] = object_id
                self._warm[kind, object_id] = before.document

    def _commit(self, journal: Mapping[Key, Before]) -> None:
        changes = [Change(*key, self._find(*key)) for key in journal]
        for change in changes:
            key = change.kind, change.id
            place = journal[key].place
            self._shared.pop(key, None)
            is_gone = place is not None and place != self._places[change.kind].get(change.id)
            if place is not None and is_gone and self._file:
                self._gone.append((change.kind, place))
            if change.document is None:
                self._unwritten.pop(key, None)
            else:
                self._unwritten[key] = None
        if self._is_kept:
            self._write([*self._unwritten])
        self._cool()
        if changes:
            for listener in self._listeners:
                listener(changes)

    def _write(self, keys: list[Key]) -> None:
        """Write objects to the archive, and delete there those that are gone."""
        if not keys and not (self._gone and self._file):
            return
        kept = ((Row(k, self._places[k][i], i), self._look(k, i) or {}) for k, i in keys)
        self._archive().write(kept, self._gone)
        self._gone = []
        for key in keys:
            self._unwritten.pop(key, None)

    def _archive(self) -> Archive:
        """Return the state file, or a temporary one that is made when it is needed."""
        if self._file is None:
            self._file = Archive(None)
        return self._file

    def _load(self, archive: Archive) -> None:
        """Load the ids and what finds objects; the objects themselves are read when needed."""
        for row in archive.rows():
            ids = self._ids[row.kind]
            ids.extend([None] * (row.place - len(ids)))
            self._give_place(row.kind, row.id)
        for kind in LOOKUPS:
            for document in archive.bodies(kind):
                self._lookups.move(kind, None, document)

    def _restart(self) -> None:
        """Begin with what the archive has."""
        for part in (self._warm, self._shared, self._unwritten, self._ids, self._places):
            part.clear()
        self._gone = []
        self._lookups.clear()
        if self._file:
            self._load(self._file)
        for restarted in self._restarted:
            restarted()
