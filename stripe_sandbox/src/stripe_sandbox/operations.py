"""What one API endpoint is: its method, path, typed params and what it does."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World


@dataclass(frozen=True)
class Call:
    """One request: the world it works on, the ids of its path and its checked params.

    `expand` and the cursors of a list are taken off `params` before.
    """

    world: World
    ids: Mapping[str, str]
    params: Document

    @property
    def id(self) -> str:
        """The id in the path."""
        return self.ids["id"]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a param, or the default when it is absent or emptied."""
        value = self.params.get(name)
        return default if value is None else value

    def pick(self, *names: str) -> Document:
        """Return those of the named params that were given, None for an emptied one."""
        return {name: self.params[name] for name in names if name in self.params}


@dataclass(frozen=True)
class Listing:
    """The objects that match a list request, newest first, before they are cut into pages.

    `after` goes on behind the object of an id without passing those before it.
    """

    documents: Iterable[ReadOnly]
    after: Callable[[str], Iterable[ReadOnly]] | None = None


Handler = Callable[[Call], Document | Listing]
Filter = Callable[[ReadOnly, Any], bool]


@dataclass(frozen=True)
class Operation:
    """An endpoint under `/v1`; `params` is the SDK's TypedDict for it.

    `supports` names the params that the sandbox acts on. Any other that Stripe knows is refused
    rather than overlooked, so that nobody believes it was honoured.
    """

    method: str
    path: str
    params: type
    handle: Handler
    supports: frozenset[str] | None = None

    def refuse_unsupported(self, params: Document) -> None:
        """Raise ApiError for a param of Stripe's that the sandbox does not act on."""
        if self.supports is not None:
            refuse_unsupported(params, self.supports)


def refuse_unsupported(params: ReadOnly, supported: frozenset[str], path: str = "") -> None:
    """Raise ApiError for a param, below the path if one is given, that is not supported."""
    for name, value in params.items():
        if name not in supported and value is not None:
            param = f"{path}[{name}]" if path else name
            raise invalid(f"The sandbox does not support the param {param} here.", param=param)


def retrieve(kind: str) -> Handler:
    """Return the handler that answers with the object of the path's id."""
    return lambda call: call.world.find(kind, call.id)


def listing(kind: str, **filters: Filter) -> Handler:
    """Return the handler that lists a kind, newest first.

    A param filters by the filter of its name, `created` by its range, and any other by equality
    with the field of the same name.
    """

    def handle(call: Call) -> Listing:
        given = {name: value for name, value in call.params.items() if value is not None}
        chosen = [(filters.get(name, _filter(name)), value) for name, value in given.items()]

        def after(object_id: str | None) -> Iterable[ReadOnly]:
            newest_first = call.world.store.newest_first(kind, object_id)
            return (d for d in newest_first if all(keep(d, value) for keep, value in chosen))

        return Listing(after(None), after)

    return handle


def is_in_range(moment: int, bounds: int | Mapping[str, int]) -> bool:
    """Tell whether a time fits `created`: one time, or any of gt, gte, lt, lte."""
    if isinstance(bounds, int):
        return moment == bounds
    checks = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
    return all(checks[name](moment, bound) for name, bound in bounds.items())


def _filter(name: str) -> Filter:
    if name == "created":
        return lambda document, bounds: is_in_range(document["created"], bounds)
    return lambda document, value: _plain(document.get(name)) == value


def _plain(value: Any) -> Any:
    return id_of(value) if isinstance(value, str | dict) else value
