"""`expand`: replaces ids by objects along dotted paths, and adds fields sent only on request."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from stripe_sandbox.documents import Document, ReadOnly, list_object
from stripe_sandbox.errors import ApiError, invalid
from stripe_sandbox.world import World

MAX_DEPTH = 4

KINDS = {
    "ch": "charge",
    "cs": "checkout.session",
    "cus": "customer",
    "clock": "test_helpers.test_clock",
    "di": "discount",
    "evt": "event",
    "ii": "invoiceitem",
    "in": "invoice",
    "inpay": "invoice_payment",
    "pi": "payment_intent",
    "pm": "payment_method",
    "price": "price",
    "prod": "product",
    "promo": "promotion_code",
    "re": "refund",
    "sub": "subscription",
}


def expand(world: World, document: Document, paths: list[str]) -> Document:
    """Expand each path in place and return the object; raises ApiError if one cannot be."""
    for path in paths:
        steps = path.split(".")
        if len(steps) - (steps[0] == "data") > MAX_DEPTH:
            raise invalid(f"You cannot expand more than {MAX_DEPTH} levels of a property.")
        _walk(world, document, steps, path)
    return document


def _walk(world: World, node: Any, steps: list[str], path: str) -> None:
    if isinstance(node, list):
        for item in node:
            _walk(world, item, steps, path)
        return
    if not isinstance(node, dict):
        return
    step, *rest = steps
    node[step] = _expanded(world, node, step, is_last=not rest, path=path)
    if rest:
        _walk(world, node[step], rest, path)


def _expanded(world: World, node: Document, step: str, *, is_last: bool, path: str) -> Any:
    on_request = ON_REQUEST.get((node.get("object", ""), step))
    if on_request:
        return node.get(step) or on_request(world, node)
    if step not in node:
        raise _refusal(path)
    if step == "coupon":
        return _resolve(world, node[step], "coupon")
    value = node[step]
    if isinstance(value, list):
        return [_resolve(world, item, _kind(item)) for item in value]
    if isinstance(value, str):
        kind = _kind(value)
        if kind is None:
            raise _refusal(path)
        return _resolve(world, value, kind)
    if is_last and isinstance(value, int | bool):
        raise _refusal(path)
    return value


def _refusal(path: str) -> ApiError:
    return invalid(f"This property cannot be expanded ({path}).", param="expand")


def _kind(value: Any) -> str | None:
    return KINDS.get(value.partition("_")[0]) if isinstance(value, str) else None


def _resolve(world: World, value: Any, kind: str | None) -> Any:
    if not isinstance(value, str) or kind is None:
        return value
    return world.store.get(kind, value) or {"id": value, "object": kind, "deleted": True}


def _invoice_payments(world: World, invoice: ReadOnly) -> Document:
    mine = [p for p in world.store.all("invoice_payment") if p["invoice"] == invoice["id"]]
    return list_object(deepcopy(mine), f"/v1/invoice_payments?invoice={invoice['id']}")


def _session_line_items(world: World, session: ReadOnly) -> Document:
    kept = world.store.get("_session_cart", session["id"]) or {"line_items": []}
    return list_object(kept["line_items"], f"/v1/checkout/sessions/{session['id']}/line_items")


def _customer_subscriptions(world: World, customer: ReadOnly) -> Document:
    mine = [
        found
        for found in world.store.all("subscription")
        if found["customer"] == customer["id"] and found["status"] != "canceled"
    ]
    return list_object(deepcopy(mine), f"/v1/customers/{customer['id']}/subscriptions")


ON_REQUEST: dict[tuple[str, str], Callable[[World, ReadOnly], Document]] = {
    ("invoice", "payments"): _invoice_payments,
    ("checkout.session", "line_items"): _session_line_items,
    ("customer", "subscriptions"): _customer_subscriptions,
}
