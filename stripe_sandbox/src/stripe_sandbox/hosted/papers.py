"""Papers: invoices, credit notes and quotes as PDF, and the receipt of a payment."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from aiohttp import web

from stripe_sandbox.api import authenticate
from stripe_sandbox.billing.discounts import coupon_of
from stripe_sandbox.billing.quotes import lines_of
from stripe_sandbox.documents import ReadOnly, id_of
from stripe_sandbox.errors import ApiError, invalid
from stripe_sandbox.hosted.checkout import HEADERS, html_response
from stripe_sandbox.hosted.html import not_found, render_page
from stripe_sandbox.hosted.language import Language, language_of
from stripe_sandbox.money import format_amount
from stripe_sandbox.pdf import Row, render
from stripe_sandbox.world import World

BLANK = Row()
TITLE_SIZE = 18


class PaperPages:
    """Serves `/i/{id}/pdf`, `/credit_notes/{id}/pdf`, `/v1/quotes/{id}/pdf`, `/receipts/{id}`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/i/{id}/pdf", self.print_invoice)
        app.router.add_get("/credit_notes/{id}/pdf", self.print_note)
        app.router.add_get("/v1/quotes/{id}/pdf", self.print_quote)
        app.router.add_get("/receipts/{id}", self.show_receipt)

    async def print_invoice(self, request: web.Request) -> web.Response:
        """Return a finalized invoice as PDF."""
        invoice = self._world.store.peek("invoice", request.match_info["id"])
        if invoice is None or invoice["status"] == "draft":
            return html_response(404, not_found(language_of(request)))
        title = f"Invoice {invoice['number']}"
        return _pdf_response(title, render(title, self._invoice(invoice, title)))

    async def print_note(self, request: web.Request) -> web.Response:
        """Return a credit note as PDF."""
        note = self._world.store.peek("credit_note", request.match_info["id"])
        if note is None:
            return html_response(404, not_found(language_of(request)))
        title = f"Credit note {note['number']}"
        return _pdf_response(title, render(title, self._note(note, title)))

    async def print_quote(self, request: web.Request) -> web.Response:
        """Return a finalized quote as PDF to a client with a key."""
        try:
            authenticate(request)
            quote = self._world.find("quote", request.match_info["id"])
            _refuse_draft(quote)
        except ApiError as error:
            return web.json_response(error.body, status=error.status)
        title = f"Quote {quote['number']}"
        return _pdf_response(title, render(title, self._quote(quote, title)))

    async def show_receipt(self, request: web.Request) -> web.Response:
        """Show what was paid, with what, and what has come back."""
        charge = self._world.store.peek("charge", request.match_info["id"])
        if charge is None or not charge["paid"]:
            return html_response(404, not_found(language_of(request)))
        language = language_of(request)
        page = render_page(language, language.say("receipt"), _receipt(language, charge))
        return html_response(200, page)

    def _invoice(self, invoice: ReadOnly, title: str) -> Iterable[Row]:
        currency = invoice["currency"]
        yield from _head(title, invoice, invoice["status_transitions"]["finalized_at"])
        if invoice["due_date"]:
            yield Row(f"Date due: {_day(invoice['due_date'])}")
        yield BLANK
        yield from _bill_to(invoice)
        for line in invoice["lines"]["data"]:
            yield _amount(_line(line), line["amount"], currency)
        yield BLANK
        yield from self._sums(invoice)
        yield _amount("Amount paid", -invoice["amount_paid"], currency)
        yield _amount("Amount due", invoice["amount_remaining"], currency, bold=True)
        for text in (invoice["description"], invoice["footer"]):
            yield from [BLANK, Row(text)] if text else []

    def _note(self, note: ReadOnly, title: str) -> Iterable[Row]:
        invoice = self._world.find("invoice", str(id_of(note["invoice"])))
        yield from _head(title, note, note["effective_at"] or note["created"])
        yield Row(f"For invoice {invoice['number']}")
        yield BLANK
        yield from _bill_to(invoice)
        for line in note["lines"]["data"]:
            yield _amount(line["description"] or "", line["amount"], note["currency"])
        yield BLANK
        yield from self._sums(note, "discount_amounts")

    def _quote(self, quote: ReadOnly, title: str) -> Iterable[Row]:
        currency = quote["currency"]
        yield from _head(title, quote, quote["status_transitions"]["finalized_at"])
        yield Row(f"Valid until: {_day(quote['expires_at'])}")
        yield BLANK
        customer = self._world.store.peek("customer", str(id_of(quote["customer"]))) or {}
        yield from (Row(customer[name]) for name in ("name", "email") if customer.get(name))
        for text in (quote["header"], quote["description"]):
            yield from [BLANK, Row(text)] if text else []
        yield BLANK
        for line in lines_of(self._world, quote):
            name = f"{line['quantity']} x {line['description']}"
            yield _amount(name, line["amount_total"], currency)
        yield _amount("Total", quote["amount_total"], currency, bold=True)
        yield from [BLANK, Row(quote["footer"])] if quote["footer"] else []

    def _sums(self, paper: ReadOnly, discounts: str = "total_discount_amounts") -> Iterable[Row]:
        """Return the subtotal, the discounts, the taxes and the total."""
        currency = paper["currency"]
        yield _amount("Subtotal", paper["subtotal"], currency)
        for taken in paper[discounts] or []:
            coupon = coupon_of(self._world, str(id_of(taken["discount"])))
            name = f"Discount ({coupon['name'] or coupon['id']})"
            yield _amount(name, -taken["amount"], currency)
        for tax in paper["total_taxes"] or []:
            yield _amount(self._tax_name(tax), tax["amount"], currency)
        yield _amount("Total", paper["total"], currency, bold=True)

    def _tax_name(self, tax: ReadOnly) -> str:
        details = tax["tax_rate_details"] or {}
        rate = self._world.store.peek("tax_rate", str(id_of(details.get("tax_rate"))))
        included = ", included" if tax["tax_behavior"] == "inclusive" else ""
        if rate is None:
            return f"Tax{included}"
        return f"{rate['display_name']} ({rate['percentage']:g}%{included})"


