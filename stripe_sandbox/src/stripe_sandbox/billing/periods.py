"""Billing periods: calendar arithmetic in Unix seconds, UTC, and the periods of items."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from stripe_sandbox.documents import Document, ReadOnly

DAY = 86_400
HOUR = 3_600

MONTHS = {"month": 1, "year": 12}
DAYS = {"day": 1, "week": 7}


@dataclass(frozen=True)
class Period:
    """A span of time, in Unix seconds."""

    start: int
    end: int

    def as_document(self) -> Document:
        """Return the period as JSON."""
        return {"start": self.start, "end": self.end}


def add_interval(anchor: int, interval: str, count: int) -> int:
    """Return the time `count` intervals after the anchor.

    Months keep the anchor's day, or end on their last day: 31 January, 28 February, 31 March.
    """
    moment = datetime.fromtimestamp(anchor, UTC)
    if interval in DAYS:
        return int((moment + timedelta(days=DAYS[interval] * count)).timestamp())
    return int(_add_months(moment, MONTHS[interval] * count).timestamp())


def _add_months(moment: datetime, months: int) -> datetime:
    index = moment.year * 12 + moment.month - 1 + months
    year, month = index // 12, index % 12 + 1
    return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))


def period_end(anchor: int, start: int, interval: str, interval_count: int) -> int:
    """Return the first period end after `start`, counted from the anchor."""
    periods = 1
    while (end := add_interval(anchor, interval, periods * interval_count)) <= start:
        periods += 1
    return end


def next_end(price: ReadOnly, anchor: int, start: int) -> int:
    """Return the end of the price's period that starts at `start`, counted from the anchor."""
    recurring = price["recurring"]
    return period_end(anchor, start, recurring["interval"], recurring["interval_count"])


def surrounding_period(price: ReadOnly, anchor: int, moment: int) -> Period:
    """Return the price's period that a Unix time lies in, counted from an anchor before it."""
    interval, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    start, end, periods = anchor, next_end(price, anchor, moment), 1
    while (following := add_interval(anchor, interval, periods * count)) < end:
        start, periods = following, periods + 1
    return Period(start, end)


def previous_end(price: ReadOnly, end: int) -> int:
    """Return the Unix time at which the price's period that ends at `end` would begin."""
    recurring = price["recurring"]
    return add_interval(end, recurring["interval"], -recurring["interval_count"])


def periods_in(price: ReadOnly, span: Period) -> Fraction:
    """Return how many of the price's periods a span has, the last one in part, to the second."""
    interval, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    start, whole = span.start, 0
    while (end := add_interval(span.start, interval, (whole + 1) * count)) <= span.end:
        start, whole = end, whole + 1
    return whole + Fraction(span.end - start, end - start)


def next_occurrence(config: ReadOnly, now: int) -> int:
    """Return the next Unix time after now that a `billing_cycle_anchor_config` describes.

    A day that a month does not have is its last one. What is not given is as it is now.
    """
    today = datetime.fromtimestamp(now, UTC)
    told = {
        name: config[name] for name in ("hour", "minute", "second") if config.get(name) is not None
    }
    moment = today.replace(**told)
    for months in range(25):
        found = _add_months(moment.replace(day=1), months)
        if config.get("month") in {None, found.month}:
            last = monthrange(found.year, found.month)[1]
            at = int(found.replace(day=min(config["day_of_month"], last)).timestamp())
            if at > now:
                return at
    raise ValueError("no month has this day")


def earliest_end(subscription: ReadOnly) -> int:
    """Return the earliest period end of the subscription's items."""
    return min(int(item["current_period_end"]) for item in subscription["items"]["data"])


def span_of(subscription: ReadOnly, item: ReadOnly) -> Period:
    """Return the period of the subscription's first item if the item ends with it, or its own."""
    first = subscription["items"]["data"][0]
    shared = first if first["current_period_end"] == item["current_period_end"] else item
    return Period(shared["current_period_start"], shared["current_period_end"])


def restart_period(subscription: Document, now: int) -> None:
    """Begin a new period of every item now."""
    subscription["billing_cycle_anchor"] = now
    for item in subscription["items"]["data"]:
        item["current_period_start"] = now
        item["current_period_end"] = next_end(item["price"], now, now)
