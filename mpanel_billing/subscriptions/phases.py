"""The phases of our schedules, as Stripe takes them: a pure function of what Stripe shows.

The phases that are sent replace those that there are. A phase without discounts, taxes, payment
method or metadata would take them from the subscription, so each carries on what the schedule
shows, which has just been made of the subscription.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_PLAIN = ("application_fee_percent", "collection_method", "description")
_REFERENCES = ("default_payment_method", "on_behalf_of")
_DISCOUNTED_BY = ("coupon", "discount", "promotion_code")


def phases_of(schedule: Mapping[str, Any], planned: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the running phase until the change, then the one that makes it.

    `planned` has `at` (Unix seconds), `metadata`, `lasts` (Stripe's interval) and `items`, each
    with price, quantity and the price `before` whose discounts and taxes it carries on.
    """
    first = schedule["phases"][0]
    carried = _carried(first)
    metadata = first.get("metadata") or {}
    return [
        {
            **carried,
            "items": [_item(one, one["price"], one.get("quantity")) for one in first["items"]],
            "start_date": first["start_date"],
            "end_date": planned["at"],
            **({"metadata": metadata} if metadata else {}),
        },
        {
            **carried,
            "items": _items_after(first["items"], planned["items"]),
            "duration": planned["lasts"],
            "proration_behavior": "none",
            "metadata": {**metadata, **planned["metadata"]},
        },
    ]


def _carried(phase: Mapping[str, Any]) -> dict[str, Any]:
    """Return what holds for the whole phase; what is not set is left out."""
    carried = {name: phase[name] for name in _PLAIN if phase.get(name) is not None}
    carried |= {name: _id(phase[name]) for name in _REFERENCES if phase.get(name)}
    if (phase.get("automatic_tax") or {}).get("enabled"):
        carried["automatic_tax"] = {"enabled": True}
    if days := (phase.get("invoice_settings") or {}).get("days_until_due"):
        carried["invoice_settings"] = {"days_until_due": days}
    if rates := phase.get("default_tax_rates"):
        carried["default_tax_rates"] = [_id(rate) for rate in rates]
    return carried | _discounts(phase)


def _items_after(
    before: Sequence[Mapping[str, Any]], planned: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    known = {_id(item["price"]): item for item in before}
    return [
        _item(known.get(one["before"] or "", {}), one["price"], one["quantity"]) for one in planned
    ]


def _item(shown: Mapping[str, Any], price: object, quantity: int | None) -> dict[str, Any]:
    item: dict[str, Any] = {"price": _id(price), **_discounts(shown)}
    if quantity is not None:
        item["quantity"] = quantity
    if rates := shown.get("tax_rates"):
        item["tax_rates"] = [_id(rate) for rate in rates]
    if metadata := shown.get("metadata"):
        item["metadata"] = metadata
    return item


def _discounts(shown: Mapping[str, Any]) -> dict[str, Any]:
    discounts = [
        {name: _id(one[name]) for name in _DISCOUNTED_BY if one.get(name)}
        for one in shown.get("discounts") or ()
    ]
    return {"discounts": discounts} if discounts else {}


def _id(reference: object) -> str:
    """Return the id of what is shown as an id or as an object."""
    return str(reference["id"] if isinstance(reference, Mapping) else reference)
