"""The payment page of a Checkout session, and recovery of expired sessions."""

from dataclasses import asdict, replace
from typing import Any

from aiohttp import web

from stripe_sandbox.billing.buyers import Buyer
from stripe_sandbox.billing.cart import cart_of, line_items_of
from stripe_sandbox.billing.cart_changes import change_cart
from stripe_sandbox.billing.cart_taxes import payer_at_page
from stripe_sandbox.billing.checkout import asks_for_card, recover_session, success_address
from stripe_sandbox.billing.checkout_completion import complete_session
from stripe_sandbox.cards import AUTHENTICATION_FAILED, TestCard, find_card
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError
from stripe_sandbox.hosted.card_form import read_buyer, read_quantities
from stripe_sandbox.hosted.checkout_details import check_details, read_details
from stripe_sandbox.hosted.checkout_html import render_authentication, render_checkout
from stripe_sandbox.hosted.html import not_found, render_notice
from stripe_sandbox.hosted.language import Language, language_of
from stripe_sandbox.hosted.problems import FormError, Problems, problems_of
from stripe_sandbox.world import World

CHALLENGE = "_challenge"
"""Kind of a payment that waits for 3D Secure authentication."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
}


class CheckoutPages:
    """Serves `/c/pay/{id}` and `/c/recover/{id}`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/c/pay/{id}", self.show)
        app.router.add_post("/c/pay/{id}", self.pay)
        app.router.add_get("/c/recover/{id}", self.recover)

    async def show(self, request: web.Request) -> web.Response:
        """Show the payment page."""
        session = self._world.store.get("checkout.session", request.match_info["id"])
        language = _language(request, session)
        if session is None or session["status"] != "open":
            return _closed(language, session)
        return html_response(200, self._render(language, session))

    async def pay(self, request: web.Request) -> web.Response:
        """Take the payment: redirect to the success URL, or show the page with the error."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        session = self._world.store.get("checkout.session", request.match_info["id"])
        language = _language(request, session)
        if session is None or session["status"] != "open":
            return _closed(language, session)
        try:
            return self._take_payment(language, session, form)
        except (FormError, ApiError) as error:
            problems = problems_of(language, error)
            page = self._render(language, session, typed=form, problems=problems)
            return html_response(400 if isinstance(error, FormError) else 402, page)

    async def recover(self, request: web.Request) -> web.Response:
        """Recover an expired session as a new one, and redirect to its payment page."""
        session = self._world.store.get("checkout.session", request.match_info["id"])
        language = _language(request, session)
        if session is None:
            return _closed(language, None)
        with self._world.store.transaction():
            recovered = recover_session(self._world, session)
        if recovered is None:
            return _closed(language, session)
        raise web.HTTPSeeOther(recovered["url"])

    def _take_payment(
        self, language: Language, session: Document, form: dict[str, str]
    ) -> web.Response:
        if form.get("challenge"):
            buyer = self._confirmed_buyer(session, form)
        else:
            problems = Problems()
            session = problems.read(self._change_order, session, form) or session
            if form.get("action") == "update":
                problems.refuse()
                return self._updated(language, session, form)
            buyer = problems.read(self._read_buyer, session, form) or Buyer()
            problems.refuse()
            if isinstance(buyer.instrument, TestCard) and buyer.instrument.authenticates:
                return self._ask_for_confirmation(language, session, buyer)
        with self._world.store.transaction():
            session = complete_session(self._world, session, buyer)
        return web.Response(status=303, headers={"Location": success_address(session), **HEADERS})

    def _updated(self, language: Language, session: ReadOnly, form: dict[str, str]) -> web.Response:
        """Show what the order costs now; with taxes, for the address that was typed."""
        if session["automatic_tax"]["enabled"]:
            return html_response(200, self._render(language, session, typed=form))
        raise web.HTTPSeeOther(f"/c/pay/{session['id']}")

    def _read_buyer(self, session: ReadOnly, form: dict[str, str]) -> Buyer:
        """Return the buyer; raises FormError for all fields that are missing or wrong."""
        kinds = session["payment_method_types"] if asks_for_card(session) else ()
        problems = Problems()
        paying = problems.read(read_buyer, form, self._world.time_of(session), kinds) or Buyer()
        details = read_details(self._world, session, form)
        buyer = replace(
            paying,
            address=details.address,
            shipping=details.shipping,
            tax_id=details.tax_id,
            business_name=details.business_name,
        )
        cart = cart_of(self._world, session["id"])
        problems.read(check_details, self._world, session, cart, buyer)
        problems.refuse()
        return buyer

    def _change_order(self, session: Document, form: dict[str, str]) -> Document:
        """Return the session as the form changes it: quantities, a promotion code, an address."""
        code, quantities = form.get("promotionCode", "").strip(), read_quantities(form)
        taxed = session["automatic_tax"]["enabled"]
        if not code and not quantities and not taxed:
            return session
        world, payer = self._world, None
        if taxed:
            details = read_details(world, session, form)
            payer = payer_at_page(
                world, session, details, cart_of(world, session["id"]).customer_update
            )
        with world.store.transaction():
            return change_cart(world, session, code=code, quantities=quantities, payer=payer)

    def _ask_for_confirmation(
        self, language: Language, session: ReadOnly, buyer: Buyer
    ) -> web.Response:
        challenge = {"id": self._world.ids.next("challenge"), "session": session["id"]}
        number = buyer.instrument.number if buyer.instrument else None
        facts = asdict(buyer) | {"instrument": number}
        with self._world.store.transaction():
            self._world.store.put(CHALLENGE, challenge | {"buyer": facts})
        return html_response(200, render_authentication(language, session, challenge["id"]))

    def _confirmed_buyer(self, session: ReadOnly, form: dict[str, str]) -> Buyer:
        """Return the authenticated buyer; raises ApiError if authentication failed."""
        challenge = self._world.store.get(CHALLENGE, form["challenge"])
        if challenge is None or challenge["session"] != session["id"]:
            raise ApiError(400, "This authentication has expired. Please pay again.")
        with self._world.store.transaction():
            self._world.store.delete(CHALLENGE, challenge["id"])
        if form.get("authentication") != "complete":
            raise ApiError(402, AUTHENTICATION_FAILED.message)
        facts = challenge["buyer"]
        number, expiry = facts.pop("instrument"), facts.pop("expiry")
        return Buyer(**facts, instrument=find_card(number), expiry=(expiry[0], expiry[1]))

    def _render(self, language: Language, session: ReadOnly, **outcome: Any) -> str:
        lines: list[ReadOnly] = [*line_items_of(self._world, session["id"])]
        cart = cart_of(self._world, session["id"])
        return render_checkout(self._world, language, session, cart, lines, **outcome)


def html_response(status: int, page: str) -> web.Response:
    """Return a page that is not cached and cannot run scripts."""
    return web.Response(status=status, text=page, content_type="text/html", headers=HEADERS)


def _language(request: web.Request, session: ReadOnly | None) -> Language:
    return language_of(request, session["locale"] if session else None)


def _closed(language: Language, session: ReadOnly | None) -> web.Response:
    if session is None:
        return html_response(404, not_found(language))
    if session["status"] == "complete":
        kind, target = "closed.paid", success_address(session)
    else:
        kind, target = "closed.expired", session["cancel_url"]
    link = (language.say(f"{kind}.link"), target) if target else None
    title, sentence = language.say(f"{kind}.title"), language.say(kind)
    return html_response(410, render_notice(language, title, sentence, link))
