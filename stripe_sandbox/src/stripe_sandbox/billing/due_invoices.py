"""Invoices that are sent to be paid until a date (`collection_method=send_invoice`)."""

from stripe_sandbox.billing.invoices import subscription_of
from stripe_sandbox.billing.later import plan_task
from stripe_sandbox.billing.subscriptions import set_status
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

FALLS_DUE = "fall_due"


def is_sent(invoice: ReadOnly) -> bool:
    """Return whether the customer pays the invoice on their own, and nothing is charged."""
    return bool(invoice["collection_method"] == "send_invoice")


def send(world: World, invoice: ReadOnly) -> None:
    """Send an open invoice to its customer, and plan what happens on its due date."""
    world.announce("invoice.sent", invoice)
    due = invoice["due_date"]
    if due is not None:
        clock = world.clock_of(invoice)
        plan_task(world, FALLS_DUE, invoice, max(due - world.now(clock), 0), clock=clock)


def fall_due(world: World, invoice: Document) -> None:
    """Note that an invoice was not paid in time: its subscription is past due."""
    if invoice["status"] != "open":
        return
    world.announce("invoice.overdue", invoice)
    billed = subscription_of(world, invoice)
    if billed and billed["status"] == "active":
        subscription = world.find("subscription", billed["id"])
        set_status(subscription, "past_due")
        world.change(subscription)
