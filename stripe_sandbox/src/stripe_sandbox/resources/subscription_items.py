"""`/v1/subscription_items`: changes of one item, made as changes of its subscription."""

from stripe.params import (
    SubscriptionItemCreateParams,
    SubscriptionItemDeleteParams,
    SubscriptionItemListParams,
    SubscriptionItemRetrieveParams,
    SubscriptionItemUpdateParams,
)

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import missing_param, no_such
from stripe_sandbox.operations import Call, Listing, Operation
from stripe_sandbox.resources.subscription_updates import NEW_ITEM, UPDATE, update
from stripe_sandbox.supported import supports

HOW = ("payment_behavior", "proration_behavior", "proration_date")
WHAT = tuple(NEW_ITEM.parts)


def create(call: Call) -> Document:
    """Add an item to a subscription, or to its pending update."""
    if call.get("subscription") is None:
        raise missing_param("subscription")
    subscription_id = call.get("subscription")
    subscription = call.world.find("subscription", subscription_id, "subscription")
    known = {item["id"] for item in subscription["items"]["data"]}
    changed = _change(call, subscription_id, call.pick(*WHAT))
    pending = (changed["pending_update"] or {}).get("subscription_items") or []
    items: list[Document] = [*changed["items"]["data"], *pending]
    return next(item for item in items if item["id"] not in known)


def change(call: Call) -> Document:
    """Change an item: its price, quantity, discounts or metadata."""
    subscription = _holder(call)
    changed = _change(call, subscription["id"], {"id": call.id, **call.pick(*WHAT)})
    return _item(changed, call.id)


def delete(call: Call) -> Document:
    """Remove an item from its subscription."""
    _change(call, _holder(call)["id"], {"id": call.id, "deleted": True})
    return {"id": call.id, "object": "subscription_item", "deleted": True}


def _change(call: Call, subscription_id: str, item: Document) -> Document:
    params = {"items": [item], **call.pick(*HOW)}
    return update(Call(call.world, {"id": subscription_id}, params))


def retrieve(call: Call) -> Document:
    """Return an item."""
    return _item(_holder(call), call.id)


def _item(subscription: ReadOnly, item_id: str) -> Document:
    items: list[Document] = subscription["items"]["data"]
    return next(item for item in items if item["id"] == item_id)


def _holder(call: Call) -> Document:
    """Return the subscription that has the item; raises ApiError if none has it."""
    for subscription in call.world.store.where("subscription", "item", call.id):
        return call.world.find("subscription", subscription["id"])
    raise no_such("subscription_item", call.id)


def list_items(call: Call) -> Listing:
    """List a subscription's items."""
    if call.get("subscription") is None:
        raise missing_param("subscription")
    subscription = call.world.find("subscription", call.get("subscription"), "subscription")
    return Listing(subscription["items"]["data"])


PATH = "/subscription_items"
ONE = f"{PATH}/{{id}}"
PRORATED = supports("proration_behavior", "proration_date")
BILLED = supports(base=PRORATED, payment_behavior=UPDATE.parts["payment_behavior"])

OPERATIONS = (
    Operation(
        "POST",
        PATH,
        SubscriptionItemCreateParams,
        create,
        supports("subscription", base=supports(base=BILLED, **NEW_ITEM.parts)),
    ),
    Operation("GET", PATH, SubscriptionItemListParams, list_items, supports("subscription")),
    Operation("GET", ONE, SubscriptionItemRetrieveParams, retrieve),
    Operation(
        "POST",
        ONE,
        SubscriptionItemUpdateParams,
        change,
        supports(base=BILLED, **NEW_ITEM.parts),
    ),
    Operation("DELETE", ONE, SubscriptionItemDeleteParams, delete, PRORATED),
)
