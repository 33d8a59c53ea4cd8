"""Params of earlier API versions that the sandbox still takes, as programs of others send them.

They are declared where an operation is, like any other: `extend` adds them to the SDK's type.
"""

import sys
from typing import Any


def extend(spec: type, **params: Any) -> type:
    """Return the SDK's type of an operation's params with optional ones of earlier versions."""
    parts = {
        "__annotations__": {**spec.__annotations__, **params},
        "__module__": spec.__module__,
        "__required_keys__": vars(spec)["__required_keys__"],
    }
    return type(spec.__name__, (dict,), parts)


def part_of(spec: type, name: str) -> Any:
    """Return a type that is declared beside an operation's: of the entries of a list, say."""
    return vars(sys.modules[spec.__module__])[name]
