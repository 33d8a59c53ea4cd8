"""The JSON objects of the stand-in: what they are called, and how they are read."""

import random
import string
from collections.abc import Callable, Mapping, Sequence
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


ALPHABET = string.ascii_letters + string.digits

LONG = 24
SHORT = 14

SHORT_PREFIXES = frozenset({"cus", "prod", "si", "req"})


class IdSource:
    """Makes ids; a seed makes them repeatable, and ids already taken are passed over."""

    def __init__(self, seed: int | None, is_taken: Callable[[str], bool]) -> None:
        self._random = random.Random(seed) if seed is not None else random.SystemRandom()  # noqa: S311 - ids of a test double
        self._is_taken = is_taken

    def next(self, prefix: str, length: int | None = None) -> str:
        """Return a fresh id, such as `cus_` and 14 characters."""
        size = length or (SHORT if prefix in SHORT_PREFIXES else LONG)
        while True:
            candidate = f"{prefix}_{self.letters(size)}"
            if not self._is_taken(candidate):
                return candidate

    def letters(self, length: int) -> str:
        """Return that many random letters and digits."""
        return "".join(self._random.choices(ALPHABET, k=length))
