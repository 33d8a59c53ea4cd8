"""What the service has to know of one type of Stripe object to mirror it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from mpanel_billing.mirror.differences import Difference
from mpanel_billing.mirror.facts import Facts, State
from mpanel_billing.mirror.reading import Fields
from mpanel_billing.stripe_gateway.objects import Resource

if TYPE_CHECKING:  # loading the SDK takes longer than most commands
    from mpanel_billing.stripe_gateway.gateway import StripeGateway

F = TypeVar("F", bound=Facts)

Row = Mapping[str, Any]
Completion = Callable[["StripeGateway", Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
LockKey = tuple[str, str]
"""What to lock, and its id: `("sub", "sub_1")`. `lock_keys` puts them into a global order."""


def _no_columns(_: Any) -> Mapping[str, Any]:
    return {}


def _no_place(_: Any, __: Row | None, ___: dict[str, UUID]) -> Mapping[str, Any]:
    return {}


def _nothing_contained(_: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return ()


def _object_id(facts: Any) -> str:
    object_id: str = facts.object_id
    return object_id


def _about_nobody(_: Any) -> None:
    return None


def _as_it_is(facts: F) -> F:
    return facts


class Person(NamedTuple):
    """The person a snapshot is about; `created` is when Stripe created the customer."""

    stripe_customer_id: str
    email: str | None = None
    created: datetime | None = None


def _never_buried(_: Row) -> Mapping[str, Any] | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Generic[F]):
    """How reconcile compares an object with its row.

    `table` has the rows; its size is estimated. `left_out` are the facts that are not compared,
    each with the reason: all others are. `differences` names the fields that differ. `summary`
    describes the object in a word. `buried` returns, for a row whose object Stripe no longer has,
    the deleted object to apply instead; None leaves the row, and reports it.
    """

    table: str
    left_out: Mapping[str, str]
    differences: Callable[[F, Row], Iterable[Difference]]
    summary: Callable[[F], str]
    buried: Callable[[Row], Mapping[str, Any] | None] = _never_buried


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredType(Generic[F]):
    """One type of Stripe object: how it is read, ordered, locked, written, fetched and compared.

    `object_type`: Stripe's `object`. `id_prefixes`: of its ids, without the underscore.
    `event_types`: the events that carry it, and that the webhook endpoint subscribes to.
    `read`: JSON to facts; the second argument is the mode, which deleted stubs leave out.
    `stored_state`: the state of a row of `list_stored`.
    `lock_keys`: what a snapshot writes or derives from, its own row first.
    `query_file`: in sql/queries; has `write_snapshots`, and for a comparison
    `list_compared` and `find_absent`.
    `resource`: where Stripe has it.
    `comparison`: None if reconcile leaves the type out (Stripe cannot list it by what we need).
    `listed_in`: the type whose objects carry it in a list, if Stripe has no list of all.
    `batch_key`: what no two snapshots of one transaction may share.
    `columns`: of our row, beyond the facts. `place`: the keys of the row, given the stored one.
    `new_ids`: of the rows that a snapshot may be the first to make.
    `person`: the person whose data the facts have; None: nobody. `anonymous`: the
    facts without it.
    `complete`: fetches what a fetched object lacks. `contained`: other mirrored objects in it.
    """

    object_type: str
    id_prefixes: tuple[str, ...]
    event_types: frozenset[str]
    read: Callable[[Fields, bool], F]
    stored_state: Callable[[Row], State]
    lock_keys: Callable[[F], Iterable[LockKey]]
    query_file: str
    resource: Resource
    comparison: Comparison[F] | None
    listed_in: str | None = None
    batch_key: Callable[[F], str] = _object_id
    columns: Callable[[F], Mapping[str, Any]] = _no_columns
    place: Callable[[F, Row | None, dict[str, UUID]], Mapping[str, Any]] = _no_place
    new_ids: Callable[[F], Mapping[str, Any]] = _no_columns
    person: Callable[[F], Person | None] = _about_nobody
    anonymous: Callable[[F], F] = _as_it_is
    complete: (
        Callable[["StripeGateway", Mapping[str, Any]], Awaitable[Mapping[str, Any]]] | None
    ) = field(default=None)
    contained: Callable[[Mapping[str, Any]], Sequence[Mapping[str, Any]]] = _nothing_contained
