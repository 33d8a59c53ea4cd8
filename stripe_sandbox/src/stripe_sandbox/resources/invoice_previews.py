"""`/v1/invoices/create_preview`."""

from stripe.params import InvoiceCreatePreviewParams

from stripe_sandbox.billing.automatic_tax import check_automatic_tax, set_automatic_tax
from stripe_sandbox.billing.changes import change_items, end_trial
from stripe_sandbox.billing.customers import add_customer
from stripe_sandbox.billing.discounts import replace_discounts
from stripe_sandbox.billing.lines import add_invoice_item
from stripe_sandbox.billing.periods import restart_period
from stripe_sandbox.billing.preview import preview_immediate, preview_invoice
from stripe_sandbox.billing.subscriptions import create_subscription
from stripe_sandbox.billing.tax_ids import add_tax_id
from stripe_sandbox.billing.taxes import find_rates
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, invalid, missing_param
from stripe_sandbox.operations import Call, Operation
from stripe_sandbox.resources.invoice_items import ONE_TIME, one_time_charge, read_item
from stripe_sandbox.resources.prices import RECURRING_AMOUNT, named_price
from stripe_sandbox.resources.subscription_terms import terms_of
from stripe_sandbox.resources.subscription_updates import CHANGED_ITEM, proration_date
from stripe_sandbox.supported import one_of, supports

RATES = "default_tax_rates"


def preview(call: Call) -> Document:
    """Return a preview of a subscription's next invoice, after the given changes.

    A change that is billed at once is previewed alone. Without a subscription it is the first
    invoice of a new one, of a customer who is described.
    """
    if call.get("subscription") is None:
        return _preview_first(call)
    details = call.get("subscription_details", {})
    with call.world.store.rehearsal():
        subscription = call.world.find("subscription", call.get("subscription"), "subscription")
        if call.get("customer", subscription["customer"]) != subscription["customer"]:
            message = "The subscription does not belong to this customer."
            raise invalid(message, param="subscription")
        _add_invoice_items(call, subscription)
        if "default_tax_rates" in details:
            given = details["default_tax_rates"]
            path = f"subscription_details[{RATES}]"
            subscription[RATES] = find_rates(call.world, given, path)
        if told := call.get("automatic_tax"):
            set_automatic_tax(call.world, subscription, enabled=told["enabled"])
            check_automatic_tax(call.world, subscription)
        if "discounts" in call.params:
            replace_discounts(call.world, subscription, subscription, call.params["discounts"])
        if details.get("resume_at"):
            return _preview_resumption(call, subscription)
        if details.get("items"):
            return _preview_change(call, subscription, details)
        return _preview_renewal(call, subscription)


def _preview_first(call: Call) -> Document:
    """Return the first invoice of the customer described, as if they subscribed now."""
    told, items = call.get("customer_details"), call.get("subscription_details", {}).get("items")
    if told is None:
        raise missing_param("customer_details")
    if not items:
        raise missing_param("subscription_details[items]")
    world = call.world
    with world.store.rehearsal():
        customer = add_customer(world, {"address": told.get("address"), **_exemption(told)})
        for given in told.get("tax_ids") or ():
            path = "customer_details[tax_ids]"
            add_tax_id(world, customer, given["type"], given["value"], path)
        terms = terms_of(Call(world, {}, {"items": items}), customer)
        subscription = create_subscription(world, terms, "active")
        enabled = bool(call.get("automatic_tax", {}).get("enabled"))
        set_automatic_tax(world, subscription, enabled=enabled)
        check_automatic_tax(world, subscription)
        replace_discounts(world, subscription, subscription, call.get("discounts"))
        subscription = world.save(subscription)
        _add_invoice_items(call, subscription)
        return preview_immediate(world, subscription, new_period=True)


def _exemption(told: ReadOnly) -> Document:
    return {"tax_exempt": told["tax_exempt"]} if told.get("tax_exempt") else {}


def _add_invoice_items(call: Call, subscription: ReadOnly) -> None:
    """Add the preview's `invoice_items` to the subscription's pending items."""
    customer = call.world.find("customer", subscription["customer"])
    for index, given in enumerate(call.get("invoice_items", [])):
        if "amount" in given:
            owner = {"customer": customer["id"], "subscription": subscription["id"]}
            charge = read_item(Call(call.world, {}, {**given, **owner}), customer)
        else:
            path = f"invoice_items[{index}][price]"
            charge = one_time_charge(call, given, path, subscription)
        add_invoice_item(call.world, customer, charge)


def _preview_change(call: Call, subscription: Document, details: ReadOnly) -> Document:
    world = call.world
    param = "subscription_details[items][price]"
    proration = details.get("proration_behavior") or "create_prorations"
    at = proration_date(subscription, details, world.time_of(subscription))
    bills_now, new_period = change_items(
        world,
        subscription,
        [
            (one, named_price(call, one, param, subscription["currency"]))
            for one in details["items"]
        ],
        proration=proration,
        at=at,
    )
    if details.get("trial_end") == "now" and subscription["status"] == "trialing":
        bills_now = new_period = end_trial(world, subscription, at)
    if bills_now:
        invoice = preview_immediate(world, subscription, new_period=new_period)
    else:
        invoice = _preview_renewal(call, subscription)
    if proration != "none" and subscription["status"] != "trialing":
        invoice["parent"]["subscription_details"]["subscription_proration_date"] = at
    return invoice


def _preview_resumption(call: Call, subscription: Document) -> Document:
    if subscription["status"] != "paused":
        message = "Only the resumption of a paused subscription can be previewed."
        raise invalid(message, param="subscription_details[resume_at]")
    restart_period(subscription, call.world.time_of(subscription))
    return preview_immediate(call.world, subscription, new_period=True)


def _preview_renewal(call: Call, subscription: Document) -> Document:
    if subscription["ended_at"] or subscription["cancel_at_period_end"]:
        customer = subscription["customer"]
        message = f"No upcoming invoices for customer: {customer}"
        raise ApiError(404, message, code="invoice_upcoming_none")
    return preview_invoice(call.world, subscription)


PREVIEWED_ITEM = supports(
    base=CHANGED_ITEM.without("metadata"), price_data=RECURRING_AMOUNT.without("tax_behavior")
)
PREVIEW = supports(
    "customer",
    "discounts",
    "subscription",
    automatic_tax=supports("enabled"),
    customer_details=supports("address", "tax_exempt", "tax_ids"),
    invoice_items=supports("amount", "currency", "description", base=ONE_TIME),
    subscription_details=supports(
        "default_tax_rates",
        "proration_behavior",
        "proration_date",
        items=PREVIEWED_ITEM,
        resume_at=one_of("now"),
        trial_end=one_of("now"),
    ),
)

OPERATIONS = (
    Operation("POST", "/invoices/create_preview", InvoiceCreatePreviewParams, preview, PREVIEW),
)
