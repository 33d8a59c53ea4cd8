"""Changes to a running subscription."""

from collections.abc import Sequence
from typing import Any

from stripe_sandbox.billing.collection import collect
from stripe_sandbox.billing.discounts import replace_discounts
from stripe_sandbox.billing.due_invoices import is_sent, send
from stripe_sandbox.billing.dunning import settle
from stripe_sandbox.billing.invoices import finalize_invoice
from stripe_sandbox.billing.lines import usage_lines_of
from stripe_sandbox.billing.payments import as_api_error
from stripe_sandbox.billing.periods import (
    Period,
    earliest_end,
    restart_period,
    span_of,
    surrounding_period,
)
from stripe_sandbox.billing.proration import ItemChange, new_item, prorate, replace_price
from stripe_sandbox.billing.renewals import survives_trial
from stripe_sandbox.billing.subscription_bills import (
    bill_subscription,
    bill_usage_later,
    term_lines,
)
from stripe_sandbox.billing.subscriptions import (
    PricedItem,
    refuse_repeated,
    set_status,
)
from stripe_sandbox.billing.taxes import find_rates
from stripe_sandbox.billing.usage import is_metered
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import invalid, no_such
from stripe_sandbox.world import World


def change_items(
    world: World,
    subscription: Document,
    given: Sequence[tuple[ReadOnly, ReadOnly | None]],
    *,
    proration: str,
    at: int,
) -> tuple[bool, bool]:
    """Apply the (param, price) pairs to the items.

    Returns whether an invoice is due at once, and whether a new period has begun. `proration` is
    Stripe's `proration_behavior`, `at` its `proration_date`.
    """
    changes = [_change_item(world, subscription, param, price, at) for param, price in given]
    if not subscription["items"]["data"]:
        raise invalid("A subscription must have at least one active plan.", param="items")
    refuse_repeated([item["price"]["id"] for item in subscription["items"]["data"]])
    if subscription["status"] == "trialing":
        return False, False
    new_term = any(change.moves_to_another_interval() for change in changes)
    if proration != "none":
        customer = world.find("customer", subscription["customer"])
        prorate(world, subscription, customer, changes, at, credit_only=new_term)
    if new_term:
        _bill_usage_before(world, subscription, changes, at)
        restart_period(subscription, at)
    return new_term or proration == "always_invoice", new_term


def _bill_usage_before(
    world: World, subscription: ReadOnly, changes: Sequence[ItemChange], at: int
) -> None:
    """Let the next invoice bill what was used until now of items whose interval changes."""
    if world.choices.interval_usage == "dropped":
        return
    bill_usage_later(
        world,
        subscription,
        [
            line
            for change in changes
            if change.old and is_metered(change.old["price"]) and change.moves_to_another_interval()
            for line in usage_lines_of(
                world, subscription, change.old, Period(change.span.start, at)
            )
        ],
    )


def enter_current_period(world: World, subscription: Document, *, proration: str, at: int) -> None:
    """Move every item to the period that surrounds now, and charge the rest of it from `at` on."""
    now = world.time_of(subscription)
    anchor = subscription["billing_cycle_anchor"]
    changes = []
    for item in subscription["items"]["data"]:
        span = surrounding_period(item["price"], anchor, now)
        item |= {"current_period_start": span.start, "current_period_end": span.end}
        changes.append(ItemChange(None, dict(item), span))
    if proration != "none" and world.choices.unchanged_resume == "prorated":
        customer = world.find("customer", subscription["customer"])
        prorate(world, subscription, customer, changes, at, credit_only=False)


def _change_item(
    world: World, subscription: Document, param: ReadOnly, price: ReadOnly | None, at: int
) -> ItemChange:
    items: list[Document] = subscription["items"]["data"]
    if not param.get("id"):
        if price is None:
            raise invalid("A new item needs a price.", param="items")
        refuse_quantity(price, param)
        priced = PricedItem(price, param.get("quantity") or 1, param.get("metadata") or {})
        item = new_item(world, subscription, priced, at)
        replace_discounts(world, subscription, item, param.get("discounts"), "items")
        item["tax_rates"] = find_rates(world, param.get("tax_rates"), "items")
        items.append(item)
        return ItemChange(None, item, span_of(subscription, item))
    item = _find_item(items, param["id"])
    before, span = dict(item), Period(item["current_period_start"], item["current_period_end"])
    if param.get("deleted"):
        items.remove(item)
        return ItemChange(before, None, span)
    _update_item(item, param, price)
    if "discounts" in param:
        replace_discounts(world, subscription, item, param["discounts"], "items")
    if "tax_rates" in param:
        item["tax_rates"] = find_rates(world, param["tax_rates"], "items")
    unchanged = before["price"] == item["price"] and before["quantity"] == item["quantity"]
    return ItemChange(None, None, span) if unchanged else ItemChange(before, dict(item), span)


