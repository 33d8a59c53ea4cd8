"""Subscriptions: creation, first invoice, cancellation."""

from dataclasses import dataclass, field
from typing import Any

from stripe_sandbox import shapes
from stripe_sandbox.billing.invoices import (
    invoices_of,
)
from stripe_sandbox.billing.lines import (
    check_currency_of,
)
from stripe_sandbox.billing.periods import Period, earliest_end, next_end, surrounding_period
from stripe_sandbox.billing.subscription_schedules import close
from stripe_sandbox.billing.usage import is_metered
from stripe_sandbox.documents import Document, ReadOnly, list_object
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

MARKS = "_subscription_marks"
"""Kind of the notes about a subscription that the object itself does not show."""

BLANK: ReadOnly = {
    "object": "subscription",
    "automatic_tax": {"enabled": False},
    "billing_schedules": [],
    "cancellation_details": {},
    "collection_method": "charge_automatically",
    "default_tax_rates": [],
    "discounts": [],
    "invoice_settings": {"issuer": {"type": "self"}},
    "livemode": False,
    "payment_settings": {"save_default_payment_method": "off"},
}
"""Initial fields of a subscription."""

FINAL_STATUSES = frozenset({"canceled", "incomplete_expired"})


@dataclass(frozen=True)
class PricedItem:
    """A price and a quantity; `adjustable` are the bounds in which a buyer may change it."""

    price: ReadOnly
    quantity: int = 1
    metadata: ReadOnly = field(default_factory=dict)
    adjustable: ReadOnly | None = None
    tax_rates: tuple[ReadOnly, ...] = ()


@dataclass(frozen=True)
class NewSubscription:
    """The contents of a new subscription; times are Unix seconds."""

    customer: ReadOnly
    items: list[PricedItem]
    trial_end: int | None = None
    billing_cycle_anchor: int | None = None
    metadata: ReadOnly = field(default_factory=dict)
    description: str | None = None
    default_payment_method: str | None = None
    missing_payment_method: str = "create_invoice"
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    billing_mode: str = "flexible"
    start_date: int | None = None
    anchor_config: ReadOnly | None = None
    default_tax_rates: tuple[ReadOnly, ...] = ()
    repeats_prices: bool = False


def create_subscription(world: World, new: NewSubscription, status: str) -> Document:
    """Store a new subscription without an event; raises ApiError if its prices do not match."""
    _check_prices(new)
    check_currency_of(world, new.customer["id"], new.items[0].price["currency"])
    now = world.time_of(new.customer)
    subscription_id = world.ids.next("sub")
    anchor = new.trial_end or new.billing_cycle_anchor or _former_anchor(world, new) or now
    items = [_item(world, new, one, subscription_id, now) for one in new.items]
    subscription = world.add(
        {
            **BLANK,
            "id": subscription_id,
            "billing_cycle_anchor": anchor,
            "billing_cycle_anchor_config": new.anchor_config,
            "billing_mode": {"type": new.billing_mode},
            "cancel_at": new.cancel_at,
            "cancel_at_period_end": new.cancel_at_period_end,
            "created": now,
            "currency": new.items[0].price["currency"],
            "customer": new.customer["id"],
            "default_payment_method": new.default_payment_method,
            "default_tax_rates": list(new.default_tax_rates),
            "description": new.description,
            "items": list_object(items, f"/v1/subscription_items?subscription={subscription_id}"),
            "metadata": dict(new.metadata),
            "start_date": new.start_date or now,
            "status": status,
            "test_clock": world.clock_of(new.customer),
            "trial_end": new.trial_end,
            "trial_settings": {
                "end_behavior": {"missing_payment_method": new.missing_payment_method}
            },
            "trial_start": now if new.trial_end else None,
        }
    )
    _adopt_currency(world, new.customer, subscription["currency"])
    return subscription


def _check_prices(new: NewSubscription) -> None:
    items = new.items
    for position, item in enumerate(items):
        if item.price["type"] != "recurring":
            message = (
                "The price specified is set to `type=one_time` but this field only accepts prices "
                "with `type=recurring`."
            )
            raise invalid(message, param=f"items[{position}][price]")
    if not new.repeats_prices:
        refuse_repeated([item.price["id"] for item in items])
    if len({item.price["currency"] for item in items}) > 1:
        raise invalid("All prices on a subscription must use the same currency.", param="items")


def refuse_repeated(price_ids: list[str]) -> None:
    """Raise ApiError if a price occurs twice among the items of a subscription."""
    for price_id in price_ids:
        if price_ids.count(price_id) > 1:
            message = f"Cannot add multiple subscription items with the same plan: {price_id}"
            raise invalid(message, param="items")


