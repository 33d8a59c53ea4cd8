"""What happens to subscriptions and invoices with time: trial ends, renewals, retries."""

from stripe_sandbox.billing.customers import method_for
from stripe_sandbox.billing.due_invoices import is_sent, send
from stripe_sandbox.billing.dunning import attempt_payment
from stripe_sandbox.billing.finalization import fail_finalization, lacks_location
from stripe_sandbox.billing.invoices import (
    finalize_invoice,
    invoices_of,
    mark_uncollectible,
    subscription_of,
    void_invoice,
)
from stripe_sandbox.billing.payments import is_under_way
from stripe_sandbox.billing.pending_updates import expire_pending, pending_due
from stripe_sandbox.billing.periods import DAY, HOUR, Period, earliest_end, next_end
from stripe_sandbox.billing.preview import preview_invoice
from stripe_sandbox.billing.subscription_bills import (
    bill_subscription,
    renewal_lines,
    unbilled_usage,
)
from stripe_sandbox.billing.subscriptions import (
    cancel_subscription,
    has_pending_items,
    mark,
    marks_of,
    pause,
    set_status,
)
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.world import World

TRIAL_NOTICE = 3 * DAY
RENEWAL_NOTICE = 7 * DAY
INCOMPLETE_LIFETIME = 23 * HOUR

RENEWING = frozenset({"active", "past_due", "trialing"})
RUNNING = RENEWING | {"unpaid"}


def subscription_due(world: World, subscription: ReadOnly) -> int | None:
    """Return the Unix time at which the subscription is next due for something, if any."""
    status, marks = subscription["status"], marks_of(world, subscription["id"])
    if status == "incomplete" and _is_debited(world, subscription):
        return None
    if status == "incomplete":
        return int(subscription["created"]) + INCOMPLETE_LIFETIME
    if status == "canceled":
        return marks.get("leftovers_due")
    moments = [subscription["cancel_at"], pending_due(subscription)]
    if status in RUNNING:
        moments += [
            earliest_end(subscription),
            (subscription["pause_collection"] or {}).get("resumes_at"),
            _trial_notice(subscription, marks),
            _renewal_notice(subscription, marks),
        ]
    return min((moment for moment in moments if moment is not None), default=None)


def _is_debited(world: World, subscription: ReadOnly) -> bool:
    """Return whether a bank debit for the latest invoice is under way."""
    if world.choices.debit_first_payment == "active" or not subscription["latest_invoice"]:
        return False
    return is_under_way(world, world.find("invoice", str(id_of(subscription["latest_invoice"]))))


def _trial_notice(subscription: ReadOnly, marks: ReadOnly) -> int | None:
    end = subscription["trial_end"]
    if subscription["status"] != "trialing" or marks.get("trial_notice") == end:
        return None
    return max(int(end) - TRIAL_NOTICE, int(subscription["trial_start"] or 0))


def _renewal_notice(subscription: ReadOnly, marks: ReadOnly) -> int | None:
    """Return the time of the next `invoice.upcoming`; there is none for periods of up to a week."""
    end = earliest_end(subscription)
    start = max(item["current_period_start"] for item in subscription["items"]["data"])
    ends = subscription["cancel_at"] is not None and subscription["cancel_at"] <= end
    announced = marks.get("renewal_notice") == end
    if ends or announced or subscription["status"] not in RENEWING:
        return None
    return end - RENEWAL_NOTICE if end - RENEWAL_NOTICE > start else None


def advance_subscription(world: World, subscription: Document) -> None:
    """Do what is due on the subscription by its clock, one step."""
    now, marks = world.time_of(subscription), marks_of(world, subscription["id"])
    status = subscription["status"]
    if status == "incomplete":
        _expire_incomplete(world, subscription)
    elif status == "canceled":
        _bill_leftovers(world, subscription)
    elif _is_past(_trial_notice(subscription, marks), now):
        mark(world, subscription["id"], trial_notice=subscription["trial_end"])
        world.announce("customer.subscription.trial_will_end", subscription)
    elif _is_past(_renewal_notice(subscription, marks), now):
        mark(world, subscription["id"], renewal_notice=earliest_end(subscription))
        upcoming = preview_invoice(world, subscription)
        if not world.choices.upcoming_invoice_ids:
            del upcoming["id"]
        world.announce("invoice.upcoming", upcoming)
    elif _is_past(pending_due(subscription), now):
        expire_pending(world, subscription)
    elif _is_past(subscription["cancel_at"], now):
        _end(world, subscription)
    elif _is_past((subscription["pause_collection"] or {}).get("resumes_at"), now):
        subscription["pause_collection"] = None
        world.change(subscription)
    else:
        _end_period(world, subscription, now)


