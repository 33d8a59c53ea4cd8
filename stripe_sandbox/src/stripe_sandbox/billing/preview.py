"""Previews of a subscription's next invoice."""

from stripe_sandbox import shapes
from stripe_sandbox.billing.discounts import current_discounts
from stripe_sandbox.billing.invoices import NewInvoice, assemble_invoice, pull_pending_items
from stripe_sandbox.billing.periods import Period, earliest_end, next_end
from stripe_sandbox.billing.subscription_bills import (
    renewal_lines,
    term_lines,
)
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World


def preview_invoice(world: World, subscription: ReadOnly) -> Document:
    """Return a preview of the subscription's next invoice."""
    customer = world.view("customer", subscription["customer"])
    end = earliest_end(subscription)
    ending = _ending(subscription, end)
    renewed = [_next_period(subscription, item) for item in ending]
    ended = {item["id"]: Period(item["current_period_start"], end) for item in ending}
    waiting = pull_pending_items(world, customer, subscription["id"], subscription["currency"])
    bill = NewInvoice(
        customer=customer,
        currency=subscription["currency"],
        reason="upcoming",
        lines=[*waiting, *renewal_lines(world, subscription, renewed, ended)],
        period=(min(item["current_period_start"] for item in ending), end),
        subscription=subscription,
        discounts=tuple(current_discounts(world, subscription, end)),
    )
    return _complete(world, bill, end)


def preview_immediate(world: World, subscription: ReadOnly, *, new_period: bool) -> Document:
    """Return a preview of the invoice that bills a change at once.

    `new_period`: the change has begun a period, which is billed too.
    """
    customer = world.view("customer", subscription["customer"])
    begun = subscription["items"]["data"] if new_period else []
    waiting = pull_pending_items(world, customer, subscription["id"], subscription["currency"])
    now = world.time_of(subscription)
    bill = NewInvoice(
        customer=customer,
        currency=subscription["currency"],
        reason="upcoming",
        lines=[*waiting, *term_lines(world, subscription, begun)],
        period=(now, now),
        subscription=subscription,
        discounts=tuple(current_discounts(world, subscription, now)),
    )
    return _complete(world, bill, now)


def _complete(world: World, bill: NewInvoice, due_at: int) -> Document:
    invoice_id = world.ids.next("upcoming_in")
    return shapes.complete(assemble_invoice(world, bill, invoice_id, due_at=due_at))


def _ending(subscription: ReadOnly, end: int) -> list[Document]:
    return [item for item in subscription["items"]["data"] if item["current_period_end"] == end]


def _next_period(subscription: ReadOnly, item: Document) -> Document:
    start = item["current_period_end"]
    end = next_end(item["price"], subscription["billing_cycle_anchor"], start)
    return {**item, "current_period_start": start, "current_period_end": end}
