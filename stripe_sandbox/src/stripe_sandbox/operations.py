"""API operations: method, path, typed params, handler."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.lookups import LOOKUPS
from stripe_sandbox.supported import NOTHING, PAGES, Supported, supports
from stripe_sandbox.world import World


@dataclass(frozen=True)
class Call:
    """One request: the sandbox's state, the ids in the path, and the checked params.

    `params` excludes `expand` and the cursors of a list.
    """

    world: World
    ids: Mapping[str, str]
    params: Document

    @property
    def id(self) -> str:
        """The id in the path."""
        return self.ids["id"]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a param, or the default if it is absent or empty."""
        value = self.params.get(name)
        return default if value is None else value

    def pick(self, *names: str) -> Document:
        """Return the named params that were given; an empty one is None."""
        return {name: self.params[name] for name in names if name in self.params}


@dataclass(frozen=True)
class Listing:
    """The objects that match a list request, newest first, before pagination.

    `after` continues behind the object with the given id, without scanning those before it.
    """

    documents: Iterable[ReadOnly]
    after: Callable[[str], Iterable[ReadOnly]] | None = None


@dataclass(frozen=True)
class SearchResult(Listing):
    """The objects that match a search; `page` is the cursor of the request, if it has one."""

    page: str | None = None


ID_PARAMS = frozenset(
    {"charge", "customer", "invoice", "payment_intent", "product", "source", "subscription"}
    | {"test_clock"}
)
"""Params of lists that are ids, and mean the field of the same name in `lookups`."""

Handler = Callable[[Call], Document | Listing]
Filter = Callable[[ReadOnly, Any], bool]


@dataclass(frozen=True)
class Operation:
    """An endpoint under `/v1`; `params` is the SDK's TypedDict for it.

    `supports` declares the params that the sandbox implements, nested ones included; `expand` and
    the pagination of lists always are. Stripe's other params are refused. `is_empty` marks lists of
    objects that the sandbox has none of: every filter holds for them.
    """

    method: str
    path: str
    params: type
    handle: Handler
    supports: Supported = NOTHING
    is_empty: bool = False

    def refuse_unsupported(self, params: ReadOnly) -> None:
        """Raise ApiError for a param of Stripe's that the sandbox does not implement."""
        if not self.is_empty:
            supports(base=PAGES, **self.supports.parts).refuse_others(params)


def retrieve(kind: str) -> Handler:
    """Return the handler that retrieves an object by the id in the path."""
    return lambda call: call.world.find(kind, call.id)


def listing(kind: str, **filters: Filter) -> Handler:
    """Return the handler that lists objects of a kind, newest first.

    Params filter by the filter of their name, `created` by range, others by equality with the field
    of the same name.
    """

    def handle(call: Call) -> Listing:
        given = {name: value for name, value in call.params.items() if value is not None}
        chosen = [(filters.get(name, _filter(name)), value) for name, value in given.items()]

        found_by = next((pair for pair in given.items() if _finds(kind, *pair)), None)

        def after(object_id: str | None) -> Iterable[ReadOnly]:
            newest_first = call.world.store.newest_first(kind, object_id, having=found_by)
            return (d for d in newest_first if all(keep(d, value) for keep, value in chosen))

        return Listing(after(None), after)

    return handle


def _finds(kind: str, name: str, value: Any) -> bool:
    """Return whether the store finds objects by this param, so that it reads no others."""
    return isinstance(value, str) and name in ID_PARAMS and name in LOOKUPS.get(kind, {})


def is_in_range(moment: int, bounds: int | Mapping[str, int]) -> bool:
    """Return whether a time is within the bounds: one time, or any of gt, gte, lt, lte."""
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
