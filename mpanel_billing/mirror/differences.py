"""In what a stored row differs from what Stripe says; values in, no I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mpanel_billing.telemetry.logs import redact

OBJECT = "object"
"""The field of a difference that is about the whole object: one side does not have it."""

IDENTITY = {
    "object_id": "the key of the row",
    "livemode": "an id belongs to one mode, and a run lists that mode",
}
"""The facts of every type that are not compared, and why."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field; values as text for people, e-mail addresses masked, None if absent."""

    field: str
    ours: str | None
    found: str | None


def compared_fields(facts: type[tuple[Any, ...]], left_out: Mapping[str, str]) -> tuple[str, ...]:
    """Return the fields of a NamedTuple that are compared: all that are not left out."""
    names: tuple[str, ...] = facts._fields  # type: ignore[attr-defined]
    return tuple(name for name in names if name not in left_out)


def differing_fields(
    facts: object, row: Mapping[str, Any], names: Sequence[str]
) -> Iterator[Difference]:
    """Yield the named fields whose values differ."""
    for name in names:
        ours, found = row[name], getattr(facts, name)
        if ours != found:
            yield Difference(name, as_text(ours), as_text(found))


def as_text(value: object) -> str | None:
    """Write a value for people."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return str(value).lower() if isinstance(value, bool) else redact(str(value))
