"""Ordering, and following the order: the routes of the buyer's browser."""

import hashlib
import json
import re
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from mpanel_billing.access import audit
from mpanel_billing.access.actor import Actor
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
from mpanel_billing.checkout.service import (
    Desk,
    IdempotencyKey,
    PaymentPage,
    create_session,
    load_offers,
)
from mpanel_billing.checkout.session_params import CatalogueNotPushedError
from mpanel_billing.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    UnauthenticatedError,
)
from mpanel_billing.http import keys
from mpanel_billing.http.access import identify_backend
from mpanel_billing.http.answers.shop import (
    BridgePageAnswer,
    PaymentPageAnswer,
    ProgressAnswer,
)
from mpanel_billing.http.idempotency import RepeatHeaders, read_idempotency_key
from mpanel_billing.http.json_body import parse_body, read_json
from mpanel_billing.http.openapi.operation import Operation, Refusals, described
from mpanel_billing.http.query_string import read_query
from mpanel_billing.http.rate_limits import spend_allowance

routes = web.RouteTableDef()

_SESSION_ID = r"^[A-Za-z0-9_]{1,255}$"
SessionId = Annotated[str, Field(pattern=_SESSION_ID, description="Stripe's id of the session.")]

_NOT_FOR_SALE: Refusals = {
    InvalidRequestError: (
        "coupon_not_in_currency",
        "currency_not_sold",
        "cycle_not_sold",
        "invalid_domain",
        "invalid_request",
        "several_cycles",
        "several_plans",
        "trial_not_offered",
        "unknown_addon",
        "unknown_coupon",
        "unknown_customer",
        "unknown_cycle",
        "unknown_plan",
        "unknown_price",
        "unknown_tld",
    ),
    ConflictError: ("idempotency_key_reused", "order_changed", "trial_used"),
    CatalogueNotPushedError: (),
}


class ProgressQuery(BaseModel):
    """How patient the page is."""

    wait: Annotated[
        int,
        Field(
            ge=0,
            le=LONGEST_WAIT_SECONDS,
            description="For how many seconds the answer may be held until the order moves.",
        ),
    ] = 0


@routes.post("/api/checkout/create-session")
@described(
    Operation(
        "checkout",
        {HTTPStatus.OK: PaymentPageAnswer},
        scope="billing",
        key_optional=True,
        headers=RepeatHeaders,
        body=CheckoutRequest,
        asks_stripe=True,
        limited=True,
        refusals=_NOT_FOR_SALE,
    )
)
async def create(request: web.Request) -> web.Response:
    """Take an order in either shape, and answer with the address of its payment page.

    mPanel's backend, known by its key, may order for a customer of our books.
    """
    backend = await identify_backend(request)
    if backend is None:
        await spend_allowance(request, "orders")
    body = await read_json(request)
    key = _idempotency_key(request, body)
    wish = parse_body(CheckoutRequest, body, LABELS)
    if wish.customer_id and backend is None:
        raise _customer_id_refused()
    desk = request.app[keys.DESK]
    catalogue = await load_offers(desk)
    order = read_order(wish, catalogue)
    urls = ReturnUrls.choose(request.app[keys.SETTINGS], wish.success_url, wish.cancel_url)
    purchase = _priced(catalogue, order, wish.customer.to_buyer(), urls)
    if wish.customer_id:
        purchase = replace(purchase, known=await find_known_customer(desk, wish.customer_id))
    page = await _open_page(desk, purchase, key, backend)
    return web.json_response(payment_page_answer(page))


@routes.post("/api/public/checkout")
@described(
    Operation(
        "checkout",
        {HTTPStatus.OK: BridgePageAnswer},
        body=BridgeRequest,
        asks_stripe=True,
        limited=True,
        refusals=_NOT_FOR_SALE,
    )
)
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
@described(
    Operation(
        "checkout",
        {HTTPStatus.OK: ProgressAnswer},
        path={"session_id": SessionId},
        query=ProgressQuery,
        limited=True,
        refusals={NotFoundError: ()},
    )
)
async def get_progress(request: web.Request) -> web.Response:
    """Answer with what became of an order; `?wait=` holds the answer until it moves."""
    await spend_allowance(request, "lookups")
    session_id = request.match_info["session_id"]
    wait_seconds = float(read_query(request, ProgressQuery).wait)
    if not re.fullmatch(_SESSION_ID, session_id):
        raise NotFoundError("We know no checkout by this number.")
    state = await follow_order(request.app[keys.LOOKOUT], session_id, wait_seconds)
    login_url = app_address(request.app[keys.SETTINGS].app_url)
    return web.json_response(
        progress_answer(state, session_id, login_url), headers={"Cache-Control": "no-store"}
    )


async def _open_page(
    desk: Desk, purchase: Purchase, key: IdempotencyKey | None, by: Actor | None
) -> PaymentPage:
    """Order; what mPanel's backend orders is in the audit log."""
    details = {"planId": purchase.order.plan_code, "billingCycle": purchase.order.billing_cycle}
    async with audit.attempt(desk.pool, by, "checkout.create_session", details=details) as entry:
        page = await create_session(desk, purchase, key)
        entry.aim_at("subscription", page.subscription_id)
    return page


def _customer_id_refused() -> UnauthenticatedError:
    return UnauthenticatedError(
        "Only mPanel itself, with its key, may order for a customer by her number.",
        fields={"customerId": "needs a key"},
    )


def _priced(catalogue: Catalogue, order: Order, buyer: Buyer, urls: ReturnUrls) -> Purchase:
    return Purchase(buyer, order, price_order(catalogue, order), urls)


def _idempotency_key(request: web.Request, body: object) -> IdempotencyKey | None:
    key = read_idempotency_key(request)
    if key is None:
        return None
    canonical = json.dumps(body, sort_keys=True).encode()
    return IdempotencyKey(key, hashlib.sha256(canonical).digest())
