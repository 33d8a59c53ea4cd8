"""How long to wait before trying again."""

import random

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 3600.0


def retry_seconds(attempts: int, retry_after: float | None = None) -> float:
    """Return the seconds to wait after that many attempts (at least 1) have failed.

    Doubles from 10 s up to an hour, give or take a quarter, so that what failed together does
    not come back together. What the other side asks for (`retry_after`) is the least.
    """
    doubled = FIRST_SECONDS * 2.0 ** min(attempts - 1, 10)
    spread = random.uniform(0.75, 1.25)  # noqa: S311 - no secret
    delay = max(FIRST_SECONDS, min(doubled * spread, LONGEST_SECONDS))
    return max(delay, min(retry_after or 0, LONGEST_SECONDS))
