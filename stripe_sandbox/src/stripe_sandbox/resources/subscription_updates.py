"""`POST /v1/subscriptions/{id}`."""

from stripe_sandbox.billing.automatic_tax import check_automatic_tax, set_automatic_tax
from stripe_sandbox.billing.changes import (
    cancellation_time,
    change_items,
    end_trial,
    extend_trial,
    invoice_now,
    schedule_cancellation,
)
from stripe_sandbox.billing.customers import check_owner
from stripe_sandbox.billing.discounts import replace_discounts
from stripe_sandbox.billing.lines import add_invoice_item
from stripe_sandbox.billing.pending_updates import (
    drop_pending,
    refuse_while_pending,
    update_if_paid,
)
from stripe_sandbox.billing.periods import earliest_end
from stripe_sandbox.billing.subscription_schedules import (
    follow_items,
    refuse_scheduled_cancellation,
    refuse_scheduled_items,
)
from stripe_sandbox.billing.subscriptions import FINAL_STATUSES
from stripe_sandbox.billing.taxes import check_items, find_rates
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call
from stripe_sandbox.resources.intent_params import TYPES
from stripe_sandbox.resources.invoice_items import ONE_TIME, one_time_charges
from stripe_sandbox.resources.prices import RECURRING_AMOUNT, named_price
from stripe_sandbox.supported import supports
from stripe_sandbox.world import World

NEW_ITEM = supports(
    "discounts", "metadata", "plan", "price", "quantity", "tax_rates", price_data=RECURRING_AMOUNT
)
CHANGED_ITEM = supports("deleted", "id", base=NEW_ITEM)
PAYMENT_SETTINGS = supports(
    "save_default_payment_method",
    payment_method_options=supports(
        card=supports("request_three_d_secure"), us_bank_account=supports("verification_method")
    ),
    payment_method_types=TYPES,
)
UPDATE = supports(
    "cancel_at",
    "cancel_at_period_end",
    "cancellation_details",
    "collection_method",
    "days_until_due",
    "default_payment_method",
    "default_tax_rates",
    "description",
    "discounts",
    "metadata",
    "pause_collection",
    "payment_behavior",
    "proration_behavior",
    "proration_date",
    "trial_end",
    add_invoice_items=ONE_TIME,
    automatic_tax=supports("enabled"),
    items=CHANGED_ITEM,
    payment_settings=PAYMENT_SETTINGS,
    trial_settings=supports(end_behavior=supports("missing_payment_method")),
)
PLAIN = ("description", "default_payment_method")


BILLED = frozenset({"add_invoice_items", "items", "trial_end"})
PENDING = BILLED | {"metadata", "payment_behavior", "proration_behavior", "proration_date"}
"""What an update can change that stays pending until it is paid."""


def chosen_payment_method(call: Call, customer_id: str) -> str | None:
    """Return the id of `default_payment_method`, if given; it must be the customer's."""
    method_id = call.get("default_payment_method")
    if method_id is None:
        return None
    return check_owner(call.world, method_id, customer_id, "default_payment_method")


def update(call: Call) -> Document:
    """Update a subscription; changes are prorated, and invoiced at once if required."""
    world = call.world
    subscription = world.find("subscription", call.id)
    _refuse_when_over(call, subscription)
    _refuse_with_pending(call)
    chosen_payment_method(call, subscription["customer"])
    if call.params.keys() & BILLED:
        refuse_while_pending(world, subscription)
        subscription = drop_pending(world, subscription)
    subscription |= call.pick(*PLAIN)
    subscription["payment_settings"] |= call.get("payment_settings", {})
    set_collection(call, subscription)
    if "metadata" in call.params:
        subscription["metadata"] = merge_metadata(subscription["metadata"], call.params["metadata"])
    if "default_tax_rates" in call.params:
        rates = find_rates(world, call.params["default_tax_rates"], "default_tax_rates")
        subscription["default_tax_rates"] = rates
    if "discounts" in call.params:
        replace_discounts(world, subscription, subscription, call.params["discounts"])
    if call.get("trial_settings"):
        subscription["trial_settings"] = call.get("trial_settings")
    if "pause_collection" in call.params:
        subscription["pause_collection"] = call.params["pause_collection"]
    _change_cancellation(call, subscription)
    bills_now, new_period = _change_terms(call, subscription)
    if call.get("automatic_tax"):
        set_automatic_tax(world, subscription, enabled=call.get("automatic_tax")["enabled"])
    if call.params.keys() & {"automatic_tax", "default_tax_rates", "items"}:
        check_items(subscription)
        check_automatic_tax(world, subscription)
    if bills_now:
        _invoice_now(call, subscription, new_period=new_period)
    else:
        world.change(subscription)
    return world.find("subscription", call.id)


def _refuse_with_pending(call: Call) -> None:
    """Raise ApiError for what cannot be changed by an update that may stay pending."""
    if call.get("payment_behavior") != "pending_if_incomplete":
        return
    for name in call.params.keys() - PENDING:
        message = f"`payment_behavior=pending_if_incomplete` does not go together with `{name}`."
        raise invalid(message, param=name)


