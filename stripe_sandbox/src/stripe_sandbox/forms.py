"""Stripe's form encoding: `line_items[0][price]=...`, `metadata[a]=...`, `expand[]=...`."""

from collections.abc import Iterable

from stripe_sandbox.documents import Document
from stripe_sandbox.errors import invalid


def decode_form(pairs: Iterable[tuple[str, str]]) -> Document:
    """Return the nested params behind a flat form.

    A list is left as a dictionary of its indexes: only the param's type tells it from a map.
    Raises ApiError where one name is used as a value and as a container.
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