def _item(
    world: World, new: NewSubscription, item: PricedItem, subscription_id: str, now: int
) -> Document:
    natural_end = next_end(item.price, now, now)
    if new.billing_cycle_anchor and new.billing_cycle_anchor > natural_end:
        raise invalid(
            "billing_cycle_anchor cannot be later than next natural billing date "
            f"({natural_end}) for plan.",
            param="billing_cycle_anchor",
        )
    end = new.trial_end or new.billing_cycle_anchor or natural_end
    former = _former_anchor(world, new)
    period = surrounding_period(item.price, former, now) if former else Period(now, end)
    return make_item(world, item, subscription_id, period) | {"created": now}


def _former_anchor(world: World, new: NewSubscription) -> int | None:
    """Return the start of a backdated subscription, if its periods are counted from there."""
    if new.trial_end or new.billing_cycle_anchor or world.choices.backdated_term == "full":
        return None
    return new.start_date


def make_item(world: World, item: PricedItem, subscription_id: str, period: Period) -> Document:
    """Return a new item of a subscription."""
    return shapes.complete(
        {
            "id": world.ids.next("si"),
            "object": "subscription_item",
            "created": period.start,
            "current_period_end": period.end,
            "current_period_start": period.start,
            "discounts": [],
            "metadata": dict(item.metadata),
            "plan": plan_of(item.price),
            "price": dict(item.price),
            "quantity": None if is_metered(item.price) else item.quantity,
            "subscription": subscription_id,
            "tax_rates": list(item.tax_rates),
        }
    )


def plan_of(price: ReadOnly) -> Document:
    """Return the price as the legacy `plan` of subscription items."""
    same = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata",
            "nickname", "product", "tiers_mode")  # fmt: skip
    plan = {name: price[name] for name in same}
    return shapes.complete(
        {
            **plan,
            "object": "plan",
            "amount": price["unit_amount"],
            "amount_decimal": price["unit_amount_decimal"],
            "transform_usage": price["transform_quantity"],
            **price["recurring"],
        }
    )


def _adopt_currency(world: World, customer: ReadOnly, currency: str) -> None:
    if customer["currency"] is None:
        full = world.find("customer", customer["id"])
        full["currency"] = currency
        world.change(full)


def set_status(subscription: Document, status: str) -> None:
    """Set the status; the caller saves and announces it."""
    subscription["status"] = status
    if status != "paused":
        subscription["status_details"] = None


def pause(
    world: World,
    subscription: Document,
    now: int,
    cause: str = "trial_end_without_payment_method",
) -> None:
    """Pause a subscription, by default because its trial ended without a payment method."""
    set_status(subscription, "paused")
    details = {"subscription": {"type": cause}, "transitioned_at": now, "type": "subscription"}
    subscription["status_details"] = {"paused": details}
    subscription = world.change(subscription)
    world.announce("customer.subscription.paused", subscription)


def cancel_subscription(
    world: World, subscription: Document, *, reason: str = "cancellation_requested",
    details: dict[str, Any] | None = None,
) -> Document:  # fmt: skip
    """Cancel the subscription now and announce it.

    Its open invoices are no longer collected. Its pending invoice items are billed at the former
    period end, unless they are deleted before.
    """
    now = world.time_of(subscription)
    leftovers_due = earliest_end(subscription)
    subscription |= {
        "canceled_at": subscription["canceled_at"] or now,
        "ended_at": now,
        "pause_collection": None,
        "pending_update": None,
    }
    if world.choices.ended_flag == "cleared":
        subscription["cancel_at_period_end"] = False
    subscription["cancellation_details"] |= {"reason": reason, **(details or {})}
    schedule_id = subscription["schedule"]
    if world.choices.ended_schedule == "cleared":
        subscription["schedule"] = None
    set_status(subscription, "canceled")
    subscription = world.save(subscription)
    mark(world, subscription["id"], leftovers_due=max(leftovers_due, now))
    for invoice in invoices_of(world, subscription["id"], "draft", "open"):
        invoice |= {"auto_advance": False, "next_payment_attempt": None}
        invoice["automatically_finalizes_at"] = None
        world.change(invoice)
    world.announce("customer.subscription.deleted", subscription)
    close(world, schedule_id, delinquent=reason == "payment_failed")
    return subscription


def mark(world: World, subscription_id: str, **facts: Any) -> None:
    """Store a note about the subscription that the object itself does not show."""
    current = world.store.get(MARKS, subscription_id) or {"id": subscription_id}
    world.store.put(MARKS, current | facts)


def marks_of(world: World, subscription_id: str) -> ReadOnly:
    """Return the notes about the subscription."""
    return world.store.peek(MARKS, subscription_id) or {}


def has_pending_items(world: World, subscription_id: str) -> bool:
    """Return whether the subscription has pending invoice items."""
    items = world.store.where("invoiceitem", "subscription", subscription_id)
    return any(item["invoice"] is None for item in items)
