"""`/v1/subscriptions` and their items."""

from typing import Any

from stripe.params import (
    SubscriptionCancelParams,
    SubscriptionCreateParams,
    SubscriptionItemListParams,
    SubscriptionListParams,
    SubscriptionResumeParams,
    SubscriptionRetrieveParams,
    SubscriptionUpdateParams,
)

from stripe_sandbox.billing.changes import (
    cancellation_time,
    change_items,
    end_trial,
    extend_trial,
    invoice_now,
    replace_discounts,
    schedule_cancellation,
)
from stripe_sandbox.billing.dunning import attempt_payment
from stripe_sandbox.billing.lines import (
    Charge,
    Period,
    add_invoice_item,
    describe_price,
)
from stripe_sandbox.billing.payment_methods import method_for
from stripe_sandbox.billing.payments import as_api_error
from stripe_sandbox.billing.proration import restart_period
from stripe_sandbox.billing.subscriptions import (
    FINAL_STATUSES,
    OrderItem,
    Terms,
    bill_first_invoice,
    cancel_subscription,
    create_subscription,
    earliest_end,
    set_status,
)
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import ApiError, invalid, missing_param, no_such
from stripe_sandbox.operations import Call, Filter, Listing, Operation, listing, retrieve
from stripe_sandbox.periods import DAY
from stripe_sandbox.resources import prices
from stripe_sandbox.world import World


def create(call: Call) -> Document:
    """Begin a subscription, charging the customer's card unless it is to stay incomplete."""
    world = call.world
    customer = world.find("customer", _required(call, "customer"), "customer")
    if call.get("collection_method") == "send_invoice":
        raise invalid("The sandbox only charges automatically.", param="collection_method")
    terms = _terms(call, customer)
    subscription = create_subscription(world, terms, "trialing" if terms.trial_end else "active")
    subscription["payment_settings"] |= call.get("payment_settings", {})
    replace_discounts(world, subscription, call.get("discounts"))
    if call.get("cancel_at_period_end"):
        schedule_cancellation(world, subscription, earliest_end(subscription))
    charges = _one_time_charges(call, subscription)
    invoice = bill_first_invoice(world, customer, subscription, charges)
    if invoice["status"] == "open":
        set_status(subscription, "incomplete")
    subscription = world.save(subscription)
    world.announce("customer.subscription.created", subscription)
    if invoice["status"] == "open" and call.get("payment_behavior") != "default_incomplete":
        _charge_first(call, customer, subscription, invoice)
    return world.find("subscription", subscription["id"])


def _required(call: Call, name: str) -> Any:
    value = call.get(name)
    if value is None:
        raise missing_param(name)
    return value


def _terms(call: Call, customer: ReadOnly) -> Terms:
    now = call.world.time_of(customer)
    behavior = call.get("trial_settings", {}).get("end_behavior") or {}
    return Terms(
        customer=customer,
        items=[_order_item(call, one, index) for index, one in enumerate(_required(call, "items"))],
        trial_end=_trial_end(call, now),
        metadata=call.get("metadata", {}),
        description=call.get("description"),
        default_payment_method=_payment_method(call),
        missing_payment_method=behavior.get("missing_payment_method", "create_invoice"),
        cancel_at=call.get("cancel_at"),
        cancel_at_period_end=call.get("cancel_at_period_end", False),
        billing_mode=call.get("billing_mode", {}).get("type", "flexible"),
    )


def _payment_method(call: Call) -> str | None:
    method_id = call.get("default_payment_method")
    if method_id is None:
        return None
    return str(call.world.find("payment_method", method_id, "default_payment_method")["id"])


def _trial_end(call: Call, now: int) -> int | None:
    end, days = call.get("trial_end"), call.get("trial_period_days")
    if end is not None and days is not None:
        raise invalid("You may only specify one of trial_end, trial_period_days.")
    if isinstance(end, int):
        return end
    return now + days * DAY if days else None


def _order_item(call: Call, given: ReadOnly, index: int) -> OrderItem:
    price = named_price(call, given, f"items[{index}][price]")
    if price is None:
        raise missing_param(f"items[{index}][price]")
    return OrderItem(price, given.get("quantity", 1), given.get("metadata") or {})


