"""When `make bench-compare` calls the present slower, and what it prints."""

from collections.abc import Sequence

import pytest

from benchmarks.regression import Comparison, Turn, table, verdict
from benchmarks.spread import Spread
from benchmarks.webhooks import Figures

LOAD = ("updates", 16)


def figures(
    rate: float, *, p99: float = 10, service: float = 0.2, postgres: float = 0.2
) -> Figures:
    return Figures(rate=rate, p50=4, p99=p99, service_cpu=service, postgres_cpu=postgres)


def compared(*rates: float) -> Comparison:
    """Compare turns in which the base handles 1,000 events/s, and the present so many."""
    return Comparison.of([Turn(base=figures(1000), present=figures(rate)) for rate in rates])


def test_a_ratio_is_that_of_each_turn_not_of_the_medians() -> None:
    # the machine slows down to a tenth: the figures differ, their ratio does not
    assert Spread.of_ratios([900, 450, 90], [1000, 500, 100]) == Spread(0.9, 0.9, 0.9)
    assert str(Spread.of_ratios([2, 4, 9], [4, 4, 4])) == "1.00 (0.50 to 2.25)"


@pytest.mark.parametrize(
    ("rates", "is_worse"),
    [
        ([900, 880, 940], True),
        ([960, 970, 955], False),  # within the limit
        ([900, 800, 1010], False),  # a turn in which the present was faster
        ([1200, 1300, 1250], False),
    ],
)
def test_it_is_worse_if_it_is_in_every_turn_and_by_more_than_the_limit(
    rates: Sequence[float], is_worse: bool
) -> None:
    assert bool(list(compared(*rates).worse())) is is_worse


def test_more_cpu_is_worse_at_the_same_rate() -> None:
    dearer = Turn(base=figures(1000), present=figures(1000, postgres=0.3))
    assert verdict({LOAD: Comparison.of([dearer, dearer])}) == [
        "updates, 16 connections: the CPU is 1.25 (1.25 to 1.25) of the base's"
    ]


def test_the_p99_is_printed_and_not_judged() -> None:
    slow = Turn(base=figures(1000), present=figures(1000, p99=40))
    ratios = {LOAD: Comparison.of([slow])}
    assert verdict(ratios) == []
    header, row = table(ratios)
    assert header.split() == ["present", "/", "base", "c", "events/s", "p99", "CPU", "per", "event"]
    assert row == (
        "updates             16  1.00 (1.00 to 1.00)  4.00 (4.00 to 4.00)  1.00 (1.00 to 1.00)"
    )
