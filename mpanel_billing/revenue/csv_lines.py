"""CSV that a spreadsheet can open safely."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mpanel_billing.money import to_decimal

_STEERING = (*"=+-@", *"\uff1d\uff0b\uff0d\uff20", *"\t\r\n")
"""What a spreadsheet takes for a formula at the beginning of a text; the second four are wide."""


def as_csv(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], money: Sequence[str]
) -> Iterator[str]:
    """Return the lines of a CSV, the first with the names of the columns.

    The columns of `money` are in minor units of the row's currency, and written in units.
    """
    yield _line(columns)
    for row in rows:
        amounts = {name: _amount(row[name], row["currency"]) for name in money}
        values = {**row, **amounts}
        yield _line([_cell(values[name]) for name in columns])


def _amount(minor: int | None, currency: str) -> object:
    return None if minor is None else to_decimal(minor, currency)


def _line(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(cells)
    return written.getvalue()


def _cell(value: object) -> str:
    """Write a value; a text cannot become a formula."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, str) and (value.startswith(_STEERING) or value.strip()[:1] in _STEERING):
        return f"'{value}"
    return "" if value is None else str(value)