def named_price(call: Call, given: ReadOnly, param: str) -> Document | None:
    """Return the price that an item's params name or describe, if they do."""
    if given.get("price_data"):
        return prices.create(Call(call.world, {}, dict(given["price_data"])))
    price_id = given.get("price") or given.get("plan")
    return call.world.find("price", price_id, param) if price_id else None


def _one_time_charges(call: Call, subscription: ReadOnly) -> list[Charge]:
    return [
        one_time_charge(call, given, f"add_invoice_items[{index}][price]", subscription)
        for index, given in enumerate(call.get("add_invoice_items", []))
    ]


def one_time_charge(call: Call, given: ReadOnly, param: str, subscription: ReadOnly) -> Charge:
    """Return what an entry of a list of one-time prices charges; `param` names its price."""
    price = named_price(call, given, param)
    if price is None:
        raise missing_param(param)
    quantity, now = given.get("quantity", 1), call.world.time_of(subscription)
    return Charge(
        amount=(price["unit_amount"] or 0) * quantity,
        currency=price["currency"],
        description=describe_price(call.world, price),
        period=Period(now, now),
        price=price,
        quantity=quantity,
        metadata=given.get("metadata") or {},
        subscription=subscription["id"],
    )


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


PLAIN = ("description", "default_payment_method")


def update(call: Call) -> Document:
    """Change a subscription; what that costs is prorated, and billed at once where it must be."""
    world = call.world
    subscription = world.find("subscription", call.id)
    _refuse_when_over(call, subscription)
    _payment_method(call)
    subscription |= call.pick(*PLAIN)
    subscription["payment_settings"] |= call.get("payment_settings", {})
    if "metadata" in call.params:
        subscription["metadata"] = merge_metadata(subscription["metadata"], call.params["metadata"])
    if "discounts" in call.params:
        replace_discounts(world, subscription, call.params["discounts"])
    if call.get("trial_settings"):
        subscription["trial_settings"] = call.get("trial_settings")
    if "pause_collection" in call.params:
        subscription["pause_collection"] = call.params["pause_collection"]
    _change_cancellation(call, subscription)
    bills_now, new_period = _change_terms(call, subscription)
    if bills_now:
        _invoice_now(call, subscription, new_period=new_period)
    else:
        world.change(subscription)
    return world.find("subscription", call.id)


def _refuse_when_over(call: Call, subscription: ReadOnly) -> None:
    harmless = {"metadata", "cancellation_details"}
    if subscription["status"] in FINAL_STATUSES and call.params.keys() - harmless:
        message = "A canceled subscription can only update its cancellation_details and metadata."
        raise invalid(message, code="invalid_canceled_subscription_fields")


def _change_cancellation(call: Call, subscription: Document) -> None:
    world = call.world
    if "cancel_at_period_end" in call.params and "cancel_at" in call.params:
        raise invalid("You may only specify one of cancel_at, cancel_at_period_end.")
    if "cancel_at_period_end" in call.params:
        ends = bool(call.params["cancel_at_period_end"])
        if ends != subscription["cancel_at_period_end"]:
            subscription["cancel_at_period_end"] = ends
            schedule_cancellation(world, subscription, earliest_end(subscription) if ends else None)
    if "cancel_at" in call.params:
        subscription["cancel_at_period_end"] = False
        moment = cancellation_time(subscription, call.params["cancel_at"])
        schedule_cancellation(world, subscription, moment)
    if call.get("cancellation_details"):
        subscription["cancellation_details"] |= call.get("cancellation_details")


def _change_terms(call: Call, subscription: Document) -> tuple[bool, bool]:
    """Apply items and trial; return whether an invoice is due now, and whether a period began."""
    world, now = call.world, call.world.time_of(subscription)
    bills_now = new_period = False
    _add_one_time_charges(call, subscription)
    if call.get("items"):
        given = [(one, named_price(call, one, "items[price]")) for one in call.get("items")]
        bills_now, new_period = change_items(
            world,
            subscription,
            given,
            proration=call.get("proration_behavior", "create_prorations"),
            at=call.get("proration_date", now),
        )
    trial_end = call.get("trial_end")
    if trial_end == "now" and subscription["status"] == "trialing":
        end_trial(subscription, now)
        return True, True
    if isinstance(trial_end, int):
        extend_trial(subscription, trial_end, now)
        _follow_period_end(subscription)
    return bills_now, new_period


