"""Calls that every Stripe SDK can make, in an order in which each succeeds.

A call has the name that the operation has in the Python SDK's `client.v1`, and its arguments: ids
of the path, then params. `$customer` is what an earlier call has kept under that name. A value
`@KIND` is made by each client in its own way: `@file` is a file to upload.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ListedCall:
    """One call; `kept` are the fields of its answer that later calls need, by their new name."""

    operation: str
    arguments: tuple[Any, ...]
    kept: Mapping[str, str] = field(default_factory=dict)


def call(operation: str, *arguments: Any, **kept: str) -> ListedCall:
    """Return a call; `customer="id"` keeps the answer's id as `$customer`."""
    return ListedCall(operation, arguments, kept)


def crud(
    resource: str,
    name: str,
    create: Mapping[str, Any],
    update: Mapping[str, Any] | None = None,
    *,
    deletes: bool = False,
) -> list[ListedCall]:
    """Return the usual calls of a resource; the object that stays is kept under the name."""
    listed = [call(f"{resource}.create", create, **{name: "id"})]
    listed += [call(f"{resource}.retrieve", f"${name}")]
    if update is not None:
        listed.append(call(f"{resource}.update", f"${name}", update))
    listed.append(call(f"{resource}.list", {"limit": 3}))
    if deletes:
        again = {key: value for key, value in create.items() if key != "id"}
        listed += [
            call(f"{resource}.create", again, **{f"spare_{name}": "id"}),
            call(f"{resource}.delete", f"$spare_{name}"),
        ]
    return listed


def unlisted(operations: Sequence[str], listed: Sequence[ListedCall]) -> list[str]:
    """Return the operations that no call of the list makes."""
    made = {one.operation for one in listed}
    return [name for name in operations if name not in made]