def _is_past(moment: int | None, now: int) -> bool:
    return moment is not None and moment <= now


def _expire_incomplete(world: World, subscription: Document) -> None:
    for invoice in invoices_of(world, subscription["id"], "open"):
        void_invoice(world, invoice)
    set_status(subscription, "incomplete_expired")
    subscription["ended_at"] = world.time_of(subscription)
    world.change(subscription)


def _bill_leftovers(world: World, subscription: Document) -> None:
    """Invoice the items that are pending after their subscription has ended."""
    mark(world, subscription["id"], leftovers_due=None)
    if has_pending_items(world, subscription["id"]):
        bill_subscription(world, subscription, [], reason="subscription_cycle")
        world.change(subscription)


def _end(world: World, subscription: Document) -> None:
    """Cancel a subscription at its time, and bill what was used and is not billed yet."""
    lines = unbilled_usage(world, subscription)
    subscription = cancel_subscription(world, subscription)
    if lines:
        bill_subscription(world, subscription, lines, reason="subscription_cycle")
        world.change(subscription)


def _end_period(world: World, subscription: Document, now: int) -> None:
    trial_is_over = subscription["status"] == "trialing" and subscription["trial_end"] <= now
    if trial_is_over and not survives_trial(world, subscription, now):
        return
    if trial_is_over:
        set_status(subscription, "active")
    renew(world, subscription, now, reason="subscription_cycle")
    world.change(subscription)


def survives_trial(world: World, subscription: Document, now: int) -> bool:
    """Return whether the trial becomes a paid period; if not, pause or cancel the subscription."""
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    customer = world.find("customer", subscription["customer"])
    if method_for(world, customer, subscription) or behavior == "create_invoice":
        return True
    if behavior == "cancel":
        cancel_subscription(world, subscription, reason="cancellation_requested")
    else:
        pause(world, subscription, now)
    return False


def renew(world: World, subscription: Document, now: int, *, reason: str) -> Document:
    """Begin the next period of every item whose period has ended; return the draft invoice."""
    due = [i for i in subscription["items"]["data"] if i["current_period_end"] <= now]
    ended = {
        item["id"]: Period(item["current_period_start"], item["current_period_end"]) for item in due
    }
    looks_back_to = min((item["current_period_start"] for item in due), default=now)
    for item in due:
        item["current_period_start"] = item["current_period_end"]
        item["current_period_end"] = next_end(
            item["price"], subscription["billing_cycle_anchor"], item["current_period_start"]
        )
    return bill_subscription(
        world,
        subscription,
        renewal_lines(world, subscription, due, ended),
        reason=reason,
        period_start=looks_back_to,
        auto_advance=_is_collected(subscription),
    )


def _is_collected(subscription: ReadOnly) -> bool:
    pause_collection = subscription["pause_collection"] or {}
    return (
        subscription["status"] != "unpaid" and pause_collection.get("behavior") != "keep_as_draft"
    )


def invoice_due(invoice: ReadOnly) -> int | None:
    """Return the Unix time at which the invoice is finalized or retried, if any."""
    if invoice["status"] == "draft":
        moment = invoice["automatically_finalizes_at"]
    else:
        moment = invoice["next_payment_attempt"] if invoice["status"] == "open" else None
    return None if moment is None else int(moment)


def advance_invoice(world: World, invoice: Document) -> None:
    """Finalize a draft, or retry an open invoice."""
    if invoice["status"] == "draft" and lacks_location(world, invoice):
        fail_finalization(world, invoice)
        return
    if invoice["status"] == "draft":
        invoice = finalize_invoice(world, invoice)
    if invoice["status"] == "open" and is_sent(invoice):
        send(world, invoice)
    elif invoice["status"] == "open":
        collect_unless_paused(world, invoice)


def collect_unless_paused(world: World, invoice: Document) -> None:
    """Charge an open invoice, or apply its subscription's `pause_collection`."""
    subscription = subscription_of(world, invoice)
    paused = (subscription or {}).get("pause_collection") or {}
    if paused.get("behavior") == "void":
        void_invoice(world, invoice)
    elif paused.get("behavior") == "mark_uncollectible":
        mark_uncollectible(world, invoice)
    else:
        attempt_payment(world, invoice)
