"""The customer portal: subscriptions, the card, the customer's details, and invoices."""

from collections.abc import Iterable, Mapping
from html import escape

from aiohttp import web

from stripe_sandbox.billing.lines import describe_price
from stripe_sandbox.billing.portal_actions import (
    cancel,
    change_plan,
    keep,
    set_up_card,
    take_offer,
    update_customer,
    use_finished,
)
from stripe_sandbox.billing.portal_pauses import pause, resume
from stripe_sandbox.billing.portal_sessions import (
    CONFIGURATION,
    allows,
    can_change_plan,
    features_of,
    open_portal,
)
from stripe_sandbox.billing.portal_sessions import KIND as PORTAL
from stripe_sandbox.billing.subscriptions import FINAL_STATUSES
from stripe_sandbox.cards import AUTHENTICATION_FAILED
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.errors import ApiError
from stripe_sandbox.hosted import portal_forms as forms
from stripe_sandbox.hosted.card_form import FormError, read_address, read_buyer
from stripe_sandbox.hosted.checkout import html_response
from stripe_sandbox.hosted.html import not_found, render_notice, render_page
from stripe_sandbox.money import format_amount
from stripe_sandbox.world import World

NEEDS = {
    "cancel": "subscription_cancel",
    "card": "payment_method_update",
    "confirm": "subscription_update",
    "customer": "customer_update",
    "keep": "subscription_cancel",
    "offer": "subscription_cancel",
    "pause": "subscription_pause",
    "resume": "subscription_pause",
    "update": "subscription_update",
}
"""The feature that each action needs."""

CHANGEABLE = ["address", "email", "name", "phone", "tax_id"]
LINK_SENT = "If there is a customer with this address, they got a link to their portal."


