"""Invoices made by hand: what they would say, and the draft of one, which is issued on its page."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.console.forms import read_amount
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import BillingError, InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.http.schemas.base import LONGEST_REASON
from mpanel_billing.money import STRIPE_CURRENCIES
from mpanel_billing.search.customer import CustomerPage, read_record
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.manual_invoices import (
    LONGEST_TERM_DAYS,
    MOST_LINES,
    MOST_PIECES,
    ManualInvoice,
    NewLine,
    draft_invoice,
    find_billed,
)
from mpanel_billing.subscriptions.payers import PayerOf

pages = Pages()

_FREE_ROWS = 3
_CELLS = ("description", "quantity", "amount")
_FIELDS = ("subscription", "currency", "days_until_due", "memo", "reason")
_RUNNING = {"pending", "active", "suspended"}

new_invoice = pages.action("new_invoice", "/console/customers/{id}/invoice", scope="billing:change")


@new_invoice.show
async def show_new(visit: Visit, given: Given) -> Page:
    """Show who would be billed, for what, and what happens once the draft is issued."""
    mirror = visit.app[keys.MIRROR]
    shown = await read_record(mirror.pool, given.id)
    rows = _rows(given)
    running = _running(shown)
    values: dict[str, Any] = {
        "customer": shown.customer,
        "running": running,
        "currencies": await _currencies(visit, running),
        "rows": [*rows, *[dict.fromkeys(_CELLS, "")] * _FREE_ROWS][:MOST_LINES],
        "filled": rows,
        **{name: given.text(name) for name in _FIELDS},
        "most_days": LONGEST_TERM_DAYS,
        "longest": LONGEST_REASON,
        "request": None,
        "key": given.form_key,
    }
    if not rows:
        return Page("new_invoice.html", values)
    try:
        request = _request(visit, given, shown)
        payer = await find_billed(mirror, request)
    except BillingError as error:
        return Page("new_invoice.html", {**values, "error": error}, error.status)
    net = sum(line.unit_amount * line.quantity for line in request.lines)
    return Page("new_invoice.html", {**values, "request": request, "payer": payer, "net": net})


@new_invoice.do
async def do_new(visit: Visit, given: Given) -> Done:
    """Make the draft that was shown; the same form once."""
    mirror = visit.app[keys.MIRROR]
    shown = await read_record(mirror.pool, given.id)
    made = await draft_invoice(mirror, _request(visit, given, shown))
    return Done(f"/console/invoices/{made.invoice.id}", "drafted")


def _running(shown: CustomerPage) -> list[Mapping[str, Any]]:
    return [one for one in shown.subscriptions if one["status"] in _RUNNING and one["currency"]]


async def _currencies(visit: Visit, running: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in which currencies the customer may be billed, what they pay in first."""
    mirror = visit.app[keys.MIRROR]
    sold_in = (await read_catalogue(mirror.pool, livemode=mirror.livemode)).currency
    theirs = [one["currency"].lower() for one in running]
    return list(dict.fromkeys([*theirs, sold_in]))


def _rows(given: Given) -> list[dict[str, str]]:
    """Return the lines of the form in which something was entered."""
    rows = [
        {cell: given.text(f"{cell}_{number}") for cell in _CELLS} for number in range(MOST_LINES)
    ]
    return [row for row in rows if row["description"] or row["amount"]]


def _request(visit: Visit, given: Given, shown: CustomerPage) -> ManualInvoice:
    payer = _payer(given, shown)
    days = given.number("days_until_due")
    if days is not None and days > LONGEST_TERM_DAYS:
        raise InvalidRequestError(say("refusal.days_to_pay", n=LONGEST_TERM_DAYS))
    return ManualInvoice(
        visit.actor,
        payer,
        tuple(_line(row, payer.currency, visit.words.language) for row in _rows(given)),
        days_until_due=days,
        memo=given.line("memo", LONGEST_REASON) or None,
        reason=given.line("reason", LONGEST_REASON) or None,
        key=given.text("key") or None,
    )


def _payer(given: Given, shown: CustomerPage) -> PayerOf:
    """Return who is billed: as the chosen subscription is, or else in the chosen currency."""
    named, chosen = CustomerRef(shown.customer["id"]), given.text("subscription")
    if not chosen:
        if given.text("currency") not in STRIPE_CURRENCIES:
            raise InvalidRequestError(say("refusal.no_currency"))
        return PayerOf(named, given.text("currency"))
    for one in _running(shown):
        if str(one["subscription_id"]) == chosen:
            return PayerOf(named, one["currency"].lower(), UUID(chosen))
    raise InvalidRequestError(say("refusal.no_subscription"))


def _line(row: Mapping[str, str], currency: str, language: str) -> NewLine:
    """Read a row of the form; InvalidRequestError."""
    line = Given({}, row)
    amount, quantity = read_amount(row["amount"], currency, language), line.number("quantity")
    description = line.line("description", LONGEST_REASON)
    if not amount or not description:
        raise InvalidRequestError(say("refusal.no_lines"))
    if quantity is not None and not 1 <= quantity <= MOST_PIECES:
        raise InvalidRequestError(say("refusal.no_quantity", n=MOST_PIECES))
    return NewLine(description, amount, 1 if quantity is None else quantity)
