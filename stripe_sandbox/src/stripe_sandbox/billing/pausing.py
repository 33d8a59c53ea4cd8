"""The pause endpoint: it stops the invoices of a subscription until that is resumed."""

from stripe_sandbox.billing.changes import invoice_now
from stripe_sandbox.billing.pending_updates import drop_pending
from stripe_sandbox.billing.periods import Period
from stripe_sandbox.billing.proration import ItemChange, prorate
from stripe_sandbox.billing.subscriptions import FINAL_STATUSES, pause
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

NOT_PAUSABLE = FINAL_STATUSES | {"incomplete", "paused", "trialing"}


def pause_now(world: World, subscription: Document, *, credits_from: str, invoices: bool) -> None:
    """Pause a subscription now; raises ApiError for one that cannot be paused.

    `credits_from` is `now`, `item_current_period_start` or `none`. Credits wait for the next
    invoice, or with `invoices` are invoiced at once.
    """
    refuse_unpausable(subscription)
    subscription = drop_pending(world, subscription)
    now = world.time_of(subscription)
    if credits_from != "none":
        _credit(world, subscription, now, whole=credits_from != "now")
    for item in subscription["items"]["data"]:
        item["current_period_end"] = now
    pause(world, subscription, now, cause="pause_requested")
    if invoices:
        subscription = world.find("subscription", subscription["id"])
        invoice_now(world, subscription, new_period=False, strict=False)


def _credit(world: World, subscription: ReadOnly, now: int, *, whole: bool) -> None:
    """Credit the rest of every item's period, or all of it."""
    customer = world.find("customer", subscription["customer"])
    for item in subscription["items"]["data"]:
        span = Period(item["current_period_start"], item["current_period_end"])
        changes = [ItemChange(item, None, span)]
        at = span.start if whole else now
        prorate(world, subscription, customer, changes, at, credit_only=True)


def refuse_unpausable(subscription: ReadOnly) -> None:
    """Raise ApiError for a subscription that Stripe does not pause, with the reason."""
    reason = _reason(subscription)
    if reason:
        raise invalid(f"This subscription cannot be paused because it {reason}.")


def _reason(subscription: ReadOnly) -> str | None:
    if subscription["status"] in NOT_PAUSABLE:
        return f"is in the `{subscription['status']}` status"
    if subscription["billing_mode"]["type"] == "classic":
        return "uses the classic billing mode"
    if subscription["collection_method"] == "send_invoice":
        return "uses the `send_invoice` collection method"
    if subscription["schedule"] is not None:
        return f"is attached to the subscription schedule `{subscription['schedule']}`"
    return None
