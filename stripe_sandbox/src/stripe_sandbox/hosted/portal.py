"""The customer portal: subscriptions, the card, the customer's details, and invoices."""

from collections.abc import Iterable, Mapping

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
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.errors import ApiError
from stripe_sandbox.hosted import portal_forms as forms
from stripe_sandbox.hosted.card_form import read_address, read_buyer
from stripe_sandbox.hosted.checkout import html_response
from stripe_sandbox.hosted.checkout_html import back_link
from stripe_sandbox.hosted.html import alert, not_found, render_notice, render_page
from stripe_sandbox.hosted.language import Language, language_of
from stripe_sandbox.hosted.problems import FormError, problems_of
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
        language = self._language(request, session)
        if session is None:
            return html_response(404, not_found(language))
        if request.query.get("setup_intent"):
            return self._after_authentication(language, session, request.query["setup_intent"])
        if "done" in request.query:
            notice = render_notice(language, language.say("done"), _thanks(language, session))
            return html_response(200, notice)
        return html_response(200, self._page(language, session, at_home="home" in request.query))

    def _language(self, request: web.Request, session: ReadOnly | None) -> Language:
        if session is None:
            return language_of(request)
        customer = self._world.store.peek("customer", session["customer"]) or {}
        return language_of(request, session["locale"], customer.get("preferred_locales") or ())

    def _after_authentication(
        self, language: Language, session: ReadOnly, intent_id: str
    ) -> web.Response:
        with self._world.store.transaction():
            succeeded = use_finished(self._world, session["customer"], intent_id)
        if not succeeded:
            problems = {"": language.say("refusal.authentication")}
            return html_response(402, self._page(language, session, problems))
        raise web.HTTPSeeOther(_after(session))

    def _page(
        self,
        language: Language,
        session: ReadOnly,
        problems: Mapping[str, str] | None = None,
        *,
        at_home: bool = False,
    ) -> str:
        flow, wrong = None if at_home else session["flow"], problems or {}
        if flow:
            body = "".join(self._flow(language, session, flow, wrong))
        else:
            body = "".join(self._home(language, session, wrong))
        body = alert(wrong, body) + body + back_link(language, session["return_url"])
        return render_page(language, language.say("portal"), body)

    def _home(
        self, language: Language, session: ReadOnly, problems: Mapping[str, str]
    ) -> Iterable[str]:
        features = features_of(self._world, session["configuration"])
        cancels = allows(features, "subscription_cancel")
        for subscription in self._subscriptions(session):
            yield forms.subscription_form(language, subscription, features, cancels=cancels)
            if allows(features, "subscription_update") and can_change_plan(subscription):
                prices = self._prices(language, features)
                yield forms.plan_form(language, subscription, prices, problems)
            if features and allows(features, "subscription_pause"):
                yield forms.pause_form(language, subscription, features)
        if allows(features, "payment_method_update"):
            yield forms.card_form(language, problems)
        if allows(features, "customer_update"):
            customer = self._world.find("customer", session["customer"])
            yield forms.customer_form(language, customer, _changeable(features), problems)
        if allows(features, "invoice_history"):
            yield self._invoices(language, session)

    def _flow(
        self, language: Language, session: ReadOnly, flow: ReadOnly, problems: Mapping[str, str]
    ) -> Iterable[str]:
        """Return the forms of a flow, which hides the rest of the portal."""
        kind = flow["type"]
        if kind == "payment_method_update":
            return [forms.card_form(language, problems)]
        features = features_of(self._world, session["configuration"])
        if kind == "customer_update":
            customer = self._world.find("customer", session["customer"])
            return [forms.customer_form(language, customer, _changeable(features), problems)]
        subscription = self._world.find("subscription", flow[kind]["subscription"])
        if kind == "subscription_update":
            prices = self._prices(language, features)
            return [forms.plan_form(language, subscription, prices, problems)]
        if kind == "subscription_update_confirm":
            return [forms.confirm_form(language, subscription)]
        if kind == "subscription_pause" and features:
            return [forms.pause_form(language, subscription, features)]
        offer = _offered_coupon(flow)
        coupon = self._world.store.peek("coupon", offer) if offer else None
        offered = [forms.offer_form(language, subscription, coupon)] if coupon else []
        return [*offered, forms.subscription_form(language, subscription, features, cancels=True)]

    def _subscriptions(self, session: ReadOnly) -> list[ReadOnly]:
        found = self._world.store.where("subscription", "customer", session["customer"])
        return [one for one in found if one["status"] not in FINAL_STATUSES]

    def _prices(
        self, language: Language, features: ReadOnly | None
    ) -> Iterable[tuple[ReadOnly, str]]:
        """Yield the prices that the configuration offers, each with its name."""
        for price_id in _offered_prices(features):
            price = self._world.find("price", price_id)
            amount = language.price(price["unit_amount"] or 0, price["currency"])
            yield price, f"{describe_price(self._world, price)}, {amount}"

    def _invoices(self, language: Language, session: ReadOnly) -> str:
        """Return links to the customer's invoices, newest first."""
        found = [*self._world.store.where("invoice", "customer", session["customer"])]
        mine = (invoice for invoice in reversed(found) if invoice["status"] != "draft")
        rows = "".join(forms.invoice_row(language, invoice) for invoice in mine)
        heading = language.say("portal.invoices")
        return f"<h2>{heading}</h2><table>{rows}</table>" if rows else ""

    async def change(self, request: web.Request) -> web.Response:
        """Do what the customer wants, and go on as the flow says, or to the portal again."""
        session = self._world.store.peek(PORTAL, request.match_info["id"])
        form = {name: str(value) for name, value in (await request.post()).items()}
        language = self._language(request, session)
        if session is None:
            return html_response(404, not_found(language))
        try:
            with self._world.store.transaction():
                target = self._do(session, form)
        except (FormError, ApiError) as error:
            page = self._page(language, session, problems_of(language, error))
            return html_response(400 if isinstance(error, FormError) else 402, page)
        if target is None:
            return html_response(404, not_found(language))
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
            change_plan(world, subscription, features, [_choice(features, subscription, form)])
        else:
            return None
        return _after(session)

    async def show_login(self, request: web.Request) -> web.Response:
        """Show the page at which customers ask for a link to their portal."""
        if self._login_page(request) is None:
            return html_response(404, not_found(language_of(request)))
        language = language_of(request)
        page = render_page(language, language.say("login"), forms.login_form(language))
        return html_response(200, page)

    async def log_in(self, request: web.Request) -> web.Response:
        """Open the portal of the customer with the address; Stripe sends a link by e-mail."""
        configuration, language = self._login_page(request), language_of(request)
        if configuration is None:
            return html_response(404, not_found(language))
        email = str((await request.post()).get("email", "")).strip().lower()
        found = self._world.store.newest_first("customer")
        customer = next((one for one in found if (one["email"] or "").lower() == email), None)
        if customer is None:
            notice = render_notice(language, language.say("login"), language.say("login.sent"))
            return html_response(200, notice)
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


