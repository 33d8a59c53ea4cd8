"""Objects that keep what is said about them and do nothing else: one declaration serves each kind.

A param is the field of its name, so a declaration is the SDK's types and what they support.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.operations import Call, Filter, Operation, listing, retrieve
from stripe_sandbox.shapes import CLASSES, fields_of
from stripe_sandbox.supported import NOTHING, Supported

Defaults = Callable[[Call], Mapping[str, Any]]


def nothing_more(_: Call) -> Document:
    """Return no fields beside what the call says."""
    return {}


@dataclass(frozen=True)
class Records:
    """A kind of such objects: where they are, how their ids begin, and what a new one has.

    `fields` returns what a new object has beside what the call says; it may refuse the call.
    `announces` sends `<kind>.created` and `<kind>.updated`, where Stripe has those events.
    """

    kind: str
    path: str
    prefix: str
    fields: Defaults = nothing_more
    announces: bool = False
    filters: Mapping[str, Filter] = field(default_factory=dict)

    @property
    def one(self) -> str:
        """The path of one object."""
        return f"{self.path}/{{id}}"

    def create(self, call: Call) -> Document:
        """Store a new object and announce it."""
        world = call.world
        usual = {
            "id": world.ids.next(self.prefix),
            "object": self.kind,
            "created": world.now(),
            "livemode": False,
            "metadata": {},
        }
        declared = fields_of(CLASSES[self.kind])
        own = {name: value for name, value in usual.items() if name in declared}
        given = {name: value for name, value in call.params.items() if value is not None}
        record = world.add({**own, **given, **self.fields(call)})
        if self.announces:
            world.announce(f"{self.kind}.created", record)
        return record

    def update(self, call: Call) -> Document:
        """Store what the call says; announce it if anything changes."""
        record = call.world.find(self.kind, call.id)
        said = dict(call.params)
        if "metadata" in said:
            said["metadata"] = merge_metadata(record["metadata"] or {}, said["metadata"])
        record |= {name: merged(record.get(name), value) for name, value in said.items()}
        return call.world.change(record) if self.announces else call.world.save(record)

    def delete(self, call: Call) -> Document:
        """Delete an object."""
        call.world.find(self.kind, call.id)
        call.world.store.delete(self.kind, call.id)
        return {"id": call.id, "object": self.kind, "deleted": True}

    def creating(self, params: type, supports: Supported) -> Operation:
        """Return the operation that creates an object."""
        return Operation("POST", self.path, params, self.create, supports)

    def updating(self, params: type, supports: Supported) -> Operation:
        """Return the operation that updates one."""
        return Operation("POST", self.one, params, self.update, supports)

    def reading(
        self, retrieving: type, listed: type, supports: Supported = NOTHING
    ) -> tuple[Operation, Operation]:
        """Return the operations that list objects, and retrieve one."""
        return (
            Operation("GET", self.path, listed, listing(self.kind, **self.filters), supports),
            Operation("GET", self.one, retrieving, retrieve(self.kind)),
        )

    def deleting(self, params: type) -> Operation:
        """Return the operation that deletes one."""
        return Operation("DELETE", self.one, params, self.delete)


def merged(before: Any, said: Any) -> Any:
    """Return a field after an update, which names only some fields of a nested object."""
    if isinstance(before, dict) and isinstance(said, Mapping):
        names = {**before, **said}
        return {name: merged(before.get(name), said.get(name, before.get(name))) for name in names}
    return said


def status_setter(kind: str, status: str, event: str | None = None) -> Callable[[Call], Document]:
    """Return the handler that sets an object's status."""

    def handle(call: Call) -> Document:
        record: ReadOnly = call.world.find(kind, call.id)
        changed = {**record, "status": status}
        return call.world.change(changed, event) if event else call.world.save(changed)

    return handle
