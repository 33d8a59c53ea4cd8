"""How objects look on the wire where that is less than what is kept."""

from typing import Any, TypeVar, cast

INLINE_ITEMS = 10
"""How many items a subscription carries with it; the rest have to be listed."""

Node = TypeVar("Node")


def as_sent(node: Node) -> Node:
    """Return the answer as Stripe sends it: every subscription in it with ten items at most."""
    return cast("Node", _cut(node))


def _cut(node: Any) -> Any:
    if isinstance(node, list):
        return [_cut(item) for item in node]
    if not isinstance(node, dict):
        return node
    cut = {name: _cut(value) for name, value in node.items()}
    if cut.get("object") == "subscription" and len(cut["items"]["data"]) > INLINE_ITEMS:
        items = cut["items"]
        cut["items"] = {**items, "data": items["data"][:INLINE_ITEMS], "has_more": True}
    return cut
