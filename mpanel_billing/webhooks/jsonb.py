"""Parses bytes into a JSON object that PostgreSQL's jsonb can hold; no I/O."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

_MAX_DEPTH = 64
_MANY_BRACKETS = 500
"""With fewer, nothing can be nested deeply enough for PostgreSQL to refuse it."""
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ESCAPED_NUL = b"\\u0000"


class NotStorableError(ValueError):
    """The bytes are not JSON, not an object, or nested too deeply; the message says which."""


class Body(NamedTuple):
    """A JSON object, parsed and as text that jsonb accepts."""

    values: Mapping[str, Any]
    text: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Body":
        """Serialize an object that was parsed before."""
        return cls(values, json.dumps(values))


def read_object(body: bytes) -> Body:
    """Return the JSON object in a body; NotStorableError if there is none.

    What jsonb cannot hold is replaced: NUL characters and lone surrogates by the replacement
    character, numbers that are infinite, NaN or thousands of digits long by null. Of duplicate
    keys the last one counts.
    """
    values, as_sent = _parse(body)
    if not isinstance(values, dict):
        raise NotStorableError("not a JSON object")
    if _may_be_deep(body) and _depth_exceeds(values, _MAX_DEPTH):
        raise NotStorableError(f"nested deeper than {_MAX_DEPTH} levels")
    return Body(values, body.decode()) if as_sent else Body.of(values)


def _parse(body: bytes) -> tuple[object, bool]:
    """Return the value and whether jsonb can hold the bytes as they are.

    orjson rejects numbers that are not finite and lone surrogates; what it rejects is parsed again
    with replacements.
    """
    # searching one byte first is much faster than searching six
    if b"\\" not in body or _ESCAPED_NUL not in body:
        try:
            return orjson.loads(body), True
        except orjson.JSONDecodeError:
            pass
    try:
        return _storable(_LENIENT.decode(body.decode())), False
    except (ValueError, RecursionError):
        raise NotStorableError("not JSON") from None


def _null(_: str) -> None:
    return None


def _finite_or_null(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _integer_or_null(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:  # more digits than Python parses
        return None


_LENIENT = json.JSONDecoder(
    parse_float=_finite_or_null, parse_int=_integer_or_null, parse_constant=_null
)


def _storable(value: object) -> object:
    if isinstance(value, str):
        return _storable_text(value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable_text(key): _storable(item) for key, item in value.items()}
    return value


def _storable_text(text: str) -> str:
    without_nul = text.replace("\x00", _REPLACEMENT)
    return without_nul.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _may_be_deep(body: bytes) -> bool:
    return body.count(b"[") + body.count(b"{") > _MANY_BRACKETS


def _depth_exceeds(value: object, levels: int) -> bool:
    """Whether a value is nested deeper than that many levels; without recursion."""
    level = _nested_in(value)
    for _ in range(levels):
        level = [grandchild for child in level for grandchild in _nested_in(child)]
        if not level:
            return False
    return True


def _nested_in(value: object) -> list[object]:
    if isinstance(value, dict):
        return [child for child in value.values() if isinstance(child, dict | list)]
    if isinstance(value, list):
        return [child for child in value if isinstance(child, dict | list)]
    return []
