"""The page of figures, and where the bars of its charts stand."""

from mpanel_billing.console.charts import HEIGHT, Part, stacked
from tests.console.conftest import Console


async def test_the_figures_are_drawn_and_told(console: Console) -> None:
    shown = await console.open("/console/figures")
    assert shown.status == 200
    for part in ("Monthly recurring revenue", "How it changed", "Who stayed", "Cash", "Collected"):
        assert part in shown.text, part
    assert 'class="new"' in shown.html
    assert "<script>" not in shown.html
    assert len(shown.html.encode()) < 60_000
    for by in ("week", "day", "nothing"):
        assert (await console.open(f"/console/figures?by={by}&currency=none")).status == 200


async def test_the_figures_are_told_in_german(console: Console) -> None:
    shown = await console.open("/console/figures", **{"Accept-Language": "de"})
    assert "Monatlich wiederkehrender Umsatz" in shown.text


def test_parts_are_stacked_away_from_the_line() -> None:
    won, lost = Part("new", 30, "won"), Part("churn", -10, "lost")
    chart = stacked({"one": [won, Part("expansion", 10, "more"), lost], "two": [lost]})
    new, more, gone, other = chart.bars
    assert chart.line == HEIGHT * 0.8
    assert (new.y + new.height, more.y + more.height) == (chart.line, new.y)
    assert (gone.y, gone.height) == (other.y, other.height) == (chart.line, HEIGHT * 0.2)
    assert new.x == gone.x < other.x


def test_nothing_is_drawn_of_nothing() -> None:
    assert stacked({}).bars == []
    assert stacked({"one": [Part("new", 0, "")]}).bars == []
