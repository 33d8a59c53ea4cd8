"""Params of earlier API versions that the sandbox still takes, as programs of others send them.

Those with a present name are renamed in the form; the others are declared where an operation is,
like any other: `extend` adds them to the SDK's type.
"""

from collections.abc import Callable, Mapping
from typing import Any

from stripe_sandbox.documents import Document
from stripe_sandbox.world import World

Rename = Callable[[World, Document], None]


def extend(spec: type, **params: Any) -> type:
    """Return the SDK's type of an operation's params with optional ones of earlier versions."""
    parts = {
        "__annotations__": {**spec.__annotations__, **params},
        "__module__": spec.__module__,
        "__required_keys__": vars(spec)["__required_keys__"],
    }
    return type(spec.__name__, (dict,), parts)


def _rename_types(_: World, form: Document) -> None:
    """Before 2026-10-28: `payment_method_types`."""
    if "payment_method_types" in form:
        form["allowed_payment_method_types"] = form.pop("payment_method_types")


def _rename_coupon(_: World, form: Document) -> None:
    """Before 2025-09-30: `coupon` of a promotion code."""
    if "coupon" in form:
        form["promotion"] = {"type": "coupon", "coupon": form.pop("coupon")}


def _rename_iterations(world: World, form: Document) -> None:
    """Before 2025-09-30: `iterations` of a schedule's phase, in terms of its first price."""
    phases = form.get("phases")
    for phase in phases.values() if isinstance(phases, dict) else ():
        if isinstance(phase, dict) and "iterations" in phase:
            phase["duration"] = _duration(world, phase.pop("iterations"), phase.get("items"))


def _duration(world: World, iterations: Any, items: Any) -> Document:
    first: Document = next(iter(items.values()), {}) if isinstance(items, dict) else {}
    price = world.store.peek("price", str(first.get("price"))) or {}
    term = price.get("recurring") or {"interval": "month", "interval_count": 1}
    if not str(iterations).isdigit():
        return {"interval": term["interval"], "interval_count": iterations}
    count = int(iterations) * term["interval_count"]
    return {"interval": term["interval"], "interval_count": str(count)}


TYPED = (
    "/checkout/sessions",
    "/payment_intents",
    "/payment_intents/{id}",
    "/payment_intents/{id}/confirm",
    "/setup_intents",
    "/setup_intents/{id}",
)
RENAMES: Mapping[str, Rename] = {
    **dict.fromkeys(TYPED, _rename_types),
    "/promotion_codes": _rename_coupon,
    "/subscription_schedules": _rename_iterations,
    "/subscription_schedules/{id}": _rename_iterations,
}
"""What is renamed in requests that create or change something, by the operation's path."""


def rename(world: World, method: str, path: str, form: Document) -> None:
    """Give params of earlier versions their present names, in place."""
    if method == "POST" and path in RENAMES:
        RENAMES[path](world, form)
