"""Typed reading of Stripe's JSON objects, whose shapes differ between API versions.

The label of the API version does not tell the shape (payloads mix both), so every reader decides
by the keys that are present: first where current versions put a fact, then where it was before
2025-03-31 (basil). Source: Stripe's API changelog.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

Value = TypeVar("Value")

ORDER_METADATA_KEY = "subscriptionId"
"""Metadata on sessions and subscriptions: the id of our row that they were made for."""
ATTEMPT_METADATA_KEY = "checkoutAttempt"

MAX_ID_LENGTH = 255
_MAX_BIGINT = 2**63 - 1
_MAX_TIMESTAMP = 253_402_300_799  # 9999-12-31T23:59:59Z


class UnreadableObjectError(ValueError):
    """An object lacks what it cannot be mirrored without, or has it in an impossible form."""


class Fields:
    """One Stripe object; every getter answers None for what is absent or null.

    Thirty are made for an event: no dataclass, because a frozen one is three times as dear. For
    the same reason nested objects are asked whether they are a dict, which all that was read from
    JSON are, and not a Mapping.
    """

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Read from a JSON object."""
        self.values = values

    def text(self, key: str) -> str | None:
        """Return a string."""
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        raise UnreadableObjectError(f"{key} is no string")

    def whole(self, key: str) -> int | None:
        """Return an integer that fits PostgreSQL's bigint."""
        value = self.values.get(key)
        # of JSON's values only integers are exactly of this type: booleans are of another
        if value is None or (type(value) is int and -_MAX_BIGINT <= value <= _MAX_BIGINT):
            return value
        raise UnreadableObjectError(f"{key} is no 64-bit integer")

    def flag(self, key: str) -> bool:
        """Return whether it is true."""
        return self.values.get(key) is True

    def moment(self, key: str) -> datetime | None:
        """Return a Unix time in seconds as a UTC datetime."""
        value = self.whole(key)
        if value is None:
            return None
        if not 0 <= value <= _MAX_TIMESTAMP:
            raise UnreadableObjectError(f"{key} is no time")
        return datetime.fromtimestamp(value, UTC)

    def reference(self, key: str) -> str | None:
        """Return the id of a related object: an id, an expanded object or a deleted stub."""
        value = self.values.get(key)
        if isinstance(value, dict):
            value = value.get("id")
        if value is None:
            return None
        return checked_id(value, key)

    def child(self, *keys: str) -> "Fields":
        """Return a nested object; an empty one where a step of the path is absent."""
        value: object = self.values
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return Fields(value if isinstance(value, dict) else {})

    def children(self, key: str) -> Sequence["Fields"]:
        """Return the objects of a Stripe list (`{"object": "list", "data": [...]}`) or array."""
        value = self.values.get(key)
        if isinstance(value, dict):
            value = value.get("data")
        if not isinstance(value, list):
            return ()
        return tuple(Fields(item) for item in value if isinstance(item, dict))

    def metadata_uuid(self, key: str) -> UUID | None:
        """Return a UUID from the metadata; None where it is absent or something else."""
        value = self.child("metadata").values.get(key)
        return as_uuid(value)

    def require_id(self) -> str:
        """Return the object's own id."""
        return checked_id(self.values.get("id"), "id")


def require(value: Value | None, name: str) -> Value:
    """Return the value, or say which one is missing."""
    if value is None:
        raise UnreadableObjectError(f"{name} is missing")
    return value


def checked_id(value: object, name: str) -> str:
    """Return a Stripe id, refusing what is none."""
    if not isinstance(value, str) or not value:
        raise UnreadableObjectError(f"{name} is no id")
    if len(value) > MAX_ID_LENGTH or not value.isprintable():
        raise UnreadableObjectError(f"{name} is no id: too long, or not printable")
    return value


def as_uuid(value: object) -> UUID | None:
    """Return the UUID that the text is; None where it is something else."""
    if not isinstance(value, str):
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def currency_code(text: str | None) -> str:
    """Return a currency in lower case; UnreadableObjectError for what is not an ISO 4217 code."""
    currency = require(text, "currency").lower()
    if not _CURRENCY.fullmatch(currency):
        raise UnreadableObjectError(f"currency {currency!r} is no ISO 4217 code")
    return currency


def one_of(fields: Fields, key: str, known: frozenset[str]) -> str:
    """Return a required word; UnreadableObjectError for an unknown one."""
    value = require(fields.text(key), key)
    if value not in known:
        raise UnreadableObjectError(f"{key} {value!r} is unknown")
    return value


def small_number(text: object) -> int | None:
    """Return the number that a text of up to five digits is; None for anything else."""
    return int(text) if isinstance(text, str) and _SMALL_NUMBER.fullmatch(text) else None


def present(moments: Iterable[datetime | None]) -> list[datetime]:
    """Leave out what is None."""
    return [moment for moment in moments if moment is not None]


_CURRENCY = re.compile(r"[a-z]{3}")
_SMALL_NUMBER = re.compile(r"[0-9]{1,5}")
