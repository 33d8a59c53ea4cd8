"""Ids that look like Stripe's."""

import random
import string
from collections.abc import Callable

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
