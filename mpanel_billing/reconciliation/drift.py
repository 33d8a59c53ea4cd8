"""What a run finds: in an object, an event or an account."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mpanel_billing.mirror.differences import Difference


@dataclass(frozen=True, slots=True)
class Drift:
    """One field that differed; `repaired` tells whether it still does. None: there is no value."""

    object_type: str
    object_id: str
    field: str
    ours: str | None
    found: str | None
    repaired: bool

    def describe(self) -> str:
        """Say it in a line for people."""
        whose = "driver's" if self.object_type == "account" else "Stripe's"
        fate = "repaired" if self.repaired else "differs"
        return (
            f"{self.object_type:<15} {self.object_id:<31} {self.field:<22} "
            f"ours {self.ours or 'missing'}, {whose} {self.found or 'missing'}: {fate}"
        )


def drifts_of(
    object_type: str, object_id: str, differing: Iterable[Difference], *, repaired: bool
) -> list[Drift]:
    """Return what differs of one object."""
    return [Drift(object_type, object_id, d.field, d.ours, d.found, repaired) for d in differing]


@dataclass(frozen=True, slots=True)
class Progress:
    """What looking at one page has brought, and where the slice goes on.

    `known` are the ids of objects that both have.
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
        """How many objects differed."""
        return len({d.object_id for d in self.drift})

    @property
    def repaired(self) -> int:
        """How many of these do not any longer."""
        return self.drifted - len({d.object_id for d in self.drift if not d.repaired})
