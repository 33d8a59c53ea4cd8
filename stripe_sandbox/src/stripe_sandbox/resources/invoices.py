"""`/v1/invoices` and `/v1/invoice_payments`."""

from stripe.params import (
    InvoiceAttachPaymentParams,
    InvoiceCreateParams,
    InvoiceDeleteParams,
    InvoiceFinalizeInvoiceParams,
    InvoiceListParams,
    InvoiceMarkUncollectibleParams,
    InvoicePaymentListParams,
    InvoicePaymentRetrieveParams,
    InvoicePayParams,
    InvoiceRetrieveParams,
    InvoiceUpdateParams,
    InvoiceVoidInvoiceParams,
)

from stripe_sandbox.billing.automatic_tax import check_prices
from stripe_sandbox.billing.collection import charge_invoice
from stripe_sandbox.billing.customers import check_owner
from stripe_sandbox.billing.due_invoices import is_sent, send
from stripe_sandbox.billing.dunning import attempt_payment, settle
from stripe_sandbox.billing.invoice_amounts import automatic_tax, tax_again
from stripe_sandbox.billing.invoices import (
    NewInvoice,
    draft_invoice,
    finalize_invoice,
    mark_paid,
    mark_uncollectible,
    pull_pending_items,
    subscription_of,
    void_invoice,
)
from stripe_sandbox.billing.line_taxes import price_of
from stripe_sandbox.billing.partial_payments import attach
from stripe_sandbox.billing.payments import as_api_error
from stripe_sandbox.billing.resumptions import finish_resumption
from stripe_sandbox.billing.taxes import find_rates
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.operations import (
    Call,
    Filter,
    Operation,
    listing,
    retrieve,
)
from stripe_sandbox.resources.invoice_due_dates import is_due, set_due_date
from stripe_sandbox.supported import supports
from stripe_sandbox.world import World

RATES = "default_tax_rates"


def create(call: Call) -> Document:
    """Create a draft, with the pending invoice items of the customer or subscription if asked."""
    world = call.world
    if call.get("customer") is None:
        raise missing_param("customer")
    customer = world.find("customer", call.get("customer"), "customer")
    subscription_id = call.get("subscription")
    subscription = (
        world.find("subscription", subscription_id, "subscription") if subscription_id else None
    )
    currency = call.get("currency") or customer["currency"] or "usd"
    now = world.time_of(customer)
    takes_pending = call.get("pending_invoice_items_behavior") == "include"
    bill = NewInvoice(
        customer=customer,
        currency=currency,
        reason="manual",
        lines=pull_pending_items(world, customer, subscription_id, currency)
        if takes_pending
        else [],
        period=(now, now),
        subscription=subscription,
        collection_method=call.get("collection_method"),
        days_until_due=call.get("days_until_due"),
        automatic_tax=call.get("automatic_tax", {}).get("enabled", False),
        default_tax_rates=tuple(find_rates(world, call.get("default_tax_rates"), RATES)),
    )
    invoice = draft_invoice(world, bill, auto_advance=call.get("auto_advance", False))
    _check_automatic_tax(world, invoice)
    invoice |= {"metadata": call.get("metadata", {}), "description": call.get("description")}
    if method_id := call.get("default_payment_method"):
        check_owner(world, method_id, customer["id"], "default_payment_method")
        invoice["default_payment_method"] = method_id
    set_due_date(call, invoice)
    return world.save(invoice)


def update(call: Call) -> Document:
    """Update an invoice."""
    invoice = call.world.find("invoice", call.id)
    invoice |= call.pick(
        "auto_advance", "collection_method", "description", "footer", "default_payment_method"
    )
    if call.params.keys() & {"collection_method", "days_until_due", "due_date"}:
        set_due_date(call, invoice)
    if "metadata" in call.params:
        invoice["metadata"] = merge_metadata(invoice["metadata"], call.params["metadata"])
    if call.params.keys() & {"automatic_tax", RATES}:
        _change_taxes(call, invoice)
    return call.world.change(invoice)


def _change_taxes(call: Call, invoice: Document) -> None:
    if invoice["status"] != "draft":
        message = "Finalized invoices can't be updated in this way"
        raise invalid(message, param=RATES, code="invoice_not_editable")
    world = call.world
    if RATES in call.params:
        invoice[RATES] = find_rates(world, call.get(RATES), RATES)
    if call.get("automatic_tax"):
        invoice["automatic_tax"] = automatic_tax(enabled=call.get("automatic_tax")["enabled"])
        _check_automatic_tax(world, invoice)
    customer = world.find("customer", invoice["customer"])
    tax_again(world, invoice, customer, subscription_of(world, invoice))


def _check_automatic_tax(world: World, invoice: ReadOnly) -> None:
    if not invoice["automatic_tax"]["enabled"]:
        return
    if invoice[RATES]:
        raise invalid("You cannot use tax rates together with automatic tax.")
    prices = [price_of(world, line) for line in invoice["lines"]["data"]]
    if None in prices and world.choices.unpriced_tax == "refuse":
        raise invalid(
            "An amount without a price cannot be taxed automatically.", param="automatic_tax"
        )
    check_prices(world, [price for price in prices if price])


def delete(call: Call) -> Document:
    """Delete a draft; its invoice items are pending again."""
    world = call.world
    invoice = world.find("invoice", call.id)
    if invoice["status"] != "draft":
        raise invalid("You can only delete draft invoices.")
    for item in list(world.store.where("invoiceitem", "invoice", call.id)):
        world.save({**item, "invoice": None})
    world.store.delete("invoice", call.id)
    world.announce("invoice.deleted", invoice)
    return {"id": call.id, "object": "invoice", "deleted": True}


