"""What clients got while something was broken."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

Kind = Literal["order", "page", "event"]

NO_RESPONSE = 0
OK = 200


@dataclass(frozen=True)
class Response:
    """A response: when it came (monotonic seconds), to which request, and its status."""

    at: float
    kind: Kind
    status: int
    took: float
    retry_after: str | None


@dataclass
class ResponseLog:
    """All responses in the order in which they came."""

    all: list[Response] = field(default_factory=list)

    def record(self, kind: Kind, status: int, since: float, retry_after: str | None = None) -> None:
        now = time.monotonic()
        self.all.append(Response(now, kind, status, now - since, retry_after))

    def statuses(self, *kinds: Kind) -> set[int]:
        """Return the statuses of requests of these kinds, or of any."""
        return {response.status for response in self._of(kinds)}

    def counts(self, *kinds: Kind) -> Mapping[int, int]:
        return Counter(response.status for response in self._of(kinds))

    def longest_gap(self) -> float:
        """Return the longest time without a 200 while requests were waiting, in seconds."""
        begun = [response.at - response.took for response in self.all[:1]]
        good = begun + [response.at for response in self.all if response.status == OK]
        return max((after - before for before, after in pairwise(good)), default=0)

    def slowest(self, status: int) -> float:
        """Return how long the slowest response of a status took, in seconds."""
        return max((a.took for a in self.all if a.status == status), default=0.0)

    def seconds_until_ok(self, moment: float) -> float:
        """Return the seconds from the moment to the first 200 after it."""
        return next(a.at for a in self.all if a.status == OK and a.at > moment) - moment

    def failures(self) -> str:
        """Say which requests failed: "503: 1 of 5 orders, 2 of 8 page loads"."""
        failed = sorted({response.status for response in self.all} - {OK})
        parts = [f"{status or 'no response'}: {self._share(status)}" for status in failed]
        return "; ".join(parts) or f"none of {len(self.all)}"

    def _share(self, status: int) -> str:
        counts = {kind: self.counts(kind) for kind in _NAMES}
        return ", ".join(
            f"{count[status]} of {sum(count.values())} {_NAMES[kind]}"
            for kind, count in counts.items()
            if status in count
        )

    def _of(self, kinds: tuple[Kind, ...]) -> list[Response]:
        return [response for response in self.all if not kinds or response.kind in kinds]


_NAMES: Mapping[Kind, str] = {"order": "orders", "page": "page loads", "event": "events"}
