"""`/v1/subscriptions` and their items."""

from typing import Any

from stripe.params import (
    SubscriptionCancelParams,
    SubscriptionCreateParams,
    SubscriptionListParams,
    SubscriptionResumeParams,
    SubscriptionRetrieveParams,
    SubscriptionUpdateParams,
)

from stripe_sandbox.billing.automatic_tax import check_automatic_tax, set_automatic_tax
from stripe_sandbox.billing.changes import (
    cancellation_time,
    invoice_now,
    schedule_cancellation,
)
from stripe_sandbox.billing.customers import method_for
from stripe_sandbox.billing.discounts import replace_discounts
from stripe_sandbox.billing.due_invoices import send
from stripe_sandbox.billing.dunning import attempt_payment
from stripe_sandbox.billing.invoices import finalize_invoice
from stripe_sandbox.billing.lines import NewInvoiceItem
from stripe_sandbox.billing.payments import as_api_error
from stripe_sandbox.billing.periods import earliest_end
from stripe_sandbox.billing.proration import credit_unused_time
from stripe_sandbox.billing.resuming import ResumeTerms, resume_as_told
from stripe_sandbox.billing.setup_intents import open_pending_setup
from stripe_sandbox.billing.subscription_bills import (
    draft_first_invoice,
    unbilled_usage,
)
from stripe_sandbox.billing.subscriptions import (
    FINAL_STATUSES,
    cancel_subscription,
    create_subscription,
    set_status,
)
from stripe_sandbox.billing.taxes import check_items, find_rates
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, invalid, no_such
from stripe_sandbox.operations import (
    Call,
    Filter,
    Listing,
    Operation,
    is_in_range,
    listing,
    retrieve,
)
from stripe_sandbox.resources.invoice_items import one_time_charges
from stripe_sandbox.resources.subscription_terms import backdated_charges, required, terms_of
from stripe_sandbox.resources.subscription_updates import (
    NEW_ITEM,
    UPDATE,
    refuse_past,
    set_collection,
    update,
)
from stripe_sandbox.supported import one_of, supports
from stripe_sandbox.world import World


def create(call: Call) -> Document:
    """Create a subscription and collect its first invoice, unless it is `default_incomplete`.

    With `proration_behavior=none` it is free until its `billing_cycle_anchor`. With `send_invoice`
    it is active at once, and its first invoice a draft for an hour.
    """
    world = call.world
    customer = world.find("customer", required(call, "customer"), "customer")
    if isinstance(call.get("cancel_at"), int):
        refuse_past(call.get("cancel_at"), world.time_of(customer), "cancel_at")
    new = terms_of(call, customer)
    subscription = create_subscription(world, new, "trialing" if new.trial_end else "active")
    _apply_params(call, subscription)
    charges = [*backdated_charges(call, subscription), *one_time_charges(call, subscription)]
    is_free = bool(new.billing_cycle_anchor) and call.get("proration_behavior") == "none"
    if is_free and not charges and world.choices.free_anchor == "none":
        subscription = world.save(subscription)
        world.announce("customer.subscription.created", subscription)
        return subscription
    if subscription["collection_method"] == "send_invoice":
        return _bill_by_invoice(world, subscription, charges)
    draft = draft_first_invoice(world, subscription, charges, bills_term=not is_free)
    invoice = finalize_invoice(world, draft)
    if invoice["status"] == "open":
        set_status(subscription, "incomplete")
    elif (
        world.choices.cardless_trial_setup == "pending"
        or call.get("payment_behavior") == "default_incomplete"
    ):
        open_pending_setup(world, customer, subscription)
    subscription = world.save(subscription)
    world.announce("customer.subscription.created", subscription)
    if invoice["status"] == "open" and call.get("payment_behavior") != "default_incomplete":
        _charge_first(call, customer, subscription, invoice)
    return world.find("subscription", subscription["id"])


def _apply_params(call: Call, subscription: Document) -> None:
    """Give a new subscription what does not depend on its items; the caller saves it."""
    world = call.world
    subscription["payment_settings"] |= call.get("payment_settings", {})
    set_collection(call, subscription)
    replace_discounts(world, subscription, subscription, call.get("discounts"))
    for item, given in zip(subscription["items"]["data"], call.get("items"), strict=True):
        replace_discounts(world, subscription, item, given.get("discounts"), "items")
        item["tax_rates"] = find_rates(world, given.get("tax_rates"), "items")
    rates = find_rates(world, call.get("default_tax_rates"), "default_tax_rates")
    subscription["default_tax_rates"] = rates
    check_items(subscription)
    if call.get("automatic_tax"):
        set_automatic_tax(world, subscription, enabled=call.get("automatic_tax")["enabled"])
        check_automatic_tax(world, subscription)
    if call.get("cancel_at_period_end"):
        schedule_cancellation(world, subscription, earliest_end(subscription))
    elif isinstance(call.get("cancel_at"), str):
        until = cancellation_time(subscription, call.get("cancel_at"))
        schedule_cancellation(world, subscription, until)


def _bill_by_invoice(
    world: World, subscription: Document, charges: list[NewInvoiceItem]
) -> Document:
    draft = draft_first_invoice(world, subscription, charges)
    subscription = world.save(subscription)
    world.announce("customer.subscription.created", subscription)
    if world.choices.sent_first_invoice == "finalized":
        invoice = finalize_invoice(world, draft)
        if invoice["status"] == "open":
            send(world, invoice)
    return subscription


