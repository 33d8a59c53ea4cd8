"""Drift of an object, event or account, and the progress of a run."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mpanel_billing.mirror.differences import Difference


@dataclass(frozen=True, slots=True)
class Drift:
    """One field that differed. Values are None if absent."""

    object_type: str
    object_id: str
    field: str
    ours: str | None
    found: str | None
    repaired: bool

    def describe(self) -> str:
        """Format the drift as one line of text."""
        whose = "driver's" if self.object_type == "account" else "Stripe's"
        outcome = "repaired" if self.repaired else "differs"
        return (
            f"{self.object_type:<15} {self.object_id:<31} {self.field:<22} "
            f"ours {self.ours or 'missing'}, {whose} {self.found or 'missing'}: {outcome}"
        )


def drifts_of(
    object_type: str, object_id: str, differing: Iterable[Difference], *, repaired: bool
) -> list[Drift]:
    """Return the drift of one object."""
    return [Drift(object_type, object_id, d.field, d.ours, d.found, repaired) for d in differing]


Announce: TypeAlias = Callable[[Sequence[Drift]], Awaitable[None]]
"""Stores drift before it is repaired: after an interruption nothing else would show it."""


async def unannounced(_: Sequence[Drift]) -> None:
    """Do nothing: without a run there is no report to lose."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The result of one page, and the cursor at which its slice continues.

    `known` are the ids of the objects that both Stripe and the mirror have.
    """

    drift: Sequence[Drift]
    cursor_id: str | None
    done: bool
    cursor_created: int | None = None
    objects: int = 0
    events: int = 0
    accounts: int = 0
    known: Sequence[str] = ()

    @property
    def drifted(self) -> int:
        """The number of objects that differed."""
        return len({d.object_id for d in self.drift})

    @property
    def repaired(self) -> int:
        """The number of those objects that no longer differ."""
        return self.drifted - len({d.object_id for d in self.drift if not d.repaired})
