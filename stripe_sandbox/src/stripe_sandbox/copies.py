"""Copies of a subscription with its customer, invoices and payments.

Copies share equal parts in memory, so that a hundred thousand fit.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

_PREFIXES = {"customer": "cus", "subscription": "sub", "invoice": "in", "invoice_payment": "inpay"}


def copy_subscription(world: World, subscription_id: str, count: int, seconds: int) -> None:
    """Add copies without events, created at even intervals over the last `seconds`.

    The subscription's customer, its invoices and their payments are copied too.
    """
    originals = _family(world, subscription_id)
    items = [item["id"] for item in originals[1][1]["items"]["data"]]
    now = world.now()
    for number in range(count):
        names = {doc["id"]: world.ids.next(_PREFIXES[kind]) for kind, doc in originals}
        names |= {item: world.ids.next("si") for item in items}
        created = now - seconds + seconds * (number + 1) // count
        for kind, document in originals:
            copy: Document = _renamed(document, names)
            world.store.load(kind, {**copy, "created": created})


def _family(world: World, subscription_id: str) -> list[tuple[str, ReadOnly]]:
    subscription = world.find("subscription", subscription_id)
    customer = world.find("customer", subscription["customer"])
    invoices = [*world.store.where("invoice", "subscription", subscription_id)]
    ids = [invoice["id"] for invoice in invoices]
    payments = [p for id_ in ids for p in world.store.where("invoice_payment", "invoice", id_)]
    return list(_named(customer, subscription, *invoices, *payments))


def _named(*documents: ReadOnly) -> Iterator[tuple[str, ReadOnly]]:
    for document in documents:
        yield document["object"], document


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """Return the node with new ids; unchanged parts are shared, not copied."""
    if isinstance(node, str):
        return names.get(node, node)
    if isinstance(node, dict):
        copy = {key: _renamed(value, names) for key, value in node.items()}
        return node if all(copy[key] is node[key] for key in node) else copy
    if isinstance(node, list):
        copies = [_renamed(value, names) for value in node]
        return node if all(a is b for a, b in zip(copies, node, strict=True)) else copies
    return node
