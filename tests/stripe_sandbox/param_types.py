"""The params that the SDK's types declare, as paths, and plausible values of them as forms."""

import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stripe_sandbox.params import SCALARS, _choices, _fields
from stripe_sandbox.supported import ANY

Path = tuple[str, ...]
"""The names of a param and of those that contain it; entries of a list have no name."""


@dataclass(frozen=True)
class Param:
    """A param of an operation, and one value of it as a form, with what its containers require."""

    path: Path
    form: dict[str, Any]
    value: Any

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}={self.value}"


class ByKey:
    """A map of params by a key."""

    def __init__(self, entry: object) -> None:
        self.entry = entry


def nested(kind: object) -> "type | ByKey | None":
    """Return the TypedDict of a param, of the entries of a list or a map, if it has one."""
    for choice in _choices(kind):
        origin, arguments = typing.get_origin(choice), typing.get_args(choice)
        if origin is list:
            return nested(arguments[0])
        if origin is dict and nested(arguments[1]):
            return ByKey(arguments[1])
        if hasattr(choice, "__required_keys__"):
            return choice
    return None


def fields(spec: "type | ByKey") -> dict[str, Any]:
    return {ANY: spec.entry} if isinstance(spec, ByKey) else _fields(spec)


def is_list(kind: object) -> bool:
    return any(typing.get_origin(choice) is list for choice in _choices(kind))


def scalars(kind: object) -> list[Any]:
    """Return values of a param that has no params inside: one, or each value of an enum."""
    found: list[Any] = []
    for choice in _choices(kind):
        origin, arguments = typing.get_origin(choice), typing.get_args(choice)
        if origin is typing.Literal:
            found += [one for one in arguments if one != ""]
        elif origin is list:
            found += [{"0": one} for one in scalars(arguments[0])]
        elif origin is dict and not nested(choice):
            found.append({"key": next(iter(scalars(arguments[1])), "x")})
        elif choice in SCALARS:
            found.append("true" if choice is bool else "x" if choice is str else "1")
    return found


def bare(value: Any) -> Any:
    """Return a value of an enum as it is declared: not in a list, and a number not as text."""
    if isinstance(value, dict):
        return bare(value["0"])
    return int(value) if value.isdigit() else value


def required(spec: "type | ByKey") -> dict[str, Any]:
    """Return a form with what the type requires."""
    if isinstance(spec, ByKey):
        return {}
    names = sorted(vars(spec)["__required_keys__"] & _fields(spec).keys())
    return {name: sample(_fields(spec)[name]) for name in names}


def sample(kind: object) -> Any:
    """Return a plausible value as a form."""
    inner = nested(kind)
    if inner is None:
        return next(iter(scalars(kind)), "")
    form = required(inner) or _first(inner)
    return {"0": form} if is_list(kind) else form


def _first(spec: "type | ByKey") -> dict[str, Any]:
    name, kind = min(fields(spec).items())
    return {key_of(name): sample(kind)}


def key_of(name: str) -> str:
    """Return the name in a form; the keys of all maps of params are currencies."""
    return "eur" if name == ANY else name


def form_of(spec: "type | ByKey", path: Path, value: Any) -> dict[str, Any]:
    """Return a form with the param at the path, before what its containers require."""
    name, *rest = path
    kind = fields(spec)[name]
    inner = nested(kind)
    if rest and inner:
        value = form_of(inner, tuple(rest), value)
        value = {"0": value} if is_list(kind) else value
    return {key_of(name): value, **{n: v for n, v in required(spec).items() if n != name}}


def walk(spec: "type | ByKey", prefix: Path = (), depth: int = 0) -> Iterator[tuple[Path, object]]:
    """Yield the path and type of every param, containers first."""
    for name, kind in sorted(fields(spec).items()):
        yield (*prefix, name), kind
        inner = nested(kind)
        if inner and depth < 8:
            yield from walk(inner, (*prefix, name), depth + 1)
