"""What a key may open."""

from collections.abc import Iterable
from typing import Literal, get_args

from mpanel_billing.errors import InvalidRequestError

Scope = Literal["admin", "admin:read", "billing", "billing:read"]

SCOPES: tuple[Scope, ...] = get_args(Scope)
"""All there are; the database holds the same set."""

_READ = ":read"


def opens(scopes: Iterable[str], wanted: Scope) -> bool:
    """Tell whether one of the scopes is the wanted one, or more: who may change may read."""
    return bool({wanted, wanted.removesuffix(_READ)} & {*scopes})


def read_scopes(words: Iterable[str]) -> tuple[Scope, ...]:
    """Return the scopes that the words name, each once; InvalidRequestError for another word."""
    given = {*words}
    unknown = given - {*SCOPES}
    if unknown or not given:
        wrong = f"There is no scope {min(unknown)!r}" if unknown else "A key needs a scope"
        raise InvalidRequestError(f"{wrong}; there are: {', '.join(SCOPES)}.")
    return tuple(scope for scope in SCOPES if scope in given)