def _offered_prices(features: ReadOnly | None) -> list[str]:
    """Return the ids of the prices that the configuration offers."""
    settings = (features or {}).get("subscription_update") or {}
    return [price for product in settings.get("products") or [] for price in product["prices"]]


def _choice(features: ReadOnly | None, subscription: ReadOnly, form: Mapping[str, str]) -> Document:
    """Return the change of the only item; raises FormError for what is not offered."""
    wrong = {}
    if form.get("price") not in _offered_prices(features):
        wrong["price"] = "wrong.price"
    quantity = form.get("quantity", "1").strip()
    if not quantity.isdecimal() or int(quantity) < 1:
        wrong["quantity"] = "wrong.quantity"
    if wrong:
        raise FormError(wrong)
    item = subscription["items"]["data"][0]["id"]
    return {"id": item, "price": form["price"], "quantity": int(quantity)}


def _after(session: ReadOnly) -> str:
    """Return where a completed action leads."""
    path = f"/p/session/{session['id']}"
    if session["flow"] is None:
        return path
    completion = session["flow"]["after_completion"]
    if completion["type"] == "redirect":
        return str(completion["redirect"]["return_url"])
    return f"{path}?{'done' if completion['type'] == 'hosted_confirmation' else 'home'}=1"


def _thanks(language: Language, session: ReadOnly) -> str:
    completion = session["flow"]["after_completion"] if session["flow"] else {}
    message = (completion.get("hosted_confirmation") or {}).get("custom_message")
    return str(message or language.say("portal.thanks"))


def _offered_coupon(flow: ReadOnly) -> str | None:
    retention = (flow.get("subscription_cancel") or {}).get("retention")
    return id_of(retention["coupon_offer"]["coupon"]) if retention else None


def _changeable(features: ReadOnly | None) -> list[str]:
    return CHANGEABLE if features is None else list(features["customer_update"]["allowed_updates"])


def _typed(form: Mapping[str, str]) -> Document:
    """Return the details in a form: those that are there, empty ones as None."""
    typed: Document = {
        name: form[field.name].strip() or None
        for name, field in forms.DETAILS.items()
        if field.name in form
    }
    address = read_address(form)
    if address:
        typed["address"] = address
    if form.get("taxId", "").strip():
        typed["tax_id"] = (form.get("taxIdType", "").strip(), form["taxId"].strip())
    return typed
