"""Compares objects with the fields and types that the SDK's classes declare for them."""

import ast
import importlib
import inspect
import sys
import types
import typing
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar, Literal

from stripe import ListObject
from stripe._stripe_object import UntypedStripeObject

from stripe_sandbox.shapes import ALTERNATIVES, CLASSES, NEVER_SENT, ON_REQUEST

SCALARS: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    float: (int, float),
    bool: (bool,),
    Decimal: (str,),
}


def shape_problems(document: dict[str, Any], path: str = "") -> list[str]:
    """Return what does not fit about an object and all that is in it."""
    name = document.get("object")
    if document.get("deleted"):
        return []
    if name == "list":
        return [
            p for i, d in enumerate(document["data"]) for p in shape_problems(d, f"{path}[{i}]")
        ]
    if name not in CLASSES:
        return [f"{path}: unknown object {name}"]
    problems = _class_problems(document, CLASSES[name], path or str(name))
    if name == "event":
        problems += shape_problems(document["data"]["object"], document["type"])
    return problems


@cache
def _namespace(module_name: str) -> dict[str, Any]:
    """Return the names that a module of the SDK's imports for its annotations only."""
    module = sys.modules[module_name]
    names = dict(vars(module))
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module and ".params" not in node.module:
            imported = importlib.import_module(node.module)
            for alias in node.names:
                if hasattr(imported, alias.name):
                    names[alias.asname or alias.name] = getattr(imported, alias.name)
    return names


@cache
def _hints(cls: Any) -> dict[str, Any]:
    holder = type(cls.__name__, (), {"__annotations__": dict(cls.__annotations__)})
    hints = typing.get_type_hints(holder, _namespace(cls.__module__))
    return {n: k for n, k in hints.items() if typing.get_origin(k) is not ClassVar}


def _class_problems(value: dict[str, Any], cls: Any, path: str) -> list[str]:
    hints = _hints(cls)
    problems = [f"{path}.{name}: not declared" for name in value if name not in hints]
    optional = ON_REQUEST.get(str(value.get("object")), frozenset()) | NEVER_SENT
    for name, kind in hints.items():
        nullable = type(None) in typing.get_args(kind)
        if name in value:
            problems += _value_problems(value[name], kind, f"{path}.{name}")
        elif not nullable or (name not in optional and cls.__name__ not in ALTERNATIVES):
            problems.append(f"{path}.{name}: missing")
    return problems


def _value_problems(value: Any, kind: Any, path: str) -> list[str]:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        return min((_value_problems(value, choice, path) for choice in args), key=len)
    if origin is list:
        return _list_problems(value, args[0], path)
    if kind in SCALARS or kind is type(None) or origin is Literal:
        return [] if _fits(value, kind) else [f"{path}: {value!r} is no {_name(kind)}"]
    return [] if kind is Any else _object_problems(value, kind, path)


def _fits(value: Any, kind: Any) -> bool:
    if kind is type(None):
        return value is None
    if typing.get_origin(kind) is Literal:
        return value in typing.get_args(kind)
    return isinstance(value, SCALARS[kind]) and (kind is bool or not isinstance(value, bool))


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


def _object_problems(value: Any, kind: Any, path: str) -> list[str]:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is no object"]
    if origin is ListObject:
        return _list_problems(value["data"], args[0], f"{path}.data")
    if origin is UntypedStripeObject:
        return [p for n, v in value.items() for p in _value_problems(v, args[0], f"{path}.{n}")]
    return _class_problems(value, kind, path)


def _list_problems(value: Any, kind: Any, path: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{path}: {value!r} is no list"]
    return [p for i, v in enumerate(value) for p in _value_problems(v, kind, f"{path}[{i}]")]
