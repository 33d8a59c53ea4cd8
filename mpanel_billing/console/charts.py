"""Charts as bars: where each stands, in the units of a drawing. Templates draw them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

WIDTH = 600
HEIGHT = 160
_GAP = 0.2


class Bar(NamedTuple):
    """A rectangle; `kind` is what its colour says, `label` what it is."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    label: str


class Part(NamedTuple):
    """What a bar is of: a kind, how much (below the line if less than nothing), and its label."""

    kind: str
    amount: int
    label: str


class Chart(NamedTuple):
    """Bars above and below a line, where their columns begin, and the sum of the highest one."""

    bars: Sequence[Bar]
    line: float
    columns: Mapping[str, float]
    highest: int


class _Scale(NamedTuple):
    """Where the line is, and how long a unit; how wide a bar is, and how far from the next."""

    line: float
    unit: float
    width: float
    step: float


def stacked(columns: Mapping[str, Sequence[Part]]) -> Chart:
    """Stack the parts of each column, which has a name: up from the line, or down."""
    up = max((_sum(parts, 1) for parts in columns.values()), default=0)
    down = max((_sum(parts, -1) for parts in columns.values()), default=0)
    unit, step = HEIGHT / max(up + down, 1), WIDTH / max(len(columns), 1)
    scale = _Scale(up * unit, unit, step * (1 - _GAP), step)
    bars = [
        bar
        for place, parts in enumerate(columns.values())
        for sign in (1, -1)
        for bar in _column(parts, sign, place, scale)
    ]
    places = {name: round(place * step, 1) for place, name in enumerate(columns)}
    return Chart(bars, round(scale.line, 1), places, up)


def _sum(parts: Sequence[Part], sign: int) -> int:
    return sum(part.amount * sign for part in parts if part.amount * sign > 0)


def _column(parts: Sequence[Part], sign: int, place: int, scale: _Scale) -> Sequence[Bar]:
    """Stack the parts of one sign, away from the line."""
    bars, reached = [], 0
    for part in parts:
        size = part.amount * sign
        if size > 0:
            above = reached + size if sign > 0 else -reached
            corner = (round(place * scale.step, 1), round(scale.line - above * scale.unit, 1))
            extent = (round(scale.width, 1), round(size * scale.unit, 1))
            bars.append(Bar(*corner, *extent, part.kind, part.label))
            reached += size
    return bars
