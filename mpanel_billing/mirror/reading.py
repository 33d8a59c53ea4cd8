"""Typed access to Stripe's JSON objects, whose shapes differ between API versions.

Payloads mix shapes whatever their API version says, so readers go by the keys that are present:
first the current place of a value, then its place before 2025-03-31 (basil). Source: Stripe's API
changelog.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

Value = TypeVar("Value")

ORDER_METADATA_KEY = "subscriptionId"
"""Metadata key on sessions and subscriptions: the id of our subscription row (the order)."""
ATTEMPT_METADATA_KEY = "checkoutAttempt"

MAX_ID_LENGTH = 255
_MAX_BIGINT = 2**63 - 1
_ALL_PERCENT = 100
_MAX_TIMESTAMP = 253_402_300_799  # 9999-12-31T23:59:59Z


class UnreadableObjectError(ValueError):
    """A required field of an object is missing or invalid."""


class Fields:
    """One Stripe object; getters return None if a key is absent or null.

    An event creates about thirty of these, so speed counts: a frozen dataclass takes three times
    as long to create, and `isinstance` is faster for dict (which is what JSON gives) than for
    Mapping.
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
        raise UnreadableObjectError(f"{key} is not a string")

    def whole(self, key: str) -> int | None:
        """Return an integer that fits PostgreSQL's bigint."""
        value = self.values.get(key)
        # bool is a subclass of int: compare the exact type
        if value is None or (type(value) is int and -_MAX_BIGINT <= value <= _MAX_BIGINT):
            return value
        raise UnreadableObjectError(f"{key} is not a 64-bit integer")

    def percentage(self, key: str) -> Decimal | None:
        """Return a number of percent, as exact as Stripe writes it."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnreadableObjectError(f"{key} is not a number")
        if not 0 <= value <= _ALL_PERCENT:
            raise UnreadableObjectError(f"{key} is not a percentage")
        return Decimal(str(value))

    def flag(self, key: str) -> bool:
        """Return whether the value is `true`."""
        return self.values.get(key) is True

    def moment(self, key: str) -> datetime | None:
        """Return a Unix time in seconds as a UTC datetime."""
        value = self.whole(key)
        if value is None:
            return None
        if not 0 <= value <= _MAX_TIMESTAMP:
            raise UnreadableObjectError(f"{key} is not a valid Unix time")
        return datetime.fromtimestamp(value, UTC)

    def reference(self, key: str) -> str | None:
        """Return the id of a related object, given as an id, expanded, or a deleted stub."""
        value = self.values.get(key)
        if isinstance(value, dict):
            value = value.get("id")
        if value is None:
            return None
        return checked_id(value, key)

    def child(self, *keys: str) -> "Fields":
        """Return a nested object; empty if any key of the path is absent."""
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
        """Return a UUID from the metadata; None if absent or not a UUID."""
        value = self.child("metadata").values.get(key)
        return as_uuid(value)

    def require_id(self) -> str:
        """Return the object's own id."""
        return checked_id(self.values.get("id"), "id")


def require(value: Value | None, name: str) -> Value:
    """Return the value; UnreadableObjectError naming the field if it is None."""
    if value is None:
        raise UnreadableObjectError(f"{name} is missing")
    return value


def checked_id(value: object, name: str) -> str:
    """Return a valid Stripe id, or raise UnreadableObjectError."""
    if not isinstance(value, str) or not value:
        raise UnreadableObjectError(f"{name} is not a Stripe id")
    if len(value) > MAX_ID_LENGTH or not value.isprintable():
        raise UnreadableObjectError(f"{name} is not a Stripe id: too long or not printable")
    return value


def as_uuid(value: object) -> UUID | None:
    """Parse a UUID; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def currency_code(text: str | None) -> str:
    """Return an ISO 4217 code in lower case, or raise UnreadableObjectError."""
    currency = require(text, "currency").lower()
    if not _CURRENCY.fullmatch(currency):
        raise UnreadableObjectError(f"currency {currency!r} is not an ISO 4217 code")
    return currency


def one_of(fields: Fields, key: str, known: frozenset[str]) -> str:
    """Return a required enum value; UnreadableObjectError if it is not in `known`."""
    value = require(fields.text(key), key)
    if value not in known:
        raise UnreadableObjectError(f"{key} {value!r} is unknown")
    return value


def small_number(text: object) -> int | None:
    """Parse a number of up to five digits; None for anything else."""
    return int(text) if isinstance(text, str) and _SMALL_NUMBER.fullmatch(text) else None


def present(moments: Iterable[datetime | None]) -> list[datetime]:
    """Drop the None values."""
    return [moment for moment in moments if moment is not None]


_CURRENCY = re.compile(r"[a-z]{3}")
_SMALL_NUMBER = re.compile(r"[0-9]{1,5}")
