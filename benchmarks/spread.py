"""Figures of several turns as one: the median, with the lowest and the highest."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median of several figures, and how far they lie apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        """Summarise figures; there must be one at least."""
        return cls(statistics.median(figures), min(figures), max(figures))

    @classmethod
    def of_ratios(cls, figures: Sequence[float], others: Sequence[float]) -> "Spread":
        """Summarise the ratio of each figure to the other one of the same turn.

        Both of a turn were measured right after each other, so a machine that slows down changes
        both: their ratios lie closer together than the figures.
        """
        return cls.of([one / other for one, other in zip(figures, others, strict=True)])

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"
