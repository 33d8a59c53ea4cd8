"""The customer portal and the hosted invoice page."""

from html import escape

from aiohttp import web

from stripe_sandbox.billing.changes import schedule_cancellation
from stripe_sandbox.billing.periods import earliest_end
from stripe_sandbox.billing.subscriptions import FINAL_STATUSES
from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.hosted.checkout import html_response
from stripe_sandbox.hosted.html import render_notice, render_page
from stripe_sandbox.money import format_amount
from stripe_sandbox.world import World

PORTAL = "billing_portal.session"


class CustomerPages:
    """Serves `/p/session/{id}` and `/i/{id}`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/p/session/{id}", self.show_portal)
        app.router.add_post("/p/session/{id}", self.change_subscription)
        app.router.add_get("/i/{id}", self.show_invoice)

    async def show_portal(self, request: web.Request) -> web.Response:
        """Show the customer's subscriptions, each with a button to cancel or to keep it."""
        session = self._world.store.peek(PORTAL, request.match_info["id"])
        if session is None:
            return _missing()
        mine = [s for s in self._world.store.all("subscription")
                if s["customer"] == session["customer"]
                and s["status"] not in FINAL_STATUSES]  # fmt: skip
        forms = "".join(_subscription_form(one) for one in mine)
        back = session["return_url"]
        link = f'<p><a href="{escape(back)}">Back</a></p>' if back else ""
        return html_response(200, render_page("Your subscriptions", forms + link))

    async def change_subscription(self, request: web.Request) -> web.Response:
        """Cancel the subscription with `cancel_at`, as Stripe's portal does, or keep it."""
        session = self._world.store.peek(PORTAL, request.match_info["id"])
        form = await request.post()
        found = self._world.store.get("subscription", str(form.get("subscription", "")))
        if session is None or found is None or found["customer"] != session["customer"]:
            return _missing()
        with self._world.store.transaction():
            found["cancel_at_period_end"] = False
            until = earliest_end(found) if form.get("action") == "cancel" else None
            schedule_cancellation(self._world, found, until)
            self._world.change(found)
        raise web.HTTPSeeOther(request.path)

    async def show_invoice(self, request: web.Request) -> web.Response:
        """Show an invoice's line items and the amount due."""
        invoice = self._world.store.peek("invoice", request.match_info["id"])
        if invoice is None:
            return _missing()
        return html_response(200, render_page(f"Invoice {invoice['number']}", _invoice(invoice)))


def _missing() -> web.Response:
    notice = render_notice(
        "Something went wrong", "The page you were looking for could not be found."
    )
    return html_response(404, notice)


def _subscription_form(subscription: ReadOnly) -> str:
    ends = subscription["cancel_at"] is not None
    action, label = ("keep", "Don't cancel") if ends else ("cancel", "Cancel subscription")
    title = escape(subscription["description"] or subscription["id"])
    return f"""<form method="post">
<h2>{title}</h2>
<p class="note">{escape(subscription["status"])}{", will be cancelled" if ends else ""}</p>
<input type="hidden" name="subscription" value="{escape(subscription["id"])}">
<button type="submit" name="action" value="{action}" class="quiet">{label}</button>
</form>"""


def _invoice(invoice: ReadOnly) -> str:
    currency = invoice["currency"]
    rows = [(line["description"], line["amount"]) for line in invoice["lines"]["data"]]
    rows.append(("Amount due", invoice["amount_remaining"]))
    cells = (
        f'<tr><th scope="row">{escape(name or "")}</th>'
        f"<td>{escape(format_amount(amount, currency))}</td></tr>"
        for name, amount in rows
    )
    return f"<p>{escape(invoice['status'])}</p><table>{''.join(cells)}</table>"
