"""A customer on one page, and money given back to them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, get_args

from mpanel_billing.console.forms import read_amount, write_amount
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.routes.invoice_acts import list_possible
from mpanel_billing.console.routes.money import read_shown
from mpanel_billing.console.stories import read_story
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import InvalidRequestError, StripeError
from mpanel_billing.http import keys
from mpanel_billing.search.customer import (
    MOST_INVOICES,
    MOST_PAYMENTS,
    MOST_SUBSCRIPTIONS,
    CustomerPage,
    read_money,
    read_record,
)
from mpanel_billing.search.notes import LONGEST as LONGEST_NOTE
from mpanel_billing.search.notes import add_note, list_notes
from mpanel_billing.search.work_lists import with_objects
from mpanel_billing.subscriptions.disputes import list_latest
from mpanel_billing.subscriptions.invoice_actions import get_details
from mpanel_billing.subscriptions.invoice_records import Invoice
from mpanel_billing.subscriptions.lookup import (
    CustomerRef,
    find_subscription_of,
    get_invoice,
    list_balances,
)
from mpanel_billing.subscriptions.money_back import list_notes_of, list_refunds_of
from mpanel_billing.subscriptions.owned_domains import list_domains
from mpanel_billing.subscriptions.paging import Span
from mpanel_billing.subscriptions.refunds import (
    Reason,
    RequestedRefund,
    preview_refund,
    refund_invoice,
)

pages = Pages()

MOST_DISPUTES = 10
MOST_DOMAINS = 20
MOST_TOLD = 5
"""Subscriptions whose story a customer's page has; each has a page with all of its own."""

REASONS: tuple[Reason, ...] = get_args(Reason)


@pages.page("/console/customers/{id}", scope="admin:read")
async def show_customer(visit: Visit, given: Given) -> Page:
    """Show all of a customer; what they pay only to a key that may read it."""
    pool = visit.app[keys.POOL]
    shown = await read_record(pool, given.id)
    told = [row["subscription_id"] for row in shown.subscriptions[:MOST_TOLD]]
    erased_at = shown.customer["erased_at"]
    values: dict[str, Any] = {
        "customer": shown.customer,
        "erased_at": datetime.fromisoformat(erased_at) if erased_at else None,
        "shown": shown,
        "trouble": await with_objects(pool, shown.trouble),
        "domains": await _domains(visit, shown),
        "notes": await list_notes(pool, shown.customer["id"]),
        "longest_note": LONGEST_NOTE,
        "story": await read_story(visit, told),
        "is_told_in_part": len(shown.subscriptions) > MOST_TOLD,
        "most": {
            "subscriptions": MOST_SUBSCRIPTIONS,
            "invoices": MOST_INVOICES,
            "payments": MOST_PAYMENTS,
            "domains": MOST_DOMAINS,
        },
        "money": None,
    }
    if visit.may("billing:read"):
        values |= await _read_money(visit, shown)
        values |= await _read_disputes(visit, shown)
    return Page("customer.html", values)


async def _domains(visit: Visit, shown: CustomerPage) -> Sequence[object]:
    """Return the latest domains that they have, or had."""
    named = CustomerRef(shown.customer["id"])
    return await list_domains(visit.app[keys.MIRROR], named, None, Span(MOST_DOMAINS))


async def _read_money(visit: Visit, shown: CustomerPage) -> dict[str, Any]:
    mirror, customer_id = visit.app[keys.MIRROR], shown.customer["id"]
    named = CustomerRef(customer_id)
    return {
        "money": await read_money(mirror.pool, customer_id),
        "balances": [one for one in await list_balances(mirror, named) if one.balance],
    }


