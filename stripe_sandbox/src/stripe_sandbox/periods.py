"""Calendar arithmetic of billing periods, in Unix seconds, UTC."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta

DAY = 86_400
HOUR = 3_600

MONTHS = {"month": 1, "year": 12}
DAYS = {"day": 1, "week": 7}


def add_interval(anchor: int, interval: str, count: int) -> int:
    """Return the time `count` intervals after the anchor.

    Months keep the anchor's day where the month has it and fall on its last day where it has not:
    31 January, 28 February, 31 March.
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
    """Return the first end of a period, counted from the anchor, that lies after the start."""
    periods = 1
    while (end := add_interval(anchor, interval, periods * interval_count)) <= start:
        periods += 1
    return end
