"""What the clients saw while something was broken."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

Kind = Literal["order", "page", "event"]

NO_ANSWER = 0
OK = 200


@dataclass(frozen=True)
class Answer:
    """An answer: when it came (monotonic seconds), to what, and its status."""

    at: float
    kind: Kind
    status: int
    took: float
    retry_after: str | None


@dataclass
class Journal:
    """All answers in the order in which they came."""

    answers: list[Answer] = field(default_factory=list)

    def note(self, kind: Kind, status: int, since: float, retry_after: str | None = None) -> None:
        now = time.monotonic()
        self.answers.append(Answer(now, kind, status, now - since, retry_after))

    def statuses(self, *kinds: Kind) -> set[int]:
        """Return which statuses there were, to questions of these kinds or of any."""
        return {answer.status for answer in self._of(kinds)}

    def counts(self, *kinds: Kind) -> Mapping[int, int]:
        return Counter(answer.status for answer in self._of(kinds))

    def longest_gap(self) -> float:
        """Return the longest time in seconds without a good answer to anybody who had asked."""
        begun = [answer.at - answer.took for answer in self.answers[:1]]
        good = begun + [answer.at for answer in self.answers if answer.status == OK]
        return max((after - before for before, after in pairwise(good)), default=0)

    def slowest(self, status: int) -> float:
        """Return how long the slowest answer of a status took, in seconds."""
        return max((a.took for a in self.answers if a.status == status), default=0.0)

    def seconds_until_good(self, moment: float) -> float:
        """Return how long after the moment the first good answer came."""
        return next(a.at for a in self.answers if a.status == OK and a.at > moment) - moment

    def summary(self) -> str:
        """Say it in a cell of a table."""
        parts = [
            f"{_NAMES[kind]}: {_say(self.counts(kind))}" for kind in _NAMES if self.counts(kind)
        ]
        return "; ".join([*parts, f"longest gap {self.longest_gap():.1f} s"])

    def _of(self, kinds: tuple[Kind, ...]) -> list[Answer]:
        return [answer for answer in self.answers if not kinds or answer.kind in kinds]


_NAMES: Mapping[Kind, str] = {"order": "orders", "page": "success page", "event": "events"}


def _say(counts: Mapping[int, int]) -> str:
    return ", ".join(
        f"{count} x {status or 'no answer'}" for status, count in sorted(counts.items())
    )
