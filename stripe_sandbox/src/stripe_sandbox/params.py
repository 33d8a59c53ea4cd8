"""Decodes forms, and checks params against the SDK's `...Params` TypedDicts.

The SDK's types are generated from Stripe's specification, so Stripe accepts no param that they do
not name. Their enums are open (`Literal[...] | str`) to allow future values; here they are closed.
Values arrive as text and leave in the declared type.
"""

import sys
import typing
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from functools import cache
from types import NoneType
from typing import Any

from stripe import RequestOptions

from stripe_sandbox.documents import Document
from stripe_sandbox.errors import ApiError, invalid, missing_param

OPTION_KEYS = frozenset(RequestOptions.__annotations__)
MAX_KEYS, MAX_KEY_LENGTH, MAX_VALUE_LENGTH = 50, 40, 500
"""Stripe's limits on metadata."""

BOOLEANS = {"true": True, "false": False}


def check_params(given: Document, spec: type) -> Document:
    """Return the params in their declared types; an empty optional param becomes None.

    Raises ApiError with Stripe's code and the param's name for unknown or missing params, and for
    values of the wrong type or outside their enum.
    """
    return _check_fields(given, spec, "")


@cache
def _fields(spec: type) -> dict[str, Any]:
    own = {name: kind for name, kind in spec.__annotations__.items() if name not in OPTION_KEYS}
    holder = type(spec.__name__, (), {"__annotations__": own})
    return typing.get_type_hints(holder, vars(sys.modules[spec.__module__]))


def params_of(spec: type) -> frozenset[str]:
    """Return the names of the params that a TypedDict of the SDK declares."""
    return frozenset(_fields(spec))


def _check_fields(given: Document, spec: type, path: str) -> Document:
    fields = _fields(spec)
    for name in given:
        if name not in fields:
            param = _join(path, name)
            message = f"Received unknown parameter: {param}"
            raise invalid(message, param=param, code="parameter_unknown")
    required = vars(spec)["__required_keys__"]
    for name in fields:
        if name in required and name not in given:
            raise missing_param(_join(path, name))
    return {
        name: _check(value, fields[name], _join(path, name), required=name in required)
        for name, value in given.items()
    }


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


def _check(value: Any, kind: Any, path: str, *, required: bool = True) -> Any:
    if value == "":
        return _check_empty(kind, path, required=required)
    failure: ApiError | None = None
    for choice in _choices(kind):
        try:
            return _check_one(value, choice, path)
        except ApiError as error:
            failure = _more_specific(failure, error)
    raise failure or invalid(f"Invalid {path}", param=path)


def _check_empty(kind: Any, path: str, *, required: bool) -> None:
    if required and "" not in _literals(kind):
        message = (
            f"You passed an empty string for '{path}'. We assume empty values are an attempt to "
            f"unset a parameter; however '{path}' cannot be unset."
        )
        raise invalid(message, param=path, code="parameter_invalid_empty")


def _more_specific(first: ApiError | None, second: ApiError) -> ApiError:
    """Return the error of the alternative that matched more of the value."""
    if first is None:
        return second
    return max(first, second, key=lambda error: len(error.body["error"].get("param", "")))


def _literals(kind: Any) -> set[Any]:
    return {
        value
        for choice in (typing.get_args(kind) or (kind,))
        if typing.get_origin(choice) is typing.Literal
        for value in typing.get_args(choice)
    }


@cache
def _choices(kind: Any) -> tuple[Any, ...]:
    """Return the alternatives of a type, without the `str` of the SDK's open enums."""
    if typing.get_origin(kind) is typing.Literal:
        return (kind,)
    choices = typing.get_args(kind) if _is_union(kind) else (kind,)
    closed = [choice for choice in choices if choice not in (NoneType, typing.Literal[""])]
    if _literals(kind) - {""}:
        closed = [choice for choice in closed if choice is not str]
    return tuple(closed)


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) is typing.Union or type(kind).__name__ == "UnionType"


def _check_one(value: Any, kind: Any, path: str) -> Any:
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return _check_enum(value, kind, path)
    if origin is list:
        return _check_list(value, typing.get_args(kind)[0], path)
    if origin is dict:
        return _check_map(value, typing.get_args(kind)[1], path)
    if typing.is_typeddict(kind) or hasattr(kind, "__required_keys__"):
        return _check_fields(_expect_container(value, path, "object"), kind, path)
    if kind in SCALARS:
        return SCALARS[kind](value, path)
    if kind is Any:
        return value
    raise invalid(f"Invalid {path}", param=path)


