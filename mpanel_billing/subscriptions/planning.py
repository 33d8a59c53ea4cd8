"""The params of a change that a schedule makes at the end of the term."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from mpanel_billing.catalogue.cycles import BILLING_CYCLES
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.subscriptions import Preview
from mpanel_billing.subscriptions.item_changes import PlanChange, PlanRequest
from mpanel_billing.subscriptions.preview import ChangePreview
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.schedules import PLANNED

StripeItems = Mapping[str, tuple[str, int | None]]
"""Price and quantity of each item, by its id, in Stripe's order."""


async def list_items(mirror: Mirror, held: Subscription) -> StripeItems:
    """Ask Stripe for the items of a subscription; StripeError."""
    items = await mirror.stripe.list_subscription_items(held.stripe_id or "")
    return {item["id"]: (item["price"]["id"], item.get("quantity")) for item in items}


def planned_params(
    change: PlanChange,
    plan: PlanRequest,
    items: StripeItems,
    preview: ChangePreview,
    effective_at: datetime,
) -> dict[str, Any]:
    """Return what is frozen for the attempt; `plan_ahead` makes the phases of it."""
    cycle = BILLING_CYCLES[plan.billing_cycle]
    planned = {
        "at": int(effective_at.timestamp()),
        "lasts": {"interval": cycle.interval, "interval_count": cycle.interval_count},
        "items": list(_items_after(change, items)),
        "metadata": dict(change.metadata),
        "addons": list(change.addon_codes),
        "quantities": dict(change.quantities),
        "subtotal": change.recurring,
        "amount": _untaxed(preview.invoice) if preview.invoice else change.recurring,
    }
    return {PLANNED: planned}


def _untaxed(invoice: Preview) -> int:
    """Return what an invoice comes to before taxes that are added, as other next charges are."""
    return invoice.total - invoice.added_tax


def _items_after(change: PlanChange, items: StripeItems) -> Iterator[dict[str, Any]]:
    """Yield the items afterwards: those that there are, in their places, then the new ones."""
    changed = {params["id"]: params for params in change.items if "id" in params}
    for id_, (price, quantity) in items.items():
        params = changed.get(id_, {})
        if not params.get("deleted"):
            quantity_after = params.get("quantity", quantity)
            yield {
                "price": params.get("price", price),
                "quantity": quantity_after,
                "before": price,
            }
    for params in change.items:
        if "id" not in params:
            yield {"price": params["price"], "quantity": params["quantity"], "before": None}
