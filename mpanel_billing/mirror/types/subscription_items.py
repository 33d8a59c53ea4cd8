"""The items of a subscription."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from mpanel_billing.mirror.differences import Difference, as_text
from mpanel_billing.mirror.reading import Fields, currency_code

if TYPE_CHECKING:  # loading the SDK takes longer than most commands
    from mpanel_billing.stripe_gateway.gateway import StripeGateway


class ItemFacts(NamedTuple):
    """One item of a subscription."""

    stripe_subscription_item_id: str
    stripe_price_id: str | None
    stripe_product_id: str | None
    quantity: int | None
    unit_amount: int | None
    currency: str
    recurring_interval: str | None
    interval_count: int | None
    current_period_start: datetime | None
    current_period_end: datetime | None


_COMPARED_OF_ITEM = tuple(
    name for name in ItemFacts._fields if name != "stripe_subscription_item_id"
)


def read_items(subscription: Fields) -> tuple[ItemFacts, ...]:
    """Return the items of a subscription: one that is listed twice counts once."""
    items = (_item(item, subscription) for item in subscription.children("items"))
    return tuple({item.stripe_subscription_item_id: item for item in items}.values())


def _item(item: Fields, subscription: Fields) -> ItemFacts:
    price = item.child("price")
    price = price if price.values else item.child("plan")
    recurring = price.child("recurring")
    recurring = recurring if recurring.values else price
    return ItemFacts(
        stripe_subscription_item_id=item.require_id(),
        stripe_price_id=item.reference("price") or item.reference("plan"),
        stripe_product_id=price.reference("product"),
        quantity=item.whole("quantity"),
        unit_amount=price.whole("unit_amount" if "unit_amount" in price.values else "amount"),
        currency=currency_code(price.text("currency") or subscription.text("currency")),
        recurring_interval=recurring.text("interval"),
        interval_count=recurring.whole("interval_count"),
        current_period_start=item.moment("current_period_start")
        or subscription.moment("current_period_start"),
        current_period_end=item.moment("current_period_end")
        or subscription.moment("current_period_end"),
    )


async def with_all_items(
    stripe: "StripeGateway", stripe_object: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return a subscription with all its items and their discounts.

    A response carries ten items at most, and of their discounts only the ids.
    """
    items = Fields(stripe_object).child("items")
    discounted = any(item.values.get("discounts") for item in items.children("data"))
    if not items.flag("has_more") and not discounted:
        return stripe_object
    complete = await stripe.list_subscription_items(stripe_object["id"])
    return {**stripe_object, "items": {**items.values, "data": complete, "has_more": False}}


def entitled_items(items: Iterable[ItemFacts]) -> Sequence[Mapping[str, Any]]:
    """Return what services depend on, in an order that the same items always have."""
    return [
        {
            "item": item.stripe_subscription_item_id,
            "price": item.stripe_price_id,
            "product": item.stripe_product_id,
            "quantity": item.quantity,
        }
        for item in sorted(items)
    ]


def item_differences(
    items: Iterable[ItemFacts], rows: Sequence[Mapping[str, Any]], *, items_complete: bool
) -> Iterator[Difference]:
    """Yield what differs between the items at Stripe and our rows."""
    ours = {row["stripe_subscription_item_id"]: row for row in rows}
    for item in items:
        place = f"items.{item.stripe_subscription_item_id}"
        row = ours.pop(item.stripe_subscription_item_id, None)
        if row is None:
            yield Difference(place, None, item.stripe_price_id)
        else:
            yield from _item_fields(place, item, row)
    if items_complete:
        for id_, row in ours.items():
            yield Difference(f"items.{id_ or 'ordered'}", row["stripe_price_id"], None)


def _item_fields(place: str, item: ItemFacts, row: Mapping[str, Any]) -> Iterator[Difference]:
    for name in _COMPARED_OF_ITEM:
        ours, found = row[name], getattr(item, name)
        if ours != (int(found.timestamp()) if isinstance(found, datetime) else found):
            yield Difference(f"{place}.{name}", as_text(_as_moment(name, ours)), as_text(found))


def _as_moment(name: str, value: Any) -> Any:
    """Read the Unix seconds in which an item's row has its period."""
    is_moment = name.startswith("current_period") and value is not None
    return datetime.fromtimestamp(value, UTC) if is_moment else value