class CustomerPages:
    """Serves `/p/session/{id}` and `/p/login/{id}`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/p/session/{id}", self.show_portal)
        app.router.add_post("/p/session/{id}", self.change)
        app.router.add_get("/p/login/{id}", self.show_login)
        app.router.add_post("/p/login/{id}", self.log_in)

    async def show_portal(self, request: web.Request) -> web.Response:
        """Show all of the portal, or the flow of the session; also after 3D Secure."""
        session = self._world.store.peek(PORTAL, request.match_info["id"])
        if session is None:
            return html_response(404, not_found())
        if request.query.get("setup_intent"):
            return self._after_authentication(session, request.query["setup_intent"])
        if "done" in request.query:
            return html_response(200, render_notice("Done", _thanks(session)))
        return html_response(200, self._page(session, at_home="home" in request.query))

    def _after_authentication(self, session: ReadOnly, intent_id: str) -> web.Response:
        with self._world.store.transaction():
            succeeded = use_finished(self._world, session["customer"], intent_id)
        if not succeeded:
            return html_response(402, self._page(session, AUTHENTICATION_FAILED.message))
        raise web.HTTPSeeOther(_after(session))

    def _page(
        self,
        session: ReadOnly,
        error: str = "",
        wrong_field: str | None = None,
        *,
        at_home: bool = False,
    ) -> str:
        flow = None if at_home else session["flow"]
        parts = self._flow(session, flow, wrong_field) if flow else self._home(session, wrong_field)
        alert = f'<div role="alert" id="problem">{escape(error)}</div>' if error else ""
        back = session["return_url"]
        link = f'<p><a href="{escape(back)}">Back</a></p>' if back else ""
        return render_page("Your subscriptions", alert + "".join(parts) + link)

    def _home(self, session: ReadOnly, wrong_field: str | None) -> Iterable[str]:
        features = features_of(self._world, session["configuration"])
        cancels = allows(features, "subscription_cancel")
        for subscription in self._subscriptions(session):
            yield forms.subscription_form(subscription, features, cancels=cancels)
            if allows(features, "subscription_update") and can_change_plan(subscription):
                yield forms.plan_form(subscription, self._prices(features))
            if features and allows(features, "subscription_pause"):
                yield forms.pause_form(subscription, features)
        if allows(features, "payment_method_update"):
            yield forms.card_form(wrong_field)
        if allows(features, "customer_update"):
            customer = self._world.find("customer", session["customer"])
            yield forms.customer_form(customer, _changeable(features))
        if allows(features, "invoice_history"):
            yield self._invoices(session)

    def _flow(self, session: ReadOnly, flow: ReadOnly, wrong_field: str | None) -> Iterable[str]:
        """Return the forms of a flow, which hides the rest of the portal."""
        kind = flow["type"]
        if kind == "payment_method_update":
            return [forms.card_form(wrong_field)]
        features = features_of(self._world, session["configuration"])
        if kind == "customer_update":
            customer = self._world.find("customer", session["customer"])
            return [forms.customer_form(customer, _changeable(features))]
        subscription = self._world.find("subscription", flow[kind]["subscription"])
        if kind == "subscription_update":
            return [forms.plan_form(subscription, self._prices(features))]
        if kind == "subscription_update_confirm":
            return [forms.confirm_form(subscription)]
        if kind == "subscription_pause" and features:
            return [forms.pause_form(subscription, features)]
        offer = _offered_coupon(flow)
        coupon = self._world.store.peek("coupon", offer) if offer else None
        offered = [forms.offer_form(subscription, coupon)] if coupon else []
        return [*offered, forms.subscription_form(subscription, features, cancels=True)]

    def _subscriptions(self, session: ReadOnly) -> list[ReadOnly]:
        found = self._world.store.where("subscription", "customer", session["customer"])
        return [one for one in found if one["status"] not in FINAL_STATUSES]

    def _prices(self, features: ReadOnly | None) -> Iterable[tuple[ReadOnly, str]]:
        """Yield the prices that the configuration offers, each with its name."""
        settings = (features or {}).get("subscription_update") or {}
        for product in settings.get("products") or []:
            for price_id in product["prices"]:
                price = self._world.find("price", price_id)
                amount = format_amount(price["unit_amount"] or 0, price["currency"])
                yield price, f"{describe_price(self._world, price)}, {amount}"

    def _invoices(self, session: ReadOnly) -> str:
        """Return links to the customer's invoices, newest first."""
        found = [*self._world.store.where("invoice", "customer", session["customer"])]
        mine = (invoice for invoice in reversed(found) if invoice["status"] != "draft")
        rows = "".join(forms.invoice_row(invoice) for invoice in mine)
        return f"<h2>Invoices</h2><table>{rows}</table>" if rows else ""

    async def change(self, request: web.Request) -> web.Response:
        """Do what the customer wants, and go on as the flow says, or to the portal again."""
        session = self._world.store.peek(PORTAL, request.match_info["id"])
        form = {name: str(value) for name, value in (await request.post()).items()}
        if session is None:
            return html_response(404, not_found())
        try:
            with self._world.store.transaction():
                target = self._do(session, form)
        except FormError as error:
            return html_response(400, self._page(session, error.message, error.field))
        except ApiError as error:
            return html_response(402, self._page(session, str(error)))
        if target is None:
            return html_response(404, not_found())
        raise web.HTTPSeeOther(target)

    def _do(self, session: ReadOnly, form: Mapping[str, str]) -> str | None:
        """Perform an action; return where to go, or None if the portal does not offer it."""
        action, world = form.get("action", ""), self._world
        features = features_of(world, session["configuration"])
        if action not in NEEDS or not allows(features, NEEDS[action]):
            return None
        customer = world.find("customer", session["customer"])
        if action == "card":
            buyer = read_buyer(form, world.time_of(customer))
            intent = set_up_card(world, customer, buyer, session["url"])
            waits = intent["status"] == "requires_action"
            return f"/3ds/{intent['id']}" if waits else _after(session)
        if action == "customer":
            update_customer(world, customer, _changeable(features), _typed(form))
            return _after(session)
        subscription = world.store.get("subscription", form.get("subscription", ""))
        if subscription is None or subscription["customer"] != session["customer"]:
            return None
        if NEEDS[action] == "subscription_update" and not can_change_plan(subscription):
            return None
        return self._change_subscription(session, subscription, features, form)

    def _change_subscription(
        self,
        session: ReadOnly,
        subscription: Document,
        features: ReadOnly | None,
        form: Mapping[str, str],
    ) -> str | None:
        action, flow, world = form["action"], session["flow"] or {}, self._world
        if action == "cancel":
            cancel(world, subscription, features, form)
        elif action == "keep":
            keep(world, subscription)
        elif action == "resume":
            resume(world, subscription)
        elif action == "pause" and features:
            duration = features["subscription_pause"]["duration"]
            if not pause(world, subscription, duration, form.get("duration", "0")):
                return None
        elif action == "offer" and _offered_coupon(flow):
            take_offer(world, subscription, flow)
        elif action == "confirm" and flow.get("subscription_update_confirm"):
            told = flow["subscription_update_confirm"]
            if told["subscription"] != subscription["id"]:
                return None
            items = [{n: v for n, v in one.items() if v is not None} for one in told["items"]]
            discounts = [{n: v for n, v in one.items() if v} for one in told["discounts"] or []]
            change_plan(world, subscription, features, items, discounts)
        elif action == "update":
            change_plan(world, subscription, features, [self._choice(features, subscription, form)])
        else:
            return None
        return _after(session)

    def _choice(
        self, features: ReadOnly | None, subscription: ReadOnly, form: Mapping[str, str]
    ) -> Document:
        """Return the change of the only item; raises FormError for what is not offered."""
        offered = {price["id"] for price, _ in self._prices(features)}
        if form.get("price") not in offered:
            raise FormError("price", "Choose one of the plans.")
        quantity = form.get("quantity", "1").strip()
        if not quantity.isdecimal() or int(quantity) < 1:
            raise FormError("quantity", "Enter the quantity as a number.")
        item = subscription["items"]["data"][0]["id"]
        return {"id": item, "price": form["price"], "quantity": int(quantity)}

    async def show_login(self, request: web.Request) -> web.Response:
        """Show the page at which customers ask for a link to their portal."""
        if self._login_page(request) is None:
            return html_response(404, not_found())
        body = forms.form("Your e-mail address", forms.field("Email", "email"), "login", "Continue")
        return html_response(200, render_page("Log in", body))

    async def log_in(self, request: web.Request) -> web.Response:
        """Open the portal of the customer with the address; Stripe sends a link by e-mail."""
        configuration = self._login_page(request)
        if configuration is None:
            return html_response(404, not_found())
        email = str((await request.post()).get("email", "")).strip().lower()
        found = self._world.store.newest_first("customer")
        customer = next((one for one in found if (one["email"] or "").lower() == email), None)
        if customer is None:
            return html_response(200, render_notice("Log in", LINK_SENT))
        with self._world.store.transaction():
            session = open_portal(
                self._world,
                customer,
                configuration=configuration["id"],
                return_url=configuration["default_return_url"],
            )
        raise web.HTTPSeeOther(session["url"])

    def _login_page(self, request: web.Request) -> ReadOnly | None:
        found = self._world.store.peek(CONFIGURATION, request.match_info["id"])
        return found if found and found["active"] and found["login_page"]["enabled"] else None


