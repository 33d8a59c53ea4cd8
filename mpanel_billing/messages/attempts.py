"""When a message is sent again, and what a response means."""

from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

RETRIES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""The delay after each failed attempt: the ten attempts take three days."""

GIVE_UP_AFTER = timedelta(days=3)
"""How long a receiver may fail before it is disabled."""

_LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: the HTTP status, None without a response; why it failed, None if it did not.

    `retry_after` is the delay that the receiver asks for, in seconds.
    """

    status: int | None
    error: str | None
    retry_after: float | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the receiver says that it wants no more messages."""
        return self.status == HTTPStatus.GONE


def delay_after(attempts: int, retry_after: float | None = None) -> timedelta | None:
    """Return the delay after that many failed attempts, None after the last.

    It is at least what the receiver asks for, as far as that is no longer than a day.
    """
    if attempts > len(RETRIES):
        return None
    asked = timedelta(seconds=min(retry_after or 0, _LONGEST_WAIT.total_seconds()))
    return max(RETRIES[attempts - 1], asked)
