"""Cursor pagination of lists that are sorted by time and id."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from mpanel_billing.errors import InvalidRequestError

Row = TypeVar("Row")

_YEARS = range(1970, 9999)
"""Years of our rows; in UTC, a time of Python's first or last year may not exist."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page starts: after the row with that time and id."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a list: at most `most` rows, after a place or from the start."""

    most: int
    after: Place | None = None


def read_cursor(cursor: str | None) -> Place | None:
    """Return the place of a cursor; InvalidRequestError for an unknown cursor."""
    if cursor is None:
        return None
    try:
        moment, _, id_ = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        at = datetime.fromisoformat(moment)
        if at.tzinfo is not None and at.year in _YEARS:
            return Place(at, UUID(id_))
    except (ValueError, binascii.Error):
        pass
    raise InvalidRequestError(
        "Unknown cursor.", fields={"cursor": "must be the nextCursor of a page"}
    )


def cut_page(
    rows: Sequence[Row], limit: int, place_of: Callable[[Row], Place]
) -> tuple[Sequence[Row], str | None]:
    """Return the page and the next cursor, given up to `limit` + 1 rows."""
    page = rows[:limit]
    if len(rows) <= limit:
        return page, None
    last = place_of(page[-1])
    text = f"{last.at.isoformat()}|{last.id}"
    return page, base64.urlsafe_b64encode(text.encode()).decode()