def _after(session: ReadOnly) -> str:
    """Return where a completed action leads."""
    path = f"/p/session/{session['id']}"
    if session["flow"] is None:
        return path
    completion = session["flow"]["after_completion"]
    if completion["type"] == "redirect":
        return str(completion["redirect"]["return_url"])
    return f"{path}?{'done' if completion['type'] == 'hosted_confirmation' else 'home'}=1"


def _thanks(session: ReadOnly) -> str:
    completion = session["flow"]["after_completion"] if session["flow"] else {}
    return str((completion.get("hosted_confirmation") or {}).get("custom_message") or "Thank you.")


def _offered_coupon(flow: ReadOnly) -> str | None:
    retention = (flow.get("subscription_cancel") or {}).get("retention")
    return id_of(retention["coupon_offer"]["coupon"]) if retention else None


def _changeable(features: ReadOnly | None) -> list[str]:
    return CHANGEABLE if features is None else list(features["customer_update"]["allowed_updates"])


def _typed(form: Mapping[str, str]) -> Document:
    """Return the details in a form: those that are there, empty ones as None."""
    typed: Document = {
        name: form[field].strip() or None
        for name, (_, field) in forms.DETAILS.items()
        if field in form
    }
    address = read_address(form)
    if address:
        typed["address"] = address
    if form.get("taxId", "").strip():
        typed["tax_id"] = (form.get("taxIdType", "").strip(), form["taxId"].strip())
    return typed
