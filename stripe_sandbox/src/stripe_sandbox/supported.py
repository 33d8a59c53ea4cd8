"""Declarations of the params that an operation implements; Stripe's others are refused.

A name stands for the whole param. `supports(items=supports("price"))` implements only `price` of
the entries of `items`, `mode=one_of("payment")` only this value. Tests hold a declaration to its
word: each param makes a difference, and each other param of the SDK's types is refused by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.errors import invalid

ANY = "*"
"""Stands for every key of a map."""

UNSET = ("", None)
"""Values that empty a param: there is nothing to refuse."""


@dataclass(frozen=True)
class OneOf:
    """The values of a param that are implemented; a type stands for all of its values."""

    values: tuple[Any, ...]

    def accepts(self, value: Any) -> bool:
        """Return whether the value is implemented."""
        return any(
            isinstance(value, one) if isinstance(one, type) else value == one for one in self.values
        )


@dataclass(frozen=True)
class Supported:
    """The params that are implemented, and what of each; None stands for all of it."""

    parts: Mapping[str, "Supported | OneOf | None"]

    def without(self, *names: str) -> "Supported":
        """Return the declaration without these params."""
        return Supported({name: part for name, part in self.parts.items() if name not in names})

    def refuse_others(self, params: ReadOnly, path: str = "") -> None:
        """Raise ApiError for a param or value that is not declared; `path` contains the params."""
        for name, value in params.items():
            param = f"{path}[{name}]" if path else name
            declared = ANY if ANY in self.parts else name
            if declared in self.parts:
                _check(self.parts[declared], value, param)
            elif value not in UNSET:
                raise invalid(f"The sandbox does not support the param {param} here.", param=param)


def supports(
    *whole: str, base: Supported | None = None, **parts: Supported | OneOf | None
) -> Supported:
    """Declare params: the named ones in whole, those of `base`, and the given parts of others."""
    inherited = base.parts if base else {}
    return Supported({**inherited, **dict.fromkeys(whole), **parts})


def entries(part: Supported) -> Supported:
    """Declare a map of params by a key, such as `currency_options`."""
    return Supported({ANY: part})


def one_of(*values: Any) -> OneOf:
    """Declare the values of a param that are implemented."""
    return OneOf(values)


def _check(part: Supported | OneOf | None, value: Any, param: str) -> None:
    if isinstance(value, list):
        for index, one in enumerate(value):
            _check(part, one, f"{param}[{index}]")
    elif isinstance(part, Supported) and isinstance(value, dict):
        part.refuse_others(value, param)
    elif isinstance(part, OneOf) and value not in UNSET and not part.accepts(value):
        raise invalid(f"The sandbox does not support {param}={value} here.", param=param)


NOTHING = supports()
PAGES = supports("ending_before", "expand", "limit", "starting_after")
"""What every operation implements if Stripe has it there."""
