"""Finds objects by the values of their fields, without reading those that do not match."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from stripe_sandbox.documents import ReadOnly, id_of

Values = Callable[[ReadOnly], Iterable[str | None]]


def _field(name: str) -> Values:
    """Return what reads a field that holds an id, or an object with one."""
    return lambda document: (id_of(document.get(name)),)


def _subscription_of(document: ReadOnly) -> Iterable[str | None]:
    """Return the subscription that an invoice or an invoice item is for."""
    details = (document.get("parent") or {}).get("subscription_details") or {}
    return (id_of(details.get("subscription")),)


def _items(subscription: ReadOnly) -> Iterable[str | None]:
    return (item["id"] for item in subscription["items"]["data"])


def _paid_with(payment: ReadOnly) -> Iterable[str | None]:
    return (id_of(payment["payment"].get("payment_intent")),)


def _code(promotion: ReadOnly) -> Iterable[str | None]:
    """Return a promotion code as it is compared, in lower case."""
    return (promotion["code"].lower(),)


def _owed_state(delivery: ReadOnly) -> Iterable[str | None]:
    """Return the state of a webhook that is still to be sent."""
    return (delivery["state"],) if delivery["state"] in {"held", "pending"} else ()


LOOKUPS: Mapping[str, Mapping[str, Values]] = {
    "_delivery": {"event": _field("event"), "state": _owed_state},
    "_task": {"test_clock": _field("test_clock")},
    "_usage": {"holder": _field("holder")},
    "balance_transaction": {"source": _field("source")},
    "charge": {"customer": _field("customer"), "payment_intent": _field("payment_intent")},
    "checkout.session": {
        "customer": _field("customer"),
        "invoice": _field("invoice"),
        "payment_intent": _field("payment_intent"),
        "subscription": _field("subscription"),
    },
    "credit_note": {"customer": _field("customer"), "invoice": _field("invoice")},
    "customer": {"test_clock": _field("test_clock")},
    "customer_balance_transaction": {"customer": _field("customer")},
    "customer_cash_balance_transaction": {"customer": _field("customer")},
    "dispute": {"charge": _field("charge"), "payment_intent": _field("payment_intent")},
    "invoice": {"customer": _field("customer"), "subscription": _subscription_of},
    "invoice_payment": {"invoice": _field("invoice"), "payment_intent": _paid_with},
    "invoiceitem": {
        "customer": _field("customer"),
        "invoice": _field("invoice"),
        "subscription": _subscription_of,
    },
    "payment_intent": {"customer": _field("customer")},
    "payment_method": {"customer": _field("customer")},
    "price": {"lookup_key": _field("lookup_key"), "product": _field("product")},
    "promotion_code": {"code": _code},
    "radar.early_fraud_warning": {"charge": _field("charge")},
    "refund": {"charge": _field("charge"), "payment_intent": _field("payment_intent")},
    "review": {"charge": _field("charge")},
    "setup_intent": {"customer": _field("customer")},
    "subscription": {"customer": _field("customer"), "item": _items},
    "subscription_schedule": {"customer": _field("customer")},
}
"""By kind, the fields by which objects are found, and how each is read."""


class Lookups:
    """Ids by kind, field and value."""

    def __init__(self) -> None:
        # most values have one object: its id alone takes less memory than a set
        self._ids: defaultdict[tuple[str, str], dict[str, str | set[str]]] = defaultdict(dict)

    def move(self, kind: str, before: ReadOnly | None, after: ReadOnly | None) -> None:
        """Note that an object is stored, changed (both are given) or deleted."""
        for name, read in LOOKUPS.get(kind, {}).items():
            old = set(read(before)) - {None} if before else set()
            new = set(read(after)) - {None} if after else set()
            for value in old - new:
                self._drop((kind, name), str(value), str((before or {})["id"]))
            for value in new - old:
                self._add((kind, name), str(value), str((after or {})["id"]))

    def ids(self, kind: str, name: str, value: str) -> set[str]:
        """Return the ids of the objects with a value, in no certain order.

        Raises KeyError if LOOKUPS has no such field.
        """
        LOOKUPS[kind][name]
        found = self._ids[kind, name].get(value, set())
        return {found} if isinstance(found, str) else found

    def clear(self) -> None:
        """Forget all objects."""
        self._ids.clear()

    def _add(self, field: tuple[str, str], value: str, object_id: str) -> None:
        ids = self._ids[field].get(value)
        if ids is None:
            self._ids[field][value] = object_id
        elif isinstance(ids, str):
            self._ids[field][value] = {ids, object_id}
        else:
            ids.add(object_id)

    def _drop(self, field: tuple[str, str], value: str, object_id: str) -> None:
        ids = self._ids[field].get(value)
        if isinstance(ids, set):
            ids.discard(object_id)
        if ids in (object_id, set()):
            del self._ids[field][value]