def finalize(call: Call) -> Document:
    """Finalize a draft, and collect it if it advances automatically."""
    invoice = finalize_invoice(call.world, call.world.find("invoice", call.id))
    advances = call.get("auto_advance", invoice["auto_advance"])
    if invoice["status"] == "open" and advances and is_sent(invoice):
        send(call.world, invoice)
    elif invoice["status"] == "open" and advances:
        attempt_payment(call.world, invoice)
    return call.world.find("invoice", call.id)


def pay(call: Call) -> Document:
    """Pay an invoice now, with the given payment method or the default; 402 if declined."""
    world = call.world
    invoice = world.find("invoice", call.id)
    if invoice["status"] == "paid":
        raise invalid("Invoice is already paid")
    if invoice["status"] == "void":
        raise invalid("This invoice can no longer be paid because it is void.")
    if invoice["status"] == "draft":
        invoice = finalize_invoice(world, invoice)
    if call.get("paid_out_of_band"):
        invoice = mark_paid(world, invoice, out_of_band=True)
        settle(world, invoice, failed=False)
    elif invoice["status"] != "paid":
        _charge(call, invoice)
    return world.find("invoice", call.id)


def _charge(call: Call, invoice: Document) -> None:
    world, method_id = call.world, call.get("payment_method")
    buyer_present = not call.get("off_session", True)
    if method_id is None:
        decline = attempt_payment(world, invoice, manual=True)
    else:
        check_owner(world, method_id, invoice["customer"], "payment_method")
        retried = invoice["attempt_count"] > 0
        decline = charge_invoice(
            world, invoice, method_id, buyer_present=buyer_present, manual=True
        )
        settle(world, invoice, failed=decline is not None, ends_retries=not retried)
    if decline:
        raise as_api_error(world, decline, invoice)


def attach_payment(call: Call) -> Document:
    """Let a payment intent pay an invoice, or a part of it."""
    world, intent_id = call.world, call.get("payment_intent")
    if intent_id is None:
        raise missing_param("payment_intent")
    invoice = world.find("invoice", call.id)
    attach(world, invoice, world.find("payment_intent", intent_id, "payment_intent"))
    return world.find("invoice", call.id)


def void(call: Call) -> Document:
    """Void an invoice."""
    invoice = void_invoice(call.world, call.world.find("invoice", call.id))
    settle(call.world, invoice, failed=False)
    return invoice


def mark_invoice_uncollectible(call: Call) -> Document:
    """Mark an invoice as uncollectible."""
    invoice = mark_uncollectible(call.world, call.world.find("invoice", call.id))
    subscription = subscription_of(call.world, invoice)
    if subscription:
        finish_resumption(call.world, invoice, subscription["id"])
    return invoice


def _has_subscription(invoice: ReadOnly, subscription_id: str) -> bool:
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    return bool(details.get("subscription") == subscription_id)


def _pays_with(payment: ReadOnly, wanted: ReadOnly) -> bool:
    return all(payment["payment"].get(name) == value for name, value in wanted.items())


FILTERS: dict[str, Filter] = {"due_date": is_due, "subscription": _has_subscription}
PATH = "/invoices"
ONE = f"{PATH}/{{id}}"
CREATE = supports(
    "auto_advance",
    "collection_method",
    "default_payment_method",
    "default_tax_rates",
    "days_until_due",
    "due_date",
    "currency",
    "customer",
    "description",
    "metadata",
    "pending_invoice_items_behavior",
    "subscription",
    automatic_tax=supports("enabled"),
)
UPDATE = supports(
    "auto_advance",
    "collection_method",
    "default_tax_rates",
    "days_until_due",
    "due_date",
    "default_payment_method",
    "description",
    "footer",
    "metadata",
    automatic_tax=supports("enabled"),
)
PAY = supports("off_session", "paid_out_of_band", "payment_method")

OPERATIONS = (
    Operation("POST", PATH, InvoiceCreateParams, create, CREATE),
    Operation(
        "GET",
        PATH,
        InvoiceListParams,
        listing("invoice", **FILTERS),
        supports("collection_method", "created", "customer", "due_date", "status", "subscription"),
    ),
    Operation("GET", ONE, InvoiceRetrieveParams, retrieve("invoice")),
    Operation("POST", ONE, InvoiceUpdateParams, update, UPDATE),
    Operation("DELETE", ONE, InvoiceDeleteParams, delete),
    Operation(
        "POST",
        f"{ONE}/finalize",
        InvoiceFinalizeInvoiceParams,
        finalize,
        supports("auto_advance"),
    ),
    Operation("POST", f"{ONE}/pay", InvoicePayParams, pay, PAY),
    Operation(
        "POST",
        f"{ONE}/attach_payment",
        InvoiceAttachPaymentParams,
        attach_payment,
        supports("payment_intent"),
    ),
    Operation("POST", f"{ONE}/void", InvoiceVoidInvoiceParams, void),
    Operation(
        "POST",
        f"{ONE}/mark_uncollectible",
        InvoiceMarkUncollectibleParams,
        mark_invoice_uncollectible,
    ),
    Operation(
        "GET",
        "/invoice_payments",
        InvoicePaymentListParams,
        listing("invoice_payment", payment=_pays_with),
        supports("created", "invoice", "payment", "status"),
    ),
    Operation(
        "GET", "/invoice_payments/{id}", InvoicePaymentRetrieveParams, retrieve("invoice_payment")
    ),
)
