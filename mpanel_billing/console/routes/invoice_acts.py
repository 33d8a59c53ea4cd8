"""What is done about an invoice as it stands: collect it, note that it was paid, write it off."""

from collections.abc import Mapping
from typing import NamedTuple

from mpanel_billing.access.key import Scope
from mpanel_billing.console.forms import read_hidden_number
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.errors import ConflictError
from mpanel_billing.http import keys
from mpanel_billing.subscriptions.invoice_actions import (
    InvoiceRequest,
    Verb,
    act,
    get_details,
    require_possible,
)
from mpanel_billing.subscriptions.invoice_records import Invoice
from mpanel_billing.subscriptions.lookup import CustomerRef, get_invoice

pages = Pages()


class _Act(NamedTuple):
    """An action by its word in the address, what Stripe is asked for, and who may."""

    word: str
    verb: Verb
    scope: Scope
    is_dangerous: bool = False


_ACTS: Mapping[str, _Act] = {
    "finalize_invoice": _Act("finalize", "finalize_invoice", "billing:change"),
    "pay_invoice": _Act("pay", "pay_invoice", "billing:change"),
    "mark_paid": _Act("mark-paid", "mark_paid", "billing:refund"),
    "write_off": _Act("write-off", "mark_uncollectible", "billing:refund", is_dangerous=True),
    "void_invoice": _Act("void", "void_invoice", "billing:refund", is_dangerous=True),
    "delete_invoice": _Act("delete", "delete_invoice", "billing:change", is_dangerous=True),
}


def list_possible(invoice: Invoice) -> list[str]:
    """Return the names of the actions that the invoice allows as it is."""
    possible = []
    for name, one in _ACTS.items():
        try:
            require_possible(invoice, one.verb)
        except ConflictError:
            continue
        possible.append(name)
    return possible


def _declare(name: str, asked: _Act) -> None:
    action = pages.action(name, f"/console/invoices/{{id}}/{asked.word}", scope=asked.scope)

    @action.show
    async def show(visit: Visit, given: Given) -> Page:
        mirror = visit.app[keys.MIRROR]
        invoice = await get_invoice(mirror, given.id, CustomerRef())
        require_possible(invoice, asked.verb)
        is_issued = asked.verb == "finalize_invoice"
        values = {
            "invoice": invoice,
            "sums": (await get_details(mirror, given.id, CustomerRef())).sums
            if is_issued
            else None,
            "act": name,
            "is_dangerous": asked.is_dangerous,
            "reason": given.text("reason"),
            "needs_reason": asked.verb == "mark_paid",
            "key": given.form_key,
        }
        return Page("invoice_act.html", values)

    @action.do
    async def do(visit: Visit, given: Given) -> Done:
        mirror = visit.app[keys.MIRROR]
        invoice = await get_invoice(
            mirror, given.id, CustomerRef(), or_deleted=asked.verb == "delete_invoice"
        )
        await act(mirror, _request(visit, given, invoice, asked.verb))
        place = f"customers/{invoice.customer_id}" if asked.word == "delete" else None
        return Done(f"/console/{place or f'invoices/{given.id}'}", f"invoice_{asked.word}")


def _request(visit: Visit, given: Given, invoice: Invoice, verb: Verb) -> InvoiceRequest:
    reason = given.reason() if verb == "mark_paid" else given.optional_reason()
    return InvoiceRequest(
        visit.actor,
        verb,
        given.id,
        CustomerRef(invoice.customer_id),
        reason=reason,
        key=given.text("key") or None,
        owed=read_hidden_number(given.text("owed")),
    )


for _name, _one in _ACTS.items():
    _declare(_name, _one)
