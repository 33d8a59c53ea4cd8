"""What a customer does in the portal: cancel, change the plan, their details and their card."""

from collections.abc import Mapping, Sequence

from stripe_sandbox.billing.buyers import Buyer, keep_instrument, refusal
from stripe_sandbox.billing.changes import (
    change_items,
    invoice_now,
    schedule_cancellation,
)
from stripe_sandbox.billing.currencies import priced_in
from stripe_sandbox.billing.customers import use_card
from stripe_sandbox.billing.discounts import replace_discounts
from stripe_sandbox.billing.periods import earliest_end
from stripe_sandbox.billing.proration import credit_unused_time
from stripe_sandbox.billing.setup_intents import confirm_setup, open_setup
from stripe_sandbox.billing.subscriptions import cancel_subscription
from stripe_sandbox.billing.tax_ids import make_tax_id
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

REASONS = (
    "too_expensive",
    "missing_features",
    "switched_service",
    "unused",
    "customer_service",
    "too_complex",
    "low_quality",
    "other",
)
"""Stripe's `cancellation_details.feedback`."""

WAITING = "_portal_setup"
"""Kind of a set-up that waits for 3D Secure, after which its card becomes the default."""


def cancel(
    world: World, subscription: Document, features: ReadOnly | None, form: Mapping[str, str]
) -> None:
    """Cancel at the end of the period, with `cancel_at` as Stripe's portal does, or now."""
    settings = (features or {}).get("subscription_cancel") or {}
    reason, comment = form.get("feedback"), form.get("comment")
    details = {
        "comment": comment or None,
        "feedback": reason if reason in REASONS else None,
    }
    if settings.get("mode") == "immediately":
        proration = settings.get("proration_behavior", "none")
        if proration != "none":
            credit_unused_time(world, subscription)
        subscription = cancel_subscription(world, subscription, details=details)
        if proration == "always_invoice":
            invoice_now(world, subscription, new_period=False, strict=False)
        return
    subscription["cancel_at_period_end"] = False
    schedule_cancellation(world, subscription, earliest_end(subscription))
    subscription["cancellation_details"] |= details
    world.change(subscription)


def keep(world: World, subscription: Document) -> None:
    """Take back a cancellation."""
    subscription["cancel_at_period_end"] = False
    schedule_cancellation(world, subscription, None)
    subscription["cancellation_details"] |= {"comment": None, "feedback": None}
    world.change(subscription)


def take_offer(world: World, subscription: Document, flow: ReadOnly) -> None:
    """Keep the subscription with the coupon that is offered instead of a cancellation."""
    coupon = flow["subscription_cancel"]["retention"]["coupon_offer"]["coupon"]
    replace_discounts(world, subscription, subscription, [{"coupon": coupon}])
    world.change(subscription)


def change_plan(
    world: World,
    subscription: Document,
    features: ReadOnly | None,
    items: Sequence[ReadOnly],
    discounts: Sequence[ReadOnly] = (),
) -> None:
    """Change prices and quantities, prorated as the configuration says.

    Raises ApiError if a payment that is due now is declined.
    """
    settings = (features or {}).get("subscription_update") or {}
    if discounts:
        replace_discounts(world, subscription, subscription, list(discounts))
    pairs = [(one, _price(world, subscription, one)) for one in items]
    bills_now, new_period = change_items(
        world,
        subscription,
        pairs,
        proration=settings.get("proration_behavior", "create_prorations"),
        at=world.time_of(subscription),
    )
    world.change(subscription)
    if bills_now:
        invoice_now(world, subscription, new_period=new_period, strict=True)


def _price(world: World, subscription: ReadOnly, item: ReadOnly) -> Document | None:
    """Return the price that an item changes to, in the subscription's currency."""
    if not item.get("price"):
        return None
    return priced_in(world, world.find("price", item["price"]), subscription["currency"], "price")


def set_up_card(world: World, customer: ReadOnly, buyer: Buyer, return_url: str) -> Document:
    """Set up another card for a customer and their subscriptions; return the setup intent.

    If it waits for 3D Secure, the card is used once `use_finished` sees that it has succeeded.
    """
    method_id = keep_instrument(world, buyer, customer["email"])
    intent = open_setup(world, {"customer": customer["id"]})
    decline = confirm_setup(world, intent, method_id, return_url=return_url)
    if decline:
        raise refusal(decline)
    if intent["status"] == "succeeded":
        use_card(world, customer["id"], method_id)
    else:
        world.store.put(WAITING, {"id": intent["id"], "customer": customer["id"]})
    return intent


def use_finished(world: World, customer_id: str, intent_id: str) -> bool:
    """Use the card of a set-up that waited for 3D Secure; return whether that has succeeded."""
    waiting = world.store.peek(WAITING, intent_id)
    if waiting is None or waiting["customer"] != customer_id:
        return False
    intent = world.find("setup_intent", intent_id)
    if intent["status"] != "succeeded":
        return False
    world.store.delete(WAITING, intent_id)
    use_card(world, customer_id, str(intent["payment_method"]))
    return True


def update_customer(world: World, customer: Document, allowed: list[str], typed: ReadOnly) -> None:
    """Update what the configuration allows of a customer's details."""
    kept = {name: typed[name] for name in allowed if name in typed and name != "tax_id"}
    customer = world.change(customer | kept)
    if "tax_id" in allowed and typed.get("tax_id"):
        kind, value = typed["tax_id"]
        make_tax_id(world, customer, kind, value)
