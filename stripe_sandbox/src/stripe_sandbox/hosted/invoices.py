"""The hosted invoice page, which takes a payment while the invoice is open."""

from collections.abc import Mapping
from html import escape

from aiohttp import web

from stripe_sandbox.billing.buyers import keep_instrument, refusal
from stripe_sandbox.billing.confirmations import confirm
from stripe_sandbox.billing.payment_intents import refuse_unpayable
from stripe_sandbox.billing.payments import intent_of, open_payment, payment_of
from stripe_sandbox.cards import AUTHENTICATION
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError
from stripe_sandbox.hosted.card_form import read_buyer
from stripe_sandbox.hosted.checkout import html_response
from stripe_sandbox.hosted.html import alert, card_fields, not_found, render_page
from stripe_sandbox.hosted.language import Language, language_of
from stripe_sandbox.hosted.problems import FormError, problems_of
from stripe_sandbox.world import World


class InvoicePages:
    """Serves `/i/{id}`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/i/{id}", self.show)
        app.router.add_post("/i/{id}", self.pay)

    async def show(self, request: web.Request) -> web.Response:
        """Show an invoice's line items and the amount due, with a form to pay an open one."""
        invoice = self._world.store.peek("invoice", request.match_info["id"])
        if invoice is None or invoice["status"] == "draft":
            return html_response(404, not_found(language_of(request)))
        return html_response(200, _page(language_of(request), invoice))

    async def pay(self, request: web.Request) -> web.Response:
        """Pay an open invoice with a new card, which the customer keeps."""
        invoice = self._world.store.get("invoice", request.match_info["id"])
        language = language_of(request)
        if invoice is None or invoice["status"] == "draft":
            return html_response(404, not_found(language))
        if invoice["status"] != "open":
            return html_response(410, _page(language, invoice))
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            with self._world.store.transaction():
                waits_at = self._take_payment(invoice, form)
        except (FormError, ApiError) as error:
            page = _page(language, invoice, problems_of(language, error))
            return html_response(400 if isinstance(error, FormError) else 402, page)
        raise web.HTTPSeeOther(waits_at or request.path)

    def _take_payment(self, invoice: Document, form: dict[str, str]) -> str | None:
        """Charge a card; return the page of its bank if that asks for 3D Secure.

        A declined card is not kept, and its attempt leaves no trace.
        """
        world = self._world
        buyer = read_buyer(form, world.time_of(invoice))
        method_id = keep_instrument(world, buyer, invoice["customer_email"])
        payment = payment_of(world, invoice["id"]) or open_payment(world, invoice)
        intent = intent_of(world, payment)
        refuse_unpayable(intent)
        page = f"{world.base_url}/i/{invoice['id']}"
        decline = confirm(world, intent, method_id, off_session=False, return_url=page)
        if decline is AUTHENTICATION:
            return f"/3ds/{intent['id']}"
        if decline:
            raise refusal(decline)
        return None


def _page(language: Language, invoice: ReadOnly, problems: Mapping[str, str] | None = None) -> str:
    form = ""
    if invoice["status"] == "open":
        due = language.amount(invoice["amount_remaining"], invoice["currency"])
        form = f"""<form method="post">
{card_fields(language, problems or {})}
<button type="submit">{escape(language.say("button.pay", amount=due))}</button>
</form>"""
    title = language.say("invoice", number=invoice["number"])
    body = _invoice(language, invoice) + alert(problems or {}, form) + form
    return render_page(language, title, body)


def _invoice(language: Language, invoice: ReadOnly) -> str:
    currency = invoice["currency"]
    rows = [
        (language.line(line["description"]), language.price(line["amount"], currency))
        for line in invoice["lines"]["data"]
    ]
    due = language.amount(invoice["amount_remaining"], currency)
    rows.append((language.say("invoice.due"), due))
    cells = (
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(amount)}</td></tr>'
        for name, amount in rows
    )
    download = escape(language.say("invoice.download"))
    link = f'<p><a href="/i/{escape(invoice["id"])}/pdf">{download}</a></p>'
    status = escape(language.status(invoice["status"]))
    return f"<p>{status}</p>{link}<table>{''.join(cells)}</table>"
