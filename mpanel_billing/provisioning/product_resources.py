"""What the products of a subscription give its services: their limits, added up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Resources = Mapping[str, Any]
"""Limits by name, such as `disk_gb`."""


@dataclass(frozen=True, slots=True)
class Included:
    """A catalogue product among the subscription's items."""

    product_types: tuple[str, ...]
    resources: Resources = field(default_factory=dict)
    quantity: int = 1


def resources_by_type(items: Iterable[Included]) -> dict[str, Resources]:
    """Add up the items' resources by product type: numbers times quantity; else the first wins."""
    totals: dict[str, dict[str, Any]] = {}
    for item in items:
        for product_type in item.product_types if item.quantity > 0 else ():
            total = totals.setdefault(product_type, {})
            for name, value in item.resources.items():
                if is_number(value):
                    total[name] = total.get(name, 0) + value * item.quantity
                else:
                    total.setdefault(name, value)
    return dict(totals)


def is_less(before: Resources, after: Resources) -> bool:
    """Return whether something that has a number becomes less, or goes."""
    return any(
        is_number(value) and not (is_number(after.get(name)) and after[name] >= value)
        for name, value in before.items()
    )


def is_number(value: object) -> bool:
    """Return whether a resource is a number: a flag is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
