"""`/v1/radar/value_lists` and their items: kept, but no payment is held against them."""

from stripe.params.radar import (
    ValueListCreateParams,
    ValueListDeleteParams,
    ValueListItemCreateParams,
    ValueListItemDeleteParams,
    ValueListItemListParams,
    ValueListItemRetrieveParams,
    ValueListListParams,
    ValueListRetrieveParams,
    ValueListUpdateParams,
)

from stripe_sandbox.documents import Document, list_object
from stripe_sandbox.operations import Call
from stripe_sandbox.resources.records import Records
from stripe_sandbox.supported import supports

MAKER = "api@example.com"
LIST, ITEM = "radar.value_list", "radar.value_list_item"


def _list_fields(call: Call) -> Document:
    items = list_object([], "/v1/radar/value_list_items")
    return {
        "created_by": MAKER,
        "item_type": call.get("item_type", "string"),
        "list_items": items,
    }


def _item_fields(call: Call) -> Document:
    call.world.find(LIST, call.get("value_list"), "value_list")
    return {"created_by": MAKER}


LISTS = Records(LIST, "/radar/value_lists", "rsl", _list_fields)
ITEMS = Records(ITEM, "/radar/value_list_items", "rsli", _item_fields)
SAID = supports("alias", "metadata", "name")

OPERATIONS = (
    LISTS.creating(ValueListCreateParams, supports("item_type", base=SAID)),
    LISTS.updating(ValueListUpdateParams, SAID),
    *LISTS.reading(ValueListRetrieveParams, ValueListListParams, supports("alias", "created")),
    LISTS.deleting(ValueListDeleteParams),
    ITEMS.creating(ValueListItemCreateParams, supports("value", "value_list")),
    *ITEMS.reading(
        ValueListItemRetrieveParams,
        ValueListItemListParams,
        supports("created", "value", "value_list"),
    ),
    ITEMS.deleting(ValueListItemDeleteParams),
)