def _find_item(items: list[Document], item_id: str) -> Document:
    for item in items:
        if item["id"] == item_id:
            return item
    raise no_such("subscription_item", item_id, "items")


def _update_item(item: Document, param: ReadOnly, price: ReadOnly | None) -> None:
    if price is not None:
        replace_price(item, price)
    refuse_quantity(item["price"], param)
    if param.get("quantity") is not None:
        item["quantity"] = param["quantity"]
    if "metadata" in param:
        item["metadata"] = merge_metadata(item["metadata"], param["metadata"])


def refuse_quantity(price: ReadOnly, given: ReadOnly) -> None:
    """Raise ApiError if an item of a metered price is to have a quantity."""
    if is_metered(price) and given.get("quantity") is not None:
        raise invalid("You cannot set the quantity for metered plans.", param="items")


def invoice_now(
    world: World,
    subscription: Document,
    *,
    new_period: bool,
    strict: bool,
    used: Sequence[Document] = (),
) -> None:
    """Invoice pending items, and the current period if it is new, and collect at once.

    `used` are lines of unbilled usage.

    Saves the subscription. If the card is declined, `strict` raises the 402 and rolls everything
    back; otherwise the subscription becomes past due.
    """
    items = subscription["items"]["data"] if new_period else []
    lines = term_lines(world, subscription, items)
    lines = [*lines, *used]
    invoice = bill_subscription(world, subscription, lines, reason="subscription_update")
    world.save(subscription)
    invoice = finalize_invoice(world, invoice)
    if invoice["status"] == "open" and is_sent(invoice):
        send(world, invoice)
        return
    if invoice["status"] != "open":
        return
    decline = collect(world, invoice)
    if decline and strict:
        error = as_api_error(world, decline, invoice)
        error.keeps_changes = False
        raise error
    settle(world, invoice, failed=decline is not None)


def end_trial(world: World, subscription: Document, now: int) -> bool:
    """End the trial now; return whether the first paid period begins.

    Without a payment method the subscription may be paused or canceled instead.
    """
    subscription |= {"trial_end": now, "billing_cycle_anchor": now}
    for item in subscription["items"]["data"]:
        item["current_period_end"] = now
    by_settings = world.choices.cardless_trial_end == "settings"
    if by_settings and not survives_trial(world, subscription, now):
        return False
    set_status(subscription, "active")
    restart_period(subscription, now)
    return True


def extend_trial(subscription: Document, until: int, now: int) -> None:
    """Extend the trial to a Unix time; raises ApiError if that is past."""
    if until <= now:
        raise invalid("The trial_end must be in the future.", param="trial_end")
    set_status(subscription, "trialing")
    subscription["trial_start"] = subscription["trial_start"] or now
    subscription |= {"trial_end": until, "billing_cycle_anchor": until}
    for item in subscription["items"]["data"]:
        item["current_period_end"] = until


def schedule_cancellation(world: World, subscription: Document, at: int | None) -> None:
    """Schedule the end of the subscription, in Unix seconds; None clears it."""
    subscription["cancel_at"] = at
    subscription["canceled_at"] = world.time_of(subscription) if at else None
    reason = "cancellation_requested" if at else None
    subscription["cancellation_details"]["reason"] = reason


def cancellation_time(subscription: ReadOnly, wanted: Any) -> int | None:
    """Return the Unix time of a `cancel_at`, which may name a period end."""
    if wanted is None or isinstance(wanted, int):
        return wanted
    if wanted == "min_period_end":
        return earliest_end(subscription)
    return max(int(item["current_period_end"]) for item in subscription["items"]["data"])
