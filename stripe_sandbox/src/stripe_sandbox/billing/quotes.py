"""Quotes: drafted, finalized, then accepted, which makes a subscription or an invoice."""

from collections.abc import Callable, Iterable
from typing import Any

from stripe_sandbox.billing.invoices import NewInvoice, draft_invoice, pull_pending_items
from stripe_sandbox.billing.lines import NewInvoiceItem, add_invoice_item
from stripe_sandbox.billing.periods import DAY, Period
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

KIND = "quote"
LINES = "_offered_lines"
"""Kind of the stored line items of a quote or a payment link."""

LIFETIME = 30 * DAY
Subscribe = Callable[[ReadOnly, list[Document], list[Document]], Document]
"""Makes the subscription of a quote: of these items, with these charges beside them."""


def make_quote(world: World, said: Document, lines: list[Document]) -> Document:
    """Store a draft of a quote over the line items."""
    now = world.time_of(said)
    upfront = _totals(lines)
    recurring = [line for line in lines if line["price"]["recurring"]]
    given = {name: value for name, value in said.items() if value is not None}
    return world.add(
        {
            "collection_method": "charge_automatically",
            "expires_at": now + LIFETIME,
            **given,
            "id": world.ids.next("qt"),
            "object": KIND,
            "amount_subtotal": upfront["amount_subtotal"],
            "amount_total": upfront["amount_total"],
            "automatic_tax": {"enabled": False},
            "computed": {
                "recurring": _recurring(recurring),
                "upfront": {**upfront, "line_items": None},
            },
            "created": now,
            "currency": lines[0]["currency"],
            "default_tax_rates": [],
            "discounts": [],
            "invoice_settings": {"issuer": {"type": "self"}},
            "livemode": False,
            "status": "draft",
            "status_transitions": {},
            "subscription_data": {"billing_mode": {"type": "flexible"}},
            "test_clock": world.clock_of(said),
            "total_details": upfront["total_details"],
        }
    )


def _totals(lines: Iterable[ReadOnly]) -> dict[str, Any]:
    listed = list(lines)
    sums = {
        name: sum(line[name] for line in listed)
        for name in ("amount_subtotal", "amount_total", "amount_discount", "amount_tax")
    }
    details = {
        "amount_discount": sums.pop("amount_discount"),
        "amount_shipping": 0,
        "amount_tax": sums.pop("amount_tax"),
    }
    return {**sums, "total_details": details}


def _recurring(lines: list[Document]) -> Document | None:
    if not lines:
        return None
    term = lines[0]["price"]["recurring"]
    shown = {"interval": term["interval"], "interval_count": term["interval_count"]}
    return {**_totals(lines), **shown}


def set_status(quote: Document, status: str, allowed: frozenset[str], verb: str) -> None:
    """Set the status; raises ApiError unless the quote's is one of those allowed."""
    if quote["status"] not in allowed:
        listed = ", ".join(sorted(allowed))
        message = (
            f"This quote could not be {verb} because it has a status of {quote['status']}. Only "
            f"quotes with one of the following statuses may be {verb}: {listed}."
        )
        raise invalid(message)
    quote["status"] = status


def finalize_quote(world: World, quote: Document, expires_at: int | None) -> Document:
    """Open a draft for its customer to accept."""
    set_status(quote, "open", frozenset({"draft"}), "finalized")
    if expires_at is not None:
        quote["expires_at"] = expires_at
    quote["number"] = f"QT-{world.ids.letters(8).upper()}-0001-1"
    quote["status_transitions"]["finalized_at"] = world.time_of(quote)
    quote = world.save(quote)
    world.announce("quote.finalized", quote)
    return quote


def accept_quote(world: World, quote: Document, subscribe: Subscribe) -> Document:
    """Accept an open quote and make what it offers."""
    set_status(quote, "accepted", frozenset({"open"}), "accepted")
    if quote["customer"] is None:
        raise invalid("A quote needs a customer to be accepted.", param="customer")
    quote["status_transitions"]["accepted_at"] = world.time_of(quote)
    lines = lines_of(world, quote)
    recurs = [one for one in lines if one["price"]["recurring"]]
    once = [one for one in lines if not one["price"]["recurring"]]
    if recurs:
        made = subscribe(quote, [_sold(one) for one in recurs], [_sold(one) for one in once])
        quote |= {"subscription": made["id"], "invoice": made["latest_invoice"]}
    else:
        quote["invoice"] = _bill(world, quote, once)
    quote = world.save(quote)
    world.announce("quote.accepted", quote)
    return quote


def lines_of(world: World, quote: ReadOnly) -> list[ReadOnly]:
    """Return the line items of a quote."""
    held = world.store.peek(LINES, quote["id"]) or {"line_items": []}
    lines: list[ReadOnly] = held["line_items"]
    return lines


def _sold(line: ReadOnly) -> Document:
    return {"price": line["price"]["id"], "quantity": line["quantity"]}


def _bill(world: World, quote: ReadOnly, lines: list[ReadOnly]) -> str:
    """Draft an invoice of what is charged once."""
    customer, now = world.find("customer", quote["customer"]), world.time_of(quote)
    for line in lines:
        item = NewInvoiceItem(
            amount=line["amount_subtotal"],
            currency=line["currency"],
            description=line["description"],
            period=Period(now, now),
            price=line["price"],
            quantity=line["quantity"],
        )
        world.announce("invoiceitem.created", add_invoice_item(world, customer, item))
    bill = NewInvoice(
        customer=customer,
        currency=quote["currency"],
        reason="manual",
        lines=pull_pending_items(world, customer, None, quote["currency"]),
        period=(now, now),
        collection_method=quote["collection_method"],
    )
    return str(draft_invoice(world, bill, auto_advance=False)["id"])
