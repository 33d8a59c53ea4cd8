"""Placing an order and following it: the routes that the buyer's browser calls."""

import hashlib
import json
from dataclasses import replace
from functools import partial
from typing import Annotated

from aiohttp import hdrs
from pydantic import Field

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor
from mpanel_billing.catalogue.currencies import choose_currency
from mpanel_billing.catalogue.cycles import canonical_cycle
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.order import Order, PricedOrder
from mpanel_billing.catalogue.pricing import price_order
from mpanel_billing.checkout.buyer import Buyer
from mpanel_billing.checkout.cart import read_order
from mpanel_billing.checkout.checkout import Checkout
from mpanel_billing.checkout.currencies import find_usual_currency
from mpanel_billing.checkout.debtors import refuse_debtor
from mpanel_billing.checkout.existing import find_existing_customer
from mpanel_billing.checkout.ordered_domains import with_owned
from mpanel_billing.checkout.payment_page import PaymentPage
from mpanel_billing.checkout.promotion_codes import with_codes
from mpanel_billing.checkout.purchase import IdempotencyKey, Purchase
from mpanel_billing.checkout.quotes import refuse_unquoted
from mpanel_billing.checkout.return_urls import ReturnUrls, app_address
from mpanel_billing.checkout.session_params import CatalogueNotPushedError
from mpanel_billing.checkout.sessions import (
    CatalogueEditedError,
    create_session,
    place_order,
)
from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    UnauthenticatedError,
)
from mpanel_billing.http import keys
from mpanel_billing.http.browser import browser_of
from mpanel_billing.http.coupon_codes import counting_codes
from mpanel_billing.http.endpoint import Call, Endpoints
from mpanel_billing.http.operation import Refusals
from mpanel_billing.http.paths import Path
from mpanel_billing.http.schemas.checkout import (
    BridgeCheckoutRequest,
    BridgePaymentPageResponse,
    CheckoutRequest,
    PaymentPageResponse,
)
from mpanel_billing.http.schemas.order_progress import OrderQuery, OrderResponse
from mpanel_billing.languages import choose

routes = Endpoints("checkout")


class SessionPath(Path):
    """A checkout session."""

    mismatch_message = "Checkout session not found."

    session_id: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_]{1,255}$", description="Stripe's id of the session.")
    ]


NOT_SOLD = (
    "coupon_below_minimum",
    "coupon_not_for_order",
    "coupon_not_in_currency",
    "currency_not_sold",
    "cycle_not_sold",
    "domain_not_included",
    "invalid_domain",
    "invalid_request",
    "quantity_not_sold",
    "several_currencies",
    "several_cycles",
    "several_plans",
    "trial_not_offered",
    "unknown_addon",
    "unknown_coupon",
    "unknown_cycle",
    "unknown_plan",
    "unknown_price",
    "unknown_tld",
)
"""Codes of what the catalogue does not sell, or not together."""

_NOT_FOR_SALE: Refusals = {
    InvalidRequestError: (
        *NOT_SOLD,
        "domain_reserved",
        "invalid_tax_id",
        "place_missing",
        "unknown_customer",
    ),
    ConflictError: (
        "coupon_used",
        "coupon_used_up",
        "customer_owes",
        "domain_owned",
        "domain_taken",
        "idempotency_key_reused",
        "offer_unavailable",
        "order_changed",
        "plan_limit_reached",
        "trial_used",
    ),
    CatalogueEditedError: (),
    CatalogueNotPushedError: (),
}


@routes.endpoint(
    "POST",
    "/api/checkout/create-session",
    optional_scope="billing:change",
    limit="orders",
    idempotent=True,
    calls_stripe=True,
    refusals=_NOT_FOR_SALE,
)
async def create(call: Call[None, None, CheckoutRequest]) -> PaymentPageResponse:
    """Place an order, in either shape; returns the address of its payment page.

    mPanel's backend, with its key, may order for an existing customer.
    """
    if call.body.customer_id and call.actor is None:
        raise customer_id_refused()
    checkout = call.app[keys.CHECKOUT]

    async def read(catalogue: Catalogue) -> Purchase:
        return await _read_purchase(call, catalogue)

    async def create_page(purchase: Purchase) -> PaymentPage:
        return await _open_page(checkout, purchase, _idempotency_key(call), call.actor)

    async with counting_codes(call, call.body.coupon_code):
        page = await place_order(
            checkout, read, create_page, has_coupon=call.body.coupon_code is not None
        )
    return PaymentPageResponse.of(page)


@routes.endpoint(
    "POST",
    "/api/public/checkout",
    limit="orders",
    calls_stripe=True,
    refusals=_NOT_FOR_SALE,
)
async def create_by_bridge(
    call: Call[None, None, BridgeCheckoutRequest],
) -> BridgePaymentPageResponse:
    """Place an order of the older pages: a plan, a term and an email address."""
    checkout = call.app[keys.CHECKOUT]

    async def read(catalogue: Catalogue) -> Purchase:
        return _read_bridge_purchase(call, catalogue)

    page = await place_order(checkout, read, partial(create_session, checkout))
    return BridgePaymentPageResponse(url=page.url, id=page.session_id)


