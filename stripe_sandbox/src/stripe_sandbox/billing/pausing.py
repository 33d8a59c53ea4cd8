"""The pause endpoint: it stops the invoices of a subscription until that is resumed."""

from dataclasses import dataclass

from stripe_sandbox.billing.changes import invoice_now
from stripe_sandbox.billing.pending_updates import drop_pending
from stripe_sandbox.billing.proration import credit_unused_time
from stripe_sandbox.billing.subscription_bills import bill_usage_later, unbilled_usage
from stripe_sandbox.billing.subscriptions import (
    FINAL_STATUSES,
    pause,
)
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

NOT_PAUSABLE = FINAL_STATUSES | {"incomplete", "paused", "trialing"}


@dataclass(frozen=True)
class PauseTerms:
    """What a pause bills, in Stripe's words.

    `credits_from` is `now`, `item_current_period_start` or `none`. Credits and usage wait for the
    next invoice, or with `invoices` are invoiced at once.
    """

    credits_from: str = "now"
    bills_usage: bool = True
    invoices: bool = False


def pause_now(world: World, subscription: Document, terms: PauseTerms) -> None:
    """Pause a subscription now; raises ApiError for one that cannot be paused."""
    refuse_unpausable(subscription)
    refuse_scheduled(subscription)
    perform_pause(world, subscription, terms)


def perform_pause(world: World, subscription: Document, terms: PauseTerms) -> None:
    """Pause a subscription that can be paused."""
    subscription = drop_pending(world, subscription)
    now = world.time_of(subscription)
    if terms.credits_from != "none":
        credit_unused_time(world, subscription, whole=terms.credits_from != "now")
    used = unbilled_usage(world, subscription) if terms.bills_usage else []
    if not terms.invoices:
        bill_usage_later(world, subscription, used)
    for item in subscription["items"]["data"]:
        item["current_period_end"] = now
    pause(world, subscription, now, cause="pause_requested")
    if terms.invoices:
        subscription = world.find("subscription", subscription["id"])
        invoice_now(world, subscription, new_period=False, strict=False, used=used)


def refuse_unpausable(subscription: ReadOnly) -> None:
    """Raise ApiError for a subscription that Stripe does not pause, with the reason."""
    reason = _reason(subscription)
    if reason:
        raise invalid(f"This subscription cannot be paused because it {reason}.")


def refuse_scheduled(subscription: ReadOnly) -> None:
    """Raise ApiError for a subscription that only its schedule may pause."""
    if subscription["schedule"] is not None:
        raise invalid(
            "This subscription cannot be paused because it is attached to the subscription "
            f"schedule `{subscription['schedule']}`."
        )


def _reason(subscription: ReadOnly) -> str | None:
    if subscription["status"] in NOT_PAUSABLE:
        return f"is in the `{subscription['status']}` status"
    if subscription["billing_mode"]["type"] == "classic":
        return "uses the classic billing mode"
    if subscription["collection_method"] == "send_invoice":
        return "uses the `send_invoice` collection method"
    return None