async def _read_disputes(visit: Visit, shown: CustomerPage) -> dict[str, Any]:
    """Return the latest disputes; with many subscriptions those that wait for an answer.

    All of them are found through all of their payments: that is for a page of its own.
    """
    only_open = len(shown.subscriptions) == MOST_SUBSCRIPTIONS
    named = CustomerRef(shown.customer["id"])
    rows = await list_latest(visit.app[keys.MIRROR], named, MOST_DISPUTES + 1, only_open=only_open)
    return {
        "disputes": rows[:MOST_DISPUTES],
        "only_open_disputes": only_open,
        "more_disputes": only_open or len(rows) > MOST_DISPUTES,
    }


note = pages.action("note", "/console/customers/{id}/note", scope="admin:operate")


@note.show
async def show_note(visit: Visit, given: Given) -> Page:
    """Show the form of a note; it is on the customer's page, too."""
    values = {"customer_id": given.id, "body": given.text("body"), "longest_note": LONGEST_NOTE}
    return Page("note.html", values)


@note.do
async def do_note(visit: Visit, given: Given) -> Done:
    """Note something about a customer."""
    body = given.text("body")
    if not 1 <= len(body) <= LONGEST_NOTE:
        raise InvalidRequestError(say("refusal.no_note", n=LONGEST_NOTE))
    await add_note(visit.app[keys.POOL], given.id, body, visit.actor)
    return Done(f"/console/customers/{given.id}", "noted")


@pages.page("/console/invoices/{id}", scope="billing:read")
async def show_invoice(visit: Visit, given: Given) -> Page:
    """Show an invoice, and what was given back of it; of a draft what Stripe has added up."""
    mirror, nobody = visit.app[keys.MIRROR], CustomerRef()
    invoice = await get_invoice(mirror, given.id, nobody)
    values: dict[str, Any] = {
        "invoice": invoice,
        "refunds": await list_refunds_of(mirror, given.id, nobody),
        "notes": await list_notes_of(mirror, given.id, nobody),
        "possible": list_possible(invoice),
        "sums": None,
    }
    if invoice.stripe_status != "draft":
        return Page("invoice.html", values)
    try:
        values["sums"] = (await get_details(mirror, given.id, nobody)).sums
    except StripeError as error:
        values["error"] = error
    return Page("invoice.html", values)


refund = pages.action("refund", "/console/invoices/{id}/refund", scope="billing:refund")


@refund.show
async def show_refund(visit: Visit, given: Given) -> Page:
    """Show what a refund of an amount, or of all that is left, gives back."""
    mirror = visit.app[keys.MIRROR]
    invoice = await get_invoice(mirror, given.id, CustomerRef())
    values = {
        "invoice": invoice,
        "subscription": await find_subscription_of(mirror, invoice),
        "reasons": REASONS,
        "reason": given.text("reason"),
        "amount": given.text("amount"),
        "preview": None,
        "key": given.form_key,
    }
    try:
        preview = await preview_refund(mirror, _request(visit, given, invoice, None))
    except InvalidRequestError as error:
        return Page("refund.html", {**values, "error": error}, error.status)
    amount = write_amount(preview.amount, preview.currency, visit.words.language)
    return Page("refund.html", {**values, "preview": preview, "amount": amount})


@refund.do
async def do_refund(visit: Visit, given: Given) -> Done:
    """Refund exactly the amount that was shown; the same form once, however often it is sent."""
    mirror = visit.app[keys.MIRROR]
    invoice = await get_invoice(mirror, given.id, CustomerRef())
    if not given.text("amount"):
        raise InvalidRequestError(say("refusal.amount_missing"))
    asked = _request(visit, given, invoice, given.text("key") or None)
    await refund_invoice(mirror, replace(asked, shown=read_shown(given)))
    return Done(f"/console/invoices/{given.id}", "refunded")


def _request(visit: Visit, given: Given, invoice: Invoice, key: str | None) -> RequestedRefund:
    reason = next((one for one in REASONS if one == given.text("reason")), None)
    return RequestedRefund(
        visit.actor,
        given.id,
        CustomerRef(invoice.customer_id),
        amount=read_amount(given.text("amount"), invoice.currency, visit.words.language),
        reason=reason,
        key=key,
    )
