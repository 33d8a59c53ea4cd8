"""The JSON objects of the stand-in: what they are called, and how they are read."""

from collections.abc import Mapping, Sequence
from typing import Any

Document = dict[str, Any]
"""A JSON object that the holder owns and may change."""

ReadOnly = Mapping[str, Any]
"""A JSON object that belongs to the store: read it, never change it."""


def id_of(reference: Any) -> str | None:
    """Return the id behind a reference: an id as it is, an object's id, or None for nothing."""
    if reference is None or isinstance(reference, str):
        return reference
    return str(reference["id"])


def merge_metadata(current: ReadOnly, given: ReadOnly | None) -> Document:
    """Return the metadata after an update: an empty value drops its key, None drops them all."""
    if given is None:
        return {}
    return {key: value for key, value in {**current, **given}.items() if value != ""}


def list_object(items: Sequence[ReadOnly], url: str) -> Document:
    """Return Stripe's list object around items which all fit on one page."""
    return {"object": "list", "data": list(items), "has_more": False, "url": url}
