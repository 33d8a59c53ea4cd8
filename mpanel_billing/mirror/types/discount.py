"""Discounts of subscriptions and of their items.

They are part of a subscription's snapshot. Stripe has no resource of theirs: a subscription names
them by id, and carries them with their coupons only if it is fetched with them expanded.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from mpanel_billing.mirror.differences import Difference, as_text
from mpanel_billing.mirror.reading import (
    Fields,
    checked_id,
    currency_code,
)

EXPANDED = "discounts.source.coupon.applies_to"
"""To be expanded of a subscription."""

DISCOUNT_EVENT_TYPES = frozenset(
    {"customer.discount.created", "customer.discount.updated", "customer.discount.deleted"}
)
"""The events of discounts; each makes what the discount belongs to be fetched again."""


class DiscountFacts(NamedTuple):
    """A discount of a subscription, or of one of its items; `amount_off` is in minor units.

    `has_terms`: what the coupon takes off is known, not only its id. `stripe_product_ids` are the
    only products that it is for, None for all.
    """

    stripe_discount_id: str
    stripe_subscription_item_id: str | None
    position: int
    stripe_coupon_id: str | None = None
    coupon_name: str | None = None
    percent_off: Decimal | None = None
    amount_off: int | None = None
    currency: str | None = None
    duration: str | None = None
    stripe_product_ids: tuple[str, ...] | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    has_terms: bool = False


def read_discounts(subscription: Fields, items: Sequence[Fields]) -> tuple[DiscountFacts, ...]:
    """Return the discounts of the items, then those of the subscription: in order of application.

    Before basil a subscription has one `discount`, since then a list of ids or objects; some
    payloads have both.
    """
    found = [
        discount
        for owner, item_id in (
            *((item, item.require_id()) for item in items),
            (subscription, None),
        )
        for discount in _discounts_of(owner, item_id)
    ]
    distinct = {(each.stripe_subscription_item_id, each.stripe_discount_id): each for each in found}
    return tuple(each._replace(position=place) for place, each in enumerate(distinct.values()))


def _discounts_of(owner: Fields, item_id: str | None) -> Iterator[DiscountFacts]:
    one = owner.child("discount")
    listed = owner.values.get("discounts")
    if not isinstance(listed, list):
        listed = [one.values] if one.values else []
    for value in listed:
        if isinstance(value, dict):
            yield _discount(Fields(value), item_id)
        elif value == one.values.get("id"):
            yield _discount(one, item_id)
        else:
            yield DiscountFacts(checked_id(value, "discounts"), item_id, 0)


def _discount(fields: Fields, item_id: str | None) -> DiscountFacts:
    source = fields.child("source")
    holder = source if source.values.get("coupon") is not None else fields
    coupon = holder.child("coupon")
    coupon_id = holder.reference("coupon")
    amount_off = coupon.whole("amount_off")
    products = coupon.child("applies_to").values.get("products")
    return DiscountFacts(
        stripe_discount_id=checked_id(fields.values.get("id") or coupon_id, "discounts"),
        stripe_subscription_item_id=item_id,
        position=0,
        stripe_coupon_id=coupon_id,
        coupon_name=coupon.text("name"),
        percent_off=coupon.percentage("percent_off"),
        amount_off=amount_off,
        currency=currency_code(coupon.text("currency")) if amount_off is not None else None,
        duration=coupon.text("duration"),
        stripe_product_ids=tuple(products) if isinstance(products, list) else None,
        starts_at=fields.moment("start"),
        ends_at=fields.moment("end"),
        has_terms=bool(coupon.values),
    )


class DiscountOwner(NamedTuple):
    """What a discount belongs to; both are None for a discount of a customer or an invoice."""

    stripe_subscription_id: str | None
    stripe_subscription_item_id: str | None


def owner_of(discount: Fields) -> DiscountOwner:
    """Return the owner of the discount that an event carries."""
    return DiscountOwner(
        discount.reference("subscription"), discount.reference("subscription_item")
    )


def discount_differences(
    discounts: Sequence[DiscountFacts], rows: Sequence[Mapping[str, Any]], *, items_complete: bool
) -> Iterator[Difference]:
    """Yield how the stored discounts differ; a list of subscriptions has only their ids."""
    ours = {(row["stripe_subscription_item_id"], row["stripe_discount_id"]): row for row in rows}
    for found in discounts:
        place = f"discounts.{found.stripe_discount_id}"
        row = ours.pop((found.stripe_subscription_item_id, found.stripe_discount_id), None)
        if row is None or not row["fetched"]:
            yield Difference(place, None, found.stripe_coupon_id or "unknown coupon")
        else:
            yield from _field_differences(place, found, row, items_complete=items_complete)
    for (item_id, id_), row in ours.items():
        if items_complete or item_id is None:
            yield Difference(f"discounts.{id_}", row["stripe_coupon_id"] or "unknown coupon", None)


_TERMS = ("coupon_name", "percent_off", "amount_off", "currency", "duration")


def _field_differences(
    place: str, found: DiscountFacts, row: Mapping[str, Any], *, items_complete: bool
) -> Iterator[Difference]:
    """Compare only what Stripe says: often that is the id, or the coupon without the dates."""
    said: dict[str, Any] = {"position": found.position} if items_complete else {}
    if found.stripe_coupon_id is not None:
        said["stripe_coupon_id"] = found.stripe_coupon_id
    if found.has_terms:
        said |= {name: getattr(found, name) for name in _TERMS}
    if found.stripe_product_ids is not None:
        said["stripe_product_ids"] = list(found.stripe_product_ids)
    if found.starts_at is not None:
        said |= {"starts_at": found.starts_at, "ends_at": found.ends_at}
    for name, value in said.items():
        ours = _as_found(name, row[name])
        if ours != value:
            yield Difference(f"{place}.{name}", as_text(ours), as_text(value))


def _as_found(name: str, value: Any) -> Any:
    """Read a value of the row's JSON: times are in Unix seconds, percentages are text."""
    if value is None:
        return None
    if name in {"starts_at", "ends_at"}:
        return datetime.fromtimestamp(value, UTC)
    return Decimal(value) if name == "percent_off" else value
