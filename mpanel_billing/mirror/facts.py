"""What all mirrored types have in common: facts, and how far an object has come."""

from typing import Any, NamedTuple, Protocol


class State(NamedTuple):
    """How far an object has come: what orders two snapshots of the same second.

    `final`: Stripe never changes it again. `progress` only ever grows.
    """

    final: bool
    progress: tuple[int, ...] = ()


class Facts(Protocol):
    """What we mirror of one Stripe object, whatever API version it came in.

    Amounts are minor units, times are UTC, and fields are named as our columns. Each type has a
    named tuple: several are made for every event, and a frozen dataclass takes 2.5 times as long.
    """

    @property
    def object_id(self) -> str:
        """The Stripe id."""
        ...

    @property
    def livemode(self) -> bool:
        """The mode of Stripe that it belongs to."""
        ...

    @property
    def state(self) -> State:
        """How far the object has come."""
        ...

    def _asdict(self) -> dict[str, Any]: ...