def _charge_first(
    call: Call, customer: ReadOnly, subscription: Document, invoice: Document
) -> None:
    world = call.world
    if method_for(world, customer, subscription) is None:
        message = (
            "This customer has no attached payment source or default payment method. Please "
            "consider adding a default payment method."
        )
        raise invalid(message, code="resource_missing")
    decline = attempt_payment(world, invoice)
    if decline and call.get("payment_behavior") == "error_if_incomplete":
        error = as_api_error(world, decline, invoice)
        error.keeps_changes = False
        raise error


def cancel(call: Call) -> Document:
    """Cancel a subscription now."""
    world = call.world
    subscription = world.find("subscription", call.id)
    if subscription["status"] in FINAL_STATUSES:
        raise no_such("subscription", call.id)
    details = dict(call.get("cancellation_details", {}))
    prorates, bills = bool(call.get("prorate")), bool(call.get("invoice_now"))
    end_now(world, subscription, prorates=prorates, bills=bills, details=details)
    return world.find("subscription", call.id)


def end_now(
    world: World,
    subscription: Document,
    *,
    prorates: bool,
    bills: bool,
    details: Document | None = None,
) -> None:
    """Cancel a subscription; credit the rest of its period, and bill what is pending, if wanted."""
    if prorates:
        credit_unused_time(world, subscription)
    used = unbilled_usage(world, subscription) if bills else []
    subscription = cancel_subscription(world, subscription, details=details)
    if bills:
        invoice_now(world, subscription, new_period=False, strict=False, used=used)


def resume(call: Call) -> Document:
    """Resume a paused subscription in a new period, or in the one that surrounds now.

    With `resume_on_payment_success` it stays paused until the invoice for that is paid.
    """
    world = call.world
    subscription = world.find("subscription", call.id)
    if subscription["status"] != "paused":
        raise ApiError(400, "You can only resume subscriptions that are paused.")
    waits = call.get("payment_behavior") == "resume_on_payment_success"
    terms = ResumeTerms(
        keeps_anchor=call.get("billing_cycle_anchor", {}).get("type") == "unchanged",
        proration=call.get("proration_behavior", "create_prorations"),
        at=call.get("proration_date", world.time_of(subscription)),
    )
    resume_as_told(world, subscription, terms, waits=waits)
    return world.find("subscription", call.id)


_NOT_CANCELED = "not canceled"
"""The default filter of lists."""


def _has_status(subscription: ReadOnly, status: str) -> bool:
    if status == "all":
        return True
    if status == _NOT_CANCELED:
        return bool(subscription["status"] != "canceled")
    if status == "ended":
        return subscription["status"] in FINAL_STATUSES
    return bool(subscription["status"] == status)


def _has_price(subscription: ReadOnly, price: str) -> bool:
    return any(item["price"]["id"] == price for item in subscription["items"]["data"])


def _has_automatic_tax(subscription: ReadOnly, wanted: ReadOnly) -> bool:
    return bool(subscription["automatic_tax"]["enabled"] == wanted["enabled"])


def _ends_within(subscription: ReadOnly, bounds: Any) -> bool:
    return is_in_range(earliest_end(subscription), bounds)


def _starts_within(subscription: ReadOnly, bounds: Any) -> bool:
    starts = [item["current_period_start"] for item in subscription["items"]["data"]]
    return is_in_range(max(starts), bounds)


FILTERS: dict[str, Filter] = {
    "automatic_tax": _has_automatic_tax,
    "current_period_end": _ends_within,
    "current_period_start": _starts_within,
    "plan": _has_price,
    "price": _has_price,
    "status": _has_status,
}


def list_subscriptions(call: Call) -> Document | Listing:
    """List subscriptions; canceled ones only if the status says so."""
    call.params["status"] = call.get("status", _NOT_CANCELED)
    return listing("subscription", **FILTERS)(call)


PATH = "/subscriptions"
CREATE = supports(
    "backdate_start_date",
    "currency",
    "billing_cycle_anchor",
    "billing_cycle_anchor_config",
    "customer",
    "trial_period_days",
    base=UPDATE.without("cancellation_details", "pause_collection", "proration_date"),
    billing_mode=supports("type"),
    cancel_at=one_of(int, "max_period_end", "min_period_end"),
    items=NEW_ITEM,
    payment_behavior=one_of("allow_incomplete", "default_incomplete", "error_if_incomplete"),
)

OPERATIONS = (
    Operation("POST", PATH, SubscriptionCreateParams, create, CREATE),
    Operation(
        "GET",
        PATH,
        SubscriptionListParams,
        list_subscriptions,
        supports(*FILTERS, "collection_method", "created", "customer", "test_clock"),
    ),
    Operation("GET", f"{PATH}/{{id}}", SubscriptionRetrieveParams, retrieve("subscription")),
    Operation("POST", f"{PATH}/{{id}}", SubscriptionUpdateParams, update, UPDATE),
    Operation(
        "DELETE",
        f"{PATH}/{{id}}",
        SubscriptionCancelParams,
        cancel,
        supports("cancellation_details", "invoice_now", "prorate"),
    ),
    Operation(
        "POST",
        f"{PATH}/{{id}}/resume",
        SubscriptionResumeParams,
        resume,
        supports(
            "billing_cycle_anchor", "payment_behavior", "proration_behavior", "proration_date"
        ),
    ),
)
