"""Pagination: `limit`, `starting_after`, `ending_before`, `has_more`."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from copy import deepcopy
from itertools import islice
from typing import Any

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, no_such
from stripe_sandbox.operations import Listing, SearchResult

DEFAULT_LIMIT = 10
MAX_LIMIT = 100
CURSORS = ("limit", "starting_after", "ending_before")


def take_cursors(params: Document) -> Document:
    """Remove the pagination params from the params and return them."""
    return {name: params.pop(name) for name in CURSORS if name in params}


def cut_page(found: Listing, cursors: Document, url: str) -> Document:
    """Return one page of the list, newest first, as a list object.

    Raises ApiError for a limit outside 1 to 100, both cursors at once, or an unknown cursor.
    """
    limit = _limit(cursors)
    if cursors.get("ending_before"):
        page, more = _page_before(list(found.documents), cursors, limit)
    else:
        following = list(islice(_following(found, cursors), limit + 1))
        page, more = following[:limit], len(following) > limit
    return {"object": "list", "data": page, "has_more": more, "url": url}


def cut_search_page(found: SearchResult, cursors: Document, url: str, *, counts: bool) -> Document:
    """Return one page of what a search has found, newest first, as a search result.

    `next_page` is the `page` of the next request; `counts` adds the `total_count`. Raises
    ApiError for a limit outside 1 to 100, and for a page that no search has named.
    """
    limit, documents = _limit(cursors), list(found.documents)
    start = _place_after(documents, found.page) if found.page else 0
    page = documents[start : start + limit]
    more = len(documents) > start + limit
    result: Document = {
        "object": "search_result",
        "data": deepcopy(page),
        "has_more": more,
        "next_page": page_after(page[-1]["id"]) if more else None,
        "url": url,
    }
    return {**result, "total_count": len(documents)} if counts else result


def page_after(object_id: str) -> str:
    """Return the cursor of the page of a search that begins after an object."""
    return urlsafe_b64encode(object_id.encode()).decode()


def _place_after(documents: list[ReadOnly], page: str) -> int:
    try:
        last = urlsafe_b64decode(page).decode()
        return [document["id"] for document in documents].index(last) + 1
    except ValueError:
        raise invalid(f"Invalid page: {page}", param="page") from None


def _page_before(
    documents: list[ReadOnly], cursors: Document, limit: int
) -> tuple[list[ReadOnly], bool]:
    if cursors.get("starting_after"):
        raise invalid("You cannot parameterize both starting_after and ending_before.")
    before = documents[: _position(documents, cursors, "ending_before")]
    return before[-limit:], len(before) > limit


def _following(found: Listing, cursors: Document) -> Iterable[ReadOnly]:
    cursor = cursors.get("starting_after")
    if not cursor:
        return found.documents
    if found.after is None:
        documents = list(found.documents)
        return documents[_position(documents, cursors, "starting_after") + 1 :]
    try:
        return found.after(cursor)
    except KeyError:
        raise no_such("object", cursor, "starting_after") from None


def _limit(cursors: Document) -> int:
    limit: Any = cursors.get("limit", DEFAULT_LIMIT)
    if limit < 1:
        message = "This value must be greater than or equal to 1."
        raise invalid(message, param="limit", code="parameter_invalid_integer")
    if limit > MAX_LIMIT:
        message = (
            f"This value must be less than or equal to {MAX_LIMIT} (it currently is '{limit}')."
        )
        raise invalid(message, param="limit", code="parameter_invalid_integer")
    return int(limit)


def _position(documents: list[ReadOnly], cursors: Document, name: str) -> int:
    """Return the index of the cursor's object."""
    object_id = cursors[name]
    for position, document in enumerate(documents):
        if document["id"] == object_id:
            return position
    raise no_such("object", object_id, name)