def _add_one_time_charges(call: Call, subscription: ReadOnly) -> None:
    """Put what is charged once on the subscription's next invoice."""
    customer = call.world.find("customer", subscription["customer"])
    for charge in _one_time_charges(call, subscription):
        made = add_invoice_item(call.world, customer, charge)
        call.world.announce("invoiceitem.created", made)


def _follow_period_end(subscription: Document) -> None:
    if subscription["cancel_at_period_end"]:
        subscription["cancel_at"] = earliest_end(subscription)


def _invoice_now(call: Call, subscription: Document, *, new_period: bool) -> None:
    """Bill now, and announce as one change all that became of the subscription by it."""
    world = call.world
    before = world.find("subscription", subscription["id"])
    strict = call.get("payment_behavior") == "error_if_incomplete"
    _follow_period_end(subscription)
    world.change(subscription)
    invoice_now(world, subscription, new_period=new_period, strict=strict)
    after = world.find("subscription", subscription["id"])
    if after["latest_invoice"] != before["latest_invoice"]:
        _announce_latest_invoice(world, after, before)


def _announce_latest_invoice(world: World, after: Document, before: ReadOnly) -> None:
    previous = {"latest_invoice": before["latest_invoice"]}
    world.announce("customer.subscription.updated", after, previous=previous)


def cancel(call: Call) -> Document:
    """End a subscription now."""
    world = call.world
    subscription = world.find("subscription", call.id)
    if subscription["status"] in FINAL_STATUSES:
        raise no_such("subscription", call.id)
    details = dict(call.get("cancellation_details", {}))
    subscription = cancel_subscription(world, subscription, details=details)
    if call.get("invoice_now"):
        invoice_now(world, subscription, new_period=False, strict=False)
    return world.find("subscription", call.id)


def resume(call: Call) -> Document:
    """Let a paused subscription go on: a new period begins, and is charged at once."""
    world = call.world
    subscription = world.find("subscription", call.id)
    if subscription["status"] != "paused":
        raise ApiError(400, "You can only resume subscriptions that are paused.")
    if call.get("billing_cycle_anchor") == "unchanged":
        raise invalid("The sandbox only resumes with a new period.", param="billing_cycle_anchor")
    now = world.time_of(subscription)
    set_status(subscription, "active")
    restart_period(subscription, now)
    subscription = world.change(subscription)
    invoice_now(world, subscription, new_period=True, strict=True)
    subscription = world.find("subscription", call.id)
    world.announce("customer.subscription.resumed", subscription)
    return subscription


def list_items(call: Call) -> Listing:
    """List a subscription's items."""
    subscription = call.world.find("subscription", _required(call, "subscription"), "subscription")
    return Listing(subscription["items"]["data"])


_NOT_CANCELED = "not canceled"
"""What is listed when no status is asked for."""


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


FILTERS: dict[str, Filter] = {"status": _has_status, "price": _has_price}


def list_subscriptions(call: Call) -> Document | Listing:
    """List subscriptions; those canceled only when they are asked for."""
    call.params["status"] = call.get("status", _NOT_CANCELED)
    return listing("subscription", **FILTERS)(call)


PATH = "/subscriptions"
UPDATE = frozenset(
    [
        "add_invoice_items",
        "cancel_at",
        "cancel_at_period_end",
        "cancellation_details",
        "default_payment_method",
        "description",
        "discounts",
        "expand",
        "items",
        "metadata",
        "off_session",
        "pause_collection",
        "payment_behavior",
        "payment_settings",
        "proration_behavior",
        "proration_date",
        "trial_end",
        "trial_settings",
    ]
)
CREATE = (
    UPDATE - {"cancellation_details", "pause_collection", "proration_date"}
    | {"billing_mode", "collection_method", "customer"}
    | {"trial_period_days"}
)

OPERATIONS = (
    Operation("POST", PATH, SubscriptionCreateParams, create, CREATE),
    Operation("GET", PATH, SubscriptionListParams, list_subscriptions),
    Operation("GET", f"{PATH}/{{id}}", SubscriptionRetrieveParams, retrieve("subscription")),
    Operation("POST", f"{PATH}/{{id}}", SubscriptionUpdateParams, update, UPDATE),
    Operation("DELETE", f"{PATH}/{{id}}", SubscriptionCancelParams, cancel),
    Operation("POST", f"{PATH}/{{id}}/resume", SubscriptionResumeParams, resume),
    Operation("GET", "/subscription_items", SubscriptionItemListParams, list_items),
)