def set_collection(call: Call, subscription: Document) -> None:
    """Set how invoices are collected; those that are sent need `days_until_due`."""
    subscription["collection_method"] = call.get(
        "collection_method", subscription["collection_method"]
    )
    subscription |= call.pick("days_until_due")
    if subscription["collection_method"] == "send_invoice":
        if subscription["days_until_due"] is None:
            raise invalid(
                "If collection_method is `send_invoice`, you must specify `days_until_due`.",
                param="days_until_due",
            )
    elif call.get("days_until_due") is not None:
        message = "You can only set `days_until_due` if `collection_method` is `send_invoice`."
        raise invalid(message, param="days_until_due")
    else:
        subscription["days_until_due"] = None


def _refuse_when_over(call: Call, subscription: ReadOnly) -> None:
    harmless = {"metadata", "cancellation_details"}
    if subscription["status"] in FINAL_STATUSES and call.params.keys() - harmless:
        message = "A canceled subscription can only update its cancellation_details and metadata."
        raise invalid(message, code="invalid_canceled_subscription_fields")


def _change_cancellation(call: Call, subscription: Document) -> None:
    world = call.world
    if "cancel_at_period_end" in call.params and "cancel_at" in call.params:
        raise invalid("You may only specify one of cancel_at, cancel_at_period_end.")
    if call.params.keys() & {"cancel_at_period_end", "cancel_at"}:
        refuse_scheduled_cancellation(subscription)
    if "cancel_at_period_end" in call.params:
        ends = bool(call.params["cancel_at_period_end"])
        if ends != subscription["cancel_at_period_end"]:
            subscription["cancel_at_period_end"] = ends
            schedule_cancellation(world, subscription, earliest_end(subscription) if ends else None)
    if "cancel_at" in call.params:
        subscription["cancel_at_period_end"] = False
        moment = cancellation_time(subscription, call.params["cancel_at"])
        refuse_past(moment, world.time_of(subscription), "cancel_at")
        schedule_cancellation(world, subscription, moment)
    if call.get("cancellation_details"):
        subscription["cancellation_details"] |= call.get("cancellation_details")


def refuse_past(moment: int | None, now: int, param: str) -> None:
    """Raise ApiError for a Unix time that is not in the future."""
    if moment is not None and moment <= now:
        raise invalid(f"Invalid {param}: must be a timestamp in the future.", param=param)


def proration_date(subscription: ReadOnly, given: ReadOnly, now: int) -> int:
    """Return `proration_date`, by default now; raises ApiError outside the current period."""
    moment = given.get("proration_date")
    if moment is None:
        return now
    items = subscription["items"]["data"]
    starts = min(item["current_period_start"] for item in items)
    if not starts <= moment <= max(item["current_period_end"] for item in items):
        message = "Invalid proration_date: must be within the subscription's current period."
        raise invalid(message, param="proration_date")
    return int(moment)


def _change_terms(call: Call, subscription: Document) -> tuple[bool, bool]:
    """Apply items and trial; return whether an invoice is due now, and whether a period began."""
    world, now = call.world, call.world.time_of(subscription)
    bills_now = new_period = False
    _add_one_time_charges(call, subscription)
    if call.get("items"):
        refuse_scheduled_items(world, subscription)
        currency = subscription["currency"]
        given = [
            (one, named_price(call, one, "items[price]", currency)) for one in call.get("items")
        ]
        bills_now, new_period = change_items(
            world,
            subscription,
            given,
            proration=call.get("proration_behavior", "create_prorations"),
            at=proration_date(subscription, call.params, now),
        )
        follow_items(world, subscription)
    trial_end = call.get("trial_end")
    if trial_end == "now" and subscription["status"] == "trialing":
        begins = end_trial(world, subscription, now)
        return begins, begins
    if isinstance(trial_end, int):
        extend_trial(subscription, trial_end, now)
        _follow_period_end(subscription)
    return bills_now, new_period


def _add_one_time_charges(call: Call, subscription: ReadOnly) -> None:
    """Add `add_invoice_items` to the subscription's pending items."""
    customer = call.world.find("customer", subscription["customer"])
    for charge in one_time_charges(call, subscription):
        made = add_invoice_item(call.world, customer, charge)
        call.world.announce("invoiceitem.created", made)


def _follow_period_end(subscription: Document) -> None:
    if subscription["cancel_at_period_end"]:
        subscription["cancel_at"] = earliest_end(subscription)


def _invoice_now(call: Call, subscription: Document, *, new_period: bool) -> None:
    """Invoice now, and announce everything that changed on the subscription."""
    world = call.world
    before = world.find("subscription", subscription["id"])
    _follow_period_end(subscription)
    if call.get("payment_behavior") == "pending_if_incomplete":
        update_if_paid(world, subscription, new_period=new_period)
        return
    strict = call.get("payment_behavior") == "error_if_incomplete"
    world.change(subscription)
    invoice_now(world, subscription, new_period=new_period, strict=strict)
    after = world.find("subscription", subscription["id"])
    if after["latest_invoice"] != before["latest_invoice"]:
        _announce_latest_invoice(world, after, before)


def _announce_latest_invoice(world: World, after: Document, before: ReadOnly) -> None:
    previous = {"latest_invoice": before["latest_invoice"]}
    world.announce("customer.subscription.updated", after, previous=previous)
