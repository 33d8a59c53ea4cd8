"""The invoices of subscriptions: their lines, the first one, and those of renewals."""

from collections.abc import Iterable, Mapping
from fractions import Fraction

from stripe_sandbox.billing.customer_discounts import drop_inherited, inherited_discounts
from stripe_sandbox.billing.discounts import current_discounts, drop_used_up
from stripe_sandbox.billing.invoices import (
    NewInvoice,
    draft_invoice,
    finalize_invoice,
    pull_pending_items,
)
from stripe_sandbox.billing.lines import (
    NewInvoiceItem,
    add_invoice_item,
    term_lines_of,
    usage_lines_of,
)
from stripe_sandbox.billing.periods import Period, previous_end
from stripe_sandbox.billing.subscriptions import marks_of
from stripe_sandbox.billing.usage import is_metered
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World


def term_lines(
    world: World,
    subscription: ReadOnly,
    items: list[Document],
    *,
    is_trial: bool = False,
    prorates: bool = False,
) -> list[Document]:
    """Return the lines that bill the items' current periods.

    `prorates` bills one that is shorter than an interval in part.
    """
    return [
        line
        for item in items
        for line in term_lines_of(
            world,
            subscription,
            item,
            Period(item["current_period_start"], item["current_period_end"]),
            is_trial=is_trial,
            share=_share(subscription, item) if prorates else Fraction(1),
        )
    ]


def _share(subscription: ReadOnly, item: ReadOnly) -> Fraction:
    """Return which part of an interval lies before a later `billing_cycle_anchor`."""
    start, end = item["current_period_start"], item["current_period_end"]
    if end != subscription["billing_cycle_anchor"]:
        return Fraction(1)
    return min(Fraction(1), Fraction(end - start, end - previous_end(item["price"], end)))


def renewal_lines(
    world: World, subscription: ReadOnly, items: list[Document], ended: Mapping[str, Period]
) -> list[Document]:
    """Return the lines of a renewal: of the period that begins, or what was used in the one ended.

    `ended` are the latter, by the id of their item.
    """
    return [
        line
        for item in items
        for line in (
            usage_lines_of(world, subscription, item, ended[item["id"]])
            if is_metered(item["price"])
            else term_lines(world, subscription, [item])
        )
    ]


def unbilled_usage(world: World, subscription: ReadOnly) -> list[Document]:
    """Return the lines of what has been used in the current periods of metered items."""
    now = world.time_of(subscription)
    return [
        line
        for item in subscription["items"]["data"]
        if is_metered(item["price"])
        for line in usage_lines_of(
            world,
            subscription,
            item,
            Period(item["current_period_start"], min(item["current_period_end"], now)),
        )
    ]


def bill_usage_later(world: World, subscription: ReadOnly, used: Iterable[ReadOnly]) -> None:
    """Let the next invoice bill what has been used; `used` are lines of it."""
    customer = world.find("customer", subscription["customer"])
    for line in used:
        if not line["amount"]:
            continue
        charge = NewInvoiceItem(
            amount=line["amount"],
            currency=line["currency"],
            description=line["description"],
            period=Period(line["period"]["start"], line["period"]["end"]),
            price=world.find("price", line["pricing"]["price_details"]["price"]),
            quantity=line["quantity"],
            subscription=subscription["id"],
            subscription_item=line["parent"]["subscription_item_details"]["subscription_item"],
        )
        world.announce("invoiceitem.created", add_invoice_item(world, customer, charge))


def bill_subscription(
    world: World,
    subscription: Document,
    lines: list[Document],
    *,
    reason: str,
    period_start: int | None = None,
    auto_advance: bool = True,
) -> Document:
    """Draft an invoice of the lines and of pending invoice items.

    The subscription's discounts apply; those for one invoice are used up, even by a zero invoice.
    The invoice becomes the subscription's latest. `period_start` begins the invoice's own period.
    """
    customer = world.view("customer", subscription["customer"])
    waiting = pull_pending_items(world, customer, subscription["id"], subscription["currency"])
    now = world.time_of(subscription)
    own = current_discounts(world, subscription, now)
    inherits = not own and marks_of(world, subscription["id"]).get("inherits_discounts", True)
    inherited = inherited_discounts(customer, now) if inherits else []
    bill = NewInvoice(
        customer=customer,
        currency=subscription["currency"],
        reason=reason,
        lines=[*waiting, *lines],
        period=(period_start or now, now),
        subscription=subscription,
        discounts=(*own, *inherited),
    )
    invoice = draft_invoice(world, bill, auto_advance=auto_advance)
    subscription["latest_invoice"] = invoice["id"]
    drop_used_up(world, subscription, now)
    drop_inherited(world, customer, inherited)
    for item in subscription["items"]["data"]:
        if item["id"] in {_item_of(line) for line in lines}:
            drop_used_up(world, item, now)
    return invoice


def _item_of(line: ReadOnly) -> str | None:
    details = line["parent"]["subscription_item_details"]
    return details["subscription_item"] if details else None


def bill_first_invoice(
    world: World, customer: ReadOnly, subscription: Document, once: list[NewInvoiceItem]
) -> Document:
    """Create and finalize a subscription's first invoice.

    `once` is charged now, even during a trial.
    """
    return finalize_invoice(world, draft_first_invoice(world, subscription, once))


def draft_first_invoice(
    world: World,
    subscription: Document,
    once: list[NewInvoiceItem],
    *,
    bills_term: bool = True,
) -> Document:
    """Create a subscription's first invoice, and save the subscription.

    Until a later `billing_cycle_anchor` its term is prorated, or with `bills_term=False` free.
    """
    customer = world.find("customer", subscription["customer"])
    items = [add_invoice_item(world, customer, charge) for charge in once]
    for item in items:
        world.announce("invoiceitem.created", item)
    is_trial = subscription["status"] == "trialing"
    sold = subscription["items"]["data"] if bills_term else []
    if world.choices.metered_first_line == "none":
        sold = [item for item in sold if not is_metered(item["price"])]
    lines = term_lines(world, subscription, sold, is_trial=is_trial, prorates=not is_trial)
    if world.choices.anchor_line == "proration" and not is_trial:
        _mark_prorations(subscription, lines)
    invoice = bill_subscription(world, subscription, lines, reason="subscription_create")
    world.save(subscription)
    return invoice


def _mark_prorations(subscription: ReadOnly, lines: list[Document]) -> None:
    """Mark the lines of periods that are shorter than an interval as prorations."""
    items = {item["id"]: item for item in subscription["items"]["data"]}
    for line in lines:
        details = line["parent"]["subscription_item_details"]
        details["proration"] = _share(subscription, items[details["subscription_item"]]) < 1
