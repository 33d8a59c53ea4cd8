"""Days, weeks and months, all in UTC; a week begins on Monday. A period is its first day."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

Period = Literal["day", "week", "month"]

_MONTHS = 12


def begin_of(day: date, period: Period) -> date:
    """Return the first day of the period that has this day."""
    if period == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if period == "week" else day


def shift(begin: date, period: Period, by: int) -> date:
    """Return the period that is `by` later, or earlier if `by` is negative."""
    if period == "month":
        number = begin.year * _MONTHS + begin.month - 1 + by
        return date(number // _MONTHS, number % _MONTHS + 1, 1)
    return begin + timedelta(days=by * (7 if period == "week" else 1))


def periods_of(begins_on: date, ends_on: date, period: Period) -> Iterator[date]:
    """Yield the periods that begin from one day on and before another."""
    begin = begins_on
    while begin < ends_on:
        yield begin
        begin = shift(begin, period, 1)


def midnight(day: date) -> datetime:
    """Return when a day begins."""
    return datetime.combine(day, time(), UTC)
