"""Cursors, also those that nobody got from us."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest

from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.subscriptions.paging import Place, cut_page, read_cursor

EAST, WEST = timezone(timedelta(hours=23)), timezone(timedelta(hours=-23))
EDGES = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=EAST),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, tzinfo=WEST),
    datetime(2026, 1, 1),  # noqa: DTZ001 - what a client may send
]


def made_cursor(at: datetime) -> str:
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{uuid4()}".encode()).decode()


@pytest.mark.parametrize("at", EDGES, ids=str)
def test_a_cursor_at_the_edges_of_time_is_refused(at: datetime) -> None:
    with pytest.raises(InvalidRequestError):
        read_cursor(made_cursor(at))


def test_a_cursor_of_ours_is_read_as_it_was_made() -> None:
    place = Place(datetime(2026, 11, 27, 9, 0, 0, 1, tzinfo=UTC), uuid4())
    _, cursor = cut_page([place, place], 1, lambda row: row)
    assert read_cursor(cursor) == place
