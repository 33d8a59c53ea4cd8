"""Is the present slower than a base? Decides from the figures of turns that both took."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.spread import Spread
from benchmarks.webhooks import Figures

LIMIT = 0.05
"""How much worse the median may be. Noise of a quiet machine is about half of that."""

Load = tuple[str, int]
"""A stream, and the number of connections that send it."""


@dataclass(frozen=True)
class Turn:
    """The base's figures under a load, and the present's right before or after them."""

    base: Figures
    present: Figures


@dataclass(frozen=True)
class Comparison:
    """The present in relation to the base, under a load: rates, p99, and CPU of both processes."""

    rate: Spread
    p99: Spread
    cpu: Spread

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> "Comparison":
        """Compare the figures of each turn."""
        present, base = [turn.present for turn in turns], [turn.base for turn in turns]
        return cls(
            Spread.of_ratios([one.rate for one in present], [one.rate for one in base]),
            Spread.of_ratios([one.p99 for one in present], [one.p99 for one in base]),
            Spread.of_ratios([_cpu(one) for one in present], [_cpu(one) for one in base]),
        )

    def worse(self) -> Iterator[str]:
        """Yield a sentence for each figure that is worse: in every turn, the median beyond LIMIT.

        A figure that was better in a single turn may differ by chance. The p99 is printed and not
        judged: it is that of the slowest few requests.
        """
        if self.rate.high < 1 and self.rate.median < 1 - LIMIT:
            yield f"the rate is {self.rate} of the base's"
        if self.cpu.low > 1 and self.cpu.median > 1 + LIMIT:
            yield f"the CPU is {self.cpu} of the base's"


def _cpu(figures: Figures) -> float:
    return figures.service_cpu + figures.postgres_cpu


def table(compared: Mapping[Load, Comparison]) -> Iterator[str]:
    """Yield the lines of a table of ratios, present to base."""
    yield f"{'present / base':<18} {'c':>3}  {'events/s':<20} {'p99':<20} CPU per event"
    for (stream, connections), ratios in compared.items():
        columns = f"{ratios.rate!s:<20} {ratios.p99!s:<20} {ratios.cpu}"
        yield f"{stream:<18} {connections:>3}  {columns}"


def verdict(compared: Mapping[Load, Comparison]) -> list[str]:
    """Return a sentence for each figure in which the present is worse."""
    return [
        f"{stream}, {connections} connections: {sentence}"
        for (stream, connections), ratios in compared.items()
        for sentence in ratios.worse()
    ]
