"""Months and days as options of commands."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime

import typer

from mpanel_billing.revenue.figures import Span
from mpanel_billing.revenue.periods import Period, begin_of, shift

_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")


def month(text: str | None) -> str | None:
    """Check an option that is a month."""
    if text is not None and not _MONTH.fullmatch(text):
        raise typer.BadParameter("must be a month: 2026-10")
    return text


def this_month() -> date:
    """Return the present month, UTC."""
    return begin_of(datetime.now(UTC).date(), "month")


def span_of(first: str | None, last: str | None, default: Sequence[date]) -> Span:
    """Return whole months; without `first` those of `default`, without `last` until its end."""
    begins_on = _begin_of(first) if first else default[0]
    ends_on = shift(_begin_of(last) if last else default[1], "month", 1)
    if ends_on <= begins_on:
        raise typer.BadParameter("must not be before --from", param_hint="--to")
    return Span(begins_on, ends_on)


def in_periods(span: Span, period: Period) -> Span:
    """Return the periods that begin in these months."""
    begins_on = begin_of(span.begins_on, period)
    if begins_on < span.begins_on:
        begins_on = shift(begins_on, period, 1)
    return Span(begins_on, span.ends_on)


def _begin_of(text: str) -> date:
    year, number = text.split("-")
    return date(int(year), int(number), 1)
