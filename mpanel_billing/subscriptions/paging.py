"""Pages of lists whose rows have a moment and an id: each goes on behind the one before."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from mpanel_billing.errors import InvalidRequestError

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of a list begins: after the row of that moment and id."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a list: at most so many rows, after a place or from the beginning."""

    most: int
    after: Place | None = None


def read_cursor(cursor: str | None) -> Place | None:
    """Return the place that a cursor means; InvalidRequestError for what is none of ours."""
    if cursor is None:
        return None
    try:
        moment, _, id_ = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        place = Place(datetime.fromisoformat(moment), UUID(id_))
        if place.at.tzinfo is not None:
            return place
    except (ValueError, binascii.Error):
        pass
    raise InvalidRequestError(
        "The cursor is none of ours.", fields={"cursor": "must be the nextCursor of a page"}
    )


def cut_page(
    rows: Sequence[Row], limit: int, place_of: Callable[[Row], Place]
) -> tuple[Sequence[Row], str | None]:
    """Return the page of rows of which one more than `limit` was asked for, and the next cursor."""
    page = rows[:limit]
    if len(rows) <= limit:
        return page, None
    last = place_of(page[-1])
    text = f"{last.at.isoformat()}|{last.id}"
    return page, base64.urlsafe_b64encode(text.encode()).decode()
