"""Money other than refunds: credit notes, and balances at Stripe."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.console.forms import read_amount, read_hidden_number, write_amount
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import BillingError, InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.http.schemas.base import LONGEST_REASON
from mpanel_billing.money import STRIPE_CURRENCIES
from mpanel_billing.search.customer import read_record
from mpanel_billing.subscriptions.balances import (
    BalanceRequest,
    History,
    Move,
    change_balance,
    get_history,
    preview_balance,
)
from mpanel_billing.subscriptions.credit_notes import (
    NoteReason,
    RequestedNote,
    To,
    issue_note,
    preview_note,
)
from mpanel_billing.subscriptions.invoice_records import Invoice
from mpanel_billing.subscriptions.lookup import CustomerRef, find_subscription_of, get_invoice
from mpanel_billing.subscriptions.money_back import Shown
from mpanel_billing.subscriptions.payers import PayerOf

pages = Pages()

DESTINATIONS: tuple[To, ...] = get_args(To)
NOTE_REASONS: tuple[NoteReason, ...] = get_args(NoteReason)
MOVES: tuple[Move, ...] = get_args(Move)
MOST_MOVEMENTS = 30
LONGEST_BALANCE_REASON = 350
"""At Stripe."""

credit = pages.action("credit_note", "/console/invoices/{id}/credit", scope="billing:refund")


@credit.show
async def show_credit(visit: Visit, given: Given) -> Page:
    """Show the credit note that Stripe would issue, of an amount or of all that is left."""
    mirror = visit.app[keys.MIRROR]
    invoice = await get_invoice(mirror, given.id, CustomerRef())
    asked = {name: given.text(name) for name in ("amount", "to", "reason", "memo")}
    values: dict[str, Any] = {
        "invoice": invoice,
        "subscription": await find_subscription_of(mirror, invoice),
        "is_paid": invoice.stripe_status == "paid",
        "destinations": DESTINATIONS,
        "reasons": NOTE_REASONS,
        **asked,
        "preview": None,
        "key": given.form_key,
    }
    try:
        preview = await preview_note(mirror, _note(visit, given, invoice, None))
    except InvalidRequestError as error:
        return Page("credit_note.html", {**values, "error": error}, error.status)
    amount = write_amount(preview.amount, preview.currency, visit.words.language)
    values["invoice"] = await get_invoice(mirror, given.id, CustomerRef())
    return Page("credit_note.html", {**values, "preview": preview, "amount": amount})


@credit.do
async def do_credit(visit: Visit, given: Given) -> Done:
    """Issue exactly the credit note that was shown; the same form once."""
    mirror = visit.app[keys.MIRROR]
    invoice = await get_invoice(mirror, given.id, CustomerRef())
    if not given.text("amount"):
        raise InvalidRequestError(say("refusal.amount_missing"))
    asked = _note(visit, given, invoice, given.text("key") or None)
    await issue_note(mirror, replace(asked, shown=read_shown(given)))
    return Done(f"/console/invoices/{given.id}", "credited")


def _note(visit: Visit, given: Given, invoice: Invoice, key: str | None) -> RequestedNote:
    chosen = next((one for one in DESTINATIONS if one == given.text("to")), DESTINATIONS[0])
    return RequestedNote(
        visit.actor,
        given.id,
        CustomerRef(invoice.customer_id),
        amount=read_amount(given.text("amount"), invoice.currency, visit.words.language),
        to=chosen if invoice.stripe_status == "paid" else None,
        reason=next((one for one in NOTE_REASONS if one == given.text("reason")), None),
        memo=given.line("memo", LONGEST_REASON) or None,
        key=key,
    )


def read_shown(given: Given) -> Shown:
    """Return what the page has shown of the invoice of which something is given back."""
    kept, remaining = (read_hidden_number(given.text(name)) for name in ("kept", "remaining"))
    return Shown(kept, remaining)


balance = pages.action("balance", "/console/customers/{id}/balance", scope="billing:refund")


@balance.show
async def show_balance(visit: Visit, given: Given) -> Page:
    """Show a customer's balances and what moved them, and what another move would make of one."""
    mirror = visit.app[keys.MIRROR]
    history = await get_history(mirror, CustomerRef(given.id))
    currencies = await _currencies(visit, given, history)
    values: dict[str, Any] = {
        "customer_id": given.id,
        "history": history,
        "movements": history.movements[:MOST_MOVEMENTS],
        "currencies": currencies,
        "currency": given.text("currency") or currencies[0],
        "moves": MOVES,
        "move": given.text("move"),
        "amount": given.text("amount"),
        "reason": given.text("reason"),
        "longest": LONGEST_BALANCE_REASON,
        "preview": None,
        "key": given.form_key,
    }
    if not values["amount"] and not values["reason"]:
        return Page("balance.html", values)
    try:
        preview = await preview_balance(mirror, _move(visit, given))
    except BillingError as error:
        return Page("balance.html", {**values, "error": error}, error.status)
    return Page("balance.html", {**values, "preview": preview})


async def _currencies(visit: Visit, given: Given, history: History) -> Sequence[str]:
    """Return in which currencies there can be a balance: those of what they have, or the shop's."""
    mirror = visit.app[keys.MIRROR]
    paid = [one["currency"] for one in (await read_record(mirror.pool, given.id)).subscriptions]
    theirs = [one.lower() for one in (*(one.currency for one in history.balances), *paid) if one]
    if theirs:
        return list(dict.fromkeys(theirs))
    return [(await read_catalogue(mirror.pool, livemode=mirror.livemode)).currency]


@balance.do
async def do_balance(visit: Visit, given: Given) -> Done:
    """Move the balance as it was shown; the same form once."""
    before = read_hidden_number(given.text("before"))
    await change_balance(visit.app[keys.MIRROR], replace(_move(visit, given), before=before))
    return Done(f"/console/customers/{given.id}/balance", "balance_moved")


def _move(visit: Visit, given: Given) -> BalanceRequest:
    currency, reason = given.text("currency"), given.line("reason", LONGEST_BALANCE_REASON)
    if currency not in STRIPE_CURRENCIES:
        raise InvalidRequestError(say("refusal.no_currency"))
    amount = read_amount(given.text("amount"), currency, visit.words.language)
    if not amount or not reason:
        raise InvalidRequestError(say("refusal.amount_and_reason"))
    move: Move = "take" if given.text("move") == "take" else "add"
    key = given.text("key") or None
    return BalanceRequest(
        visit.actor, PayerOf(CustomerRef(given.id), currency), move, amount, reason, key
    )