@routes.endpoint(
    "GET", "/api/checkout/session/{session_id}", limit="lookups", refusals={NotFoundError: ()}
)
async def get_progress(call: Call[SessionPath, OrderQuery]) -> OrderResponse:
    """Return the state of an order; `wait` holds the response until it changes."""
    session_id = call.path.session_id
    state = await call.app[keys.ORDER_WATCHER].follow(session_id, float(call.query.wait))
    settings = call.app[keys.SETTINGS]
    login_url = app_address(settings.mpanel_login_url or settings.app_url)
    return OrderResponse.of(state, session_id, login_url)


async def _read_purchase(call: Call[None, None, CheckoutRequest], catalogue: Catalogue) -> Purchase:
    """Price what was sent, and find the customer for whom mPanel's backend orders."""
    body, checkout = call.body, call.app[keys.CHECKOUT]
    order = await _read_order(call, catalogue)
    catalogue = await with_codes(checkout, catalogue, order.coupon_code, body.customer_id)
    priced = price_order(catalogue, order)
    purchase = _shown(call, priced, order, body.customer.to_buyer())
    if call.actor is None:
        purchase = replace(purchase, browser_id=browser_of(call.request, call.json))
    if body.customer_id:
        if call.app[keys.SETTINGS].debtor_orders == "refuse":
            await refuse_debtor(checkout.mirror.pool, body.customer_id)
        existing = await find_existing_customer(checkout.mirror, body.customer_id, order.currency)
        if purchase.priced.metered and existing.stripe_customer_id:
            existing = existing.on_new_stripe_customer()
        if body.customer.tax_id and existing.stripe_customer_id:
            raise _tax_id_of_existing()
        purchase = replace(purchase, existing=existing)
    return purchase


async def _read_order(call: Call[None, None, CheckoutRequest], catalogue: Catalogue) -> Order:
    checkout = call.app[keys.CHECKOUT]
    usual = await find_usual_currency(checkout, catalogue, call.body.customer_id)
    order = read_order(call.body.to_selection(), catalogue, usual)
    if call.body.customer_id is None:
        return order
    async with acquired(checkout.mirror.pool) as conn:
        return await with_owned(conn, order, call.body.customer_id)


def _read_bridge_purchase(
    call: Call[None, None, BridgeCheckoutRequest], catalogue: Catalogue
) -> Purchase:
    body = call.body
    currency = choose_currency(catalogue, body.currency)
    order = Order(body.plan_id, canonical_cycle(body.term), currency)
    priced = price_order(catalogue, order)
    purchase = _shown(call, priced, order, Buyer(email=body.email))
    return replace(purchase, browser_id=browser_of(call.request, call.json))


async def _open_page(
    checkout: Checkout, purchase: Purchase, key: IdempotencyKey | None, by: Actor | None
) -> PaymentPage:
    """Place the order; an order by mPanel's backend goes into the audit log."""
    details = {"planId": purchase.order.plan_code, "billingCycle": purchase.order.billing_cycle}
    async with audit.attempt(
        checkout.mirror.pool, by, "checkout.create_session", details=details
    ) as entry:
        page = await create_session(checkout, purchase, key)
        entry.set_target("subscription", page.subscription_id)
    return page


def customer_id_refused() -> UnauthenticatedError:
    """Return the error for a customer whom a caller without a key names."""
    return UnauthenticatedError(
        "Ordering for an existing customer requires mPanel's API key.",
        fields={"customerId": "requires an API key"},
    )


def _tax_id_of_existing() -> InvalidRequestError:
    """Return the error for the tax id of a customer who is at Stripe: they change it there."""
    return InvalidRequestError(
        "This customer is at Stripe already. They enter their tax id in the portal.",
        fields={"customer.taxId": "is entered in the portal"},
    )


def _shown(
    call: Call[None, None, CheckoutRequest] | Call[None, None, BridgeCheckoutRequest],
    priced: PricedOrder,
    order: Order,
    buyer: Buyer,
) -> Purchase:
    """Return what is bought, if all that is added to its prices was shown."""
    app, body = call.app, call.body
    refuse_unquoted(app[keys.CHECKOUT].terms, priced, has_place=body.place is not None)
    urls = ReturnUrls.choose(app[keys.SETTINGS], body.success_url, body.cancel_url)
    language = choose(call.request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
    return Purchase(buyer, order, priced, urls, language=language)


def _idempotency_key(call: Call[None, None, CheckoutRequest]) -> IdempotencyKey | None:
    if call.idempotency_key is None:
        return None
    canonical = json.dumps(_without_auth_codes(call.json), sort_keys=True).encode()
    return IdempotencyKey(call.idempotency_key, hashlib.sha256(canonical).digest())


def _without_auth_codes(value: object) -> object:
    """Return a body as it is hashed: the hash of a short secret would tell it."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key != "authCode"}
        return {key: _without_auth_codes(item) for key, item in kept.items()}
    if isinstance(value, list):
        return [_without_auth_codes(item) for item in value]
    return value
