"""How long to wait before a retry."""

import random

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 3600.0


def doubled(first: float, attempts: int) -> float:
    """Return `first` seconds after one failed attempt, doubled for each further one."""
    return first * 2.0 ** min(attempts - 1, 10)


def retry_seconds(attempts: int, retry_after: float | None = None) -> float:
    """Return the seconds to wait for another system after that many failed attempts (at least 1).

    Doubles from 10 s up to an hour, give or take a quarter, so that calls that failed together do
    not return together. `retry_after`, the other side's own request, is the minimum.
    """
    spread = random.uniform(0.75, 1.25)  # noqa: S311 - no secret
    delay = doubled(FIRST_SECONDS, attempts) * spread
    delay = max(FIRST_SECONDS, min(delay, LONGEST_SECONDS))
    return max(delay, min(retry_after or 0, LONGEST_SECONDS))
