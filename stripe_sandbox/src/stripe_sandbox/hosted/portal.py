"""The customer portal: subscriptions to cancel, the card, and invoices."""

from html import escape

from aiohttp import web

from stripe_sandbox.billing.buyers import keep_instrument, refusal
from stripe_sandbox.billing.changes import schedule_cancellation
from stripe_sandbox.billing.customers import use_card
from stripe_sandbox.billing.periods import earliest_end
from stripe_sandbox.billing.setup_intents import confirm_setup, open_setup
from stripe_sandbox.billing.subscriptions import FINAL_STATUSES
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError
from stripe_sandbox.hosted.card_form import FormError, read_buyer
from stripe_sandbox.hosted.checkout import html_response
from stripe_sandbox.hosted.html import card_fields, not_found, render_page
from stripe_sandbox.money import format_amount
from stripe_sandbox.world import World

PORTAL = "billing_portal.session"
REASONS = (
    "too_expensive",
    "missing_features",
    "switched_service",
    "unused",
    "customer_service",
    "too_complex",
    "low_quality",
    "other",
)
"""Stripe's `cancellation_details.feedback`."""


class CustomerPages:
    """Serves `/p/session/{id}`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/p/session/{id}", self.show_portal)
        app.router.add_post("/p/session/{id}", self.change)

    async def show_portal(self, request: web.Request) -> web.Response:
        """Show the customer's subscriptions, each with a button to cancel or to keep it."""
        session = self._world.store.peek(PORTAL, request.match_info["id"])
        if session is None:
            return html_response(404, not_found())
        return html_response(200, self._page(session))

    def _page(self, session: ReadOnly, error: str = "", wrong_field: str | None = None) -> str:
        found = self._world.store.where("subscription", "customer", session["customer"])
        mine = [one for one in found if one["status"] not in FINAL_STATUSES]
        features = self._features(session)
        cancels = _allows(features, "subscription_cancel")
        forms = "".join(_subscription_form(one, cancels=cancels) for one in mine)
        back = session["return_url"]
        link = f'<p><a href="{escape(back)}">Back</a></p>' if back else ""
        alert = f'<div role="alert" id="problem">{escape(error)}</div>' if error else ""
        card = _card_form(wrong_field) if _allows(features, "payment_method_update") else ""
        listed = self._invoices(session) if _allows(features, "invoice_history") else ""
        body = forms + alert + card + listed + link
        return render_page("Your subscriptions", body)

    def _features(self, session: ReadOnly) -> ReadOnly | None:
        """Return what the session's configuration allows; None without one: everything."""
        found = self._world.store.peek("billing_portal.configuration", session["configuration"])
        return found["features"] if found else None

    def _invoices(self, session: ReadOnly) -> str:
        """Return links to the customer's invoices, newest first."""
        found = [*self._world.store.where("invoice", "customer", session["customer"])]
        mine = (invoice for invoice in reversed(found) if invoice["status"] != "draft")
        rows = "".join(_invoice_row(invoice) for invoice in mine)
        return f"<h2>Invoices</h2><table>{rows}</table>" if rows else ""

    async def change(self, request: web.Request) -> web.Response:
        """Cancel a subscription or keep it, or take another card."""
        session = self._world.store.peek(PORTAL, request.match_info["id"])
        form = {name: str(value) for name, value in (await request.post()).items()}
        if session is None:
            return html_response(404, not_found())
        try:
            with self._world.store.transaction():
                known = self._do(session, form)
        except FormError as error:
            page = self._page(session, error.message, error.field)
            return html_response(400, page)
        except ApiError as error:
            return html_response(402, self._page(session, str(error)))
        if not known:
            return html_response(404, not_found())
        raise web.HTTPSeeOther(request.path)

    def _do(self, session: ReadOnly, form: dict[str, str]) -> bool:
        features = self._features(session)
        needed = "payment_method_update" if form.get("action") == "card" else "subscription_cancel"
        if not _allows(features, needed):
            return False
        if form.get("action") == "card":
            self._replace_card(session, form)
            return True
        found = self._world.store.get("subscription", form.get("subscription", ""))
        if found is None or found["customer"] != session["customer"]:
            return False
        self._change_end(found, form)
        return True

    def _change_end(self, subscription: Document, form: dict[str, str]) -> None:
        """Cancel with `cancel_at`, as Stripe's portal does, and keep the reason; or keep it."""
        cancels = form.get("action") == "cancel"
        subscription["cancel_at_period_end"] = False
        until = earliest_end(subscription) if cancels else None
        schedule_cancellation(self._world, subscription, until)
        reason = form.get("feedback") if cancels else None
        subscription["cancellation_details"] |= {
            "comment": (form.get("comment") if cancels else None) or None,
            "feedback": reason if reason in REASONS else None,
        }
        self._world.change(subscription)

    def _replace_card(self, session: ReadOnly, form: dict[str, str]) -> None:
        """Set up another card for the customer and their subscriptions."""
        world = self._world
        customer = world.find("customer", session["customer"])
        buyer = read_buyer(form, world.time_of(customer))
        method_id = keep_instrument(world, buyer, customer["email"])
        intent = open_setup(world, {"customer": customer["id"]})
        decline = confirm_setup(world, intent, method_id, authenticated=True)
        if decline:
            raise refusal(decline)
        use_card(world, customer["id"], method_id)


def _allows(features: ReadOnly | None, name: str) -> bool:
    return features is None or bool(features[name]["enabled"])


def _subscription_form(subscription: ReadOnly, *, cancels: bool) -> str:
    ends = subscription["cancel_at"] is not None
    action, label = ("keep", "Don't cancel") if ends else ("cancel", "Cancel subscription")
    title = escape(subscription["description"] or subscription["id"])
    reasons = "" if ends else REASON_FIELDS
    submit = f'<button type="submit" name="action" value="{action}" class="quiet">{label}</button>'
    button = reasons + submit if cancels else ""
    return f"""<form method="post">
<h2>{title}</h2>
<p class="note">{escape(subscription["status"])}{", will be cancelled" if ends else ""}</p>
<input type="hidden" name="subscription" value="{escape(subscription["id"])}">
{button}
</form>"""


_OPTIONS = "".join(f'<option value="{one}">{one.replace("_", " ")}</option>' for one in REASONS)
REASON_FIELDS = f"""<label>Why do you cancel? (optional)
<select name="feedback"><option value=""></option>{_OPTIONS}</select></label>
<label>Anything else? (optional) <input name="comment"></label>"""


def _card_form(wrong_field: str | None) -> str:
    return f"""<form method="post">
<h2>Payment method</h2>
{card_fields(wrong_field)}
<button type="submit" name="action" value="card">Use this card</button>
</form>"""


def _invoice_row(invoice: ReadOnly) -> str:
    total = escape(format_amount(invoice["total"], invoice["currency"]))
    link = f'<a href="/i/{escape(invoice["id"])}">{escape(invoice["number"])}</a>'
    return f"<tr><td>{link}</td><td>{escape(invoice['status'])}</td><td>{total}</td></tr>"