def _refuse_draft(quote: ReadOnly) -> None:
    if quote["number"] is None:
        raise invalid("This quote is a draft: only a finalized quote has a PDF.")


def _pdf_response(title: str, body: bytes) -> web.Response:
    name = title.replace(" ", "-")
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}.pdf"'}
    return web.Response(body=body, content_type="application/pdf", headers=headers)


def _head(title: str, paper: ReadOnly, moment: int | None) -> Iterable[Row]:
    yield Row(title, font="bold", size=TITLE_SIZE)
    yield BLANK
    yield Row(f"From: {paper.get('account_name') or 'Sandbox'}")
    yield Row(f"Date of issue: {_day(moment or paper['created'])}")


def _bill_to(invoice: ReadOnly) -> Iterable[Row]:
    yield Row("Bill to", font="bold")
    address = invoice["customer_address"] or {}
    parts = ("line1", "line2", "postal_code", "city", "state", "country")
    texts = [invoice["customer_name"], *(address.get(part) for part in parts)]
    texts += [f"{one['type']} {one['value']}" for one in invoice["customer_tax_ids"] or []]
    yield from (Row(text) for text in [*texts, invoice["customer_email"]] if text)
    yield BLANK


def _line(line: ReadOnly) -> str:
    period = line["period"]
    if period["start"] == period["end"]:
        return str(line["description"])
    return f"{line['description']}, {_day(period['start'])} to {_day(period['end'])}"


def _amount(name: str, amount: int, currency: str, *, bold: bool = False) -> Row:
    return Row(name, format_amount(amount, currency), "bold" if bold else "plain")


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%-d %B %Y")


def _receipt(language: Language, charge: ReadOnly) -> str:
    currency, say = charge["currency"], language.say
    rows = [(say("receipt.paid"), language.amount(charge["amount"], currency))]
    if charge["amount_refunded"]:
        refunded = language.amount(-charge["amount_refunded"], currency)
        rows.append((say("receipt.refunded"), refunded))
    rows += [
        (say("receipt.day"), language.day(charge["created"])),
        (say("receipt.method"), _method(language, charge["payment_method_details"])),
        (say("receipt.number"), str(charge["receipt_number"] or charge["id"])),
    ]
    cells = (
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>'
        for name, text in rows
    )
    reason = language.line(charge["description"])
    return f"<p>{escape(reason)}</p><table>{''.join(cells)}</table>"


def _method(language: Language, details: ReadOnly) -> str:
    facts = details[details["type"]]
    name = facts.get("brand") or language.say(f"method.{details['type']}")
    return f"{name} {facts['last4']}" if facts.get("last4") else str(name)
