"""What is told of money only to those who may read it: `billing:read`. Pure."""

import re
from collections.abc import Mapping

HIDDEN = "\N{HORIZONTAL ELLIPSIS}"

_AMOUNT = re.compile(
    r"-?(?:[A-Z]{0,3}[$\u20ac\u00a3\u00a5]\d[\d,]*(?:\.\d+)?|\b\d[\d,]*(?:\.\d+)?\s[A-Z]{3}\b)"
)
"""As `format_money` and `billing_money_v1` write it."""

_FOR_ALL = frozenset(
    {
        *("reason", "operator", "service", "domain", "tenant", "predecessor", "server"),
        *("name", "person", "scopes", "fields", "note", "subscriptions", "attempt", "status"),
    }
)
"""Details of a change that never have to do with money."""

_OF_MONEY = frozenset({"invoice", "subscription", "customer", "dispute"})
"""What is charged, so that an error about it may be the bank's."""


def without_amounts(text: str) -> str:
    """Return a text of ours with its amounts left out."""
    return _AMOUNT.sub(HIDDEN, text)


def details_for_all(details: Mapping[str, object]) -> Mapping[str, object]:
    """Return what of a change's details has nothing to do with money."""
    return {name: value for name, value in details.items() if name in _FOR_ALL}


def error_for_all(target_type: str | None, error: str | None) -> str | None:
    """Return why a change failed, unless it may be why a card was declined."""
    return HIDDEN if error and target_type in _OF_MONEY else error
