"""Ordering, and following the order: the routes of the buyer's browser."""

import hashlib
import json
import re
from dataclasses import replace

from aiohttp import web

from mpanel_billing.catalogue.cycles import canonical_cycle
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.order import Order
from mpanel_billing.catalogue.pricing import price_order
from mpanel_billing.checkout.answers import payment_page_answer, progress_answer
from mpanel_billing.checkout.buyer import Buyer
from mpanel_billing.checkout.cart import read_order
from mpanel_billing.checkout.known_customers import find_known_customer
from mpanel_billing.checkout.progress import LONGEST_WAIT_SECONDS, follow_order
from mpanel_billing.checkout.purchase import Purchase
from mpanel_billing.checkout.request import LABELS, BridgeRequest, CheckoutRequest
from mpanel_billing.checkout.return_urls import ReturnUrls, app_address
from mpanel_billing.checkout.service import IdempotencyKey, create_session, load_offers
from mpanel_billing.errors import (
    InvalidRequestError,
    MalformedRequestError,
    NotFoundError,
    UnauthenticatedError,
)
from mpanel_billing.http import keys
from mpanel_billing.http.access import comes_from_backend
from mpanel_billing.http.json_body import parse_body, read_json
from mpanel_billing.http.rate_limits import spend_allowance

routes = web.RouteTableDef()

IDEMPOTENCY_KEY = "Idempotency-Key"
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_SESSION_ID = re.compile(r"[A-Za-z0-9_]{1,255}")


@routes.post("/api/checkout/create-session")
async def create(request: web.Request) -> web.Response:
    """Take an order in either shape, and answer with the address of its payment page.

    mPanel's backend, known by its key, may order for a customer of our books.
    """
    is_backend = comes_from_backend(request)
    if not is_backend:
        await spend_allowance(request, "orders")
    body = await read_json(request)
    key = _idempotency_key(request, body)
    wish = parse_body(CheckoutRequest, body, LABELS)
    if wish.customer_id and not is_backend:
        raise _customer_id_refused()
    desk = request.app[keys.DESK]
    catalogue = await load_offers(desk)
    order = read_order(wish, catalogue)
    urls = ReturnUrls.choose(request.app[keys.SETTINGS], wish.success_url, wish.cancel_url)
    purchase = _priced(catalogue, order, wish.customer.to_buyer(), urls)
    if wish.customer_id:
        purchase = replace(purchase, known=await find_known_customer(desk, wish.customer_id))
    return web.json_response(payment_page_answer(await create_session(desk, purchase, key)))


@routes.post("/api/public/checkout")
async def create_by_bridge(request: web.Request) -> web.Response:
    """Take an order of the older pages: a plan, a term and an e-mail address."""
    await spend_allowance(request, "orders")
    wish = parse_body(BridgeRequest, await read_json(request), LABELS)
    desk = request.app[keys.DESK]
    catalogue = await load_offers(desk)
    order = Order(wish.plan_id, canonical_cycle(wish.term), catalogue.currency)
    urls = ReturnUrls.choose(request.app[keys.SETTINGS], wish.success_url, wish.cancel_url)
    page = await create_session(desk, _priced(catalogue, order, Buyer(email=wish.email), urls))
    return web.json_response({"success": True, "url": page.url, "id": page.session_id})


@routes.get("/api/checkout/session/{session_id}")
async def get_progress(request: web.Request) -> web.Response:
    """Answer with what became of an order; `?wait=` holds the answer until it moves."""
    await spend_allowance(request, "lookups")
    session_id = request.match_info["session_id"]
    wait_seconds = _wait_seconds(request)
    if not _SESSION_ID.fullmatch(session_id):
        raise NotFoundError("We know no checkout by this number.")
    state = await follow_order(request.app[keys.LOOKOUT], session_id, wait_seconds)
    login_url = app_address(request.app[keys.SETTINGS].app_url)
    return web.json_response(
        progress_answer(state, session_id, login_url), headers={"Cache-Control": "no-store"}
    )


def _customer_id_refused() -> UnauthenticatedError:
    return UnauthenticatedError(
        "Only mPanel itself, with its key, may order for a customer by her number.",
        fields={"customerId": "needs a key"},
    )


def _priced(catalogue: Catalogue, order: Order, buyer: Buyer, urls: ReturnUrls) -> Purchase:
    return Purchase(buyer, order, price_order(catalogue, order), urls)


def _idempotency_key(request: web.Request, body: object) -> IdempotencyKey | None:
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise MalformedRequestError("The Idempotency-Key must be 1 to 255 visible characters.")
    canonical = json.dumps(body, sort_keys=True).encode()
    return IdempotencyKey(key, hashlib.sha256(canonical).digest())


def _wait_seconds(request: web.Request) -> float:
    text = request.query.get("wait", "0")
    problem = f"must be a whole number of seconds from 0 to {LONGEST_WAIT_SECONDS}"
    if not re.fullmatch(r"[0-9]{1,2}", text) or int(text) > LONGEST_WAIT_SECONDS:
        raise InvalidRequestError(f"wait {problem}.", fields={"wait": problem})
    return float(text)
