"""Rows as JSON takes them, in the clients' spelling."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with camelCase names; moments in ISO 8601, ids and decimals as texts."""
    return {_camel(name): _plain(value) for name, value in row.items()}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID | Decimal) else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