def _check_enum(value: Any, kind: Any, path: str) -> Any:
    allowed = [choice for choice in typing.get_args(kind) if choice != ""]
    if value not in allowed:
        message = f"Invalid {path}: must be one of {_enumerate(allowed)}"
        raise invalid(message, param=path)
    return value


def _enumerate(choices: list[Any]) -> str:
    """Return the choices as Stripe lists them: `a`, `a or b`, `a, b, or c`."""
    *others, last = map(str, choices)
    if not others:
        return last
    return f"{', '.join(others)}{',' if others[1:] else ''} or {last}"


def _expect_container(value: Any, path: str, noun: str) -> Document:
    if not isinstance(value, dict):
        raise invalid(f"Invalid {noun}", param=path)
    return value


def _check_list(value: Any, kind: Any, path: str) -> list[Any]:
    items = _expect_container(value, path, "array")
    if not all(key.isdigit() for key in items):
        raise invalid("Invalid array", param=path)
    ordered = sorted(items.items(), key=lambda item: int(item[0]))
    return [_check(item, kind, _join(path, key)) for key, item in ordered]


def _check_map(value: Any, kind: Any, path: str) -> Document:
    """Check a map such as metadata; an empty value stays, since it removes its key."""
    items = _expect_container(value, path, "object")
    if len(items) > MAX_KEYS:
        raise invalid(f"You can have up to {MAX_KEYS} metadata keys.", param=path)
    return {
        key: item if item == "" else _check_entry(key, item, kind, _join(path, key))
        for key, item in items.items()
    }


def _check_entry(key: str, item: Any, kind: Any, path: str) -> Any:
    if len(key) > MAX_KEY_LENGTH:
        message = f"Metadata keys are at most {MAX_KEY_LENGTH} characters long: {key}"
        raise invalid(message, param=path)
    if isinstance(item, str) and len(item) > MAX_VALUE_LENGTH:
        message = f"Metadata values are at most {MAX_VALUE_LENGTH} characters long: {key}"
        raise invalid(message, param=path)
    return _check(item, kind, path)


def _check_text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise invalid("Invalid string: expected a string", param=path)
    return value


def _check_integer(value: Any, path: str) -> int:
    text = _check_text(value, path)
    if not text.removeprefix("-").isdecimal():
        raise invalid(f"Invalid integer: {text}", param=path, code="parameter_invalid_integer")
    return int(text)


def _check_decimal(value: Any, path: str) -> Decimal:
    text = _check_text(value, path)
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise invalid(f"Invalid decimal: {text}", param=path) from None
    if not number.is_finite():
        raise invalid(f"Invalid decimal: {text}", param=path)
    return number


def _check_float(value: Any, path: str) -> float:
    return float(_check_decimal(value, path))


def _check_boolean(value: Any, path: str) -> bool:
    text = _check_text(value, path)
    if text not in BOOLEANS:
        raise invalid(f"Invalid boolean: {text}", param=path)
    return BOOLEANS[text]


SCALARS: dict[Any, Callable[[Any, str], Any]] = {
    str: _check_text,
    int: _check_integer,
    float: _check_float,
    Decimal: _check_decimal,
    bool: _check_boolean,
}


def decode_form(pairs: Iterable[tuple[str, str]]) -> Document:
    """Return the nested params of a form: `line_items[0][price]=...`, `expand[]=...`.

    A list is a dictionary of its indexes: only the param's type tells it from a map.
    Raises ApiError if a name is both a value and a container.
    """
    params: Document = {}
    for name, value in pairs:
        _assign(params, _split(name), value, name)
    return params


def _split(name: str) -> list[str]:
    head, *rest = name.replace("]", "").split("[")
    return [head, *rest]


def _assign(params: Document, keys: list[str], value: str, name: str) -> None:
    target = params
    for key in keys[:-1]:
        target = target.setdefault(key or str(len(target)), {})
        if not isinstance(target, dict):
            raise invalid(f"Invalid request: conflicting values for {name}", param=keys[0])
    target[keys[-1] or str(len(target))] = value
